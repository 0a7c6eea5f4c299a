"""The rule of the verdicts: what shows, what does not, and when nobody can say."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_pasad import (
    CLASSES,
    CONTINUED,
    COUNTS,
    FREQUENCY,
    IDENTITY,
    METHOD,
    TABLE_2_ROWS,
    base_score,
    made_up_study,
    result,
)

from stc_lab.experiments.claims import Claim, Effect, Verdict, slope, verdict
from stc_lab.experiments.pasad_claims import CLAIMS, FINDINGS, claim_called, said, verdicts
from stc_lab.experiments.pasad_profiles import BEST
from stc_lab.experiments.published import TABLE_2


def judged(
    values: Mapping[int, float],
    control: Mapping[int, float] | None = None,
    *,
    absent: bool = False,
    smallest: float = 0.5,
    missing: str = "",
) -> Verdict:
    controls = {} if control is None else {"identity warp": control}
    effect = Effect("it", values, controls, missing)
    return verdict(Claim("c", "It is so.", "here", {}, lambda _: [effect], smallest=smallest, absent=absent), [])


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


ABOUT_2, ABOUT_0, WIDE = seeds(1.9, 2.0, 2.1, 2.0), seeds(-0.1, 0.0, 0.1, 0.0), seeds(-4.0, 6.0, -2.0, 5.0)


@pytest.mark.parametrize(
    ("values", "control", "word"),
    [
        (ABOUT_2, ABOUT_0, "shows"),
        (ABOUT_2, None, "shows"),
        (ABOUT_2, ABOUT_2, "does not show"),  # the control gains as much
        (ABOUT_2, seeds(4.0, 4.0, 4.1, 4.0), "does not show"),  # the control gains more
        (ABOUT_0, ABOUT_0, "does not show"),  # too small to matter
        (seeds(-2.0, -2.1, -1.9), None, "does not show"),
        (WIDE, None, "inconclusive"),
        (ABOUT_2, WIDE, "inconclusive"),
        (seeds(2.0, 2.0), None, "inconclusive"),  # two seeds
        (ABOUT_2, seeds(0.0, 0.0), "inconclusive"),  # two seeds of the control
        (ABOUT_2, {}, "inconclusive"),  # no control
        (ABOUT_2, {9: 0.0}, "inconclusive"),  # a control of other seeds
        ({}, None, "inconclusive"),
    ],
)
def test_the_rule(values: dict[int, float], control: dict[int, float] | None, word: str) -> None:
    assert judged(values, control).word == word


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (ABOUT_0, "shows"),
        (ABOUT_2, "does not show"),
        (WIDE, "inconclusive"),
        (seeds(0.3, 0.4, 0.5), "does not show"),  # small, but surely not 0
        (seeds(-0.1, 0.3, 0.5), "inconclusive"),  # its interval holds 0, and reaches beyond the smallest effect
    ],
)
def test_the_rule_for_what_is_absent(values: dict[int, float], word: str) -> None:
    assert judged(values, absent=True).word == word


def test_parts_together() -> None:
    def of(*values: dict[int, float]) -> Verdict:
        effects = [Effect(str(i), one) for i, one in enumerate(values)]
        return verdict(Claim("c", "It is so.", "here", {}, lambda _: effects), [])

    assert of(ABOUT_2, ABOUT_2).word == "shows"
    assert of(ABOUT_2, WIDE).word == "inconclusive"
    assert of(ABOUT_2, WIDE, ABOUT_0).word == "does not show"
    assert of(ABOUT_2, {}).word == "inconclusive" and of(ABOUT_2, {}).seeds == 0


@settings(max_examples=40)
@given(st.lists(st.tuples(*[st.floats(-5, 5)] * 2), min_size=3, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_decides_nothing(values: list[tuple[float, float]], random: object) -> None:
    names = list(range(len(values)))
    random.shuffle(names)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    plain = judged({i: a for i, (a, _) in enumerate(values)}, {i: b for i, (_, b) in enumerate(values)})
    other = judged({i: values[i][0] for i in names}, {i: values[i][1] for i in names})
    assert other.word == plain.word and other.text == plain.text


def test_the_text_says_numbers_controls_and_what_is_missing() -> None:
    text = judged(ABOUT_2, ABOUT_0).text
    assert text.startswith("This **shows** here") and "+2.00 points of mIoU" in text and "4 seeds" in text
    assert "identity warp +0.00, difference +2.00" in text
    assert "not measured (no results)" in judged({}, missing="no results").text
    assert "one seed, which has no interval" in judged(seeds(1.0)).text


def words(results: list[dict[str, object]]) -> dict[str, str]:
    return {one.claim.name: one.word for one in verdicts(results)}


def test_a_study_in_which_the_paper_is_right() -> None:
    print_of = {name: value / 100 - TABLE_2[CONTINUED] / 100 for name, value in TABLE_2.items()}
    gains = {METHOD: 0.035, "consistency, learned geometry": 0.03, IDENTITY: 0.002, "another room": -0.01}
    ablation = {row: print_of[row] for row in TABLE_2_ROWS if row != "all three"}
    # The gain ends where labels are many.
    study = [
        one if not (one["row"] == METHOD and one["count"] == 1600) else one | {"miou": base_score(1600, one["seed"])}
        for one in made_up_study(gains, ablation=ablation, noise=1e-4)
    ]
    study += [result("all three", 50, seed, base_score(50, seed) + 0.035, strength="equalised") for seed in range(5)]
    # In rare classes the gain is larger, by consistency alone.
    for one in study:
        lift = {METHOD: 0.02, IDENTITY: 0.0}.get(str(one["row"]))
        if lift is not None:
            iou = {name: one["iou"][name] + lift * (1 - FREQUENCY[name]) for name in CLASSES}
            shuffled = one["seed"] % 2 == 0  # the control has an order of its own in each seed
            order = 1 if shuffled else -1
            if one["row"] == IDENTITY:
                iou = {name: one["iou"][name] + order * 0.001 * i for i, name in enumerate(CLASSES)}
            one["iou"] = iou
    found = words(study)
    for name in (
        "gain at few labels",
        "gain along learned geometry",
        "no gain at many labels",
        "gain across the range",
        "more at fewer labels",
        "each prior helps",
        "the three together are best",
        "hard labels are worse",
        "hard labels do harm",
        "the order of the rows",
        "the order of the rows, equalised",
    ):
        assert found[name] == "shows", name
    assert found["rare classes gain most"] != "does not show"


def test_a_study_in_which_smoothing_does_it_all() -> None:
    found = words(made_up_study({METHOD: 0.03, IDENTITY: 0.03, "consistency, learned geometry": 0.03}, noise=1e-4))
    assert found["gain at few labels"] == found["gain across the range"] == "does not show"
    assert found["no gain at many labels"] == "does not show"


def test_a_missing_control_or_row_leaves_it_open() -> None:
    assert words(made_up_study({METHOD: 0.03}))["gain at few labels"] == "inconclusive"
    assert set(words(made_up_study({}))) == {claim.name for claim in (*CLAIMS, *FINDINGS)}
    assert set(words([]).values()) == {"inconclusive"}
    few = words(made_up_study({METHOD: 0.03, IDENTITY: 0.0}, seeds=(0,)))
    assert set(few.values()) == {"inconclusive"}


def test_adding_a_constant_to_all_rows_changes_no_verdict_on_gains() -> None:
    study = made_up_study({METHOD: 0.02, IDENTITY: 0.0}, noise=0.004)
    moved = [one | {"miou": one["miou"] + 0.1} for one in study]
    for name in ("gain at few labels", "gain across the range", "no gain at many labels"):
        assert verdict(claim_called(name), study).text == verdict(claim_called(name), moved).text


def test_rare_labels_need_recall() -> None:
    study = made_up_study({METHOD: 0.02, IDENTITY: 0.0})
    claim = claim_called("rare labels that the best baseline fails")
    assert verdict(claim, study).word == "does not show"  # the best baseline has far more labels
    for one in study:
        if one["row"] == METHOD and one["count"] == COUNTS[0]:
            one["recall"] = one["recall"] | {"lamp": 0.9, "plant": None}
    assert verdict(claim, study).word == "shows"


def test_labels_replaced_are_judged_in_doublings() -> None:
    found = words(made_up_study({METHOD: 0.05, IDENTITY: 0.0}, noise=1e-3))
    assert found["replaces labels"] == "shows" and found["four times the labels"] == "does not show"
    (part,) = verdict(claim_called("replaces labels"), made_up_study({METHOD: 0.05, IDENTITY: 0.0})).parts
    assert part.gain is not None and part.gain.mean == pytest.approx(1)  # five points are a doubling
    (four,) = verdict(claim_called("four times the labels"), made_up_study({METHOD: 0.10})).parts
    assert four.gain is not None and four.gain.mean == pytest.approx(0)
    assert words(made_up_study({METHOD: 0.12, IDENTITY: 0.0}, noise=1e-3))["four times the labels"] == "shows"


def test_the_best_that_was_found_must_beat_its_own_control() -> None:
    best, own, learned = BEST, "best found, identity warp", "best found, learned geometry"
    name = "the best that was found, across the range"
    assert words(made_up_study({best: 0.03, own: 0.0, IDENTITY: 0.05}, noise=1e-4))[name] == "shows"
    assert words(made_up_study({best: 0.03, own: 0.03, IDENTITY: 0.0}, noise=1e-4))[name] == "does not show"
    some = [
        one
        for one in made_up_study({best: 0.03, own: 0.0, learned: 0.03}, noise=1e-4)
        if one["row"] != learned or one["count"] in (100, 400)
    ]
    found = verdict(claim_called("the best that was found, learned geometry"), some)
    assert found.word == "shows" and len(found.parts) == 2  # the counts at which it was run


def test_a_slope_is_the_fall_for_each_doubling() -> None:
    values = {count: {0: 10.0 - 2 * i, 1: 5.0 - 2 * i} for i, count in enumerate((50, 100, 200))}
    assert slope(values) == pytest.approx({0: 2.0, 1: 2.0})
    assert slope({50: {0: 1.0}}) == {}


def test_markdown_of_claims() -> None:
    text = said(made_up_study({METHOD: 0.03, IDENTITY: 0.0}), "gain at few labels", "rare classes gain most")
    assert (
        text.count("\n\n") == 1 and "Table 1; printed: 0.1 % +3.5" in text and "(Pasad et al. 2020, Figure 2)" in text
    )
    assert "This **shows** here" in text
