"""The exercises of chapter 10: which frames a Gaussian mixes, a vote with ties, the line of one window."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stc_lab.filters import smooth_labels_over_time, smooth_over_time
from stc_lab.labs.exercise import Case, Exercise


def _share_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, sigma: float, frames: int, frame: int, hint: str) -> Case:
        each = torch.eye(frames, dtype=torch.float64)[:, :, None, None]
        shares = smooth_over_time(each, sigma)[frame, :, 0, 0]
        return Case(title, {"sigma": sigma, "frames": frames, "frame": frame}, shares, hint)

    yield case("the middle of nine frames", 1.0, 9, 4, "exp(-d^2 / (2 sigma^2)), divided by its sum")
    yield case("it is cut off", 1.0, 13, 6, "beyond int(4 sigma + 0.5) frames the weight is 0: divide by what is left")
    yield case(
        "the first frame of a clip",
        1.5,
        9,
        0,
        "the clip is mirrored, the end frame twice: frame -1 is frame 0 again, -2 is frame 1; add up their weights",
    )
    yield case("a clip shorter than the Gaussian", 3.0, 4, 2, "the mirrored clip repeats itself after 2 x frames")
    frame = int(torch.randint(0, 24, (), generator=generator))
    yield case("any frame of 24", 2.0, 24, frame, "the shares add up to 1, also at the ends")


def _vote_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, labels: Tensor, sigma: float, reach: int, hint: str) -> Case:
        weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
        won = smooth_labels_over_time(labels[:, None, None], sigma, truncate=(reach + 0.25) / sigma)[:, 0, 0]
        return Case(title, {"labels": labels, "weights": weights / weights.sum()}, won, hint)

    flicker = torch.tensor([1, 1, 1, 4, 1, 1, 1, 1])
    yield case("one frame flickers", flicker, 2.0, 3, "add up the weights of each class, take the class with most")
    ids = torch.tensor([2, 2, 2, 2, 6, 6, 6, 6])
    yield case("a class changes for good", ids, 2.0, 3, "ids are not averaged: between 2 and 6 there is no 4")
    ends = torch.tensor([5, 3, 3, 3, 3, 3, 0, 0])
    yield case("at the ends", ends, 1.5, 2, "the clip is mirrored, the end frame twice: frame -1 is frame 0 again")
    tie = torch.tensor([3, 8, 5, 3, 8])
    yield case("a tie in the middle", tie, 2.0, 2, "3 and 8 have the same weight there: the lower class wins")
    labels = torch.randint(0, 3, (24,), generator=generator)
    yield case("any labels", labels, 1.5, 4, "weights[r] is that of the frame itself, r = len(weights) // 2")


def _line_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, guide: Tensor, signal: Tensor, weights: Tensor, eps: float, hint: str) -> Case:
        share = weights / weights.sum()
        guide_mean, signal_mean = (share * guide).sum(), (share * signal).sum()
        variance = (share * (guide - guide_mean) ** 2).sum()
        slope = (share * (guide - guide_mean) * (signal - signal_mean)).sum() / (variance + eps)
        inputs = {"guide": guide, "signal": signal, "weights": weights, "eps": eps}
        return Case(title, inputs, torch.stack([slope, signal_mean - slope * guide_mean]), hint)

    def drawn() -> Tensor:
        return torch.rand(9, generator=generator, dtype=torch.float64)

    alike = torch.ones(9, dtype=torch.float64)
    step = torch.tensor([0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8, 0.8], dtype=torch.float64)
    yield case("an edge that both have", step, (step > 0.5).double(), alike, 1e-6, "a = covariance / (variance + eps)")
    yield case("a flat guide", alike * 0.5, drawn(), alike, 1e-2, "a is 0, and b the mean: the window is blurred")
    yield case("eps as large as the variance", step, (step > 0.5).double(), alike, 0.1, "eps is not squared again")
    yield case("anything", drawn(), drawn(), alike, 1e-2, "b = mean(signal) - a mean(guide); divide by n, not by n - 1")
    doubt = torch.tensor([1.0, 1, 1, 0.01, 0.01, 0.01, 1, 1, 1], dtype=torch.float64)
    yield case("pixels in doubt", drawn(), drawn(), doubt, 1e-2, "every mean is weighted, and divided by sum(weights)")


_SHARES = (
    "How much each frame of a clip counts in one smoothed frame: frame_shares(sigma, frames, frame) -> [frames]. A "
    "Gaussian of `sigma` frames, cut off beyond int(4 sigma + 0.5) frames; the clip is mirrored at its ends, the end "
    "frame twice. The shares add up to 1."
)
_VOTE = (
    "The labels of one pixel after smoothing over time: vote(labels, weights) -> [t]; labels [t] int64, weights "
    "[2 r + 1] of the frames from r before to r after. Each class gets the weights of its frames, the largest wins, of "
    "equals the lowest class. The clip is mirrored at its ends, the end frame twice."
)
_LINE = (
    "The line a, b of one window of the guided filter, signal = a guide + b: window_line(guide, signal, weights, eps) "
    "-> (a, b); guide, signal and weights [n], grey. Least squares weighted by `weights`, with the ridge eps on a."
)

SMOOTHING_EXERCISES = (
    Exercise("frame_shares", "10_stabilising", _SHARES, _share_cases),
    Exercise("vote", "10_stabilising", _VOTE, _vote_cases),
    Exercise("window_line", "10_stabilising", _LINE, _line_cases),
)
