"""Paired gains, against SciPy and against what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stc_lab.errors import InputError
from stc_lab.experiments.statistics import holm, mean_of, paired_gain

scores = st.floats(-100, 100, allow_nan=False)
pairs = st.lists(st.tuples(scores, scores), min_size=2, max_size=8)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_interval_and_the_p_value_are_scipys(n: int, confidence: float) -> None:
    generator = np.random.default_rng(n)
    base, other = generator.normal(30, 3, n), generator.normal(31, 3, n)
    gain = paired_gain(base.tolist(), other.tolist(), confidence=confidence)
    test = stats.ttest_rel(other, base)
    interval = test.confidence_interval(confidence)
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high))
    assert gain.p_value == pytest.approx(test.pvalue)
    assert (gain.mean, gain.n) == (pytest.approx((other - base).mean()), n)


@given(pairs, scores)
def test_what_a_seed_does_to_all_rows_changes_no_gain(both: list[tuple[float, float]], constant: float) -> None:
    base, other = [a for a, _ in both], [b for _, b in both]
    plain = paired_gain(base, other)
    moved = paired_gain([a + constant for a in base], [b + constant for b in other])
    assert moved.mean == pytest.approx(plain.mean, abs=1e-9)
    assert moved.high - moved.low == pytest.approx(plain.high - plain.low, abs=1e-6)


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_the_seeds_is_nothing(both: list[tuple[float, float]], random: object) -> None:
    shuffled = list(both)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    plain, other = (paired_gain([a for a, _ in one], [b for _, b in one]) for one in (both, shuffled))
    assert (other.mean, other.low, other.high) == pytest.approx((plain.mean, plain.low, plain.high), abs=1e-9)


@given(pairs)
def test_the_other_way_round_the_gain_is_a_loss(both: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in both], [y for _, y in both]
    there, back = paired_gain(a, b), paired_gain(b, a)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))


def test_one_seed_has_no_interval_and_equal_differences_have_no_width() -> None:
    one = paired_gain([1.0], [2.0])
    assert one.mean == 1 and math.isnan(one.low) and math.isnan(one.p_value)
    assert not one.above_zero and not one.below_zero
    same = paired_gain([1.0, 5.0, 3.0], [2.0, 6.0, 4.0])
    assert (same.low, same.high, same.p_value) == (1, 1, 0) and same.above_zero
    none = paired_gain([1.0, 2.0], [1.0, 2.0])
    assert none.p_value == 1 and not none.above_zero


def test_a_mean_leaves_out_what_is_not_known() -> None:
    mean = mean_of([1.0, None, 3.0, math.nan])
    assert (mean.value, mean.n) == (2, 2) and mean.spread == pytest.approx(math.sqrt(2))
    assert math.isnan(mean_of([4.0]).spread) and mean_of([]).n == 0 and math.isnan(mean_of([None]).value)


def test_holm_against_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    with_hole = holm([0.02, math.nan, 0.03])
    assert with_hole[0] == pytest.approx(0.04) and math.isnan(with_hole[1]) and with_hole[2] == pytest.approx(0.04)
    assert holm([]) == []


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("base", "other"), [([], []), ([1.0], [1.0, 2.0]), ([math.nan], [1.0]), ([1.0, 2.0], [1.0, math.inf])]
)
def test_pairs_that_are_none(base: list[float], other: list[float]) -> None:
    with pytest.raises(InputError):
        paired_gain(base, other)


@pytest.mark.bad_input
def test_other_bad_input() -> None:
    with pytest.raises(InputError, match="confidence"):
        paired_gain([1.0], [2.0], confidence=95)
