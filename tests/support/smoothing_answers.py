"""Answers to the exercises on smoothing: right ones, and the usual mistakes with the case that catches each."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _mirrored(index: int, frames: int) -> int:
    index %= 2 * frames
    return min(index, 2 * frames - 1 - index)


def frame_shares(sigma: float, frames: int, frame: int) -> Tensor:
    reach = int(4 * sigma + 0.5)
    shares = torch.zeros(frames, dtype=torch.float64)
    for step in range(-reach, reach + 1):
        shares[_mirrored(frame + step, frames)] += math.exp(-(step**2) / (2 * sigma**2))
    return shares / shares.sum()


def vote(labels: Tensor, weights: Tensor) -> Tensor:
    reach, frames = len(weights) // 2, len(labels)
    won = []
    for i in range(frames):
        votes = torch.zeros(int(labels.max()) + 1, dtype=torch.float64)
        for step in range(-reach, reach + 1):
            votes[labels[_mirrored(i + step, frames)]] += weights[step + reach]
        won.append(votes.argmax())
    return torch.stack(won)


def window_line(guide: Tensor, signal: Tensor, weights: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """As a linear system, not by covariances."""
    n = weights.sum()
    squares = (weights * guide**2).sum() + n * eps
    crossed = (weights * guide).sum()
    left = torch.stack([torch.stack([squares, crossed]), torch.stack([crossed, n])])
    a, b = torch.linalg.solve(left, torch.stack([(weights * guide * signal).sum(), (weights * signal).sum()]))
    return a, b


RIGHT: list[Callable[..., Any]] = [frame_shares, vote, window_line]


def not_normalised(sigma: float, frames: int, frame: int) -> Tensor:
    distance = torch.arange(frames, dtype=torch.float64) - frame
    return torch.exp(-(distance**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))


def without_a_cut(sigma: float, frames: int, frame: int) -> Tensor:
    shares = not_normalised(sigma, frames, frame)
    return shares / shares.sum()


def cut_short_at_the_ends(sigma: float, frames: int, frame: int) -> Tensor:
    distance = (torch.arange(frames) - frame).abs()
    shares = without_a_cut(sigma, frames, frame) * (distance <= int(4 * sigma + 0.5))
    return shares / shares.sum()


def averaged_ids(labels: Tensor, weights: Tensor) -> Tensor:
    reach, frames = len(weights) // 2, len(labels)
    around = [[_mirrored(i + step, frames) for step in range(-reach, reach + 1)] for i in range(frames)]
    return (labels[torch.tensor(around)] * weights).sum(dim=1).round().long()


def nothing_beyond_the_ends(labels: Tensor, weights: Tensor) -> Tensor:
    reach, won = len(weights) // 2, []
    for i in range(len(labels)):
        votes = torch.zeros(int(labels.max()) + 1, dtype=torch.float64)
        for step in range(-reach, reach + 1):
            if 0 <= i + step < len(labels):
                votes[labels[i + step]] += weights[step + reach]
        won.append(votes.argmax())
    return torch.stack(won)


def the_highest_of_equals(labels: Tensor, weights: Tensor) -> Tensor:
    return int(labels.max()) - vote(int(labels.max()) - labels, weights)


def squared_eps(guide: Tensor, signal: Tensor, weights: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return window_line(guide, signal, weights, eps**2)


def through_the_origin(guide: Tensor, signal: Tensor, weights: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    slope = (guide * signal).mean() / ((guide**2).mean() + eps)
    return slope, torch.zeros_like(slope)


def of_a_sample(guide: Tensor, signal: Tensor, weights: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    slope = torch.cov(torch.stack([guide, signal]))[0, 1] / (guide.var() + eps)
    return slope, signal.mean() - slope * guide.mean()


def all_pixels_alike(guide: Tensor, signal: Tensor, weights: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return window_line(guide, signal, torch.ones_like(weights), eps)


WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("frame_shares", not_normalised, "it is cut off"),
    ("frame_shares", without_a_cut, "it is cut off"),
    ("frame_shares", cut_short_at_the_ends, "the first frame"),
    ("vote", averaged_ids, "one frame flickers"),
    ("vote", nothing_beyond_the_ends, "at the ends"),
    ("vote", the_highest_of_equals, "a tie"),
    ("window_line", squared_eps, "eps as large"),
    ("window_line", through_the_origin, "an edge"),
    ("window_line", of_a_sample, "eps as large"),
    ("window_line", all_pixels_alike, "in doubt"),
]
