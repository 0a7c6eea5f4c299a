"""Doubt along a line: its pieces fit together, and at the true depth little surprises."""

import math

import pytest
import torch
from depth_clips import tracking_clip

from stc_lab.experiments.depth_doubt import TRUST, Doubt, doubts
from stc_lab.experiments.depth_lesson import FLOW_STRIDE, lesson_moment


def found(flat: bool) -> list[Doubt]:
    moment = lesson_moment(tracking_clip(), 2)
    target, source = moment.target, moment.sources[1]
    assert target.depth is not None and source.depth is not None and target.camera is not None
    depths = target.depth, source.depth
    if flat:
        depths = torch.ones_like(target.depth), torch.ones_like(source.depth)
    return doubts(moment, 1, *depths, target.camera)


@pytest.mark.parametrize("flat", [False, True])
def test_line_ellipse_and_distances_belong_together(flat: bool) -> None:
    every = found(flat)
    assert len(every) > 5
    for one in every:
        miss = math.dist(one.expected, one.found)
        assert math.hypot(one.along, one.across) == pytest.approx(miss, abs=1e-3)
        assert one.line[len(one.line) // 2] == pytest.approx(one.expected, abs=1e-2)  # the depth as it is
        centre = [sum(values) / len(values) for values in zip(*one.ellipse[:-1], strict=True)]
        assert centre == pytest.approx(one.expected, abs=1e-2)
        reach = [math.dist(one.expected, corner) for corner in one.ellipse]
        assert min(reach) == pytest.approx(2 * FLOW_STRIDE * TRUST.flow, rel=0.02)
        assert not one.allowed or miss <= max(reach) + 1e-6


def test_a_true_depth_is_off_less_than_a_constant_one() -> None:
    true, flat = found(False), found(True)
    assert sum(one.along for one in true) / len(true) < sum(one.along for one in flat) / len(flat)
    assert sum(one.allowed for one in true) > 0.8 * len(true)
