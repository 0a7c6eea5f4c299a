"""Saving: words beside every picture, whole files only, and no waiting for a browser that never answers."""

import json
import os
import re
import stat
import time
from pathlib import Path

import plotly.graph_objects as go
import pytest

from stc_lab.errors import InputError
from stc_lab.plots import export, save_figure
from stc_lab.plots.export import Exporter, ExportError, exporter_problem, exporter_works, exporting

FIGURE = go.Figure(go.Scatter(x=[0, 1], y=[0, 1]), layout={"title": {"text": "Agreement <b>over</b> gap"}})
ALT = 'A line that rises from 0 to 1; "quoted" & <sharp>.'


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that knows already that no browser works."""
    monkeypatch.setattr(export, "_EXPORT", export._Export(problem="no browser here", tried=True))


def fake_browser(folder: Path, script: str) -> str:
    path = folder / "chromium"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.usefixtures("no_browser")
def test_html_and_json_need_no_browser(tmp_path: Path) -> None:
    saved = save_figure(FIGURE, "agreement", tmp_path / "figures", alt=ALT)
    assert saved.png is None and saved.svg is None and saved.problem == "no browser here"
    again = go.Figure(json.loads(saved.json.read_text()))
    assert (
        again.layout.meta["alt"] == ALT
        and again.data[0].y == FIGURE.data[0].y
        and FIGURE.layout.meta is None
        and FIGURE.data[0].uid is None
    )


@pytest.mark.usefixtures("no_browser")
def test_the_page_says_in_words_what_it_shows(tmp_path: Path) -> None:
    page = save_figure(FIGURE, "agreement", tmp_path, alt=ALT).html.read_text()
    words = "A line that rises from 0 to 1; &quot;quoted&quot; &amp; &lt;sharp&gt;."
    assert f'role="img" aria-label="{words}"' in page and f"<figcaption>{words}</figcaption>" in page
    assert "<title>Agreement  over  gap</title>" in page and '<html lang="en">' in page
    assert 'src="plotly.min.js"' in page and "https://cdn" not in page
    assert (tmp_path / "plotly.min.js").stat().st_size > 1_000_000 and len(page) < 30_000


@pytest.mark.usefixtures("no_browser")
def test_an_animation_waits_until_it_is_started(tmp_path: Path) -> None:
    moving = go.Figure(FIGURE).update(frames=[go.Frame(data=[go.Scatter(x=[0, 1], y=[1, 0])], name="1")])
    page = save_figure(moving, "moving", tmp_path, alt=ALT).html.read_text()
    assert "Plotly.addFrames" in page and "Plotly.animate" not in page


@pytest.mark.usefixtures("no_browser")
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    first = save_figure(FIGURE, "agreement", tmp_path / "a", alt=ALT)
    second = save_figure(FIGURE, "agreement", tmp_path / "b", alt=ALT)
    assert first.html.read_bytes() == second.html.read_bytes()
    assert first.json.read_bytes() == second.json.read_bytes()


@pytest.mark.usefixtures("no_browser")
def test_the_folder_lists_its_figures_and_keeps_no_stale_picture(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"of an earlier run")
    for name in ("b", "a", "b"):
        save_figure(FIGURE, name, tmp_path, alt=ALT)
    listed = json.loads((tmp_path / "index.json").read_text())
    assert [entry["name"] for entry in listed] == ["a", "b"]
    assert listed[0] == {"name": "a", "alt": ALT, "html": "a.html", "json": "a.json", "png": None, "svg": None}
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == [
        "a.html", "a.json", "b.html", "b.json", "index.json", "plotly.min.js",
    ]  # fmt: skip


@pytest.mark.usefixtures("no_browser")
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = save_figure(FIGURE, "agreement", tmp_path, alt=ALT)
    before = saved.json.read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_figure(go.Figure(), "agreement", tmp_path, alt=ALT)
    assert saved.json.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".") and p.name != ".lock"]


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_a_figure_without_words_is_refused(tmp_path: Path, alt: str) -> None:
    with pytest.raises(InputError, match="alternative text"):
        save_figure(FIGURE, "agreement", tmp_path / "new", alt=alt)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["", "../up", "With Spaces", "-x"])
def test_names_that_are_no_file_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="lower-case"):
        save_figure(FIGURE, name, tmp_path, alt=ALT)


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 600"])
def test_a_broken_browser_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setenv("BROWSER_PATH", fake_browser(tmp_path, script))
    began = time.monotonic()
    with pytest.raises(ExportError):
        Exporter(start_limit=2)
    assert time.monotonic() - began < 25
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(p)]
    assert not left, "the browser still runs"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_broken_browser_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_EXPORT", export._Export())
    monkeypatch.setenv("BROWSER_PATH", fake_browser(tmp_path, "exit 1"))
    assert not exporter_works() and exporter_problem()
    monkeypatch.setattr(export, "Exporter", None)  # a second attempt would fail loudly
    assert save_figure(FIGURE, "agreement", tmp_path / "figures", alt=ALT).png is None


def test_a_notebook_keeps_its_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Stub:
        def picture(self, *_: object, **__: object) -> bytes:
            return b""

        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(export, "_EXPORT", export._Export())
    monkeypatch.setattr(export, "Exporter", Stub)
    monkeypatch.setattr(export.atexit, "register", lambda function: None)
    with exporting() as alone:
        pass
    assert closed == [alone]
    for _ in range(2):
        export.keep_browser()
    with exporting() as first:
        pass
    with exporting() as second:
        pass
    assert first is second and closed == [alone]


@pytest.mark.browser
def test_pictures_come_from_one_browser(tmp_path: Path) -> None:
    if not exporter_works():
        pytest.skip(f"no static export here: {exporter_problem()}")
    with exporting() as exporter:
        first = save_figure(FIGURE, "agreement", tmp_path / "a", alt=ALT)
        second = save_figure(FIGURE, "agreement", tmp_path / "b", alt=ALT)
        assert export._EXPORT.exporter is exporter
    assert export._EXPORT.exporter is None
    assert first.png is not None and second.png is not None and first.svg is not None and second.svg is not None
    assert first.png.read_bytes() == second.png.read_bytes()
    assert first.svg.read_bytes() == second.svg.read_bytes()
    assert re.match(rb"\x89PNG", first.png.read_bytes()) and b"<svg" in first.svg.read_bytes()
