"""How many labels does consistency replace? A score is looked up on the curve of nets that had labels alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stc_lab.errors import InputError
from stc_lab.experiments.pasad_results import EQUAL, Result, counts_of, values_of
from stc_lab.experiments.published import CONTINUED, METHOD


@dataclass(frozen=True)
class Equivalent:
    """The number of labels that the baseline needs for a score."""

    labels: float  # between the counts: interpolated in log count
    side: str = ""  # "at least" beyond the largest count of the curve, "at most" below the smallest


@dataclass(frozen=True)
class Replacement:
    """What one row at one label count is worth in labels of the baseline."""

    count: int
    score: float  # mean over the seeds
    labels: float
    factor: float  # labels / count
    side: str  # as of `Equivalent`
    low: float  # of the factor, by the bootstrap over seeds; NaN for fewer than 3 seeds
    high: float
    seeds: int


@dataclass(frozen=True)
class LabelEquivalence:
    """One row's worth in labels at each of its counts, and the largest factor of them."""

    row: str
    rows: list[Replacement]
    largest: float  # NaN without rows
    low: float  # of the largest factor, the largest taken within each draw; NaN for fewer than 3 seeds
    high: float
    side: str = ""  # of the largest

    @property
    def text(self) -> str:
        """The largest factor in words, with its interval if it has one."""
        if not self.rows:
            return f"{self.row}: no factor yet"
        known = "" if math.isnan(self.low) else f", 95 % interval {self.low:.1f} to {self.high:.1f}"
        return f"{self.row}: largest factor {(self.side + ' ') if self.side else ''}{self.largest:.1f}{known}"


def equivalent_labels(counts: Sequence[float], curve: Sequence[float], score: float) -> Equivalent:
    """The smallest count at which the rising curve through (`counts`, `curve`) reaches `score`.

    More labels cannot teach less: where the curve falls, it is first replaced by the nearest one that does not
    (isotonic regression). Between two counts it is straight over log count. Beyond its ends the curve is not known.
    """
    from scipy.optimize import isotonic_regression

    x, y = np.asarray(counts, dtype=np.float64), np.asarray(curve, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2 or not (np.diff(x) > 0).all() or x[0] <= 0:
        raise InputError(f"a curve over 2 or more rising counts is expected, got {list(counts)} and {list(curve)}")
    if not (np.isfinite(y).all() and math.isfinite(score)):
        raise InputError("scores must be finite", hint="a count without runs: leave it out of the curve")
    rising = np.asarray(isotonic_regression(y).x)
    if score > rising[-1]:
        return Equivalent(float(x[-1]), "at least")
    if score < rising[0]:
        return Equivalent(float(x[0]), "at most")
    right = int(np.searchsorted(rising, score, side="left"))
    if right == 0 or rising[right] == score:
        return Equivalent(float(x[right]))
    share = (score - rising[right - 1]) / (rising[right] - rising[right - 1])
    return Equivalent(float(np.exp(np.log(x[right - 1]) + share * (np.log(x[right]) - np.log(x[right - 1])))))


def label_equivalence(
    results: Sequence[Result],
    row: str = METHOD,
    *,
    base: str = CONTINUED,
    measure: str = "miou",
    strength: str = EQUAL,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> LabelEquivalence:
    """How many labels of `base` the score of `row` is worth, at each of its counts; no rows for fewer than 2 counts.

    Means over the seeds that all counts of both rows have in common. The interval is the middle `confidence` of the
    factors of `resamples` draws of seeds with replacement, the same draw for both rows and all counts, whose nets of
    one seed share their labels. A factor at the end of the curve is a bound: see `side`.
    """
    scores = {
        name: {
            count: found
            for count in counts_of(results)
            if (found := values_of(results, name, count, measure, strength=strength))
        }
        for name in (base, row)
    }
    counts = sorted(scores[base])
    seeds = _common([set(found) for of in scores.values() for found in of.values()])
    if len(counts) < 2 or not scores[row] or not seeds:
        return LabelEquivalence(row, [], math.nan, math.nan, math.nan)
    curve, own = (np.array([[of[count][one] for one in seeds] for count in sorted(of)]) for of in scores.values())

    def factors(chosen: np.ndarray) -> list[tuple[float, str]]:
        means = curve[:, chosen].mean(axis=1).tolist()
        found = [equivalent_labels(counts, means, float(score)) for score in own[:, chosen].mean(axis=1)]
        return [(one.labels / count, one.side) for count, one in zip(sorted(scores[row]), found, strict=True)]

    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(seeds), (resamples if len(seeds) > 2 else 0, len(seeds)))
    drawn = np.array([[factor for factor, _ in factors(chosen)] for chosen in draws])
    now = factors(np.arange(len(seeds)))
    rows = [
        Replacement(
            count, float(own[i].mean()), factor * count, factor, side, *_middle(drawn, i, confidence), len(seeds)
        )
        for i, (count, (factor, side)) in enumerate(zip(sorted(scores[row]), now, strict=True))
    ]
    largest, side = max(now)
    return LabelEquivalence(row, rows, largest, *_middle(drawn, None, confidence), side)


def _common(seeds: list[set[int]]) -> list[int]:
    return sorted(set.intersection(*seeds)) if seeds else []


def _middle(drawn: np.ndarray, column: int | None, confidence: float) -> tuple[float, float]:
    """The middle of one column of the draws, or of each draw's largest value."""
    if not len(drawn):
        return math.nan, math.nan
    values = drawn.max(axis=1) if column is None else drawn[:, column]
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def published_equivalence(table: Mapping[str, Sequence[float]], shares: Sequence[float]) -> dict[float, Equivalent]:
    """The same look-up on published curves: the share of labels that each score of "consistency" is worth."""
    return {
        share: equivalent_labels(shares, table["baseline"], score)
        for share, score in zip(shares, table[METHOD], strict=True)
    }


def noisy_equivalence(
    table: Mapping[str, Sequence[float]], shares: Sequence[float], *, noise: float, draws: int = 2000, seed: int = 0
) -> np.ndarray:
    """The largest factor of the printed curves, had every score been off by `noise` points: one value for each draw.

    Each printed score is one run. The draws add independent normal errors to all of them.
    """
    generator = np.random.default_rng(seed)
    scores = np.array([table["baseline"], table[METHOD]], dtype=np.float64)
    drawn = scores + noise * generator.standard_normal((draws, *scores.shape))
    factors = [
        max(
            found.labels / share
            for share, found in published_equivalence(dict(zip(table, one, strict=True)), shares).items()
        )
        for one in drawn.tolist()
    ]
    return np.array(factors)
