"""What few seeds can say: means with their spread, paired gains with an interval, and whether an order shows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stc_lab.errors import InputError


@dataclass(frozen=True)
class Mean:
    """The mean over seeds, and how far they scatter."""

    value: float  # NaN without any
    spread: float  # sample standard deviation; NaN below 2
    n: int


@dataclass(frozen=True)
class Gain:
    """The mean of paired differences, with Student's interval about it."""

    mean: float
    spread: float  # sample standard deviation of the differences; NaN for one pair
    n: int
    low: float  # NaN for one pair
    high: float
    p_value: float  # two-sided, against no difference; NaN for one pair
    confidence: float = 0.95

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        return self.high < 0


def mean_of(values: Iterable[float | None]) -> Mean:
    """Mean and spread of what is known: None and NaN are left out, and not counted."""
    known = [float(v) for v in values if v is not None and not math.isnan(v)]
    if not known:
        return Mean(math.nan, math.nan, 0)
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else math.nan
    return Mean(float(np.mean(known)), spread, len(known))


def paired_gain(base: Sequence[float], other: Sequence[float], *, confidence: float = 0.95) -> Gain:
    """Gain of `other` over `base`, pair by pair (say seed by seed), with Student's t interval of the mean difference.

    The differences are taken to be about normal. One pair has a mean and no interval. Where all differences are equal
    the interval is that one value. Raises InputError for no pairs, lists of unequal length, or values not finite.
    """
    from scipy.special import stdtr, stdtrit

    a, b = (np.asarray(side, dtype=np.float64) for side in (base, other))
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise InputError(f"pairs are expected, at least one, got {a.shape} and {b.shape}", hint="one value per seed")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("paired values must be finite", hint="a run that is missing: leave its seed out on both sides")
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence}")
    difference = b - a
    n, mean = len(a), float(difference.mean())
    if n == 1:
        return Gain(mean, math.nan, 1, math.nan, math.nan, math.nan, confidence)
    spread = float(difference.std(ddof=1))
    error = spread / math.sqrt(n)
    reach = float(stdtrit(n - 1, (1 + confidence) / 2)) * error
    p_value = float(2 * stdtr(n - 1, -abs(mean / error))) if error > 0 else float(mean == 0)
    return Gain(mean, spread, n, mean - reach, mean + reach, p_value, confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests of one family, corrected by Holm's step-down rule; NaN stays, and is not counted."""
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected, largest = list(map(float, p_values)), 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[i] = largest
    return corrected


@dataclass(frozen=True)
class Ordering:
    """Whether rows come in an order that was foretold."""

    tau: float  # Kendall's tau-b of the foretold values and the means, -1..1; NaN if one side is all equal
    pairs: int  # pairs of rows whose means stand as foretold
    of: int  # pairs that were foretold
    p_value: float  # Page's trend test over the seeds, one-sided; NaN below 2 seeds or 3 rows
    seeds: int


def ordering(foretold: Mapping[str, float], values: Mapping[str, Sequence[float]]) -> Ordering:
    """Hold the values of rows, one for each seed in one order, against the foretold value of each row.

    Page's test ranks the rows within each seed, so that what a seed does to all of them is nothing. `foretold` values
    must differ from each other.
    """
    names = list(foretold)
    if set(names) != set(values) or len(names) < 2:
        raise InputError(f"the same rows, at least 2, are expected on both sides, got {names} and {list(values)}")
    if len({len(row) for row in values.values()}) != 1 or not len(values[names[0]]):
        raise InputError(f"each row needs as many seeds, got {[len(values[name]) for name in names]}")
    if len(set(foretold.values())) != len(names):
        raise InputError("two rows are foretold equal: they have no order", hint="leave one of them out")
    from scipy.stats import kendalltau, page_trend_test, rankdata

    told = np.array([foretold[name] for name in names])
    data = np.array([list(values[name]) for name in names], dtype=np.float64).T  # seeds x rows
    means = data.mean(axis=0)
    upper = np.triu_indices(len(names), 1)
    agree = np.sign(np.subtract.outer(told, told)[upper]) * np.sign(np.subtract.outer(means, means)[upper])
    p_value = math.nan
    if len(data) >= 2 and len(names) >= 3:
        ranks = rankdata(data, axis=1)  # ties share the mean of their ranks
        tied = bool((np.diff(np.sort(data, axis=1), axis=1) == 0).any())  # SciPy's exact p-value knows no ties
        test = page_trend_test(
            ranks, ranked=True, predicted_ranks=rankdata(told).astype(int), method="asymptotic" if tied else "auto"
        )
        p_value = float(test.pvalue)
    tau = float(kendalltau(told, means).statistic) if np.ptp(means) > 0 else math.nan
    return Ordering(tau, int((agree > 0).sum()), len(agree), p_value, len(data))
