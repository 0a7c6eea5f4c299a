"""Logits consistency of a frame and its neighbour warped into it: Eq. 1 of Pasad et al. 2020, with its three priors."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.warp import Warped


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


def logits_consistency(
    warped: Warped,
    logits_target: Float[Tensor, "b k h w"],
    edges_target: Bool[Tensor, "b h w"],
    weights: LogitsConsistency = LogitsConsistency(),
    *,
    gradient: Literal["both", "warped", "target"] = "both",
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
    if gradient not in ("both", "warped", "target"):
        raise InputError(f"gradient must be 'both', 'warped' or 'target', got {gradient!r}")
    mean_difference, believed_difference = _differences(warped, logits_target, edges_target, gradient)
    support = warped.visible.sum()
    _expect_support(support)
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
        mean_difference, believed_difference = _differences(warped, logits_target, edges_target, "both")
        support = warped.visible.sum()
        _expect_support(support)
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


def _differences(
    warped: Warped, logits_target: Tensor, edges_target: Tensor, gradient: str
) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """|L^ - L| at each pixel, averaged over classes, and of the class believed there; 0 where invisible."""
    if warped.image.shape != logits_target.shape:
        raise InputError(
            f"logits_target must have the shape of the warped logits {list(warped.image.shape)}, "
            f"got {list(logits_target.shape)}",
            hint="logits of another stride or model: warp and compare on one grid",
        )
    if edges_target.shape != warped.visible.shape:
        raise InputError(
            f"edges_target must be {list(warped.visible.shape)}, one per pixel of the logits, "
            f"got {list(edges_target.shape)}",
            hint="edges of the full image beside coarse logits: bring them to the grid of the logits first",
        )
    predicted = logits_target.detach() if gradient == "warped" else logits_target
    propagated = warped.image.detach() if gradient == "target" else warped.image
    dtype = torch.promote_types(torch.promote_types(predicted.dtype, propagated.dtype), torch.float32)
    difference = propagated.to(dtype) - predicted.to(dtype)
    # Masked before the norm, so that not even a non-finite value where nothing is visible reaches the gradient.
    difference = torch.where(warped.visible[:, None], difference, torch.zeros_like(difference)).abs()
    believed = logits_target.detach().argmax(dim=1, keepdim=True)
    return difference.mean(dim=1), difference.gather(1, believed)[:, 0]


def _expect_support(support: Tensor) -> None:
    if int(support) == 0:
        raise InputError(
            "no usable pixel: warped.visible is False everywhere, so the consistency loss has nothing to compare",
            hint="the pose points the wrong way (the inverse of T_source_target), or the two frames do not overlap",
        )
