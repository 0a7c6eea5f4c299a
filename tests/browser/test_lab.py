"""The explorers in a real JupyterLab: every cell runs, a key press moves the pictures, and no one outside is asked."""

import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = (
    "from stc_lab.data.rooms import CLASS_NAMES, RoomsConfig, render_video\n"
    "from stc_lab.widgets import LiveCurves, prediction_explorer, warp_explorer\n"
    "config = RoomsConfig(frames=9, height=120, width=160, motion='handheld')\n"
    "clip = render_video('rooms-test-0000', config)\n"
    "warp_explorer(clip, frame=4)",
    "prediction_explorer(clip, {'truth itself': clip.label, 'moved': clip.label.roll(5, 2)}, CLASS_NAMES)",
    "live = LiveCurves(title='Training')\n"
    "for step in range(20):\n"
    "    live({'step': step + 1, 'steps': 20, 'loss': 1 / (step + 1)})",
    "from stc_lab.plots import class_palette, image_grid, image_panel, label_panel\n"
    "palette = class_palette(CLASS_NAMES)\n"
    "image_grid([image_panel(clip.image[0], 'image'), label_panel(clip.label[0], palette, 'truth')])",
    "from stc_lab.labs import check\n\n\ndef uniform_prior(**inputs):\n    ...\n\n\ncheck(uniform_prior)",
)


def write_notebook(path: Path, cells: tuple[str, ...]) -> Path:
    import nbformat

    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)
    return path


def test_explorers_work_in_the_lab(lab: ModuleType, tmp_path: Path, pictures: Path) -> None:
    seen: dict[str, Any] = {}

    def move_the_gap(page: Any) -> None:
        handle = page.locator(".noUi-handle").nth(1)
        handle.focus()
        began = time.monotonic()
        page.keyboard.press("ArrowRight")
        page.get_by_text("frame 2, by inverse warp").wait_for(timeout=10_000)
        seen["seconds"] = time.monotonic() - began

    notebook = write_notebook(tmp_path / "explorers.ipynb", CELLS)
    opened = lab.open_and_run(notebook, pictures / "explorers.png", act=move_the_gap)
    assert opened.errors == [] and opened.hosts == set()
    assert len(opened.screenshots) == 2 and all(path.stat().st_size > 20_000 for path in opened.screenshots)
    assert seen["seconds"] < 2  # 0.1 s on an idle machine


def test_a_click_chooses_the_pixel(lab: ModuleType, tmp_path: Path, pictures: Path) -> None:
    seen: dict[str, Any] = {}

    def click(page: Any) -> None:
        picture = page.locator("img[alt^='picture: click']")
        box = picture.bounding_box()
        picture.click(position={"x": 0.25 * box["width"] + 1, "y": 0.5 * box["height"] + 1})
        page.get_by_text("(40, 60), depth").wait_for(timeout=10_000)
        seen["readouts"] = page.locator(".widget-readout").all_inner_texts()

    cell = (
        "from stc_lab.data.rooms import RoomsConfig, render_video\n"
        "from stc_lab.widgets import pixel_journey\n"
        "clip = render_video('rooms-test-0000', RoomsConfig(frames=3, height=120, width=160, motion='handheld'))\n"
        "pixel_journey(clip, target=1, source=2)"
    )
    opened = lab.open_and_run(write_notebook(tmp_path / "journey.ipynb", (cell,)), pictures / "journey.png", act=click)
    assert opened.errors == [] and opened.hosts == set()
    assert seen["readouts"][:2] == ["40", "60"]  # the sliders follow


def test_errors_of_cells_are_seen(lab: ModuleType, tmp_path: Path, pictures: Path) -> None:
    notebook = write_notebook(tmp_path / "broken.ipynb", ("1 / 0", "print('never')"))
    opened = lab.open_and_run(notebook, pictures / "broken.png")
    assert len(opened.errors) == 1 and "ZeroDivisionError" in opened.errors[0]
