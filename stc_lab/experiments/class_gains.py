"""Figure 2 of Pasad et al. 2020: does consistency help the rare classes most? Gains by class, over their frequency."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stc_lab.errors import InputError
from stc_lab.experiments.pasad_results import EQUAL, Result, counts_of, seeds_of
from stc_lab.experiments.published import CONTINUED, METHOD, RARE
from stc_lab.experiments.statistics import Gain, Mean, mean_of, paired_gain
from stc_lab.metrics import RankCorrelation, spearman

SMALLEST = 0.01  # mean IoU of the base below which a class has no relative gain: a ratio to almost nothing
BANDS = ((RARE, 1.01, "5 % and more"), (0.01, RARE, "1 to 5 %"), (0.0, 0.01, "under 1 %"))


@dataclass(frozen=True)
class ClassGain:
    """What a row does to the IoU of one class; shares, 0..1."""

    name: str
    frequency: float  # share of the labelled pixels
    base: float  # mean IoU of the base over the seeds that both have
    gain: Gain  # of the IoU, paired by seed
    relative: float  # mean gain / mean base; NaN where the base is below SMALLEST
    error: float  # standard error of the mean gain / mean base; NaN for one seed


@dataclass(frozen=True)
class ClassGains:
    """All classes of one comparison, the most frequent first, and the two correlations."""

    row: str
    base: str
    count: int
    classes: tuple[ClassGain, ...]  # those with an IoU on both sides
    left_out: tuple[str, ...]  # classes without a relative gain
    relative: RankCorrelation | None  # of frequency and relative gain; the paper's is negative. None: fewer than 3
    absolute: RankCorrelation | None  # of frequency and gain

    def correlation_with(self, values: Mapping[str, float]) -> RankCorrelation | None:
        """Of the gain in points with some other number of each class that has one; None where nothing can be ranked."""
        both = [one for one in self.classes if one.name in values]
        return _correlation([values[one.name] for one in both], [one.gain.mean for one in both])

    def bands(self) -> dict[str, Mean]:
        """Mean gain (shares of IoU) of frequent, middle and rare classes."""
        return {
            title: mean_of(one.gain.mean for one in self.classes if low <= one.frequency < high)
            for low, high, title in BANDS
        }


def class_gains(
    results: Sequence[Result],
    count: int | None = None,
    *,
    row: str = METHOD,
    base: str = CONTINUED,
    strength: str = EQUAL,
) -> ClassGains:
    """Relative and absolute gain of each class at one label count, by default the lowest (the paper's 0.1 %).

    A class counts in the seeds in which both nets have an IoU for it. The relative gain is a ratio of means, so that a
    seed in which a class is nearly lost cannot decide it. Raises InputError where the two rows have no seed in common.
    """
    count = _lowest(results) if count is None else count
    of_base = seeds_of(results, base, count, strength=strength)
    of_row = seeds_of(results, row, count, strength=strength)
    seeds = sorted(of_base.keys() & of_row.keys())
    if not seeds:
        raise InputError(
            f"no seed has both {base!r} and {row!r} at {count} labels", hint="the study is only partly done"
        )
    frequency = frequencies([of_base[seed] for seed in seeds])
    found = []
    for name, share in frequency.items():
        pairs = [(of_base[s]["iou"].get(name), of_row[s]["iou"].get(name)) for s in seeds]
        known = [(a, b) for a, b in pairs if a is not None and b is not None and not math.isnan(a + b)]
        if known:
            gain = paired_gain([a for a, _ in known], [b for _, b in known])
            mean = float(np.mean([a for a, _ in known]))
            ratio = 1 / mean if mean >= SMALLEST else math.nan
            error = gain.spread / math.sqrt(gain.n) * ratio
            found.append(ClassGain(name, share, mean, gain, gain.mean * ratio, error))
    found.sort(key=lambda one: -one.frequency)
    rated = [one for one in found if not math.isnan(one.relative)]
    return ClassGains(
        row,
        base,
        count,
        tuple(found),
        tuple(name for name in frequency if name not in {one.name for one in rated}),
        _correlation([one.frequency for one in rated], [one.relative for one in rated]),
        _correlation([one.frequency for one in found], [one.gain.mean for one in found]),
    )


def seed_correlation(base: Result, other: Result) -> float | None:
    """Spearman's correlation of frequency and relative gain in one seed; None where it has none."""
    frequency = frequencies([base])
    pairs = [
        (share, other["iou"][name] / base["iou"][name] - 1)
        for name, share in frequency.items()
        if base["iou"].get(name) is not None and other["iou"].get(name) is not None and base["iou"][name] >= SMALLEST
    ]
    found = _correlation([share for share, _ in pairs], [gain for _, gain in pairs])
    return None if found is None else found.value


def frequencies(results: Sequence[Result]) -> dict[str, float]:
    """Mean share of each class of the labelled pixels, or of the test pixels where those were not kept."""
    shares: list[Mapping[str, float | None]] = [r.get("train_frequency") or r["frequency"] for r in results]
    return {name: float(np.mean([one[name] or 0.0 for one in shares])) for name in shares[0]}


def rare_classes(results: Sequence[Result], count: int | None = None, *, below: float = RARE) -> tuple[str, ...]:
    """Classes under a share of the labelled pixels, the rarest first."""
    count = _lowest(results) if count is None else count
    shares = frequencies(list(seeds_of(results, CONTINUED, count).values()))
    return tuple(sorted((name for name, share in shares.items() if share < below), key=lambda name: shares[name]))


def _lowest(results: Sequence[Result]) -> int:
    counts = counts_of(results)
    if not counts:
        raise InputError("there are no results, so no classes to compare", hint="stc-lab reproduce pasad")
    return counts[0]


def _correlation(a: Sequence[float], b: Sequence[float]) -> RankCorrelation | None:
    # Rounded, for equal gains differ in their last bits, and ranks would take that for an order.
    x, y = (np.asarray(side, dtype=np.float64).round(12) for side in (a, b))
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return spearman(x, y)
