"""Answers to the exercises of the explorer: right ones, and the usual mistakes with the case that catches each."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def worst_pairs(values: Tensor, visible: Tensor, least_visible: float) -> Tensor:
    usable = ~values.isnan() & (visible >= least_visible)
    order = values.masked_fill(~usable, -torch.inf).argsort(descending=True)
    return order[: int(usable.sum())]


def belief_distance(logits_here: Tensor, logits_there: Tensor) -> Tensor:
    """As the share that one belief has over the other, which is the same."""
    return (logits_here.softmax(dim=0) - logits_there.softmax(dim=0)).clamp(min=0).sum(dim=0)


def changed_share(labels_here: Tensor, labels_there: Tensor, visible: Tensor, wanted: int) -> float:
    own = there = 0
    for here, after, seen in zip(labels_here.flatten(), labels_there.flatten(), visible.flatten(), strict=True):
        own += int(seen and here == wanted)
        there += int(seen and here == wanted and after != wanted)
    return there / own


RIGHT: list[Callable[..., Any]] = [worst_pairs, belief_distance, changed_share]


def best_first(values: Tensor, visible: Tensor, least_visible: float) -> Tensor:
    return worst_pairs(values, visible, least_visible).flip(0)


def places_among_the_kept(values: Tensor, visible: Tensor, least_visible: float) -> Tensor:
    return values[(visible >= least_visible) & ~values.isnan()].argsort(descending=True)


def nan_is_the_largest(values: Tensor, visible: Tensor, least_visible: float) -> Tensor:
    usable = visible >= least_visible
    return values.masked_fill(~usable, -torch.inf).argsort(descending=True)[: int(usable.sum())]


def of_logits(logits_here: Tensor, logits_there: Tensor) -> Tensor:
    return (logits_here - logits_there).abs().sum(dim=0) / 2


def not_halved(logits_here: Tensor, logits_there: Tensor) -> Tensor:
    return (logits_here.softmax(dim=0) - logits_there.softmax(dim=0)).abs().sum(dim=0)


def of_all_pixels(labels_here: Tensor, labels_there: Tensor, visible: Tensor, wanted: int) -> float:
    return float((visible & (labels_here == wanted) & (labels_there != wanted)).float().mean())


def both_ways(labels_here: Tensor, labels_there: Tensor, visible: Tensor, wanted: int) -> float:
    either = visible & ((labels_here == wanted) | (labels_there == wanted))
    return float((labels_here != labels_there)[either].float().mean())


def hidden_too(labels_here: Tensor, labels_there: Tensor, visible: Tensor, wanted: int) -> float:
    return float((labels_there != wanted)[labels_here == wanted].float().mean())


WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("worst_pairs", best_first, "all pairs"),
    ("worst_pairs", places_among_the_kept, "hardly visible"),
    ("worst_pairs", nan_is_the_largest, "without a value"),
    ("belief_distance", of_logits, "by a constant"),
    ("belief_distance", not_halved, "sure of two"),
    ("changed_share", of_all_pixels, "one of four"),
    ("changed_share", both_ways, "others become it"),
    ("changed_share", hidden_too, "some are hidden"),
]
