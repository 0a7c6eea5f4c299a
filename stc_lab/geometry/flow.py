"""Optical flow from depth and motion or from two images, and warps along it (CONVENTIONS.md, arrays)."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.checks import expect_alike, expect_labels, expect_map
from stc_lab.geometry.precision import working_dtype
from stc_lab.geometry.reproject import inside, pixel_grid, reproject
from stc_lab.geometry.warp import (
    DepthTolerance,
    Warped,
    WarpedLabels,
    masked_labels,
    sample,
    sample_labels,
    seen_by,
)

UNKNOWN_FLOW = 1e9  # px: the Middlebury format marks unknown flow by larger values
RESIZED_FLOW = "a resized flow must also be scaled, its unit is the pixel"
DisPreset = Literal["ultrafast", "fast", "medium", "fine"]
LEAST_DIS_SIZE = 12  # px: OpenCV refuses images with both sides smaller


@dataclass(frozen=True)
class Flow:
    """Where the pixels of a lie in b, and which of them b sees."""

    flow: Float[Tensor, "b 2 h w"]  # px; flow_ab: the pixel p of a lands at p + flow_ab(p) in b
    visible: Bool[Tensor, "b h w"]  # on a's grid


def rigid_flow(
    depth_a: Float[Tensor, "b 1 h w"],
    camera_a: Camera,
    T_b_a: Float[Tensor, "b 4 4"],
    *,
    camera_b: Camera | None = None,
    depth_b: Float[Tensor, "b 1 hb wb"] | None = None,
    tolerance: DepthTolerance = DepthTolerance(),
) -> Flow:
    """Flow of a scene in which only the camera moves; 0 where the depth is unknown or the point is behind camera b.

    `visible` is that of `correspond`: occlusion is tested only with `depth_b`. Half precision is lifted to float32.
    """
    camera_b = camera_a if camera_b is None else camera_b
    found = reproject(lifted(depth_a), camera_a, lifted(T_b_a), camera_b)
    flow = found.pixels - pixel_grid(found.pixels)
    flow = torch.where(found.real[:, None], flow, torch.zeros_like(flow))
    return Flow(flow, seen_by(found, camera_b, None if depth_b is None else lifted(depth_b), tolerance, name="depth_b"))


def dis_flow(
    image_a: Float[Tensor, "b 3 h w"],
    image_b: Float[Tensor, "b 3 h w"],
    *,
    preset: DisPreset = "medium",
) -> Float[Tensor, "b 2 h w"]:
    """Estimate flow_ab (px) from two RGB images by dense inverse search (Kroeger et al. 2016, OpenCV's).

    Presets are OpenCV's, and `fine`: `medium` down to single pixels, with twice the refinement, which is slower and, on
    images of 200 px, closer to the truth. OpenCV works on 8-bit grey images on the CPU, one pair after the other; the
    result returns to the images' device and dtype (half precision: to float32), without gradient. Brightness is left
    as it is: align exposures first if they differ.
    """
    import cv2

    check_dis_preset(preset)
    expect_image_pair(image_a, image_b)
    if max(image_a.shape[-2:]) < LEAST_DIS_SIZE:
        raise InputError(f"dis_flow needs at least {LEAST_DIS_SIZE} px on one side, got {list(image_a.shape[-2:])}")
    number = getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{'MEDIUM' if preset == 'fine' else preset.upper()}")
    flows = []
    for grey_a, grey_b in zip(_grey("image_a", image_a), _grey("image_b", image_b), strict=True):
        # A used estimator remembers its last pair (1e-5 px): a new one keeps a pair's flow the same in any batch.
        estimator = cv2.DISOpticalFlow.create(number)
        if preset == "fine":
            estimator.setFinestScale(0)
            estimator.setVariationalRefinementIterations(10)
        flows.append(estimator.calc(grey_a, grey_b, None))  # type: ignore[call-overload]  # no first guess
    # Plane by plane once, here: every check and warp that reads the flow would make a copy of its own.
    flow = torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).contiguous()
    return flow.to(image_a.device, working_dtype(image_a))


def check_dis_preset(preset: str) -> None:
    """Raise unless OpenCV's dense inverse search has this preset."""
    if preset not in get_args(DisPreset):
        raise InputError(f"preset must be one of {', '.join(get_args(DisPreset))}, got {preset!r}")


def warp_by_flow(source_b: Float[Tensor, "b c h w"], flow_ab: Float[Tensor, "b 2 h w"]) -> Warped:
    """Show b's image or logits on a's grid by sampling b at x + flow_ab; visible where that lies inside b.

    Flow knows no depth: occlusion must come from elsewhere, as from `ruder_visible`. Unknown flow, which Middlebury
    files mark by values over 1e9 and others by NaN, is not visible.
    """
    expect_map("source_b", source_b)
    pixels = _landing_in(flow_ab, "source_b", source_b)
    return Warped(sample(source_b, pixels), inside(pixels, *source_b.shape[-2:]))


def warp_labels_by_flow(labels_b: Int64[Tensor, "b h w"], flow_ab: Float[Tensor, "b 2 h w"]) -> WarpedLabels:
    """Show b's labels on a's grid by the nearest pixel to x + flow_ab; 255 where that lies outside b."""
    expect_labels("labels_b", labels_b)
    pixels = _landing_in(flow_ab, "labels_b", labels_b)
    return masked_labels(sample_labels(labels_b, pixels), inside(pixels, *labels_b.shape[-2:]))


def known_flow(flow: Float[Tensor, "b 2 h w"]) -> Bool[Tensor, "b h w"]:
    """Where a flow is known: neither NaN nor beyond 1e9 px."""
    return (flow.abs() < UNKNOWN_FLOW).all(dim=1)


def landing(flow_ab: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b 2 h w"]:
    """Where each pixel of a lands in b, (x, y) in px; far outside the image where the flow is unknown."""
    known = known_flow(flow_ab)[:, None]
    return pixel_grid(flow_ab) + torch.where(known, flow_ab, torch.full_like(flow_ab, -UNKNOWN_FLOW))


def lifted(value: Tensor) -> Tensor:
    """Half precision as float32, in which pixel coordinates are computed; anything else as it is."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def expect_image_pair(image_a: Tensor, image_b: Tensor) -> None:
    """Raise unless both are RGB images of one size, dtype and device."""
    expect_map("image_a", image_a, channels=3)
    expect_map("image_b", image_b, channels=3)
    expect_alike("image_b", image_b, "image_a", image_a)
    if image_a.shape != image_b.shape:
        raise InputError(f"both images must have one size, got {list(image_a.shape)} and {list(image_b.shape)}")


def _landing_in(flow_ab: Float[Tensor, "b 2 h w"], name: str, source_b: Tensor) -> Float[Tensor, "b 2 h w"]:
    expect_map("flow_ab", flow_ab, channels=2)
    expect_alike("flow_ab", flow_ab, name, source_b, dtype=source_b.is_floating_point())
    if flow_ab.shape[-2:] != source_b.shape[-2:]:
        raise InputError(
            f"flow_ab and {name} must have one size, got {list(flow_ab.shape[-2:])} and {list(source_b.shape[-2:])} px",
            hint=RESIZED_FLOW,
        )
    return landing(lifted(flow_ab))


def _grey(name: str, images: Float[Tensor, "b 3 h w"]) -> np.ndarray:
    """8-bit luma (ITU-R BT.601) of RGB images in [0, 1]."""
    images = images.detach()
    low, high = float(images.min()), float(images.max())
    if not (low >= -0.01 and high <= 1.01):
        raise InputError(
            f"{name} must be RGB in [0, 1], got values from {low:.3g} to {high:.3g}",
            hint="divide 8-bit values by 255; undo any normalisation by mean and deviation",
        )
    red, green, blue = images.unbind(dim=1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue) * 255
    return grey.round().clamp(0, 255).to("cpu", torch.uint8).numpy()
