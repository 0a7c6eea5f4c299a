"""The exercises of chapters 05 and 06: paired gains, labels replaced, gains by class, reach and confusion."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stc_lab.experiments.label_equivalence import equivalent_labels
from stc_lab.experiments.pasad_results import row_shares
from stc_lab.experiments.statistics import paired_gain
from stc_lab.labs.exercise import IGNORE, Case, Exercise


def _interval_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, base: Tensor, other: Tensor, hint: str) -> Case:
        from scipy.special import stdtrit

        t = float(stdtrit(len(base) - 1, 0.975))
        gain = paired_gain(base.tolist(), other.tolist())
        return Case(title, {"base": base, "other": other, "t": t}, (gain.mean, gain.low, gain.high), hint)

    base = 25 + 3 * torch.randn(5, generator=generator, dtype=torch.float64)
    yield case("every seed gains one point", base, base + 1, "one difference, five times: the interval has no width")
    gain = torch.randn(5, generator=generator, dtype=torch.float64)
    yield case(
        "five seeds", base, base + gain, "differences first, then mean -+ t s / sqrt(n) of them; s divides by n-1"
    )
    few = base[:2]
    yield case(
        "two seeds", few, few + torch.tensor([0.5, 1.0]), "s has n - 1 in its denominator: with 2 seeds that is 1"
    )


def _labels_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, counts: Tensor, curve: Tensor, score: float, hint: str) -> Case:
        found = equivalent_labels(counts.tolist(), curve.tolist(), score).labels
        return Case(title, {"counts": counts, "curve": curve, "score": score}, found, hint)

    counts = torch.tensor([50.0, 100.0, 200.0, 400.0], dtype=torch.float64)
    curve = torch.tensor([10.0, 20.0, 30.0, 40.0], dtype=torch.float64)
    yield case("the score of a count", counts, curve, 20.0, "at the score of a count the answer is that count")
    yield case("half-way between two", counts, curve, 25.0, "straight over LOG count: half-way from 100 to 200 is 141")
    rising = curve + torch.rand(4, generator=generator, dtype=torch.float64)
    score = float(10 + 31 * torch.rand((), generator=generator))
    yield case("somewhere", counts, rising, min(max(score, float(rising[0])), float(rising[-1])), "interpolate in log")
    yield case("above the whole curve", counts, curve, 45.0, "what lies beyond is not known: the last count is a bound")
    yield case("below the whole curve", counts, curve, 5.0, "what lies before is not known: the first count is a bound")


def _relative_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, base: Tensor, other: Tensor, hint: str) -> Case:
        gain = paired_gain(base.tolist(), other.tolist())
        return Case(title, {"base": base, "other": other}, gain.mean / float(base.mean()), hint)

    base = 0.2 + 0.1 * torch.rand(3, generator=generator, dtype=torch.float64)
    yield case("a tenth more in every seed", base, 1.1 * base, "0.1, not 1.1 and not 10")
    uneven = torch.tensor([0.30, 0.02], dtype=torch.float64)
    lost = torch.tensor([0.33, 0.06], dtype=torch.float64)
    hint = "a ratio of MEANS: in the second seed the class was nearly lost, and its own ratio is 2"
    yield case("a seed that nearly lost the class", uneven, lost, hint)
    yield case("a loss", base, 0.5 * base, "losses are negative")


def _reach_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, carried: Tensor, classes: int, hint: str) -> Case:
        taken = torch.zeros(carried.shape[1:], dtype=torch.bool)
        counts = torch.zeros(classes)
        for label in carried:
            new = (label != IGNORE) & ~taken
            counts += torch.bincount(label[new], minlength=classes)
            taken |= new
        return Case(title, {"carried": carried, "num_classes": classes}, counts, hint)

    one = torch.randint(0, 3, (1, 2, 3), generator=generator)
    one[0, 0, 0] = IGNORE
    yield case("one labelled frame", one, 3, "255 is what it does not see: not a class")
    twice = torch.stack([torch.zeros(2, 2), torch.zeros(2, 2)]).long()
    yield case(
        "two frames that see the same", twice, 3, "each pixel counts once; a class that nothing reaches counts 0"
    )
    odds = torch.tensor([[[0, IGNORE], [1, 1]], [[1, 1], [IGNORE, 1]]])
    yield case("two frames that disagree", odds, 2, "a pixel counts for the first frame that sees it")
    many = torch.randint(0, 5, (4, 12, 16), generator=generator)
    hidden = torch.rand(4, 12, 16, generator=generator) < 0.6
    yield case("four frames", many.masked_fill(hidden, IGNORE), 5, "remember which pixels are taken")


def _confusion_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, confusion: Tensor, hint: str) -> Case:
        shares = torch.from_numpy(row_shares(confusion.tolist()))
        return Case(title, {"confusion": confusion}, shares, hint)

    yield case("two classes", torch.tensor([[8, 2], [1, 3]]), "divide each ROW by its sum: rows are the true classes")
    counts = torch.randint(0, 50, (4, 4), generator=generator) + torch.eye(4, dtype=torch.int64)
    yield case("four classes", counts, "each row adds up to 1")
    counts = counts.clone()
    counts[2] = 0
    yield case("a class that does not occur", counts, "its row has no pixel: 0 throughout, not NaN")


_INTERVAL = (
    "The mean gain and Student's interval: paired_interval(base, other, t) -> (mean, low, high); base and other hold a "
    "score for each seed, t is the quantile for so many seeds."
)
_LABELS = (
    "How many labels does the baseline need for a score: labels_needed(counts, curve, score) -> number; the curve "
    "rises with the counts and is straight over log count; beyond its ends answer with the nearest count."
)
_RELATIVE = (
    "How much larger is a class's IoU: relative_gain(base, other) -> number, the mean gain over the mean base; a value "
    "for each seed."
)
_REACH = (
    "How many pixels of a frame get which class from labelled frames around it: pixels_reached(carried, num_classes) "
    "-> [num_classes]; carried [n, h, w] holds the labels as each of n frames brings them, 255 where it sees nothing. "
    "A pixel counts once, for the first frame that sees it."
)
_CONFUSION = (
    "What becomes of each true class: confusion_shares(confusion) -> [k, k], rows (true classes) in shares; a class "
    "that does not occur has a row of 0."
)

_05, _06 = "05_label_efficiency_and_ablation", "06_rare_classes"
EFFICIENCY_EXERCISES = (
    Exercise("paired_interval", _05, _INTERVAL, _interval_cases),
    Exercise("labels_needed", _05, _LABELS, _labels_cases),
    Exercise("relative_gain", _06, _RELATIVE, _relative_cases),
    Exercise("pixels_reached", _06, _REACH, _reach_cases),
    Exercise("confusion_shares", _06, _CONFUSION, _confusion_cases),
)
