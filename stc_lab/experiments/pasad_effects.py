"""What a study says to each claim of Pasad et al. 2020 in numbers: one effect for each seed, beside its controls."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from stc_lab.experiments.claims import BySeed, Effect, difference, slope
from stc_lab.experiments.class_gains import rare_classes, seed_correlation
from stc_lab.experiments.label_equivalence import SeedDoublings, seed_doublings
from stc_lab.experiments.pasad_profiles import BEST
from stc_lab.experiments.pasad_results import (
    ANOTHER_ROOM,
    BEST_LEARNED,
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
from stc_lab.experiments.published import CONTINUED, METHOD, PRIORS, RARE, TABLE_2

Results = Sequence[Result]
# Their identity warp carries labels to wrong pixels, which does harm: that it is beaten says little.
_HARMED_CONTROL = (BEST, BEST_LEARNED)
_FOUR_TIMES = 2.0  # doublings
SMALLEST_DOUBLING = 0.2


def gain_of(
    results: Results, row: str, count: int, *, base: str = CONTINUED, strength: str = EQUAL
) -> dict[int, float]:
    """What a row gains over another in each seed that both have, in points of mIoU."""
    return difference(*(values_of(results, name, count, strength=strength) for name in (base, row)))


def _beside(name: str, row: str, of: Callable[[str], BySeed], shown: Sequence[str] = (), note: str = "") -> Effect:
    """An effect of a row beside the same effect of its controls, its identity warp first.

    What was found with labels that are carried must also beat self-distillation, where that has results.
    """
    controls = {control: of(control) for control in dict.fromkeys((identity_of(row), *shown))}
    if row not in _HARMED_CONTROL:
        return Effect(name, of(row), controls, note=note)
    if distilled := of(DISTILLED):
        to_beat = (identity_of(row), DISTILLED)
        return Effect(name, of(row), controls | {DISTILLED: distilled}, must_beat=to_beat, note=note)
    lacking = f"no {DISTILLED} to compare with"
    return Effect(name, of(row), controls, note=f"{note}; {lacking}" if note else lacking)


def gains_at(results: Results, row: str, counts: Sequence[int]) -> list[Effect]:
    """The gain of a row at some label counts, each beside its controls."""
    return [
        _beside(
            f"{row} at {count} labels",
            row,
            partial(gain_of, results, count=count),
            (ANOTHER_ROOM, DISTILLED),
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
    """In each seed: of the counts below the highest, the mean of how often the labels that it is worth double.

    Where self-distillation must be beaten and was run at some of the counts alone, a second part takes those counts.
    """
    title, below = "mean doublings", counts_of(results)[:-1]

    def at(counts: Sequence[int], name: str) -> Effect:
        note = _look_up(results, row).note
        return _beside(name, row, lambda one: _mean_doublings(results, one, counts), note=note)

    parts = [at(below, f"{title} below the highest count")]
    some = [count for count in below if values_of(results, DISTILLED, count)]
    if row in _HARMED_CONTROL and 0 < len(some) < len(below):
        parts.append(at(some, f"{title} at {', '.join(map(str, some))} labels"))
    return parts


def _look_up(results: Results, row: str) -> SeedDoublings:
    found = seed_doublings(results, row)
    return found if found.counts == counts_of(results) else SeedDoublings(found.counts, {})


def _mean_doublings(results: Results, row: str, counts: Sequence[int]) -> dict[int, float]:
    """Of the seeds with a value at each of these counts."""
    by_count = _look_up(results, row).by_count
    found = [by_count.get(count, {}) for count in counts]
    seeds = sorted(set.intersection(*(set(of) for of in found))) if found else []
    return {seed: sum(of[seed] for of in found) / len(found) for seed in seeds}


def four_times(results: Results) -> list[Effect]:
    """In each seed: doublings at one count, minus the least that is still worth being called four times the labels.

    An effect of exactly four is `SMALLEST_DOUBLING` above 0. Counts whose fourfold lies beyond the curve are left out.
    Of the others the count with the largest mean is taken, as the paper takes its own: this favours the claim. Where
    a seed's labels lie beyond the highest count they are extrapolated, and may be more.
    """
    name, found = "doublings at the best count", _look_up(results, METHOD)
    able = {count: of for count, of in found.by_count.items() if count * 2**_FOUR_TIMES <= found.counts[-1]}
    if not able:
        lacking = "no count whose fourfold lies on the curve" if found.by_count else "no results"
        return [Effect(name, {}, missing=lacking, note=found.note)]
    best = max(able, key=lambda count: sum(able[count].values()) / len(able[count]))
    least = _FOUR_TIMES - SMALLEST_DOUBLING

    def beyond_four(of: BySeed) -> dict[int, float]:
        return {seed: value - least for seed, value in of.items()}

    control = _look_up(results, IDENTITY).by_count.get(best, {})
    return [
        Effect(
            f"doublings at {best} labels, minus {least:g}",
            beyond_four(able[best]),
            {IDENTITY: beyond_four(control)},
            lower_bound=max(able[best].values()) > math.log2(found.counts[-1] / best),
            note=found.note,
        )
    ]


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
    """The gain of each prior alone, beside the identity warp: at equal weight, where it was not run equalised."""
    count = _count(results)
    if count is None:
        return [Effect("each prior", {}, missing="no results")]
    name, control = IDENTITY, gain_of(results, IDENTITY, count, strength=strength)
    if not control and strength != EQUAL:
        name, control = f"{IDENTITY} at {EQUAL}", gain_of(results, IDENTITY, count)
    return [Effect(prior, gain_of(results, prior, count, strength=strength), {name: control}) for prior in PRIORS]


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

    return [_beside("minus Spearman's correlation", row, of, (ANOTHER_ROOM,))]


def rare_against_best(results: Results) -> list[Effect]:
    """Mean recall of all rare classes: the method with the fewest labels minus the baseline with the most.

    This asks for more than the paper's Figure 3, which shows two objects on two frames.
    """
    counts = counts_of(results)
    title = f"mean recall of all classes under {100 * RARE:g} %"
    if len(counts) < 2 or not seeds_of(results, CONTINUED, counts[0]):
        return [Effect(title, {}, missing="no results")]
    rare = rare_classes(results, counts[0])

    def recall(result: Result) -> float | None:
        known = [v for name in rare if (v := result["recall"].get(name)) is not None and not math.isnan(v)]
        return sum(known) / len(known) if known else None

    best = values_of(results, CONTINUED, counts[-1], recall)
    few = {row: values_of(results, row, counts[0], recall) for row in (METHOD, IDENTITY)}
    name = f"{title}: consistency with {counts[0]} labels minus {CONTINUED} with {counts[-1]}"
    return [Effect(name, difference(best, few[METHOD]), {IDENTITY: difference(best, few[IDENTITY])})]
