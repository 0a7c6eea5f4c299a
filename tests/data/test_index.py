"""The index of a large data set is kept, mapped from disk, and never taken for that of other files or parameters."""

import errno
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stc_lab.data import SourceInfo, Videos, index
from stc_lab.data.frame_files import file_videos
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.errors import InputError

INFO = SourceInfo("many", frame_rate=10.0, has=frozenset({"pose"}), licence="none", reference="none")
LISTED: list[str] = []


def sequences(tree: Tree, *, only: str = "") -> Iterator[FileSequence]:
    offset = float(tree.file("offset.txt").read_text())
    for folder in tree.folders():
        if folder.startswith(only):
            LISTED.append(folder)
            names = tree.numbered(folder, suffix=".png")
            poses = np.tile(np.eye(4), (len(names), 1, 1))
            poses[:, 0, 3] = offset
            yield FileSequence(
                folder, list(names), [f"{folder}/{name}" for name in names.values()], pose=poses, skipped={"dark": 1}
            )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(index, "KEPT_FROM", 4)
    monkeypatch.setattr(index, "_ROWS_AT_ONCE", 3)
    monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path / "cache"))
    LISTED.clear()
    root = tmp_path / "data"
    for folder, count in {"a": 3, "b": 2, "c": 5}.items():
        (root / folder).mkdir(parents=True)
        for n in range(count):
            Image.fromarray(np.full((4, 6, 3), n, np.uint8)).save(root / folder / f"{n:03d}.png")
    (root / "offset.txt").write_text("1.5")
    age(root)
    return root


def age(root: Path, seconds: float = 100) -> None:
    """As if everything had been there for a while: what was changed a moment ago is not trusted."""
    then = time.time() - seconds
    for path in (root, *root.rglob("*")):
        os.utime(path, (then, then))


def open_many(root: Path, only: str = "") -> Videos:
    return file_videos(INFO, root, partial(sequences, only=only))


def kept(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.parent.rglob("cache/index/*/*/frames.arrow"))


def test_a_large_index_is_kept_and_found_again(root: Path) -> None:
    first = open_many(root)
    assert LISTED == ["a", "b", "c"] and len(kept(root)) == 1
    second = open_many(root)
    assert LISTED == ["a", "b", "c"]  # nothing was listed again
    assert second.names == first.names == ("a", "b", "c")
    assert second.skipped == {"dark": 3}
    assert second.size == (4, 6)
    assert second.has == {"pose"}
    assert second.table.cache_files  # mapped from disk
    clip = second.frames([0, 4, 9])
    assert clip.video == ("a", "b", "c") and clip.index.tolist() == [0, 1, 4]
    assert clip.image[:, 0, 0, 0].mul(255).round().tolist() == [0, 1, 4]
    assert clip.T_world_camera is not None and clip.T_world_camera[:, 0, 3].tolist() == [1.5] * 3


def test_a_small_index_is_made_anew_and_never_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "KEPT_FROM", 11)
    assert len(open_many(root)) == len(open_many(root)) == 10
    assert not kept(root) and not (root.parent / "cache").exists()


def add_frame(root: Path) -> None:
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(root / "b" / "002.png")


def remove_frame(root: Path) -> None:
    (root / "c" / "004.png").unlink()


def rename_frame(root: Path) -> None:
    (root / "c" / "004.png").rename(root / "c" / "009.png")


def add_folder(root: Path) -> None:
    (root / "d").mkdir()
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(root / "d" / "000.png")


def change_text(root: Path) -> None:
    (root / "offset.txt").write_text("2.5")


@pytest.mark.parametrize("change", [add_frame, remove_frame, rename_frame, add_folder, change_text])
def test_a_changed_folder_never_gives_a_stale_index(root: Path, change) -> None:
    open_many(root)
    LISTED.clear()
    change(root)
    changed = open_many(root)
    assert LISTED  # looked again
    fresh = {name: changed.frame_count(name) for name in changed.names}
    expected = {"a": 3, "b": 2, "c": 5}
    expected |= {add_frame: {"b": 3}, remove_frame: {"c": 4}, add_folder: {"d": 1}}.get(change, {})
    if change is rename_frame:
        expected = {"a": 3, "b": 2, "c-1": 4, "c-2": 1}
    assert fresh == expected
    pose = changed.frames([0]).T_world_camera
    assert pose is not None and float(pose[0, 0, 3]) == (2.5 if change is change_text else 1.5)
    assert len(kept(root)) == 1  # the old one is gone


def test_what_changed_a_moment_ago_is_not_trusted(root: Path) -> None:
    """Two changes within one tick of the file system's clock leave the same time behind."""
    stamp = (root / "b").stat()
    age(root, 0)
    open_many(root)
    now = (root / "b").stat()
    add_frame(root)
    os.utime(root / "b", ns=(now.st_atime_ns, now.st_mtime_ns))
    assert (root / "b").stat().st_mtime_ns == now.st_mtime_ns != stamp.st_mtime_ns
    assert open_many(root).frame_count("b") == 3


def test_changed_parameters_and_roots_have_an_index_of_their_own(root: Path) -> None:
    assert len(open_many(root)) == 10
    assert open_many(root, only="c").names == ("c",)
    other = root.parent / "other"
    root.rename(other)
    root.mkdir()
    (root / "a").mkdir()
    (root / "offset.txt").write_text("0")
    with pytest.raises(InputError, match="'many' has no frames; skipped: 1 x dark"):
        open_many(root)
    assert len(open_many(other)) == 10
    assert len(kept(root)) == 3


def test_changed_code_makes_a_new_index(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_many(root)
    read_text = Path.read_text

    def edited(path: Path, *args: object, **kwargs: object) -> str:
        text: str = read_text(path, *args, **kwargs)  # type: ignore[arg-type]
        return text + "# edited" if path.name == "sequences.py" else text

    LISTED.clear()
    monkeypatch.setattr(Path, "read_text", edited)
    open_many(root)
    assert LISTED


@pytest.mark.parametrize(
    "damage", [lambda f: (f / "facts.json").write_text("{"), lambda f: (f / "facts.json").unlink()]
)
def test_a_damaged_index_is_made_again(root: Path, damage) -> None:
    open_many(root)
    damage(kept(root)[0])
    assert len(open_many(root)) == 10
    assert len(kept(root)) == 1


def test_only_functions_that_can_be_named_have_an_index(root: Path) -> None:
    def inner(tree: Tree) -> Iterator[FileSequence]:
        yield from ()

    for wrong in (inner, lambda tree: (), partial(sequences, Tree(root))):
        with pytest.raises(InputError, match="must be a function of a module"):
            file_videos(INFO, root, wrong)
    with pytest.raises(InputError, match="must be plain"):
        file_videos(INFO, root, partial(sequences, only=object()))  # type: ignore[arg-type]


def twins(tree: Tree) -> Iterator[FileSequence]:
    for _ in range(2):
        yield FileSequence("a", [0], ["a/000.png"], pose=np.eye(4)[None])


def test_two_sequences_of_one_name(root: Path) -> None:
    with pytest.raises(InputError, match="two videos of 'many' have the name 'a'"):
        file_videos(INFO, root, twins)


def test_interruption_leaves_no_index(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbered = Tree.numbered

    def interrupted(tree: Tree, folder: str, **options: object) -> dict[int, str]:
        if folder == "c":
            raise KeyboardInterrupt
        return numbered(tree, folder, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Tree, "numbered", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_many(root)
    assert not [path for path in (root.parent / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert len(open_many(root)) == 10


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"disk or your quota is full; nothing half-written.*STC_LAB_CACHE"):
            open_many(root)
    assert not kept(root)
    assert len(open_many(root)) == 10


def test_a_read_only_cache_is_named_and_what_it_holds_is_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        if "cache" in path.parts:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        mkdir(path, *args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        with pytest.raises(InputError, match=r"cannot write .*read-only.*STC_LAB_CACHE"):
            open_many(root)
    open_many(root)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        assert len(open_many(root)) == 10


def test_several_processes_make_one_index(root: Path) -> None:
    fork = multiprocessing.get_context("fork")
    counts = fork.SimpleQueue()

    def job() -> None:
        LISTED.clear()
        counts.put((len(open_many(root)), LISTED.count("c")))

    processes = [fork.Process(target=job) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    answers = [counts.get() for _ in processes]
    assert [frames for frames, _ in answers] == [10] * 3
    assert sum(listed for _, listed in answers) == 1  # one of them went to the end
    assert len(kept(root)) == 1


def test_problems_noted_while_indexing_are_kept(root: Path) -> None:
    (root / "offset.txt").write_text("x")
    age(root)
    for _ in range(2):
        videos = file_videos(INFO, root, noting)
        assert [str(problem).split(".")[0] for problem in videos.problems] == ["offset is no number"]
    facts = json.loads((kept(root)[0] / "facts.json").read_text())
    assert facts["settled"]


def noting(tree: Tree) -> Iterator[FileSequence]:
    tree.attempt(_number, tree.file("offset.txt"))
    names = tree.numbered("c", suffix=".png").values()
    yield FileSequence(
        "c", range(len(names)), [f"c/{name}" for name in names], pose=np.tile(np.eye(4), (len(names), 1, 1))
    )


def _number(path: Path) -> float:
    try:
        return float(path.read_text())
    except ValueError as error:
        raise InputError("offset is no number", hint="x") from error
