"""The named terms of an objective, each a function of what a step of training knows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.losses.consistency import (
    Direction,
    Gradient,
    LogitsConsistency,
    logits_consistency,
    pseudo_label_cross_entropy,
    weighted_consistency,
)
from stc_lab.losses.contrastive import Learning, contrastive_loss, sampled_contrastive_loss
from stc_lab.losses.depth_edges import edge_loss_h, edge_loss_p
from stc_lab.losses.invariance import AffineRanges, transform_invariance
from stc_lab.losses.multi_task import semantic_smoothness
from stc_lab.losses.stability import IGNORE, Distance, PairFlows, pair_stability_loss, teacher_loss


@dataclass(frozen=True)
class Step:
    """What a step of training knows; what it does not know is None, and no term that it feeds can be listed.

    The frames of `logits` are all that the step predicts, labelled or not: those without labels have 255 all over,
    those without depth 0.
    """

    logits: Float[Tensor, "b k h w"] | None = None
    labels: Int64[Tensor, "b h w"] | None = None  # 255 = ignore
    class_weights: Float[Tensor, " k"] | None = None  # of the cross-entropy; None: all alike
    pairs: tuple[Direction, ...] | None = None  # frames warped into others: one direction or both, of any pairs
    depth: Float[Tensor, "b 1 h w"] | None = None  # of the frames of the logits
    flows: PairFlows | None = None  # between frames of the logits, by their numbers
    teacher: Int64[Tensor, "b h w"] | Float[Tensor, "b k h w"] | None = None  # its labels or its probabilities
    teacher_weight: Float[Tensor, "b h w"] | None = None  # of each pixel; None: all alike
    features: tuple[Float[Tensor, "n d h w"], Float[Tensor, "n d h w"]] | None = None  # of frames t and t+k, projected
    feature_labels: tuple[Int64[Tensor, "n h w"], Int64[Tensor, "n h w"]] | None = None  # on their grid; 255 = ignore
    images: Float[Tensor, "m 3 hi wi"] | None = None  # any of them, in full size where the logits are coarse
    model: Callable[[Tensor], Tensor] | None = None  # images to logits of their size
    generator: torch.Generator | None = None  # of terms that draw at random

    def require(self, term: str, *names: str) -> None:
        """Raise unless the step knows all the named fields."""
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            known = [each.name for each in fields(self) if getattr(self, each.name) is not None]
            raise InputError(
                f"the term {term} needs {', '.join(missing)}, which this step does not have",
                hint=f"Step({', '.join(f'{name}=...' for name in missing)}); it has {', '.join(known) or 'nothing'}",
            )


Term = Callable[..., Tensor]  # of a Step, and of options with defaults


def cross_entropy(step: Step) -> Tensor:
    """Weighted cross-entropy over the labelled pixels; 0 where there is none."""
    step.require("cross_entropy", "logits", "labels")
    assert step.logits is not None and step.labels is not None
    if not bool((step.labels != IGNORE).any()):
        return step.logits.sum() * 0
    weights = None if step.class_weights is None else step.class_weights.to(step.logits.dtype)
    return F.cross_entropy(step.logits, step.labels, weight=weights, ignore_index=IGNORE)


def consistency(
    step: Step,
    *,
    uniform: float = LogitsConsistency.uniform,
    label_prior: float = LogitsConsistency.label_prior,
    pixel_prior: float = LogitsConsistency.pixel_prior,
    gradient: Gradient = "both",
) -> Tensor:
    """Eq. 1 of Pasad et al. 2020 with its three priors."""
    weights = LogitsConsistency(uniform, label_prior, pixel_prior)

    def one(pair: Direction) -> Tensor:
        if pair.edges_target is None:
            raise InputError("the term logits_consistency needs edges_target in each of pairs, got None")
        return logits_consistency(pair.warped, pair.logits_target, pair.edges_target, weights, gradient=gradient).total

    return _mean_over_pairs("logits_consistency", step, one)


def weighted(step: Step, *, gradient: Gradient = "both") -> Tensor:
    """Eq. 1 of Pasad et al. 2020 with the weights W(x, c) of the pairs."""

    def one(pair: Direction) -> Tensor:
        if pair.weight is None:
            raise InputError("the term weighted_consistency needs weight in each of pairs, got None")
        return weighted_consistency(pair.warped, pair.logits_target, pair.weight, gradient=gradient).total

    return _mean_over_pairs("weighted_consistency", step, one)


def pseudo_labels(step: Step, *, gradient: Gradient = "warped") -> Tensor:
    """The cross-entropy of Pasad et al.'s ablation."""

    def one(pair: Direction) -> Tensor:
        return pseudo_label_cross_entropy(pair.warped, pair.logits_target, gradient=gradient).total

    return _mean_over_pairs("pseudo_label_cross_entropy", step, one)


def per_class_edges(step: Step, *, normalise: Literal["mean"] | None = None) -> Tensor:
    """L_p of Papadopoulos et al."""
    step.require("edge_loss_p", "logits", "depth")
    assert step.logits is not None and step.depth is not None
    return edge_loss_p(step.logits.softmax(dim=1), step.depth, normalise=normalise).total


def holistic_edges(step: Step, *, normalise: Literal["mean"] | None = None, official: bool = False) -> Tensor:
    """L_h of Papadopoulos et al."""
    step.require("edge_loss_h", "logits", "depth")
    assert step.logits is not None and step.depth is not None
    return edge_loss_h(step.logits.softmax(dim=1), step.depth, normalise=normalise, official=official).total


def depth_in_classes(step: Step, *, normalise: Literal["mean"] | None = None) -> Tensor:
    """The regulariser of Chen et al. 2019 on 1 / depth, training the classes."""
    step.require("semantic_smoothness", "logits", "depth")
    assert step.logits is not None and step.depth is not None
    known = step.depth.isfinite() & (step.depth > 0)
    disparity = torch.where(known, 1 / torch.where(known, step.depth, 1), 0)
    classes = step.logits.softmax(dim=1)
    return semantic_smoothness(disparity, classes, learns="semantics", normalise=normalise).total


def stability(step: Step, *, distance: Distance = "overlap", gradient: Gradient = "both") -> Tensor:
    """E_pair of Azulay et al. 2021 over the pairs of `flows`."""
    step.require("pair_stability", "logits", "flows")
    assert step.logits is not None and step.flows is not None
    return pair_stability_loss(step.logits.softmax(dim=1), step.flows, distance=distance, gradient=gradient).total


def teacher(step: Step) -> Tensor:
    """The data term of Azulay et al. 2021; 0 where the teacher is given no weight."""
    step.require("teacher", "logits", "teacher")
    assert step.logits is not None and step.teacher is not None
    if step.teacher_weight is not None and not bool((step.teacher_weight > 0).any()):
        return step.logits.sum() * 0
    return teacher_loss(step.logits, step.teacher, weight=step.teacher_weight).total


def contrast(step: Step, *, temperature: float = 0.07, gradient: Learning = "both") -> Tensor:
    """STCL of He et al. 2021 over all pairs of pixels."""
    step.require("contrastive", "features", "feature_labels")
    assert step.features is not None and step.feature_labels is not None
    (here, there), (labels, others) = step.features, step.feature_labels
    return contrastive_loss(here, labels, there, others, temperature=temperature, gradient=gradient).total


def sampled_contrast(
    step: Step, *, count: int = 1024, temperature: float = 0.07, gradient: Learning = "both"
) -> Tensor:
    """STCL of He et al. 2021 over pixels drawn with balanced classes."""
    step.require("sampled_contrastive", "features", "feature_labels", "generator")
    assert step.features is not None and step.feature_labels is not None and step.generator is not None
    (here, there), (labels, others) = step.features, step.feature_labels
    return sampled_contrastive_loss(
        here,
        labels,
        there,
        others,
        count=count,
        generator=step.generator,
        temperature=temperature,
        gradient=gradient,
    ).total


def invariance(
    step: Step,
    *,
    rotation: float = AffineRanges.rotation,
    translation: float = AffineRanges.translation,
    zoom: float = AffineRanges.zoom,
    shear: float = AffineRanges.shear,
    gradient: Gradient = "both",
    normalise: Literal["pixels"] | None = None,
) -> Tensor:
    """The transform invariance of Eilertsen et al. 2019; the net runs on the moved images."""
    step.require("transform_invariance", "images", "model", "generator")
    assert step.images is not None and step.model is not None and step.generator is not None
    ranges = AffineRanges(rotation, translation, zoom, shear)
    return transform_invariance(
        step.model, step.images, generator=step.generator, ranges=ranges, gradient=gradient, normalise=normalise
    ).total


def _mean_over_pairs(name: str, step: Step, one: Callable[[Direction], Tensor]) -> Tensor:
    """The mean over the directions in which something is visible; 0 if nothing is, as chance may have it."""
    step.require(name, "pairs")
    assert step.pairs is not None
    if not step.pairs:
        raise InputError(f"the term {name} needs at least one direction in pairs, got none")
    seen = [one(pair) for pair in step.pairs if bool(pair.warped.visible.any())]
    return torch.stack(seen).mean() if seen else step.pairs[0].logits_target.sum() * 0


TERMS: Mapping[str, Term] = MappingProxyType(
    {
        "cross_entropy": cross_entropy,
        "logits_consistency": consistency,
        "weighted_consistency": weighted,
        "pseudo_label_cross_entropy": pseudo_labels,
        "edge_loss_p": per_class_edges,
        "edge_loss_h": holistic_edges,
        "semantic_smoothness": depth_in_classes,
        "pair_stability": stability,
        "teacher": teacher,
        "contrastive": contrast,
        "sampled_contrastive": sampled_contrast,
        "transform_invariance": invariance,
    }
)
