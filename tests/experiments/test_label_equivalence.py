"""How many labels a score is worth: known curves, bounds, and an interval that holds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pasad import COUNTS, IDENTITY, METHOD, made_up_study, result

from stc_lab.errors import InputError
from stc_lab.experiments.label_equivalence import (
    equivalent_labels,
    label_equivalence,
    noisy_equivalence,
    published_equivalence,
)
from stc_lab.experiments.published import SHARES, TABLE_1


def test_between_two_counts_the_curve_is_straight_over_log_count() -> None:
    assert equivalent_labels([100, 400], [10, 20], 15).labels == pytest.approx(200)
    assert equivalent_labels([100, 400], [10, 20], 20).labels == 400
    assert equivalent_labels([100, 400], [10, 20], 10).labels == 100


def test_beyond_the_curve_there_are_bounds() -> None:
    above, below = (equivalent_labels([100, 400], [10, 20], score) for score in (21, 9))
    assert (above.labels, above.side) == (400, "at least")
    assert (below.labels, below.side) == (100, "at most")


def test_a_flat_piece_is_worth_its_first_count_and_a_falling_one_is_levelled() -> None:
    assert equivalent_labels([1, 2, 4, 8], [10, 20, 20, 30], 20).labels == 2
    # 20 and 10 become 15 and 15, so that a score of 15 is reached where they begin.
    assert equivalent_labels([1, 2, 4, 8], [5, 20, 10, 30], 15).labels == 2


@given(st.lists(st.floats(0, 100), min_size=2, max_size=6), st.floats(0, 100), st.floats(0, 10))
def test_a_better_score_is_never_worth_fewer_labels(curve: list[float], score: float, more: float) -> None:
    counts = [2.0**i for i in range(len(curve))]
    assert equivalent_labels(counts, curve, score).labels <= equivalent_labels(counts, curve, score + more).labels


def test_the_printed_curves() -> None:
    found = published_equivalence(TABLE_1, SHARES)
    factors = [found[share].labels / share for share in SHARES]
    assert factors == pytest.approx([2.0, 2.0, 4.4, 2.1, 2.0, 1.0], abs=0.05)
    # 49.4 lies 0.3 of the 2.0 points above 2 %: the quarter of the labels of which the paper speaks
    assert found[0.5].labels == pytest.approx(2 * 2 ** (0.3 / 2.0))
    assert np.allclose(noisy_equivalence(TABLE_1, SHARES, noise=0.0, draws=3), max(factors))


def test_five_points_are_worth_a_doubling() -> None:
    found = label_equivalence(made_up_study({METHOD: 0.05, IDENTITY: 0.0}))
    assert [one.factor for one in found.rows] == pytest.approx([2, 2, 2, 2, 2, 1])
    assert [one.side for one in found.rows] == [""] * 5 + ["at least"]
    # All seeds move together, so that no draw of seeds changes anything.
    assert (found.largest, found.low, found.high) == pytest.approx((2, 2, 2))
    assert label_equivalence(made_up_study({METHOD: 0.0, IDENTITY: 0.05}), IDENTITY).largest == pytest.approx(2)


def test_the_interval_spans_the_seeds_and_holds_the_value() -> None:
    found = label_equivalence(made_up_study({METHOD: 0.03}, noise=0.01), resamples=500)
    assert all(one.low <= one.factor <= one.high and one.low < one.high for one in found.rows[:-1])
    again = label_equivalence(made_up_study({METHOD: 0.03}, noise=0.01), resamples=500)
    assert again == found
    other_order = label_equivalence(made_up_study({METHOD: 0.03}, noise=0.01)[::-1], resamples=500)
    assert other_order == found


def test_few_seeds_have_a_factor_and_no_interval() -> None:
    found = label_equivalence(made_up_study({METHOD: 0.05}, seeds=(3,)))
    assert found.rows[0].factor == pytest.approx(2) and math.isnan(found.rows[0].low) and found.rows[0].seeds == 1


def test_only_seeds_that_all_have_count() -> None:
    study = made_up_study({METHOD: 0.05})
    partly = [one for one in study if not (one["seed"] == 2 and one["count"] == 200 and one["row"] == METHOD)]
    assert {one.seeds for one in label_equivalence(partly).rows} == {4}


def test_nothing_to_look_up() -> None:
    assert label_equivalence([]).rows == []
    assert label_equivalence([result(METHOD, 50, 0, 0.3), result("baseline continued", 50, 0, 0.2)]).rows == []
    disjoint = [*made_up_study({}, seeds=(0,)), *(result(METHOD, count, 1, 0.3) for count in COUNTS)]
    assert label_equivalence(disjoint).rows == [] and math.isnan(label_equivalence(disjoint).largest)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("counts", "curve", "score"),
    [([1], [1], 1), ([2, 1], [1, 2], 1), ([1, 2], [1], 1), ([1, 2], [1, math.nan], 1), ([1, 2], [1, 2], math.nan)],
)
def test_curves_that_are_none(counts: list[float], curve: list[float], score: float) -> None:
    with pytest.raises(InputError):
        equivalent_labels(counts, curve, score)
