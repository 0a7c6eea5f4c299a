import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planar import draw

from stc_lab.errors import InputError
from stc_lab.geometry import Camera, inverse_warp, pose_from, relative_pose
from stc_lab.losses import (
    auto_mask,
    average_reprojection,
    minimum_reprojection,
    photometric_error,
    ssim_loss_map,
    whole_windows,
)

FUNCTIONS = [minimum_reprojection, average_reprojection]


def pair(seed=0, b=2, c=3, h=6, w=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(b, c, h, w, generator=generator, dtype=dtype) for _ in range(2))


def example(seed=0, b=2, s=3, h=5, w=6):
    """Errors of warped and of unwarped sources, and where the warped ones are seen."""
    generator = torch.Generator().manual_seed(seed)
    errors, identity = (torch.rand(b, s, h, w, generator=generator, dtype=torch.float64) for _ in range(2))
    usable = torch.rand(b, s, h, w, generator=generator) < 0.6
    usable[0, 0, 0, 0], errors[0, 0, 0, 0] = True, 1e-6  # one pixel is sure to be asked
    return errors, usable, identity


# The error of one source.


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), c=st.integers(1, 4))
def test_the_error_is_ssim_and_l1_each_averaged_over_channels(seed, share, c):
    warped, target = pair(seed, c=c)
    expected = share * ssim_loss_map(warped, target).mean(1) + (1 - share) * (warped - target).abs().mean(1)
    torch.testing.assert_close(photometric_error(warped, target, ssim_share=share), expected, rtol=0, atol=1e-14)


def test_the_published_share_is_the_default():
    warped, target = pair()
    assert torch.equal(photometric_error(warped, target), photometric_error(warped, target, ssim_share=0.85))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_equal_images_cost_nothing_and_the_order_does_not_matter(seed):
    warped, target = pair(seed, dtype=torch.float32)
    assert (photometric_error(target, target.clone()) == 0).all()
    torch.testing.assert_close(photometric_error(warped, target), photometric_error(target, warped))
    assert (photometric_error(warped, target) > 0).all()


@pytest.mark.parametrize("masked", [False, True])
def test_gradcheck_of_the_error(masked):
    warped, target = (image.requires_grad_() for image in pair(1, 1, 2, 4, 5))
    visible = torch.rand(1, 4, 5, generator=torch.Generator().manual_seed(0)) < 0.6 if masked else None
    assert torch.autograd.gradcheck(lambda a, b: photometric_error(a, b, visible=visible), (warped, target))


def test_windows_touch_invisible_pixels_unless_they_are_told():
    """The published error has no mask: garbage beside a visible pixel enters its window, and gradients go there."""
    warped, target = pair(dtype=torch.float32)
    visible = torch.ones(2, 6, 8, dtype=torch.bool)
    visible[:, 2, 3] = False
    spoilt = warped.masked_fill(~visible[:, None], 0.0)
    touched = photometric_error(spoilt, target) != photometric_error(warped, target)
    assert torch.equal(touched, ~whole_windows(visible))
    assert touched[0].sum() == 9  # the pixel, and eight that are visible


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), garbage=st.sampled_from([0.0, -3e38, float("inf"), float("nan")]))
def test_with_a_mask_what_stands_at_invisible_pixels_does_not_matter(seed, garbage):
    warped, target = pair(seed, dtype=torch.float32)
    visible = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(seed)) < 0.5
    expected = photometric_error(warped, target, visible=visible)
    hidden = ~visible[:, None]
    one, two = (image.masked_fill(hidden, garbage).requires_grad_() for image in (warped, target))
    error = photometric_error(one, two, visible=visible)
    assert torch.equal(error, expected)
    assert (error[~visible] == 0).all()
    for gradient in torch.autograd.grad(error.sum(), (one, two)):
        assert torch.isfinite(gradient).all()
        assert (gradient.masked_select(hidden) == 0).all()


def test_with_a_mask_whole_windows_are_as_without():
    warped, target = pair(h=20, w=20)
    visible = torch.rand(2, 20, 20, generator=torch.Generator().manual_seed(0)) < 0.9
    whole = whole_windows(visible)
    assert 0.1 < whole.double().mean() < 0.9
    free, masked = photometric_error(warped, target), photometric_error(warped, target, visible=visible)
    torch.testing.assert_close(masked[whole], free[whole], rtol=0, atol=1e-14)


def test_whole_windows_by_hand():
    visible = torch.ones(1, 4, 5, dtype=torch.bool)
    assert whole_windows(visible).all()  # the mirrored border shows only pixels of the image
    visible[0, 0, 4] = False
    assert (~whole_windows(visible)).nonzero().tolist() == [[0, 0, 3], [0, 0, 4], [0, 1, 3], [0, 1, 4]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_are_compared_in_float32(dtype):
    warped, target = (image.to(dtype) for image in pair())
    error = photometric_error(warped, target)
    assert error.dtype == torch.float32
    assert torch.equal(error, photometric_error(warped.float(), target.float()))


def test_the_true_depth_explains_a_drawn_scene_better_than_its_neighbours_and_than_no_warp():
    K = torch.tensor([[55.0, 0, 31.5], [0, 55.0, 23.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K[None], 48, 64)
    turn, step = (torch.tensor([[0.0] * 3, v], dtype=torch.float64) for v in ([0.01, -0.03, 0.0], [0.2, -0.05, 0.1]))
    T_world = pose_from(turn, step)
    source, target = (draw(K, 48, 64, T) for T in T_world)
    T_source_target = relative_pose(T_world[1:], T_world[:1])
    seen = inverse_warp(source.image, target.depth, camera, T_source_target, depth_source=source.depth).visible
    # Along a silhouette, of either frame, pixels mix both surfaces and no depth explains them: the wall alone is asked.
    card = torch.nn.functional.max_pool2d(target.label[:, None].double(), 15, stride=1, padding=7)
    seen = seen & (card == 0)[:, 0]

    def loss(scale):
        warped = inverse_warp(source.image, target.depth * scale, camera, T_source_target)
        usable = warped.visible & seen
        error = photometric_error(warped.image, target.image, visible=usable)
        return float(minimum_reprojection(error[:, None], usable[:, None]).total)

    right = loss(1.0)
    assert right < 0.3 * min(loss(0.9), loss(1.1))
    assert right < 0.1 * float(photometric_error(source.image, target.image).mean())


# Several sources.


def loop_reference(errors, usable, identity, official, average):
    """Eq. 4 and 5, pixel by pixel: the total, the pixels asked, and the winners."""
    b, s, h, w = errors.shape
    values, winners = [], torch.full((b, h, w), -1)
    asked = torch.zeros(b, h, w, dtype=torch.bool)
    for i, y, x in np.ndindex(b, h, w):
        seen = [k for k in range(s) if official or usable[i, k, y, x]]
        if not seen:
            continue
        own = [float(errors[i, k, y, x]) for k in seen]
        best = sum(own) / len(own) if average else min(own)
        still = [float(identity[i, k, y, x]) for k in range(s)]
        least = sum(still) / s if average else min(still)
        if best < least:
            asked[i, y, x] = True
            winners[i, y, x] = seen[own.index(min(own))]
            values.append(best)
        elif official:
            values.append(least)
    return sum(values) / max(len(values), 1), asked, winners


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), s=st.integers(1, 4))
def test_agrees_with_a_loop_written_from_the_paper(function, official, seed, s):
    errors, usable, identity = example(seed, s=s)
    average = function is average_reprojection
    expected, asked, winners = loop_reference(errors, usable, identity, official, average)
    found = function(errors, usable, identity_errors=identity, official=official)
    assert float(found.total) == pytest.approx(expected, rel=1e-12)
    assert torch.equal(found.usable & found.moving, asked)
    assert int(found.support) == int(asked.sum())
    if not average:
        assert torch.equal(found.winner, winners)
    if official:
        assert float(found.map.mean()) == pytest.approx(expected, rel=1e-12)
    else:
        assert (found.map[~asked] == 0).all()
        assert float(found.map.sum() / asked.sum()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_without_identity_errors_every_usable_pixel_is_asked(function):
    errors, usable, _ = example()
    found = function(errors, usable)
    assert found.moving.all()
    assert int(found.support) == int(usable.any(dim=1).sum())
    one = function(errors[:, :1], torch.ones_like(usable[:, :1]))
    assert float(one.total) == pytest.approx(float(errors[:, 0].mean()), rel=1e-12)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(3)))
def test_the_order_of_the_sources_changes_nothing_but_the_winners_number(seed, order):
    errors, usable, identity = example(seed)
    found = minimum_reprojection(errors, usable, identity_errors=identity)
    shuffled = minimum_reprojection(errors[:, order], usable[:, order], identity_errors=identity[:, order])
    torch.testing.assert_close(found.total, shuffled.total)
    assert torch.equal(found.moving, shuffled.moving)
    asked = found.winner >= 0
    assert torch.equal(torch.tensor(order)[shuffled.winner[asked]], found.winner[asked])


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_minimum_is_at_most_the_average_and_falls_with_every_source(seed):
    errors, usable, _ = example(seed)
    usable = usable | usable.roll(1, dims=1) | usable.roll(2, dims=1)  # all sources where one is
    least, average = minimum_reprojection(errors, usable), average_reprojection(errors, usable)
    assert float(least.total) <= float(average.total)
    assert float(least.total) <= float(minimum_reprojection(errors[:, :2], usable[:, :2]).total)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("garbage", [0.0, -3e38, float("inf"), float("nan")])
def test_what_stands_where_a_source_sees_nothing_does_not_matter(function, garbage):
    errors, usable, identity = example()
    spoilt = errors.masked_fill(~usable, garbage).requires_grad_()
    found = function(spoilt, usable, identity_errors=identity)
    assert torch.equal(found.total, function(errors, usable, identity_errors=identity).total)
    (gradient,) = torch.autograd.grad(found.total, spoilt)
    assert torch.isfinite(gradient).all()
    assert (gradient[~usable] == 0).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradcheck_of_the_loss(function):
    errors, usable, identity = example()
    errors.requires_grad_()
    assert torch.autograd.gradcheck(lambda e: function(e, usable, identity_errors=identity).total, (errors,))


def test_the_gradient_goes_to_the_winner_alone():
    errors, usable, identity = example()
    errors.requires_grad_()
    found = minimum_reprojection(errors, usable, identity_errors=identity)
    (gradient,) = torch.autograd.grad(found.total, errors)
    chosen = torch.nn.functional.one_hot(found.winner.clamp(min=0), 3).movedim(3, 1).bool()
    chosen = chosen & (found.winner >= 0)[:, None]
    torch.testing.assert_close(gradient, chosen.double() / found.support)


# Traps of the published auto-masking.


def test_identity_comes_first_so_that_a_tie_is_no_motion():
    """A camera that stands still: warped and unwarped sources are the same image. Nothing may be learned from it."""
    errors, usable, _ = example()
    assert not auto_mask(errors, errors.clone()).any()
    found = minimum_reprojection(errors.requires_grad_(), usable, identity_errors=errors.detach().clone())
    assert found.total == 0 and found.support == 0
    assert not found.moving.any() and (found.winner == -1).all()
    (gradient,) = torch.autograd.grad(found.total, errors)
    assert (gradient == 0).all()


def test_noise_that_breaks_ties_comes_from_the_generator_and_from_nowhere_else():
    """monodepth2 draws it from the global state, so that its loss depends on all that was drawn before."""
    errors, usable, _ = example(h=40, w=40)
    usable = torch.ones_like(usable)
    state = torch.random.get_rng_state()

    def masked(seed):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return minimum_reprojection(errors, usable, identity_errors=errors, generator=generator).moving

    assert not masked(None).any()
    assert torch.equal(masked(1), masked(1)) and not torch.equal(masked(1), masked(2))
    assert 0.1 < masked(1).double().mean() < 0.9  # ties alone are drawn by lot
    assert torch.equal(torch.random.get_rng_state(), state)
    lead = minimum_reprojection(
        errors, usable, identity_errors=errors + 1e-3, generator=torch.Generator().manual_seed(0)
    )
    assert lead.moving.all()  # noise of 1e-5 decides nothing else


def test_officially_masked_pixels_still_add_their_identity_error_to_the_value_but_not_to_the_gradient():
    errors, usable, identity = example()
    everywhere = torch.ones_like(usable)
    errors.requires_grad_()
    official = minimum_reprojection(errors, everywhere, identity_errors=identity, official=True)
    ours = minimum_reprojection(errors, everywhere, identity_errors=identity)
    easier = identity.masked_fill(~official.moving[:, None], 0.0)
    cheaper = minimum_reprojection(errors, everywhere, identity_errors=easier, official=True)
    assert torch.equal(official.moving, ours.moving) and torch.equal(cheaper.moving, ours.moving)
    assert cheaper.total < official.total  # the value falls though nothing was learned
    assert torch.equal(minimum_reprojection(errors, everywhere, identity_errors=easier).total, ours.total)
    gradients = [torch.autograd.grad(loss.total, errors, retain_graph=True)[0] for loss in (official, cheaper, ours)]
    assert torch.equal(gradients[0], gradients[1])
    # Both follow the same pixels; the official one divides by all of them.
    torch.testing.assert_close(gradients[0] * official.map.numel(), gradients[2] * ours.support)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_masking_more_pixels_does_not_lower_the_loss_unless_officially(function):
    errors, identity = torch.full((1, 2, 4, 4), 0.3), torch.full((1, 2, 4, 4), 0.5)
    usable = torch.ones(1, 2, 4, 4, dtype=torch.bool)
    half = usable.clone()
    half[..., :2] = False
    assert float(function(errors, half).total) == pytest.approx(0.3)
    still = identity.clone()
    still[..., :2] = 0.0  # half of the image stands still
    assert float(function(errors, usable, identity_errors=still).total) == pytest.approx(0.3)
    assert float(function(errors, usable, identity_errors=still, official=True).total) == pytest.approx(0.15)


def test_official_knows_no_visibility():
    errors, usable, identity = example()
    found = minimum_reprojection(errors, usable, identity_errors=identity, official=True)
    blind = minimum_reprojection(errors, torch.ones_like(usable), identity_errors=identity, official=True)
    assert torch.equal(found.total, blind.total)
    assert int(minimum_reprojection(errors, torch.zeros_like(usable), official=True).support) == errors[:, 0].numel()


def test_auto_mask_is_the_losses_own():
    errors, usable, identity = example()
    found = minimum_reprojection(errors, usable, identity_errors=identity)
    assert torch.equal(auto_mask(errors, identity, usable), found.moving)
    assert not torch.equal(auto_mask(errors, identity), found.moving)  # what no source sees must not win
    assert torch.equal(
        auto_mask(errors, identity[:, :1], usable), auto_mask(errors, identity[:, :1].expand(-1, 3, -1, -1), usable)
    )


def test_results_are_frozen():
    errors, usable, _ = example()
    with pytest.raises(dataclasses.FrozenInstanceError):
        minimum_reprojection(errors, usable).total = 0


@pytest.mark.bad_input
@pytest.mark.parametrize("function", FUNCTIONS)
def test_losses_that_cannot_be_taken(function):
    errors, usable, identity = example()
    with pytest.raises(InputError, match=r"no usable pixel.*T_source_target.*overlap"):
        function(errors, torch.zeros_like(usable))
    with pytest.raises(InputError, match=r"errors must be \[b, s, h, w\], got \[2, 5, 6\].*errors\[:, None\]"):
        function(errors[:, 0], usable[:, 0])
    with pytest.raises(InputError, match=r"usable must be bool \[2, 3, 5, 6\].*got torch.bool \[2, 5, 6\]"):
        function(errors, usable[:, 0])
    with pytest.raises(InputError, match=r"usable must be bool.*torch.float64"):
        function(errors, usable.double())
    with pytest.raises(InputError, match=r"identity_errors must be .*got \[2, 3, 5, 5\]"):
        function(errors, usable, identity_errors=identity[..., :5])


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ssim_share": 1.5}, r"ssim_share must lie in \[0, 1\], got 1.5"),
        ({"visible": torch.ones(2, 6, 7, dtype=torch.bool)}, r"visible must be bool \[2, 6, 8\].*\[2, 6, 7\]"),
        ({"visible": torch.ones(2, 6, 8)}, "visible must be bool.*float32"),
    ],
)
def test_errors_that_cannot_be_computed(options, message):
    with pytest.raises(InputError, match=message):
        photometric_error(*pair(), **options)


@pytest.mark.bad_input
def test_images_that_cannot_be_compared():
    warped, target = pair()
    with pytest.raises(InputError, match=r"warped and target must have one shape.*two scales"):
        photometric_error(warped[..., 1:], target)
    with pytest.raises(InputError, match=r"target must lie in \[0, 1\].*255"):
        photometric_error(warped, 255 * target.ceil())
    with pytest.raises(InputError, match=r"warped must lie in \[0, 1\].*nan"):
        photometric_error(warped / 0 * 0, target)
