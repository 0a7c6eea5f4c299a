"""Figures of the depth chapter: what is drawn is what was found, and captions hold its numbers."""

import re
from dataclasses import replace

import plotly.graph_objects as go
import pytest
import torch
from depth_clips import RATIO, FlatNet, tracking_clip

from stc_lab.errors import InputError
from stc_lab.experiments.depth_doubt import doubts
from stc_lab.experiments.depth_lesson import TRUE, Explanation, Moment, explanations, lesson_moment, mask_report
from stc_lab.experiments.depth_valleys import FLOW, FOCAL_FACTORS, PHOTOMETRIC, DepthValleys, FocalValley, depth_valleys
from stc_lab.plots import (
    claim_panels,
    depth_valley_figure,
    doubt_panels,
    focal_valley_figure,
    image_grid,
    mask_panels,
)


@pytest.fixture(scope="module")
def moment() -> Moment:
    return lesson_moment(tracking_clip(), 2)


@pytest.fixture(scope="module")
def claims(moment: Moment) -> dict[str, Explanation]:
    return explanations(moment, FlatNet(), RATIO)


@pytest.fixture(scope="module")
def valleys(moment: Moment) -> DepthValleys:
    return depth_valleys(moment)


def test_claims_share_a_scale_and_fall_from_left_to_right(claims: dict[str, Explanation]) -> None:
    panels = claim_panels(claims, 1)
    assert [panel.title for panel in panels[:4]] == ["No warp", "Constant depth", "Learned depth", "True depth"]
    assert len({panel.scale for panel in panels[4:]}) == 1
    means = [float(panel.title.split()[-1]) for panel in panels[4:]]
    assert means[0] > means[1] > means[3]
    assert len(image_grid(panels, columns=4).data) >= 8


def test_masks_are_named_with_their_shares(moment: Moment, claims: dict[str, Explanation]) -> None:
    masks = mask_report(moment, claims[TRUE])
    winner, moving, closer = mask_panels(masks, moment.target.image[0], of="True depth")
    assert winner.title == "True depth: minimum of both"
    assert f"{masks.mean_average:.3f} → {masks.mean_least:.3f}" in winner.caption
    shares = [int(word) for word in re.findall(r"(\d+) %", winner.caption)]
    assert sum(shares) in (99, 100, 101)
    taken = float((masks.in_view & ~masks.moving).sum()) / float(masks.in_view.sum())
    assert f"takes {100 * taken:.0f} %" in moving.caption
    assert len(re.findall(r"\d+ %", closer.caption)) == 3
    assert (winner.hidden is None) == bool(masks.in_view.all())


def lines(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.mode == "lines"]


def test_depth_valleys_show_each_error_over_its_mean_and_the_arrivals(valleys: DepthValleys) -> None:
    drawn = lines(depth_valley_figure(valleys))
    assert len(drawn) == 8 and sum(trace.showlegend for trace in drawn) == 2
    for name, four in ((PHOTOMETRIC, drawn[:4]), (FLOW, drawn[4:])):
        for trace in four[:3]:
            assert sum(trace.y) / len(trace.y) == pytest.approx(1)
        whole = valleys.curve(name, valleys.judged)
        assert four[2].y[0] == pytest.approx(whole[0] / (sum(whole) / len(whole)))
        assert list(four[3].y) == pytest.approx([100 * share for share in valleys.arrivals(name)])


def test_focal_valleys_rise_from_their_least() -> None:
    errors = {FLOW: tuple(2 + abs(f - 1.1) for f in FOCAL_FACTORS), PHOTOMETRIC: (0.1,) * len(FOCAL_FACTORS)}
    figure = focal_valley_figure({"turning": FocalValley(errors, 4.2), "straight": FocalValley(errors, 0.4)})
    drawn = lines(figure)
    assert len(drawn) == 4 and max(drawn[1].y) == pytest.approx(25) and max(drawn[0].y) == 0
    best = [trace for trace in figure.data if trace.mode == "markers"]
    assert [trace.x[0] for trace in best if trace.name.startswith("distance")] == [1.1, 1.1]
    assert any("4.2° a pair" in text.text for text in figure.layout.annotations)


def test_a_picture_of_doubt_enlarges_what_it_allows_for(moment: Moment) -> None:
    camera, depth = moment.target.camera, moment.target.depth
    assert camera is not None and depth is not None
    flat = torch.ones_like(depth)
    found = doubts(moment, 1, flat, flat, camera)
    whole, piece = doubt_panels(found, moment.sources.image[1])
    rings = [mark for mark in whole.marks if mark.kind == "ring"]
    assert len(rings[0].places) == len(found) and whole.size == (64, 96)
    height, width = piece.size
    (ring,) = [mark for mark in piece.marks if mark.kind == "ring"]
    assert 0 <= ring.places[0][0] < width and 0 <= ring.places[0][1] < height
    (ellipse,) = [mark for mark in piece.marks if mark.name.startswith("what fit_motion")]
    inside = [0 <= x <= width - 1 and 0 <= y <= height - 1 for x, y in ellipse.places]
    assert all(inside)
    allowed = [one.along for one in found if one.allowed]
    assert f"{max(allowed):.1f} px off along" in piece.caption or len(allowed) < len(found)


@pytest.mark.bad_input
def test_nothing_is_not_drawn(moment: Moment) -> None:
    with pytest.raises(InputError, match="at least one case"):
        focal_valley_figure({})
    with pytest.raises(InputError, match="at least one pixel"):
        doubt_panels([], moment.target.image[0])
    valleys = depth_valleys(moment)
    with pytest.raises(InputError, match="smallest"):
        depth_valley_figure(replace(valleys, judged=torch.zeros_like(valleys.judged)))
