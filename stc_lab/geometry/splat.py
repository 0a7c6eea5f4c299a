"""Forward splat: the source's pixels thrown into the target image (CONVENTIONS.md, warps).

It loops over SOURCE pixels, so it needs the source's depth and `T_target_source`, leaves holes where nothing lands, and
must decide between surfaces that land together: read literally, this is the warp of Pasad et al. 2020.

A thrown value v shares itself bilinearly among four pixels. With w its share of a pixel, the pixel becomes
- `sum`: sum w v;
- `average`: sum w v / sum w, whatever lies behind;
- `softmax`: sum e^Z w v / sum e^Z w, with an importance Z (Niklaus and Liu 2020, softmax splatting);
- `zbuffer`: the average of the points within a tolerance of the nearest surface that covers the pixel.
All are differentiable in the source, and through w and Z in depth, pose, intrinsics, flow and importance. A pixel that
gets less than 0.001 in all is not visible; its value is 0, but in `sum`, which loses nothing inside the image.
Floating-point additions come in no fixed order on CUDA: there, two runs may differ in the last bits.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import MIN_DEPTH, Camera
from stc_lab.geometry.checks import expect_alike, expect_camera, expect_labels, expect_map
from stc_lab.geometry.flow import UNKNOWN_FLOW
from stc_lab.geometry.precision import working_dtype
from stc_lab.geometry.reproject import Reprojection, pixel_grid, reproject
from stc_lab.geometry.splat_landings import (
    LEAST_SHARE,
    Landings,
    land,
    nearest_point,
    nearest_surface,
    softmax_weight,
    throw,
)
from stc_lab.geometry.warp import IGNORE, DepthTolerance, Warped, WarpedLabels, masked_labels

Mode = Literal["zbuffer", "average", "sum", "softmax"]
FlowMode = Literal["average", "sum", "softmax"]
MODES: tuple[Mode, ...] = ("zbuffer", "average", "sum", "softmax")
FLOW_MODES: tuple[FlowMode, ...] = ("average", "sum", "softmax")
SHARPNESS = 10.0  # a surface 10 % nearer counts 2.9 times as much, one at half the depth 1000 times


def forward_splat(
    source: Float[Tensor, "b c h w"],
    depth_source: Float[Tensor, "b 1 h w"],
    camera_source: Camera,
    T_target_source: Float[Tensor, "b 4 4"],
    *,
    camera_target: Camera | None = None,
    mode: Mode = "zbuffer",
    tolerance: DepthTolerance = DepthTolerance(),
    sharpness: float = SHARPNESS,
    importance: Float[Tensor, "b 1 h w"] | None = None,
) -> Warped:
    """Throw each source pixel to where the target camera sees it, shared bilinearly among four target pixels.

    `tolerance` belongs to `zbuffer`. In `softmax`, Z = -sharpness log z, so that a point counts as z^-sharpness, z its
    depth in the target: `sharpness` has no unit, and a change of the scene's scale changes nothing. 0 is `average`,
    infinity would leave the nearest point alone. A caller's own `importance` is Z itself and takes the place of that.
    """
    expect_map("source", source)
    expect_alike("source", source, "depth_source", depth_source)
    expect_camera("source", source, "camera_source", camera_source)
    if importance is not None:
        _expect_importance(importance, source, "source")
    camera_target = camera_source if camera_target is None else camera_target
    found = reproject(depth_source, camera_source, T_target_source, camera_target, names=("source", "target"))
    points = None if importance is None else importance.flatten(1)
    return _splat(source.flatten(2), [found], camera_target.size, mode, tolerance, sharpness, points)


def forward_splat_sources(
    sources: Float[Tensor, "b s c h w"],
    depth_sources: Float[Tensor, "b s 1 h w"],
    camera_sources: Camera | Sequence[Camera],
    T_target_sources: Float[Tensor, "b s 4 4"],
    *,
    camera_target: Camera | None = None,
    mode: Mode = "zbuffer",
    tolerance: DepthTolerance = DepthTolerance(),
    sharpness: float = SHARPNESS,
    importance: Float[Tensor, "b s 1 h w"] | None = None,
) -> Warped:
    """Throw several sources into one target, so that they fill each other's holes and hide each other.

    As `forward_splat`, with the points of all sources in one z-buffer or one sum of weights; their order means nothing.
    `camera_sources` is one camera for all sources or one for each; without `camera_target`, the target has the first.
    """
    count = _expect_stack("sources", sources)
    for name, stack in (("depth_sources", depth_sources), ("importance", importance)):
        if stack is not None and _expect_stack(name, stack, channels=1) != count:
            raise InputError(f"sources and {name} must hold as many sources, got {count} and {stack.shape[1]}")
    if T_target_sources.ndim != 4 or T_target_sources.shape[1] != count:
        raise InputError(
            f"T_target_sources must be [b, {count}, 4, 4] for {count} sources, got {list(T_target_sources.shape)}",
            hint="torch.stack([T_target_first, T_target_second], dim=1)",
        )
    cameras = [camera_sources] * count if isinstance(camera_sources, Camera) else list(camera_sources)
    if len(cameras) != count:
        raise InputError(f"camera_sources must be one camera or one for each of {count} sources, got {len(cameras)}")
    camera_target = cameras[0] if camera_target is None else camera_target
    found = []
    for i, camera in enumerate(cameras):
        source, depth, T = sources[:, i], depth_sources[:, i], T_target_sources[:, i]
        expect_alike("sources", source, "depth_sources", depth)
        expect_camera("sources", source, "camera_sources", camera)
        if importance is not None:
            _expect_importance(importance[:, i], source, "sources")
        found.append(reproject(depth, camera, T, camera_target, names=("sources", "target")))
    values = sources.transpose(1, 2).flatten(2)
    points = None if importance is None else importance.flatten(1)
    return _splat(values, found, camera_target.size, mode, tolerance, sharpness, points)


def splat_by_flow(
    source_a: Float[Tensor, "b c h w"],
    flow_ab: Float[Tensor, "b 2 h w"],
    *,
    importance: Float[Tensor, "b 1 h w"] | None = None,
    mode: FlowMode = "average",
) -> Warped:
    """Throw a's pixels along flow_ab into b; unknown flow, not finite or over 1e9 px, is not thrown.

    Flow knows no depth: `softmax` needs an `importance`, such as a negative photometric error.
    """
    if mode not in FLOW_MODES:
        raise InputError(f"mode must be one of {', '.join(FLOW_MODES)}, got {mode!r}")
    expect_map("source_a", source_a)
    expect_map("flow_ab", flow_ab, channels=2)
    expect_alike("flow_ab", flow_ab, "source_a", source_a)
    size = source_a.shape[-2:]
    if flow_ab.shape[-2:] != size:
        raise InputError(
            f"flow_ab and source_a must have one size, got {list(flow_ab.shape[-2:])} and {list(size)} px",
            hint="a resized flow must also be scaled, its unit is the pixel",
        )
    if importance is not None:
        _expect_importance(importance, source_a, "source_a")
    elif mode == "softmax":
        raise InputError("mode 'softmax' needs an importance [b, 1, h, w]", hint="flow alone knows no front and back")
    flow = flow_ab.to(working_dtype(flow_ab))
    known = (flow.abs() < UNKNOWN_FLOW).all(dim=1)
    pixels = pixel_grid(flow) + torch.where(known[:, None], flow, torch.zeros_like(flow))
    landings = land(pixels.flatten(2), known.flatten(1), *size)
    weight = landings.share
    if importance is not None:
        _expect_softmax(mode)
        weight = softmax_weight(landings, importance.flatten(1).to(weight.dtype), 1.0)
    return _settled(source_a.flatten(2), landings, weight, mode)


def forward_splat_labels(
    labels: Int64[Tensor, "b h w"],
    depth_source: Float[Tensor, "b 1 h w"],
    camera_source: Camera,
    T_target_source: Float[Tensor, "b 4 4"],
    *,
    camera_target: Camera | None = None,
) -> WarpedLabels:
    """Throw each source label into the nearest target pixel; the nearest surface wins, 255 where nothing lands.

    Of two points at exactly one depth the earlier source pixel wins, so that the result is the same on every device.
    """
    expect_labels("labels", labels)
    expect_alike("labels", labels, "depth_source", depth_source, dtype=False)
    expect_camera("labels", labels, "camera_source", camera_source, dtype=False)
    camera_target = camera_source if camera_target is None else camera_target
    found = reproject(depth_source, camera_source, T_target_source, camera_target, names=("source", "target"))
    point = nearest_point(found.pixels.flatten(2), found.depth.flatten(1), found.real.flatten(1), *camera_target.size)
    ids = torch.cat([labels.flatten(1), labels.new_full((len(labels), 1), IGNORE)], dim=1)
    thrown = ids.gather(1, point.flatten(1)).reshape(point.shape)
    return masked_labels(thrown, point < labels[0].numel())


def _splat(
    values: Float[Tensor, "b c n"],
    found: list[Reprojection],
    size: tuple[int, int],
    mode: Mode,
    tolerance: DepthTolerance,
    sharpness: float,
    importance: Float[Tensor, "b n"] | None,
) -> Warped:
    if mode not in MODES:
        raise InputError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if not (math.isfinite(sharpness) and sharpness >= 0):
        raise InputError(f"sharpness must be finite and not negative, got {sharpness}")
    if importance is not None:
        _expect_softmax(mode)
    landings = land(
        torch.cat([one.pixels.flatten(2) for one in found], dim=2),
        torch.cat([one.real.flatten(1) for one in found], dim=1),
        *size,
    )
    weight = landings.share
    z = torch.cat([one.depth.flatten(1) for one in found], dim=1)
    if mode == "zbuffer":
        weight = weight * tolerance.same_surface(nearest_surface(landings, z), z.detach()[:, None])
    elif mode == "softmax" and importance is not None:
        weight = softmax_weight(landings, importance.to(weight.dtype), 1.0)
    elif mode == "softmax":
        weight = softmax_weight(landings, -z.clamp(min=MIN_DEPTH).log(), sharpness)
    return _settled(values, landings, weight, mode)


def _settled(values: Float[Tensor, "b c n"], landings: Landings, weight: Float[Tensor, "b 4 n"], mode: Mode) -> Warped:
    """The thrown values as an image of their own dtype: summed in that of the weights, then normalised."""
    image, total = throw(values.to(weight.dtype), landings, weight)
    visible = total.detach() >= LEAST_SHARE
    if mode != "sum":
        scale = torch.where(visible, total.clamp(min=LEAST_SHARE).reciprocal(), torch.zeros_like(total))
        image *= scale[:, None]
    return Warped(image.to(values.dtype), visible)


def _expect_stack(name: str, value: Tensor, channels: int | None = None) -> int:
    """Raise unless `value` is a stack of maps [b, s, c, h, w]; returns s."""
    c = "c" if channels is None else channels
    if value.ndim != 5 or value.shape[1] == 0 or (channels is not None and value.shape[2] != channels):
        raise InputError(
            f"{name} must be [b, s, {c}, h, w] with s sources, got {list(value.shape)}",
            hint="torch.stack([first, second], dim=1)",
        )
    expect_map(name, value.flatten(0, 1))
    return value.shape[1]


def _expect_importance(importance: Tensor, source: Tensor, source_name: str) -> None:
    expect_map("importance", importance, channels=1)
    expect_alike("importance", importance, source_name, source)
    if importance.shape[-2:] != source.shape[-2:]:
        sizes = f"{list(importance.shape[-2:])} and {list(source.shape[-2:])}"
        raise InputError(f"importance and {source_name} must have one size, got {sizes} px")
    if not bool(torch.isfinite(importance).all()):
        raise InputError("importance holds NaN or infinite values", hint="the logarithm of 0; a diverged net")


def _expect_softmax(mode: Mode) -> None:
    if mode != "softmax":
        raise InputError(f"importance belongs to mode 'softmax', got mode {mode!r}")
