"""The anchor and the threshold explorer: numbers of their tables, what is drawn, and what is refused."""

import pytest
import torch

from stc_lab.data import Clip, Videos, load
from stc_lab.errors import InputError
from stc_lab.experiments.pixel_embedding import PixelFeatures, anchor_view, ordinary_anchor, pixel_features
from stc_lab.experiments.sure_labels import SureLabels, sure_labels
from stc_lab.losses import pseudo_labels
from stc_lab.models import load_shipped
from stc_lab.plots import class_palette
from stc_lab.widgets import anchor_explorer, anchor_picture, threshold_explorer, threshold_picture

MODEL = load_shipped("rooms_fpn").model


@pytest.fixture(scope="module")
def videos() -> Videos:
    return load("rooms", split="test", preset="tiny", motion="handheld")


@pytest.fixture(scope="module")
def clip(videos: Videos) -> Clip:
    return videos.clip(videos.names[0])


@pytest.fixture(scope="module")
def pixels(clip: Clip) -> PixelFeatures:
    return pixel_features(MODEL, clip[[2, 4]])


@pytest.fixture(scope="module")
def sure(videos: Videos) -> SureLabels:
    return sure_labels([MODEL], videos)


def test_the_table_holds_the_slider_the_paper_and_one(videos: Videos, pixels: PixelFeatures) -> None:
    palette = class_palette(videos.info.classes)
    x, y = ordinary_anchor(pixels, 0.07)
    shown = anchor_picture(pixels, palette, x, y, 0.02)
    assert list(shown.table.rows) == ["0.02 (slider)", "0.07 (the paper)", "1"]
    for tau, cells in zip((0.02, 0.07, 1.0), shown.table.rows.values(), strict=True):
        view = anchor_view(pixels, 0, x, y, tau)
        assert cells[0] == f"{view.loss:.2f}" and cells[2] == f"{100 * view.hardest:.0f} %"
    assert shown.panels[0].marks[0].places == ((x, y),) and not shown.panels[2].marks
    positives = pixels.labels[0] == pixels.labels[0, y // 2, x // 2]
    assert bool(shown.panels[1].hidden[positives.numpy()].all())  # nobody pushes them


def test_the_slider_at_the_papers_temperature_has_a_row_of_its_own(videos: Videos, pixels: PixelFeatures) -> None:
    x, y = ordinary_anchor(pixels, 0.07)
    shown = anchor_picture(pixels, class_palette(videos.info.classes), x, y, 0.07, "cosine")
    assert len(shown.table.rows) == 3 and shown.note == ""
    assert shown.panels[1].scale.high == 1.0


def test_the_anchor_explorer_moves_by_a_click_and_by_its_slider(videos: Videos, pixels: PixelFeatures) -> None:
    x, y = ordinary_anchor(pixels, 0.07)
    shown = anchor_explorer(pixels, class_palette(videos.info.classes), x=x, y=y)
    controls = {c.description: c for c in shown.widget.children[1].children}
    table = shown.widget.children[-4]
    before = table.value
    controls["temperature τ"].value = 0.02
    assert table.value != before and "0.02 (slider)" in table.value
    first = shown.widget.children[2].children[0].children[1]
    first.clicked = [0.5, 0.5, 1]
    assert controls["anchor x (px)"].value == 24 and controls["anchor y (px)"].value == 16


def test_a_threshold_keeps_what_pseudo_labels_keep(videos: Videos, clip: Clip, sure: SureLabels) -> None:
    palette = class_palette(videos.info.classes)
    with torch.no_grad():
        probabilities = MODEL(clip.image).softmax(dim=1)
    shown = threshold_picture(clip, probabilities, sure, palette, 3, 0.7)
    made = pseudo_labels(probabilities[3:4], 0.7, given="probabilities")
    kept = made.label[0] != 255
    right = float((made.label[0] == clip.label[3])[kept].double().mean())
    assert shown.table.rows["this frame"] == (f"{100 * made.share:.1f} %", f"{100 * right:.1f} %")
    assert shown.table.rows["all frames"][0] == f"{100 * sure.all_kept(0.7):.1f} %"
    assert bool((shown.panels[1].hidden == ~kept.numpy()).all())
    explorer = threshold_explorer(clip, probabilities, sure, palette, frame=3)
    slider = explorer.widget.children[1].children[1]
    slider.value = 0.29  # in floating point not a whole number of hundredths
    assert "role='alert'" not in explorer.widget.children[-2].value


@pytest.mark.bad_input
def test_what_cannot_be_shown_is_refused(videos: Videos, clip: Clip, pixels: PixelFeatures, sure: SureLabels) -> None:
    palette = class_palette(videos.info.classes)
    with pytest.raises(InputError, match="show must be cosine or push"):
        anchor_picture(pixels, palette, 0, 0, 0.07, "weights")
    with pytest.raises(InputError, match="shows two frames, got 1"):
        anchor_explorer(pixel_features(MODEL, clip[[0]]), palette, x=0, y=0)
    with pytest.raises(InputError, match=r"frame must lie in 0\.\.9"):
        threshold_explorer(clip, torch.zeros(10, 21, 32, 48), sure, palette, frame=10)
