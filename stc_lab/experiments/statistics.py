"""What few seeds can say: means with their spread, and paired gains with an interval."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stc_lab.errors import InputError

FEWEST = 3  # seeds from which anything is concluded


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
