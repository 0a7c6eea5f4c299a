import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.metrics import ConfusionMatrix, mean_iou
from stc_lab.metrics.segmentation import _count, _count_plain


def example(seed=0, k=6, b=3, h=7, w=9, present=4):
    """Truth with only `present` classes and some ignored pixels, and a prediction that is right half of the time."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, present, (b, h, w), generator=generator)
    guess = torch.randint(0, k - 1, (b, h, w), generator=generator)
    prediction = torch.where(torch.rand(b, h, w, generator=generator) < 0.5, truth, guess)
    return prediction, truth.masked_fill(torch.rand(b, h, w, generator=generator) < 0.2, 255)


def scores_of(prediction, truth, k=6):
    matrix = ConfusionMatrix(k)
    matrix.update(prediction, truth)
    return matrix.results()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_agrees_with_a_loop_over_classes_and_pixels(seed):
    prediction, truth = example(seed)
    scores = scores_of(prediction, truth)
    pairs = [(t, p) for t, p in zip(truth.flatten().tolist(), prediction.flatten().tolist(), strict=True) if t != 255]
    ious = []
    for c in range(6):
        union = sum(c in pair for pair in pairs)
        ious.append(sum(pair == (c, c) for pair in pairs) / union if union else float("nan"))
    share = [sum(t == c for t, _ in pairs) / len(pairs) for c in range(6)]
    np.testing.assert_allclose(scores.iou, ious, rtol=1e-12)
    np.testing.assert_allclose(scores.frequency, share, rtol=1e-12)
    assert scores.miou == pytest.approx(np.nanmean(ious))
    assert scores.weighted_iou == pytest.approx(np.nansum(np.multiply(share, ious)))
    assert scores.accuracy == pytest.approx(sum(t == p for t, p in pairs) / len(pairs))
    assert scores.support == len(pairs)


def test_agrees_with_torchmetrics():
    from torchmetrics.classification import MulticlassJaccardIndex

    prediction, truth = example()
    scores = scores_of(prediction, truth)
    assert torch.isnan(scores.iou[5])  # class 5 occurs nowhere; class 4 is only predicted
    assert scores.iou[4] == 0
    for average, ours in (("macro", scores.miou), ("weighted", scores.weighted_iou)):
        theirs = MulticlassJaccardIndex(6, average=average, ignore_index=255)(prediction, truth)
        assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_frames_may_come_in_any_portions():
    prediction, truth = example()
    whole, parts, other = ConfusionMatrix(6), ConfusionMatrix(6), ConfusionMatrix(6)
    whole.update(prediction, truth)
    parts.update(prediction[:1], truth[:1])
    other.update(prediction[1:2], truth[1:2])
    other.update(prediction[2:], truth[2:])
    both = parts + other
    assert torch.equal(both.counts, whole.counts)
    assert int(parts.counts.sum()) == int((truth[0] != 255).sum())  # adding changes neither of the two
    assert both.results().miou == whole.results().miou


def test_rows_are_the_truth():
    matrix = ConfusionMatrix(3)
    matrix.update(torch.full((1, 1, 4), 2), torch.tensor([[[0, 0, 1, 255]]]))
    assert matrix.counts.tolist() == [[0, 0, 2], [0, 0, 1], [0, 0, 0]]
    assert matrix.counts.dtype == torch.int64


def test_a_perfect_prediction_scores_one():
    _, truth = example()
    scores = scores_of(truth.masked_fill(truth == 255, 0), truth)
    assert scores.miou == scores.weighted_iou == scores.accuracy == 1.0


def test_permuting_classes_permutes_the_scores():
    prediction, truth = example()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    renamed = torch.cat([order, torch.zeros(249, dtype=torch.int64), torch.tensor([255])])
    scores, permuted = scores_of(prediction, truth), scores_of(renamed[prediction], renamed[truth])
    torch.testing.assert_close(permuted.iou[order], scores.iou, equal_nan=True)
    assert permuted.miou == pytest.approx(scores.miou)


def test_what_is_predicted_where_the_truth_is_ignored_does_not_matter():
    prediction, truth = example()
    scribbled = prediction.masked_fill(truth == 255, 99)
    assert scores_of(scribbled, truth).miou == scores_of(prediction, truth).miou


def test_the_ignored_id_may_be_a_class():
    truth = torch.tensor([[[0, 0, 1, 1]]])
    matrix = ConfusionMatrix(2, ignore_index=0)
    matrix.update(torch.tensor([[[0, 1, 1, 0]]]), truth)
    assert matrix.counts.tolist() == [[0, 0], [1, 1]]


def conventions_loop(pairs, k):
    """Each convention from its definition, over (truth, prediction) pairs."""
    shared = [sum(pair == (c, c) for pair in pairs) for c in range(k)]
    either = [sum(c in pair for pair in pairs) for c in range(k)]
    true = [c for c in range(k) if any(t == c for t, _ in pairs)]
    return {
        "occurring": np.mean([s / e for s, e in zip(shared, either, strict=True) if e]),
        "true": np.mean([shared[c] / either[c] for c in true]),
        "all_zero": np.mean([s / e if e else 0 for s, e in zip(shared, either, strict=True)]),
        "all_one": np.mean([s / e if e else 1 for s, e in zip(shared, either, strict=True)]),
        "plus_one": np.mean([s / (e + 1) for s, e in zip(shared, either, strict=True)]),
    }


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_mean_is_over_what_the_convention_says(seed):
    prediction, truth = example(seed, present=3)
    matrix = ConfusionMatrix(6)
    matrix.add(prediction, truth)
    pairs = [(t, p) for t, p in zip(truth.flatten().tolist(), prediction.flatten().tolist(), strict=True) if t != 255]
    for over, expected in conventions_loop(pairs, 6).items():
        assert matrix.results(over).miou == pytest.approx(expected)
        assert mean_iou(matrix.counts, over) == pytest.approx(expected)


def test_kornia_counts_what_is_absent_as_1_image_by_image():
    from kornia.metrics import mean_iou as theirs

    prediction, truth = example(present=3)
    truth = truth.masked_fill(truth == 255, 0)
    for i in range(len(truth)):
        matrix = ConfusionMatrix(6)
        matrix.add(prediction[i : i + 1], truth[i : i + 1])
        expected = theirs(prediction[i : i + 1], truth[i : i + 1], 6).mean()
        assert matrix.results("all_one").miou == pytest.approx(float(expected), abs=1e-4)  # its eps is 1e-6


def test_conventions_differ_widely():
    prediction, truth = example(present=2)
    matrix = ConfusionMatrix(12)
    matrix.add(prediction, truth)
    found = {over: mean_iou(matrix.counts, over) for over in ("all_one", "true", "occurring", "all_zero", "plus_one")}
    assert sorted(found.values(), reverse=True) == list(found.values())
    assert found["true"] > 1.5 * found["occurring"]


def test_recall_agrees_with_torchmetrics():
    from torchmetrics.classification import MulticlassRecall

    prediction, truth = example()
    scores = scores_of(prediction, truth)
    theirs = MulticlassRecall(6, average=None, ignore_index=255)(prediction, truth)
    present = ~scores.recall.isnan()
    assert present.tolist() == [True] * 4 + [False] * 2  # classes 4 and 5 are not in the truth
    np.testing.assert_allclose(scores.recall[present], theirs[present], atol=1e-6)
    assert scores.mean_recall == pytest.approx(float(theirs[present].mean()), abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 30), ignore=st.sampled_from([255, 0, -1]))
def test_the_compiled_loop_agrees_with_a_bincount(seed, k, ignore):
    generator = torch.Generator().manual_seed(seed)
    prediction, truth = (torch.randint(-2, k + 2, (2, 5, 7), generator=generator) for _ in range(2))
    truth[0, :2] = ignore
    prediction[1, 0, 0] = 2**40
    counts, wrong = _count(prediction, truth, k, ignore)
    plain, plain_wrong = _count_plain(prediction, truth, k, ignore)
    assert torch.equal(counts, plain)
    assert wrong == plain_wrong > 0
    assert int(counts.sum()) + wrong + int((truth == ignore).sum()) == truth.numel()


def test_labels_need_not_be_contiguous():
    prediction, truth = example(b=4)
    whole, strided = ConfusionMatrix(6), ConfusionMatrix(6)
    whole.add(prediction[::2].contiguous(), truth[::2].contiguous())
    strided.add(prediction[::2], truth[::2])
    assert torch.equal(whole.counts, strided.counts)
