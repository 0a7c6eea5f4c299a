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
from stc_lab.experiments.pasad_results import BEST_IDENTITY, BEST_LEARNED, DISTILLED
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
        (seeds(-2.0, -2.1, -1.9), "shows"),  # a loss is no improvement
        (seeds(-5.0, -1.0, -3.0, -2.0), "shows"),  # nor is a loss of whatever size
        (seeds(0.19, 0.2, 0.21), "shows"),  # surely not 0, and surely smaller than what is worth having
        (seeds(0.3, 0.4, 0.5), "does not show"),  # may be smaller, but surely not 0
        (seeds(-0.1, 0.3, 0.5), "inconclusive"),  # its interval holds 0, and reaches beyond the smallest effect
    ],
)
def test_the_rule_for_what_is_absent(values: dict[int, float], word: str) -> None:
    assert judged(values, absent=True).word == word


@pytest.mark.parametrize(
    ("second", "word"),
    [(ABOUT_0, "shows"), (ABOUT_2, "does not show"), (WIDE, "inconclusive"), ({}, "inconclusive")],
)
def test_each_control_that_must_be_beaten_decides(second: dict[int, float], word: str) -> None:
    def of(*to_beat: str) -> Verdict:
        controls = {"first": ABOUT_0, "second": second, "third": ABOUT_2}
        effect = Effect("it", ABOUT_2, controls, must_beat=to_beat)
        return verdict(Claim("c", "It is so.", "here", {}, lambda _: [effect]), [])

    assert of("first", "second").word == word and of("second", "first").word == word
    assert of("first").word == "shows" and of("first", "third").word == "does not show"
    assert of().word == "shows" and of("nothing of the kind").word == "inconclusive"


def test_what_may_be_larger_is_never_said_not_to_show() -> None:
    def of(values: dict[int, float], *, lower_bound: bool) -> Verdict:
        effect = Effect("it", values, lower_bound=lower_bound)
        return verdict(Claim("c", "It is so.", "here", {}, lambda _: [effect]), [])

    assert of(ABOUT_0, lower_bound=False).word == "does not show"
    assert of(ABOUT_0, lower_bound=True).word == "inconclusive" and of(ABOUT_2, lower_bound=True).word == "shows"
    assert "a seed's value is only a lower bound" in of(ABOUT_0, lower_bound=True).text


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
    assert "+2.00" in judged(ABOUT_2, {}).text and "no seed of the control 'identity warp'" in judged(ABOUT_2, {}).text


def test_the_text_shows_every_control_and_how_far_those_to_beat_lie_below() -> None:
    controls = {"a": seeds(-3.0, -3.1, -2.9), "b": ABOUT_0, "c": seeds(1.0, 1.2, 1.1), "d": {}}
    effect = Effect("it", ABOUT_2, controls, must_beat=("a", "c"), note="so it is")
    text = verdict(Claim("c", "It is so.", "here", {}, lambda _: [effect]), []).text
    inside = text.split("4 seeds (")[1]
    a, b, c, note = inside.removesuffix(").").split("; ")
    assert a.startswith("a -3.00, difference +5.00 [+4.75") and b == "b +0.00" and note == "so it is"
    assert c.startswith("c +1.10, difference +0.90 [") and "d" not in inside.replace("difference", "")


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
    found = verdict(claim, study)
    assert found.word == "shows" and "mean recall of all classes under 5 %" in found.text
    assert "baseline continued with 1600" in found.text and "stronger" in claim.place


def test_labels_replaced_are_judged_in_doublings() -> None:
    assert words(made_up_study({METHOD: 0.05, IDENTITY: 0.0}, noise=1e-3))["replaces labels"] == "shows"
    (part,) = verdict(claim_called("replaces labels"), made_up_study({METHOD: 0.05, IDENTITY: 0.0})).parts
    assert part.gain is not None and part.gain.mean == pytest.approx(1)  # five points are a doubling
    alike = made_up_study({METHOD: 0.05, IDENTITY: 0.05}, noise=1e-3)
    assert words(alike)["replaces labels"] == "does not show"


def test_losses_beyond_the_curve_count_in_full() -> None:
    """Four points lost with the fewest labels, one won with any other: nothing is won on the whole."""
    study = made_up_study({METHOD: 0.01, IDENTITY: -0.2}, noise=1e-4)
    for one in study:
        if one["row"] == METHOD and one["count"] == COUNTS[0]:
            one["miou"] -= 0.05
    found = verdict(claim_called("replaces labels"), study)
    (part,) = found.parts
    assert found.word == "does not show" and part.gain is not None and part.gain.mean == pytest.approx(0, abs=0.01)
    assert part.controls[IDENTITY].mean == pytest.approx(-4, abs=0.01)


def four_times(gain: float, control: float = 0.0, *, counts: tuple[int, ...] = COUNTS) -> Verdict:
    study = made_up_study({METHOD: gain, IDENTITY: control}, noise=1e-3, counts=counts)
    return verdict(claim_called("four times the labels"), study)


@pytest.mark.parametrize(
    ("gain", "control", "word"),
    [
        (0.10, 0.0, "shows"),  # two doublings: exactly four times
        (0.12, 0.0, "shows"),
        (0.05, 0.0, "does not show"),
        (0.08, 0.0, "does not show"),
        (0.10, 0.10, "does not show"),  # the control replaces as many
        (0.10, 0.085, "shows"),
    ],
)
def test_four_times_the_labels_are_two_doublings(gain: float, control: float, word: str) -> None:
    found = four_times(gain, control)
    (part,) = found.parts
    assert found.word == word and part.gain is not None
    assert part.gain.mean == pytest.approx(gain / 0.05 - 1.8, abs=0.05)
    assert part.over[IDENTITY].mean == pytest.approx((gain - control) / 0.05, abs=0.05)
    assert claim_called("four times the labels").published == {"doublings at the best share": 2.0}


def test_four_times_the_labels_can_only_be_seen_where_the_curve_has_so_many() -> None:
    study = made_up_study({METHOD: 0.05, IDENTITY: 0.0}, noise=1e-3)
    for one in study:
        one["miou"] += 0.5 * (one["row"] == METHOD and one["count"] in (800, 1600))  # ten doublings, all beyond
    (part,) = verdict(claim_called("four times the labels"), study).parts
    assert part.gain is not None and part.gain.mean == pytest.approx(-0.8, abs=0.05)
    assert "no count whose fourfold lies on the curve" in four_times(0.10, counts=(50, 100)).text
    lost = [one for one in study if one["row"] != IDENTITY]
    assert verdict(claim_called("four times the labels"), lost).word == "inconclusive"


@pytest.mark.parametrize(("first", "word"), [(1.95, "does not show"), (2.05, "inconclusive")])
def test_a_seed_beyond_the_highest_count_keeps_four_times_open(first: float, word: str) -> None:
    study = made_up_study({METHOD: -0.05, IDENTITY: -0.2})
    for one in study:
        if one["row"] == METHOD and one["count"] == 400:
            one["miou"] = base_score(400, one["seed"]) + 0.05 * (first if one["seed"] == 0 else 1.2)
    found = verdict(claim_called("four times the labels"), study)
    assert found.word == word and "doublings at 400 labels" in found.text
    assert ("only a lower bound" in found.text) == (first > 2)


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


def best_study(distilled: float, *counts: int) -> list[dict[str, object]]:
    """The best gains three points; its own control is harmed; self-distillation was run at some counts."""
    gains = {BEST: 0.03, BEST_LEARNED: 0.03, BEST_IDENTITY: -0.04, DISTILLED: distilled}
    study = made_up_study(gains, noise=1e-4)
    return [one for one in study if one["row"] != DISTILLED or one["count"] in counts]


@pytest.mark.parametrize("name", ["across the range", "learned geometry", "replaces labels"])
def test_the_best_must_beat_self_distillation_where_that_was_run(name: str) -> None:
    claim = claim_called(next(one.name for one in FINDINGS if name in one.name))
    assert verdict(claim, best_study(0.0, 100, 400)).word == "shows"
    assert verdict(claim, best_study(0.03, 100, 400)).word == "does not show"
    assert verdict(claim, best_study(0.03)).word == "shows"  # not a failure where it was not run
    text = verdict(claim, best_study(0.01, 100, 400)).text
    assert "best found, identity warp -" in text and "self-distillation +" in text
    assert ("no self-distillation to compare with" in text) == (name != "learned geometry") or "at 50 labels" in text
    assert "no self-distillation" not in verdict(claim, best_study(0.01, *COUNTS)).text


def test_equalised_rows_say_whose_control_they_lean_on() -> None:
    study = made_up_study({METHOD: 0.03, IDENTITY: 0.0}, ablation=dict.fromkeys(TABLE_2_ROWS, 0.02), noise=1e-4)
    assert "identity warp at equal weight" in said(study, "each prior helps, equalised")
    assert "identity warp at equal weight" not in said(study, "each prior helps")
    study += [result(IDENTITY, 50, seed, base_score(50, seed), strength="equalised") for seed in range(5)]
    assert "identity warp at equal weight" not in said(study, "each prior helps, equalised")


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
