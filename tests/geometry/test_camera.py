"""Intrinsics follow the image: resizing, striding, cropping and flipping commute with projecting."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.errors import InputError
from stc_lab.geometry import MIN_DEPTH, Camera, pose_from, transform

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


@settings(deadline=None, max_examples=25)
@given(sizes, st.integers(0, 8), st.integers(0, 8))
def test_crop_then_project_is_project_then_shift(size: tuple[int, int], top: int, left: int) -> None:
    camera, points = some_camera(size[0] + 8, size[1] + 8), some_points()
    cropped = camera.cropped(top, left, *size)
    assert cropped.size == size
    corner = torch.tensor([left, top], dtype=torch.float64)[None, :, None, None]
    torch.testing.assert_close(cropped.project(points), camera.project(points) - corner)


def test_a_flipped_pair_of_frames_moves_by_the_mirrored_motion() -> None:
    # Mirroring both images turns where a pixel lands into its mirror image, if the motion is mirrored on both sides.
    camera, M = some_camera(20, 31), torch.diag(torch.tensor([-1.0, 1, 1, 1], dtype=torch.float64))
    T = pose_from(*(torch.tensor([v], dtype=torch.float64) for v in ([0.1, -0.2, 0.3], [0.3, -0.1, 0.2])))
    depth = 2 + torch.rand(1, 1, 20, 31, dtype=torch.float64)
    landed = camera.project(transform(T, camera.backproject(depth)))
    mirrored = camera.flipped().project(transform(M @ T @ M, camera.flipped().backproject(depth.flip(-1))))
    torch.testing.assert_close(mirrored[:, 0], 30 - landed[:, 0].flip(-1))
    torch.testing.assert_close(mirrored[:, 1], landed[:, 1].flip(-1))
    assert not torch.allclose(camera.flipped().project(transform(T, camera.flipped().backproject(depth))), mirrored)


def camera_of(parameters: torch.Tensor, height: int, width: int) -> Camera:
    """Camera of (fx, skew, fy, cx, cy), with their gradients: the other entries of K are constants."""
    fx, skew, fy, cx, cy = parameters.unbind()
    o, one = torch.zeros_like(fx), torch.ones_like(fx)
    return Camera(torch.stack([fx, skew, cx, o, fy, cy, o, o, one]).reshape(1, 3, 3), height, width)


MAPS: dict[str, Callable[[Camera], Camera]] = {
    "as it is": lambda camera: camera,
    "resized": lambda camera: camera.resized(4, 9),
    "cropped": lambda camera: camera.cropped(1, 2, 4, 3),
    "flipped": Camera.flipped,
    "strided": lambda camera: camera.strided(2),
    "from a matrix": lambda camera: Camera.from_matrix(camera.K[0], height=5, width=7, dtype=torch.float64),
    "moved": lambda camera: camera.to("cpu", torch.float64),
}


@pytest.mark.parametrize("name", MAPS)
def test_gradients_reach_the_intrinsics_through_every_map(name: str) -> None:
    parameters = torch.tensor([6.0, 0.3, 5.0, 3.2, 1.9], dtype=torch.float64, requires_grad=True)

    def there_and_elsewhere(parameters: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        camera = MAPS[name](camera_of(parameters, 5, 7))
        depth = 1 + points[:, 2:].mean() * torch.ones(1, 1, *camera.size, dtype=torch.float64)
        return camera.project(points), camera.backproject(depth)

    points = some_points().requires_grad_()
    assert torch.autograd.gradcheck(there_and_elsewhere, (parameters, points))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_from_matrix_takes_what_holds_numbers(dtype: torch.dtype) -> None:
    rows = [[31.0, 0.5, 15.5], [0, 29.0, 11.5], [0, 0, 1]]
    expected = torch.tensor([rows], dtype=dtype)
    for K in (rows, np.array(rows), torch.tensor(rows), torch.tensor([rows]), np.array(rows, np.float32), tuple(rows)):
        camera = Camera.from_matrix(K, height=24, width=32, dtype=dtype)
        assert camera.size == (24, 32)
        torch.testing.assert_close(camera.K, expected, rtol=0, atol=0)
    assert Camera.from_matrix([rows, rows], height=24, width=32).K.shape == (2, 3, 3)


def test_normalised_intrinsics_are_measured_from_the_edge_of_the_image() -> None:
    camera = Camera.from_normalised(0.58, 1.92, 0.5, 0.5, height=192, width=640, dtype=torch.float64)
    assert camera.K[0, 0, 0] == pytest.approx(0.58 * 640)
    assert camera.K[0, 1, 1] == pytest.approx(1.92 * 192)
    assert camera.K[0, :2, 2].tolist() == [319.5, 95.5]  # monodepth2 has 320 and 96
    torch.testing.assert_close(camera.flipped().K, camera.K)  # the middle stays the middle


@settings(deadline=None, max_examples=25)
@given(sizes, sizes)
def test_normalised_intrinsics_belong_to_every_size_of_the_image(old: tuple[int, int], new: tuple[int, int]) -> None:
    def camera(size: tuple[int, int]) -> Camera:
        height, width = size
        return Camera.from_normalised(0.6, 1.9, 0.4, 0.7, height=height, width=width, dtype=torch.float64)

    torch.testing.assert_close(camera(old).resized(*new).K, camera(new).K)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_depth_and_points_of_half_precision_are_computed_in_float32(dtype: torch.dtype) -> None:
    camera = some_camera(4, 600).to(dtype=torch.float32)
    depth = (1 + torch.rand(1, 1, 4, 600)).to(dtype)
    points = camera.backproject(depth)
    assert points.dtype == torch.float32
    torch.testing.assert_close(points, camera.backproject(depth.float()), rtol=0, atol=0)
    torch.testing.assert_close(camera.project(points.to(dtype)), camera.project(points.to(dtype).float()))


CAMERA = Camera.from_fov(6, 8, 60.0)
ROWS = [[31.0, 0.0, 3.5], [0.0, 29.0, 2.5], [0.0, 0.0, 1.0]]
DEPTH = torch.ones(2, 1, 6, 8)


def matrix(K: Any, **sizes: int) -> Camera:
    return Camera.from_matrix(K, **{"height": 6, "width": 8, **sizes})


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "4 x 4 intrinsics": (lambda: matrix(np.eye(4)), r"3 x 3 or \[b, 3, 3\], got \[4, 4\].*ScanNet.*K\[:3, :3\]"),
    "a projection matrix": (lambda: matrix(np.eye(3, 4)), r"got \[3, 4\].*P = K \[R \| t\].*P\[:, :3\]"),
    "four numbers": (lambda: matrix([31.0, 29.0, 3.5, 2.5]), r"got \[4\].*from_parameters\(fx, fy, cx, cy"),
    "a batch of batches": (lambda: matrix(np.ones((1, 1, 3, 3))), r"got \[1, 1, 3, 3\]"),
    "no camera": (lambda: matrix(np.ones((0, 3, 3))), r"K must be a tensor \[b, 3, 3\], got \[0, 3, 3\]"),
    "rows of unequal length": (lambda: matrix([[1.0, 0, 0], [0, 1.0], [0, 0, 1]]), r"K must be 3 x 3 numbers"),
    "words": (lambda: matrix([["a", "b", "c"]] * 3), r"K must be 3 x 3 numbers"),
    "NaN": (lambda: matrix(np.full((3, 3), np.nan)), r"NaN or infinite"),
    "a singular matrix": (lambda: matrix([[31.0, 0, 3.5], [0, 0, 2.5], [0, 0, 1]]), r"fy \[0\.0\].*singular"),
    "values of another size": (
        lambda: matrix([[0.58, 0, 0.5], [0, 1.92, 0.5], [0, 0, 1]], height=192, width=640),
        r"K must be in pixels: focal lengths 0\.58, 1\.92 are too short for 192 x 640 px.*from_normalised",
    ),
    "half precision": (lambda: CAMERA.to(dtype=torch.float16), r"32- or 64-bit floating point, got torch\.float16"),
    "bfloat16 matrix": (lambda: Camera.from_matrix(ROWS, height=6, width=8, dtype=torch.bfloat16), r"bfloat16"),
    "integer dtype": (lambda: Camera.from_matrix(ROWS, height=6, width=8, dtype=torch.int64), r"got torch\.int64"),
    "a size with a fraction": (lambda: Camera(CAMERA.K, 6, 8.5), r"width must be an int, got float 8\.5.*int\(width\)"),  # type: ignore[arg-type]
    "normalised NaN": (lambda: Camera.from_normalised(float("nan"), 1, 0.5, 0.5, height=6, width=8), r"NaN or inf"),
    "depth of another size": (lambda: CAMERA.backproject(DEPTH[..., :7]), r"depth is 6 x 7 px.*6 x 8 px.*resized"),
    "depth without channel": (lambda: CAMERA.backproject(DEPTH[:, 0]), r"\[b, 1, h, w\].*depth\[:, None\]"),
    "depth of integers": (lambda: CAMERA.backproject(DEPTH.int()), r"depth must be float16.*got torch\.int32"),
    "depth in another dtype": (lambda: CAMERA.backproject(DEPTH.double()), r"one dtype and device.*camera\.to\("),
    "points in another dtype": (lambda: CAMERA.project(torch.ones(1, 3, 2, 2).double()), r"one dtype and device"),
    "points on another device": (lambda: CAMERA.project(torch.ones(1, 3, 2, 2, device="meta")), r"dtype and device"),
    "points of two coordinates": (lambda: CAMERA.project(torch.ones(1, 2, 2, 2)), r"\[b, 3, h, w\], got \[1, 2, 2"),
    "another number of cameras": (lambda: matrix([ROWS] * 3).backproject(DEPTH), r"one K or one for each of 2 maps"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_a_helpful_message(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(InputError) as error:
        call()
    assert re.search(message, str(error.value)), str(error.value)
