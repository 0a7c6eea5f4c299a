"""A resized frame and its resized camera tell the same story."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from stc_lab.data import Clip, resize_clip, resize_image, resize_nearest
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

sizes = st.tuples(st.integers(3, 40), st.integers(3, 40))


def view(camera: Camera) -> torch.Tensor:
    """A picture whose colours are the direction of each pixel's ray: smooth, and the same for any resolution."""
    return camera.rays()


def error_in_pixels(old: tuple[int, int], new: tuple[int, int]) -> float:
    """How far the resized picture shows directions beside those of the resized camera, away from the border."""
    camera = Camera.from_parameters(31.0, 27.0, 9.3, 12.1, height=old[0], width=old[1], dtype=torch.float64)
    resized = camera.resized(*new)
    shift = (resize_image(view(camera), new) - view(resized))[0, :2]
    shift = shift * resized.K[0, [0, 1], [0, 1]][:, None, None]
    # at the border the average covers fewer pixels (shrinking) or repeats the last one (growing)
    top, left = (1 + -(-n // o) for n, o in zip(new, old, strict=True))
    inner = shift[:, top:-top, left:-left]
    return float(inner.abs().max()) if inner.numel() else 0.0


@settings(deadline=None, max_examples=30)
@given(old=sizes, new=sizes)
def test_colour_of_a_direction_survives(old: tuple[int, int], new: tuple[int, int]) -> None:
    # the weights of an average over 7 / 6 pixels are not symmetric: up to 0.072 px
    assert error_in_pixels(old, new) < 0.08


@pytest.mark.parametrize("new", [(8, 12), (12, 18), (48, 72), (60, 37)])
def test_colour_of_a_direction_is_exact(new: tuple[int, int]) -> None:
    assert error_in_pixels((24, 36), new) < 1e-9


@settings(deadline=None, max_examples=50)
@given(old=sizes, new=sizes)
def test_nearest_takes_the_nearest_pixel(old: tuple[int, int], new: tuple[int, int]) -> None:
    y, x = torch.meshgrid(torch.arange(old[0]), torch.arange(old[1]), indexing="ij")
    taken_y, taken_x = resize_nearest(torch.stack([y, x]), new)
    for taken, o, n, axis in ((taken_y, old[0], new[0], 0), (taken_x, old[1], new[1], 1)):
        wanted = (torch.arange(n, dtype=torch.float64) + 0.5) * o / n - 0.5
        wanted = wanted[:, None] if axis == 0 else wanted[None]
        assert ((taken - wanted).abs() <= 0.5 + 1e-9).all()


def test_nearest_agrees_with_torch_where_floats_are_exact() -> None:
    values = torch.rand(2, 1, 12, 20)
    for size in ((6, 10), (24, 40), (3, 5), (18, 30)):
        expected = torch.nn.functional.interpolate(values, size=size, mode="nearest-exact")
        assert torch.equal(resize_nearest(values, size), expected)


def test_shrinking_averages_over_the_new_pixel() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(20)[None, None, None].expand(1, 1, 40, 40)
    small = resize_image(stripes, (10, 10))
    assert (small - 0.5).abs().max() < 0.1  # a bilinear sample without averaging would give 0 or 1 or alias


def test_clip_is_resized_as_one() -> None:
    camera = Camera.from_parameters(20, 20, 7.5, 5.5, height=12, width=16)
    clip = Clip(
        video=("a",),
        index=torch.zeros(1, dtype=torch.int64),
        time=torch.zeros(1),
        image=torch.rand(1, 3, 12, 16),
        label=torch.randint(0, 9, (1, 12, 16)),
        depth=torch.rand(1, 1, 12, 16),
        camera=camera,
        T_world_camera=torch.eye(4)[None],
    )
    small = resize_clip(clip, (6, 8))
    assert small.image.shape == (1, 3, 6, 8)
    assert small.camera is not None
    assert small.camera.size == (6, 8)
    torch.testing.assert_close(small.camera.K[0, :2, 2], torch.tensor([3.5, 2.5]))
    assert small.label is not None
    assert small.depth is not None
    assert set(small.label.flatten().tolist()) <= set(clip.label.flatten().tolist())  # type: ignore[union-attr]
    assert set(small.depth.flatten().tolist()) <= set(clip.depth.flatten().tolist())  # type: ignore[union-attr]
    assert resize_clip(clip, (12, 16)) is clip


@pytest.mark.parametrize("size", [(0, 4), (4, -1)])
def test_impossible_size_is_named(size: tuple[int, int]) -> None:
    with pytest.raises((InputError, TypeCheckError), match="size"):
        resize_image(torch.rand(1, 3, 4, 4), size)
