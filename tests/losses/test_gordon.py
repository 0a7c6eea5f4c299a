import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from planar import draw

from stc_lab.errors import InputError
from stc_lab.geometry import Camera, Warped, correspond, gordon_visible, pose_from, relative_pose, sample
from stc_lab.losses import (
    GORDON_2019,
    GORDON_2021,
    closer_mask,
    depth_consistency,
    depth_proximity,
    rgbd_consistency,
    weighted_ssim,
)

PARTS = ("depth", "colour", "structure")


def example(seed=0, b=2, c=3, h=6, w=7, dtype=torch.float64):
    """A warped image and the target, two depth maps, and some hidden pixels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, b, c, h, w, generator=generator, dtype=dtype)
    moved, warped = 2 + 0.3 * torch.randn(2, b, 1, h, w, generator=generator, dtype=dtype)
    visible = torch.rand(b, h, w, generator=generator) < 0.7
    visible[0, 2, 3], warped[0, 0, 2, 3] = True, 9.0  # one pixel is sure to be closer
    return Warped(images[0], visible), images[1], moved, warped


def loop_reference(warped, image, moved, other, official):
    """Gordon et al. 2019 as their code has it, one pixel after the other."""
    b, c, h, w = image.shape
    pixels = list(np.ndindex(b, h, w))
    seen = {p: bool(warped.visible[p]) for p in pixels}
    difference = {(i, y, x): float(other[i, 0, y, x] - moved[i, 0, y, x]) for i, y, x in pixels}
    closer = {p: seen[p] and difference[p] > 0 for p in pixels}
    count = sum(closer.values())
    depth = sum(difference[p] for p in pixels if closer[p])
    colour = sum(
        abs(float(warped.image[i, k, y, x] - image[i, k, y, x])) / c
        for i, y, x in pixels
        if closer[i, y, x]
        for k in range(c)
    )
    proximity = torch.zeros(b, h, w, dtype=torch.float64)
    for i in range(b):
        mine = [p for p in pixels if p[0] == i]
        moment = sum(difference[p] ** 2 for p in mine if closer[p]) / (sum(closer[p] for p in mine) + 1.0) + 1e-4
        for p in mine:
            proximity[p] = moment / (difference[p] ** 2 + moment) if seen[p] else 0.0
    total = norm = 0.0
    for i, y, x in np.ndindex(b, h - 2, w - 2):
        places = [(i, y + dy, x + dx) for dy in range(3) for dx in range(3)]
        weights = [float(proximity[p]) + 0.01 if official or seen[p] else 0.0 for p in places]
        window = sum(float(proximity[p]) for p in places) / 9
        if sum(weights) == 0:
            continue
        for k in range(c):
            one, two = ([float(v[p[0], k, p[1], p[2]]) for p in places] for v in (warped.image, image))
            mean = [np.average(v, weights=weights) for v in (one, two)]
            var_one, var_two, both = (
                np.average([(u - m) * (v - n) for u, v in zip(p, q, strict=True)], weights=weights)
                for p, m, q, n in (
                    (one, mean[0], one, mean[0]),
                    (two, mean[1], two, mean[1]),
                    (one, mean[0], two, mean[1]),
                )
            )
            similar = (2 * both + 9e-6) / (var_one + var_two + 9e-6)
            total += min(max((1 - similar) / 2, 0), 1) * window / c
        norm += window
    divide_by = len(pixels) if official else count
    return {
        "depth": depth / divide_by,
        "colour": colour / divide_by,
        "structure": total / (b * (h - 2) * (w - 2) if official else norm),
        "closer": closer,
        "proximity": proximity,
    }


@pytest.mark.parametrize("official", [False, True])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_agrees_with_a_loop_written_from_the_published_code(official, seed):
    warped, image, moved, other = example(seed)
    expected = loop_reference(warped, image, moved, other, official)
    found = rgbd_consistency(warped, image, moved, other, official=official)
    for name in PARTS:
        assert float(getattr(found, name)) == pytest.approx(expected[name], rel=1e-9)
    assert all(bool(found.closer[p]) == closer for p, closer in expected["closer"].items())
    assert int(found.support) == sum(expected["closer"].values())
    torch.testing.assert_close(found.proximity, expected["proximity"], rtol=1e-12, atol=0)
    weighted = sum(getattr(GORDON_2019, name) * expected[name] for name in PARTS)
    assert float(found.total) == pytest.approx(weighted, rel=1e-9)


def test_weights_are_the_published_ones():
    assert dataclasses.astuple(GORDON_2019) == (1e-2, 0.85, 3.0 * 0.5)
    assert dataclasses.astuple(GORDON_2021) == (0.0, 1.0, 3.0 * 0.5)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_equal_frames_cost_nothing(seed):
    warped, image, moved, _ = example(seed)
    found = rgbd_consistency(Warped(image, warped.visible), image, moved, moved.clone())
    assert all(float(getattr(found, name)) == 0 for name in (*PARTS, "total"))
    assert int(found.support) == 0  # no depth is closer than itself
    assert torch.equal(found.proximity, warped.visible.double())


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10))
def test_scaling_both_depths_scales_the_depth_part_alone(seed, scale):
    warped, image, moved, other = example(seed)
    found, scaled = (rgbd_consistency(warped, image, k * moved, k * other) for k in (1.0, scale))
    torch.testing.assert_close(scaled.depth, scale * found.depth, rtol=1e-10, atol=0)
    torch.testing.assert_close(scaled.colour, found.colour, rtol=1e-10, atol=0)
    assert torch.equal(scaled.closer, found.closer)


def test_every_visible_pixel_where_depths_differ_is_asked_in_one_direction():
    """On one grid, as without motion, the two directions share the visible pixels between them."""
    warped, image, moved, other = example()
    there = rgbd_consistency(warped, image, moved, other)
    back = rgbd_consistency(Warped(image, warped.visible), warped.image, other, moved)
    assert not (there.closer & back.closer).any()
    assert torch.equal(there.closer | back.closer, warped.visible)
    expected = (moved - other).abs()[:, 0]
    map_there, map_back = (depth_consistency(*d, warped.visible).map for d in ((moved, other), (other, moved)))
    torch.testing.assert_close((map_there + map_back)[warped.visible], expected[warped.visible])


def test_depth_consistency_alone_is_the_part_of_the_whole():
    warped, image, moved, other = example()
    whole = rgbd_consistency(warped, image, moved, other)
    alone = depth_consistency(moved, other, warped.visible)
    assert torch.equal(alone.total, whole.depth) and torch.equal(alone.closer, whole.closer)
    torch.testing.assert_close(alone.map.sum() / alone.support, alone.total)
    assert torch.equal(closer_mask(moved, other, warped.visible), whole.closer)


@pytest.mark.parametrize("official", [False, True])
def test_gradcheck(official):
    warped, image, moved, other = example(3, 1, 2, 4, 4)
    proximity = depth_proximity(moved, other, closer_mask(moved, other, warped.visible), warped.visible)

    def total(one, two, moved, other):
        return rgbd_consistency(Warped(one, warped.visible), two, moved, other, official=official).total

    def images_alone(one, two):
        return weighted_ssim(one, two, proximity, c1=torch.inf, c2=9e-4)[0]

    one, two = (image.clone().requires_grad_() for image in (warped.image, image))
    assert torch.autograd.gradcheck(images_alone, (one, two))
    # With their c2 the curve is too sharp for finite differences of 1e-6, and proximity has by design no gradient:
    # the depths are checked where it weighs alike.
    weights = dataclasses.replace(GORDON_2019, structure=0.0)
    moved.requires_grad_(), other.requires_grad_()

    def depth_and_colour(one, two, moved, other):
        return rgbd_consistency(Warped(one, warped.visible), two, moved, other, weights, official=official).total

    assert torch.autograd.gradcheck(depth_and_colour, (one, two, moved, other))
    assert torch.isfinite(torch.autograd.grad(total(one, two, moved, other), one)[0]).all()


@pytest.mark.parametrize("garbage", [0.0, -3e38, float("inf"), float("nan")])
def test_what_stands_at_invisible_pixels_does_not_matter(garbage):
    """0 times NaN is NaN: the code of 2019 multiplies by its mask, that of 2021 has a product that knows better."""
    warped, image, moved, other = example(dtype=torch.float32)
    hidden = ~warped.visible[:, None]
    spoilt = [value.masked_fill(hidden, garbage).requires_grad_() for value in (warped.image, image)]
    # A depth that asks for a gradient is a net's and finite, but what is sampled outside the image may be anything.
    depths = [value.masked_fill(hidden, garbage).requires_grad_() for value in (moved, other)]
    found = rgbd_consistency(Warped(spoilt[0], warped.visible), spoilt[1], *depths)
    expected = rgbd_consistency(warped, image, moved, other)
    for name in (*PARTS, "total"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    for gradient in torch.autograd.grad(found.total, [*spoilt, *depths]):
        assert torch.isfinite(gradient).all()
        assert (gradient.masked_select(hidden) == 0).all()


def test_unknown_depth_is_never_closer():
    """Infinity is farther than everything and 0 nearer: both mean that the sensor does not know."""
    visible = torch.ones(1, 3, 4, dtype=torch.bool)
    two = torch.full((1, 1, 3, 4), 2.0)
    for unknown in (0.0, -1.0, float("inf"), float("nan")):
        spoilt = two.clone()
        spoilt[..., 1, 1] = unknown
        for moved, other in ((spoilt, two + 1), (two, spoilt + 1 if unknown > 0 else spoilt)):
            assert not closer_mask(moved, other, visible)[0, 1, 1]


def test_half_precision_images_go_with_float32_depths():
    warped, image, moved, other = example(dtype=torch.float32)
    half = rgbd_consistency(Warped(warped.image.half(), warped.visible), image.half(), moved, other)
    lifted = rgbd_consistency(Warped(warped.image.half().float(), warped.visible), image.half().float(), moved, other)
    assert half.total.dtype == torch.float32
    assert torch.equal(half.total, lifted.total)


# Traps of the published code.


def test_closer_is_strict_so_that_equal_depths_are_not_asked():
    visible = torch.tensor([[[True, True, True, False]]])
    moved = torch.tensor([2.0, 2.0, 2.0, 2.0]).reshape(1, 1, 1, 4)
    other = torch.tensor([1.9, 2.0, 2.1, 2.1]).reshape(1, 1, 1, 4)
    assert closer_mask(moved, other, visible).flatten().tolist() == [False, False, True, False]


def test_officially_masking_more_lowers_the_loss():
    """Its means divide by all pixels: a net may hide behind a nearer surface what it cannot explain."""
    warped, image, moved, other = example()
    all_seen = Warped(warped.image, torch.ones_like(warped.visible))
    nearer = torch.full_like(moved, 1e-3)
    half = all_seen.visible.clone()
    half[..., ::2] = False
    for name in ("depth", "colour", "structure"):
        few, many = (
            float(getattr(rgbd_consistency(Warped(warped.image, m), image, nearer, other, official=True), name))
            for m in (half, all_seen.visible)
        )
        assert few < 0.65 * many
        few, many = (
            float(getattr(rgbd_consistency(Warped(warped.image, m), image, nearer, other), name))
            for m in (half, all_seen.visible)
        )
        assert 0.75 * many < few < 1.25 * many


def test_proximity_has_no_gradient():
    """With one, the net learns to push the depths apart, where SSIM weighs nothing, instead of images together."""
    warped, image, moved, other = example()
    moved.requires_grad_(), other.requires_grad_()
    found = rgbd_consistency(warped, image, moved, other)
    assert not found.proximity.requires_grad
    assert not found.structure.requires_grad  # the images ask for none, and the depths do not come in
    assert found.depth.requires_grad


def test_the_other_depth_is_detached_before_it_is_sampled_and_then_the_places_still_learn():
    """The code of 2021 stops the gradient to the other frame's depth map, not to where it is read."""
    scene = Scene()
    T = scene.T_source_target.clone().requires_grad_()
    other = scene.source.depth.clone().requires_grad_()
    found = correspond(scene.target.depth, scene.camera, T)

    def gradients(read):
        loss = depth_consistency(found.depth.detach(), read, found.visible)
        return torch.autograd.grad(loss.total, (T, other), retain_graph=True, allow_unused=True)

    to_pose, to_depth = gradients(sample(other.detach(), found))
    assert to_depth is None and to_pose.abs().max() > 0
    both_pose, both_depth = gradients(sample(other, found))
    assert both_depth.abs().max() > 0
    torch.testing.assert_close(both_pose, to_pose)


def test_valid_windows_weights_and_no_means():
    """Their SSIM: maps 2 px smaller, 0.01 added to each weight, and c1 = inf, by which brightness does not count."""
    warped, image, _, _ = example()
    weight = torch.rand(2, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unlike, mean_weight = weighted_ssim(warped.image, image, weight, c1=torch.inf, c2=9e-6)
    assert unlike.shape == (2, 3, 4, 5) and mean_weight.shape == (2, 4, 5)
    torch.testing.assert_close(mean_weight, F.avg_pool2d(weight[:, None], 3, stride=1)[:, 0])
    darker, brighter = 0.4 * image, 0.4 * image + 0.5
    assert float(weighted_ssim(darker, brighter, weight, c1=torch.inf, c2=9e-6)[0].max()) < 1e-9
    assert float(weighted_ssim(darker, brighter, weight)[0].min()) > 0.1
    even = weighted_ssim(warped.image, image, torch.full_like(weight, 0.5))[0]
    torch.testing.assert_close(even, weighted_ssim(warped.image, image, torch.zeros_like(weight))[0])


def test_moments_by_squares_would_lose_their_c2_in_float32():
    """c2 = 9e-6 is of the size of what E[x^2] - E[x]^2 rounds by on bright patches; see test_ssim.py."""
    generator = torch.Generator().manual_seed(0)
    a, b = (0.9 + 1e-4 * torch.randn(1, 1, 32, 32, generator=generator) for _ in range(2))
    weight = torch.rand(1, 32, 32, generator=generator)
    found, _ = weighted_ssim(a, b, weight, c1=torch.inf, c2=9e-6)
    exact, _ = weighted_ssim(a.double(), b.double(), weight.double(), c1=torch.inf, c2=9e-6)
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-9)

    def pooled(x):
        return F.avg_pool2d(x * (weight[:, None] + 0.01), 3, stride=1) / (
            F.avg_pool2d(weight[:, None], 3, stride=1) + 0.01
        )

    spread = pooled(a**2) - pooled(a) ** 2 + pooled(b**2) - pooled(b) ** 2
    both = pooled(a * b) - pooled(a) * pooled(b)
    published = ((1 - (2 * both + 9e-6) / (spread + 9e-6)) / 2).clamp(0, 1)
    assert (published.double() - exact).abs().max() > 100 * (found.double() - exact).abs().max()


class Scene:
    """A card before a wall, seen twice."""

    def __init__(self):
        K = torch.tensor([[55.0, 0, 31.5], [0, 55.0, 23.5], [0, 0, 1]], dtype=torch.float64)
        self.camera = Camera(K[None], 48, 64)
        turn, step = torch.tensor([[[0.0] * 3, [0.01, -0.03, 0]], [[0.0] * 3, [0.2, -0.05, 0.1]]], dtype=torch.float64)
        T_world = pose_from(turn, step)
        self.source, self.target = (draw(K, 48, 64, T) for T in T_world)
        self.T_source_target = relative_pose(T_world[1:], T_world[:1])


def test_the_mask_is_gordons_visibility_where_he_calls_a_pixel_inside():
    """`visible` may be by any rule; his leaves out the last row and column (0 <= x < W - 1, strict above)."""
    scene = Scene()
    found = correspond(scene.target.depth, scene.camera, scene.T_source_target)
    x, y = found.pixels.unbind(dim=1)
    strictly = found.visible & (x < 63) & (y < 47)
    other = sample(scene.source.depth, found)
    expected = gordon_visible(scene.target.depth, scene.camera, scene.T_source_target, scene.source.depth)
    assert torch.equal(closer_mask(found.depth, other, strictly), expected)
    assert expected.double().mean() > 0.3


def test_what_the_card_hides_is_not_asked():
    """The docstring's recipe, on exact depth: the wall behind the card is farther than the card, hence not closer."""
    scene = Scene()
    found = correspond(scene.target.depth, scene.camera, scene.T_source_target)
    warped = Warped(sample(scene.source.image, found), found.visible)
    other = sample(scene.source.depth, found)
    loss = rgbd_consistency(warped, scene.target.image, found.depth, other)
    behind = found.visible & (other < 0.8 * found.depth)[:, 0]
    assert behind.sum() > 30
    assert not (loss.closer & behind).any()
    assert loss.proximity[behind].max() < 0.2
    identity = rgbd_consistency(
        Warped(scene.source.image, torch.ones_like(warped.visible)),
        scene.target.image,
        scene.target.depth,
        scene.source.depth,
    )
    assert loss.total < 0.3 * identity.total


@pytest.mark.bad_input
def test_pairs_that_cannot_be_compared():
    warped, image, moved, other = example()
    hidden = Warped(warped.image, torch.zeros_like(warped.visible))
    with pytest.raises(InputError, match=r"no usable pixel.*T_source_target.*overlap"):
        rgbd_consistency(hidden, image, moved, other)
    with pytest.raises(InputError, match="no usable pixel"):
        depth_consistency(moved, torch.zeros_like(other), warped.visible)
    with pytest.raises(InputError, match=r"warped.image and image must have one shape.*two scales"):
        rgbd_consistency(warped, image[..., 1:], moved, other)
    with pytest.raises(InputError, match=r"one size, got \[6, 7\] and \[3, 7\]"):
        rgbd_consistency(warped, image, moved[:, :, :3], other[:, :, :3])
    with pytest.raises(InputError, match=r"depth_warped must be \[2, 1, 6, 7\].*\[2, 1, 6, 6\]"):
        closer_mask(moved, other[..., 1:], warped.visible)
    with pytest.raises(InputError, match=r"visible bool \[2, 6, 7\].*torch.float64"):
        closer_mask(moved, other, warped.visible.double())
    with pytest.raises(InputError, match=r"depth_moved must be \[b, 1, h, w\], got \[2, 6, 7\]"):
        depth_consistency(moved[:, 0], other[:, 0], warped.visible)
    with pytest.raises(InputError, match="one dtype"):
        rgbd_consistency(warped, image, moved.float(), other.float())
    with pytest.raises(InputError, match=r"must lie in \[0, 1\].*255"):
        rgbd_consistency(Warped(255 * warped.image.ceil(), warped.visible), image, moved, other)


@pytest.mark.bad_input
def test_windows_that_cannot_be_weighed():
    warped, image, _, _ = example()
    weight = torch.ones(2, 6, 7, dtype=torch.float64)
    with pytest.raises(InputError, match="not both infinite"):
        weighted_ssim(warped.image, image, weight, c1=torch.inf, c2=torch.inf)
    with pytest.raises(InputError, match="nowhere negative or NaN"):
        weighted_ssim(warped.image, image, -weight)
    with pytest.raises(InputError, match=r"weight must be \[2, 6, 7\].*\[2, 4, 5\]"):
        weighted_ssim(warped.image, image, weight[:, 1:-1, 1:-1])
    with pytest.raises(InputError, match=r"at least 3 px.*\[2, 7\]"):
        weighted_ssim(warped.image[:, :, :2], image[:, :, :2], weight[:, :2])
