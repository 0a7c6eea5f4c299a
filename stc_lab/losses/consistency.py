"""Consistency of a frame's logits with its neighbour's, warped into it: Eq. 1 of Pasad et al. 2020 and its ablation."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.warp import Warped

Gradient = Literal["both", "warped", "target"]


@dataclass(frozen=True)
class LogitsConsistency:
    """Weights of the three priors of Eq. 1 (Pasad et al. 2020, section 3)."""

    uniform: float = 0.2  # every pixel and class alike
    label_prior: float = 0.4  # only the class believed at the pixel
    pixel_prior: float = 0.4  # only pixels on an image edge


@dataclass(frozen=True)
class ConsistencyLoss:
    """Eq. 1 and what it is made of; the parts are not yet weighted."""

    total: Float[Tensor, ""]  # weighted sum of the parts: what to minimise
    uniform: Float[Tensor, ""]
    label_prior: Float[Tensor, ""]
    pixel_prior: Float[Tensor, ""]
    support: Int64[Tensor, ""]  # usable (visible) pixels
    edge_support: Int64[Tensor, ""]  # usable pixels that lie on an edge


@dataclass(frozen=True)
class PixelLoss:
    """A mean over usable pixels, and where it comes from."""

    total: Float[Tensor, ""]
    support: Int64[Tensor, ""]  # usable pixels
    map: Float[Tensor, "b h w"]  # without gradient; 0 where not usable, its mean over the usable pixels is the total


@dataclass(frozen=True)
class Direction:
    """One frame's logits as warped into another, and that other frame's own."""

    warped: Warped
    logits_target: Float[Tensor, "b k h w"]
    edges_target: Bool[Tensor, "b h w"] | None = None  # of the target's image; only the pixel prior asks for them
    weight: Float[Tensor, "b k h w"] | None = None  # W(x, c) of `weighted_consistency`


@dataclass(frozen=True)
class BothDirections:
    """Eq. 1 from a to b and from b to a."""

    total: Float[Tensor, ""]  # mean of the directions in which something was visible
    forward: ConsistencyLoss | None  # None: nothing was visible
    backward: ConsistencyLoss | None


def logits_consistency(
    warped: Warped,
    logits_target: Float[Tensor, "b k h w"],
    edges_target: Bool[Tensor, "b h w"],
    weights: LogitsConsistency = LogitsConsistency(),
    *,
    gradient: Gradient = "both",
) -> ConsistencyLoss:
    """Weighted L1 difference of warped and predicted logits (Pasad et al. 2020, Eq. 1).

    The paper calls W normalised, which we read as three means: `uniform` over the usable pixels and all classes;
    `label_prior` over the usable pixels, of the one class argmax(L_target) (of the unwarped logits, without gradient
    through the argmax); `pixel_prior` over the usable edge pixels and all classes. Usable is `warped.visible`; what
    stands elsewhere does not matter. Without a usable edge pixel the pixel prior is 0.

    `gradient` says which logits learn: both, or one of them with the other held fixed (the paper leaves this open).
    Half-precision logits are compared and summed in float32.

    Raises InputError if no pixel is usable.
    """
    mean_difference, believed_difference = _prior_differences(warped, logits_target, edges_target, gradient)
    support = usable_pixels(warped.visible)
    on_edge = edges_target & warped.visible
    edge_support = on_edge.sum()
    uniform = mean_difference.sum() / support
    label_prior = believed_difference.sum() / support
    pixel_prior = (mean_difference * on_edge).sum() / edge_support.clamp(min=1)
    total = weights.uniform * uniform + weights.label_prior * label_prior + weights.pixel_prior * pixel_prior
    return ConsistencyLoss(total, uniform, label_prior, pixel_prior, support, edge_support)


def consistency_map(
    warped: Warped,
    logits_target: Float[Tensor, "b k h w"],
    edges_target: Bool[Tensor, "b h w"],
    weights: LogitsConsistency = LogitsConsistency(),
) -> dict[str, Float[Tensor, "b h w"]]:
    """Where the loss comes from: weighted maps `uniform`, `label_prior`, `pixel_prior` and their sum `total`.

    Each is 0 at invisible pixels, and its mean over the visible pixels of the batch is the weighted part of
    `logits_consistency`. Carries no gradient. Raises InputError if no pixel is usable.
    """
    with torch.no_grad():
        mean_difference, believed_difference = _prior_differences(warped, logits_target, edges_target, "both")
        support = usable_pixels(warped.visible)
        on_edge = edges_target & warped.visible
        # The pixel prior divides by edge pixels only: relative to a mean over all of them, each edge pixel weighs more.
        edge_weight = on_edge.to(mean_difference.dtype) * support / on_edge.sum().clamp(min=1)
        maps = {
            "uniform": weights.uniform * mean_difference,
            "label_prior": weights.label_prior * believed_difference,
            "pixel_prior": weights.pixel_prior * mean_difference * edge_weight,
        }
        maps["total"] = maps["uniform"] + maps["label_prior"] + maps["pixel_prior"]
    return maps


def both_directions(
    forward: Direction,
    backward: Direction,
    weights: LogitsConsistency = LogitsConsistency(),
    *,
    gradient: Gradient = "both",
) -> BothDirections:
    """Eq. 1 in both directions of a pair of frames, as the paper allows: the mean of the two.

    `forward` holds a's logits warped into b with b's logits and edges, `backward` the reverse. `gradient` goes by role,
    so that with "warped" each frame learns from the other. A direction in which no pixel is visible is left out.
    Raises InputError if nothing is visible either way.
    """
    losses = []
    for direction in (forward, backward):
        if direction.edges_target is None:
            raise InputError("both directions need edges_target, got None", hint="image_edges(image of the target)")
        both = direction.warped, direction.logits_target, direction.edges_target, weights
        losses.append(logits_consistency(*both, gradient=gradient) if bool(direction.warped.visible.any()) else None)
    found = [loss.total for loss in losses if loss is not None]
    if not found:
        usable_pixels(forward.warped.visible)  # says so
    there, back = losses
    return BothDirections(torch.stack(found).mean(), there, back)


def weighted_consistency(
    warped: Warped,
    logits_target: Float[Tensor, "b k h w"],
    weight: Float[Tensor, "b k h w"],
    *,
    gradient: Gradient = "both",
) -> PixelLoss:
    """Eq. 1 of Pasad et al. 2020 with any W(x, c): sum of W |L^ - L| over the visible pixels, divided by that of W.

    The three priors of `logits_consistency` are W = 1, W = one_hot(argmax L_target) and W = edges. Only the ratios of
    the weights matter, and they carry no gradient. Where no visible pixel has weight the loss is 0, as the pixel prior
    is without edges.

    Raises InputError if no pixel is visible, or a weight at a visible pixel is negative or not finite.
    """
    if weight.shape != logits_target.shape:
        raise InputError(
            f"weight must be {list(logits_target.shape)}, one for each pixel and class, got {list(weight.shape)}",
            hint="the same for all classes? weight[:, None].expand_as(logits)",
        )
    support = usable_pixels(warped.visible)
    difference = _difference(warped, logits_target, gradient)
    weight = torch.where(warped.visible[:, None], weight.detach().to(difference.dtype), 0)
    if not bool(((weight >= 0) & (weight < torch.inf)).all()):
        raise InputError("weight must be finite and not negative at visible pixels", hint="a log or a difference?")
    norm = weight.sum()
    drawn = (weight * difference).sum(dim=1) / torch.where(norm > 0, norm, torch.ones_like(norm))
    return PixelLoss(drawn.sum(), support, drawn.detach() * support)


def pseudo_label_cross_entropy(
    warped: Warped, logits_target: Float[Tensor, "b k h w"], *, gradient: Gradient = "warped"
) -> PixelLoss:
    """CE(L^, argmax L_target) over the visible pixels (Pasad et al. 2020, section 4.5): hard labels train the warped.

    `gradient` says which logits learn. "warped" is the paper's, the labels being those of the unwarped logits. Labels
    pass no gradient, so for the others the roles change, which is ours: "target" is CE(L_target, argmax L^), and "both"
    the mean of the two. Raises InputError if no pixel is visible.
    """
    propagated, predicted = _comparable(warped, logits_target, gradient)
    support = usable_pixels(warped.visible)
    seen = warped.visible[:, None]
    # Masked before the softmax, so that not even a non-finite value where nothing is visible reaches the gradient.
    propagated, predicted = (torch.where(seen, logits, torch.zeros_like(logits)) for logits in (propagated, predicted))
    parts = []
    if gradient != "target":
        parts.append(F.cross_entropy(propagated, predicted.detach().argmax(dim=1), reduction="none"))
    if gradient != "warped":
        parts.append(F.cross_entropy(predicted, propagated.detach().argmax(dim=1), reduction="none"))
    drawn = torch.where(warped.visible, torch.stack(parts).mean(dim=0), 0)
    return PixelLoss(drawn.sum() / support, support, drawn.detach())


def usable_pixels(visible: Bool[Tensor, "b h w"]) -> Int64[Tensor, ""]:
    """How many pixels a warp shows; raise if there is none."""
    support = visible.sum()
    if int(support) == 0:
        raise InputError(
            "no usable pixel: warped.visible is False everywhere, so the consistency loss has nothing to compare",
            hint="the pose points the wrong way (the inverse of T_source_target), or the two frames do not overlap",
        )
    return support


def expect_gradient(gradient: str) -> None:
    """Raise unless it names who learns."""
    if gradient not in get_args(Gradient):
        raise InputError(f"gradient must be 'both', 'warped' or 'target', got {gradient!r}")


def _prior_differences(
    warped: Warped, logits_target: Tensor, edges_target: Tensor, gradient: str
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """|L^ - L| at each pixel, averaged over classes, and of the class believed there; 0 where invisible."""
    difference = _difference(warped, logits_target, gradient)
    if edges_target.shape != warped.visible.shape:
        raise InputError(
            f"edges_target must be {list(warped.visible.shape)}, one per pixel of the logits, "
            f"got {list(edges_target.shape)}",
            hint="edges of the full image beside coarse logits: bring them to the grid of the logits first",
        )
    believed = logits_target.detach().argmax(dim=1, keepdim=True)
    return difference.mean(dim=1), difference.gather(1, believed)[:, 0]


def _difference(warped: Warped, logits_target: Tensor, gradient: str) -> Float[Tensor, "b k h w"]:
    """|L^ - L| at each pixel and class; 0 where invisible."""
    propagated, predicted = _comparable(warped, logits_target, gradient)
    predicted = predicted.detach() if gradient == "warped" else predicted
    propagated = propagated.detach() if gradient == "target" else propagated
    difference = propagated - predicted
    # Masked before the norm, so that not even a non-finite value where nothing is visible reaches the gradient.
    return torch.where(warped.visible[:, None], difference, torch.zeros_like(difference)).abs()


def _comparable(warped: Warped, logits_target: Tensor, gradient: str) -> tuple[Tensor, Tensor]:
    """Warped and target logits, checked, in one dtype and at least in float32."""
    expect_gradient(gradient)
    if warped.image.shape != logits_target.shape:
        raise InputError(
            f"logits_target must have the shape of the warped logits {list(warped.image.shape)}, "
            f"got {list(logits_target.shape)}",
            hint="logits of another stride or model: warp and compare on one grid",
        )
    dtype = torch.promote_types(torch.promote_types(logits_target.dtype, warped.image.dtype), torch.float32)
    return warped.image.to(dtype), logits_target.to(dtype)
