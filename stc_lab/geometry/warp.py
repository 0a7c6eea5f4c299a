"""Inverse warp: the source image as the target camera would see it (CONVENTIONS.md, warps and visible).

It loops over TARGET pixels, so it needs the target's depth and `T_source_target`. Sources: the geometry is that of
Garg et al. 2016 and Zhou et al. 2017 (SfMLearner), the occlusion test that of Gordon et al. 2019 with a tolerance.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.checks import expect_alike, expect_camera, expect_labels, expect_map
from stc_lab.geometry.compiled import InverseWarp, compilable
from stc_lab.geometry.precision import working_dtype
from stc_lab.geometry.reproject import (
    Reprojection,
    check_reprojection,
    inside,
    known_depth,
    reproject,
)
from stc_lab.geometry.sampling import nearest, read_labels_at, sample_at

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
class WarpedSources:
    """Several images seen from one other camera, each with what could not be seen."""

    image: Float[Tensor, "b s c h w"]
    visible: Bool[Tensor, "b s h w"]


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

    pixels: Float[Tensor, "b 2 h w"]  # px; (x, y) in the source image; the target's own pixel where there is no place
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
    _check_other_depth(depth, camera, found.depth, name)
    if depth is None:
        return visible
    read = nearest(depth.detach().to(found.depth.dtype), found.pixels)
    return visible & ((read > 0) & tolerance.same_surface(found.depth.detach(), read))[:, 0]


def _check_other_depth(depth: Tensor | None, camera: Camera, own: Tensor, name: str) -> None:
    if depth is not None:
        expect_map(name, depth, channels=1)
        expect_alike(name, depth, "the depth that is warped", own)
        expect_camera(name, depth, f"camera{name.removeprefix('depth')}", camera)


def sample(
    source: Float[Tensor, "b c hs ws"], where: Correspondence | Float[Tensor, "b 2 h w"]
) -> Float[Tensor, "b c h w"]:
    """Sample images or logits bilinearly at pixel positions; outside the image, its border goes on.

    A whole-numbered position gives that very pixel, bit by bit. Differentiable once, in source and positions.
    """
    return sample_at(source, where.pixels if isinstance(where, Correspondence) else where)


def sample_labels(
    labels: Int64[Tensor, "b hs ws"], where: Correspondence | Float[Tensor, "b 2 h w"]
) -> Int64[Tensor, "b h w"]:
    """Read labels at the pixel nearest to each position; ids are never interpolated. Outside, the border goes on."""
    return read_labels_at(labels, where.pixels if isinstance(where, Correspondence) else where)


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

    Differentiable once, in source, depth, pose and intrinsics. The identity pose returns the source exactly. Outside
    the source its border goes on; a pixel of unknown depth stays where it is; one that falls behind the camera is 0.
    """
    other = camera_target if camera_source is None else camera_source
    expect_map("source", source)
    expect_alike("source", source, "depth_target", depth_target)
    expect_camera("source", source, "camera_target" if camera_source is None else "camera_source", other)
    check_reprojection(depth_target, camera_target, T_source_target, other, ("target", "source"))
    _check_other_depth(depth_source, other, depth_target, "depth_source")
    if not compilable(source, depth_target):
        found = reproject(depth_target, camera_target, T_source_target, other, names=("target", "source"))
        image = sample_at(source, found.pixels)
        behind = known_depth(depth_target[:, 0]) & ~found.real
        image = image.masked_fill(behind[:, None], 0)
        return Warped(image, seen_by(found, other, depth_source, tolerance, name="depth_source"))
    dtype = working_dtype(depth_target)
    image, visible = InverseWarp.apply(
        source.to(dtype),
        depth_target.to(dtype),
        T_source_target.to(dtype),
        camera_target.K.to(dtype),
        None if camera_source is None else camera_source.K.to(dtype),
        None if depth_source is None else depth_source.to(dtype),
        tolerance.relative,
        tolerance.absolute,
    )
    return Warped(image.to(source.dtype), visible)


def inverse_warp_sources(
    sources: Float[Tensor, "b s c hs ws"],
    depth_target: Float[Tensor, "b 1 h w"],
    camera_target: Camera,
    T_sources_target: Float[Tensor, "b s 4 4"],
    *,
    camera_sources: Camera | None = None,
    depth_sources: Float[Tensor, "b s 1 hs ws"] | None = None,
    tolerance: DepthTolerance = DepthTolerance(),
) -> WarpedSources:
    """Show several sources, such as the frames before and after, on the grid of one target: `inverse_warp` of each.

    `camera_sources` holds one K for all sources or, by item and then by source, b * s of them.
    """
    if sources.ndim != 5 or T_sources_target.shape != (*sources.shape[:2], 4, 4):
        raise InputError(
            f"sources must be [b, s, c, h, w] and T_sources_target [b, s, 4, 4], "
            f"got {list(sources.shape)} and {list(T_sources_target.shape)}",
            hint="one source a target? inverse_warp takes it without the axis s",
        )
    if depth_sources is not None and (depth_sources.ndim != 5 or depth_sources.shape[:2] != sources.shape[:2]):
        raise InputError(f"depth_sources must be [b, s, 1, h, w] like the sources, got {list(depth_sources.shape)}")
    expect_map("depth_target", depth_target, channels=1)
    b, s = sources.shape[:2]
    if len(depth_target) != b:
        raise InputError(f"sources and depth_target must have one batch size, got {b} and {len(depth_target)}")
    if len(camera_target.K) != 1:
        camera_target = Camera(camera_target.K.repeat_interleave(s, dim=0), *camera_target.size)
    warped = inverse_warp(
        sources.flatten(0, 1),
        depth_target.repeat_interleave(s, dim=0),
        camera_target,
        T_sources_target.flatten(0, 1),
        camera_source=camera_sources,
        depth_source=None if depth_sources is None else depth_sources.flatten(0, 1),
        tolerance=tolerance,
    )
    return WarpedSources(warped.image.unflatten(0, (b, s)), warped.visible.unflatten(0, (b, s)))


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
