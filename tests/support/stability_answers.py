"""Answers to the exercises of chapter 09: right ones, and the usual mistakes with the case that catches them."""

from collections.abc import Callable
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor


def pair_energy(
    labels_p: Tensor, labels_q: Tensor, p_on_q: Tensor, q_on_p: Tensor, visible_q: Tensor, visible_p: Tensor
) -> float:
    on_q = (p_on_q != labels_q)[visible_q].double().mean()
    on_p = (q_on_p != labels_p)[visible_p].double().mean()
    return float(on_q + on_p)


def smooth_energy(mask: Tensor, smoothed: Tensor, boundary_pixels: float) -> Tensor:
    return (mask.double() - smoothed).flatten(1).norm(dim=1).mean() / boundary_pixels


def rank_correlation(a: Tensor, b: Tensor) -> float:
    return float(spearmanr(a.numpy(), b.numpy()).statistic)


def as_printed(
    labels_p: Tensor, labels_q: Tensor, p_on_q: Tensor, q_on_p: Tensor, visible_q: Tensor, visible_p: Tensor
) -> float:
    return 2 - pair_energy(labels_p, labels_q, p_on_q, q_on_p, visible_q, visible_p)


def one_way(
    labels_p: Tensor, labels_q: Tensor, p_on_q: Tensor, q_on_p: Tensor, visible_q: Tensor, visible_p: Tensor
) -> Tensor:
    return (p_on_q != labels_q)[visible_q].double().mean()


def both_averaged(**inputs: Tensor) -> float:
    return pair_energy(**inputs) / 2


def over_all_pixels(
    labels_p: Tensor, labels_q: Tensor, p_on_q: Tensor, q_on_p: Tensor, visible_q: Tensor, visible_p: Tensor
) -> Tensor:
    on_q, on_p = (p_on_q != labels_q) & visible_q, (q_on_p != labels_p) & visible_p
    return on_q.double().mean() + on_p.double().mean()


def masks_exchanged(
    labels_p: Tensor, labels_q: Tensor, p_on_q: Tensor, q_on_p: Tensor, visible_q: Tensor, visible_p: Tensor
) -> float:
    return pair_energy(labels_p, labels_q, p_on_q, q_on_p, visible_p, visible_q)


def without_root(mask: Tensor, smoothed: Tensor, boundary_pixels: float) -> Tensor:
    return (mask.double() - smoothed).square().flatten(1).sum(dim=1).mean() / boundary_pixels


def not_normalised(mask: Tensor, smoothed: Tensor, boundary_pixels: float) -> Tensor:
    return smooth_energy(mask, smoothed, 1.0)


def root_of_the_whole_clip(mask: Tensor, smoothed: Tensor, boundary_pixels: float) -> Tensor:
    return (mask.double() - smoothed).norm() / len(mask) / boundary_pixels


def summed_over_frames(mask: Tensor, smoothed: Tensor, boundary_pixels: float) -> Tensor:
    return smooth_energy(mask, smoothed, boundary_pixels) * len(mask)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    return torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1]


def unsigned(a: Tensor, b: Tensor) -> float:
    return abs(rank_correlation(a, b))


def ties_in_order(a: Tensor, b: Tensor) -> Tensor:
    return pearson(*(x.argsort(stable=True).argsort().double() for x in (a, b)))


RIGHT: list[Callable[..., Any]] = [pair_energy, smooth_energy, rank_correlation]
WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("pair_energy", one_way, "everything is visible"),
    ("pair_energy", both_averaged, "everything is visible"),
    ("pair_energy", over_all_pixels, "some pixels are hidden"),
    ("pair_energy", masks_exchanged, "some pixels are hidden"),
    ("smooth_energy", without_root, "two pixels blink"),
    ("smooth_energy", root_of_the_whole_clip, "a whole clip"),
    ("smooth_energy", summed_over_frames, "two pixels blink"),
    ("smooth_energy", not_normalised, "by the boundary"),
    ("rank_correlation", pearson, "in the same order"),
    ("rank_correlation", unsigned, "in opposite order"),
    ("rank_correlation", ties_in_order, "ratings with ties"),
]
