"""Time the consistency explorer from key press to picture, through a real browser; prints a Markdown table.

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.explorer --presses 15

A pair of 120 x 160 px, in JupyterLab or as a Voila page on this machine. The clock of the page runs from the key that
moves a slider to the moment at which every picture of the board is decoded; "ours" is the share of Python in it, from
the knob's call to the pictures. Sliders take turns, so that load of the machine hits all alike.
"""

import re
import statistics
import tempfile
from pathlib import Path
from typing import Any

import click
import nbformat

from tests.browser import lab

CELL = (
    "from dataclasses import replace\n"
    "from stc_lab.data import load\n"
    "from stc_lab.models import load_shipped\n"
    "from stc_lab.widgets import consistency_explorer\n"
    "videos = load('rooms', split='test', preset='quick', height=120, width=160, test_scenes=1, motion='handheld')\n"
    "explorer = consistency_explorer(videos, {'rooms_fpn': load_shipped('rooms_fpn').model})\n"
    "explorer.go(replace(explorer.state, frame=10))\n"
    "explorer"
)
SLIDERS = ("yaw (deg)", "depth, times", "focal, times", "exposure (stops)", "tolerance, times", "opacity", "frame")
WATCH = """() => {
    const board = document.querySelector('.stc-board');
    window.times = {};
    document.addEventListener('keydown', () => { window.times = { pressed: performance.now() }; }, true);
    new MutationObserver(() => { window.times.drawn ??= performance.now(); })
        .observe(board, { attributes: true, attributeFilter: ['data-drawn'] });
}"""
SPENT = "() => window.times.drawn === undefined ? null : window.times.drawn - window.times.pressed"
STATUS = ".stc-board-status"
REST = 700  # ms between two presses: causes and charts have followed


def press(page: Any, words: str, key: str) -> tuple[float, float]:
    """Milliseconds from the key to the picture, and those of Python among them."""
    row = page.locator(".widget-inline-hbox", has=page.get_by_text(words, exact=True))
    row.locator(".noUi-handle").first.focus()
    page.keyboard.press(key)
    page.wait_for_function(f"() => ({SPENT})() !== null", timeout=20_000)
    spent = page.evaluate(SPENT)
    found = re.search(r"(\d+) ms", page.locator(STATUS).inner_text())
    page.wait_for_timeout(REST)
    return float(spent), float(found[1]) if found else float("nan")


def measured(page: Any, presses: int) -> dict[str, list[tuple[float, float]]]:
    page.wait_for_selector(".stc-board[data-drawn]", timeout=180_000)
    page.wait_for_timeout(4000)  # the first views and causes are made
    page.evaluate(WATCH)
    times: dict[str, list[tuple[float, float]]] = {words: [] for words in SLIDERS}
    for number in range(presses + 1):
        for words in SLIDERS:
            found = press(page, words, "ArrowRight" if number % 2 else "ArrowLeft")
            if number > 0:  # the first of each only warms up
                times[words].append(found)
    return times


@click.command()
@click.option("--presses", default=15, show_default=True, help="of each slider")
@click.option("--voila", is_flag=True, help="the page instead of JupyterLab")
def main(presses: int, voila: bool) -> None:
    """Time sliders of the consistency explorer."""
    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "explorer.ipynb"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)], metadata={"kernelspec": kernel})
        nbformat.write(made, path)
        if voila:
            with lab.voila_server(path) as address, lab.browser_page(lab.Opened("voila"), (1280, 1800)) as page:
                page.goto(address, timeout=60_000)
                times = measured(page, presses)
        else:
            act = lambda page: times.update(measured(page, presses))  # noqa: E731  # called once, inside
            lab.open_and_run(path, Path(folder) / "page.png", (1280, 1000), act=act)
    print("| slider | key to picture, ms: median | 90 % below | Python's part: median |", "|---|---|---|---|", sep="\n")
    pooled = [pair for pairs in times.values() for pair in pairs]
    for words, pairs in {**times, "all": pooled}.items():
        whole, ours = zip(*pairs, strict=True)
        ninth = statistics.quantiles(whole, n=10)[-1]
        print(f"| {words} | {statistics.median(whole):.0f} | {ninth:.0f} | {statistics.median(ours):.0f} |")


if __name__ == "__main__":
    main()
