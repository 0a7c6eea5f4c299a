"""How many labels does consistency replace? A score is looked up on the curve of nets that had labels alone.

Each seed has a curve of its own, for all nets of a seed share their labels. What is averaged over the seeds is the
logarithm: how often the labels that a score is worth double.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stc_lab.errors import InputError
from stc_lab.experiments.pasad_results import EQUAL, Result, counts_of, values_of
from stc_lab.experiments.published import CONTINUED, METHOD
from stc_lab.experiments.statistics import FEWEST, paired_gain

_LARGEST_POWER = 1000.0  # of 2 that a float holds, about
_ROUNDING = 1e-9  # relative


@dataclass(frozen=True)
class Equivalent:
    """The number of labels that the baseline needs for a score."""

    labels: float  # between the counts: interpolated in log count
    side: str = ""  # "at least" beyond the largest count of the curve, "at most" below the smallest


@dataclass(frozen=True)
class SeedDoublings:
    """How often the labels that a row is worth double, in each seed at each of its counts; halved labels are -1."""

    counts: tuple[int, ...]  # of the curves
    by_count: Mapping[int, Mapping[int, float]]
    left_out: tuple[int, ...] = ()  # seeds whose curve does not rise: nothing can be looked up there

    @property
    def note(self) -> str:
        """Which seeds are left out, in words; "" where none is."""
        return f"without {_seeds(self.left_out)}, whose curve does not rise" if self.left_out else ""


@dataclass(frozen=True)
class Replacement:
    """What one row at one label count is worth in labels of the baseline."""

    count: int
    score: float  # mean over the seeds
    labels: float
    factor: float  # labels / count: 2 to the mean of the seeds' doublings
    side: str  # "at least" the highest count, "at most" the lowest: the curve is extended to there
    low: float  # of the factor, from Student's interval of the doublings; NaN for fewer than 3 seeds
    high: float
    seeds: int


@dataclass(frozen=True)
class LabelEquivalence:
    """One row's worth in labels at each of its counts, and the largest factor of them."""

    row: str
    rows: list[Replacement]
    largest: float  # NaN without rows; no interval, for the largest of several is too large by chance
    side: str = ""  # of the largest
    note: str = ""

    @property
    def text(self) -> str:
        """The largest factor in words."""
        if not self.rows:
            return f"{self.row}: no factor yet" + (f" ({self.note})" if self.note else "")
        beyond = ", extrapolated" if self.side else ""
        words = [f"{self.row}: largest factor {self.largest:.1f}{beyond}"]
        if len(self.rows) > 1:
            words.append(f"the largest of {len(self.rows)}, and a maximum favours itself")
        return "; ".join([*words, self.note] if self.note else words)


def equivalent_labels(counts: Sequence[float], curve: Sequence[float], score: float) -> Equivalent:
    """The smallest count at which the rising curve through (`counts`, `curve`) reaches `score`.

    More labels cannot teach less: where the curve falls, it is first replaced by the nearest one that does not
    (isotonic regression). Between two counts it is straight over log count. Beyond its ends the curve is not known.
    """
    x, rising = _rising(counts, curve, score)
    if score > rising[-1]:
        return Equivalent(float(x[-1]), "at least")
    if score < rising[0]:
        return Equivalent(float(x[0]), "at most")
    right = int(np.searchsorted(rising, score, side="left"))
    if right == 0 or rising[right] == score:
        return Equivalent(float(x[right]))
    share = (score - rising[right - 1]) / (rising[right] - rising[right - 1])
    return Equivalent(float(np.exp(np.log(x[right - 1]) + share * (np.log(x[right]) - np.log(x[right - 1])))))


def doublings_beyond(counts: Sequence[float], curve: Sequence[float], score: float, count: float) -> float | None:
    """How often `count` labels double until the curve reaches `score`; negative below, and not capped.

    The curve of `equivalent_labels`, extended beyond both ends as a straight line over log count, with the
    least-squares slope of all its points as they are. None where that slope is not positive.
    """
    x, rising = _rising(counts, curve, score)
    along, y = np.log2(x) - np.log2(x).mean(), np.asarray(curve, dtype=np.float64)
    slope = float(along @ (y - y.mean()) / (along @ along))
    if slope <= _ROUNDING * np.abs(y).max():
        return None
    within = min(max(score, float(rising[0])), float(rising[-1]))
    labels = equivalent_labels(counts, curve, within).labels
    if score > within:
        labels = float(x[-1])
    return math.log2(labels / count) + (score - within) / slope


def _rising(counts: Sequence[float], curve: Sequence[float], score: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import isotonic_regression

    x, y = np.asarray(counts, dtype=np.float64), np.asarray(curve, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2 or not (np.diff(x) > 0).all() or x[0] <= 0:
        raise InputError(f"a curve over 2 or more rising counts is expected, got {list(counts)} and {list(curve)}")
    if not (np.isfinite(y).all() and math.isfinite(score)):
        raise InputError("scores must be finite", hint="a count without runs: leave it out of the curve")
    return x, np.asarray(isotonic_regression(y).x)


def seed_doublings(
    results: Sequence[Result],
    row: str = METHOD,
    *,
    base: str = CONTINUED,
    measure: str = "miou",
    strength: str = EQUAL,
) -> SeedDoublings:
    """Look each score of `row` up on its own seed's curve of `base`.

    Of the seeds that all counts of both rows have in common; nothing for fewer than 2 counts of `base`.
    """
    curves, own = (
        {
            count: found
            for count in counts_of(results)
            if (found := values_of(results, name, count, measure, strength=strength))
        }
        for name in (base, row)
    )
    counts = tuple(sorted(curves))
    if len(counts) < 2 or not own:
        return SeedDoublings(counts, {})
    seeds = sorted(set.intersection(*(set(found) for found in (*curves.values(), *own.values()))))
    by_count: dict[int, dict[int, float]] = {count: {} for count in own}
    left_out = []
    for seed in seeds:
        curve = [curves[count][seed] for count in counts]
        looked_up = {count: doublings_beyond(counts, curve, of[seed], count) for count, of in own.items()}
        if any(value is None for value in looked_up.values()):
            left_out.append(seed)
        for count, value in looked_up.items():
            if value is not None:
                by_count[count][seed] = value
    known = {count: values for count, values in by_count.items() if values}
    return SeedDoublings(counts, known, tuple(left_out))


def label_equivalence(
    results: Sequence[Result],
    row: str = METHOD,
    *,
    base: str = CONTINUED,
    measure: str = "miou",
    strength: str = EQUAL,
    confidence: float = 0.95,
) -> LabelEquivalence:
    """How many labels of `base` the score of `row` is worth, at each of its counts; no rows for fewer than 2 counts.

    The factor is 2 to the mean of the seeds' doublings (`seed_doublings`), its interval 2 to Student's interval of
    that mean. Where the mean lies beyond the curve it is an extrapolation: see `side`.
    """
    found = seed_doublings(results, row, base=base, measure=measure, strength=strength)
    rows = []
    for count, of in sorted(found.by_count.items()):
        gain = paired_gain([0.0] * len(of), list(of.values()), confidence=confidence)
        scores = values_of(results, row, count, measure, strength=strength)
        factor, low, high = (_power(value) for value in (gain.mean, gain.low, gain.high))
        if gain.n < FEWEST:
            low = high = math.nan
        labels = factor * count
        above, below = labels / found.counts[-1] > 1 + _ROUNDING, labels / found.counts[0] < 1 - _ROUNDING
        side = "at least" if above else "at most" if below else ""
        score = sum(scores[seed] for seed in of) / len(of)
        rows.append(Replacement(count, score, labels, factor, side, low, high, gain.n))
    best = max(rows, key=lambda one: one.factor, default=None)
    if best is None:
        return LabelEquivalence(row, [], math.nan, note=found.note)
    return LabelEquivalence(row, rows, best.factor, best.side, found.note)


def _power(doublings: float) -> float:
    return math.inf if doublings > _LARGEST_POWER else 2.0**doublings


def _seeds(seeds: Sequence[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def published_equivalence(table: Mapping[str, Sequence[float]], shares: Sequence[float]) -> dict[float, Equivalent]:
    """The same look-up on published curves, which end where they end: the share that each "consistency" is worth."""
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
