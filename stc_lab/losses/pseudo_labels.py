"""Pseudo-labels: what a teacher is sure of, as labels for frames that have none (He et al. 2021, section 2.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError

Given = Literal["logits", "probabilities"]


@dataclass(frozen=True)
class PseudoLabels:
    """Labels of the pixels that a teacher is sure of, and how many these are."""

    label: Int64[Tensor, "b h w"]  # the likeliest class, or the ignore index
    confidence: Float[Tensor, "b h w"]  # probability of the likeliest class
    kept: Int64[Tensor, " k"]  # pixels that got the class as their label
    proposed: Int64[Tensor, " k"]  # pixels whose likeliest class it is, kept or not

    @property
    def support(self) -> int:
        """Pixels that got a label."""
        return int(self.kept.sum())

    @property
    def share(self) -> float:
        """Share of all pixels that got a label."""
        return self.support / self.label.numel()

    @property
    def shares(self) -> Float[Tensor, " k"]:
        """Share of the pixels proposed for a class that were kept; NaN where none was. Hard classes lose most."""
        return self.kept / self.proposed


@dataclass(frozen=True)
class ThresholdCurve:
    """What each threshold keeps, and how much of that is right."""

    threshold: Float[Tensor, " n"]
    share: Float[Tensor, " n"]  # of all pixels that get a label
    accuracy: Float[Tensor, " n"] | None  # share of right ones among those kept that have a true label; NaN: none


def pseudo_labels(
    scores: Float[Tensor, "b k h w"], threshold: float = 0.5, *, given: Given = "logits", ignore_index: int = 255
) -> PseudoLabels:
    """Hard labels where the probability of the likeliest class is over `threshold`, `ignore_index` elsewhere.

    Strictly over, as the paper has it, with its threshold 0.5 as the default: two equal classes make no label. Without
    gradient. `scores` of several teachers come from `ensemble_probabilities`, with `given="probabilities"`. Logits of
    half precision are lifted to float32 before the softmax.
    """
    _expect_threshold(threshold)
    confidence, likeliest = _probabilities("scores", scores, given).max(dim=1)
    k = scores.shape[1]
    if 0 <= ignore_index < k:
        raise InputError(f"ignore_index must be none of the {k} classes, got {ignore_index}")
    sure = confidence > threshold
    return PseudoLabels(
        label=torch.where(sure, likeliest, ignore_index),
        confidence=confidence,
        kept=torch.bincount(likeliest[sure], minlength=k),
        proposed=torch.bincount(likeliest.flatten(), minlength=k),
    )


def ensemble_probabilities(
    teachers: Sequence[Float[Tensor, "b k h w"]], *, given: Given = "logits"
) -> Float[Tensor, "b k h w"]:
    """Mean of the probabilities of several teachers, or of one teacher on several views brought to one grid.

    He et al. ensemble two nets and do not say how. We average probabilities, not logits: so each teacher has one vote,
    and where two sure ones disagree, neither class is over 0.5. Without gradient.
    """
    if not teachers:
        raise InputError("teachers must hold the scores of at least one net, got none")
    shapes = {tuple(scores.shape) for scores in teachers}
    if len(shapes) > 1:
        raise InputError(
            f"the scores of all teachers must have one shape, got {sorted(map(list, shapes))}",
            hint="nets of other strides or classes: resize probabilities, map classes",
        )
    total = _probabilities("teachers[0]", teachers[0], given).clone()
    for number, scores in enumerate(teachers[1:], start=1):
        total += _probabilities(f"teachers[{number}]", scores, given)
    return total / len(teachers)


def threshold_curve(
    scores: Float[Tensor, "b k h w"],
    thresholds: Sequence[float],
    truth: Int64[Tensor, "b h w"] | None = None,
    *,
    given: Given = "logits",
    ignore_index: int = 255,
) -> ThresholdCurve:
    """The share of pixels that each threshold keeps and, where there is a truth, how many of the kept are right."""
    if not thresholds:
        raise InputError("thresholds must hold at least one, got none")
    for threshold in thresholds:
        _expect_threshold(threshold)
    confidence, likeliest = _probabilities("scores", scores, given).max(dim=1)
    if truth is not None and truth.shape != likeliest.shape:
        raise InputError(f"truth must be {list(likeliest.shape)}, one label per pixel, got {list(truth.shape)}")
    steps = torch.tensor(thresholds, dtype=confidence.dtype, device=confidence.device)
    share = _count_over(confidence, steps) / confidence.numel()
    if truth is None:
        return ThresholdCurve(steps, share, None)
    known = truth != ignore_index
    right = _count_over(confidence[known & (likeliest == truth)], steps)
    return ThresholdCurve(steps, share, right / _count_over(confidence[known], steps))


def _count_over(confidence: Tensor, thresholds: Tensor) -> Float[Tensor, " n"]:
    """How many values are strictly over each threshold."""
    ordered = confidence.flatten().sort().values
    return (len(ordered) - torch.searchsorted(ordered, thresholds, right=True)).to(confidence.dtype)


def _expect_threshold(threshold: float) -> None:
    if not 0 <= threshold < 1:
        hint = f"a share, not per cent: {threshold / 100:g}" if 1 < threshold <= 100 else None
        raise InputError(f"threshold must be at least 0 and below 1, got {threshold}", hint=hint)


def _probabilities(name: str, scores: Tensor, given: str) -> Float[Tensor, "b k h w"]:
    if given not in ("logits", "probabilities"):
        raise InputError(f"given must be 'logits' or 'probabilities', got {given!r}")
    if scores.ndim != 4 or not scores.is_floating_point() or scores.numel() == 0:
        raise InputError(
            f"{name} must be floating point [b, k, h, w], at least one pixel and class, "
            f"got {scores.dtype} {list(scores.shape)}",
            hint="labels instead of logits" if scores.ndim == 3 else None,
        )
    values = scores.detach()
    values = values if values.dtype == torch.float64 else values.float()
    if given == "logits":
        return values.softmax(dim=1)
    tolerance = 1e-2 if scores.dtype in (torch.float16, torch.bfloat16) else 1e-3
    if not bool((values >= 0).all()) or not bool(((values.sum(dim=1) - 1).abs() < tolerance).all()):
        raise InputError(
            f"{name} must be probabilities, none below 0 and 1 in sum over the classes",
            hint="logits: say given='logits'; or probabilities that were filtered or resized: normalise them again",
        )
    return values
