"""Figures of chapter 01: every class, field and frame is drawn where it belongs, and nothing unknown as zero."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planar_clips import SIZE, planar_clip

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.class_census import ClassCensus, LabelCoverage
from stc_lab.experiments.clip_motion import ClipMotion, clip_motion
from stc_lab.plots import (
    class_palette,
    coverage_curves,
    frame_panels,
    knowledge_matrix,
    labelling_order,
    long_tail,
    motion_row,
    tails_by_rank,
)

NAMES = ("wall", "door", "lamp", "sofa")


def census() -> ClassCensus:
    pixels = torch.tensor([[60, 20, 1, 0], [30, 0, 1, 0]])
    return ClassCensus(NAMES, np.array([0, 1]), pixels, torch.tensor([0, 4]))


def coverage(seeds: int = 3) -> LabelCoverage:
    seen = torch.arange(2 * seeds).reshape(2, seeds)
    return LabelCoverage((0.01, 1.0), (2, 200), 21, seen, seen, seen)


def test_the_tail_is_sorted_in_class_colours_on_a_logarithmic_axis() -> None:
    figure = long_tail(census())
    pixels, frames = (trace for trace in figure.data if trace.mode == "markers")
    assert list(pixels.y) == list(frames.y) == ["sofa", "lamp", "door", "wall"]  # plotly counts from below
    assert list(pixels.x) == [None, *(pytest.approx(100 * n / 112) for n in (2, 20, 90))]
    assert list(frames.x) == [None, 100, 50, 100]
    colours = dict(zip(NAMES, class_palette(NAMES).colours, strict=True))
    assert list(pixels.marker.color) == [colours[name] for name in pixels.y]
    assert figure.layout.xaxis.type == "log" and figure.layout.xaxis2.type != "log"
    assert [note.y for note in figure.layout.annotations if note.text == "never"] == ["sofa"]


def test_tails_by_rank_fall_and_leave_out_what_never_occurs() -> None:
    figure = tails_by_rank({"one": torch.tensor([0.1, 0.7, 0.0, 0.2], dtype=torch.float64)})
    assert list(figure.data[0].x) == [1, 2, 3] and list(figure.data[0].y) == pytest.approx([70, 20, 10])


def test_coverage_shows_mean_and_spread_over_the_seeds() -> None:
    figure = coverage_curves(coverage())
    assert list(figure.data[0].y) == [1, 4] and list(figure.data[0].error_y.array) == [1, 1]
    assert list(figure.layout.xaxis.ticktext) == ["1 %<br>2", "100 %<br>200"]
    assert figure.data[2].name.startswith("control") and figure.layout.xaxis.type == "log"


def test_frames_that_do_not_exist_stay_empty_in_the_order() -> None:
    first = torch.tensor([[0.1, 1.0, 0.01], [1.0, torch.nan, torch.nan]], dtype=torch.float64)
    heat = labelling_order(first, ["a", "b"], (0.01, 0.1, 1.0)).data[0]
    assert [list(row) for row in heat.z] == [[1, 2, 0], [2, None, None]]
    assert list(heat.y) == ["a", "b"] and list(heat.colorbar.ticktext) == ["1 %", "10 %", "100 %"]


def test_the_order_of_many_videos_shows_the_first_ones() -> None:
    first = torch.ones(50, 3, dtype=torch.float64)
    heat = labelling_order(first, [f"video {i}" for i in range(50)], (0.1, 1.0)).data[0]
    assert len(heat.z) == len(heat.y) == 40


def test_the_matrix_marks_what_is_known_and_who_is_chosen() -> None:
    known = {"film": frozenset[str](), "rgbd": frozenset({"depth", "intrinsics", "pose"})}
    there, absent = knowledge_matrix(known, chosen="film").data
    pairs = set(zip(there.y, there.x, strict=True))
    assert pairs == {("<b>film</b>", "image"), *(("rgbd", f) for f in ("image", "depth", "intrinsics", "poses"))}
    assert set(zip(absent.y, absent.x, strict=True)) == {
        ("rgbd", "labels"),
        *(("<b>film</b>", f) for f in ("labels", "depth", "intrinsics", "poses")),
    }
    assert there.marker.symbol != absent.marker.symbol  # not by colour alone


def test_a_frame_shows_what_it_knows_and_hatches_the_rest() -> None:
    frame = planar_clip([[0.0, 0.0, 0.0]])
    image, label, depth = frame_panels(frame, NAMES)
    assert label.classes == (0, 1) and depth.scale is not None and not any(p.hidden is not None for p in (image, label))
    _, label, depth = frame_panels(replace(frame, label=None, depth=None), NAMES)
    for panel, word in ((label, "labels"), (depth, "depth")):
        assert panel.size == SIZE and panel.hidden is not None and panel.hidden.all()
        assert panel.caption == f"None: this data set has no {word}"
    blind = replace(frame, label=torch.full((1, *SIZE), 255), depth=torch.zeros(1, 1, *SIZE, dtype=torch.float64))
    assert [panel.caption for panel in frame_panels(blind, NAMES)[1:]] == [
        "no labels of this frame",
        "no depth of this frame",
    ]


def test_holes_are_named_and_scales_can_be_shared() -> None:
    frame = planar_clip([[0.0, 0.0, 0.0]])
    assert frame.label is not None and frame.depth is not None
    label, depth = frame.label.clone(), frame.depth.clone()
    label[..., 0], depth[..., 0] = 255, 0
    panels = frame_panels(replace(frame, label=label, depth=depth), NAMES, near=1.0, far=9.0)
    assert [panel.caption for panel in panels] == ["", "black: ignored (255)", "grey: unknown (0)"]
    assert panels[2].scale is not None and (panels[2].scale.low, panels[2].scale.high) == (1.0, 9.0)


def test_motions_have_an_axis_each_and_leave_out_what_is_unknown() -> None:
    clip: Clip = planar_clip([[0.1 * i, 0.0, 0.0] for i in range(5)])
    figure = motion_row({"a": clip_motion(clip, [1, 2]), "b": clip_motion(clip, [1, 2])})
    assert len(figure.data) == 8 and sum(bool(trace.showlegend) for trace in figure.data) == 2
    step = next(trace for trace in figure.data if trace.xaxis == "x2")
    assert list(step.y) == pytest.approx([0.1, 0.2])
    blind = motion_row({"a": [ClipMotion(1, 2.0, 0.1, None, None)]})
    assert len(blind.data) == 2


@pytest.mark.bad_input
def test_figures_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="at least one data set"):
        knowledge_matrix({})
    with pytest.raises(InputError, match="at least one clip"):
        motion_row({})
    with pytest.raises(InputError, match="at least two seeds"):
        coverage_curves(coverage(1))
    with pytest.raises(InputError, match="2 rows need as many names of videos, got 1"):
        labelling_order(torch.ones(2, 3, dtype=torch.float64), ["a"], (1.0,))
    with pytest.raises(InputError, match="one frame, got a clip of 2"):
        frame_panels(planar_clip([[0.0, 0.0, 0.0]] * 2), NAMES)
