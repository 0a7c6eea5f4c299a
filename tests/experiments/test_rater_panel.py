"""The simulated panel: it follows its knobs and no measure, agrees as it was told, and drops who misunderstood."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from stc_lab.errors import InputError
from stc_lab.experiments.rater_panel import (
    KNOB,
    PUBLISHED,
    PUBLISHED_AGREED,
    MeasuredVideos,
    PanelRecipe,
    closing_rows,
    closing_table,
    corrupt_and_measure,
    panel_study,
    simulate_panel,
    spread_over,
    videos_behind,
)
from stc_lab.experiments.stability_lab import MaskVideo, lab_config, mask_videos
from stc_lab.metrics import spearman


def felt(seed: int, count: int = 96) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    draws = np.random.default_rng(seed)
    return draws.random(count), draws.random(count), draws


def test_the_panel_agrees_with_itself_as_the_papers_did() -> None:
    panels = [simulate_panel(*felt(seed)) for seed in range(20)]
    assert np.mean([p.agreement for p in panels]) == pytest.approx(0.38, abs=0.02)
    assert np.mean([p.deviation.mean() for p in panels]) == pytest.approx(1.08, abs=0.03)
    assert np.mean([p.score.mean() for p in panels]) == pytest.approx(2.65, abs=0.05)


def test_ratings_fall_with_what_is_felt() -> None:
    unsteady, wrong, draws = felt(0)
    panel = simulate_panel(unsteady, wrong, draws)
    assert panel.ratings.min() >= 1 and panel.ratings.max() <= 5
    assert spearman(panel.score, unsteady).value < -0.8
    assert abs(spearman(panel.score, wrong).value) < 0.4


def test_who_looks_at_accuracy_is_dropped() -> None:
    unsteady, wrong, draws = felt(1)
    panel = simulate_panel(unsteady, wrong, draws, PanelRecipe(raters=40, confused=0.5, noise=0.3))
    assert np.array_equal(panel.kept, ~panel.confused) and 5 < panel.kept.sum() < 35
    confused = panel.ratings[panel.confused].mean(axis=0)
    assert spearman(confused, wrong).value < -0.9


def test_without_noise_all_raters_agree() -> None:
    unsteady, wrong, draws = felt(2)
    panel = simulate_panel(unsteady, wrong, draws, PanelRecipe(confused=0.0, noise=0.0, lapse=0.0))
    assert panel.agreement == pytest.approx(1.0) and float(panel.deviation.max()) == 0.0
    assert bool((np.diff(panel.score[np.argsort(unsteady)]) <= 0).all())


def test_agreement_is_the_mean_over_pairs() -> None:
    panel = simulate_panel(*felt(3))
    kept = panel.ratings[panel.kept]
    matrix = spearmanr(kept.T).statistic
    assert panel.agreement == pytest.approx(matrix[np.triu_indices(len(kept), 1)].mean())


def test_the_published_p_values_belong_to_the_published_correlations() -> None:
    assert {videos_behind(one.value, one.p_value) for one in PUBLISHED.values()} == {96}
    assert {videos_behind(one.value, one.p_value) for one in PUBLISHED_AGREED.values()} == {34}


@pytest.fixture(scope="module")
def videos() -> list[MaskVideo]:
    return mask_videos([2], lab_config("tiny"))


@pytest.fixture(scope="module")
def measured(videos: list[MaskVideo]) -> list[MeasuredVideos]:
    return [corrupt_and_measure(videos, seed, count=24) for seed in (0, 1)]


def test_the_same_seed_gives_the_same_videos(videos: list[MaskVideo], measured: list[MeasuredVideos]) -> None:
    again = corrupt_and_measure(videos, 0, count=24)
    assert again.corruptions == measured[0].corruptions != measured[1].corruptions
    for name, values in again.values.items():
        assert np.array_equal(values, measured[0].values[name], equal_nan=True)
    assert all(0 <= c.erosion <= 2.5 and 0 <= c.jitter <= 1.0 for c in again.corruptions)


def test_correlations_have_the_sign_of_agreement(measured: list[MeasuredVideos]) -> None:
    study = panel_study(measured[0], 0)
    assert study.correlation(KNOB).value > 0.6
    value, score = measured[0].values["E_cons"], study.panel.score
    assert study.correlation("E_cons").value == pytest.approx(-spearmanr(value, score).statistic)
    right, recall = measured[0].values["J"], study.correlation("J").value
    assert recall == pytest.approx(spearmanr(right, score).statistic)
    low, high = study.correlation("E_cons", resamples=50).interval or (1.0, -1.0)
    assert low < high


def test_leaving_out_videos_of_low_agreement(measured: list[MeasuredVideos]) -> None:
    study = panel_study(measured[0], 0)
    assert study.correlation("E_cons", agreed=True).support == int((study.panel.deviation <= 1.0).sum())
    gap = replace(measured[0], values={"E_cons": np.where(np.arange(24) < 4, np.nan, measured[0].values["E_cons"])})
    assert panel_study(gap, 0).correlation("E_cons").support == 20


def test_the_laws_feel_different_things(measured: list[MeasuredVideos]) -> None:
    one = measured[0]
    assert np.array_equal(one.felt["displacement"], [c.jitter for c in one.corruptions])
    by_area = panel_study(one, 0, law="area")
    assert not np.array_equal(by_area.panel.ratings, panel_study(one, 0).panel.ratings)


def test_the_closing_table_has_a_row_for_each_measure_and_the_published_numbers(
    measured: list[MeasuredVideos],
) -> None:
    studies = {
        law: [panel_study(one, i, law=law) for i, one in enumerate(measured)] for law in ("displacement", "area")
    }
    rows = closing_rows(studies)  # type: ignore[arg-type]  # the laws are literals
    assert rows[-1].measure == KNOB and {"E_cons", "E_cons, DIS", "E_smooth"} <= {row.measure for row in rows}
    assert not {"J", "F", "pixel recall"} & {row.measure for row in rows}
    text = closing_table(rows)
    assert all(str(one.value) in text for one in PUBLISHED.values())
    assert len({line.count("|") for line in text.splitlines()}) == 1
    mean, deviation = spread_over(studies["area"], lambda s: s.correlation("E_cons").value)
    assert f"{mean:.2f} ± {deviation:.2f}" in text
    assert math.isnan(spread_over(studies["area"][:1], lambda _: 1.0)[1])


@pytest.mark.bad_input
def test_what_is_refused(measured: list[MeasuredVideos]) -> None:
    draws = np.random.default_rng(0)
    with pytest.raises(InputError, match="at least 3 videos"):
        simulate_panel(np.zeros(2), np.zeros(2), draws)
    with pytest.raises(InputError, match="must differ between videos"):
        simulate_panel(np.zeros(9), np.arange(9.0), draws)
    with pytest.raises(InputError, match="raters qualified"):
        simulate_panel(np.arange(9.0), draws.random(9), draws, PanelRecipe(confused=1.0, noise=0.1))
    with pytest.raises(InputError, match="law must be one of displacement, area"):
        panel_study(measured[0], 0, law="mood")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InputError, match="a measure must be one of"):
        panel_study(measured[0], 0).correlation("E_nothing")
    with pytest.raises(InputError, match="at least one object"):
        corrupt_and_measure([], 0)
    with pytest.raises(InputError, match="needs at least one study"):
        closing_rows({"area": []})
