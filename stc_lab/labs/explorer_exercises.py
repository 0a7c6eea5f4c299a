"""The exercises of chapter 11: which pairs to look at first, how far two beliefs lie apart, who changes its label."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from stc_lab.labs.exercise import Case, Exercise


def _pair_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, values: Tensor, visible: Tensor, hint: str, least_visible: float = 0.5) -> Case:
        kept = [i for i, v in enumerate(values.tolist()) if not math.isnan(v) and float(visible[i]) >= least_visible]
        order = sorted(kept, key=lambda i: -float(values[i]))
        inputs = {"values": values, "visible": visible, "least_visible": least_visible}
        return Case(title, inputs, torch.tensor(order, dtype=torch.int64), hint)

    def drawn(count: int) -> Tensor:
        return torch.randperm(count, generator=generator).double() / count  # no two alike

    everywhere = torch.ones(6, dtype=torch.float64)
    yield case("all pairs are visible", drawn(6), everywhere, "places, not values; the largest value comes first")
    hidden = torch.tensor([0.9, 0.2, 0.5, 0.8, 0.1, 0.7], dtype=torch.float64)
    yield case("some are hardly visible", drawn(6), hidden, "places count from 0 among ALL pairs; 0.5 itself passes")
    values = drawn(6)
    values[2] = torch.nan
    yield case("a pair without a value", values, everywhere, "NaN: nothing was visible, so there is no value to rank")
    visible = torch.rand(40, generator=generator, dtype=torch.float64)
    yield case("a whole video", drawn(40), visible, "filter first, then sort, and give the places of the whole list")


def _apart_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, here: Tensor, there: Tensor, hint: str) -> Case:
        distance = (here.softmax(dim=0) - there.softmax(dim=0)).abs().sum(dim=0) / 2
        return Case(title, {"logits_here": here, "logits_there": there}, distance, hint)

    size = (4, 2, 3)
    logits = torch.randn(size, generator=generator, dtype=torch.float64)
    yield case("logits that differ by a constant", logits, logits + 3.0, "softmax takes the constant out: 0 everywhere")
    sure = torch.full((3, 1, 2), -20.0, dtype=torch.float64)
    other = sure.clone()
    sure[0], other[2] = 20.0, 20.0
    yield case("sure of two different classes", sure, other, "the largest distance is 1, not 2: take half of the sum")
    there = torch.randn(size, generator=generator, dtype=torch.float64)
    yield case("a few pixels", logits, there, "sum |p - q| over the CLASSES, at each pixel")
    large = torch.randn(21, 12, 16, generator=generator, dtype=torch.float64) * 3
    yield case("a whole picture", large, large.roll(1, dims=2), "one number for each pixel: [h, w]")


def _change_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, here: Tensor, there: Tensor, visible: Tensor, hint: str) -> Case:
        own = visible & (here == 1)
        share = float((there != 1)[own].double().mean())
        inputs = {"labels_here": here, "labels_there": there, "visible": visible, "wanted": 1}
        return Case(title, inputs, share, hint)

    everywhere = torch.ones(2, 4, dtype=torch.bool)
    here = torch.tensor([[1, 1, 1, 1], [0, 0, 2, 2]])
    there = torch.tensor([[1, 1, 1, 2], [0, 0, 2, 2]])
    yield case("one of four pixels changes", here, there, everywhere, "divide by the pixels of the class HERE: 1 of 4")
    yield case(
        "others become it", here, torch.ones_like(here), everywhere, "none that was 1 stopped being 1: the share is 0"
    )
    hidden = torch.tensor([[True, True, False, False], [True, True, True, True]])
    yield case(
        "some are hidden",
        here,
        torch.tensor([[1, 2, 2, 2], [0, 0, 2, 2]]),
        hidden,
        "only visible pixels count, below and above",
    )
    here, there = (torch.randint(0, 3, (12, 16), generator=generator) for _ in range(2))
    visible = torch.rand(12, 16, generator=generator) < 0.7
    yield case("a whole picture", here, there, visible, "share of the visible pixels that are 1 here and not 1 there")


_WORST = (
    "Which pairs to look at, the worst first: worst_pairs(values, visible, least_visible) -> places [n] int64; values "
    "[p] of a measure (higher is worse, NaN: nothing to measure), visible [p] share of the pixels. Pairs with less "
    "than least_visible, or without a value, are left out."
)
_APART = (
    "How far two beliefs lie apart at each pixel: belief_distance(logits_here, logits_there) -> [h, w], 0..1; logits "
    "[k, h, w]. Half the sum over the classes of |p - q|, p and q being the class distributions."
)
_CHANGED = (
    "Share of one class that changes its label: changed_share(labels_here, labels_there, visible, wanted) -> number; "
    "of the visible pixels that are `wanted` here, those that are something else there. Maps [h, w], visible bool."
)

EXPLORER_EXERCISES = (
    Exercise("worst_pairs", "11_consistency_explorer", _WORST, _pair_cases),
    Exercise("belief_distance", "11_consistency_explorer", _APART, _apart_cases),
    Exercise("changed_share", "11_consistency_explorer", _CHANGED, _change_cases),
)
