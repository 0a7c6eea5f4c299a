"""Answers to the exercises on the contrastive loss: right ones, and the usual mistakes with the case for each."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def anchor_loss(positives: Tensor, negatives: Tensor, tau: float) -> Tensor:
    return F.softplus(torch.logsumexp(negatives / tau, dim=0) - positives / tau).mean()


def sure_labels(probabilities: Tensor, threshold: float) -> Tensor:
    confidence, likeliest = probabilities.max(dim=0)
    return torch.where(confidence > threshold, likeliest, 255).double()


def official_vc(prediction: Tensor, truth: Tensor, n: int) -> float:
    shares = []
    for start in range(len(truth) - n):
        window = slice(start, start + n)
        steady = (truth[window] == truth[start]).all(dim=0)
        constant = (prediction[window] == prediction[start]).all(dim=0)
        if steady.any():
            shares.append(float((steady & constant).sum() / steady.sum()))
    return sum(shares) / len(shares)


def as_the_formula_is_written(positives: Tensor, negatives: Tensor, tau: float) -> Tensor:
    nominator = torch.exp(positives / tau)
    return -torch.log(nominator / (nominator + torch.exp(negatives / tau).sum())).mean()


def all_positives_below(positives: Tensor, negatives: Tensor, tau: float) -> Tensor:
    return -(positives / tau - torch.logsumexp(torch.cat([positives, negatives]) / tau, dim=0)).mean()


def mean_inside_the_logarithm(positives: Tensor, negatives: Tensor, tau: float) -> Tensor:
    return -torch.sigmoid(positives / tau - torch.logsumexp(negatives / tau, dim=0)).mean().log()


def without_tau(positives: Tensor, negatives: Tensor, tau: float) -> Tensor:
    return anchor_loss(positives, negatives, 1.0)


def in_bits(positives: Tensor, negatives: Tensor, tau: float) -> Tensor:
    return anchor_loss(positives, negatives, tau) / torch.log(torch.tensor(2.0))


def keeps_all(probabilities: Tensor, threshold: float) -> Tensor:
    return probabilities.argmax(dim=0).double()


def the_threshold_too(probabilities: Tensor, threshold: float) -> Tensor:
    confidence, likeliest = probabilities.max(dim=0)
    return torch.where(confidence >= threshold, likeliest, 255).double()


def always_a_half(probabilities: Tensor, threshold: float) -> Tensor:
    return sure_labels(probabilities, 0.5)


def must_be_right(prediction: Tensor, truth: Tensor, n: int) -> float:
    shares = []
    for start in range(len(truth) - n):
        window = slice(start, start + n)
        steady = (truth[window] == truth[start]).all(dim=0)
        right = (prediction[window] == truth[window]).all(dim=0)
        shares.append(float((steady & right).sum() / steady.sum()))
    return sum(shares) / len(shares)


def every_pixel(prediction: Tensor, truth: Tensor, n: int) -> float:
    windows = range(len(truth) - n)
    steady = [(truth[i : i + n] == truth[i]).all(dim=0) for i in windows]
    constant = [(prediction[i : i + n] == prediction[i]).all(dim=0) for i in windows]
    return sum(float((s & c).float().mean()) for s, c in zip(steady, constant, strict=True)) / len(windows)


def first_against_last(prediction: Tensor, truth: Tensor, n: int) -> float:
    shares = []
    for i in range(len(truth) - n):
        steady, constant = truth[i] == truth[i + n - 1], prediction[i] == prediction[i + n - 1]
        shares.append(float((steady & constant).sum() / steady.sum()))
    return sum(shares) / len(shares)


def with_the_last_window(prediction: Tensor, truth: Tensor, n: int) -> float:
    more = [torch.cat([labels, labels[-1:]]) for labels in (prediction, truth)]
    return official_vc(more[0], more[1], n)


RIGHT: list[Callable[..., Any]] = [anchor_loss, sure_labels, official_vc]
WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("anchor_loss", in_bits, "equally near"),
    ("anchor_loss", without_tau, "many negatives"),
    ("anchor_loss", all_positives_below, "several positives"),
    ("anchor_loss", mean_inside_the_logarithm, "several positives"),
    ("anchor_loss", as_the_formula_is_written, "unnormalised"),
    ("sure_labels", keeps_all, "some are not"),
    ("sure_labels", the_threshold_too, "exactly"),
    ("sure_labels", always_a_half, "a high threshold"),
    ("official_vc", must_be_right, "a constant wrong map"),
    ("official_vc", every_pixel, "a world that moves"),
    ("official_vc", first_against_last, "wavers"),
    ("official_vc", with_the_last_window, "only the last frame"),
]
