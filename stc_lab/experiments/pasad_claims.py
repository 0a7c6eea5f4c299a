"""The claims of Pasad et al. 2020, and this kit's own findings; the rule that judges them is in `claims`."""

import math
from collections.abc import Sequence
from functools import partial

from stc_lab.experiments.claims import Claim, Verdict, verdict
from stc_lab.experiments.label_equivalence import published_equivalence
from stc_lab.experiments.pasad_effects import (
    SMALLEST_DOUBLING,
    across,
    against,
    at_highest,
    at_lowest,
    doublings,
    each_prior,
    four_times,
    gains_at,
    order,
    rare_against_best,
    rare_first,
    relative_slope,
)
from stc_lab.experiments.pasad_profiles import BEST
from stc_lab.experiments.pasad_results import (
    BEST_LEARNED,
    EQUAL,
    EQUALISED,
    LEARNED,
    Result,
    counts_of,
    values_of,
)
from stc_lab.experiments.published import BASELINE, CONTINUED, METHOD, PRIORS, RARE, SHARES, TABLE_1, TABLE_2

Results = Sequence[Result]
_PUBLISHED_GAINS = {
    f"{s:g} %": round(m - b, 1) for s, b, m in zip(SHARES, TABLE_1[BASELINE], TABLE_1[METHOD], strict=True)
}


_PRINTED_DOUBLINGS = sum(
    math.log2(found.labels / share)
    for share, found in published_equivalence(TABLE_1, SHARES).items()
    if share < SHARES[-1]
) / (len(SHARES) - 1)


def _table_2_claims(strength: str) -> list[Claim]:
    suffix = "" if strength == EQUAL else f", {strength}"
    return [
        Claim(
            f"each prior helps{suffix}",
            "Each loss component helps individually.",
            "Table 2, rows 1 to 4",
            {name: TABLE_2[name] - TABLE_2[CONTINUED] for name in PRIORS},
            partial(each_prior, strength=strength),
        ),
        Claim(
            f"the three together are best{suffix}",
            "The combination of the three performs the best.",
            "Table 2, row 5",
            {name: TABLE_2["all three"] - TABLE_2[name] for name in PRIORS},
            partial(against, better="all three", worse=PRIORS, strength=strength),
        ),
        Claim(
            f"hard labels are worse{suffix}",
            "The straight-forward approach based on hard decisions is not nearly as good as averaging.",
            "Table 2, row 6",
            {"pseudo-label CE": TABLE_2["all three"] - TABLE_2["pseudo-label CE"]},
            partial(against, better="all three", worse=("pseudo-label CE",), strength=strength),
        ),
        Claim(
            f"hard labels do harm{suffix}",
            "Adding the cross-entropy of pseudo-labels to the three lowers the score.",
            "Table 2, row 7",
            {"all three + pseudo-label CE": TABLE_2["all three"] - TABLE_2["all three + pseudo-label CE"]},
            partial(against, better="all three", worse=("all three + pseudo-label CE",), strength=strength),
        ),
        Claim(
            f"the order of the rows{suffix}",
            "The rows of the table come in the order of their printed scores.",
            "Table 2",
            {},
            partial(order, strength=strength),
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
        at_lowest,
    ),
    Claim(
        "gain along learned geometry",
        "Depth, egomotion and intrinsics that were learned without supervision are enough for it.",
        "Table 1 and section 4.1",
        {"0.1 %": _PUBLISHED_GAINS["0.1 %"]},
        partial(at_lowest, row=LEARNED),
    ),
    Claim(
        "gain across the range",
        "The proposed approach gives consistent improvements across the range of supervision.",
        "Table 1 and section 4.3",
        {share: gain for share, gain in _PUBLISHED_GAINS.items() if share != "4 %"},
        across,
    ),
    Claim(
        "more at fewer labels",
        "Higher relative improvements are observed at lower supervision.",
        "Table 1 and section 4.3",
        {
            f"{s:g} %": round(100 * (m / b - 1), 1)
            for s, b, m in zip(SHARES, TABLE_1[BASELINE], TABLE_1[METHOD], strict=True)
        },
        relative_slope,
        unit="% of the continued baseline's mIoU",
        smallest=0.3,
    ),
    Claim(
        "replaces labels",
        "Supervision obtained through consistency constraints can mimic an increase in the number of labels.",
        "Table 1 and section 4.3",
        {"mean doublings below 4 %": _PRINTED_DOUBLINGS},
        doublings,
        unit="doublings of the labels",
        smallest=SMALLEST_DOUBLING,
    ),
    Claim(
        "four times the labels",
        "It does so by up to a factor of four.",
        "Table 1 and section 4.3",
        {"doublings at the best share": 2.0},
        four_times,
        unit="doublings of the labels",
        smallest=SMALLEST_DOUBLING,
    ),
    Claim(
        "no gain at many labels",
        "No improvement was observed above 4 % supervision.",
        "Table 1, caption",
        {"4 %": _PUBLISHED_GAINS["4 %"]},
        at_highest,
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
        rare_first,
        unit="(positive: rare classes gain more)",
        smallest=0.1,
    ),
    Claim(
        "rare labels that the best baseline fails",
        "With 40 times less supervision, consistency labels rare classes that the best baseline fails to identify.",
        f"Figure 3: two examples; the test is stronger, the mean recall of all classes under {100 * RARE:g} %",
        {},
        rare_against_best,
        unit="points of recall",
        smallest=1.0,
    ),
)


# What the search of this kit found on validation rooms, put to the same test as the paper's sentences.
FINDINGS: tuple[Claim, ...] = (
    Claim(
        "the best that was found, across the range",
        "Views fused along the geometry, with the labels that they see, teach more than the same without a warp, and "
        "more than the baseline's own word on single frames.",
        "the search on validation rooms",
        {},
        lambda results: gains_at(results, BEST, counts_of(results)),
        paper="this kit",
    ),
    Claim(
        "the best that was found, learned geometry",
        "It does so along geometry that was learned from images alone.",
        "the search on validation rooms",
        {},
        lambda results: gains_at(
            results, BEST_LEARNED, [c for c in counts_of(results) if values_of(results, BEST_LEARNED, c)]
        ),
        paper="this kit",
    ),
    Claim(
        "the best that was found replaces labels",
        "It is worth more labels than it uses.",
        "the search on validation rooms",
        {},
        partial(doublings, row=BEST),
        unit="doublings of the labels",
        smallest=SMALLEST_DOUBLING,
        paper="this kit",
    ),
    Claim(
        "the best that was found, rare classes",
        "Its relative gain is the highest for the rarest classes.",
        "after Figure 2",
        {},
        partial(rare_first, row=BEST),
        unit="(positive: rare classes gain more)",
        smallest=0.1,
        paper="this kit",
    ),
)


def verdicts(results: Results) -> list[Verdict]:
    """The verdict on each claim, in the paper's order, then on the kit's own findings."""
    return [verdict(claim, results) for claim in (*CLAIMS, *FINDINGS)]


def claim_called(name: str) -> Claim:
    """The claim of that name."""
    return next(claim for claim in (*CLAIMS, *FINDINGS) if claim.name == name)


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
