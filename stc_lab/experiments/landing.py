"""What a forward splat does to a picture: holes, crowds and collisions; and what interpolation does to labels."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.geometry.warp import IGNORE, Correspondence, DepthTolerance, correspond, sample, sample_labels

LANDINGS = ("hole", "one pixel", "several, one surface", "several surfaces collide")
HOLE, ONE, CROWDED, COLLISION = range(len(LANDINGS))


@dataclass(frozen=True)
class SplatCounts:
    """How the source's pixels fall on the target's grid, each on the pixel nearest to it."""

    count: Int64[Tensor, "h w"]  # source pixels that land
    kind: Int64[Tensor, "h w"]  # of LANDINGS


def count_landings(target: Clip, source: Clip, *, tolerance: DepthTolerance = DepthTolerance()) -> SplatCounts:
    """Throw each pixel of one frame into another and count where they fall.

    Several on one pixel are a collision when their depths are no single surface: then depth must decide which is seen.
    """
    for clip in (target, source):
        clip.require("depth", "camera", "T_world_camera")
    assert target.camera is not None and source.depth is not None and source.camera is not None
    depth = source.depth
    found = correspond(
        depth,
        source.camera.to(dtype=depth.dtype),
        source.motion_to(target).to(depth.dtype),
        camera_source=target.camera.to(dtype=depth.dtype),
    )
    height, width = target.camera.size
    column, row = found.pixels.round().long().unbind(dim=1)
    place, z = (row * width + column)[found.visible], found.depth[:, 0][found.visible]
    count = torch.bincount(place, minlength=height * width)
    nearest = z.new_full((height * width,), torch.inf).scatter_reduce(0, place, z, reduce="amin")
    farthest = z.new_zeros(height * width).scatter_reduce(0, place, z, reduce="amax")
    kind = count.clamp(max=CROWDED)
    kind[(count > 1) & ~tolerance.same_surface(nearest, farthest)] = COLLISION
    return SplatCounts(count.reshape(height, width), kind.reshape(height, width))


def busiest_window(mask: Bool[Tensor, "h w"], height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the window of this size that holds most True pixels."""
    total = torch.nn.functional.pad(mask.double(), (1, 0, 1, 0)).cumsum(0).cumsum(1)
    held = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = divmod(int(held.argmax()), held.shape[1])
    return slice(top, top + height), slice(left, left + width)


@dataclass(frozen=True)
class WarpedIds:
    """One label map carried into the target in two ways."""

    nearest: Int64[Tensor, "h w"]  # each pixel takes the id of one source pixel
    interpolated: Int64[Tensor, "h w"]  # ids averaged as if they were numbers, then rounded: wrong
    invented: Bool[Tensor, "h w"]  # the interpolated id belongs to none of the four source pixels around


def interpolate_ids(labels: Int64[Tensor, "1 hs ws"], where: Correspondence) -> WarpedIds:
    """Do what must not be done: interpolate class ids, and mark the classes that come out of nothing."""
    nearest = sample_labels(labels, where)
    interpolated = sample(labels[:, None].to(where.pixels.dtype), where).round().long()[:, 0]
    corners = torch.stack(
        [
            sample_labels(labels, torch.stack([x(where.pixels[:, 0]), y(where.pixels[:, 1])], dim=1))
            for x in (torch.floor, torch.ceil)
            for y in (torch.floor, torch.ceil)
        ]
    )
    invented = where.visible & (corners != interpolated).all(dim=0) & (corners != IGNORE).all(dim=0)
    return WarpedIds(nearest[0], interpolated[0], invented[0])
