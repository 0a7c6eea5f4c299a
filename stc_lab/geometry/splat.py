"""Forward splat: the source's pixels thrown into the target image (CONVENTIONS.md, warps).

It loops over SOURCE pixels, so it needs the source's depth and `T_target_source`, leaves holes where nothing lands, and
must decide between surfaces that land together: read literally, this is the warp of Pasad et al. 2020.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.checks import expect_alike, expect_camera, expect_map
from stc_lab.geometry.reproject import reproject
from stc_lab.geometry.warp import DepthTolerance, Warped

LEAST_WEIGHT = 1e-3  # a pixel brushed by less counts as missed: dividing by it would blow up the gradient
COVERS = 0.25  # a point whose share of a pixel is this large hides what lies behind; its nearest pixel always gets it


def forward_splat(
    source: Float[Tensor, "b c h w"],
    depth_source: Float[Tensor, "b 1 h w"],
    camera_source: Camera,
    T_target_source: Float[Tensor, "b 4 4"],
    *,
    camera_target: Camera | None = None,
    mode: Literal["zbuffer", "average", "sum"] = "zbuffer",
    tolerance: DepthTolerance = DepthTolerance(),
) -> Warped:
    """Throw each source pixel to where the target camera sees it, shared bilinearly among four target pixels.

    `zbuffer` averages, by weight, the points within `tolerance` of the nearest surface that covers a pixel; `average`
    takes all that land, also those behind; `sum` adds their weighted values up. `visible` is False, and the value 0,
    where nothing lands. Differentiable in the source, and in depth, pose and intrinsics through the weights.
    """
    if mode not in ("zbuffer", "average", "sum"):
        raise InputError(f"mode must be 'zbuffer', 'average' or 'sum', got {mode!r}")
    expect_map("source", source)
    expect_alike("source", source, "depth_source", depth_source)
    expect_camera("source", source, "camera_source", camera_source)
    camera_target = camera_source if camera_target is None else camera_target
    found = reproject(depth_source, camera_source, T_target_source, camera_target, names=("source", "target"))
    b, c = source.shape[:2]
    height, width = camera_target.size

    x, y = found.pixels.flatten(2).unbind(dim=1)  # [b, n]: n source pixels
    x, y = x.clamp(-2, width + 1), y.clamp(-2, height + 1)  # beyond, all is lost alike, and integers end somewhere
    left, top = x.detach().floor(), y.detach().floor()
    real = found.real.flatten(1)
    places, weights = [], []
    for right, below in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = left + right, top + below
        weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
        lands = real & (weight > LEAST_WEIGHT) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        weights.append(weight * lands)
        places.append((row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long())
    place, weight = torch.stack(places, dim=1), torch.stack(weights, dim=1)  # [b, 4, n]

    if mode == "zbuffer":
        z = found.depth.detach().flatten(2).expand_as(weight)
        nearest = _nearest_surface(z, place, weight.detach(), height * width)
        weight = weight * tolerance.same_surface(nearest, z)

    values = source.flatten(2)
    image = values.new_zeros(b, c, height * width)
    for corner in range(4):
        index = place[:, corner, None].expand(b, c, -1)
        image.scatter_add_(2, index, values * weight[:, corner, None])
    total = weight.new_zeros(b, height * width).scatter_add(1, place.flatten(1), weight.flatten(1))
    visible = total > 0
    if mode != "sum":
        image = image / torch.where(visible, total, torch.ones_like(total))[:, None]
    return Warped(image.reshape(b, c, height, width), visible.reshape(b, height, width))


def _nearest_surface(
    z: Float[Tensor, "b 4 n"], place: Tensor, weight: Float[Tensor, "b 4 n"], pixels: int
) -> Float[Tensor, "b 4 n"]:
    """For each landing, the depth of the nearest point that covers its pixel, or, if none does, that touches it.

    Letting the slightest touch hide what lies behind would grow every foreground object by up to a pixel.
    """
    far = torch.full_like(z, torch.inf)
    depth = []
    for least in (COVERS, LEAST_WEIGHT):
        counted = torch.where(weight >= least, z, far).flatten(1)
        empty = z.new_full((len(z), pixels), torch.inf)
        depth.append(empty.scatter_reduce(1, place.flatten(1), counted, reduce="amin"))
    nearest = torch.where(depth[0].isfinite(), depth[0], depth[1])
    return nearest.gather(1, place.flatten(1)).reshape(z.shape)
