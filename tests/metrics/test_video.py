import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.geometry.warp import WarpedLabels
from stc_lab.metrics import (
    NothingToMeasure,
    pool_scores,
    temporal_agreement,
    video_consistencies,
    video_consistency,
)
from stc_lab.metrics.video import _windows_plain


def example(seed=0, t=7, h=5, w=6):
    """Labels that seldom change, predictions that mostly follow them, some truth ignored."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.integers(0, 3, (1, h, w)), t, axis=0)
    for i in range(1, t):
        change = rng.random((h, w)) < 0.1
        truth[i:, change] = rng.integers(0, 3, change.sum())
    prediction = np.where(rng.random((t, h, w)) < 0.8, truth, rng.integers(0, 3, (t, h, w)))
    truth[:, 0, :2] = 255
    truth[t // 2, 1] = 255
    return torch.from_numpy(prediction), torch.from_numpy(truth)


def loop_reference(prediction, truth, n, official):
    """Window by window and pixel by pixel; the map, and the (consistent, counted) pixels of each window."""
    prediction, truth = prediction.numpy(), truth.numpy()
    t, h, w = truth.shape
    starts = range(t - n) if official else range(t - n + 1)
    consistent, counted = np.zeros((len(starts), h, w)), np.zeros((len(starts), h, w))
    for i in starts:
        for y in range(h):
            for x in range(w):
                true, predicted = set(truth[i : i + n, y, x].tolist()), set(prediction[i : i + n, y, x].tolist())
                if len(true) != 1 or (not official and true == {255}):
                    continue
                counted[i, y, x] = 1
                consistent[i, y, x] = len(predicted) == 1 if official else predicted == true
    return consistent, counted


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 5), official=st.booleans())
def test_agrees_with_a_loop(seed, n, official):
    prediction, truth = example(seed)
    consistent, counted = loop_reference(prediction, truth, n, official)
    with np.errstate(invalid="ignore"):
        windows = consistent.sum(axis=(1, 2)) / counted.sum(axis=(1, 2))
        share = consistent.sum(axis=0) / counted.sum(axis=0)
    score = video_consistency(prediction, truth, n, official=official)
    assert score.value == pytest.approx(np.nanmean(windows))
    assert score.support == counted.sum()
    np.testing.assert_allclose(score.windows, windows)
    np.testing.assert_allclose(score.map, share, rtol=1e-6)


def test_a_constant_wrong_map_scores_one_officially_and_zero_by_default():
    truth = torch.zeros(9, 4, 5, dtype=torch.int64)
    wrong = torch.ones_like(truth)
    assert video_consistency(wrong, truth, 8, official=True).value == 1.0
    assert video_consistency(wrong, truth, 8).value == 0.0


def test_the_official_script_drops_the_last_window():
    truth = torch.zeros(9, 2, 2, dtype=torch.int64)
    prediction = truth.clone()
    prediction[-1] = 1  # only the last window of 8 sees the last frame
    official, ours = (video_consistency(prediction, truth, 8, official=flag) for flag in (True, False))
    assert official.windows.tolist() == [1.0]
    assert ours.windows.tolist() == [1.0, 0.0]


def test_void_is_a_class_only_officially():
    truth = torch.zeros(4, 1, 2, dtype=torch.int64)
    truth[:, 0, 1] = 255
    prediction = torch.zeros_like(truth)
    prediction[::2, 0, 1] = 1  # flickers on void
    assert video_consistency(prediction, truth, 2).value == 1.0
    assert video_consistency(prediction, truth, 2, official=True).value == 0.5
    assert torch.isnan(video_consistency(prediction, truth, 2).map[0, 1])


def test_a_window_without_support_does_not_count():
    truth = torch.tensor([0, 1, 1, 1]).reshape(4, 1, 1).expand(4, 2, 2).contiguous()
    score = video_consistency(truth, truth, 2)
    assert torch.isnan(score.windows[0])
    assert score.value == 1.0
    assert score.support == 2 * 4


def test_the_truth_is_perfectly_consistent_and_classes_have_no_order():
    prediction, truth = example()
    assert video_consistency(truth, truth, 3).value == 1.0
    renamed = torch.cat([torch.tensor([2, 0, 1]), torch.arange(3, 256)])
    for official in (False, True):
        assert (
            video_consistency(renamed[prediction], renamed[truth], 3, official=official).value
            == video_consistency(prediction, truth, 3, official=official).value
        )


def test_longer_windows_ask_for_more():
    prediction, truth = example(t=12)
    counted = [video_consistency(prediction, truth, n).windows.nansum() for n in (2, 4, 8)]
    assert counted[0] > counted[1] > counted[2]


def test_pooling_takes_the_windows_of_all_videos():
    scores = [video_consistency(*example(seed, t=t), 3) for seed, t in ((0, 5), (1, 11))]
    pooled = pool_scores(scores)
    assert pooled.value == pytest.approx(float(torch.cat([scores[0].windows, scores[1].windows]).nanmean()))
    assert pooled.support == scores[0].support + scores[1].support
    assert pool_scores([pooled]).value == pooled.value


def labels_from_afar(seed=0):
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randint(0, 3, (2, 5, 6), generator=generator)
    visible = torch.rand(2, 5, 6, generator=generator) < 0.7
    label = torch.randint(0, 3, (2, 5, 6), generator=generator).masked_fill(~visible, 255)
    return prediction, WarpedLabels(label, visible)


def test_temporal_agreement_is_the_share_of_visible_pixels_with_the_same_label():
    prediction, warped = labels_from_afar()
    maps = (prediction, warped.label, warped.visible)
    pairs = [(p, q) for p, q, seen in zip(*(m.flatten().tolist() for m in maps), strict=True) if seen]
    score = temporal_agreement(prediction, warped)
    assert score.support == len(pairs)
    assert score.value == pytest.approx(sum(p == q for p, q in pairs) / len(pairs))
    assert score.map is not None
    assert torch.equal(torch.isnan(score.map), ~warped.visible)
    assert float(score.map.nanmean()) == pytest.approx(score.value)


def test_ignored_labels_agree_with_nothing():
    prediction, warped = labels_from_afar()
    hole = torch.zeros_like(warped.visible)
    hole[:, :2] = True
    cut = WarpedLabels(warped.label, warped.visible & ~hole)
    for p, q in (
        (prediction.masked_fill(hole, 255), warped),
        (prediction, WarpedLabels(warped.label.masked_fill(hole, 255), warped.visible)),
    ):
        assert temporal_agreement(p, q).value == temporal_agreement(prediction, cut).value
        assert temporal_agreement(p, q).support == temporal_agreement(prediction, cut).support


def test_agreement_pools_by_pixels():
    prediction, warped = labels_from_afar()
    halves = [
        temporal_agreement(prediction[i : i + 1], WarpedLabels(warped.label[i : i + 1], warped.visible[i : i + 1]))
        for i in range(2)
    ]
    pooled, whole = pool_scores(halves), temporal_agreement(prediction, warped)
    assert (pooled.value, pooled.support) == (pytest.approx(whole.value), whole.support)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), t=st.integers(6, 20), official=st.booleans())
def test_one_pass_gives_what_each_window_does(seed, t, official):
    prediction, truth = example(seed, t=t)
    lengths = (2, 3, 5)
    together = video_consistencies(prediction, truth, lengths, official=official)
    counts = [t - n if official else t - n + 1 for n in lengths]
    plain = _windows_plain(prediction, truth, lengths, counts, official, 255)
    for n, (seen, kept, seen_at, kept_at) in zip(lengths, plain, strict=True):
        alone = video_consistency(prediction, truth, n, official=official)
        for score in (together[n], alone):
            assert score.support == int(seen.sum())
            assert torch.equal(score.windows.nan_to_num(-1), (kept.double() / seen).nan_to_num(-1))
            assert torch.equal(score.map.nan_to_num(-1), (kept_at.float() / seen_at).nan_to_num(-1))


def test_large_frames_are_divided_among_threads():
    prediction, truth = example(t=9, h=130, w=200)
    before = torch.get_num_threads()
    alone = video_consistencies(prediction, truth, (2, 8))
    try:
        torch.set_num_threads(2)
        shared = video_consistencies(prediction, truth, (2, 8))
    finally:
        torch.set_num_threads(before)
    for n in (2, 8):
        assert shared[n].value == alone[n].value
        assert torch.equal(shared[n].map.nan_to_num(-1), alone[n].map.nan_to_num(-1))


def test_the_published_script_skips_a_clip_of_just_one_window():
    truth = torch.zeros(16, 2, 2, dtype=torch.int64)
    assert video_consistency(truth, truth, 16).value == 1.0
    with pytest.raises(NothingToMeasure, match="VC_16 needs at least 17 frames"):
        video_consistency(truth, truth, 16, official=True)


@pytest.mark.parametrize("official", [False, True])
def test_ids_may_be_of_any_size(official):
    prediction, truth = example(t=8)
    expected = video_consistency(prediction, truth, 3, official=official)
    far = torch.where(truth == 2, 2**32 + 1, truth)  # in 32 bits it would be class 1
    found = video_consistency(torch.where(prediction == 2, 2**32 + 1, prediction), far, 3, official=official)
    assert torch.equal(found.windows, expected.windows)
