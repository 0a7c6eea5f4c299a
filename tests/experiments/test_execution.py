"""Folders that are put together from others: links save space, and nothing is lost where the same file comes twice."""

from pathlib import Path

from stc_lab.experiments.execution import publish_folder


def test_files_of_several_folders_come_together_and_replace_what_was_there(tmp_path: Path) -> None:
    one, two, published = (tmp_path / name for name in ("one", "two", "published"))
    for folder, text in ((one, "first"), (two, "second")):
        (folder / "deeper").mkdir(parents=True)
        (folder / f"{text}.txt").write_text(text)
        (folder / "deeper" / "both.txt").write_text(text)
    published.mkdir()
    (published / "old.txt").write_text("old")
    publish_folder([one, two], published)
    assert sorted(path.name for path in published.rglob("*.txt")) == ["both.txt", "first.txt", "second.txt"]
    assert (published / "deeper" / "both.txt").read_text() == "second"
    assert (one / "deeper" / "both.txt").read_text() == "first"  # a link that came first was not written through


def test_a_file_that_is_linked_already_may_come_again(tmp_path: Path) -> None:
    one, two, published = (tmp_path / name for name in ("one", "two", "published"))
    for folder in (one, two):
        folder.mkdir()
    (one / "plotly.js").write_text("code")
    (two / "plotly.js").hardlink_to(one / "plotly.js")  # as two published runs share it
    publish_folder([one, two], published)
    publish_folder([one, two], published)
    assert [path.name for path in published.iterdir()] == ["plotly.js"]
    assert (published / "plotly.js").read_text() == (one / "plotly.js").read_text() == "code"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "published", "two"]
