"""The benches of chapter 10 answer with what the filters give, and at once."""

import time

import pytest
import torch

from stc_lab.data.rooms import CLASS_NAMES
from stc_lab.errors import InputError
from stc_lab.experiments.flicker import Flicker, open_flicker
from stc_lab.experiments.refinement import Window
from stc_lab.filters import smooth_labels_over_time
from stc_lab.models import load_shipped
from stc_lab.plots import class_palette
from stc_lab.widgets import refinement_explorer, refinement_picture, smoothing_explorer, smoothing_picture
from stc_lab.widgets.smoothing import METHODS, SmoothedClip

PALETTE = class_palette(CLASS_NAMES)
WINDOW = Window(4, slice(4, 28), slice(8, 44))


@pytest.fixture(scope="module")
def flicker() -> Flicker:
    return open_flicker(load_shipped("rooms_fpn").model, preset="tiny", seed=1)


def test_the_same_pixel_is_the_gaussian_over_time(flicker: Flicker) -> None:
    clip = SmoothedClip(flicker)
    assert torch.equal(clip.labels("same pixel", 2.0), smooth_labels_over_time(flicker.labels, 2.0))
    assert clip.labels("along exact flow", 2.0) is clip.labels("along exact flow", 2.0)  # computed once
    smoothed = [clip.labels(method, 2.0) for method in METHODS]
    assert not any(torch.equal(a, b) for i, a in enumerate(smoothed) for b in smoothed[:i])
    for method in METHODS:
        assert torch.equal(clip.labels(method, 0.0), flicker.labels)


def test_a_picture_shows_the_pixel_and_the_numbers(flicker: Flicker) -> None:
    picture = smoothing_picture(SmoothedClip(flicker), PALETTE, 3, "same pixel", 1.5, 10, 12)
    titles = [panel.title for panel in picture.panels if panel is not None]
    assert titles[0] == "frame 3" and titles[2] == "same pixel, sigma 1.5"
    image, ribbons = picture.panels[0], picture.panels[5]
    assert image is not None and image.marks[0].places == ((10.0, 12.0),)
    assert ribbons is not None and ribbons.size[1] == len(flicker.clip)
    rows = {name: [float(cell.rstrip(" %")) for cell in cells] for name, cells in picture.table.rows.items()}
    assert rows["same pixel, sigma 1.5"][2] < rows["one frame at a time"][2]


def test_the_bench_opens_as_asked_and_follows_its_sliders(flicker: Flicker) -> None:
    shown = smoothing_explorer(flicker, PALETTE, sigma=2.5, pixel=(7, 9))
    assert "same pixel, sigma 2.5" in shown.picture().table.rows
    heading, knobs, *_, error = shown.widget.children
    assert [knob.value for knob in knobs.children] == [2.5, "same pixel", 5, 7, 9]
    knobs.children[1].value = "along estimated flow"
    assert error.value == "" and "Smoothing bench" in heading.value
    assert all(knob.description for knob in knobs.children)


def test_the_guided_filter_bench_shows_before_and_after(flicker: Flicker) -> None:
    picture = refinement_picture(flicker, PALETTE, WINDOW, radius=3, temporal_radius=1, eps=1e-3)
    assert [panel.size for panel in picture.panels if panel] == [(24, 36)] * 6
    assert "3 frames by 7 x 7 px" in picture.note
    assert list(picture.table.rows) == ["before", "after"]
    flat = refinement_picture(flicker, PALETTE, WINDOW, radius=3, temporal_radius=0, eps=1e-3)
    assert flat.note.startswith("Windows of 7 x 7 px") and flat.panels[2] is not None
    assert flat.panels[2].title == "after: 2-D"


def test_a_share_of_nothing_is_no_number(flicker: Flicker) -> None:
    unknown = Flicker(flicker.clip, flicker.probabilities, flicker.flows)
    assert unknown.clip.label is not None
    labels = unknown.clip.label.clone()
    labels[WINDOW.frame] = 255
    clip = type(flicker.clip)(
        **{n: labels if n == "label" else getattr(flicker.clip, n) for n in flicker.clip.__dataclass_fields__}
    )
    blind = Flicker(clip, flicker.probabilities, flicker.flows)
    picture = refinement_picture(blind, PALETTE, WINDOW, radius=2, temporal_radius=0, eps=1e-3)
    assert picture.table.rows["before"] == ("none", "none", "none")


def test_both_benches_answer_at_once() -> None:
    large = open_flicker(load_shipped("rooms_fpn").model, preset="quick", seed=3)
    window = Window(12, slice(16, 48), slice(24, 72))
    benches = (smoothing_explorer(large, PALETTE), refinement_explorer(large, PALETTE, window))
    for bench, changes in zip(benches, ({"sigma": (1.0, 3.0, 4.0)}, {"radius": (3, 5, 6)}), strict=True):
        bench.picture()
        times = []
        for name, values in changes.items():
            for value in values:
                began = time.process_time()
                bench.picture(**{name: value})
                times.append(time.process_time() - began)
        assert min(times) < 0.2  # s of processor time


@pytest.mark.bad_input
def test_a_pixel_outside_is_refused(flicker: Flicker) -> None:
    with pytest.raises(InputError, match="no frame 3 with a pixel"):
        smoothing_picture(SmoothedClip(flicker), PALETTE, 3, "same pixel", 1.0, 48, 0)
    with pytest.raises(InputError, match="method must be one of"):
        SmoothedClip(flicker).labels("by hand", 1.0)
