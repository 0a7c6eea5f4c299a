"""Pairs of frames whose flow follows exactly from known depth, motion and camera; every one from its seed."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor
from warp_inputs import normal, some_camera, some_motion

from stc_lab.geometry import Camera, Flow, invert_pose, rigid_flow
from stc_lab.geometry.egomotion import Sight

SIZE = (24, 32)
MIRROR = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64))


def bumps(batch: int, *, seed: int = 0, size: tuple[int, int] = SIZE, dtype: torch.dtype = torch.float64) -> Tensor:
    """Smooth maps [b, 1, h, w] of about unit deviation: a few hills and valleys."""
    coarse = normal(batch, 1, 3, 4, seed=seed)
    return F.interpolate(coarse, size=size, mode="bicubic", align_corners=True).to(dtype)


def smooth_depth(
    batch: int, *, seed: int = 0, size: tuple[int, int] = SIZE, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Depths about 2 m, most of them between 1 m and 4 m."""
    return 2 * (0.35 * bumps(batch, seed=seed, size=size, dtype=dtype)).exp()


def exact_sight(
    pairs: int = 2,
    *,
    seed: int = 0,
    motion: Tensor | None = None,
    camera: Camera | None = None,
    size: tuple[int, int] = SIZE,
    dtype: torch.dtype = torch.float64,
) -> tuple[Sight, Tensor]:
    """Pairs whose depth, flow and camera agree without any error, and their motion T_b_a.

    Each direction has a depth of its own, and its flow follows from that: the two need not show one surface.
    """
    T = some_motion(pairs, seed=seed, dtype=dtype) if motion is None else motion
    camera = some_camera(*size, seed=seed, dtype=dtype) if camera is None else camera
    a, b = (smooth_depth(len(T), seed=2 * seed + i, size=size, dtype=dtype) for i in (100, 101))
    return Sight(a, b, rigid_flow(a, camera, T), rigid_flow(b, camera, invert_pose(T)), camera), T


def with_depths(sight: Sight, factor_a: Tensor | float, factor_b: Tensor | float | None = None) -> Sight:
    """The same flow, seen with depths that are off by these factors (one for both, if one is given)."""
    factor_b = factor_a if factor_b is None else factor_b
    return replace(sight, depth_a=sight.depth_a * factor_a, depth_b=sight.depth_b * factor_b)


def with_noise(sight: Sight, deviation: float, *, seed: int = 0) -> Sight:
    """The same with independent normal errors (px) on all flow."""
    flows = []
    for i, flow in enumerate((sight.flow_ab, sight.flow_ba)):
        noise = deviation * normal(*flow.flow.shape, seed=1000 + 2 * seed + i, dtype=flow.flow.dtype)
        flows.append(Flow(flow.flow + noise, flow.visible))
    return replace(sight, flow_ab=flows[0], flow_ba=flows[1])


def longer(camera: Camera, factor: float) -> Camera:
    """The camera with another lens: focal lengths, and skew, times a factor; principal point and size stay."""
    K = camera.K.clone()
    K[:, :2, :2] *= factor
    return Camera(K, *camera.size)


def swapped(sight: Sight) -> Sight:
    """The pairs seen from b."""
    return Sight(sight.depth_b, sight.depth_a, sight.flow_ba, sight.flow_ab, sight.camera)


def mirrored_flow(flow: Flow) -> Flow:
    """As a mirror, left to right, shows it."""
    sign = flow.flow.new_tensor([-1.0, 1.0]).reshape(1, 2, 1, 1)
    return Flow(flow.flow.flip(-1) * sign, flow.visible.flip(-1))


def mirrored(sight: Sight) -> Sight:
    """The pairs as a mirror, left to right, shows them."""
    flows = mirrored_flow(sight.flow_ab), mirrored_flow(sight.flow_ba)
    return Sight(sight.depth_a.flip(-1), sight.depth_b.flip(-1), *flows, sight.camera.flipped())
