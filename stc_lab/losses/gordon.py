"""Consistency of a frame pair in depth, colour, structure and motion, where nothing hides (Gordon et al. 2019).

Depth from videos in the wild: unsupervised monocular depth learning from unknown cameras. Its pair is a frame and the
other frame's image and depth, sampled where the frame's pixels land there; every loss here looks one way, and is meant
to be run both ways and summed. The published code takes means over all pixels, so that masking more lowers the loss;
here a mean is over the pixels it asks, unless `official=True`.

How the arguments come about, with no net in sight:

    found = correspond(depth, camera, T_other_this)       # without depth_source: who hides is asked here
    warped = Warped(sample(other_image, found), found.visible)
    depth_warped = sample(other_depth.detach(), found)    # the code of 2021 stops the gradient to the other depth
    loss = rgbd_consistency(warped, image, found.depth, depth_warped)

The other depth must be detached before it is sampled, as here: the places it is sampled at keep their gradient.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike, expect_map
from stc_lab.geometry.precision import working_dtype
from stc_lab.geometry.warp import Warped
from stc_lab.losses.images import expect_mask, expect_pair, expect_unit_range
from stc_lab.losses.ssim import C1, C2, dissimilarity

STRUCTURE_C2 = 9e-6  # of their SSIM, whose c1 is infinite: means do not count
_WEIGHT_EPS = 0.01  # of each pixel's weight in a window of their SSIM
_MOMENT_EPS = 1e-4  # added to the squared depth error that proximity is measured by; in the unit of depth, squared


@dataclass(frozen=True)
class RgbdWeights:
    """Weights of the parts in one direction; as published in 2019, where SSIM has 3.0 and is halved."""

    depth: float = 0.01
    colour: float = 0.85
    structure: float = 1.5


GORDON_2019 = RgbdWeights()
GORDON_2021 = RgbdWeights(depth=0.0, colour=1.0)  # their sum over both directions is doubled besides


@dataclass(frozen=True)
class DepthConsistency:
    """How far two depth maps are apart, where the first is the closer one."""

    total: Float[Tensor, ""]  # |difference|, in the unit of depth
    map: Float[Tensor, "b h w"]  # the same at each pixel; 0 where not closer
    closer: Bool[Tensor, "b h w"]  # the pixels asked
    support: Int64[Tensor, ""]  # their number


@dataclass(frozen=True)
class RgbdConsistency:
    """What a frame and its neighbour disagree about, in one direction; the parts are not yet weighted."""

    total: Float[Tensor, ""]  # weighted sum of the parts: what to minimise
    depth: Float[Tensor, ""]  # |difference| of depth, over closer pixels
    colour: Float[Tensor, ""]  # |difference| of the images, over closer pixels and channels
    structure: Float[Tensor, ""]  # (1 - SSIM) / 2, weighted by proximity, over visible pixels and channels
    closer: Bool[Tensor, "b h w"]  # visible, and strictly closer than what the other frame has there
    proximity: Float[Tensor, "b h w"]  # 0..1: 1 where the depths agree; 0 where invisible; no gradient
    support: Int64[Tensor, ""]  # closer pixels


def closer_mask(
    depth_moved: Float[Tensor, "b 1 h w"], depth_warped: Float[Tensor, "b 1 h w"], visible: Bool[Tensor, "b h w"]
) -> Bool[Tensor, "b h w"]:
    """The visible pixels that lie strictly closer than the surface which the other frame has in their place.

    Gordon et al. 2019, occlusion-aware consistency: `depth_moved` is the frame's depth as the other
    camera measures it, `depth_warped` the other frame's depth there. What is farther may be hidden by what the other
    frame sees; where it is the other frame that errs, the loss in the other direction asks. Equal depths are not
    closer. A depth that is unknown (0, or not finite) on either side makes a pixel not closer. No gradient.
    """
    known = _known(depth_moved, depth_warped, visible)
    return known & (depth_moved.detach() < depth_warped.detach())[:, 0]


def depth_consistency(
    depth_moved: Float[Tensor, "b 1 h w"],
    depth_warped: Float[Tensor, "b 1 h w"],
    visible: Bool[Tensor, "b h w"],
    *,
    official: bool = False,
) -> DepthConsistency:
    """Mean of |depth_moved - depth_warped| over the pixels of `closer_mask` (Gordon et al. 2019).

    `official=True` divides by all pixels, as their code does. Where no visible pixel is closer, the total is 0 with
    support 0: of equal depths there is nothing to say. Raises InputError if no pixel is visible with known depths.
    """
    known = _known(depth_moved, depth_warped, visible)
    closer = known & (depth_moved.detach() < depth_warped.detach())[:, 0]
    _expect_support(known)
    difference = _difference(depth_moved, depth_warped, closer).abs()
    support = closer.sum()
    return DepthConsistency(difference.sum() / _pixels(closer, official), difference, closer, support)


def rgbd_consistency(
    warped: Warped,
    image: Float[Tensor, "b c h w"],
    depth_moved: Float[Tensor, "b 1 h w"],
    depth_warped: Float[Tensor, "b 1 h w"],
    weights: RgbdWeights = GORDON_2019,
    *,
    official: bool = False,
) -> RgbdConsistency:
    """Depth, colour and structure on which a frame and its neighbour disagree, one way (Gordon et al. 2019).

    `warped` is the other frame on this frame's grid, `depth_warped` its depth there, `depth_moved` this frame's depth
    as the other camera measures it; see the module's example. Depth and colour are L1 over `closer_mask`. Structure is
    `weighted_ssim` with c1 = inf, c2 = 9e-6 and the weight `depth_proximity`, over all visible pixels, and its mean is
    weighted by the windows' mean weights.

    `official=True` takes all three means over all pixels of their maps and, as their code, lets what stands at
    invisible pixels into windows (by the weight 0.01), where the default leaves it out. The code of 2021 has the
    weights `GORDON_2021` and doubles the sum of both directions.
    Where no visible pixel is closer, depth and colour are 0 with support 0. Raises InputError if no pixel is visible
    with known depths, or arguments do not fit.
    """
    expect_pair("warped.image", warped.image, "image", image)
    if min(image.shape[-2:]) < 3:
        raise InputError(f"image must be at least 3 px high and wide, got {list(image.shape[-2:])}")
    if depth_moved.shape[-2:] != image.shape[-2:]:
        raise InputError(
            f"image and depth must have one size, got {list(image.shape[-2:])} and {list(depth_moved.shape[-2:])} px"
        )
    expect_alike("image", image, "depth_moved", depth_moved)
    depth = depth_consistency(depth_moved, depth_warped, warped.visible, official=official)
    known = _known(depth_moved, depth_warped, warped.visible)
    shown = depth.closer[:, None]
    zero = torch.zeros((), dtype=working_dtype(image), device=image.device)
    other, own = (torch.where(shown, value.to(zero.dtype), zero) for value in (warped.image, image))
    colour = (other - own).abs().mean(dim=1).sum() / _pixels(depth.closer, official)
    proximity = depth_proximity(depth_moved, depth_warped, depth.closer, known)
    unlike, window_weight = weighted_ssim(
        warped.image, image, proximity, c1=torch.inf, c2=STRUCTURE_C2, visible=None if official else known
    )
    weighted = unlike.mean(dim=1) * window_weight
    structure = weighted.mean() if official else weighted.sum() / window_weight.sum()
    total = weights.depth * depth.total + weights.colour * colour + weights.structure * structure
    return RgbdConsistency(total, depth.total, colour, structure, depth.closer, proximity, depth.support)


def depth_proximity(
    depth_moved: Float[Tensor, "b 1 h w"],
    depth_warped: Float[Tensor, "b 1 h w"],
    closer: Bool[Tensor, "b h w"],
    visible: Bool[Tensor, "b h w"],
) -> Float[Tensor, "b h w"]:
    """Near 1 where two depths agree, small where they are apart: m / (difference^2 + m) at visible pixels, else 0.

    Gordon et al. 2019: m is the mean squared difference over the image's closer pixels (the sum over
    their number + 1, then + 1e-4, as in their code). It weighs SSIM and has no gradient; with one, depths could be
    pushed apart instead of images together.
    """
    with torch.no_grad():
        squared = _difference(depth_moved, depth_warped, visible).square()
        total = torch.where(closer, squared, torch.zeros_like(squared)).sum(dim=(1, 2), keepdim=True)
        moment = total / (closer.sum(dim=(1, 2), keepdim=True) + 1) + _MOMENT_EPS
        return torch.where(visible, moment / (squared + moment), torch.zeros_like(squared))


def weighted_ssim(
    a: Float[Tensor, "b c h w"],
    b: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "b h w"],
    *,
    c1: float = C1,
    c2: float = C2,
    visible: Bool[Tensor, "b h w"] | None = None,
) -> tuple[Float[Tensor, "b c h-2 w-2"], Float[Tensor, "b h-2 w-2"]]:
    """(1 - SSIM) / 2 in 3x3 windows whose pixels count by weight + 0.01, and each window's mean weight.

    Gordon et al. 2019, by their code. Only windows that lie inside the image, so that both maps are 2 px lower and
    narrower. c1 = inf leaves the means out (their choice, with c2 = 9e-6), c2 = inf the patterns. Pixels that are not
    `visible` do not count at all, whatever stands there. The weight has no gradient.

    Raises InputError for shapes that do not fit, images outside [0, 1] (where visible), negative weights, or constants
    of which both are infinite or one is not positive.
    """
    expect_pair("a", a, "b", b)
    if min(a.shape[-2:]) < 3:
        raise InputError(f"a must be at least 3 px high and wide, got {list(a.shape[-2:])}")
    expected = (len(a), *a.shape[-2:])
    if weight.shape != expected or not bool((weight >= 0).all()):
        raise InputError(f"weight must be {list(expected)} and nowhere negative or NaN, got {list(weight.shape)}")
    if c1 == c2 == torch.inf or not (c1 > 0 and c2 > 0):
        raise InputError(f"c1 and c2 must be positive and not both infinite, got {c1} and {c2}")
    weight = weight.detach().to(working_dtype(a))
    counts = weight + _WEIGHT_EPS
    if visible is not None:
        expect_mask("visible", visible, a)
        a, b = (torch.where(visible[:, None], image, torch.zeros_like(image)) for image in (a, b))
        counts = counts * visible
    expect_unit_range("a", a)
    expect_unit_range("b", b)
    one, two = (image.flatten(0, 1)[:, None] for image in (a, b))
    unlike = dissimilarity(one, two, weight=counts.repeat_interleave(a.shape[1], dim=0), c1=c1, c2=c2)
    inside = unlike.unflatten(0, a.shape[:2])[..., 1:-1, 1:-1]
    return inside, F.avg_pool2d(weight[:, None], 3, stride=1)[:, 0]


def _known(moved: Tensor, warped: Tensor, visible: Tensor) -> Bool[Tensor, "b h w"]:
    """The visible pixels whose two depths are known."""
    expect_map("depth_moved", moved, channels=1)
    expect_map("depth_warped", warped, channels=1)
    expect_alike("depth_warped", warped, "depth_moved", moved)
    expected = (len(moved), *moved.shape[-2:])
    if warped.shape != moved.shape or visible.shape != expected or visible.dtype != torch.bool:
        raise InputError(
            f"depth_warped must be {list(moved.shape)} like depth_moved and visible bool {list(expected)}, "
            f"got {list(warped.shape)} and {visible.dtype} {list(visible.shape)}"
        )
    moved, warped = moved.detach(), warped.detach()
    return visible & (moved.isfinite() & warped.isfinite() & (moved > 0) & (warped > 0))[:, 0]


def _difference(moved: Tensor, warped: Tensor, where: Tensor) -> Float[Tensor, "b h w"]:
    """depth_warped - depth_moved there, else 0; chosen before it is subtracted, so that no NaN comes back."""
    dtype = working_dtype(moved, warped)
    zero = torch.zeros((), dtype=dtype, device=moved.device)
    moved, warped = (torch.where(where, value[:, 0].to(dtype), zero) for value in (moved, warped))
    return warped - moved


def _pixels(asked: Tensor, official: bool) -> Tensor | int:
    """What a mean divides by: the pixels it asks, or as published all of them."""
    return asked.numel() if official else asked.sum().clamp(min=1)


def _expect_support(usable: Tensor) -> None:
    if not bool(usable.any()):
        raise InputError(
            "no usable pixel: none is visible with known depths, so the two frames have nothing to compare",
            hint="the pose points the wrong way (the inverse of T_source_target), or the two frames do not overlap",
        )
