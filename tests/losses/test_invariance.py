import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.losses import AffineRanges, apply_affine, random_affine, transform_invariance

NOTHING = AffineRanges(0, 0, 0, 0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(b=2, c=3, h=12, w=16, dtype=torch.float64):
    return torch.rand(b, c, h, w, generator=seeded(1), dtype=dtype)


def colours(x):
    """A net that looks at single pixels."""
    return torch.cat([x.square(), x.sum(dim=1, keepdim=True)], dim=1)


@pytest.mark.parametrize("which", ["rotation", "translation", "zoom", "shear"])
def test_ranges_bound_each_part_and_are_used(which):
    limit = {"rotation": 0.3, "translation": 3.0, "zoom": 0.2, "shear": 0.3}[which]
    ranges = AffineRanges(**{**dict.fromkeys(("rotation", "translation", "zoom", "shear"), 0.0), which: limit})
    affine = random_affine(300, 12, 16, ranges, generator=seeded(), dtype=torch.float64)
    linear, centre = affine[:, :, :2], torch.tensor([7.5, 5.5], dtype=torch.float64)
    moved = (linear @ centre + affine[:, :, 2] - centre).abs()
    determinant = torch.linalg.det(linear)
    part = {
        "rotation": torch.atan2(linear[:, 1, 0], linear[:, 0, 0]),
        "translation": affine[:, 0, 2],
        "zoom": 1 / linear[:, 0, 0] - 1,
        "shear": torch.atan(linear[:, 0, 1]),
    }[which]
    assert 0.9 * limit < float(part.abs().max()) <= limit + 1e-12
    assert float(part.min()) < 0 < float(part.max())
    if which != "translation":
        assert float(moved.max()) < 1e-12  # about the centre
    if which != "zoom":
        torch.testing.assert_close(determinant, torch.ones_like(determinant))
    torch.testing.assert_close(affine, random_affine(300, 12, 16, ranges, generator=seeded(), dtype=torch.float64))


def test_a_is_scipys_affine_transform_inside():
    from scipy import ndimage

    image = images(b=1, c=1)
    affine = random_affine(1, 12, 16, AffineRanges(0.2, 2.0, 0.1, 0.1), generator=seeded(2), dtype=torch.float64)
    moved, seen = apply_affine(image, affine)
    xy = affine[0].numpy()
    matrix, offset = xy[::-1, 1::-1], xy[::-1, 2]  # SciPy counts (row, column)
    peer = ndimage.affine_transform(image[0, 0].numpy(), matrix, offset, order=1, cval=np.nan)
    assert 20 < int(seen.sum()) < 192
    np.testing.assert_allclose(moved[0, 0].numpy()[seen[0]], peer[seen[0]], atol=1e-12)


def test_no_transform_is_the_identity():
    image = images(dtype=torch.float32)
    moved, seen = apply_affine(image, random_affine(2, 12, 16, NOTHING, generator=seeded()))
    assert torch.equal(moved, image) and seen.all()


def test_a_net_that_follows_the_transform_costs_nothing():
    for f in (lambda x: 2 * x + 1, lambda x: x.flip(1), lambda x: torch.zeros_like(x) + 3):
        found = transform_invariance(f, images(), generator=seeded(), ranges=AffineRanges(0.3, 3.0, 0.2, 0.2))
        assert float(found.total) < 1e-9 and int(found.support.min()) < 12 * 16


def test_a_net_that_looks_at_places_does_not_follow():
    place = torch.linspace(0, 1, 16, dtype=torch.float64).expand(2, 1, 12, 16)
    found = transform_invariance(lambda x: x[:, :1] + place, images(), generator=seeded())
    assert float(found.norms.min()) > 0.1
    still = transform_invariance(lambda x: x[:, :1] + place, images(), generator=seeded(), ranges=NOTHING)
    assert float(still.total) == 0 and int(still.support[0]) == 12 * 16


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_it_is_the_norm_of_the_difference_on_one_grid_inside(seed):
    x, ranges = images(), AffineRanges(0.2, 2.0, 0.1, 0.1)
    found = transform_invariance(colours, x, generator=seeded(seed), ranges=ranges)
    affine = random_affine(2, 12, 16, ranges, generator=seeded(seed), dtype=torch.float64)
    # torch's own sampler, by normalised coordinates, on the same grid for the image and for what the net says of it
    y_, x_ = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    pixels = torch.einsum("bij,jhw->bhwi", affine, torch.stack([x_, y_, torch.ones_like(x_)]).double())
    seen = ((pixels >= 0) & (pixels <= torch.tensor([15.0, 11.0]))).all(dim=-1)
    grid = pixels / torch.tensor([7.5, 5.5]) - 1

    def A(image):
        return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)

    difference = (colours(A(x)) - A(colours(x))) * seen[:, None]
    norms = difference.square().flatten(1).sum(dim=1).sqrt()
    torch.testing.assert_close(found.norms, norms)
    torch.testing.assert_close(found.total, norms.mean())
    torch.testing.assert_close(found.map.square().flatten(1).sum(dim=1).sqrt(), norms)
    assert torch.equal(found.support, seen.flatten(1).sum(dim=1)) and (found.map[~seen] == 0).all()
    each = transform_invariance(colours, x, generator=seeded(seed), ranges=ranges, normalise="pixels").norms
    torch.testing.assert_close(each, norms / found.support.sqrt())


def test_empty_corners_do_not_count_whatever_the_net_says_there():
    """A net that shouts wherever it sees the drawn-out border is heard only inside."""
    x = images(b=1)
    ranges = AffineRanges(0, 4.0, 0, 0)
    affine = random_affine(1, 12, 16, ranges, generator=seeded(3), dtype=torch.float64)
    seen = apply_affine(x, affine)[1]
    calls = []

    def f(image):
        calls.append(1)
        return image if len(calls) == 2 else torch.where(seen[:, None], image, torch.nan)

    assert not seen.all()
    assert float(transform_invariance(f, x, generator=seeded(3), ranges=ranges).total) < 1e-12


@pytest.mark.parametrize(("gradient", "learns"), [("both", (1, 1)), ("warped", (0, 1)), ("target", (1, 0))])
def test_gradient_switch(gradient, learns):
    x = images()
    scales = [torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    calls = iter(scales)  # f(A(x)) is called first, then f(x)
    found = transform_invariance(lambda image: next(calls) * image.square(), x, generator=seeded(), gradient=gradient)
    assert tuple(int(g is not None) for g in torch.autograd.grad(found.total, scales, allow_unused=True)) == learns


def test_known_outputs_are_not_computed_again():
    x, calls = images(), []

    def f(image):
        calls.append(1)
        return colours(image)

    expected = transform_invariance(f, x, generator=seeded()).total
    assert torch.equal(transform_invariance(f, x, generator=seeded(), outputs=colours(x)).total, expected)
    assert len(calls) == 3


@pytest.mark.parametrize("normalise", [None, "pixels"])
def test_gradcheck(normalise):
    x, scale = images(b=1, h=5, w=6), torch.tensor([0.5, 1.5, -1.0], dtype=torch.float64).reshape(1, 3, 1, 1)

    def total(scale, x):
        return transform_invariance(
            lambda image: (scale * image).square(), x, generator=seeded(), normalise=normalise
        ).total

    assert torch.autograd.gradcheck(total, (scale.requires_grad_(), x.requires_grad_()))


def test_the_gradient_of_a_perfect_net_is_finite():
    scale = torch.ones(1, requires_grad=True)
    found = transform_invariance(
        lambda image: scale * image, images(dtype=torch.float32), generator=seeded(), ranges=NOTHING
    )
    assert float(found.total.detach()) == 0 and math.isfinite(float(torch.autograd.grad(found.total, scale)[0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_differences_are_summed_in_float32(dtype):
    x = images(dtype=torch.float32).to(dtype)
    found = transform_invariance(colours, x, generator=seeded())
    assert found.total.dtype == torch.float32
    assert float(found.total) == pytest.approx(
        float(transform_invariance(colours, x.float(), generator=seeded()).total), rel=0.1
    )
