"""One pixel's way from the target into the source, station by station, and why a pixel is or is not seen there."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.geometry.camera import MIN_DEPTH
from stc_lab.geometry.pose import transform
from stc_lab.geometry.warp import Correspondence, DepthTolerance, correspond

REASONS = (
    "visible",
    "depth unknown",
    "behind the source's camera",
    "outside the source's image",
    "source's depth unknown there",
    "occluded by a nearer surface",
    "a farther surface is seen there",
)
VISIBLE, UNKNOWN, BEHIND, OUTSIDE, UNKNOWN_THERE, OCCLUDED, FARTHER = range(len(REASONS))

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Candidate:
    """Where the pixel would land if it had another depth."""

    depth: float  # m, in the target's camera
    x: float  # px in the source's image, possibly outside of it
    y: float


@dataclass(frozen=True)
class Journey:
    """The stations of one pixel of the target; None from where it cannot go on."""

    pixel: tuple[int, int]  # (x, y) px in the target
    ray: Point  # K^-1 (x, y, 1)
    depth: float | None  # m; None: unknown
    in_target: Point | None  # m
    in_source: Point | None  # m
    lands: tuple[float, float] | None  # (x, y) px in the source; None: behind its camera
    depth_there: float | None  # m; what the source's depth map holds at the nearest pixel
    reason: int  # of REASONS
    candidates: tuple[Candidate, ...]  # from near to far: the piece of the epipolar line that the scene can fill

    @property
    def verdict(self) -> str:
        """Whether the source sees the pixel, and why not, with the numbers that decide."""
        why = REASONS[self.reason]
        if self.in_source is None or self.reason in (UNKNOWN, OUTSIDE, UNKNOWN_THERE):
            return why if self.reason == VISIBLE else f"not visible: {why}"
        z = f"z = {self.in_source[2]:.2f} m"
        if self.reason == BEHIND:
            return f"not visible: {why} ({z})"
        there = f"the source sees a surface at {self.depth_there:.2f} m, the pixel's is at {z}"
        return f"visible: {there}" if self.reason == VISIBLE else f"not visible: {why} ({there})"


def visibility_reasons(
    depth_target: Float[Tensor, "b 1 h w"],
    found: Correspondence,
    depth_source: Float[Tensor, "b 1 hs ws"],
    *,
    tolerance: DepthTolerance = DepthTolerance(),
) -> Int64[Tensor, "b h w"]:
    """For each target pixel the first of REASONS that holds; 0 exactly where the pixel is visible.

    `found` says where the pixels lie in the source, whose own depth is read at the nearest pixel.
    """
    known = torch.isfinite(depth_target[:, 0]) & (depth_target[:, 0] > 0)
    z, (x, y) = found.depth[:, 0], found.pixels.unbind(dim=1)
    height, width = depth_source.shape[-2:]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    there = _read(depth_source, found.pixels)
    reason = torch.where(there < z, OCCLUDED, FARTHER)
    reason = reason.masked_fill(tolerance.same_surface(z, there), VISIBLE)
    reason = reason.masked_fill(~(torch.isfinite(there) & (there > 0)), UNKNOWN_THERE)
    reason = reason.masked_fill(~inside, OUTSIDE).masked_fill(~(z > MIN_DEPTH), BEHIND)
    return reason.masked_fill(~known, UNKNOWN)


def reason_map(target: Clip, source: Clip) -> Int64[Tensor, "b h w"]:
    """The verdict on every pixel of `target`, as an index into REASONS."""
    for clip in (target, source):
        clip.require("depth", "camera", "T_world_camera")
    assert target.depth is not None and target.camera is not None
    assert source.depth is not None and source.camera is not None
    dtype = target.depth.dtype
    found = correspond(
        target.depth,
        target.camera.to(dtype=dtype),
        target.motion_to(source).to(dtype),
        camera_source=source.camera.to(dtype=dtype),
    )
    return visibility_reasons(target.depth, found, source.depth)


def most_hidden(clip: Clip, gap: int) -> int:
    """The frame t of which most is hidden in frame t + gap, among pairs that overlap: the pair that teaches most.

    Ranked by the share of occluded pixels times the share of visible ones.
    """
    if not 0 < gap < len(clip):
        raise InputError(f"gap must lie between 1 and {len(clip) - 1} for {len(clip)} frames, got {gap}")
    scores = []
    for t in range(len(clip) - gap):
        reason = reason_map(clip[t], clip[t + gap])
        scores.append(float((reason == OCCLUDED).double().mean() * (reason == VISIBLE).double().mean()))
    return max(range(len(scores)), key=scores.__getitem__)


def near_pixel(target: Clip, source: Clip) -> tuple[int, int]:
    """(x, y) of a pixel worth following: on the nearest thing that is visible, with its surroundings, in both frames.

    The middle of the image where nothing is visible with its surroundings.
    """
    reason = reason_map(target, source)[:1, None]
    assert target.depth is not None
    hidden = torch.nn.functional.max_pool2d((reason != VISIBLE).double(), 9, stride=1, padding=4)
    height, width = hidden.shape[-2:]
    depth = target.depth[0, 0].double().masked_fill(hidden[0, 0] > 0, torch.inf)
    y, x = divmod(int(depth.argmin()), width) if bool(torch.isfinite(depth).any()) else (height // 2, width // 2)
    return x, y


def follow_pixel(
    target: Clip, source: Clip, x: int, y: int, *, depth_factor: float = 1.0, candidates: int = 13
) -> Journey:
    """Follow pixel (x, y) of one frame into another, with its depth multiplied by `depth_factor`.

    The candidates reach from half the target's nearest depth to twice its farthest, in equal steps of 1 / depth.
    """
    for clip in (target, source):
        clip.require("depth", "camera", "T_world_camera")
        if len(clip) != 1:
            raise InputError(f"a pixel travels between two single frames, got clips of {len(target)} and {len(source)}")
    assert target.depth is not None and target.camera is not None
    assert source.depth is not None and source.camera is not None
    height, width = target.camera.size
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(f"pixel ({x}, {y}) lies outside the target of {width} x {height} px")
    if not depth_factor > 0:
        raise InputError(f"depth_factor must be positive, got {depth_factor}")
    camera, other = (c.to(dtype=torch.float64) for c in (target.camera, source.camera))
    T_source_target = target.motion_to(source).double()
    ray = camera.rays()[:, :, y, x, None, None]  # [1, 3, 1, 1]

    def travel(depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points in both cameras, and the pixel in the source, for depths [1, 1, 1, n] along the ray."""
        point = ray * depth
        moved = transform(T_source_target, point)
        return point, moved, other.project(moved)

    known = target.depth[torch.isfinite(target.depth) & (target.depth > 0)].double()
    tries: tuple[Candidate, ...] = ()
    if len(known):
        near, far = float(known.min()) / 2, float(known.max()) * 2
        steps = torch.linspace(1 / near, 1 / far, candidates, dtype=torch.float64, device=ray.device)
        _, moved, landed = travel(steps.reciprocal()[None, None, None])
        front = (moved[0, 2, 0] > MIN_DEPTH).tolist()
        rows = torch.stack([steps.reciprocal(), *landed[0, :, 0]], dim=1).tolist()
        tries = tuple(Candidate(*row) for row, real in zip(rows, front, strict=True) if real)

    measured = target.depth[:, :, y, x].double()[:, :, None, None]
    depth = measured.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0) * depth_factor
    point, moved, _ = travel(depth)
    # By differences of pixels, as every warp does it: a camera that has not moved loses no pixel on its border.
    found = correspond(depth, camera.cropped(y, x, 1, 1), T_source_target, camera_source=other)
    landed = found.pixels
    reason = int(visibility_reasons(depth, found, source.depth.double()))
    begun, arrived = reason != UNKNOWN, reason not in (UNKNOWN, BEHIND)
    there = float(_read(source.depth, landed)) if arrived and reason not in (OUTSIDE, UNKNOWN_THERE) else None
    lands = landed.flatten().tolist()
    return Journey(
        pixel=(x, y),
        ray=_point(ray),
        depth=float(depth) if begun else None,
        in_target=_point(point) if begun else None,
        in_source=_point(moved) if begun else None,
        lands=(lands[0], lands[1]) if arrived else None,
        depth_there=there,
        reason=reason,
        candidates=tries,
    )


def _read(depth: Float[Tensor, "b 1 hs ws"], pixels: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b h w"]:
    """Depth at the pixel nearest to each position, at the border for positions outside."""
    height, width = depth.shape[-2:]
    x, y = pixels[:, 0].round().clamp(0, width - 1).long(), pixels[:, 1].round().clamp(0, height - 1).long()
    return depth.flatten(1).gather(1, (y * width + x).flatten(1)).reshape(x.shape)


def _point(values: Tensor) -> Point:
    x, y, z = values.flatten().tolist()
    return x, y, z
