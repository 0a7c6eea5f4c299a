"""What a study says to each claim of Pasad et al. 2020 in numbers: one effect for each seed, beside its controls."""

import math
from collections.abc import Sequence

from stc_lab.experiments.claims import BySeed, Effect, difference, slope
from stc_lab.experiments.class_gains import rare_classes, seed_correlation
from stc_lab.experiments.label_equivalence import equivalent_labels, label_equivalence
from stc_lab.experiments.pasad_results import (
    ANOTHER_ROOM,
    DISTILLED,
    EQUAL,
    IDENTITY,
    Result,
    ablation_count,
    counts_of,
    identity_of,
    seeds_of,
    values_of,
)
from stc_lab.experiments.published import CONTINUED, METHOD, PRIORS, TABLE_2

Results = Sequence[Result]


def gain_of(
    results: Results, row: str, count: int, *, base: str = CONTINUED, strength: str = EQUAL
) -> dict[int, float]:
    """What a row gains over another in each seed that both have, in points of mIoU."""
    return difference(*(values_of(results, name, count, strength=strength) for name in (base, row)))


def gains_at(results: Results, row: str, counts: Sequence[int]) -> list[Effect]:
    """The gain of a row at some label counts, each beside its controls."""
    return [
        Effect(
            f"{row} at {count} labels",
            gain_of(results, row, count),
            {name: gain_of(results, name, count) for name in (identity_of(row), ANOTHER_ROOM, DISTILLED)},
        )
        for count in counts
    ] or [Effect(row, {}, missing="no results")]


def at_lowest(results: Results, row: str = METHOD) -> list[Effect]:
    """The gain at the lowest label count."""
    return gains_at(results, row, counts_of(results)[:1])


def at_highest(results: Results) -> list[Effect]:
    """The gain at the highest label count, without controls: for the claim that there is none."""
    return [Effect(one.name, one.values) for one in gains_at(results, METHOD, counts_of(results)[-1:])]


def across(results: Results) -> list[Effect]:
    """The gain at each label count but the highest."""
    return gains_at(results, METHOD, counts_of(results)[:-1])


def doublings(results: Results, row: str = METHOD) -> list[Effect]:
    """In each seed: of the counts below the highest, the mean of how often the labels that it is worth double."""
    counts = counts_of(results)
    base = {count: values_of(results, CONTINUED, count) for count in counts}

    def of(name: str) -> dict[int, float]:
        own = {count: values_of(results, name, count) for count in counts[:-1]}
        if len(counts) < 2 or not all(own.values()):
            return {}
        seeds = set.intersection(*(set(scores) for scores in (*base.values(), *own.values())))
        return {
            seed: sum(
                math.log2(equivalent_labels(counts, [base[c][seed] for c in counts], own[count][seed]).labels / count)
                for count in own
            )
            / len(own)
            for seed in sorted(seeds)
        }

    return [Effect("mean doublings below the highest count", of(row), {identity_of(row): of(identity_of(row))})]


def four_times(results: Results) -> list[Effect]:
    """In each seed: doublings at the count where the mean curve has most of them, minus the two of "four times"."""
    found = label_equivalence(results, resamples=0)
    counts = counts_of(results)
    if not found.rows:
        return [Effect("largest factor", {}, missing="no results")]
    best = max(found.rows, key=lambda one: one.factor).count
    own = values_of(results, METHOD, best)
    base = {count: values_of(results, CONTINUED, count) for count in counts}
    seeds = sorted(set.intersection(set(own), *(set(scores) for scores in base.values())))
    values = {
        seed: math.log2(equivalent_labels(counts, [base[c][seed] for c in counts], own[seed]).labels / best) - 2
        for seed in seeds
    }
    return [Effect(f"doublings at {best} labels, minus 2", values)]


def relative_slope(results: Results) -> list[Effect]:
    """How much the gain, in per cent of the base, falls with each doubling of the labels."""

    def of(row: str) -> dict[int, float]:
        relative: dict[int, BySeed] = {}
        for count in counts_of(results):
            base = values_of(results, CONTINUED, count)
            gain = gain_of(results, row, count)
            relative[count] = {seed: value / base[seed] for seed, value in gain.items() if base[seed] > 0}
        return slope(relative) if all(relative.values()) else {}

    return [Effect("fall of the relative gain per doubling", of(METHOD), {IDENTITY: of(IDENTITY)})]


def against(results: Results, better: str, worse: Sequence[str], strength: str) -> list[Effect]:
    """What one row of Table 2 has over each of some others."""
    count = _count(results)
    if count is None:
        return [Effect(better, {}, missing="no results")]
    return [
        Effect(f"{better} minus {row}", gain_of(results, better, count, base=row, strength=strength)) for row in worse
    ]


def each_prior(results: Results, strength: str) -> list[Effect]:
    """The gain of each prior alone, beside the identity warp."""
    count = _count(results)
    if count is None:
        return [Effect("each prior", {}, missing="no results")]
    control = gain_of(results, IDENTITY, count, strength=strength) or gain_of(results, IDENTITY, count)
    return [Effect(prior, gain_of(results, prior, count, strength=strength), {IDENTITY: control}) for prior in PRIORS]


def _count(results: Results) -> int | None:
    return ablation_count(results) if counts_of(results) else None


def order(results: Results, strength: str) -> list[Effect]:
    """Kendall's tau of the rows of Table 2 with their printed scores."""
    from scipy.stats import kendalltau

    count = _count(results)
    if count is None:
        return [Effect("order", {}, missing="no results")]
    rows = {row: values_of(results, row, count, strength=strength) for row in TABLE_2}
    lacking = [row for row, of in rows.items() if not of]
    if lacking:
        return [Effect("order", {}, missing="no " + ", no ".join(lacking))]
    seeds = sorted(set.intersection(*(set(of) for of in rows.values())))
    told = list(TABLE_2.values())
    taus = {seed: kendalltau(told, [of[seed] for of in rows.values()]).statistic for seed in seeds}
    return [Effect("Kendall's tau with the printed order", {s: float(t) for s, t in taus.items() if not math.isnan(t)})]


def rare_first(results: Results, row: str = METHOD) -> list[Effect]:
    """Spearman's correlation of relative gain and frequency at the lowest count, turned round."""
    counts = counts_of(results)
    if not counts:
        return [Effect("correlation", {}, missing="no results")]

    def of(name: str) -> dict[int, float]:
        base, other = (seeds_of(results, one, counts[0]) for one in (CONTINUED, name))
        found = {seed: seed_correlation(base[seed], other[seed]) for seed in sorted(base.keys() & other.keys())}
        return {seed: -value for seed, value in found.items() if value is not None}

    controls = {name: of(name) for name in (identity_of(row), ANOTHER_ROOM)}
    return [Effect("minus Spearman's correlation", of(row), controls)]


def rare_against_best(results: Results) -> list[Effect]:
    """Recall of rare classes: the method with the fewest labels minus the baseline with the most."""
    counts = counts_of(results)
    title = "recall of rare classes"
    if len(counts) < 2 or not seeds_of(results, CONTINUED, counts[0]):
        return [Effect(title, {}, missing="no results")]
    rare = rare_classes(results, counts[0])

    def recall(result: Result) -> float | None:
        known = [v for name in rare if (v := result["recall"].get(name)) is not None and not math.isnan(v)]
        return sum(known) / len(known) if known else None

    best = values_of(results, CONTINUED, counts[-1], recall)
    few = {row: values_of(results, row, counts[0], recall) for row in (METHOD, IDENTITY)}
    name = f"{title}: consistency with {counts[0]} labels minus baseline with {counts[-1]}"
    return [Effect(name, difference(best, few[METHOD]), {IDENTITY: difference(best, few[IDENTITY])})]
