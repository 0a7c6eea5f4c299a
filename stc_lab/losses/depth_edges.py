"""Semantic edges where depth has none: L_p and L_h of Papadopoulos et al., "Segmentation guided by scene geometry".

Both weigh the slopes of the class probabilities S by e^-|slope of the depth D|: a semantic edge costs less where the
depth has an edge too. Slopes are differences to the next pixel to the right (x) and below (y), which the slides leave
open; with these, L_p is C times the edge-aware smoothness of self-supervised depth with S in the place of the disparity
and D in that of the image. D is held fixed, as the pretrained depth of the slides is.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike, expect_map
from stc_lab.geometry.precision import working_dtype

_TOLERANCE = 0.01  # of the sum of probabilities, which half precision keeps to about a percent


@dataclass(frozen=True)
class EdgeLoss:
    """A loss on slopes and its two parts; a slope counts when both of its pixels are usable."""

    total: Float[Tensor, ""]  # across + down
    across: Float[Tensor, ""]  # mean over the slopes along x
    down: Float[Tensor, ""]  # mean over the slopes along y
    support: Int64[Tensor, " 2"]  # slopes along x and along y that count
    map: Float[Tensor, "b h w"]  # without gradient; at the left or upper pixel of a slope; its mean is the total


def edge_loss_p(
    probabilities: Float[Tensor, "b k h w"],
    depth: Float[Tensor, "b 1 h w"],
    *,
    usable: Bool[Tensor, "b h w"] | None = None,
    normalise: Literal["mean"] | None = None,
) -> EdgeLoss:
    """Per-class consistency L_p: sum over classes of mean(|dS/dx| e^-|dD/dx|) + mean(|dS/dy| e^-|dD/dy|).

    It grows with the number of classes, as printed. See `edge_loss_h` for `usable`, the unit of depth and the errors.
    """
    across, down = slopes(probabilities, depth.detach(), usable, normalise)
    along_x, along_y = (way.semantic.sum(dim=1) * (-way.depth).exp() for way in (across, down))
    return mean_over_slopes(along_x, across, along_y, down)


def edge_loss_h(
    probabilities: Float[Tensor, "b k h w"],
    depth: Float[Tensor, "b 1 h w"],
    *,
    usable: Bool[Tensor, "b h w"] | None = None,
    normalise: Literal["mean"] | None = None,
    official: bool = False,
) -> EdgeLoss:
    """Holistic consistency L_h: mean(S'_x e^-|dD/dx|) + mean(S'_y e^-|dD/dy|), S'_k = max over classes of |dS/dk|.

    The slide prints dD/dx in the second term too, and no sign between the two; `official=True` computes it so, with the
    plus. Its two slopes leave a corner pixel, and only pixels with a neighbour to the right and below count there.
    Classes that tie for the maximum share its gradient.

    Depth is in its own unit, and the loss depends on it: in millimetres nearly every slope is an edge, in kilometres
    none is. `normalise="mean"` divides each image's depth by its mean, as is common for disparity.
    `usable` marks pixels to look at; depth that is unknown (0 or not finite) is never usable.
    Raises InputError if no slope along x, or none along y, can be used.
    """
    across, down = slopes(probabilities, depth.detach(), usable, normalise)
    if official:
        down = Slopes(down.semantic, across.depth, down.counts & across.counts)
    along_x, along_y = (way.semantic.amax(dim=1) * (-way.depth).exp() for way in (across, down))
    return mean_over_slopes(along_x, across, along_y, down)


@dataclass(frozen=True)
class Slopes:
    """Slopes along one axis, at the left or upper pixel of each; 0 where none counts, as in the last column."""

    semantic: Float[Tensor, "b k h w"]  # |dS|
    depth: Float[Tensor, "b h w"]  # |dD|
    counts: Bool[Tensor, "b h w"]


def slopes(
    probabilities: Float[Tensor, "b k h w"],
    depth: Float[Tensor, "b 1 h w"],
    usable: Bool[Tensor, "b h w"] | None,
    normalise: Literal["mean"] | None,
) -> tuple[Slopes, Slopes]:
    """Slopes of classes and depth along x and along y, between pixels that are usable and have a depth."""
    expect_probabilities("probabilities", probabilities)
    expect_map("depth", depth, channels=1)
    expect_alike("depth", depth, "probabilities", probabilities)
    if depth.shape[-2:] != probabilities.shape[-2:]:
        raise InputError(
            f"depth and probabilities must have one size, got {list(depth.shape[-2:])} and "
            f"{list(probabilities.shape[-2:])} px",
            hint="coarse logits beside full depth: clip.strided(model.coarse_stride)",
        )
    if normalise not in (None, "mean"):
        raise InputError(f"normalise must be None or 'mean', got {normalise!r}")
    dtype = working_dtype(probabilities, depth)
    depth = depth.to(dtype)[:, 0]
    seen = depth.detach().isfinite() & (depth.detach() > 0)
    if usable is not None:
        if usable.shape != seen.shape:
            raise InputError(f"usable must be {list(seen.shape)}, one for each pixel, got {list(usable.shape)}")
        seen = seen & usable
    depth = torch.where(seen, depth, 0)
    if normalise == "mean":
        mean = depth.flatten(1).sum(dim=1) / seen.flatten(1).sum(dim=1).clamp(min=1)
        depth = depth / torch.where(mean > 0, mean, 1)[:, None, None]
    probabilities = probabilities.to(dtype)
    across, down = (_slopes_along(axis, probabilities, depth, seen) for axis in (-1, -2))
    return across, down


def _slopes_along(axis: int, probabilities: Tensor, depth: Tensor, seen: Tensor) -> Slopes:
    def to_next(values: Tensor) -> Tensor:
        return values.diff(dim=axis, append=values.narrow(axis, -1, 1))

    counts = seen & seen.roll(-1, dims=axis)
    counts.narrow(axis, -1, 1).fill_(False)  # the last has no next one
    # Masked before the norm, so that not even a non-finite value where nothing counts reaches the gradient.
    semantic = torch.where(counts[:, None], to_next(probabilities), 0).abs()
    return Slopes(semantic, torch.where(counts, to_next(depth), 0).abs(), counts)


def mean_over_slopes(along_x: Tensor, across: Slopes, along_y: Tensor, down: Slopes) -> EdgeLoss:
    """The mean of a term over the slopes along x that count, plus that along y; raise if either has none."""
    support = torch.stack([across.counts.sum(), down.counts.sum()])
    if int(support.min()) == 0:
        raise InputError(
            f"no usable slope: {int(support[0])} along x and {int(support[1])} along y have two usable pixels",
            hint="depth that is unknown (0) all over, or a mask that leaves single pixels",
        )
    along_x, along_y = torch.where(across.counts, along_x, 0), torch.where(down.counts, along_y, 0)
    parts = along_x.sum() / support[0], along_y.sum() / support[1]
    drawn = (along_x.detach() / support[0] + along_y.detach() / support[1]) * along_x.numel()
    return EdgeLoss(parts[0] + parts[1], *parts, support, drawn)


def expect_probabilities(name: str, value: Tensor) -> None:
    """Raise unless `value` holds class probabilities [b, k, h, w], summing to 1 at each pixel where they are finite."""
    expect_map(name, value)
    total = value.detach().float().sum(dim=1)
    low = value.detach().amin()
    if not bool((low.isnan() | (low >= -_TOLERANCE)) & ~((total - 1).abs() > _TOLERANCE).any()):
        raise InputError(
            f"{name} must be class probabilities that sum to 1, got sums from {float(total.min()):.3g} to "
            f"{float(total.max()):.3g} and a least value of {float(low):.3g}",
            hint="logits: softmax(dim=1) first",
        )
