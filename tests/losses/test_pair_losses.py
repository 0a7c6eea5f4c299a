"""Any weights, both directions and pseudo-labels on a warped pair."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.data.rooms import PRESETS, render_video
from stc_lab.geometry import Warped
from stc_lab.losses import (
    Direction,
    LogitsConsistency,
    both_directions,
    consistency_map,
    image_edges,
    logits_consistency,
    pseudo_label_cross_entropy,
    weighted_consistency,
)
from stc_lab.training.pairs import warp_logits


def example(seed=0, b=2, k=4, h=5, w=6, dtype=torch.float64):
    """Warped logits, those of the target, its edges and weights; some pixels of each are left out."""
    generator = torch.Generator().manual_seed(seed)
    propagated, predicted = (torch.randn(b, k, h, w, generator=generator, dtype=dtype) for _ in range(2))
    visible, edges = (torch.rand(b, h, w, generator=generator) < 0.6 for _ in range(2))
    visible[0, 0, 0] = edges[0, 0, 0] = True
    return Warped(propagated, visible), predicted, edges, torch.rand(b, k, h, w, generator=generator, dtype=dtype)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5))
def test_arbitrary_weights_are_eq_1_with_normalised_w(seed, k):
    warped, logits, _, weight = example(seed, k=k)
    total = norm = 0.0
    for i, y, x in warped.visible.nonzero().tolist():
        for c in range(k):
            total += float(weight[i, c, y, x]) * abs(float(warped.image[i, c, y, x]) - float(logits[i, c, y, x]))
            norm += float(weight[i, c, y, x])
    found = weighted_consistency(warped, logits, weight)
    assert float(found.total) == pytest.approx(total / norm, rel=1e-12)
    torch.testing.assert_close(found.map[warped.visible].mean(), found.total)
    assert (found.map[~warped.visible] == 0).all() and int(found.support) == int(warped.visible.sum())


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_the_three_priors_are_three_weights(seed, scale):
    warped, logits, edges, _ = example(seed)
    believed = F.one_hot(logits.argmax(dim=1), logits.shape[1]).movedim(-1, 1).double()
    loss = logits_consistency(warped, logits, edges)
    for part, weight in {
        "uniform": torch.ones_like(logits),
        "label_prior": believed,
        "pixel_prior": edges[:, None].expand_as(logits).double(),
    }.items():
        torch.testing.assert_close(weighted_consistency(warped, logits, scale * weight).total, getattr(loss, part))


def test_no_weight_is_no_loss_and_what_is_invisible_has_none():
    warped, logits, _, weight = example()
    hidden = ~warped.visible[:, None]
    assert float(weighted_consistency(warped, logits, torch.zeros_like(weight)).total) == 0
    nan = Warped(warped.image.masked_fill(hidden, torch.nan).requires_grad_(), warped.visible)
    found = weighted_consistency(nan, logits, weight.masked_fill(hidden, -torch.inf))
    assert torch.equal(found.total, weighted_consistency(warped, logits, weight).total)
    assert torch.isfinite(torch.autograd.grad(found.total, nan.image)[0]).all()


@pytest.mark.parametrize(("gradient", "learns"), [("both", (1, 1)), ("warped", (1, 0)), ("target", (0, 1))])
@pytest.mark.parametrize("loss", ["weighted", "pseudo"])
def test_gradient_switch(loss, gradient, learns):
    warped, logits, _, weight = example()
    image, target, weight = (tensor.requires_grad_() for tensor in (warped.image, logits, weight))
    pair = Warped(image, warped.visible), target
    if loss == "weighted":
        total = weighted_consistency(*pair, weight, gradient=gradient).total
    else:
        total = pseudo_label_cross_entropy(*pair, gradient=gradient).total
    found = torch.autograd.grad(total, (image, target, weight), allow_unused=True)
    assert tuple(int(g is not None and bool((g != 0).any())) for g in found) == (*learns, 0)


@pytest.mark.parametrize("gradient", ["both", "warped", "target"])
@pytest.mark.parametrize("loss", ["weighted", "pseudo"])
def test_gradcheck(loss, gradient):
    warped, logits, _, weight = example(b=1, k=3, h=3, w=3)
    # Gaps of one between classes keep clear of the kink of argmax, differences of 0.2 of that of |x|.
    logits = torch.arange(3.0, dtype=torch.float64).reshape(1, 3, 1, 1) + 0.1 * logits.tanh()
    image = logits + 0.2 * warped.image.sign()

    def total(image, logits):
        pair = Warped(image, warped.visible), logits
        if loss == "weighted":
            return weighted_consistency(*pair, weight, gradient=gradient).total
        return pseudo_label_cross_entropy(*pair, gradient=gradient).total

    image = image.requires_grad_(gradient != "target")
    assert torch.autograd.gradcheck(total, (image, logits.requires_grad_(gradient != "warped")))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5))
def test_pseudo_labels_of_the_target_train_the_warped_logits(seed, k):
    warped, logits, _, _ = example(seed, k=k)
    total = []
    for i, y, x in warped.visible.nonzero().tolist():
        scores, target = warped.image[i, :, y, x].tolist(), logits[i, :, y, x].tolist()
        total.append(math.log(sum(map(math.exp, scores))) - scores[target.index(max(target))])
    found = pseudo_label_cross_entropy(warped, logits)
    assert float(found.total) == pytest.approx(sum(total) / len(total), rel=1e-12)
    torch.testing.assert_close(found.map[warped.visible].mean(), found.total)
    swapped = pseudo_label_cross_entropy(Warped(logits, warped.visible), warped.image).total
    torch.testing.assert_close(pseudo_label_cross_entropy(warped, logits, gradient="target").total, swapped)
    both = pseudo_label_cross_entropy(warped, logits, gradient="both").total
    torch.testing.assert_close(both, (found.total + swapped) / 2)


def test_one_flipped_pixel_costs_its_margin():
    logits = torch.zeros(1, 2, 4, 5)
    logits[:, 0] = 30.0  # as good as certain
    image = logits.clone()
    assert float(pseudo_label_cross_entropy(Warped(image, torch.ones(1, 4, 5, dtype=torch.bool)), logits).total) < 1e-9
    image[0, :, 2, 3] = image[0, :, 2, 3].flip(0)
    seen = torch.ones(1, 4, 5, dtype=torch.bool)
    found = pseudo_label_cross_entropy(Warped(image, seen), logits)
    assert float(found.total) == pytest.approx(30 / 20)
    assert (found.map > 1e-6).nonzero().tolist() == [[0, 2, 3]]


@pytest.mark.parametrize("garbage", [float("inf"), float("nan")])
def test_garbage_where_nothing_is_visible_does_not_reach_pseudo_labels(garbage):
    warped, logits, _, _ = example(dtype=torch.float32)
    hidden = ~warped.visible[:, None]
    image = warped.image.masked_fill(hidden, garbage).requires_grad_()
    found = pseudo_label_cross_entropy(Warped(image, warped.visible), logits.masked_fill(hidden, garbage))
    assert torch.equal(found.total, pseudo_label_cross_entropy(warped, logits).total)
    assert torch.isfinite(torch.autograd.grad(found.total, image)[0]).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    warped, logits, _, weight = example()
    pair = Warped(warped.image.to(dtype), warped.visible), logits.to(dtype)
    exact = Warped(pair[0].image.double(), warped.visible), pair[1].double()
    for loss in (pseudo_label_cross_entropy, lambda a, b: weighted_consistency(a, b, weight)):
        assert loss(*pair).total.dtype == torch.float32
        torch.testing.assert_close(loss(*pair).total.double(), loss(*exact).total, rtol=1e-5, atol=0)


def directions(seed=0):
    there, back = example(seed), example(seed + 1)
    return Direction(*there[:3]), Direction(*back[:3])


@pytest.mark.parametrize("gradient", ["both", "warped", "target"])
def test_both_directions_are_the_mean_of_the_two(gradient):
    weights = LogitsConsistency(0.3, 0.5, 0.7)
    forward, backward = directions()
    found = both_directions(forward, backward, weights, gradient=gradient)
    one, two = (
        logits_consistency(way.warped, way.logits_target, way.edges_target, weights, gradient=gradient)
        for way in (forward, backward)
    )
    torch.testing.assert_close(found.total, (one.total + two.total) / 2)
    assert torch.equal(found.forward.total, one.total) and torch.equal(found.backward.total, two.total)
    assert torch.equal(both_directions(backward, forward, weights).total, found.total)


def test_a_direction_that_shows_nothing_is_left_out():
    forward, backward = directions()
    blind = Direction(
        Warped(backward.warped.image, torch.zeros_like(backward.warped.visible)),
        backward.logits_target,
        backward.edges_target,
    )
    found = both_directions(forward, blind)
    assert found.backward is None and torch.equal(found.total, found.forward.total)


@pytest.fixture(scope="module")
def frames():
    clip = render_video("rooms-test-0000", PRESETS["tiny"])
    return clip[[0]], clip[[3]]


def test_the_room_agrees_with_itself_along_the_true_warp_alone(frames):
    """True labels as logits: the exact warp leaves what interpolation does at borders, the identity much more."""
    logits = [5 * F.one_hot(frame.label.clamp(max=21), 22).movedim(-1, 1).float() for frame in frames]
    edges = [image_edges(frame.image) for frame in frames]
    found = {}
    for warp in ("geometry", "identity"):
        ways = [
            Direction(warp_logits(logits[s], frames[s], frames[t], warp=warp), logits[t], edges[t])
            for s, t in ((0, 1), (1, 0))
        ]
        found[warp] = both_directions(*ways)
    assert int(found["geometry"].forward.support) == int(found["identity"].forward.support) > 500
    assert float(found["geometry"].total) < 0.5 * float(found["identity"].total)
    drawn = consistency_map(ways[0].warped, logits[1], edges[1])["total"]
    assert float(drawn[ways[0].warped.visible].mean()) == pytest.approx(
        float(found["identity"].forward.total), rel=1e-5
    )
