"""The Eigen set against a loop over pixels, and the rules by which it is counted."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.metrics import DepthScorer, best_constant, depth_scores, garg_crop, row_mean
from stc_lab.metrics.depth import MEASURES

LOW, HIGH = 1e-3, 80.0


def example(seed=0, b=3, h=6, w=7):
    """Depths with unknown pixels of every kind and one beyond the range, a prediction in a unit of its own, a mask."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 20, (b, 1, h, w))
    predicted = truth * rng.uniform(0.4, 2.0, truth.shape) * rng.uniform(0.1, 30)
    for unknown in (0.0, -1.0, np.nan, np.inf, 200.0):
        truth[rng.random(truth.shape) < 0.06] = unknown
    predicted[rng.random(truth.shape) < 0.05] *= 100  # is clipped
    usable = rng.random((b, h, w)) < 0.8
    return (torch.from_numpy(values) for values in (predicted, truth, usable))


def loop_reference(predicted, truth, usable, median_scaling=True, lower_median=False, low=LOW, high=HIGH):
    """One dictionary for each image, None without a usable pixel; pixel by pixel."""
    found = []
    for p, t, u in zip(predicted[:, 0].tolist(), truth[:, 0].tolist(), usable.tolist(), strict=True):
        pairs = []
        for row_p, row_t, row_u in zip(p, t, u, strict=True):
            pairs += [
                (x, y)
                for x, y, use in zip(row_p, row_t, row_u, strict=True)
                if use and math.isfinite(y) and low < y < high
            ]
        if not pairs:
            found.append(None)
            continue
        scale = 1.0
        if median_scaling:
            middles = []
            for i in range(2):
                ordered = sorted(pair[i] for pair in pairs)
                below, above = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
                middles.append(below if lower_median else (below + above) / 2)
            scale = middles[1] / middles[0]
        sums = dict.fromkeys(MEASURES, 0.0)
        for x, y in pairs:
            x = min(max(x * scale, low), high)
            sums["abs_rel"] += abs(x - y) / y
            sums["sq_rel"] += (x - y) ** 2 / y
            sums["rmse"] += (x - y) ** 2
            sums["rmse_log"] += (math.log(x) - math.log(y)) ** 2
            for power in (1, 2, 3):
                sums[f"a{power}"] += max(x / y, y / x) < 1.25**power
        values = {name: value / len(pairs) for name, value in sums.items()}
        values |= {name: math.sqrt(values[name]) for name in ("rmse", "rmse_log")}
        found.append({**values, "scale": scale, "support": len(pairs)})
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), median_scaling=st.booleans(), lower_median=st.booleans())
def test_agrees_with_a_loop_over_pixels(seed, median_scaling, lower_median):
    predicted, truth, usable = example(seed)
    usable[seed % 3] &= seed % 2 == 0  # now and then an image without a usable pixel
    scores = depth_scores(predicted, truth, usable=usable, median_scaling=median_scaling, lower_median=lower_median)
    expected = loop_reference(predicted, truth, usable, median_scaling, lower_median)
    counted = [one for one in expected if one is not None]
    for name in MEASURES:
        each = [np.nan if one is None else one[name] for one in expected]
        np.testing.assert_allclose(scores.per_image[name], each, rtol=1e-12)
        assert scores.values[name] == pytest.approx(np.nanmean(each), rel=1e-12)
    np.testing.assert_allclose(scores.scales, [np.nan if one is None else one["scale"] for one in expected], rtol=1e-12)
    assert (scores.images, scores.skipped) == (len(counted), len(expected) - len(counted))
    assert scores.support == sum(one["support"] for one in counted)
    logs = np.log([one["scale"] for one in counted])
    assert scores.scale == pytest.approx(np.exp(logs.mean()))
    assert scores.scale_spread == pytest.approx(logs.std(), abs=1e-7)


def test_agrees_with_torchmetrics():
    from torchmetrics.functional.regression import mean_absolute_percentage_error, mean_squared_error

    predicted, truth, _ = example(3)
    predicted, truth = predicted.float(), truth.nan_to_num(0, posinf=0).clamp_min(0).float()
    scores = depth_scores(predicted, truth, median_scaling=False)
    for i in range(len(truth)):
        known = (truth[i] > LOW) & (truth[i] < HIGH)
        said, true = predicted[i][known].clamp(LOW, HIGH).double(), truth[i][known].double()
        assert float(scores.per_image["abs_rel"][i]) == pytest.approx(float(mean_absolute_percentage_error(said, true)))
        assert float(scores.per_image["rmse"][i]) == pytest.approx(float(mean_squared_error(said, true, squared=False)))
        logs = mean_squared_error(said.log(), true.log(), squared=False)
        assert float(scores.per_image["rmse_log"][i]) == pytest.approx(float(logs))


def test_the_truth_scores_perfectly_in_any_unit():
    _, truth, _ = example()
    known = truth.nan_to_num(1, posinf=1).clamp(0.1, 50)
    for unit in (1.0, 1e-3, 7.0):
        scores = depth_scores(known * unit, known)
        assert list(scores.values.values()) == pytest.approx([0, 0, 0, 0, 1, 1, 1], abs=1e-12)
        assert scores.scale == pytest.approx(1 / unit) and scores.scale_spread == pytest.approx(0, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), unit=st.floats(1e-4, 1e4))
def test_neither_the_unit_nor_the_order_of_pixels_and_images_matters(seed, unit):
    predicted, truth, _ = example(seed)
    value = depth_scores(predicted, truth).values
    assert depth_scores(predicted * unit, truth).values == pytest.approx(value, rel=1e-9)
    assert depth_scores(predicted.flip(0, 3), truth.flip(0, 3)).values == pytest.approx(value, rel=1e-9)


def test_thresholds_are_strict():
    truth = torch.tensor([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, 2, 2)
    for factor, shares in ((1.25, (0, 1, 1)), (0.8, (0, 1, 1)), (1.25**2, (0, 0, 1)), (1.2499, (1, 1, 1))):
        predicted = (truth.double() * factor).reshape(1, 1, 2, 2)
        scores = depth_scores(predicted, truth.double(), median_scaling=False)
        assert (scores.a1, scores.a2, scores.a3) == shares


def test_predictions_are_clipped_after_they_are_scaled():
    """A prediction in millimetres lies beyond 80 all over: clipped first, it would be flat."""
    truth = torch.linspace(1, 50, 12).reshape(1, 1, 3, 4)
    assert depth_scores(truth * 1000, truth).abs_rel == pytest.approx(0, abs=1e-6)
    far = truth.clone()
    far[0, 0, 0, 0] = 1e6
    assert depth_scores(far, truth, median_scaling=False).abs_rel == pytest.approx((80 - 1) / 1 / 12)
    assert depth_scores(far, truth, median_scaling=False, high=60).abs_rel == pytest.approx((60 - 1) / 1 / 12)


def test_the_truth_at_the_ends_of_the_range_is_not_usable():
    truth = torch.tensor([0.0, 1e-3, 1.0, 80.0, 81.0, 2.0], dtype=torch.float64).reshape(1, 1, 2, 3)
    scores = depth_scores(torch.ones_like(truth), truth)
    assert scores.support == 2
    assert torch.equal(torch.isfinite(scores.map[0]), torch.tensor([[False, False, True], [False, False, True]]))


def test_the_median_of_an_even_count_is_the_mean_of_the_middle_ones():
    truth = torch.tensor([1.0, 2.0, 4.0, 10.0]).reshape(1, 1, 2, 2)
    predicted = torch.tensor([1.0, 1.0, 3.0, 5.0]).reshape(1, 1, 2, 2)
    assert float(depth_scores(predicted, truth).scales) == np.median(truth) / np.median(predicted) == 1.5
    lower = depth_scores(predicted, truth, lower_median=True)
    assert float(lower.scales) == float(truth.median() / predicted.median()) == 2.0


def test_images_weigh_alike_however_many_pixels_they_know():
    truth = torch.full((2, 1, 4, 5), 2.0)
    truth[1, 0, 0, 1:] = 0
    truth[1, 0, 1:] = 0  # one pixel is known
    predicted = truth.clamp_min(1)
    predicted[1] = 4.0
    scores = depth_scores(predicted, truth, median_scaling=False)
    assert scores.abs_rel == pytest.approx((0 + 1) / 2) and scores.support == 21


def test_an_image_without_truth_is_skipped_and_does_not_count_as_perfect():
    predicted, truth, _ = example()
    alone = depth_scores(predicted[:1], truth[:1])
    truth[1:] = torch.tensor([0.0, torch.nan]).reshape(2, 1, 1, 1)
    scores = depth_scores(predicted, truth)
    assert scores.values == alone.values
    assert (scores.images, scores.skipped) == (1, 2)
    assert bool(scores.map[1:].isnan().all()) and bool(scores.per_image["a1"][1:].isnan().all())


def test_the_map_holds_the_relative_error():
    predicted, truth, usable = example()
    scores = depth_scores(predicted, truth, usable=usable)
    np.testing.assert_allclose(scores.map.flatten(1).nanmean(dim=1), scores.per_image["abs_rel"])
    assert not bool(torch.isfinite(scores.map[~usable]).any())


def test_one_mask_serves_all_images():
    predicted, truth, usable = example()
    one = usable[:1]
    assert (
        depth_scores(predicted, truth, usable=one).values
        == depth_scores(predicted, truth, usable=one.expand(3, -1, -1)).values
    )


def test_the_crop_of_garg_is_that_of_the_kitti_scripts():
    mask = garg_crop(375, 1242)
    rows, columns = mask[0].any(dim=1).nonzero()[:, 0], mask[0].any(dim=0).nonzero()[:, 0]
    assert (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1) == (153, 371, 44, 1197)
    assert int(mask.sum()) == (371 - 153) * (1197 - 44)


def test_a_prediction_of_another_size_is_resized_as_disparity():
    import cv2

    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.uniform(1, 30, (2, 1, 12, 20)))
    for size in ((6, 10), (5, 7), (24, 30)):
        small = rng.uniform(1, 30, (2, *size))
        resized = np.stack([1 / cv2.resize(1 / one, (20, 12), interpolation=cv2.INTER_LINEAR) for one in small])
        there = depth_scores(torch.from_numpy(resized)[:, None], truth)
        assert depth_scores(torch.from_numpy(small)[:, None], truth).values == pytest.approx(there.values, rel=1e-6)
        as_depth = np.stack([cv2.resize(one, (20, 12), interpolation=cv2.INTER_LINEAR) for one in small])
        assert depth_scores(torch.from_numpy(as_depth)[:, None], truth).abs_rel != pytest.approx(
            there.abs_rel, rel=1e-3
        )


def test_counting_as_they_come_gives_what_all_at_once_gives():
    predicted, truth, usable = example(b=7)
    truth[4] = 0
    whole = depth_scores(predicted, truth, usable=usable)
    one_by_one, first, rest = DepthScorer(), DepthScorer(), DepthScorer()
    for i in range(7):
        one_by_one.update(predicted[i : i + 1], truth[i : i + 1], usable[i : i + 1])
    first.update(predicted[:3], truth[:3], usable[:3])
    rest.update(predicted[3:], truth[3:], usable[3:])
    for scorer in (one_by_one, first + rest):
        scores = scorer.results()
        assert scores.values == pytest.approx(whole.values, rel=1e-12)
        assert (scores.images, scores.skipped, scores.support) == (6, 1, whole.support)
        assert (scores.scale, scores.scale_spread) == pytest.approx((whole.scale, whole.scale_spread))
        assert scores.per_image is None and scores.map is None


def test_a_scorer_holds_no_images():
    scorer = DepthScorer()
    sizes = []
    for _ in range(3):
        scorer.update(*list(example())[:2])
        sizes.append(len(repr(vars(scorer)).split(",")))
        assert not any(isinstance(value, torch.Tensor) for value in vars(scorer).values())
    assert len(set(sizes)) == 1


def test_a_scorer_that_has_seen_nothing_usable_goes_on():
    predicted, truth, _ = example()
    scorer = DepthScorer()
    scorer.update(predicted, torch.zeros_like(truth))
    assert (scorer.images, scorer.skipped) == (0, 3)
    scorer.update(predicted, truth)
    assert scorer.results().values == pytest.approx(depth_scores(predicted, truth).values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_all_precisions_are_judged_in_float64(dtype):
    predicted, truth, _ = example()
    short, true = (predicted / 100).to(dtype), truth.to(torch.float32 if dtype == torch.float32 else dtype)
    scores = depth_scores(short.requires_grad_(), true)
    assert scores.values == pytest.approx(depth_scores(short.detach().double(), true.double()).values, rel=1e-12)
    assert not scores.map.requires_grad


def test_after_median_scaling_every_constant_is_the_best_one():
    _, truth, usable = example()
    best = best_constant(truth, usable=usable)
    known = usable[0] & (truth[0, 0] > LOW) & (truth[0, 0] < HIGH)
    assert float(best[0, 0, 0, 0]) == pytest.approx(np.median(truth[0, 0][known]))
    value = depth_scores(best, truth, usable=usable).values
    assert depth_scores(torch.ones_like(truth), truth, usable=usable).values == pytest.approx(value)
    assert depth_scores(best, truth, usable=usable, median_scaling=False).values == pytest.approx(value)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_constant_has_a_lower_abs_rel_than_the_best_without_scaling(seed):
    _, truth, _ = example(seed, b=1)
    best = depth_scores(best_constant(truth, median_scaling=False), truth, median_scaling=False).abs_rel
    for constant in truth[torch.isfinite(truth) & (truth > LOW) & (truth < HIGH)].tolist():
        assert depth_scores(torch.full_like(truth, constant), truth, median_scaling=False).abs_rel >= best - 1e-12
    assert best <= depth_scores(best_constant(truth), truth).abs_rel


def test_an_image_without_truth_gets_some_constant():
    for median_scaling in (True, False):
        constant = best_constant(torch.zeros(2, 1, 3, 4), median_scaling=median_scaling)
        assert bool((constant == 1).all()) and constant.dtype == torch.float32


def test_row_means_know_the_rows_alone():
    _, truth, _ = example(b=4)
    expected = []
    for y in range(truth.shape[2]):
        known = [d for d in truth[:, 0, y].flatten().tolist() if math.isfinite(d) and LOW < d < HIGH]
        expected.append(sum(known) / len(known))
    rows = row_mean(truth)
    assert rows.shape == (1, 1, 6, 7)
    np.testing.assert_allclose(rows[0, 0], np.repeat(np.array(expected)[:, None], 7, axis=1))


def test_rows_that_are_never_known_take_the_nearest_that_is():
    truth = torch.zeros(2, 1, 6, 3)
    truth[:, :, 1], truth[:, :, 4] = 2.0, 5.0
    assert row_mean(truth)[0, 0, :, 0].tolist() == [2, 2, 2, 5, 5, 5]


def test_a_world_of_rows_is_told_by_its_rows():
    """A floor seen by a level camera: row means are perfect there, one constant is not."""
    floor = (30 / torch.arange(3.0, 27.0)).reshape(1, 1, -1, 1).expand(3, 1, -1, 16)
    assert depth_scores(row_mean(floor).expand(3, -1, -1, -1), floor).abs_rel == pytest.approx(0, abs=1e-6)
    assert depth_scores(best_constant(floor), floor).abs_rel > 0.3
