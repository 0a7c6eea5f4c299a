"""Answers to the exercises on depth edges: right ones, and the usual mistakes with the case that catches each."""

from collections.abc import Callable
from typing import Any

from torch import Tensor


def _both_axes(probabilities: Tensor, depth: Tensor, over_classes: Callable[[Tensor], Tensor]) -> Tensor:
    total = probabilities.new_zeros(())
    for axis in (-1, -2):
        weight = (-depth.diff(dim=axis).abs()).exp()
        total = total + (over_classes(probabilities.diff(dim=axis).abs()) * weight).mean()
    return total


def per_class_edges(probabilities: Tensor, depth: Tensor) -> Tensor:
    return _both_axes(probabilities, depth, lambda slopes: slopes.sum(dim=0))


def holistic_edges(probabilities: Tensor, depth: Tensor) -> Tensor:
    return _both_axes(probabilities, depth, lambda slopes: slopes.amax(dim=0))


def unit_free_depth(depth: Tensor) -> Tensor:
    return depth / depth[depth > 0].mean()


def mean_over_classes(probabilities: Tensor, depth: Tensor) -> Tensor:
    return _both_axes(probabilities, depth, lambda slopes: slopes.mean(dim=0))


def without_depth(probabilities: Tensor, depth: Tensor) -> Tensor:
    return per_class_edges(probabilities, depth * 0)


def weight_turned_round(probabilities: Tensor, depth: Tensor) -> Tensor:
    return per_class_edges(probabilities, -depth.max() + depth) * 2


def as_printed(probabilities: Tensor, depth: Tensor) -> Tensor:
    across, down = (probabilities.diff(dim=axis).abs().amax(dim=0) for axis in (-1, -2))
    weight = (-depth.diff(dim=-1).abs()).exp()
    return (across * weight).mean() + (down[:, :-1] * weight[:-1]).mean()


def slope_of_the_largest(probabilities: Tensor, depth: Tensor) -> Tensor:
    return holistic_edges(probabilities.amax(dim=0, keepdim=True), depth)


def without_signs(probabilities: Tensor, depth: Tensor) -> Tensor:
    return _both_axes(probabilities, depth, lambda slopes: slopes.sum(dim=0) / 2)


def mean_with_holes(depth: Tensor) -> Tensor:
    return depth / depth.mean()


def by_the_median(depth: Tensor) -> Tensor:
    return depth / depth[depth > 0].median()


def divided_by_a_thousand(depth: Tensor) -> Tensor:
    return unit_free_depth(depth) if depth.max() < 100 else depth / 1000


RIGHT: list[Callable[..., Any]] = [per_class_edges, holistic_edges, unit_free_depth]
WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("per_class_edges", mean_over_classes, "two classes, flat depth"),
    ("per_class_edges", holistic_edges, "two classes, flat depth"),
    ("per_class_edges", without_depth, "the depth steps"),
    ("per_class_edges", weight_turned_round, "two classes, flat depth"),
    ("holistic_edges", per_class_edges, "two classes, flat depth"),
    ("holistic_edges", slope_of_the_largest, "two classes, flat depth"),
    ("holistic_edges", as_printed, "between two rows"),
    ("holistic_edges", without_signs, "four classes"),
    ("unit_free_depth", by_the_median, "metres"),
    ("unit_free_depth", divided_by_a_thousand, "millimetres"),
    ("unit_free_depth", mean_with_holes, "unknown"),
]
