"""What the splats refuse, and what they say."""

import math
from collections.abc import Callable

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.geometry import Camera, forward_splat, forward_splat_labels, forward_splat_sources, splat_by_flow

pytestmark = pytest.mark.bad_input

SOURCE, DEPTH, FLOW = torch.rand(2, 3, 6, 8), torch.ones(2, 1, 6, 8), torch.zeros(2, 2, 6, 8)
LABELS = torch.zeros(2, 6, 8, dtype=torch.int64)
CAMERA, POSE = Camera.from_fov(6, 8, 60.0), torch.eye(4).repeat(2, 1, 1)
SOURCES, DEPTHS, POSES = SOURCE[:, None].repeat(1, 2, 1, 1, 1), DEPTH[:, None].repeat(1, 2, 1, 1, 1), POSE[:, None]
POSES = POSES.repeat(1, 2, 1, 1)


def soft(importance: torch.Tensor) -> object:
    return forward_splat(SOURCE, DEPTH, CAMERA, POSE, mode="softmax", importance=importance)


CASES: dict[str, tuple[Callable[[], object], str]] = {
    "unknown mode": (
        lambda: forward_splat(SOURCE, DEPTH, CAMERA, POSE, mode="linear"),  # type: ignore[arg-type]
        r"mode must be one of zbuffer, average, sum, softmax, got 'linear'",
    ),
    "sharpness below zero": (
        lambda: forward_splat(SOURCE, DEPTH, CAMERA, POSE, mode="softmax", sharpness=-1.0),
        r"sharpness must be finite and not negative, got -1\.0",
    ),
    "sharpness without end": (
        lambda: forward_splat(SOURCE, DEPTH, CAMERA, POSE, mode="softmax", sharpness=math.inf),
        r"sharpness must be finite",
    ),
    "importance in another mode": (
        lambda: forward_splat(SOURCE, DEPTH, CAMERA, POSE, importance=DEPTH),
        r"importance belongs to mode 'softmax', got mode 'zbuffer'",
    ),
    "importance without channel": (lambda: soft(DEPTH[:, 0]), r"importance must be \[b, 1, h, w\].*\[:, None\]"),
    "importance of another size": (lambda: soft(DEPTH[..., :7]), r"importance and source must have one size"),
    "importance of another batch": (lambda: soft(DEPTH[:1]), r"importance and source must have one batch size"),
    "importance of another dtype": (lambda: soft(DEPTH.double()), r"importance and source must have one dtype"),
    "importance elsewhere": (lambda: soft(DEPTH.to("meta")), r"one device, got meta and cpu"),
    "importance not finite": (lambda: soft(DEPTH.log() / 0), r"importance holds NaN or infinite values"),
    "8-bit source": (
        lambda: forward_splat(SOURCE.byte(), DEPTH, CAMERA, POSE),
        r"source must be float16.*torch\.uint8.*/ 255",
    ),
    "depth of another size": (
        lambda: forward_splat(SOURCE, DEPTH[..., :7], CAMERA, POSE),
        r"depth_source is 6 x 7 px, but its camera's K belongs to 6 x 8 px",
    ),
    "source of another size": (lambda: forward_splat(SOURCE[..., :7], DEPTH, CAMERA, POSE), r"source is 6 x 7 px"),
    "depth of another dtype": (
        lambda: forward_splat(SOURCE, DEPTH.double(), CAMERA, POSE),
        r"source and depth_source must have one dtype",
    ),
    "depth elsewhere": (lambda: forward_splat(SOURCE, DEPTH.to("meta"), CAMERA, POSE), r"one device, got cpu and meta"),
    "diverged depth net": (
        lambda: forward_splat(SOURCE, (DEPTH / 0).requires_grad_(), CAMERA, POSE),
        r"depth_source .*96 of its 96 values are NaN or infinite.*diverged",
    ),
    "scaled motion": (lambda: forward_splat(SOURCE, DEPTH, CAMERA, 2 * POSE), r"T_target_source is no rigid motion"),
    "camera of another batch": (
        lambda: forward_splat(SOURCE, DEPTH, Camera(CAMERA.K.repeat(3, 1, 1), 6, 8), POSE),
        r"camera_source must hold one K or one for each of 2 maps, got 3",
    ),
    "target camera of another dtype": (
        lambda: forward_splat(SOURCE, DEPTH, CAMERA, POSE, camera_target=CAMERA.to(dtype=torch.float64)),
        r"camera_target\.K and depth_source must have one dtype",
    ),
    "sources without stack": (
        lambda: forward_splat_sources(SOURCE, DEPTHS, CAMERA, POSES),
        r"sources must be \[b, s, c, h, w\] with s sources, got \[2, 3, 6, 8\].*torch\.stack",
    ),
    "no sources": (lambda: forward_splat_sources(SOURCES[:, :0], DEPTHS, CAMERA, POSES), r"with s sources"),
    "integer sources": (
        lambda: forward_splat_sources(SOURCES.long(), DEPTHS, CAMERA, POSES),
        r"sources must be float16.*got torch\.int64",
    ),
    "a depth too few": (
        lambda: forward_splat_sources(SOURCES, DEPTHS[:, :1], CAMERA, POSES),
        r"sources and depth_sources must hold as many sources, got 2 and 1",
    ),
    "depth stack without channel": (
        lambda: forward_splat_sources(SOURCES, DEPTHS[:, :, 0], CAMERA, POSES),
        r"depth_sources must be \[b, s, 1, h, w\].*got \[2, 2, 6, 8\]",
    ),
    "an importance too few": (
        lambda: forward_splat_sources(SOURCES, DEPTHS, CAMERA, POSES, mode="softmax", importance=DEPTHS[:, :1]),
        r"sources and importance must hold as many sources, got 2 and 1",
    ),
    "motions without stack": (
        lambda: forward_splat_sources(SOURCES, DEPTHS, CAMERA, POSE),
        r"T_target_sources must be \[b, 2, 4, 4\] for 2 sources, got \[2, 4, 4\]",
    ),
    "a camera too few": (
        lambda: forward_splat_sources(SOURCES, DEPTHS, [CAMERA], POSES),
        r"one camera or one for each of 2 sources, got 1",
    ),
    "a lost pose among the sources": (
        lambda: forward_splat_sources(SOURCES, DEPTHS, CAMERA, torch.full_like(POSES, -torch.inf)),
        r"T_target_sources holds NaN or infinite values",
    ),
    "a source of another camera's size": (
        lambda: forward_splat_sources(SOURCES, DEPTHS, [CAMERA, CAMERA.strided(2)], POSES),
        r"sources is 6 x 8 px, but its camera's K belongs to 3 x 4 px",
    ),
    "flow without batch": (lambda: splat_by_flow(SOURCE, FLOW[0]), r"flow_ab must be \[b, 2, h, w\].*flow_ab\[None\]"),
    "flow of another size": (
        lambda: splat_by_flow(SOURCE, FLOW[..., :7]),
        r"flow_ab and source_a must have one size.*resized flow must also be scaled",
    ),
    "flow of another dtype": (
        lambda: splat_by_flow(SOURCE, FLOW.double()),
        r"flow_ab and source_a must have one dtype",
    ),
    "z-buffer without z": (
        lambda: splat_by_flow(SOURCE, FLOW, mode="zbuffer"),  # type: ignore[arg-type]
        r"mode must be one of average, sum, softmax, got 'zbuffer'",
    ),
    "softmax of what": (
        lambda: splat_by_flow(SOURCE, FLOW, mode="softmax"),
        r"mode 'softmax' needs an importance.*no front and back",
    ),
    "importance that nobody asked for": (
        lambda: splat_by_flow(SOURCE, FLOW, importance=DEPTH),
        r"importance belongs to mode 'softmax', got mode 'average'",
    ),
    "logits for labels": (
        lambda: forward_splat_labels(SOURCE, DEPTH, CAMERA, POSE),  # type: ignore[arg-type]
        r"labels must be int64 \[b, h, w\].*argmax",
    ),
    "labels of another size": (
        lambda: forward_splat_labels(LABELS[..., :7], DEPTH, CAMERA, POSE),
        r"labels is 6 x 7 px",
    ),
    "labels of another batch": (
        lambda: forward_splat_labels(LABELS[:1], DEPTH, CAMERA, POSE),
        r"labels and depth_source must have one batch size",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_with_its_usual_cause(name: str) -> None:
    call, message = CASES[name]
    with pytest.raises(InputError, match=message):
        call()
