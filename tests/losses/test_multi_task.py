import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.losses import semantic_smoothness, shared_gradient


def example(seed=0, b=2, k=3, h=5, w=6, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randn(b, k, h, w, generator=generator, dtype=dtype).softmax(dim=1)
    return 0.1 + torch.rand(b, 1, h, w, generator=generator, dtype=dtype), classes


def slow(disparity, classes, *, hard):
    """Chen et al. 2019, Eq. 8, pair by pair of neighbours, along x and along y."""
    b, _, h, w = classes.shape
    means = []
    for dy, dx in ((0, 1), (1, 0)):
        terms = []
        for i in range(b):
            for y in range(h - dy):
                for x in range(w - dx):
                    here, there = classes[i, :, y, x], classes[i, :, y + dy, x + dx]
                    apart = float(here.argmax() != there.argmax()) if hard else float((here - there).abs().sum()) / 2
                    terms.append(abs(float(disparity[i, 0, y + dy, x + dx] - disparity[i, 0, y, x])) * (1 - apart))
        means.append(sum(terms) / len(terms))
    return sum(means)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 4))
def test_smooth_within_a_class(seed, k):
    disparity, classes = example(seed, k=k)
    for learns, hard in (("disparity", True), ("semantics", False), ("both", False)):
        found = semantic_smoothness(disparity, classes, learns=learns)
        assert float(found.total) == pytest.approx(slow(disparity, classes, hard=hard), rel=1e-12)
        torch.testing.assert_close(found.map.mean(), found.total)


def test_a_step_at_the_border_of_a_class_is_free_and_within_it_is_not():
    disparity = torch.ones(1, 1, 4, 6)
    disparity[..., 3:] = 2.0
    for border, cost in ((3, 0.0), (2, 1 / 5)):
        classes = F.one_hot((torch.arange(6) >= border).long().expand(1, 4, 6), 2).movedim(-1, 1).float()
        assert float(semantic_smoothness(disparity, classes).total) == pytest.approx(cost)


@pytest.mark.parametrize(("learns", "expected"), [("disparity", (1, 0)), ("semantics", (0, 1)), ("both", (1, 1))])
def test_who_learns(learns, expected):
    disparity, classes = example()
    total = semantic_smoothness(disparity.requires_grad_(), classes.requires_grad_(), learns=learns).total
    found = torch.autograd.grad(total, (disparity, classes), allow_unused=True)
    assert tuple(int(g is not None) for g in found) == expected


@pytest.mark.parametrize("learns", ["disparity", "both"])
def test_gradcheck(learns):
    disparity, classes = example(b=1, h=3, w=3)
    logits = (5 * classes).log().requires_grad_(learns == "both")

    def total(disparity, logits):
        return semantic_smoothness(disparity, logits.softmax(dim=1), learns=learns, normalise="mean").total

    assert torch.autograd.gradcheck(total, (disparity.requires_grad_(), logits))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_encoder_gets_the_shares_and_the_decoders_all(share):
    generator = torch.Generator().manual_seed(0)
    image, encoder, *decoders = (torch.randn(4, generator=generator, dtype=torch.float64) for _ in range(4))
    for tensor in (encoder, *decoders):
        tensor.requires_grad_()
    features = image * encoder
    forked = shared_gradient(features, segmentation=share)
    assert all(torch.equal(fork, features) for fork in forked)
    losses = [(decoder * fork).square().sum() for decoder, fork in zip(decoders, forked, strict=True)]
    mixed = torch.autograd.grad(sum(losses), (encoder, *decoders))
    alone = [
        torch.autograd.grad((decoder * image * encoder).square().sum(), (encoder, decoder)) for decoder in decoders
    ]
    torch.testing.assert_close(mixed[0], share * alone[0][0] + (1 - share) * alone[1][0])
    for found, expected in zip(mixed[1:], alone, strict=True):
        torch.testing.assert_close(found, expected[1])
