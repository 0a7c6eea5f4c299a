"""The edge detector E(I) of the pixel prior (Pasad et al. 2020, section 3): the paper names none; Canny's or Sobel's.

Both look at one thing, the unnormalised 3x3 Sobel magnitude of the grey image blurred by `sigma` px: a step of height s
reaches about 2.6 s at sigma 1. Canny's thins it to lines one pixel wide and keeps weak ones that hang on strong ones;
Sobel's is a threshold alone and gives bands, so that its prior weighs a neighbourhood of the edge.
"""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.errors import InputError

EdgeDetector = Literal["canny", "sobel"]


def image_edges(images: Float[Tensor, "b 3 h w"], *, detector: EdgeDetector = "canny") -> Bool[Tensor, "b h w"]:
    """Edges of RGB images in [0, 1] by the named detector at its default thresholds; `canny` is what the kit uses."""
    if detector not in get_args(EdgeDetector):
        raise InputError(f"detector must be one of {', '.join(get_args(EdgeDetector))}, got {detector!r}")
    return canny_edges(images) if detector == "canny" else sobel_edges(images)


def canny_edges(
    images: Float[Tensor, "b 3 h w"], *, low: float = 0.1, high: float = 0.3, sigma: float = 1.0
) -> Bool[Tensor, "b h w"]:
    """Canny edges of RGB images in [0, 1]: True on edges one pixel wide.

    `low` and `high` are the hysteresis thresholds on the magnitude. OpenCV's thresholds for 8-bit images are 255 times
    these (with L2gradient=True).
    """
    from kornia.filters import canny  # takes seconds to import

    if not 0 < low <= high:
        raise InputError(f"thresholds must satisfy 0 < low <= high, got low {low}, high {high}")
    radius = _blur_radius(images, sigma)
    with torch.no_grad():
        _, ridges = canny(images, low, high, kernel_size=2 * radius + 1, sigma=(sigma, sigma), hysteresis=False)
    return _connected(ridges[:, 0] == 1, ridges[:, 0] > 0)  # kornia: 1 above `high`, 0.5 between the thresholds


def sobel_edges(
    images: Float[Tensor, "b 3 h w"], *, threshold: float = 0.3, sigma: float = 1.0
) -> Bool[Tensor, "b h w"]:
    """Sobel edges of RGB images in [0, 1]: True where the magnitude exceeds `threshold`, a band of some pixels.

    With one threshold for all three, Canny's edges lie on these. The image's border goes on.
    """
    from kornia.color import rgb_to_grayscale  # takes seconds to import
    from kornia.filters import gaussian_blur2d, spatial_gradient

    if not threshold > 0:
        raise InputError(f"threshold must be positive, got {threshold}")
    radius = _blur_radius(images, sigma)
    with torch.no_grad():
        blurred = gaussian_blur2d(rgb_to_grayscale(images), (2 * radius + 1, 2 * radius + 1), (sigma, sigma))
        slopes = spatial_gradient(blurred, normalized=False)
        return slopes.square().sum(dim=2)[:, 0] > threshold**2


def _blur_radius(images: Tensor, sigma: float) -> int:
    """How far the blur reaches, px; raise unless the images can be blurred by it."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise InputError(
            f"images must be [b, 3, h, w], got {list(images.shape)}", hint="add a batch axis, images[None]"
        )
    if not sigma > 0:
        raise InputError(f"sigma must be positive px, got {sigma}")
    smallest, largest = images.min(), images.max()
    if not bool((smallest >= -1e-3) & (largest <= 1 + 1e-3)):
        raise InputError(
            f"images must lie in [0, 1], got values from {float(smallest):.3g} to {float(largest):.3g}",
            hint="8-bit images not divided by 255, or images normalised for a network",
        )
    radius = math.ceil(2 * sigma)
    height, width = images.shape[-2:]
    if min(height, width) <= radius:
        raise InputError(
            f"images of {height} x {width} px are too small to blur by sigma {sigma} ({radius} px each way)"
        )
    return radius


def _connected(strong: Bool[Tensor, "b h w"], ridges: Bool[Tensor, "b h w"]) -> Bool[Tensor, "b h w"]:
    """The ridge pixels that are strong or linked to a strong one by ridge pixels, 8 neighbours each.

    The same as kornia's own hysteresis in a fraction of its time, which was more than that of a training step.
    """
    while True:
        rows = strong.clone()
        rows[:, 1:] |= strong[:, :-1]
        rows[:, :-1] |= strong[:, 1:]
        grown = rows.clone()
        grown[:, :, 1:] |= rows[:, :, :-1]
        grown[:, :, :-1] |= rows[:, :, 1:]
        grown &= ridges
        if torch.equal(grown, strong):
            return strong
        strong = grown
