import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.geometry.warp import Warped
from stc_lab.losses import LogitsConsistency, consistency_map, logits_consistency

PARTS = ("uniform", "label_prior", "pixel_prior")


def example(seed=0, b=2, k=4, h=5, w=6, dtype=torch.float64):
    """Random logits and masks, with a usable edge pixel."""
    generator = torch.Generator().manual_seed(seed)
    propagated, predicted = (torch.randn(b, k, h, w, generator=generator, dtype=dtype) for _ in range(2))
    visible, edges = (torch.rand(b, h, w, generator=generator) < 0.6 for _ in range(2))
    visible[0, 0, 0] = edges[0, 0, 0] = True
    return Warped(propagated, visible), predicted, edges


def loop_reference(warped, logits, edges, weights):
    """Eq. 1 with each W written out, pixel by pixel and class by class, then normalised to sum to one."""
    b, k, h, w = logits.shape
    pixels = [(i, y, x) for i in range(b) for y in range(h) for x in range(w) if warped.visible[i, y, x]]
    W = {name: {} for name in PARTS}
    for i, y, x in pixels:
        scores = [float(logits[i, c, y, x]) for c in range(k)]
        for c in range(k):
            W["uniform"][i, y, x, c] = 1.0
            W["label_prior"][i, y, x, c] = float(c == scores.index(max(scores)))
            W["pixel_prior"][i, y, x, c] = float(edges[i, y, x])
    parts = {}
    for name, weight in W.items():
        norm = sum(weight.values())
        parts[name] = 0.0
        for (i, y, x, c), value in weight.items():
            parts[name] += value / norm * abs(float(warped.image[i, c, y, x]) - float(logits[i, c, y, x]))
    return parts, sum(getattr(weights, name) * parts[name] for name in PARTS)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5))
def test_agrees_with_a_loop_written_from_the_paper(seed, k):
    weights = LogitsConsistency(0.3, 0.5, 0.7)
    warped, logits, edges = example(seed, k=k)
    parts, total = loop_reference(warped, logits, edges, weights)
    loss = logits_consistency(warped, logits, edges, weights)
    for name in PARTS:
        assert float(getattr(loss, name)) == pytest.approx(parts[name], rel=1e-12)
    assert float(loss.total) == pytest.approx(total, rel=1e-12)
    assert int(loss.support) == int(warped.visible.sum())
    assert int(loss.edge_support) == int((warped.visible & edges).sum())


def test_default_weights_are_the_papers():
    assert dataclasses.astuple(LogitsConsistency()) == (0.2, 0.4, 0.4)


def test_equal_logits_cost_nothing():
    warped, _, edges = example()
    loss = logits_consistency(warped, warped.image.clone(), edges)
    assert float(loss.total) == 0.0


def test_permuting_classes_changes_nothing():
    warped, logits, edges = example()
    order = torch.tensor([2, 0, 3, 1])
    permuted = logits_consistency(Warped(warped.image[:, order], warped.visible), logits[:, order], edges)
    for name in (*PARTS, "total"):
        torch.testing.assert_close(getattr(permuted, name), getattr(logits_consistency(warped, logits, edges), name))


@settings(max_examples=5, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_scales_with_the_logits_and_ignores_a_common_shift(scale, shift):
    warped, logits, edges = example()
    moved = Warped(warped.image * scale + shift, warped.visible)
    torch.testing.assert_close(
        logits_consistency(moved, logits * scale + shift, edges).total,
        logits_consistency(warped, logits, edges).total * scale,
        rtol=1e-9,
        atol=1e-10,
    )


@pytest.mark.parametrize("garbage", [0.0, -3e38, 3e38, float("inf"), float("nan")])
def test_what_stands_at_invisible_pixels_does_not_matter(garbage):
    warped, logits, edges = example(dtype=torch.float32)
    hidden = ~warped.visible[:, None]
    image = warped.image.masked_fill(hidden, garbage).requires_grad_()
    target = logits.masked_fill(hidden, -garbage).requires_grad_()
    loss = logits_consistency(Warped(image, warped.visible), target, edges)
    assert torch.equal(loss.total, logits_consistency(warped, logits, edges).total)
    for gradient in torch.autograd.grad(loss.total, (image, target)):
        assert torch.isfinite(gradient).all()
        assert (gradient.masked_select(hidden) == 0).all()


def test_each_prior_sees_only_its_own_differences():
    warped, logits, edges = example()
    believed = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, logits.argmax(1, keepdim=True), True)
    elsewhere = Warped(torch.where(believed, logits, logits + 5), warped.visible)
    assert float(logits_consistency(elsewhere, logits, edges).label_prior) == 0.0
    off_edges = Warped(torch.where(edges[:, None], logits, logits + 5), warped.visible)
    assert float(logits_consistency(off_edges, logits, edges).pixel_prior) == 0.0


def test_belief_comes_from_the_unwarped_logits():
    logits = torch.tensor([3.0, 0.0]).reshape(1, 2, 1, 1)
    warped = Warped(torch.tensor([1.0, 9.0]).reshape(1, 2, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool))
    loss = logits_consistency(warped, logits, torch.zeros(1, 1, 1, dtype=torch.bool))
    assert float(loss.label_prior) == 2.0  # |1 - 3| of class 0, not |9 - 0| of class 1


def test_without_edges_the_pixel_prior_is_zero():
    warped, logits, edges = example()
    loss = logits_consistency(warped, logits, torch.zeros_like(edges))
    assert float(loss.pixel_prior) == 0.0
    assert int(loss.edge_support) == 0
    torch.testing.assert_close(loss.total, 0.2 * loss.uniform + 0.4 * loss.label_prior)


@pytest.mark.parametrize("gradient", ["both", "warped", "target"])
def test_gradcheck(gradient):
    warped, logits, edges = example(b=1, k=3, h=3, w=3)
    # Differences of at least 0.5 keep clear of the kink of |x|, and gaps of one between classes of that of argmax.
    logits = torch.arange(3.0, dtype=torch.float64).reshape(1, 3, 1, 1) + 0.1 * logits.tanh()
    image = logits + torch.where(warped.image >= 0, 0.5 + warped.image.abs(), -0.5 - warped.image.abs())

    def total(image, logits):
        return logits_consistency(Warped(image, warped.visible), logits, edges, gradient=gradient).total

    image.requires_grad_(gradient != "target")
    logits = logits.detach().requires_grad_(gradient != "warped")
    assert torch.autograd.gradcheck(total, (image, logits))


@pytest.mark.parametrize(("gradient", "learns"), [("both", (1, 1)), ("warped", (1, 0)), ("target", (0, 1))])
def test_gradient_switch(gradient, learns):
    warped, logits, edges = example()
    image, target = warped.image.requires_grad_(), logits.requires_grad_()
    both = logits_consistency(Warped(image, warped.visible), target, edges)
    loss = logits_consistency(Warped(image, warped.visible), target, edges, gradient=gradient)
    assert torch.equal(loss.total, both.total)
    found = torch.autograd.grad(loss.total, (image, target), allow_unused=True)
    assert tuple(int(g is not None) for g in found) == learns


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    image, logits = (torch.randn(1, 21, 120, 160, generator=generator).to(dtype) for _ in range(2))
    visible, edges = torch.ones(1, 120, 160, dtype=torch.bool), torch.rand(1, 120, 160, generator=generator) < 0.1
    loss = logits_consistency(Warped(image, visible), logits, edges)
    exact = logits_consistency(Warped(image.double(), visible), logits.double(), edges)
    assert loss.total.dtype == torch.float32
    torch.testing.assert_close(loss.total.double(), exact.total, rtol=1e-6, atol=0)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_maps_average_back_to_the_loss(seed):
    weights = LogitsConsistency(0.3, 0.5, 0.7)
    warped, logits, edges = example(seed)
    loss = logits_consistency(warped, logits, edges, weights)
    maps = consistency_map(warped, logits, edges, weights)
    assert set(maps) == {*PARTS, "total"}
    for name, drawn in maps.items():
        assert drawn.shape == edges.shape
        assert (drawn[~warped.visible] == 0).all()
        expected = getattr(loss, name) * getattr(weights, name, 1.0)
        torch.testing.assert_close(drawn[warped.visible].mean(), expected, rtol=1e-10, atol=0)


def test_maps_carry_no_gradient_and_work_without_edges():
    warped, logits, edges = example()
    maps = consistency_map(warped, logits.requires_grad_(), torch.zeros_like(edges))
    assert not any(drawn.requires_grad for drawn in maps.values())
    assert (maps["pixel_prior"] == 0).all()
