"""How much neighbouring frames of a clip differ, and how much they have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.geometry import correspond, so3_log


@dataclass(frozen=True)
class ClipMotion:
    """Between frames `gap` apart: medians over the pairs, or over all pixels of them."""

    gap: int  # frames
    turn: float  # degrees
    step: float  # m
    zoom: float | None  # |distance there / distance here - 1| of what both see; None without depth
    overlap: float | None  # share of the pixels of known depth that the other frame sees, too: mean over the pairs


def clip_motion(clip: Clip, gaps: Sequence[int]) -> list[ClipMotion]:
    """The motion of a clip with camera and poses over each of these gaps, by the depth test where it has depth."""
    clip.require("camera", "T_world_camera")
    wrong = [gap for gap in gaps if not 0 < gap < len(clip)]
    if wrong or not gaps:
        raise InputError(f"gaps must lie between 1 and {len(clip) - 1} for {len(clip)} frames, got {list(gaps)}")
    return [_over(clip[:-gap], clip[gap:], gap) for gap in gaps]


def _over(a: Clip, b: Clip, gap: int) -> ClipMotion:
    T_b_a = a.motion_to(b).double()
    turn = torch.rad2deg(so3_log(T_b_a[:, :3, :3]).norm(dim=1)).median()
    step = T_b_a[:, :3, 3].norm(dim=1).median()
    zoom = overlap = None
    if a.depth is not None and b.depth is not None and a.camera is not None and b.camera is not None:
        depth = a.depth.double()
        found = correspond(
            depth,
            a.camera.to(dtype=torch.float64),
            T_b_a,
            camera_source=b.camera.to(dtype=torch.float64),
            depth_source=b.depth.double(),
        )
        known = torch.isfinite(depth[:, 0]) & (depth[:, 0] > 0)
        shares = found.visible.double().sum(dim=(1, 2)) / known.sum(dim=(1, 2))
        overlap = float(shares[known.any(dim=(1, 2))].mean()) if bool(known.any()) else None
        if bool(found.visible.any()):
            zoom = float((found.depth[:, 0] / depth[:, 0] - 1).abs()[found.visible].median())
    return ClipMotion(gap, float(turn), float(step), zoom, overlap)
