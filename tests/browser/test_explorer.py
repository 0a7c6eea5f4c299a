"""The consistency explorer in a real browser, in JupyterLab and as a Voila page: every knob moves what is shown."""

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Sixty milliseconds after the last move the causes follow, so that a knob's own picture is the first of two.
CELL = (
    "from stc_lab.data import load\n"
    "from stc_lab.models import load_shipped\n"
    "from stc_lab.widgets import consistency_explorer\n"
    "videos = load('rooms', split='test', preset='quick', height=120, width=160, test_scenes=2, motion='handheld')\n"
    "net = load_shipped('rooms_fpn').model\n"
    "explorer = consistency_explorer(videos, {'rooms_fpn': net, 'twin': net})\n"
    "explorer"
)
BOARD = ".stc-board[data-drawn]"
DRAWN = "() => Number(document.querySelector('.stc-board').dataset.drawn)"
SLIDERS = (
    "visible at least",
    "frame",
    "gap (frames)",
    "opacity",
    "depth, times",
    "pitch (deg)",
    "yaw (deg)",
    "sideways (m)",
    "focal, times",
    "exposure (stops)",
    "tolerance, times",
)


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import nbformat

    monkeypatch.setenv("STC_LAB_FIGURES", str(tmp_path / "figures"))
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CELL)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(made, tmp_path / "explorer.ipynb")
    return tmp_path / "explorer.ipynb"


def settle(page: Any, quiet: float = 0.5) -> int:
    """Wait until nothing new is drawn; which drawing that is."""
    last, since = page.evaluate(DRAWN), time.monotonic()
    deadline = since + 30
    while time.monotonic() < deadline:
        page.wait_for_timeout(50)
        now = page.evaluate(DRAWN)
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > quiet:
            break
    return int(last)


def drawn_after(page: Any, act: Callable[[], None]) -> None:
    """Do it and wait for a new drawing."""
    before = settle(page)
    act()
    page.wait_for_function(f"() => ({DRAWN})() > {before}", timeout=20_000)


def until(page: Any, condition: Callable[[], bool], what: str) -> None:
    """Wait for what follows from the last act; a busy machine may still be drawing what came before."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        page.wait_for_timeout(50)


def heading(page: Any) -> str:
    return str(page.locator(".widget-html", has_text="geometry, model").first.inner_text())


def go_through(page: Any) -> None:
    """Every slider, a click, the next worst pair, keys, zoom, the legend, what is written, and an error."""
    page.wait_for_selector(BOARD, timeout=120_000)
    settle(page)
    for words in SLIDERS:
        row = page.locator(".widget-inline-hbox", has=page.get_by_text(words, exact=True))
        readout = row.locator(".widget-readout").inner_text()
        handle = row.locator(".noUi-handle").first
        handle.focus()
        key = "ArrowLeft" if words in ("frame", "opacity") else "ArrowRight"

        def press(key: str = key) -> None:
            page.keyboard.press(key)

        drawn_after(page, press)
        assert row.locator(".widget-readout").inner_text() != readout, words
        if words == "visible at least":
            page.keyboard.press("ArrowLeft")
    everything = "disturbed: depth scale, pitch, yaw, shift, focal scale, exposure, tolerance"
    until(page, lambda: everything in heading(page), "all sliders in the heading")
    drawn_after(page, lambda: page.get_by_role("button", name="undisturbed").click())
    until(page, lambda: "disturbed" not in heading(page), "no disturbance")

    frame = page.locator(".stc-board-frame").nth(3)
    box = frame.bounding_box()
    drawn_after(page, lambda: frame.click(position={"x": 0.25 * box["width"] + 1, "y": 0.5 * box["height"] + 1}))
    page.get_by_text("(40, 60) px").wait_for(timeout=20_000)
    assert page.locator(".stc-cause").inner_text() and page.locator(".stc-board-frame svg circle").count() > 4

    before = heading(page)
    drawn_after(page, lambda: page.get_by_role("button", name="next worst").click())
    until(page, lambda: heading(page) != before, "another pair")
    page.locator(".stc-board").focus()
    drawn_after(page, lambda: page.keyboard.press("p"))
    until(page, lambda: heading(page) == before, "the pair of before")
    drawn_after(page, lambda: page.keyboard.press("d"))
    until(page, lambda: heading(page) != before, "the other direction")
    drawn_after(page, lambda: page.keyboard.press("d"))
    page.keyboard.press("+")
    assert page.locator(".stc-board").get_attribute("data-zoom") == "1.50"
    page.keyboard.press("0")
    bar = page.locator(".stc-choose [data-choose='7']").first  # of the time line or the list
    drawn_after(page, lambda: bar.click())
    drawn_after(page, lambda: page.locator(".stc-choose [aria-pressed='true']").first.click())
    until(page, lambda: page.locator(".stc-choose [aria-pressed='false']").count() == 1, "a class that is hidden")

    page.get_by_role("button", name="save picture, page and state").click()
    page.get_by_text("Written:").wait_for(timeout=30_000)
    assert page.locator("a[download$='.html']").count() == 1
    page.locator(".widget-textarea textarea").fill("no state at all")
    page.get_by_role("button", name="go to this state").click()
    alert = page.locator(".widget-html [role='alert']")
    alert.wait_for(timeout=20_000)
    assert "no saved state" in alert.inner_text()
    drawn_after(page, lambda: page.get_by_role("button", name="next worst").click())  # the rest goes on
    until(page, lambda: alert.count() == 0, "no message any more")


@pytest.mark.parametrize("width", [1280, 1920])
def test_in_the_lab_everything_moves(lab: ModuleType, notebook: Path, pictures: Path, width: int) -> None:
    act = go_through if width == 1280 else None
    opened = lab.open_and_run(notebook, pictures / f"explorer-lab-{width}.png", (width, 1000), act=act)
    assert opened.errors == [] and opened.warnings == [] and opened.hosts == set()
    assert all(path.stat().st_size > 100_000 for path in opened.screenshots)
    if width == 1280:
        written = notebook.parent / "figures" / "11_consistency_explorer"
        assert {path.suffix for path in written.iterdir()} == {".html", ".png", ".json"}


def test_as_a_page_everything_moves(lab: ModuleType, notebook: Path, pictures: Path) -> None:
    seen = lab.Opened("voila")
    with lab.voila_server(notebook) as address, lab.browser_page(seen, (1280, 1800)) as page:
        page.goto(address, timeout=60_000)
        page.wait_for_selector(BOARD, timeout=180_000)
        settle(page)
        page.screenshot(path=str(pictures / "explorer-voila-1280.png"))
        go_through(page)
        page.screenshot(path=str(pictures / "explorer-voila-1280-after.png"))
        page.set_viewport_size({"width": 1920, "height": 1400})
        page.wait_for_timeout(800)
        page.screenshot(path=str(pictures / "explorer-voila-1920.png"))
    assert seen.hosts == set()
    assert page is not None and len(list(pictures.glob("explorer-voila-*.png"))) == 3
