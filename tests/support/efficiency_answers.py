"""Answers to the exercises on label efficiency: right ones, and the usual mistakes with the case that catches each."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def paired_interval(base: Tensor, other: Tensor, t: float) -> tuple[float, float, float]:
    gain = other - base
    mean, reach = float(gain.mean()), t * float(gain.std()) / math.sqrt(len(gain))
    return mean, mean - reach, mean + reach


def labels_needed(counts: Tensor, curve: Tensor, score: float) -> float:
    if score <= float(curve[0]):
        return float(counts[0])
    for i in range(1, len(counts)):
        if score <= float(curve[i]):
            share = (score - float(curve[i - 1])) / float(curve[i] - curve[i - 1])
            return float(counts[i - 1]) * float(counts[i] / counts[i - 1]) ** share
    return float(counts[-1])


def relative_gain(base: Tensor, other: Tensor) -> Tensor:
    return other.mean() / base.mean() - 1


def pixels_reached(carried: Tensor, num_classes: int) -> Tensor:
    first = carried[0]
    for label in carried[1:]:
        first = torch.where(first == 255, label, first)
    return torch.bincount(first[first != 255], minlength=num_classes).float()


def confusion_shares(confusion: Tensor) -> Tensor:
    return confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)


def unpaired(base: Tensor, other: Tensor, t: float) -> tuple[float, float, float]:
    mean = float(other.mean() - base.mean())
    reach = t * float((base.var() / len(base) + other.var() / len(other)).sqrt())
    return mean, mean - reach, mean + reach


def spread_of_seeds(base: Tensor, other: Tensor, t: float) -> tuple[float, float, float]:
    gain = other - base
    return float(gain.mean()), float(gain.mean() - t * gain.std()), float(gain.mean() + t * gain.std())


def divided_by_n(base: Tensor, other: Tensor, t: float) -> tuple[float, float, float]:
    gain = other - base
    mean, reach = float(gain.mean()), t * float(gain.std(correction=0)) / math.sqrt(len(gain))
    return mean, mean - reach, mean + reach


def straight_over_count(counts: Tensor, curve: Tensor, score: float) -> float:
    if score <= float(curve[0]):
        return float(counts[0])
    for i in range(1, len(counts)):
        if score <= float(curve[i]):
            share = (score - float(curve[i - 1])) / float(curve[i] - curve[i - 1])
            return float(counts[i - 1] + share * (counts[i] - counts[i - 1]))
    return float(counts[-1])


def continued_beyond(counts: Tensor, curve: Tensor, score: float) -> float:
    if score <= float(curve[-1]):
        return labels_needed(counts, curve, score)
    slope = float((counts[-1] / counts[-2]).log() / (curve[-1] - curve[-2]))
    return float(counts[-1]) * math.exp(slope * (score - float(curve[-1])))


def mean_of_ratios(base: Tensor, other: Tensor) -> Tensor:
    return (other / base - 1).mean()


def plain_ratio(base: Tensor, other: Tensor) -> Tensor:
    return other.mean() / base.mean()


def once_for_each_frame(carried: Tensor, num_classes: int) -> Tensor:
    return torch.bincount(carried[carried != 255], minlength=num_classes).float()


def unseen_as_a_class(carried: Tensor, num_classes: int) -> Tensor:
    return pixels_reached(carried.where(carried != 255, 0), num_classes)


def for_the_last(carried: Tensor, num_classes: int) -> Tensor:
    return pixels_reached(carried.flip(0), num_classes)


def by_column(confusion: Tensor) -> Tensor:
    return confusion / confusion.sum(dim=0, keepdim=True).clamp(min=1)


def not_a_number(confusion: Tensor) -> Tensor:
    return confusion / confusion.sum(dim=1, keepdim=True)


RIGHT: list[Callable[..., Any]] = [paired_interval, labels_needed, relative_gain, pixels_reached, confusion_shares]
WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("paired_interval", unpaired, "every seed gains"),
    ("paired_interval", spread_of_seeds, "five seeds"),
    ("paired_interval", divided_by_n, "five seeds"),
    ("labels_needed", straight_over_count, "half-way"),
    ("labels_needed", continued_beyond, "above the whole curve"),
    ("relative_gain", plain_ratio, "a tenth more"),
    ("relative_gain", mean_of_ratios, "nearly lost the class"),
    ("pixels_reached", unseen_as_a_class, "one labelled frame"),
    ("pixels_reached", once_for_each_frame, "see the same"),
    ("pixels_reached", for_the_last, "disagree"),
    ("confusion_shares", by_column, "two classes"),
    ("confusion_shares", not_a_number, "does not occur"),
]
