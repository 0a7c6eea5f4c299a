import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.errors import InputError
from stc_lab.losses import edge_aware_smoothness, edge_aware_smoothness_map, motion_field_smoothness


def example(seed=0, b=2, c=3, h=5, w=7, dtype=torch.float64):
    """A disparity far from 0 and an image."""
    generator = torch.Generator().manual_seed(seed)
    disparity = 0.5 + torch.rand(b, 1, h, w, generator=generator, dtype=dtype)
    return disparity, torch.rand(b, c, h, w, generator=generator, dtype=dtype)


def field(seed=0, b=2, h=5, w=6):
    return torch.randn(b, 3, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Disparity.


def loop_reference(disparity, image):
    """Eq. 3 of Godard et al. 2019, difference by difference."""
    b, _, h, w = disparity.shape
    parts = []
    for dy, dx in ((0, 1), (1, 0)):
        values = []
        for i, y, x in np.ndindex(b, h - dy, w - dx):
            mean = float(disparity[i].mean())
            slope = abs(float(disparity[i, 0, y + dy, x + dx]) - float(disparity[i, 0, y, x])) / (mean + 1e-7)
            edge = np.mean([abs(float(c[y + dy, x + dx]) - float(c[y, x])) for c in image[i]])
            values.append(slope * np.exp(-edge))
        parts.append(np.mean(values))
    return sum(parts)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), c=st.integers(1, 4), h=st.integers(2, 5), w=st.integers(2, 5))
def test_agrees_with_a_loop_written_from_the_paper(seed, c, h, w):
    disparity, image = example(seed, c=c, h=h, w=w)
    assert float(edge_aware_smoothness(disparity, image)) == pytest.approx(loop_reference(disparity, image), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_is_kornias_after_the_normalisation(seed):
    from kornia.losses import inverse_depth_smoothness_loss

    disparity, image = example(seed, h=24, w=31)
    normalised = disparity / (disparity.mean(dim=(1, 2, 3), keepdim=True) + 1e-7)
    expected = inverse_depth_smoothness_loss(normalised, image)
    torch.testing.assert_close(edge_aware_smoothness(disparity, image), expected, rtol=1e-12, atol=0)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-2, 1e3), flip=st.sampled_from([(2,), (3,), (2, 3)]))
def test_blind_to_the_scale_of_disparity_and_to_mirrors(seed, scale, flip):
    disparity, image = example(seed)
    found = edge_aware_smoothness(disparity, image)
    # Each item has its own scale; the 1e-7 shows in the seventh digit.
    scales = torch.tensor([scale, 1.0], dtype=torch.float64)[:, None, None, None]
    torch.testing.assert_close(edge_aware_smoothness(disparity * scales, image), found, rtol=1e-4, atol=0)
    torch.testing.assert_close(edge_aware_smoothness(disparity.flip(flip), image.flip(flip)), found)
    torch.testing.assert_close(edge_aware_smoothness(disparity.mT, image.mT), found)


def test_without_the_normalisation_a_smaller_disparity_would_be_smoother():
    """The trap that the normalisation closes: shrinking all disparities lowers the loss and explains nothing."""
    from kornia.losses import inverse_depth_smoothness_loss

    disparity, image = example()
    assert inverse_depth_smoothness_loss(disparity / 10, image) < 0.11 * inverse_depth_smoothness_loss(disparity, image)
    torch.testing.assert_close(
        edge_aware_smoothness(disparity / 10, image), edge_aware_smoothness(disparity, image), rtol=1e-5, atol=0
    )


def test_a_constant_disparity_costs_nothing_and_an_edge_of_the_image_makes_a_step_cheaper():
    disparity, image = example()
    assert edge_aware_smoothness(torch.full_like(disparity, 0.3), image) == 0
    step = torch.ones_like(disparity)
    step[..., 3:] = 2.0
    flat, edge = torch.full_like(image, 0.5), torch.zeros_like(image)
    edge[..., 3:] = 1.0
    ratio = edge_aware_smoothness(step, edge) / edge_aware_smoothness(step, flat)
    assert float(ratio) == pytest.approx(np.exp(-1))


def test_channels_are_averaged_inside_the_exponential():
    disparity, image = example(c=1, b=1)
    one_of_three = torch.cat([image, torch.zeros_like(image), torch.zeros_like(image)], dim=1)
    expected = edge_aware_smoothness(disparity, image / 3)
    torch.testing.assert_close(edge_aware_smoothness(disparity, one_of_three), expected)
    grey = image.expand(1, 3, -1, -1)
    torch.testing.assert_close(edge_aware_smoothness(disparity, grey), edge_aware_smoothness(disparity, image))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), h=st.integers(2, 6), w=st.integers(2, 6))
def test_the_map_averages_back_to_the_loss(seed, h, w):
    disparity, image = example(seed, h=h, w=w)
    drawn = edge_aware_smoothness_map(disparity, image)
    assert drawn.shape == (2, h, w) and (drawn >= 0).all()
    torch.testing.assert_close(drawn.mean(), edge_aware_smoothness(disparity, image), rtol=1e-12, atol=0)
    assert (drawn[:, -1, -1] == 0).all()


@pytest.mark.parametrize("function", [edge_aware_smoothness, edge_aware_smoothness_map])
def test_gradcheck(function):
    disparity, image = (value.requires_grad_() for value in example(1, 1, 2, 3, 4))
    assert torch.autograd.gradcheck(function, (disparity, image))


def test_half_precision_is_computed_in_float32():
    disparity, image = (value.half() for value in example(h=40, w=40))
    found = edge_aware_smoothness(disparity, image)
    assert found.dtype == torch.float32
    assert torch.equal(found, edge_aware_smoothness(disparity.float(), image.float()))


# Motion fields.


def motion_reference(residual, translation, wrap, sparsity):
    """Group smoothness and sparsity of Li et al. 2020, component by component."""
    b, _, h, w = residual.shape
    group, size = [], []
    for i in range(b):
        T = residual[i].numpy()
        if translation is not None:
            lengths = [float(translation[i, :, y, x] @ translation[i, :, y, x]) for y, x in np.ndindex(h, w)]
            T = T / np.sqrt(np.mean(lengths))
        for c in range(3):
            mean = np.abs(T[c]).mean()
            for y, x in np.ndindex(h, w):
                if wrap or (y > 0 and x > 0):
                    group.append(np.hypot(T[c, y, x] - T[c, y - 1, x], T[c, y, x] - T[c, y, x - 1]))
                value = abs(T[c, y, x])
                size.append(2 * mean * np.sqrt(1 + value / mean) if sparsity == "half" else value)
    return np.mean(group), np.mean(size)


@pytest.mark.parametrize("sparsity", ["half", "l1"])
@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("normalised", [False, True])
def test_motion_field_agrees_with_a_loop_written_from_the_paper(sparsity, wrap, normalised):
    residual, translation = field(0), field(1) if normalised else None
    group, size = motion_reference(residual, translation, wrap, sparsity)
    found = motion_field_smoothness(
        residual, translation=translation, wrap=wrap, sparsity=sparsity, group_weight=0.5, sparsity_weight=0.3
    )
    assert float(found.group) == pytest.approx(group, rel=1e-9)
    assert float(found.sparsity) == pytest.approx(size, rel=1e-9)
    assert float(found.total) == pytest.approx(0.5 * group + 0.3 * size, rel=1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_divided_by_the_whole_motion_the_scale_of_the_scene_does_not_matter(seed, scale):
    residual, translation = field(seed), field(seed + 1)
    found = motion_field_smoothness(residual, translation=translation)
    scaled = motion_field_smoothness(residual * scale, translation=translation * scale)
    torch.testing.assert_close(scaled.total, found.total, rtol=1e-5, atol=0)
    plain = motion_field_smoothness(residual * scale)
    torch.testing.assert_close(plain.total, scale * motion_field_smoothness(residual).total, rtol=1e-9, atol=0)


def test_a_field_of_zero_costs_nothing_and_has_a_finite_gradient():
    residual = torch.zeros(1, 3, 4, 5, requires_grad=True)
    found = motion_field_smoothness(residual, translation=residual)
    assert found.total.detach() < 1e-11
    assert torch.isfinite(torch.autograd.grad(found.total, residual)[0]).all()


def test_a_rigid_object_pays_for_its_outline_alone():
    residual = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    residual[:, 0, 2:5, 3:6] = 0.4
    found = motion_field_smoothness(residual)
    along = 4 * 3 - 2 + 2**0.5  # four sides of 3 px, of which two meet in one pixel, under one root
    assert float(found.group) == pytest.approx(0.4 * along / (3 * 7 * 7))


def test_half_sparsity_is_steep_at_zero_and_kinder_to_what_is_large():
    """One pixel moved by much costs less than by L1, relative to the same motion spread thin; L1 cannot tell."""
    spread = torch.full((1, 3, 8, 8), 0.1, dtype=torch.float64)
    gathered = torch.zeros_like(spread)
    gathered[..., 3, 4] = 6.4
    l1 = [float(motion_field_smoothness(value, sparsity="l1").sparsity) for value in (spread, gathered)]
    half = [float(motion_field_smoothness(value).sparsity) for value in (spread, gathered)]
    assert l1[0] == pytest.approx(l1[1])
    assert half[1] < 0.9 * half[0]


def test_wrapped_a_gradient_throughout_pays_for_its_jump():
    """A translation that grows across the image looks like a rotation: wrapped round, it is dearer than a bump."""
    ramp = torch.linspace(0, 1, 8, dtype=torch.float64).expand(1, 3, 8, 8)
    inner, wrapped = (motion_field_smoothness(ramp, wrap=wrap).group for wrap in (False, True))
    assert float(wrapped) == pytest.approx(2 * float(inner) * 7 / 8)


def test_the_mean_of_the_sparsity_is_held_fixed():
    """As in their code. Through the mean, too, the gradient at a uniform field would be the larger by half of it."""
    residual = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(motion_field_smoothness(residual).sparsity, residual)
    torch.testing.assert_close(gradient, torch.full_like(gradient, 1 / (2**0.5 * residual.numel())))


@pytest.mark.parametrize("sparsity", ["half", "l1"])
def test_gradcheck_of_the_motion_field(sparsity):
    residual, translation = (value.requires_grad_() for value in (field(0, 1, 3, 4), field(1, 1, 3, 4)))

    def group(residual, translation):
        return motion_field_smoothness(residual, translation=translation).group

    assert torch.autograd.gradcheck(group, (residual, translation))
    if sparsity == "l1":
        assert torch.autograd.gradcheck(lambda r: motion_field_smoothness(r, sparsity="l1").sparsity, (residual,))


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("disparity", "image", "message"),
    [
        (torch.ones(1, 1, 4, 5), torch.zeros(1, 3, 8, 10), r"one size, got \[8, 10\] and \[4, 5\].*coarse scale"),
        (torch.ones(1, 4, 5), torch.zeros(1, 3, 4, 5), r"disparity must be \[b, 1, h, w\], got \[1, 4, 5\]"),
        (torch.zeros(1, 1, 4, 5), torch.zeros(1, 3, 4, 5), r"positive mean.*\['0'\].*logits"),
        (torch.full((1, 1, 4, 5), torch.inf), torch.zeros(1, 3, 4, 5), "positive mean.*inf.*depth of unknown"),
        (-torch.ones(1, 1, 4, 5), torch.zeros(1, 3, 4, 5), "positive mean.*-1"),
        (torch.ones(1, 1, 4, 5), torch.full((1, 3, 4, 5), 255.0), r"image must lie in \[0, 1\].*8-bit"),
        (torch.ones(1, 1, 1, 5), torch.zeros(1, 3, 1, 5), r"at least 2 px.*\[1, 5\]"),
        (torch.ones(2, 1, 4, 5), torch.zeros(1, 3, 4, 5), "one batch size, got 1 and 2"),
    ],
)
@pytest.mark.parametrize("function", [edge_aware_smoothness, edge_aware_smoothness_map])
def test_disparities_that_have_no_smoothness(function, disparity, image, message):
    with pytest.raises(InputError, match=message):
        function(disparity, image)


@pytest.mark.bad_input
def test_fields_that_have_no_smoothness():
    with pytest.raises(InputError, match="sparsity must be 'half' or 'l1', got 'l2'"):
        motion_field_smoothness(field(), sparsity="l2")
    with pytest.raises(InputError, match=r"residual must be \[b, 3, h, w\], got \[2, 2, 5, 6\]"):
        motion_field_smoothness(field()[:, :2])
    with pytest.raises(InputError, match=r"translation must have the shape.*\[2, 3, 1, 1\]"):
        motion_field_smoothness(field(), translation=field()[..., :1, :1])
