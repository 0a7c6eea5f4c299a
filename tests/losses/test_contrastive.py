"""STCL beside a loop written from Eq. 1 and 2, beside pytorch-metric-learning, and by what must not change it."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import NTXentLoss, SupConLoss
from pytorch_metric_learning.utils.loss_and_miner_utils import get_all_pairs_indices
from torch.utils._python_dispatch import TorchDispatchMode

from stc_lab.losses import contrastive_loss, sampled_contrastive_loss

TAU = 0.07


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def two_frames(seed=0, n=14, m=11, d=5, classes=4, dtype=torch.float64, ignored=0.2):
    """Features and labels of two lists of pixels, with a pair of anchors of one class for certain."""
    generator = seeded(seed)
    features = [torch.randn(count, d, generator=generator, dtype=dtype) for count in (n, m)]
    labels = [torch.randint(classes, (count,), generator=generator) for count in (n, m)]
    for ids in labels:
        ids[torch.rand(len(ids), generator=generator) < ignored] = 255
    labels[0][:2] = 0
    return features[0], labels[0], features[1], labels[1]


def loop_from_the_paper(features_t, labels_t, features_other, labels_other, tau=TAU):
    """L(i) of Eq. 1 for each anchor, None for those without a positive, and their mean (Eq. 2), in plain numbers."""
    pixels = [(x.tolist(), c) for x, c in zip(features_t, labels_t.tolist(), strict=True)]
    pixels += [(x.tolist(), c) for x, c in zip(features_other, labels_other.tolist(), strict=True)]
    losses = []
    for i in range(len(features_t)):
        anchor, own = pixels[i]
        if own == 255:
            losses.append(None)
            continue
        scores = [sum(a * b for a, b in zip(anchor, x, strict=True)) / tau for x, _ in pixels]
        positives = [scores[j] for j, (_, c) in enumerate(pixels) if c == own and j != i]
        negatives = [scores[j] for j, (_, c) in enumerate(pixels) if c not in (own, 255)]
        rest = sum(math.exp(s) for s in negatives)
        terms = [-math.log(math.exp(s) / (math.exp(s) + rest)) for s in positives]
        losses.append(sum(terms) / len(terms) if terms else None)
    counted = [value for value in losses if value is not None]
    return losses, sum(counted) / len(counted)


def unit(features):
    return torch.nn.functional.normalize(features, dim=1)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 14),
    m=st.integers(1, 11),
    classes=st.integers(1, 6),
    block=st.sampled_from([None, 1, 3]),
)
def test_agrees_with_a_loop_written_from_the_paper(seed, n, m, classes, block):
    frames = two_frames(seed, n, m, classes=classes)
    each, mean = loop_from_the_paper(unit(frames[0]), frames[1], unit(frames[2]), frames[3])
    loss = contrastive_loss(*frames, block=block)
    assert float(loss.total) == pytest.approx(mean, rel=1e-10, abs=1e-14)
    for found, expected in zip(loss.map.tolist(), each, strict=True):
        assert math.isnan(found) if expected is None else found == pytest.approx(expected, rel=1e-10, abs=1e-14)
    assert loss.anchors == sum(value is not None for value in each)
    assert loss.skipped == int((frames[1] != 255).sum()) - loss.anchors


def test_features_left_at_their_length_are_those_of_the_equation():
    frames = two_frames(3)
    _, mean = loop_from_the_paper(frames[0], frames[1], frames[2], frames[3], tau=0.5)
    loss = contrastive_loss(*frames, normalise=False, temperature=0.5)
    assert float(loss.total) == pytest.approx(mean, rel=1e-10)


def test_equals_ntxent_over_the_pairs_of_each_anchor():
    """NTXent is the mean over pairs: taken anchor by anchor it is L(i), also where classes differ in size."""
    features_t, labels_t, features_other, labels_other = two_frames(5, 20, 20, ignored=0)
    features, labels = torch.cat([features_t, features_other]), torch.cat([labels_t, labels_other])
    a1, p, a2, n = get_all_pairs_indices(labels)
    peer, each = NTXentLoss(temperature=TAU), []
    for anchor in range(len(labels_t)):
        if (a1 == anchor).any():
            chosen = a1[a1 == anchor], p[a1 == anchor], a2[a2 == anchor], n[a2 == anchor]
            each.append(peer(features, labels, chosen))
    loss = contrastive_loss(features_t, labels_t, features_other, labels_other)
    torch.testing.assert_close(loss.total, torch.stack(each).mean(), rtol=1e-9, atol=1e-9)


def test_equals_ntxent_on_classes_of_one_size_values_and_gradients():
    labels = torch.arange(4).repeat(6)
    features = torch.randn(24, 8, generator=seeded(), dtype=torch.float64).requires_grad_()
    ours, theirs = contrastive_loss(features, labels).total, NTXentLoss(temperature=TAU)(features, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    gradients = [torch.autograd.grad(total, features)[0] for total in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-9)


def test_supcon_is_another_loss_unless_each_pixel_has_one_positive():
    """Its denominator holds the other positives too, so that it can only be larger."""
    features = torch.randn(24, 8, generator=seeded(), dtype=torch.float64)
    supcon = SupConLoss(temperature=TAU)
    pairs = torch.arange(12).repeat(2)
    torch.testing.assert_close(contrastive_loss(features, pairs).total, supcon(features, pairs), rtol=1e-9, atol=1e-9)
    fours = torch.arange(6).repeat(4)
    assert float(supcon(features, fours)) > float(contrastive_loss(features, fours).total) + 0.05


@pytest.mark.parametrize("normalise", [True, False])
def test_gradients_are_the_derivatives(normalise):
    features_t, labels_t, features_other, labels_other = two_frames(1, 7, 6, d=3, classes=3)

    def total(a, b, block):
        options = {"normalise": normalise, "temperature": 0.5, "block": block}
        return contrastive_loss(a, labels_t, b, labels_other, **options).total

    both = features_t.requires_grad_(), features_other.requires_grad_()
    for block in (None, 2):
        assert torch.autograd.gradcheck(lambda a, b, block=block: total(a, b, block), both)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), block=st.integers(1, 20))
def test_blocks_change_neither_value_nor_gradient(seed, block):
    frames = two_frames(seed, 20, 17)
    found = []
    for size in (None, block):
        a, b = frames[0].clone().requires_grad_(), frames[2].clone().requires_grad_()
        loss = contrastive_loss(a, frames[1], b, frames[3], block=size)
        found.append((loss.total, *torch.autograd.grad(loss.total, (a, b))))
    for whole, in_blocks in zip(*found, strict=True):
        torch.testing.assert_close(in_blocks, whole, rtol=1e-11, atol=1e-13)


def test_the_gradient_follows_what_comes_after_the_loss():
    frames = two_frames(2)
    leaf = frames[0].requires_grad_()
    (plain,) = torch.autograd.grad(contrastive_loss(*frames).total, leaf)
    (scaled,) = torch.autograd.grad(0.2 * contrastive_loss(*frames).total, leaf)
    torch.testing.assert_close(scaled, 0.2 * plain)


def test_two_perfect_classes_have_the_loss_of_the_formula():
    """All of a class alike and perpendicular to the other: L = log(1 + negatives exp(-1/tau)), for each anchor."""
    features = torch.eye(2, dtype=torch.float64).repeat_interleave(torch.tensor([5, 3]), dim=0)
    labels = torch.tensor([0] * 5 + [1] * 3)
    expected = torch.log1p(torch.tensor([3.0] * 5 + [5.0] * 3, dtype=torch.float64) * math.exp(-1 / TAU))
    torch.testing.assert_close(contrastive_loss(features, labels).map, expected, rtol=1e-12, atol=0)


def test_all_alike_cannot_be_told_apart():
    """The collapsed embedding: each anchor sees one positive and n negatives of the same score."""
    features, labels = torch.ones(9, 4, dtype=torch.float64), torch.arange(3).repeat(3)
    assert float(contrastive_loss(features, labels).total) == pytest.approx(math.log(7))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e6])
def test_scores_of_any_size_are_safe(scale):
    """Dot products of features as they are reach 1e14 here at tau 0.07: exp overflows at 89."""
    features_t, labels_t, features_other, labels_other = two_frames(4, d=64)
    exact = contrastive_loss(scale * features_t, labels_t, scale * features_other, labels_other, normalise=False).total
    small = (scale * features_t).float().requires_grad_()
    loss = contrastive_loss(small, labels_t, (scale * features_other).float(), labels_other, normalise=False)
    torch.testing.assert_close(loss.total.double(), exact, rtol=1e-4, atol=1e-6)
    loss.total.backward()
    assert small.grad.isfinite().all() and small.grad.abs().max() > 0


def test_anchors_without_a_positive_are_skipped_but_serve_as_negatives():
    features = torch.randn(5, 4, generator=seeded(), dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 2, 255])
    loss = contrastive_loss(features, labels)
    assert (loss.anchors, loss.skipped) == (2, 2)
    assert loss.map.isnan().tolist() == [False, False, True, True, True]
    assert float(loss.total) == pytest.approx(float(loss.map[:2].mean()))
    without = contrastive_loss(features, torch.tensor([0, 0, 1, 255, 255]))
    assert float(without.total) < float(loss.total)  # pixel 3 was a negative


def test_a_positive_in_the_other_frame_is_enough():
    features = torch.randn(4, 4, generator=seeded(), dtype=torch.float64)
    loss = contrastive_loss(features[:2], torch.tensor([0, 1]), features[2:], torch.tensor([0, 2]))
    assert (loss.anchors, loss.skipped) == (1, 1)
    s = unit(features) @ unit(features).T / TAU
    expected = torch.log1p((s[0, 1].exp() + s[0, 3].exp()) / s[0, 2].exp())
    assert float(loss.total) == pytest.approx(float(expected))


def test_one_class_alone_has_loss_zero_and_no_gradient():
    features = torch.randn(6, 4, generator=seeded()).requires_grad_()
    loss = contrastive_loss(features, torch.tensor([3, 3, 3, 3, 255, 255]))
    loss.total.backward()
    assert float(loss.total.detach()) == 0 and loss.anchors == 4
    assert not features.grad.any()


def test_what_is_ignored_does_not_matter_not_even_when_it_is_no_number():
    features_t, labels_t, features_other, labels_other = two_frames(6, ignored=0.4)
    clean = contrastive_loss(features_t, labels_t, features_other, labels_other)
    spoilt = features_t.clone(), features_other.clone()
    spoilt[0][labels_t == 255] = torch.nan
    spoilt[1][labels_other == 255] = torch.inf
    leaf = spoilt[0].requires_grad_()
    loss = contrastive_loss(leaf, labels_t, spoilt[1], labels_other)
    loss.total.backward()
    assert float(loss.total.detach()) == float(clean.total)
    assert not leaf.grad[labels_t == 255].any() and leaf.grad.isfinite().all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_pixels_the_ids_of_classes_and_a_rotation_change_nothing(seed):
    a, ids_a, b, ids_b = two_frames(seed, 16, 12, d=6)
    loss = contrastive_loss(a, ids_a, b, ids_b)
    generator = seeded(seed + 1)
    order_a, order_b = (torch.randperm(len(x), generator=generator) for x in (a, b))
    moved = contrastive_loss(a[order_a], ids_a[order_a], b[order_b], ids_b[order_b])
    torch.testing.assert_close(moved.map, loss.map[order_a], rtol=1e-11, atol=1e-13, equal_nan=True)
    other_ids = torch.cat([torch.randperm(200, generator=generator), torch.full((56,), 255)])
    renamed = contrastive_loss(a, other_ids[ids_a], b, other_ids[ids_b])
    torch.testing.assert_close(renamed.map, loss.map, rtol=1e-11, atol=1e-13, equal_nan=True)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    rotated = contrastive_loss(3 * a @ turn, ids_a, 0.1 * b @ turn, ids_b)  # length does not count either
    torch.testing.assert_close(rotated.map, loss.map, rtol=1e-10, atol=1e-12, equal_nan=True)


def test_a_feature_map_is_the_list_of_its_pixels():
    features = [torch.randn(1, 6, 4, 5, generator=seeded(s), dtype=torch.float64) for s in (0, 1)]
    labels = [torch.randint(3, (1, 4, 5), generator=seeded(s)) for s in (2, 3)]
    as_map = contrastive_loss(features[0], labels[0], features[1], labels[1])
    rows = [f[0].flatten(1).T for f in features]
    as_list = contrastive_loss(rows[0], labels[0].flatten(), rows[1], labels[1].flatten())
    assert as_map.map.shape == (1, 4, 5) and as_list.map.shape == (20,)
    torch.testing.assert_close(as_map.map.flatten(), as_list.map)
    torch.testing.assert_close(as_map.total, as_list.total)


def test_pairs_of_a_batch_are_contrasted_by_themselves_or_together():
    features = [torch.randn(2, 6, 4, 5, generator=seeded(s), dtype=torch.float64) for s in (0, 1)]
    labels = [torch.randint(3, (2, 4, 5), generator=seeded(s)) for s in (2, 3)]
    labels[0][1, 1:] = 255  # the second pair has fewer anchors, which weigh no more for it
    apart = contrastive_loss(features[0], labels[0], features[1], labels[1])
    alone = [contrastive_loss(features[0][[i]], labels[0][[i]], features[1][[i]], labels[1][[i]]) for i in (0, 1)]
    torch.testing.assert_close(apart.map, torch.cat([loss.map for loss in alone]), equal_nan=True)
    assert apart.anchors == alone[0].anchors + alone[1].anchors
    torch.testing.assert_close(apart.total, apart.map.nanmean())
    together = contrastive_loss(features[0], labels[0], features[1], labels[1], together=True)
    rows = [f.permute(0, 2, 3, 1).reshape(-1, 6) for f in features]
    pooled = contrastive_loss(rows[0], labels[0].flatten(), rows[1], labels[1].flatten())
    torch.testing.assert_close(together.map.flatten(), pooled.map, equal_nan=True)
    assert float(together.total) > float(apart.total)  # more negatives


def test_a_pair_without_anchors_adds_nothing_to_its_batch():
    features = torch.randn(2, 6, 4, 5, generator=seeded(), dtype=torch.float64)
    labels = torch.randint(3, (2, 4, 5), generator=seeded())
    labels[1] = 255
    loss, alone = contrastive_loss(features, labels), contrastive_loss(features[:1], labels[:1])
    torch.testing.assert_close(loss.total, alone.total)
    assert loss.map[1].isnan().all() and loss.anchors == alone.anchors


@pytest.mark.parametrize(
    ("gradient", "learn"), [("both", (True, True)), ("t", (True, False)), ("other", (False, True))]
)
def test_the_gradient_goes_to_the_frames_it_is_asked_for(gradient, learn):
    frames = two_frames(7)
    full = [frames[0].clone().requires_grad_(), frames[2].clone().requires_grad_()]
    contrastive_loss(full[0], frames[1], full[1], frames[3]).total.backward()
    some = [frames[0].clone().requires_grad_(), frames[2].clone().requires_grad_()]
    contrastive_loss(some[0], frames[1], some[1], frames[3], gradient=gradient).total.backward()
    for asked, partial, whole in zip(learn, some, full, strict=True):
        if asked:
            torch.testing.assert_close(partial.grad, whole.grad)
        else:
            assert partial.grad is None


def test_without_gradient_the_value_is_the_same():
    frames = two_frames(8)
    plain = contrastive_loss(*frames)
    assert not plain.total.requires_grad
    with torch.no_grad():
        held = contrastive_loss(frames[0].clone().requires_grad_(), *frames[1:])
    assert not held.total.requires_grad and float(held.total) == float(plain.total)
    assert not plain.map.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    frames = two_frames(9, dtype=torch.float32)
    halves = frames[0].to(dtype).requires_grad_(), frames[2].to(dtype)
    loss = contrastive_loss(halves[0], frames[1], halves[1], frames[3])
    lifted = contrastive_loss(halves[0].float(), frames[1], halves[1].float(), frames[3])
    assert loss.total.dtype == loss.map.dtype == torch.float32
    assert float(loss.total.detach()) == float(lifted.total.detach())
    loss.total.backward()
    assert halves[0].grad.dtype == dtype and halves[0].grad.isfinite().all()


def test_autocast_changes_nothing():
    frames = two_frames(10, dtype=torch.float32)
    plain = contrastive_loss(*frames)
    with torch.autocast("cpu", torch.bfloat16):
        cast = contrastive_loss(*frames)
    assert torch.equal(cast.total, plain.total)


def test_a_feature_of_length_zero_is_finite_in_value_and_gradient():
    """As a head that ends in a ReLU can give it."""
    frames = two_frames(11)
    frames[0][0] = 0
    leaf = frames[0].requires_grad_()
    loss = contrastive_loss(leaf, *frames[1:])
    loss.total.backward()
    assert loss.total.isfinite() and leaf.grad.isfinite().all() and leaf.grad.abs().max() < 1e3


def test_descent_draws_classes_together_and_apart():
    """Until all positives score more than all negatives; then the pull fades within a few tau."""
    features = torch.randn(30, 4, generator=seeded()).requires_grad_()
    labels = torch.arange(3).repeat(10)
    optimiser = torch.optim.Adam([features], lr=0.1)
    for _ in range(30):
        optimiser.zero_grad()
        contrastive_loss(features, labels).total.backward()
        optimiser.step()
    cosines = unit(features.detach()) @ unit(features.detach()).T
    same = labels[:, None] == labels
    assert cosines[same].min() > cosines[~same].max() + TAU and cosines[~same].mean() < 0


class LargestTensor(TorchDispatchMode):
    """Notes the most values of any tensor that an operation makes."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, torch.Tensor):
                self.values = max(self.values, made.numel())
        return result


def test_nothing_larger_than_a_block_is_made():
    a, ids_a, b, ids_b = two_frames(12, 300, 300, d=8)
    with LargestTensor() as largest:
        contrastive_loss(a.requires_grad_(), ids_a, b, ids_b, block=10).total.backward()
    assert largest.values <= 2 * 600 * 8  # the features twice; all scores would be 300 x 600
    with LargestTensor() as largest:
        contrastive_loss(a, ids_a, b, ids_b, block=300).total.backward()
    assert largest.values > 2 * 600 * 8


PEAK = """
import resource, torch
from stc_lab.losses import contrastive_loss
torch.set_num_threads(1)

def step(height, width):
    features = [torch.randn(1, 128, height, width, requires_grad=True) for _ in range(2)]
    labels = torch.arange(12).reshape(1, 3, 4).repeat_interleave(height // 3, 1).repeat_interleave(width // 4, 2)
    contrastive_loss(features[0], labels, features[1], labels).total.backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

print(-step(6, 8) + step(60, 80))
"""


@pytest.mark.slow
def test_memory_is_not_that_of_all_scores():
    """Two frames of 60 x 80: their 4,800 x 9,600 scores take 184 MB; benchmarks/contrastive.py tries 120 x 160."""
    grown = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True).stdout
    unit_of_rss = 1 if sys.platform == "darwin" else 1024
    assert int(grown) * unit_of_rss < 150e6


def test_a_sample_of_everything_is_everything():
    frames = two_frames(13, 12, 12, ignored=0)
    whole = contrastive_loss(*frames)
    sampled = sampled_contrastive_loss(*frames, count=24, generator=seeded())
    torch.testing.assert_close(sampled.map, whole.map, equal_nan=True)
    torch.testing.assert_close(sampled.total, whole.total)


def test_a_sample_takes_half_its_pixels_from_either_frame():
    features = [torch.randn(2, 6, 12, 15, generator=seeded(s)).requires_grad_() for s in (0, 1)]
    labels = [torch.randint(3, (2, 12, 15), generator=seeded(s)) for s in (2, 3)]
    loss = sampled_contrastive_loss(features[0], labels[0], features[1], labels[1], count=60, generator=seeded())
    assert loss.anchors == 60 and loss.map.isfinite().sum(dim=(1, 2)).tolist() == [30, 30]
    loss.total.backward()
    for frame in features:
        assert frame.grad.any(dim=1).sum(dim=(1, 2)).tolist() == [30, 30]
    for pair in range(2):
        drawn = labels[0][pair][loss.map[pair].isfinite()]
        assert drawn.bincount().tolist() == [10, 10, 10]
    again = sampled_contrastive_loss(features[0], labels[0], features[1], labels[1], count=60, generator=seeded())
    other = sampled_contrastive_loss(features[0], labels[0], features[1], labels[1], count=60, generator=seeded(1))
    assert torch.equal(again.total, loss.total) and not torch.equal(other.total, loss.total)


def test_a_sample_is_the_loss_of_its_pixels():
    """Of classes of one size all anchors count, so that the drawn pixels can be read off the gradients."""
    features = [torch.randn(90, 6, generator=seeded(s), dtype=torch.float64).requires_grad_() for s in (0, 1)]
    labels = torch.arange(3).repeat(30)
    loss = sampled_contrastive_loss(features[0], labels, features[1], labels, count=24, generator=seeded())
    loss.total.backward()
    drawn = [frame.grad.any(dim=1) for frame in features]
    direct = contrastive_loss(features[0][drawn[0]], labels[drawn[0]], features[1][drawn[1]], labels[drawn[1]])
    torch.testing.assert_close(direct.total, loss.total)


def test_one_frame_can_be_sampled_and_an_unlabelled_second_one_adds_nothing():
    features, labels = torch.randn(40, 6, generator=seeded()), torch.arange(4).repeat(10)
    assert sampled_contrastive_loss(features, labels, count=20, generator=seeded()).anchors == 20
    unlabelled = torch.full((40,), 255)
    loss = sampled_contrastive_loss(features, labels, features, unlabelled, count=20, generator=seeded())
    assert loss.anchors == 10
