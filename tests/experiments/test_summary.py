"""The one-page summary, the figures in it, and the demo that writes it."""

import json
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from tiny_notebooks import Tiny, write_project

from stc_lab.experiments import demo
from stc_lab.experiments.runs import Run, execute
from stc_lab.experiments.summary import Failure, title_and_claim, write_summary

DRAW = """
from pathlib import Path
from stc_lab.experiments import figures_folder, report
folder = figures_folder("99_tiny"); folder.mkdir(parents=True)
report({"mean_error": 0.123456789, "n": 3})
"""


class Page(HTMLParser):
    """Collects what the tests ask about, and fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.frames: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.links.append(unquote(found["href"] or ""))
        self.images += [found] if tag == "img" else []
        self.frames += [found] if tag == "iframe" else []
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def small_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def add_figures(run: Run) -> None:
    folder = run.folder / "figures"
    entries = []
    for name, png in (("second-by-name", True), ("first by name", False)):
        (folder / f"{name}.html").write_text("<p>figure</p>")
        if png:
            (folder / f"{name}.png").write_bytes(small_png())
        entries.append(
            {"name": name, "alt": f'"{name}" & <more>', "html": f"{name}.html", "png": f"{name}.png" if png else None}
        )
    (folder / "index.json").write_text(json.dumps(entries))


def test_the_page_shows_claim_metrics_and_figures(project: Path) -> None:
    write_project(project, DRAW)
    run = execute(Tiny(count=4))
    add_figures(run)
    broken = Failure(Tiny(mode="broken"), "ValueError: <boom>")
    path = write_summary([run, broken], project / "runs" / "summary.html")
    page = Page(path.read_text())
    assert "99 Tiny: does it run?; count 4" in page.text
    assert "Two and two are four." in page.text
    assert "mean error" in page.text and "0.1235" in page.text
    assert "count = 4" in page.text
    assert "ValueError: <boom>" in page.text
    assert "1 of 2 runs finished" in page.text
    assert [image["alt"] for image in page.images] == ['"second-by-name" & <more>']
    assert str(page.images[0]["src"]).startswith("data:image/png;base64,")
    assert [frame["title"] for frame in page.frames] == ['"first by name" & <more>']
    assert len(page.links) == 3  # the executed notebook and two figures
    for link in page.links:
        assert not Path(link).is_absolute() and (path.parent / link).is_file()


def test_a_notebook_without_a_claim_has_none(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": ["## Only\n", "text"]}]}))
    assert title_and_claim(path) == ("", "")


def test_the_demo_goes_on_after_a_failure_and_says_where_everything_lies(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(project, DRAW, "assert mode == 'plain', 'mode is broken'")
    monkeypatch.setattr(demo, "WALK_THROUGH", (Tiny(mode="broken"), Tiny()))
    assert demo.demo() is False
    said = capsys.readouterr().out
    assert "[1/2] 99 tiny (mode broken) ... FAILED after" in said and "AssertionError: mode is broken" in said
    assert "[2/2] 99 tiny ... " in said
    for what, place in {
        "Executed notebooks": project / "runs",
        "Figures": project / "figures",
        "Summary": project / "runs" / "summary.html",
    }.items():
        (line,) = [line for line in said.splitlines() if line.startswith(what)]
        assert line.endswith(str(place)) and place.exists()

    monkeypatch.setattr(demo, "WALK_THROUGH", (Tiny(),))
    assert demo.demo() is True
    assert "[1/1] 99 tiny ... done before" in capsys.readouterr().out


def test_the_demo_takes_the_real_videos_that_are_there(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.plan() == list(demo.WALK_THROUGH)
    data = project / "data"
    (data / "icl_livingroom1").mkdir(parents=True)
    monkeypatch.setenv("STC_LAB_DATA", str(data))
    assert demo.plan() == [*demo.WALK_THROUGH, demo.REAL_VIDEOS[1]]
    assert "Left out: geometry and warping (source sevenscenes): no sevenscenes_redkitchen" in capsys.readouterr().out
