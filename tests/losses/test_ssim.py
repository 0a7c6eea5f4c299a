import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.losses import ssim_loss_map, ssim_map
from stc_lab.losses.ssim import _plain, dissimilarity


def images(seed=0, b=2, c=3, h=7, w=9, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(b, c, h, w, generator=generator, dtype=dtype) for _ in range(2))


def mirrored(i, n):
    return -i if i < 0 else 2 * n - 2 - i if i >= n else i


def loop_reference(a, b, weight=None, c1=1e-4, c2=9e-4):
    """Wang et al. 2004, Eq. 13, window by window; each pixel of a window counts by its weight."""
    found = torch.empty_like(a)
    n, channels, h, w = a.shape
    for i, c, y, x in np.ndindex(n, channels, h, w):
        places = [(mirrored(y + dy, h), mirrored(x + dx, w)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        weights = [1.0 if weight is None else float(weight[i, p, q]) for p, q in places]
        one, two = ([float(image[i, c, p, q]) for p, q in places] for image in (a, b))
        total = sum(weights)
        mean_a = sum(k * v for k, v in zip(weights, one, strict=True)) / total
        mean_b = sum(k * v for k, v in zip(weights, two, strict=True)) / total
        covered = [
            sum(k * (u - m) * (v - n) for k, u, v in zip(weights, p, q, strict=True)) / total
            for p, m, q, n in ((one, mean_a, one, mean_a), (two, mean_b, two, mean_b), (one, mean_a, two, mean_b))
        ]
        means = 1.0 if math.isinf(c1) else (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        patterns = 1.0 if math.isinf(c2) else (2 * covered[2] + c2) / (covered[0] + covered[1] + c2)
        found[i, c, y, x] = means * patterns
    return found


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), h=st.integers(2, 6), w=st.integers(2, 6))
def test_agrees_with_a_loop_written_from_the_paper(seed, h, w):
    a, b = images(seed, 1, 2, h, w)
    torch.testing.assert_close(ssim_map(a, b), loop_reference(a, b), rtol=0, atol=1e-12)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6), c1=st.sampled_from([1e-4, math.inf]), c2=st.sampled_from([9e-6, math.inf]))
def test_weights_and_infinite_constants_agree_with_the_loop(seed, c1, c2):
    a, b = images(seed, 2, 1, 4, 5)
    weight = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    expected = (1 - loop_reference(a, b, weight, c1, c2)[:, 0]) / 2
    found = dissimilarity(a, b, weight=weight, c1=c1, c2=c2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_image(seed):
    from skimage.metrics import structural_similarity

    a, b = images(seed, 1, 1, 24, 31)
    b = (a + 0.1 * b).clamp(0, 1)
    _, expected = structural_similarity(
        a[0, 0].numpy(),
        b[0, 0].numpy(),
        win_size=3,
        gaussian_weights=False,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    difference = ssim_map(a, b)[0, 0].numpy() - expected
    assert np.abs(difference[1:-1, 1:-1]).max() < 1e-8
    assert np.abs(difference).max() > 1e-3  # its border is not mirrored as ours is: the test looks at the map itself


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_the_compiled_loops_do_what_the_plain_operations_do(dtype, limit, weighted):
    a, b = (image.requires_grad_() for image in images(3, 2, 3, 17, 23, dtype))
    generator = torch.Generator().manual_seed(1)
    weight = (torch.rand(2, 17, 23, generator=generator) < 0.4).to(dtype) if weighted else None
    upstream = torch.rand(2, 17, 23, generator=generator, dtype=dtype)
    values = (
        dissimilarity(a, b, weight=weight, c1=1e-4, c2=9e-4, shares=(0.6, 0.2)),
        _plain(a, b, weight, 1e-4, 9e-4, (0.6, 0.2)),
    )
    found = [(value, *torch.autograd.grad(value, (a, b), upstream)) for value in values]
    for one, other in zip(*found, strict=True):
        assert one.abs().max() > 0.1
        torch.testing.assert_close(one, other, rtol=0, atol=limit * float(other.detach().abs().max()))


def test_several_threads_do_what_one_does():
    a, b = (image.requires_grad_() for image in images(0, 1, 2, 300, 400, torch.float32))
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            value = ssim_loss_map(a, b)
            found.append((value, *torch.autograd.grad(value.sum(), (a, b))))
        finally:
            torch.set_num_threads(1)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("size", [(2, 2), (2, 5), (3, 2), (4, 5)])
def test_gradcheck(size):
    a, b = (image.requires_grad_() for image in images(1, 1, 2, *size))
    assert torch.autograd.gradcheck(ssim_map, (a, b))


@pytest.mark.parametrize("function", [dissimilarity, _plain])
def test_gradcheck_with_weights_and_the_absolute_difference(function):
    a, b = (image.requires_grad_() for image in images(2, 2, 2, 4, 5))
    weight = torch.tensor([0.0, 1.0, 0.2, 0.0, 1.0], dtype=torch.float64).expand(2, 4, 5)

    def value(a, b):
        if function is _plain:
            return _plain(a, b, weight, math.inf, 9e-4, (0.7, 0.3))
        return dissimilarity(a, b, weight=weight, c1=math.inf, c2=9e-4, shares=(0.7, 0.3))

    assert torch.autograd.gradcheck(value, (a, b))


@pytest.mark.parametrize("wanted", [(True, False), (False, True)])
def test_a_gradient_to_one_image_is_the_one_of_both(wanted):
    a, b = (image.requires_grad_() for image in images())
    expected = torch.autograd.grad(ssim_map(a, b).square().sum(), (a, b))
    one, two = (image.detach().requires_grad_(asked) for image, asked in zip((a, b), wanted, strict=True))
    ssim_map(one, two).square().sum().backward()
    for image, asked, gradient in zip((one, two), wanted, expected, strict=True):
        assert torch.equal(image.grad, gradient) if asked else image.grad is None


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), level=st.floats(0, 1), contrast=st.floats(0, 1))
def test_equal_images_cost_exactly_nothing_and_pull_nowhere(seed, level, contrast):
    a = (level + contrast * (images(seed, dtype=torch.float32)[0] - 0.5)).clamp(0, 1).requires_grad_()
    b = a.detach().clone().requires_grad_()
    loss = ssim_loss_map(a, b)
    assert (loss == 0).all()
    for gradient in torch.autograd.grad(loss.sum(), (a, b)):
        assert (gradient == 0).all()
    assert (ssim_map(a, b) == 1).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_swapping_flipping_and_transposing_change_nothing(seed):
    a, b = images(seed)
    found = ssim_map(a, b)
    torch.testing.assert_close(ssim_map(b, a), found, rtol=0, atol=1e-13)
    torch.testing.assert_close(ssim_map(a.flip(3), b.flip(3)).flip(3), found, rtol=0, atol=1e-13)
    torch.testing.assert_close(ssim_map(a.mT, b.mT).mT, found, rtol=0, atol=1e-13)
    assert found.min() >= -1 and found.max() <= 1


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6), levels=st.lists(st.sampled_from([0.0, 1e-4, 0.5, 0.999, 1.0]), min_size=2, max_size=2)
)
def test_needs_no_clamp_even_where_images_are_each_others_negative(seed, levels):
    pattern = images(seed, dtype=torch.float32)[0] < 0.5
    a, b = (torch.where(mask, *(torch.tensor(level) for level in levels)) for mask in (pattern, ~pattern))
    for image in (b, a, torch.zeros_like(a)):
        loss = ssim_loss_map(a, image)
        assert loss.min() >= 0 and loss.max() <= 1
    # Where 4 of 9 pixels are white, and 5 in the negative: SSIM is -2 * 20 / (16 + 25), so the loss is 81/82 at most.
    assert levels != [0.0, 1.0] or ssim_loss_map(a, b).max() > 0.98


def test_channels_and_items_do_not_mix():
    a, b = images(b=3, c=4)
    apart = torch.stack(
        [torch.cat([ssim_map(a[i, c][None, None], b[i, c][None, None])[0] for c in range(4)]) for i in range(3)]
    )
    assert torch.equal(ssim_map(a, b), apart)


def test_layouts_and_expanded_images():
    a, b = images()
    expected = ssim_map(a, b)
    assert torch.equal(ssim_map(a.contiguous(memory_format=torch.channels_last), b.mT.contiguous().mT), expected)
    wide = a[:1, :1].expand(2, 3, -1, -1)
    assert torch.equal(ssim_map(wide, b), ssim_map(wide.contiguous(), b))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    a, b = (image.to(dtype) for image in images(dtype=torch.float32))
    found = ssim_map(a, b)
    assert found.dtype == torch.float32
    assert torch.equal(found, ssim_map(a.float(), b.float()))


def test_the_compiler_of_torch_sees_plain_operations():
    a, b = images(dtype=torch.float32)
    exported = torch.export.export(Loss(), (a, b)).module()
    torch.testing.assert_close(exported(a, b), ssim_loss_map(a, b), rtol=0, atol=1e-6)


class Loss(torch.nn.Module):
    def forward(self, a, b):
        return dissimilarity(a.flatten(0, 1)[:, None], b.flatten(0, 1)[:, None]).reshape(a.shape)


def test_takes_at_most_six_tenths_of_kornias_time_forward_and_backward():
    """It takes about a tenth; the bar is what training needs, where SSIM dominates. Best of interleaved rounds."""
    from kornia.metrics import ssim

    a, b = (image.requires_grad_() for image in images(0, 4, 3, 240, 320, torch.float32))
    took = {}
    for function in [ssim_loss_map, lambda a, b: ssim(a, b, 3)] * 3:
        start = time.perf_counter()
        torch.autograd.grad(function(a, b).mean(), (a, b))
        kind = function is ssim_loss_map
        took[kind] = min(took.get(kind, math.inf), time.perf_counter() - start)
    assert took[True] < 0.6 * took[False]


# Traps of published code.


def moments_of_squares(image):
    """E[x^2] - E[x]^2 by pooling, as the published codes have it."""
    pool = torch.nn.AvgPool2d(3, 1)
    return pool(image**2) - pool(image) ** 2


def test_a_variance_by_squares_turns_negative_on_flat_patches_and_ours_does_not():
    """In float32 the squares of a bright, flat patch cancel: with Gordon's c2 = 9e-6 the published form is off by %."""
    generator = torch.Generator().manual_seed(0)
    noise_a, noise_b = (1e-4 * torch.randn(1, 1, 64, 64, generator=generator) for _ in range(2))
    a, b = (0.9 + noise_a).requires_grad_(), (0.9 + noise_b).requires_grad_()
    assert moments_of_squares(a).min() < 0
    exact_a, exact_b = (image.detach().double().requires_grad_() for image in (a, b))
    for c1, c2 in ((1e-4, 9e-4), (math.inf, 9e-6)):
        found = dissimilarity(a, b, c1=c1, c2=c2)
        exact = dissimilarity(exact_a, exact_b, c1=c1, c2=c2)
        torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=0)
        gradients = torch.autograd.grad(found.sum(), (a, b))
        for gradient, expected in zip(gradients, torch.autograd.grad(exact.sum(), (exact_a, exact_b)), strict=True):
            torch.testing.assert_close(gradient.double(), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_the_plain_operations_are_as_stable():
    generator = torch.Generator().manual_seed(0)
    a, b = (0.9 + 1e-4 * torch.randn(1, 1, 64, 64, generator=generator) for _ in range(2))
    found, exact = (_plain(x, y, None, math.inf, 9e-6, (1.0, 0.0)) for x, y in ((a, b), (a.double(), b.double())))
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-9)


def test_kornias_window_of_3_is_another_measure():
    """Its window is a Gaussian of 1.5 px whatever its size, and it returns SSIM, not the loss."""
    from kornia.metrics import ssim

    a, b = images(0, 1, 3, 32, 32)
    b = (a + 0.2 * b).clamp(0, 1)
    difference = (ssim(a, b, 3) - ssim_map(a, b)).abs()
    assert 1e-3 < difference.mean() < 0.05
    gaussian = torch.exp(-(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64) ** 2) / (2 * 1.5**2))
    assert gaussian.min() / gaussian.max() < 0.81  # a box has 1


def test_the_loss_is_not_the_similarity():
    """monodepth2's class SSIM returns the loss: 0 for equal images, where SSIM is 1."""
    a, b = images()
    torch.testing.assert_close(ssim_loss_map(a, b), ((1 - ssim_map(a, b)) / 2).clamp(0, 1), rtol=0, atol=1e-15)
    assert (ssim_loss_map(a, a) == 0).all() and (ssim_map(a, a) == 1).all()


def test_the_border_is_mirrored_without_being_repeated():
    """Zero padding, the default of pooling, would make an edge of the frame; repeating the border flattens it."""
    a, b = images(h=6, w=8)
    grown_a, grown_b = (torch.nn.functional.pad(image, (1, 1, 1, 1), mode="reflect") for image in (a, b))
    torch.testing.assert_close(ssim_map(grown_a, grown_b)[..., 1:-1, 1:-1], ssim_map(a, b), rtol=0, atol=1e-13)
    for padding in ("constant", "replicate"):
        other_a, other_b = (torch.nn.functional.pad(image, (1, 1, 1, 1), mode=padding) for image in (a, b))
        other = ssim_map(other_a, other_b)[..., 1:-1, 1:-1]
        assert (other - ssim_map(a, b)).abs().max() > 0.01


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 4, 6), r"a and b must have one shape.*\[1, 3, 4, 5\].*two scales"),
        (torch.zeros(3, 4, 5), torch.zeros(3, 4, 5), r"a must be \[b, c, h, w\], got \[3, 4, 5\].*a\[None\]"),
        (torch.zeros(1, 3, 1, 5), torch.zeros(1, 3, 1, 5), r"at least 2 px.*\[1, 5\]"),
        (torch.full((1, 3, 4, 5), 200.0), torch.zeros(1, 3, 4, 5), r"a must lie in \[0, 1\].*200.*8-bit"),
        (torch.zeros(1, 3, 4, 5), torch.full((1, 3, 4, 5), torch.nan), r"b must lie in \[0, 1\].*nan"),
        (torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 4, 5, dtype=torch.float64), "one dtype"),
        (torch.zeros(1, 3, 4, 5, dtype=torch.uint8), torch.zeros(1, 3, 4, 5, dtype=torch.uint8), "uint8.*/ 255"),
    ],
)
def test_images_that_cannot_be_compared(a, b, message):
    from stc_lab.errors import InputError

    for function in (ssim_map, ssim_loss_map):
        with pytest.raises(InputError, match=message):
            function(a, b)
