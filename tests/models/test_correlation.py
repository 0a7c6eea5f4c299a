"""The matching of features: against a loop over pixels and offsets."""

import pytest
import torch

from stc_lab.models import correlation_volume


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("height", "width", "radius"), [(5, 7, 2), (4, 3, 4), (3, 3, 0), (1, 6, 1)])
def test_equals_a_loop_over_pixels_and_offsets(height, width, radius):
    target, source = noise(2, 3, height, width), noise(2, 3, height, width, seed=1)
    across = 2 * radius + 1
    expected = torch.zeros(2, across**2, height, width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        product = (target[:, :, y, x] * source[:, :, y + dy, x + dx]).sum(dim=1)
                        expected[:, (dy + radius) * across + dx + radius, y, x] = product
    torch.testing.assert_close(correlation_volume(target, source, radius=radius), expected)


def test_gradients_of_both_are_right():
    target, source = noise(1, 2, 3, 4).requires_grad_(), noise(1, 2, 3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: correlation_volume(a, b, radius=1), (target, source))


def test_the_strongest_match_is_where_the_pixel_went():
    source = torch.nn.functional.normalize(noise(1, 16, 12, 14), dim=1)
    target = source.roll((2, -1), dims=(2, 3))  # target (x, y) shows source (x + 1, y - 2)
    best = correlation_volume(target, source, radius=3).argmax(dim=1)[0, 3:-3, 3:-3]
    assert bool((best == (-2 + 3) * 7 + (1 + 3)).all())


def test_layout_in_memory_does_not_matter():
    target, source = noise(2, 4, 6, 5), noise(2, 4, 6, 5, seed=1)
    expected = correlation_volume(target, source, radius=2)
    last = [value.contiguous(memory_format=torch.channels_last) for value in (target, source)]
    torch.testing.assert_close(correlation_volume(*last, radius=2), expected)
    cut = [torch.nn.functional.pad(value, (3, 0, 0, 2))[..., :-2, 3:] for value in (target, source)]
    torch.testing.assert_close(correlation_volume(*cut, radius=2), expected)


@pytest.mark.bad_input
def test_maps_that_do_not_match_are_refused():
    from stc_lab.errors import InputError

    with pytest.raises(InputError, match="one shape"):
        correlation_volume(noise(1, 2, 3, 4), noise(1, 2, 4, 3))
    with pytest.raises(InputError, match="radius must be at least 0, got -1"):
        correlation_volume(noise(1, 2, 3, 4), noise(1, 2, 3, 4), radius=-1)
