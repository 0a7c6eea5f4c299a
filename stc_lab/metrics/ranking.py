"""Do two measures rank videos alike? Spearman's correlation, its p-value, and an interval by the bootstrap."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from stc_lab.errors import InputError


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation of two rankings."""

    value: float  # -1..1
    p_value: float  # two-sided, by Student's t with support - 2 degrees of freedom
    support: int  # pairs
    interval: tuple[float, float] | None = None  # of the bootstrap, where it was asked for


def spearman(
    a: Float64[np.ndarray, " n"],
    b: Float64[np.ndarray, " n"],
    *,
    resamples: int = 0,
    confidence: float = 0.95,
    generator: np.random.Generator | None = None,
) -> RankCorrelation:
    """Correlation of the ranks of two lists; equal values share the mean of their ranks.

    The p-value is that of `spearman_p_value`. `resamples` > 0 draws as many times n pairs with replacement and gives
    the middle `confidence` of their correlations (percentile bootstrap); it needs a `generator`. Draws in which one
    side is all equal have no correlation and are left out.
    Raises InputError for fewer than 3 pairs, values that are not finite, or one side all equal.
    """
    from scipy.stats import rankdata

    a, b = (np.asarray(side, dtype=np.float64) for side in (a, b))
    if a.ndim != 1 or a.shape != b.shape or len(a) < 3:
        raise InputError(f"two lists of one length, at least 3, are expected, got {list(a.shape)} and {list(b.shape)}")
    for name, side in (("a", a), ("b", b)):
        if not np.isfinite(side).all():
            raise InputError(
                f"{name} must be finite, got {int((~np.isfinite(side)).sum())} values that are not",
                hint="a video that had nothing to measure: leave it out on both sides",
            )
        if (side == side[0]).all():
            raise InputError(f"{name} must not be all equal, got {len(side)} times {side[0]:g}: it ranks nothing")
    value = float(_correlation(rankdata(a)[None], rankdata(b)[None])[0])
    interval = None
    if resamples:
        if generator is None:
            raise InputError("resamples need a generator", hint="generator=numpy.random.default_rng(0)")
        if resamples < 0 or not 0 < confidence < 1:
            raise InputError(f"resamples must be positive and confidence in 0..1, got {resamples} and {confidence}")
        drawn = generator.integers(0, len(a), (resamples, len(a)))
        found = _correlation(rankdata(a[drawn], axis=1), rankdata(b[drawn], axis=1))
        found = found[np.isfinite(found)]
        if not len(found):
            raise InputError(f"no resample has a correlation, of {resamples}", hint="more resamples, or more pairs")
        tail = (1 - confidence) / 2
        low, high = np.quantile(found, [tail, 1 - tail])
        interval = float(low), float(high)
    return RankCorrelation(value, spearman_p_value(value, len(a)), len(a), interval)


def spearman_p_value(correlation: float, pairs: int) -> float:
    """Two-sided probability of so strong a correlation if there were none, by Student's t; rough below 10 pairs.

    t = r sqrt((n - 2) / (1 - r^2)) with n - 2 degrees of freedom, as SciPy's spearmanr has it.
    """
    from scipy.special import stdtr

    if not -1 <= correlation <= 1 or pairs < 3:
        raise InputError(f"a correlation in -1..1 and at least 3 pairs are expected, got {correlation} and {pairs}")
    if abs(correlation) == 1:
        return 0.0
    t = correlation * np.sqrt((pairs - 2) / ((1 - correlation) * (1 + correlation)))
    return float(2 * stdtr(pairs - 2, -abs(t)))


def _correlation(a: Float64[np.ndarray, "r n"], b: Float64[np.ndarray, "r n"]) -> Float64[np.ndarray, " r"]:
    """Pearson's correlation row by row; NaN where a row is constant."""
    a, b = (side - side.mean(axis=1, keepdims=True) for side in (a, b))
    with np.errstate(invalid="ignore"):
        found = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.asarray(np.clip(found, -1, 1))
