"""Inverse warp: the source image as the target camera would see it (CONVENTIONS.md, warps and visible).

It loops over TARGET pixels, so it needs the target's depth and `T_source_target`. Sources: the geometry is that of
Garg et al. 2016 and Zhou et al. 2017 (SfMLearner), the occlusion test that of Gordon et al. 2019 with a tolerance.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.checks import expect_alike, expect_camera, expect_labels, expect_map
from stc_lab.geometry.reproject import Reprojection, inside, reproject

IGNORE = 255  # label of a pixel that nothing is known about


@dataclass(frozen=True)
class Warped:
    """An image seen from another camera, with what could not be seen."""

    image: Float[Tensor, "b c h w"]
    visible: Bool[Tensor, "b h w"]  # False: depth unknown, outside the image, behind the camera, or occluded


@dataclass(frozen=True)
class WarpedLabels:
    """A label map seen from another camera, with what could not be seen."""

    label: Int64[Tensor, "b h w"]  # 255 where not visible
    visible: Bool[Tensor, "b h w"]


@dataclass(frozen=True)
class DepthTolerance:
    """How far two depths may differ and still be one surface."""

    relative: float = 0.04  # of the depth: noise and interpolation on slanted surfaces grow with it
    absolute: float = 0.02  # m

    def __post_init__(self) -> None:
        if not (self.relative >= 0 and self.absolute >= 0):
            raise InputError(f"tolerances must not be negative, got {self.relative} and {self.absolute} m")

    def same_surface(self, depth: Tensor, other: Tensor) -> Tensor:
        """Where |depth - other| < relative depth + absolute; never where one is NaN or infinite."""
        return (depth - other).abs() < self.relative * depth + self.absolute


@dataclass(frozen=True)
class Correspondence:
    """Where each TARGET pixel lies in the source image."""

    pixels: Float[Tensor, "b 2 h w"]  # px; (x, y) in the source image; finite, meaningful where visible
    depth: Float[Tensor, "b 1 h w"]  # m; z in the source camera
    visible: Bool[Tensor, "b h w"]


def correspond(
    depth_target: Float[Tensor, "b 1 h w"],
    camera_target: Camera,
    T_source_target: Float[Tensor, "b 4 4"],
    *,
    camera_source: Camera | None = None,
    depth_source: Float[Tensor, "b 1 hs ws"] | None = None,
    tolerance: DepthTolerance = DepthTolerance(),
) -> Correspondence:
    """Find each target pixel in the source image, and say whether the source camera sees the same surface there.

    Without `camera_source` both frames share `camera_target`; without `depth_source` occlusion is not tested. Where
    the source's own depth (read at the nearest pixel) is unknown, a pixel does not count as visible.
    """
    camera_source = camera_target if camera_source is None else camera_source
    found = reproject(depth_target, camera_target, T_source_target, camera_source, names=("target", "source"))
    visible = seen_by(found, camera_source, depth_source, tolerance, name="depth_source")
    return Correspondence(found.pixels, found.depth, visible)


def seen_by(
    found: Reprojection,
    camera: Camera,
    depth: Float[Tensor, "b 1 hs ws"] | None,
    tolerance: DepthTolerance,
    *,
    name: str,
) -> Bool[Tensor, "b h w"]:
    """Which reprojected points the other camera sees: real, inside its image, and no other surface before them."""
    visible = found.real & inside(found.pixels, *camera.size)
    if depth is None:
        return visible
    expect_map(name, depth, channels=1)
    expect_alike(name, depth, "the reprojected depth", found.depth)
    expect_camera(name, depth, f"camera{name.removeprefix('depth')}", camera)
    read = _nearest(depth.detach(), found.pixels)
    return visible & ((read > 0) & tolerance.same_surface(found.depth.detach(), read))[:, 0]


def sample(
    source: Float[Tensor, "b c hs ws"], where: Correspondence | Float[Tensor, "b 2 h w"]
) -> Float[Tensor, "b c h w"]:
    """Sample images or logits bilinearly at pixel positions; outside the image, its border goes on.

    A whole-numbered position gives that very pixel, bit by bit.
    """
    pixels = where.pixels if isinstance(where, Correspondence) else where
    expect_map("source", source)
    expect_map("pixels", pixels, channels=2)
    expect_alike("source", source, "pixels", pixels)
    height, width = source.shape[-2:]
    x, y = pixels.unbind(dim=1)
    grid = torch.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], dim=1).permute(0, 2, 3, 1)
    sampled = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=True)
    with torch.no_grad():
        # Normalising rounds: at 160 px a position comes back 1e-5 px off. The derivative is grid_sample's.
        off = torch.maximum(x.frac().abs(), y.frac().abs())
        if float(off.amin()) == 0:  # seldom true, so that the usual warp pays for no more than this
            whole = (off == 0) & inside(pixels, height, width)
            sampled.copy_(torch.where(whole[:, None], _nearest(source, pixels), sampled))
    return sampled


def sample_labels(
    labels: Int64[Tensor, "b hs ws"], where: Correspondence | Float[Tensor, "b 2 h w"]
) -> Int64[Tensor, "b h w"]:
    """Read labels at the pixel nearest to each position; ids are never interpolated. Outside, the border goes on."""
    pixels = where.pixels if isinstance(where, Correspondence) else where
    expect_labels("labels", labels)
    expect_map("pixels", pixels, channels=2)
    expect_alike("labels", labels, "pixels", pixels, dtype=False)
    return _nearest(labels[:, None], pixels)[:, 0]


def inverse_warp(
    source: Float[Tensor, "b c hs ws"],
    depth_target: Float[Tensor, "b 1 h w"],
    camera_target: Camera,
    T_source_target: Float[Tensor, "b 4 4"],
    *,
    camera_source: Camera | None = None,
    depth_source: Float[Tensor, "b 1 hs ws"] | None = None,
    tolerance: DepthTolerance = DepthTolerance(),
) -> Warped:
    """Show a source image or its logits on the target's pixel grid, with what the source camera does see of it.

    Differentiable in source, depth, pose and intrinsics. The identity pose returns the source exactly.
    """
    expect_map("source", source)
    expect_alike("source", source, "depth_target", depth_target)
    if camera_source is None:
        expect_camera("source", source, "camera_target", camera_target)
    else:
        expect_camera("source", source, "camera_source", camera_source)
    where = correspond(
        depth_target,
        camera_target,
        T_source_target,
        camera_source=camera_source,
        depth_source=depth_source,
        tolerance=tolerance,
    )
    return Warped(sample(source, where), where.visible)


def inverse_warp_labels(
    labels: Int64[Tensor, "b hs ws"],
    depth_target: Float[Tensor, "b 1 h w"],
    camera_target: Camera,
    T_source_target: Float[Tensor, "b 4 4"],
    *,
    camera_source: Camera | None = None,
    depth_source: Float[Tensor, "b 1 hs ws"] | None = None,
    tolerance: DepthTolerance = DepthTolerance(),
) -> WarpedLabels:
    """Show the source's labels on the target's pixel grid; 255 where the source camera does not see the surface."""
    expect_labels("labels", labels)
    expect_alike("labels", labels, "depth_target", depth_target, dtype=False)
    if camera_source is None:
        expect_camera("labels", labels, "camera_target", camera_target, dtype=False)
    else:
        expect_camera("labels", labels, "camera_source", camera_source, dtype=False)
    where = correspond(
        depth_target,
        camera_target,
        T_source_target,
        camera_source=camera_source,
        depth_source=depth_source,
        tolerance=tolerance,
    )
    return masked_labels(sample_labels(labels, where), where.visible)


def masked_labels(labels: Int64[Tensor, "b h w"], visible: Bool[Tensor, "b h w"]) -> WarpedLabels:
    """Labels with 255 where they are not visible."""
    return WarpedLabels(torch.where(visible, labels, torch.full_like(labels, IGNORE)), visible)


def identity_warp(source: Float[Tensor, "b c h w"], visible: Bool[Tensor, "b h w"]) -> Warped:
    """The control: the unwarped source on the pixels where a true warp would be judged."""
    expect_map("source", source)
    if visible.dtype != torch.bool or visible.shape != (len(source), *source.shape[-2:]):
        raise InputError(
            f"visible must be bool {[len(source), *source.shape[-2:]]} to fit the source, "
            f"got {visible.dtype} {list(visible.shape)}"
        )
    return Warped(source, visible)


def _nearest(values: Shaped[Tensor, "b c hs ws"], pixels: Float[Tensor, "b 2 h w"]) -> Shaped[Tensor, "b c h w"]:
    """Values of any dtype at the pixel nearest to each position, at the border for positions outside."""
    b, c, height, width = values.shape
    x = pixels[:, 0].detach().round().clamp(0, width - 1).long()
    y = pixels[:, 1].detach().round().clamp(0, height - 1).long()
    index = (y * width + x).reshape(b, 1, -1).expand(b, c, -1)
    return values.flatten(2).gather(2, index).reshape(b, c, *pixels.shape[-2:])
