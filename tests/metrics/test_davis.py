"""J and F against re-derivations from SciPy and scikit-image, and the reference program's habits one by one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.metrics import contour_accuracy, davis_scores, frame_statistics, region_similarity


def masks(seed, t=4, h=24, w=30):
    """A moving blob, and a prediction that is shifted and nibbled at; some frames of either are empty."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    true, said = np.zeros((2, t, h, w), bool)
    for i in range(t):
        cy, cx, ry, rx = rng.uniform([4, 4, 2, 2], [h - 4, w - 4, 9, 9])
        true[i] = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        said[i] = np.roll(true[i], rng.integers(-2, 3, 2), (0, 1)) ^ (rng.random((h, w)) < 0.01)
        true[i] &= rng.random() < 0.85
        said[i] &= rng.random() < 0.85
    return torch.from_numpy(said), torch.from_numpy(true)


def inner_contour(mask):
    """Pixels of the mask with a neighbour (4) outside of it, inside the image."""
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask, border_value=1)


def corner_contour(mask):
    """Pixels unlike the one to the right, below or diagonally after, each where there is one; never the last corner."""
    h, w = mask.shape
    found = np.zeros_like(mask)
    for y in range(h):
        for x in range(w):
            others = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            found[y, x] = any(mask[a, b] != mask[y, x] for a, b in others if a < h and b < w)
    return found


def f_by_distance(said, true, contour, bound):
    """Each contour pixel's Euclidean distance to the other contour, instead of dilating by a disk."""
    from scipy.ndimage import distance_transform_edt

    radius = bound if bound >= 1 else math.ceil(bound * math.hypot(*true.shape))
    a, b = contour(said), contour(true)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    precision = (distance_transform_edt(~b)[a] <= radius).mean()
    recall = (distance_transform_edt(~a)[b] <= radius).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), official=st.booleans(), bound=st.sampled_from([0.008, 0.05, 0.1, 1, 3, 2.5]))
def test_contours_match_within_a_distance(seed, official, bound):
    said, true = masks(seed)
    contour = corner_contour if official else inner_contour
    expected = [f_by_distance(s, t, contour, bound) for s, t in zip(said.numpy(), true.numpy(), strict=True)]
    found = contour_accuracy(said, true, bound=bound, official=official)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("official", [False, True])
def test_contours_match_as_by_dilation_with_scikit_images_disk(official):
    from scipy.ndimage import binary_dilation
    from skimage.morphology import disk
    from skimage.segmentation import find_boundaries

    said, true = masks(5, t=8, h=60, w=80)
    radius = math.ceil(0.05 * math.hypot(60, 80))
    for s, t, found in zip(
        said.numpy(), true.numpy(), contour_accuracy(said, true, bound=0.05, official=official), strict=True
    ):
        if official:
            a, b = corner_contour(s), corner_contour(t)
        else:
            a, b = (find_boundaries(mask, mode="inner") for mask in (s, t))
        if a.any() and b.any():
            precision = (a & binary_dilation(b, disk(radius))).sum() / a.sum()
            recall = (b & binary_dilation(a, disk(radius))).sum() / b.sum()
            assert float(found) == pytest.approx(2 * precision * recall / (precision + recall))


def test_the_bound_is_rounded_up():
    """480 x 854 px: 0.008 of the diagonal is 7.84 px, so 8 px still match and 9 do not."""
    true = torch.zeros(2, 480, 854, dtype=torch.bool)
    true[:, :, 400:] = True
    shifted = torch.zeros_like(true)
    shifted[0, :, 408:], shifted[1, :, 409:] = True, True
    for official in (False, True):
        assert contour_accuracy(shifted, true, official=official).tolist() == [1.0, 0.0]


def test_empty_masks():
    nothing = torch.zeros(1, 6, 7, dtype=torch.bool)
    something = nothing.clone()
    something[0, 2:4, 2:5] = True
    for official in (False, True):
        for said, true, j, f in (
            (nothing, nothing, 1, 1),
            (something, nothing, 0, 0),
            (nothing, something, 0, 0),
            (something, something, 1, 1),
        ):
            assert region_similarity(said, true).tolist() == [j]
            assert contour_accuracy(said, true, official=official).tolist() == [f]
    whole = torch.ones(1, 6, 7, dtype=torch.bool)
    assert contour_accuracy(whole, whole).tolist() == [1.0]  # the image's border is no contour
    assert contour_accuracy(whole, nothing).tolist() == [1.0]  # hence J, not F, tells these apart
    assert region_similarity(whole, nothing).tolist() == [0.0]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_region_similarity_agrees_with_torchmetrics(seed):
    from torchmetrics.functional.classification import binary_jaccard_index

    said, true = masks(seed)
    for s, t, found in zip(said, true, region_similarity(said, true), strict=True):
        if (s | t).any():
            assert float(found) == pytest.approx(float(binary_jaccard_index(s.int(), t.int())), abs=1e-6)


def test_ours_flips_with_the_image_and_the_published_contour_does_not():
    said, true = masks(3, t=12)
    flipped = said.flip((1, 2)), true.flip((1, 2))
    assert torch.equal(contour_accuracy(*flipped), contour_accuracy(said, true))
    assert not torch.equal(contour_accuracy(*flipped, official=True), contour_accuracy(said, true, official=True))


def test_what_is_under_void_does_not_matter():
    said, true = masks(1)
    void = torch.zeros_like(true)
    void[:, 5:15, 8:20] = True
    scribbled = said ^ void
    assert torch.equal(region_similarity(scribbled, true, void=void), region_similarity(said, true, void=void))
    assert torch.equal(contour_accuracy(scribbled, true, void=void), contour_accuracy(said, true, void=void))
    everything = torch.ones_like(void)
    assert region_similarity(said, true, void=everything).tolist() == [1.0] * 4


def statistics_reference(values, in_8_bits):
    """As the DAVIS paper words decay, with the ends that the reference program rounds to."""
    n = len(values)
    ends = [int(np.round(1 + (n - 1) * k / 4 + 1e-10)) - 1 for k in range(5)]
    if in_8_bits:
        ends = [end - 256 * (end // 256) for end in ends]
    first, last = values[ends[0] : ends[1] + 1], values[ends[3] : ends[4] + 1]
    with np.errstate(invalid="ignore"):
        decay = np.mean(first) - (np.mean(last) if len(last) else np.nan)
    return np.mean(values), np.mean(values > 0.5), decay


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 17, 60, 256])
def test_mean_recall_and_decay(n):
    values = np.random.default_rng(n).random(n)
    for official in (False, True):
        found = frame_statistics(torch.from_numpy(values), official=official)
        expected = statistics_reference(values, official)
        np.testing.assert_allclose([found.mean, found.recall, found.decay], expected, rtol=1e-12, atol=1e-15)
    assert frame_statistics(torch.tensor([0.5, 0.5], dtype=torch.float64)).recall == 0  # strictly over a half


def test_decay_of_long_videos_wraps_around_officially():
    falling = torch.linspace(1, 0, 1200, dtype=torch.float64)
    assert frame_statistics(falling).decay == pytest.approx(0.75, abs=0.01)
    wrapped = frame_statistics(falling, official=True)
    np.testing.assert_allclose(wrapped.decay, statistics_reference(falling.numpy(), True)[2])
    assert wrapped.decay != pytest.approx(0.75, abs=0.1)
    assert math.isnan(frame_statistics(falling[:300], official=True).decay)  # its last quarter ends before it begins


def ids(seed=0, t=6, h=16, w=20):
    rng = np.random.default_rng(seed)
    true = np.zeros((t, h, w), np.int64)
    for i in range(t):
        true[i, 2:8, 2 + i : 8 + i] = 1
        true[i, 9:14, 10 - i : 16 - i] = 3
    said = np.where(rng.random(true.shape) < 0.1, rng.integers(0, 4, true.shape), true)
    true[:, 0] = 255
    return torch.from_numpy(said), torch.from_numpy(true)


def test_objects_count_alike():
    said, true = ids()
    scores = davis_scores(said, true)
    assert [each.id for each in scores.objects] == [1, 3]
    usable = true != 255
    for each in scores.objects:
        a, b = (said == each.id) & usable, (true == each.id) & usable
        per_frame = [(x & y).sum() / (x | y).sum() for x, y in zip(a.numpy(), b.numpy(), strict=True)]
        np.testing.assert_allclose(each.J_frames, per_frame)
        assert each.J.mean == pytest.approx(np.mean(per_frame))
        assert each.pixel_recall == pytest.approx(int((a & b).sum()) / int(b.sum()))
    assert scores.J.mean == pytest.approx(np.mean([each.J.mean for each in scores.objects]))
    assert scores.value == pytest.approx((scores.J.mean + scores.F.mean) / 2)
    assert scores.support == 2
    wrong = ((said != true) & usable).double().mean(dim=0)
    np.testing.assert_allclose(scores.map[1:], wrong[1:], rtol=1e-6)
    assert torch.isnan(scores.map[0]).all()


def test_the_official_protocol():
    said, true = ids()
    official = davis_scores(said, true, official=True)
    assert [each.id for each in official.objects] == [1, 2, 3]  # 2 does not exist, but 3 does
    assert len(official.objects[0].J_frames) == 4  # the first and the last frame are dropped
    lonely = davis_scores(said.masked_fill(said == 2, 0), true, official=True)
    assert lonely.objects[1].J.mean == lonely.objects[1].F.mean == 1.0
    assert math.isnan(lonely.objects[1].pixel_recall)
    assert math.isfinite(lonely.pixel_recall)
    scribbled = said.clone()
    scribbled[:, 0] = 1  # on void, which is background there
    assert davis_scores(scribbled, true, official=True).J.mean < official.J.mean
    assert davis_scores(scribbled, true).J.mean == davis_scores(said, true).J.mean


def test_the_truth_scores_one():
    _, true = ids()
    for official in (False, True):
        scores = davis_scores(true.masked_fill(true == 255, 0), true, official=official)
        assert scores.value == scores.J.recall == scores.F.recall == scores.pixel_recall == 1.0
        assert scores.J.decay == 0.0


def test_both_recalls_are_given_and_differ():
    """Half of the object found in every frame: no frame reaches J > 0.5, half of the pixels are found."""
    true = torch.zeros(5, 8, 8, dtype=torch.int64)
    true[:, 2:6, 2:6] = 1
    said = true.clone()
    said[:, 4:] = 0
    scores = davis_scores(said, true)
    assert scores.J.recall == 0.0
    assert scores.pixel_recall == 0.5
