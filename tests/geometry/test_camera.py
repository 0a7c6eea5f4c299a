"""Intrinsics follow the image: resizing, striding, cropping and flipping commute with projecting."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.geometry import MIN_DEPTH, Camera

sizes = st.tuples(st.integers(2, 40), st.integers(2, 40))


def some_camera(height: int, width: int) -> Camera:
    return Camera(
        torch.tensor([[[31.0, 0.7, 0.4 * width], [0, 29.0, 0.6 * height], [0, 0, 1]]], dtype=torch.float64),
        height,
        width,
    )


def some_points(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(1, 3, 5, 7, generator=generator, dtype=torch.float64)
    return torch.cat([points[:, :2] - 0.5, points[:, 2:] + 1], dim=1)


@settings(deadline=None, max_examples=25)
@given(sizes, sizes)
def test_resize_then_project_is_project_then_scale(old: tuple[int, int], new: tuple[int, int]) -> None:
    camera, points = some_camera(*old), some_points()
    scale = torch.tensor([new[1] / old[1], new[0] / old[0]], dtype=torch.float64)[None, :, None, None]
    resized = camera.resized(*new)
    assert resized.size == new
    torch.testing.assert_close(resized.project(points), (camera.project(points) + 0.5) * scale - 0.5)


@settings(deadline=None, max_examples=25)
@given(sizes, st.integers(1, 5))
def test_strided_camera_sees_every_nth_pixel(size: tuple[int, int], step: int) -> None:
    camera = some_camera(*size)
    strided = camera.strided(step)
    assert strided.size == tuple(torch.zeros(size)[::step, ::step].shape)
    torch.testing.assert_close(strided.rays(), camera.rays()[..., ::step, ::step])


def test_cropped_camera_sees_the_same_rays() -> None:
    camera = some_camera(20, 30)
    torch.testing.assert_close(camera.cropped(3, 5, 8, 9).rays(), camera.rays()[..., 3:11, 5:14])


def test_flipped_camera_sees_the_mirrored_rays() -> None:
    camera = some_camera(20, 31)
    mirrored = camera.rays().flip(-1) * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)[None, :, None, None]
    torch.testing.assert_close(camera.flipped().rays(), mirrored)
    torch.testing.assert_close(camera.flipped().flipped().K, camera.K)


def test_resized_camera_agrees_with_an_image_resize() -> None:
    # An image whose value is the ray through each pixel stays that under resizing, inside the outer half pixels.
    camera = some_camera(12, 16)
    resized = F.interpolate(camera.rays(), size=(24, 32), mode="bilinear", align_corners=False)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(camera.resized(24, 32).rays()[inner], resized[inner])


def test_backproject_and_project_are_inverse() -> None:
    camera = some_camera(9, 11)
    depth = 1 + torch.rand(1, 1, 9, 11, dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    torch.testing.assert_close(camera.project(camera.backproject(depth)), torch.stack([x, y])[None].double())


def test_projecting_a_point_at_or_behind_the_camera_stays_finite() -> None:
    points = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, -1.0], [1.0, 1.0, MIN_DEPTH]]).T[None, :, None]
    points.requires_grad_()
    pixels = some_camera(9, 11).to(dtype=torch.float32).project(points)
    pixels.sum().backward()
    assert pixels.isfinite().all()
    assert points.grad is not None
    assert points.grad.isfinite().all()


def test_field_of_view() -> None:
    camera = Camera.from_fov(48, 64, 90.0)
    assert camera.K[0, 0, 0] == pytest.approx(32)
    assert camera.K[0, :2, 2].tolist() == [31.5, 23.5]  # integer centres: the middle of 64 pixels is 31.5


def test_one_camera_serves_a_batch() -> None:
    camera = some_camera(6, 8)
    points = camera.backproject(torch.ones(3, 1, 6, 8, dtype=torch.float64))
    assert points.shape == (3, 3, 6, 8)
    assert camera.project(points).shape == (3, 2, 6, 8)
