import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.metrics import spearman, spearman_p_value


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 60), levels=st.integers(2, 40))
def test_agrees_with_scipy_ties_included(seed, n, levels):
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, levels, (2, n)).astype(float)
    a[:2], b[:2] = (0, 1), (1, 0)  # not all equal
    theirs = spearmanr(a, b)
    ours = spearman(a, b)
    assert ours.value == pytest.approx(theirs.statistic, abs=1e-12)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
    assert ours.support == n


@pytest.mark.parametrize(("correlation", "published"), [(0.569, 1.5e-9), (0.474, 1.08e-6), (0.535, 1.9e-8)])
def test_the_p_values_of_the_user_study_follow_from_its_96_videos(correlation, published):
    """Azulay et al. 2021, Section 4.2: consistency, smoothness, consistency without normalisation."""
    assert spearman_p_value(correlation, 96) == pytest.approx(published, rel=0.1)


def test_only_the_order_counts():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 30))
    found = spearman(a, b)
    assert spearman(np.exp(5 * a), b).value == pytest.approx(found.value, abs=1e-12)
    assert spearman(-a, b).value == pytest.approx(-found.value, abs=1e-12)
    assert spearman(b, a).value == pytest.approx(found.value, abs=1e-12)
    assert spearman(a, a).value == pytest.approx(1.0)
    assert spearman(a, a).p_value < 1e-60


def test_the_bootstrap_draws_pairs_from_the_given_generator():
    from scipy.stats import bootstrap, spearmanr

    rng = np.random.default_rng(1)
    a = rng.random(40)
    b = a + 0.5 * rng.random(40)
    first, again = (spearman(a, b, resamples=2000, generator=np.random.default_rng(7)) for _ in range(2))
    assert first.interval == again.interval
    low, high = first.interval
    assert low < first.value < high
    theirs = bootstrap(
        (a, b),
        lambda x, y: spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        random_state=np.random.default_rng(3),
    ).confidence_interval
    assert low == pytest.approx(theirs.low, abs=0.04)
    assert high == pytest.approx(theirs.high, abs=0.02)
    narrow = spearman(a, b, resamples=2000, confidence=0.5, generator=np.random.default_rng(7)).interval
    assert low < narrow[0] < narrow[1] < high


def test_draws_without_a_ranking_are_left_out():
    a, b = np.array([0.0, 0.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])
    low, high = spearman(a, b, resamples=500, generator=np.random.default_rng(0)).interval
    assert np.isfinite([low, high]).all()
