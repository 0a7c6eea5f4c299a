"""Pairs, trusts and motions that egomotion and reconstruction must refuse, with words that help."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sights import exact_sight
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry import Flow
from stc_lab.geometry.egomotion import Sight, Trust, depth_steps, fit_motion, focal_step
from stc_lab.geometry.reconstruct import Matches, reconstruct

pytestmark = pytest.mark.bad_input

SIGHT, T = exact_sight(3, size=(6, 8))
MATCHES = Matches(torch.tensor([[0, 1], [1, 2], [0, 2]]), SIGHT.flow_ab, SIGHT.flow_ba)


A, AB, CAMERA = SIGHT.depth_a, SIGHT.flow_ab, SIGHT.camera


def sight(**changes: Any) -> Sight:
    return replace(SIGHT, **changes)


def flow(values: Tensor) -> Flow:
    return Flow(values, AB.visible)


def rebuilt(pairs: list[list[int]] | Tensor, **options: Any) -> object:
    depth, camera = options.pop("depth", A), options.pop("camera", CAMERA)
    return reconstruct(replace(MATCHES, pairs=torch.as_tensor(pairs)), depth, camera, **options)


CASES: dict[str, tuple[Callable[[], object], str]] = {
    "no deviation": (lambda: Trust(flow=0.0), r"flow > 0 px and log_depth >= 0, got 0\.0"),
    "a negative doubt": (lambda: Trust(log_depth=-0.1), r"got 0\.1 and -0\.1"),
    "a deviation of NaN": (lambda: Trust(flow=float("nan")), "got nan"),
    "a doubt of NaN": (lambda: Trust(log_depth=float("nan")), "got 0.1 and nan"),
    "depth without channel": (lambda: sight(depth_a=A[:, 0]), r"depth_a must be \[b, 1, h, w\].*depth_a\[:, None\]"),
    "depth of integers": (lambda: sight(depth_b=A.long()), r"depth_b must be float16.*int64"),
    "depth that has diverged": (lambda: sight(depth_b=A * torch.nan), r"depth_b must be finite"),
    "fewer depths than flows": (lambda: sight(depth_a=A[:2]), "flow and depth_a must have one batch size, got 3 and 2"),
    "flow with a third channel": (lambda: sight(flow_ab=flow(AB.flow[:, [0, 1, 1]])), r"flow must be \[b, 2, h, w\]"),
    "flow of another grid": (
        lambda: sight(flow_ab=flow(AB.flow[..., ::2])),
        r"depth_a must lie on one grid, got \[6, 4\] and \[6, 8\] px.*scaled",
    ),
    "flow of another precision": (lambda: sight(flow_ab=flow(AB.flow.float())), "must have one dtype"),
    "camera of another size": (lambda: sight(camera=CAMERA.resized(12, 16)), r"belongs to 12 x 16 px.*resized"),
    "camera of another precision": (lambda: sight(camera=CAMERA.to(dtype=torch.float32)), "one dtype and device"),
    "two cameras for three pairs": (
        lambda: sight(camera=replace(CAMERA, K=CAMERA.K.repeat(2, 1, 1))),
        "one K or one for each of 3 maps, got 2",
    ),
    "no pair left": (lambda: SIGHT[torch.zeros(3, dtype=torch.bool)], "at least one pixel"),
    "no iteration": (lambda: fit_motion(SIGHT, iterations=0), "iterations must be at least 1, got 0"),
    "start of one pair": (lambda: fit_motion(SIGHT, start=T[:1]), "start and depth_a must have one batch size"),
    "start without batch": (lambda: fit_motion(SIGHT, start=T[0]), r"start\[None\]"),
    "start of another precision": (lambda: fit_motion(SIGHT, start=T.float()), r"start.to\(depth_a.dtype\)"),
    "start with a scale": (lambda: fit_motion(SIGHT, start=T * 1.5), "start is no rigid motion"),
    "start that was lost": (lambda: fit_motion(SIGHT, start=T * torch.nan), "start holds NaN"),
    "focal length at no motion": (lambda: focal_step(SIGHT, T * 2), "T_b_a is no rigid motion"),
    "depth at no motion": (lambda: depth_steps(SIGHT, T[:, :3]), r"T_b_a must be \[b, 4, 4\]"),
    "a frame too many": (lambda: rebuilt([[0, 1], [1, 3], [0, 2]]), "must name frames 0 to 2"),
    "a frame from the end": (lambda: rebuilt([[0, 1], [1, -1], [0, 2]]), "must name frames 0 to 2"),
    "no pairs": (lambda: rebuilt(torch.zeros(0, 2, dtype=torch.int64)), "at least one pair"),
    "pairs without a flow": (lambda: rebuilt([[0, 1], [1, 2]]), "must have one batch size, got 3 and 2"),
    "no sweep": (
        lambda: rebuilt(MATCHES.pairs, sweeps=0),
        "sweeps must be at least 1 and doubt above 0 and finite, got 0",
    ),
    "no doubt": (lambda: rebuilt(MATCHES.pairs, doubt=0.0), "doubt above 0 and finite, got 4 and 0"),
    "a prior of NaN": (lambda: rebuilt(MATCHES.pairs, doubt=float("nan")), "got 4 and nan"),
    "a start without channel": (lambda: rebuilt(MATCHES.pairs, depth=A[:, 0]), r"depth must be \[b, 1, h, w\]"),
    "a prior of no weight": (
        lambda: rebuilt(MATCHES.pairs, doubt=float("inf")),
        "doubt above 0 and finite, got 4 and inf",
    ),
    "one motion for three pairs, for depth": (
        lambda: depth_steps(SIGHT, T[:1]),
        "T_b_a and depth_a must have one batch size, got 1 and 3",
    ),
    "one motion for three pairs, for the focal length": (
        lambda: focal_step(SIGHT, T[:1]),
        "T_b_a and depth_a must have one batch size, got 1 and 3",
    ),
    "motion of another precision": (lambda: depth_steps(SIGHT, T.float()), r"T_b_a.to\(depth_a.dtype\)"),
    "visible of another size": (
        lambda: sight(flow_ab=Flow(AB.flow, AB.visible[:, :3])),
        r"visible must be bool \[3, 6, 8\], got torch.bool \[3, 3, 8\]",
    ),
    "visible of fewer pairs": (
        lambda: sight(flow_ab=Flow(AB.flow, AB.visible[:1])),
        r"visible must be bool \[3, 6, 8\], got torch.bool \[1, 6, 8\]",
    ),
    "a start of another grid": (
        lambda: rebuilt(MATCHES.pairs, depth=A[..., ::2], camera=CAMERA.strided(2)),
        "K belongs to 3 x 4 px",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_a_helpful_message(case: str) -> None:
    call, message = CASES[case]
    with pytest.raises(InputError) as error:
        call()
    assert re.search(message, str(error.value)), str(error.value)
