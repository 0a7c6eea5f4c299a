import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.data.rooms import PRESETS, render_video
from stc_lab.losses import edge_loss_h, edge_loss_p

LOSSES = (edge_loss_p, edge_loss_h)


def example(seed=0, b=2, k=3, h=5, w=6, dtype=torch.float64):
    """Random class probabilities and depth; one pixel's depth is unknown, and another is masked."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randn(b, k, h, w, generator=generator, dtype=dtype).softmax(dim=1)
    depth = 1 + 3 * torch.rand(b, 1, h, w, generator=generator, dtype=dtype)
    depth[0, 0, 2, 2] = 0
    usable = torch.rand(b, h, w, generator=generator) < 0.9
    return classes, depth, usable


def slow(classes, depth, usable, *, holistic, official=False):
    """The slides' sums, slope by slope."""
    b, k, h, w = classes.shape
    S, D = classes.tolist(), depth.tolist()

    def known(i, y, x):
        return y < h and x < w and bool(usable[i, y, x]) and D[i][0][y][x] > 0

    def slope(field, i, y, x, dy, dx):
        return abs(field[y + dy][x + dx] - field[y][x])

    means = []
    for dy, dx in ((0, 1), (1, 0)):
        terms = []
        for i in range(b):
            for y in range(h):
                for x in range(w):
                    needed = [(y, x), (y + dy, x + dx)] + ([(y, x + 1)] if official else [])
                    if not all(known(i, *pixel) for pixel in needed):
                        continue
                    weight = math.exp(-slope(D[i][0], i, y, x, *((0, 1) if official else (dy, dx))))
                    steps = [slope(S[i][c], i, y, x, dy, dx) for c in range(k)]
                    terms.append((max(steps) if holistic else sum(steps)) * weight)
        means.append(sum(terms) / len(terms))
    return means


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 4))
def test_agree_with_the_slides_slope_by_slope(seed, k):
    classes, depth, usable = example(seed, k=k)
    for loss, holistic in ((edge_loss_p, False), (edge_loss_h, True)):
        found = loss(classes, depth, usable=usable)
        across, down = slow(classes, depth, usable, holistic=holistic)
        assert float(found.across) == pytest.approx(across, rel=1e-12)
        assert float(found.down) == pytest.approx(down, rel=1e-12)
        assert float(found.total) == pytest.approx(across + down, rel=1e-12)
        torch.testing.assert_close(found.map.mean(), found.total)
    printed = edge_loss_h(classes, depth, usable=usable, official=True)
    across, down = (
        slow(classes, depth, usable, holistic=True)[0],
        slow(classes, depth, usable, holistic=True, official=True)[1],
    )
    assert float(printed.across) == pytest.approx(across, rel=1e-12)
    assert float(printed.down) == pytest.approx(down, rel=1e-12)


@pytest.mark.parametrize("k", [1, 3, 21])
def test_l_p_is_c_times_the_smoothness_of_self_supervised_depth(k):
    from kornia.losses import inverse_depth_smoothness_loss

    generator = torch.Generator().manual_seed(k)
    classes = torch.randn(2, k, 8, 9, generator=generator, dtype=torch.float64).softmax(dim=1)
    depth = 1 + torch.rand(2, 1, 8, 9, generator=generator, dtype=torch.float64)
    peer = inverse_depth_smoothness_loss(classes, depth)
    torch.testing.assert_close(edge_loss_p(classes, depth).total, k * peer, rtol=1e-12, atol=1e-15)


def test_s_prime_is_the_largest_slope_and_not_the_slope_of_the_largest():
    """A swap of two classes that keeps the maximum: the slope of max S is 0, the largest slope is not."""
    classes = torch.tensor([0.9, 0.1, 0.9, 0.1]).reshape(1, 1, 1, 4)
    classes = torch.cat([classes, 1 - classes], dim=1).expand(1, 2, 2, 4)
    assert float(edge_loss_h(classes, torch.ones(1, 1, 2, 4)).total) == pytest.approx(0.8)


@pytest.mark.parametrize("loss", LOSSES)
def test_constant_classes_cost_nothing(loss):
    _, depth, _ = example()
    assert float(loss(torch.full((2, 3, 5, 6), 1 / 3, dtype=torch.float64), depth).total) == 0


def test_one_flipped_pixel_and_a_depth_edge_around_it():
    classes = torch.zeros(1, 2, 5, 6)
    classes[:, 0] = 1
    classes[0, :, 2, 3] = torch.tensor([0.0, 1.0])
    flat, step = torch.ones(1, 1, 5, 6), torch.ones(1, 1, 5, 6)
    step[0, 0, 2, 3] = 3.0
    counts = 2 / (5 * 5) + 2 / (4 * 6)  # two slopes along x, two along y
    assert float(edge_loss_h(classes, flat).total) == pytest.approx(counts)
    assert float(edge_loss_p(classes, flat).total) == pytest.approx(2 * counts)  # both classes change
    assert float(edge_loss_h(classes, step).total) == pytest.approx(counts * math.exp(-2))


def test_the_printed_second_term_looks_along_the_wrong_axis():
    """Classes and depth step between rows: the fix knows the edge, the printed form does not."""
    classes = torch.zeros(1, 2, 6, 6)
    classes[:, 0, :3], classes[:, 1, 3:] = 1, 1
    depth = torch.ones(1, 1, 6, 6)
    depth[:, :, 3:] = 11.0
    assert float(edge_loss_h(classes, depth).down) == pytest.approx(math.exp(-10) / 5)
    assert float(edge_loss_h(classes, depth, official=True).down) == pytest.approx(1 / 5)
    turned = classes.transpose(2, 3), depth.transpose(2, 3)
    assert float(edge_loss_h(*turned, official=True).across) == pytest.approx(math.exp(-10) / 5)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_symmetries(seed):
    classes, depth, usable = example(seed)
    for loss in LOSSES:
        total = loss(classes, depth, usable=usable).total
        torch.testing.assert_close(loss(classes[:, [2, 0, 1]], depth, usable=usable).total, total)
        turned = classes.transpose(2, 3), depth.transpose(2, 3)
        torch.testing.assert_close(loss(*turned, usable=usable.transpose(1, 2)).total, total)
        torch.testing.assert_close(loss(classes.flip(3), depth.flip(3), usable=usable.flip(2)).total, total)


def test_a_class_that_is_absent_changes_nothing():
    classes, depth, _ = example()
    more = torch.cat([classes, torch.zeros_like(classes[:, :1])], dim=1)
    for loss in LOSSES:
        torch.testing.assert_close(loss(more, depth).total, loss(classes, depth).total)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_unit_of_depth_matters_unless_it_is_normalised(loss):
    classes, depth, _ = example()
    metres, millimetres = (loss(classes, scale * depth).total for scale in (1, 1000))
    assert float(millimetres) < 0.1 * float(metres)
    torch.testing.assert_close(
        loss(classes, 1000 * depth, normalise="mean").total, loss(classes, depth, normalise="mean").total
    )
    known = depth.masked_fill(depth == 0, torch.nan).flatten(1).nanmean(dim=1)
    torch.testing.assert_close(
        loss(classes, depth / known[:, None, None, None]).total, loss(classes, depth, normalise="mean").total
    )


@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, -7.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_no_slope_touches_what_is_unusable(loss, garbage):
    classes, depth, usable = example()
    expected = loss(classes, depth, usable=usable).total
    hidden = ~usable[:, None] | (depth == 0)
    dirty = torch.where(hidden, torch.nan, classes).requires_grad_()
    found = loss(dirty, torch.where(hidden, garbage, depth), usable=usable)
    assert torch.equal(found.total, expected)
    gradient = torch.autograd.grad(found.total, dirty)[0]
    assert torch.isfinite(gradient).all() and (gradient.masked_select(hidden) == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_only_the_classes_learn(loss):
    classes, depth, _ = example()
    total = loss(classes.requires_grad_(), depth.requires_grad_(), normalise="mean").total
    assert [g is not None for g in torch.autograd.grad(total, (classes, depth), allow_unused=True)] == [True, False]


@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck(loss):
    _, depth, usable = example(b=1, h=3, w=4)
    logits = torch.randn(1, 3, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: loss(x.softmax(dim=1), depth[:, :, :3, :4], usable=usable).total, logits.requires_grad_()
    )


def test_tied_classes_share_the_gradient():
    """Two classes always tie: |dS_0| = |dS_1|. Neither order of the classes may be preferred."""
    classes = torch.tensor([0.75, 0.25]).reshape(1, 1, 1, 2).repeat(1, 1, 2, 1)
    classes = torch.cat([classes, 1 - classes], dim=1).requires_grad_()
    gradient = torch.autograd.grad(edge_loss_h(classes, torch.ones(1, 1, 2, 2)).total, classes)[0]
    torch.testing.assert_close(gradient[:, 0], -gradient[:, 1])
    assert gradient.abs().min() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("loss", LOSSES)
def test_computed_in_float32(loss, dtype):
    classes, depth, _ = example(b=1, h=16, w=16)
    classes, depth = classes.to(dtype), depth.float()
    found = loss(classes, depth).total
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), loss(classes.double(), depth.double()).total, rtol=1e-5, atol=0)


def test_true_labels_of_a_room_fit_its_depth_better_than_moved_ones():
    clip = render_video("rooms-test-0001", PRESETS["tiny"])
    classes = F.one_hot(clip.label.clamp(max=21), 22).movedim(-1, 1).float()
    for loss in LOSSES:
        true, moved = (loss(S, clip.depth).total for S in (classes, classes.roll((3, 4), dims=(2, 3))))
        assert float(true) < float(moved)
