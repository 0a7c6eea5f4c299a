"""Bad input to the geometry is refused, with what was expected, what came and the usual cause."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.geometry import (
    Camera,
    DepthTolerance,
    check_pose,
    dis_flow,
    forward_splat,
    identity_warp,
    inverse_warp,
    inverse_warp_labels,
    inverse_warp_sources,
    rigid_flow,
    ruder_visible,
    sample,
    sample_labels,
    warp_by_flow,
    warp_labels_by_flow,
)

pytestmark = pytest.mark.bad_input

CAMERA = Camera.from_fov(6, 8, 60.0)
SOURCE, DEPTH = torch.rand(2, 3, 6, 8), torch.ones(2, 1, 6, 8)
LARGE = torch.rand(1, 3, 16, 16)
LABELS = torch.zeros(2, 6, 8, dtype=torch.long)
FLOW = torch.zeros(2, 2, 6, 8)
POSE = torch.eye(4).repeat(2, 1, 1)


def changed(value: torch.Tensor, index: Any, to: float) -> torch.Tensor:
    value = value.clone()
    value[index] = to
    return value


CASES: dict[str, tuple[Callable[[], object], str]] = {
    "depth of another size than its camera": (
        lambda: inverse_warp(SOURCE, torch.ones(2, 1, 5, 8), CAMERA, POSE),
        r"depth_target is 5 x 8 px.*6 x 8 px.*camera\.resized",
    ),
    "source of another size than its camera": (
        lambda: inverse_warp(torch.rand(2, 3, 6, 9), DEPTH, CAMERA, POSE),
        r"source is 6 x 9 px.*belongs to 6 x 8",
    ),
    "K of another size": (
        lambda: inverse_warp(SOURCE, DEPTH, CAMERA.resized(12, 16), POSE),
        r"source is 6 x 8 px.*belongs to 12 x 16",
    ),
    "source depth of another size": (
        lambda: inverse_warp(SOURCE, DEPTH, CAMERA, POSE, depth_source=torch.ones(2, 1, 3, 4)),
        r"depth_source is 3 x 4 px",
    ),
    "labels of another size": (lambda: inverse_warp_labels(LABELS[:, :5], DEPTH, CAMERA, POSE), r"labels is 5 x 8 px"),
    "NaN pose": (
        lambda: inverse_warp(SOURCE, DEPTH, CAMERA, changed(POSE, (1, 0, 3), float("nan"))),
        r"T_source_target holds NaN.*ScanNet",
    ),
    "pose of lost tracking": (
        lambda: forward_splat(SOURCE, DEPTH, CAMERA, torch.full_like(POSE, -torch.inf)),
        r"T_target_source holds NaN or infinite",
    ),
    "scaled rotation": (lambda: rigid_flow(DEPTH, CAMERA, POSE * 2), r"T_b_a is no rigid motion"),
    "mirrored rotation": (lambda: check_pose(changed(POSE, (0, 0, 0), -1.0), "T"), r"det\(R\) must be \+1"),
    "transposed pose": (lambda: check_pose(changed(POSE, (0, 3, 0), 0.5), "T"), r"last row \(0, 0, 0, 1\).*transposed"),
    "3 x 4 pose": (lambda: check_pose(POSE[:, :3], "T"), r"T must be \[b, 4, 4\], got \[2, 3, 4\]"),
    "no pose at all": (lambda: check_pose(POSE[:0], "T"), r"T must be \[b, 4, 4\], got \[0, 4, 4\]"),
    "pose without batch": (lambda: check_pose(POSE[0], "T"), r"got \[4, 4\].*T\[None\]"),
    "integer pose": (lambda: check_pose(POSE.long(), "T"), r"floating point, got torch\.int64"),
    "depth without channel": (lambda: inverse_warp(SOURCE, DEPTH[:, 0], CAMERA, POSE), r"depth_target\[:, None\]"),
    "image without batch": (lambda: inverse_warp(SOURCE[0], DEPTH, CAMERA, POSE), r"got \[3, 6, 8\].*source\[None\]"),
    "8-bit image": (lambda: inverse_warp(SOURCE.byte(), DEPTH, CAMERA, POSE), r"float32 or float64, got torch\.uint8"),
    "whole numbers": (
        lambda: inverse_warp((SOURCE * 255).byte(), DEPTH, CAMERA, POSE),
        r"source must be float16, bfloat16, float32 or float64, got torch\.uint8.*/ 255",
    ),
    "half precision beside float64": (
        lambda: inverse_warp(SOURCE.half(), DEPTH.double(), CAMERA.to(dtype=torch.float64), POSE.double()),
        r"source and depth_target.*one dtype, got torch\.float16 and torch\.float64",
    ),
    "depth of a net that diverged": (
        lambda: inverse_warp(SOURCE, changed(DEPTH, (0, 0, 2, 3), math.nan).requires_grad_(), CAMERA, POSE),
        r"depth_target must be finite: asks for a gradient, but 1 of its 96 values.*diverged",
    ),
    "depth without a finite value": (
        lambda: inverse_warp(SOURCE, DEPTH * math.inf, CAMERA, POSE),
        r"depth_target must be finite: 96 of its 96 values",
    ),
    "sources without their axis": (
        lambda: inverse_warp_sources(SOURCE, DEPTH, CAMERA, POSE),
        r"sources must be \[b, s, c, h, w\].*got \[2, 3, 6, 8\] and \[2, 4, 4\]",
    ),
    "poses of fewer sources": (
        lambda: inverse_warp_sources(SOURCE[:, None].repeat(1, 2, 1, 1, 1), DEPTH, CAMERA, POSE[:, None]),
        r"T_sources_target \[b, s, 4, 4\], got \[2, 2, 3, 6, 8\] and \[2, 1, 4, 4\]",
    ),
    "mixed dtypes": (lambda: inverse_warp(SOURCE, DEPTH.double(), CAMERA, POSE), r"source and depth_target.*one dtype"),
    "pose in another dtype": (
        lambda: inverse_warp(SOURCE, DEPTH, CAMERA, POSE.double()),
        r"T_source_target.*one dtype",
    ),
    "camera in another dtype": (
        lambda: inverse_warp(SOURCE, DEPTH, CAMERA.to(dtype=torch.float64), POSE),
        r"one dtype and device.*camera_target\.to\(",
    ),
    "source on another device": (lambda: sample(SOURCE, FLOW.to("meta")), r"one device, got cpu and meta"),
    "another batch": (lambda: inverse_warp(SOURCE, DEPTH[:1], CAMERA, POSE[:1]), r"one batch size, got 2 and 1"),
    "another number of poses": (lambda: inverse_warp(SOURCE, DEPTH, CAMERA, POSE[:1]), r"one batch size, got 1 and 2"),
    "another number of cameras": (
        lambda: rigid_flow(DEPTH, Camera(CAMERA.K.repeat(3, 1, 1), 6, 8), POSE),
        r"camera_a must hold one K or one for each of 2 maps, got 3",
    ),
    "an empty batch": (lambda: rigid_flow(DEPTH[:0], CAMERA, POSE[:0]), r"at least one pixel"),
    "logits for labels": (lambda: inverse_warp_labels(SOURCE, DEPTH, CAMERA, POSE), r"int64 \[b, h, w\].*argmax"),  # type: ignore[arg-type]
    "8-bit labels": (lambda: warp_labels_by_flow(LABELS.byte(), FLOW), r"int64 \[b, h, w\], got torch\.uint8"),
    "no labels": (lambda: sample_labels(LABELS[:0], FLOW[:0]), r"labels must hold at least one pixel"),
    "mask of another size": (
        lambda: identity_warp(SOURCE, torch.ones(2, 5, 8, dtype=torch.bool)),
        r"visible must be bool \[2, 6, 8\]",
    ),
    "mask of floats": (lambda: identity_warp(SOURCE, DEPTH[:, 0]), r"visible must be bool"),
    "unknown preset": (
        lambda: dis_flow(SOURCE, SOURCE, preset="slow"),  # type: ignore[arg-type]
        r"ultrafast, fast, medium, fine, got 'slow'",
    ),
    "flow without batch": (lambda: warp_by_flow(SOURCE, FLOW[0]), r"\[b, 2, h, w\], got \[2, 6, 8\].*flow_ab\[None\]"),
    "flow of another size": (
        lambda: warp_by_flow(SOURCE, FLOW[..., :7]),
        r"one size.*resized flow must also be scaled",
    ),
    "flows of another size": (lambda: ruder_visible(FLOW, FLOW[..., :7]), r"one size"),
    "flow images in 0..255": (lambda: dis_flow(LARGE * 255, LARGE * 255), r"RGB in \[0, 1\].*divide 8-bit"),
    "flow images with NaN": (lambda: dis_flow(LARGE * torch.nan, LARGE), r"RGB in \[0, 1\], got values from nan"),
    "flow images of two sizes": (lambda: dis_flow(SOURCE, SOURCE[..., :7]), r"both images must have one size"),
    "flow images too small": (lambda: dis_flow(SOURCE, SOURCE), r"at least 12 px on one side, got \[6, 8\]"),
    "grey flow images": (lambda: dis_flow(SOURCE[:, :1], SOURCE[:, :1]), r"image_a must be \[b, 3, h, w\]"),
    "negative tolerance": (lambda: DepthTolerance(relative=-0.1), r"must not be negative"),
    "NaN tolerance": (lambda: DepthTolerance(absolute=float("nan")), r"must not be negative"),
    "negative flow tolerance": (lambda: ruder_visible(FLOW, FLOW, absolute=-1.0), r"must not be negative"),
    "K of the wrong shape": (lambda: Camera(CAMERA.K[0], 6, 8), r"K must be a tensor \[b, 3, 3\].*K\[None\]"),
    "K of integers": (lambda: Camera(CAMERA.K.long(), 6, 8), r"floating point"),
    "K with NaN": (lambda: Camera(CAMERA.K * torch.nan, 6, 8), r"NaN or infinite"),
    "inverted K": (lambda: Camera(torch.linalg.inv(CAMERA.K) * -1, 6, 8), r"focal lengths must be positive"),
    "transposed K": (lambda: Camera(CAMERA.K.transpose(1, 2), 6, 8), r"upper triangular.*transposed K"),
    "empty image": (lambda: Camera(CAMERA.K, 0, 8), r"at least 1 x 1"),
    "field of view of half a turn": (lambda: Camera.from_fov(6, 8, 180.0), r"between 0 and 180 degrees"),
    "crop beyond the image": (lambda: CAMERA.cropped(1, 2, 6, 6), r"rows 1:7, columns 2:8 leaves the 6 x 8 image"),
    "stride of zero": (lambda: CAMERA.strided(0), r"at least 1, got 0"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_a_helpful_message(case: str) -> None:
    call, message = CASES[case]
    with pytest.raises(InputError) as error:
        call()
    assert re.search(message, str(error.value)), str(error.value)
