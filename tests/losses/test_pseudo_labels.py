"""Pseudo-labels: strictly over the threshold, from one teacher or several."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.losses import ensemble_probabilities, pseudo_labels, threshold_curve


def random_logits(seed=0, b=2, k=4, h=5, w=6, dtype=torch.float64):
    return 2 * torch.randn(b, k, h, w, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def loop(logits, threshold):
    """Section 2.3 of the paper, pixel by pixel."""
    b, k, h, w = logits.shape
    labels = torch.empty(b, h, w, dtype=torch.int64)
    for i in range(b):
        for y in range(h):
            for x in range(w):
                powers = [math.exp(float(logits[i, c, y, x])) for c in range(k)]
                shares = [value / sum(powers) for value in powers]
                top = max(range(k), key=shares.__getitem__)
                labels[i, y, x] = top if shares[top] > threshold else 255
    return labels


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), threshold=st.floats(0, 0.99), k=st.integers(1, 5))
def test_agrees_with_a_loop_written_from_the_paper(seed, threshold, k):
    logits = random_logits(seed, k=k)
    found, expected = pseudo_labels(logits, threshold), loop(logits, threshold)
    assert torch.equal(found.label, expected)
    assert found.kept.tolist() == [int((expected == c).sum()) for c in range(k)]
    assert found.proposed.tolist() == [int((logits.argmax(dim=1) == c).sum()) for c in range(k)]
    assert found.support == int((expected != 255).sum())
    assert found.share == pytest.approx(found.support / expected.numel())
    torch.testing.assert_close(found.confidence, logits.softmax(dim=1).amax(dim=1))


def test_half_is_not_over_half():
    tie = torch.zeros(1, 2, 3, 3)
    assert (pseudo_labels(tie).label == 255).all()
    assert (pseudo_labels(tie, 0.4999).label == 0).all()
    exact = torch.tensor([0.5, 0.25, 0.25]).reshape(1, 3, 1, 1)
    assert int(pseudo_labels(exact, given="probabilities").label) == 255


def test_the_default_threshold_is_the_papers():
    logits = random_logits()
    assert torch.equal(pseudo_labels(logits).label, pseudo_labels(logits, 0.5).label)


def test_logits_and_their_probabilities_give_the_same():
    logits = random_logits()
    a, b = pseudo_labels(logits), pseudo_labels(logits.softmax(dim=1), given="probabilities")
    assert torch.equal(a.label, b.label)


def test_a_class_that_is_never_sure_loses_all_its_pixels():
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.3, 0.4, 0.3]]).T.reshape(1, 3, 1, 2)
    found = pseudo_labels(probabilities, given="probabilities")
    assert found.shares[:2].tolist() == [1, 0] and found.shares[2].isnan()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_decided_in_float32(dtype):
    logits = random_logits(dtype=torch.float32).to(dtype)
    found = pseudo_labels(logits)
    assert found.confidence.dtype == torch.float32
    assert torch.equal(found.label, pseudo_labels(logits.float()).label)


def test_labels_carry_no_gradient():
    logits = random_logits().requires_grad_()
    assert not pseudo_labels(logits).confidence.requires_grad
    assert not ensemble_probabilities([logits]).requires_grad


def test_an_ensemble_is_the_mean_of_probabilities_and_not_of_logits():
    """A teacher of loud logits has no more say than one of quiet ones."""
    teachers = [random_logits(s) for s in range(3)]
    mean = ensemble_probabilities(teachers)
    torch.testing.assert_close(mean, torch.stack([t.softmax(dim=1) for t in teachers]).mean(dim=0))
    torch.testing.assert_close(ensemble_probabilities(teachers[::-1]), mean)
    assert torch.equal(ensemble_probabilities(teachers[:1]), teachers[0].softmax(dim=1))
    loud, quiet = torch.tensor([9.0, 0.0]).reshape(1, 2, 1, 1), torch.tensor([0.0, 3.0]).reshape(1, 2, 1, 1)
    assert float(ensemble_probabilities([loud, quiet]).amax()) < 0.53


def test_two_sure_teachers_who_disagree_make_no_label():
    one = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
    both = ensemble_probabilities([one, one.flip(1)], given="probabilities")
    assert int(pseudo_labels(both, given="probabilities").label) == 255


def test_the_curve_is_what_each_threshold_gives():
    logits = random_logits(3)
    truth = torch.randint(4, (2, 5, 6), generator=torch.Generator().manual_seed(1))
    truth[0, 0] = 255
    thresholds = [0.0, 0.3, 0.5, 0.7, 0.9, 0.999999]
    curve = threshold_curve(logits, thresholds, truth)
    for at, share, accuracy in zip(curve.threshold, curve.share, curve.accuracy, strict=True):
        made = pseudo_labels(logits, float(at))
        judged = (made.label != 255) & (truth != 255)
        assert float(share) == pytest.approx(made.share)
        if judged.any():
            assert float(accuracy) == pytest.approx(float((made.label == truth)[judged].double().mean()))
        else:
            assert math.isnan(accuracy)
    assert (curve.share.diff() <= 0).all()
    assert threshold_curve(logits, thresholds).accuracy is None
