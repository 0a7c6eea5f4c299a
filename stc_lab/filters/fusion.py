"""Fusion of a net's predictions over neighbouring views: what consistency over space and time has to offer at most."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import relative_pose
from stc_lab.geometry.warp import DepthTolerance, correspond, sample


def fuse_views(
    probabilities: Float[Tensor, "t k h w"],
    depth: Float[Tensor, "t 1 h w"],
    camera: Camera,
    T_world_camera: Float[Tensor, "t 4 4"],
    *,
    offsets: Sequence[int] = (-8, -4, -2, -1, 1, 2, 4, 8),
    warp: Literal["geometry", "identity"] = "geometry",
    tolerance: DepthTolerance = DepthTolerance(),
) -> Float[Tensor, "t k h w"]:
    """Mean of each frame's probabilities and those of the frames `offsets` away, warped into it.

    Frames are those of one video, in order. A neighbour counts where it sees the pixel's surface, by the depth of both
    frames; a frame's own view always counts. Neighbours beyond the clip are dropped: a frame alone comes back as it is.
    `warp="identity"` is the control: the same neighbours on the same pixels, but without the geometry.
    Raises InputError for logits, frames that do not fit together, and offsets that repeat or hold 0.
    """
    if warp not in ("geometry", "identity"):
        raise InputError(f"warp must be 'geometry' or 'identity', got {warp!r}")
    if 0 in offsets or len(set(offsets)) < len(offsets):
        raise InputError(
            f"offsets must be distinct and not 0, got {tuple(offsets)}", hint="the frame's own view always counts"
        )
    frames = len(probabilities)
    if not len(depth) == len(T_world_camera) == frames or len(camera.K) not in (1, frames):
        raise InputError(
            f"depth, T_world_camera and camera must have one entry for each of {frames} frames (the camera: or one), "
            f"got {len(depth)}, {len(T_world_camera)} and {len(camera.K)}"
        )
    camera.expect_size("probabilities", *probabilities.shape[-2:])
    sums = probabilities.sum(dim=1)
    if bool((probabilities < 0).any()) or not bool(((sums - 1).abs() < 1e-2).all()):
        raise InputError(
            "probabilities must not be negative and must sum to 1 over the classes",
            hint="logits: softmax(dim=1) first",
        )
    total = probabilities.clone()
    views = torch.ones_like(probabilities[:, :1])
    for offset in offsets:
        if abs(offset) >= frames:
            continue
        target = slice(max(0, -offset), frames - max(0, offset))
        source = slice(target.start + offset, target.stop + offset)
        where = correspond(
            depth[target],
            _frames_of(camera, target),
            relative_pose(T_world_camera[target], T_world_camera[source]),
            camera_source=_frames_of(camera, source),
            depth_source=depth[source],
            tolerance=tolerance,
        )
        seen = probabilities[source] if warp == "identity" else sample(probabilities[source], where)
        visible = where.visible[:, None]
        total[target] += torch.where(visible, seen, torch.zeros_like(seen))
        views[target] += visible
    return total / views


def _frames_of(camera: Camera, frames: slice) -> Camera:
    """The cameras of some frames; one camera for all stays as it is."""
    return camera if len(camera.K) == 1 else Camera(camera.K[frames], *camera.size)
