"""The claims of Pasad et al. 2020, as effects of a study's rows; the rule that judges them is in `claims`."""

import math
from collections.abc import Sequence
from functools import partial

from stc_lab.experiments.claims import BySeed, Claim, Effect, Verdict, difference, slope, verdict
from stc_lab.experiments.class_gains import rare_classes, seed_correlation
from stc_lab.experiments.pasad_results import (
    ANOTHER_ROOM,
    CONTROLS,
    EQUAL,
    EQUALISED,
    IDENTITY,
    LEARNED,
    Result,
    ablation_count,
    counts_of,
    seeds_of,
    values_of,
)
from stc_lab.experiments.published import BASELINE, CONTINUED, METHOD, PRIORS, SHARES, TABLE_1, TABLE_2

Results = Sequence[Result]
_PUBLISHED_GAINS = {
    f"{s:g} %": round(m - b, 1) for s, b, m in zip(SHARES, TABLE_1[BASELINE], TABLE_1[METHOD], strict=True)
}


def _gain(results: Results, row: str, count: int, *, base: str = CONTINUED, strength: str = EQUAL) -> dict[int, float]:
    return difference(*(values_of(results, name, count, strength=strength) for name in (base, row)))


def _gains_at(results: Results, row: str, counts: Sequence[int]) -> list[Effect]:
    return [
        Effect(
            f"{row} at {count} labels",
            _gain(results, row, count),
            {name: _gain(results, name, count) for name in (IDENTITY, *(c for c in CONTROLS if c != IDENTITY))},
        )
        for count in counts
    ] or [Effect(row, {}, missing="no results")]


def _at_lowest(results: Results, row: str = METHOD) -> list[Effect]:
    return _gains_at(results, row, counts_of(results)[:1])


def _at_highest(results: Results) -> list[Effect]:
    return [Effect(one.name, one.values) for one in _gains_at(results, METHOD, counts_of(results)[-1:])]


def _across(results: Results) -> list[Effect]:
    return _gains_at(results, METHOD, counts_of(results)[:-1])


def _relative_slope(results: Results) -> list[Effect]:
    def of(row: str) -> dict[int, float]:
        relative: dict[int, BySeed] = {}
        for count in counts_of(results):
            base = values_of(results, CONTINUED, count)
            gain = _gain(results, row, count)
            relative[count] = {seed: value / base[seed] for seed, value in gain.items() if base[seed] > 0}
        return slope(relative) if all(relative.values()) else {}

    return [Effect("fall of the relative gain per doubling", of(METHOD), {IDENTITY: of(IDENTITY)})]


def _against(results: Results, better: str, worse: Sequence[str], strength: str) -> list[Effect]:
    count = _count(results)
    if count is None:
        return [Effect(better, {}, missing="no results")]
    return [
        Effect(f"{better} minus {row}", _gain(results, better, count, base=row, strength=strength)) for row in worse
    ]


def _each_prior(results: Results, strength: str) -> list[Effect]:
    count = _count(results)
    if count is None:
        return [Effect("each prior", {}, missing="no results")]
    control = _gain(results, IDENTITY, count, strength=strength) or _gain(results, IDENTITY, count)
    return [Effect(prior, _gain(results, prior, count, strength=strength), {IDENTITY: control}) for prior in PRIORS]


def _count(results: Results) -> int | None:
    return ablation_count(results) if counts_of(results) else None


def _order(results: Results, strength: str) -> list[Effect]:
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


def _rare_first(results: Results) -> list[Effect]:
    counts = counts_of(results)
    if not counts:
        return [Effect("correlation", {}, missing="no results")]

    def of(row: str) -> dict[int, float]:
        base, other = (seeds_of(results, name, counts[0]) for name in (CONTINUED, row))
        found = {seed: seed_correlation(base[seed], other[seed]) for seed in sorted(base.keys() & other.keys())}
        return {seed: -value for seed, value in found.items() if value is not None}

    return [
        Effect("minus Spearman's correlation", of(METHOD), {IDENTITY: of(IDENTITY), ANOTHER_ROOM: of(ANOTHER_ROOM)})
    ]


def _rare_against_best(results: Results) -> list[Effect]:
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


def _table_2_claims(strength: str) -> list[Claim]:
    suffix = "" if strength == EQUAL else f", {strength}"
    return [
        Claim(
            f"each prior helps{suffix}",
            "Each loss component helps individually.",
            "Table 2, rows 1 to 4",
            {name: TABLE_2[name] - TABLE_2[CONTINUED] for name in PRIORS},
            partial(_each_prior, strength=strength),
        ),
        Claim(
            f"the three together are best{suffix}",
            "The combination of the three performs the best.",
            "Table 2, row 5",
            {name: TABLE_2["all three"] - TABLE_2[name] for name in PRIORS},
            partial(_against, better="all three", worse=PRIORS, strength=strength),
        ),
        Claim(
            f"hard labels are worse{suffix}",
            "The straight-forward approach based on hard decisions is not nearly as good as averaging.",
            "Table 2, row 6",
            {"pseudo-label CE": TABLE_2["all three"] - TABLE_2["pseudo-label CE"]},
            partial(_against, better="all three", worse=("pseudo-label CE",), strength=strength),
        ),
        Claim(
            f"hard labels do harm{suffix}",
            "Adding the cross-entropy of pseudo-labels to the three lowers the score.",
            "Table 2, row 7",
            {"all three + pseudo-label CE": TABLE_2["all three"] - TABLE_2["all three + pseudo-label CE"]},
            partial(_against, better="all three", worse=("all three + pseudo-label CE",), strength=strength),
        ),
        Claim(
            f"the order of the rows{suffix}",
            "The rows of the table come in the order of their printed scores.",
            "Table 2",
            dict(TABLE_2),
            partial(_order, strength=strength),
            unit="(1: the same order, 0: none)",
            smallest=0.2,
        ),
    ]


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "gain at few labels",
        "With 0.1 % of the labels, consistency raises the mean IoU.",
        "Table 1",
        {"0.1 %": _PUBLISHED_GAINS["0.1 %"]},
        _at_lowest,
    ),
    Claim(
        "gain along learned geometry",
        "Depth, egomotion and intrinsics that were learned without supervision are enough for it.",
        "Table 1 and section 4.1",
        {"0.1 %": _PUBLISHED_GAINS["0.1 %"]},
        partial(_at_lowest, row=LEARNED),
    ),
    Claim(
        "gain across the range",
        "The proposed approach gives consistent improvements across the range of supervision.",
        "Table 1 and section 4.3",
        {share: gain for share, gain in _PUBLISHED_GAINS.items() if share != "4 %"},
        _across,
    ),
    Claim(
        "more at fewer labels",
        "Higher relative improvements are observed at lower supervision.",
        "Table 1 and section 4.3",
        {
            f"{s:g} %": round(100 * (m / b - 1), 1)
            for s, b, m in zip(SHARES, TABLE_1[BASELINE], TABLE_1[METHOD], strict=True)
        },
        _relative_slope,
        unit="% of the baseline's mIoU",
        smallest=0.3,
    ),
    Claim(
        "no gain at many labels",
        "No improvement was observed above 4 % supervision.",
        "Table 1, caption",
        {"4 %": _PUBLISHED_GAINS["4 %"]},
        _at_highest,
        smallest=1.0,
        absent=True,
    ),
    *_table_2_claims(EQUAL),
    *_table_2_claims(EQUALISED),
    Claim(
        "rare classes gain most",
        "The relative improvement tends to be the highest for the rarest labels.",
        "Figure 2",
        {},
        _rare_first,
        unit="(positive: rare classes gain more)",
        smallest=0.1,
    ),
    Claim(
        "rare labels that the best baseline fails",
        "With 40 times less supervision, consistency labels rare classes that the best baseline fails to identify.",
        "Figure 3, two examples",
        {},
        _rare_against_best,
        unit="points of recall",
        smallest=1.0,
    ),
)


def verdicts(results: Results) -> list[Verdict]:
    """The verdict on each claim, in the paper's order."""
    return [verdict(claim, results) for claim in CLAIMS]


def claim_called(name: str) -> Claim:
    """The claim of that name."""
    return next(claim for claim in CLAIMS if claim.name == name)


def said(results: Results, *names: str) -> str:
    """Some claims as Markdown: what the paper says, what it printed, and the verdict in words made from its numbers."""
    blocks = []
    for name in names:
        found = verdict(claim_called(name), results)
        claim = found.claim
        printed = ", ".join(f"{where} {value:+.1f}" for where, value in claim.published.items())
        source = f"{claim.paper}, {claim.place}" + (f"; printed: {printed}" if printed else "")
        blocks.append(f"**{claim.name.capitalize()}.** *{claim.sentence}* ({source}). {found.text}")
    return "\n\n".join(blocks)
