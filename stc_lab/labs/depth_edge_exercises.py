"""The exercises of chapter 08: L_p, L_h, and a depth without a unit."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from stc_lab.labs.exercise import Case, Exercise
from stc_lab.losses import EdgeLoss, edge_loss_h, edge_loss_p


def _edge_cases(loss: Callable[..., EdgeLoss], over_classes: str) -> Callable[[torch.Generator], Iterator[Case]]:
    def cases(generator: torch.Generator) -> Iterator[Case]:
        def case(title: str, probabilities: Tensor, depth: Tensor, hint: str) -> Case:
            value = float(loss(probabilities[None], depth[None, None]).total)
            return Case(title, {"probabilities": probabilities, "depth": depth}, value, hint)

        # One row of classes above another, 2 x 3 px: an edge along x alone, then one along y alone.
        first = torch.tensor([[0.9, 0.9, 0.1], [0.9, 0.9, 0.1]])
        flat = torch.full((2, 3), 2.0)
        yield case("two classes, flat depth", torch.stack([first, 1 - first]), flat, over_classes)
        step = torch.tensor([[2.0, 2.0, 5.0], [2.0, 2.0, 5.0]])
        yield case(
            "the depth steps with the classes",
            torch.stack([first, 1 - first]),
            step,
            "each |dS/dx| is multiplied by e^-|dD/dx| of the same two pixels",
        )
        upright = torch.tensor([[0.8, 0.8], [0.8, 0.8], [0.1, 0.1]])
        below = torch.tensor([[1.0, 1.0], [1.0, 1.0], [3.0, 3.0]])
        yield case(
            "classes and depth step between two rows",
            torch.stack([upright, 1 - upright]),
            below,
            "along y take dD/dy, whatever the slide prints",
        )
        several = torch.randn(4, 5, 6, generator=generator).mul(2).softmax(dim=0)
        depth = 1 + 2 * torch.rand(5, 6, generator=generator)
        yield case("four classes", several, depth, over_classes)
        yield case(
            "four classes, depth in millimetres",
            several,
            1000 * depth,
            "nothing to do: the loss takes the depth as it comes, and is nearly 0",
        )

    return cases


def _unit_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, depth: Tensor, hint: str) -> Case:
        known = depth > 0
        mean = depth[known].mean()
        unit_free = torch.where(known, depth / mean, 0)
        _expect_the_same_loss(depth, unit_free, generator)
        return Case(title, {"depth": depth}, unit_free, hint)

    depth = 1 + 3 * torch.rand(3, 4, generator=generator)
    yield case("metres", depth, "divide by the mean depth")
    yield case("the same in millimetres", 1000 * depth, "the answer must be that of metres")
    holes = depth.clone()
    holes[0, 1] = holes[2, 3] = 0
    yield case("two pixels are unknown", holes, "0 is unknown: the mean is that of the KNOWN pixels, and 0 stays 0")
    large = 0.5 + 4 * torch.rand(12, 16, generator=generator)
    unknown = torch.rand(12, 16, generator=generator) < 0.3
    yield case("a whole image", large.masked_fill(unknown, 0), "the mean over depth > 0")


def _expect_the_same_loss(depth: Tensor, unit_free: Tensor, generator: torch.Generator) -> None:
    classes = torch.randn(1, 3, *depth.shape, generator=generator).softmax(dim=1)
    by_package = edge_loss_h(classes, depth[None, None], normalise="mean").total
    assert torch.allclose(edge_loss_h(classes, unit_free[None, None]).total, by_package, rtol=1e-4)


_ALONG = (
    "Slopes are differences to the next pixel to the right (x) and below (y); a mean over those along x plus a mean "
    "over those along y. probabilities [k, h, w], depth [h, w]."
)
_PER_CLASS = f"L_p: per_class_edges(probabilities, depth) -> number. {_ALONG} The classes are summed."
_HOLISTIC = f"L_h: holistic_edges(probabilities, depth) -> number. {_ALONG} Of the classes' slopes the largest counts."
_UNIT_FREE = (
    "A depth that has no unit: unit_free_depth(depth) -> [h, w], the depth [h, w] divided by its mean; 0 is unknown, "
    "and stays 0. With it L_p and L_h are the same in metres, millimetres and a net's own unit."
)
_SUM, _LARGEST = "sum |dS| over the classes", "S' is the largest |dS| over the classes, not the slope of the largest S"

DEPTH_EDGE_EXERCISES = (
    Exercise("per_class_edges", "08_depth_edges", _PER_CLASS, _edge_cases(edge_loss_p, _SUM)),
    Exercise("holistic_edges", "08_depth_edges", _HOLISTIC, _edge_cases(edge_loss_h, _LARGEST)),
    Exercise("unit_free_depth", "08_depth_edges", _UNIT_FREE, _unit_cases),
)
