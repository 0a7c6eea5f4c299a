"""A warp commutes with what is done to image and camera together, and warps after one another are one warp."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from warp_inputs import normal, pixel_grid, shifted, some_camera, some_depth, some_motion

from stc_lab.geometry import Camera, correspond, inverse_warp, invert_pose, pose_from, rigid_flow, sample

properties = settings(deadline=None, max_examples=25, derandomize=True)
sizes, seeds = st.tuples(st.integers(2, 9), st.integers(2, 9)), st.integers(0, 10_000)
MIRROR = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64))


def border_free(pixels: Tensor, height: int, width: int) -> Tensor:
    """Positions that rounding cannot push over the border."""
    x, y = pixels.unbind(dim=1)
    margins = torch.stack([x, width - 1 - x, y, height - 1 - y])
    return margins.abs().amin(dim=0) > 1e-9


def plane_depth(camera: Camera, normal_: Tensor, distance: float) -> Tensor:
    """Depth of the plane n . X = distance in front of a camera."""
    return distance / torch.einsum("i,bihw->bhw", normal_, camera.rays())[:, None]


@properties
@given(sizes, seeds)
def test_the_motion_of_a_plane_is_a_homography(size: tuple[int, int], seed: int) -> None:
    """H = K_s (R + t n^T / d) K_t^-1 maps every target pixel of the plane n . X = d into the source."""
    target, source = some_camera(*size, seed=seed), some_camera(7, 5, seed=seed + 1, skew=0.5)
    T = some_motion(1, seed=seed)
    n = torch.tensor([0.2, -0.1, 1.0], dtype=torch.float64) + 0.1 * normal(3, seed=seed)
    depth = plane_depth(target, n, 2.0)
    H = source.K[0] @ (T[0, :3, :3] + T[0, :3, 3:] @ n[None] / 2.0) @ torch.linalg.inv(target.K[0])
    x, y = pixel_grid(*size)[0]
    expected = torch.einsum("ij,jhw->ihw", H, torch.stack([x, y, torch.ones_like(x)]))
    where = correspond(depth, target, T, camera_source=source)
    torch.testing.assert_close(where.pixels[0], expected[:2] / expected[2:], atol=1e-9, rtol=1e-9)


@properties
@given(sizes, seeds)
def test_two_warps_along_a_plane_are_one(size: tuple[int, int], seed: int) -> None:
    """On a wall that faces the camera, turns about the axis and steps beside it are affine maps of the pixels.

    A bilinear warp of a ramp is exact, so that a -> b -> c and a -> c give the same values wherever both see.
    """
    camera, (height, width) = some_camera(*size, seed=seed), size
    wall = torch.full((1, 1, height, width), 2.0, dtype=torch.float64)
    ramp = pixel_grid(height, width) / 3 + 1
    turns = torch.zeros(2, 3, dtype=torch.float64)
    turns[:, 2] = 0.3 * normal(2, seed=seed).sin()
    shifts = torch.cat([0.2 * normal(2, 2, seed=seed + 1).sin(), torch.zeros(2, 1)], dim=1)
    T_a_b, T_b_c = (pose_from(turns[i : i + 1], shifts[i : i + 1]) for i in (0, 1))
    in_b = inverse_warp(ramp, wall, camera, T_a_b)
    stacked = torch.cat([in_b.image, in_b.visible[:, None].double()], dim=1)
    in_c = inverse_warp(stacked, wall, camera, T_b_c)
    direct = inverse_warp(ramp, wall, camera, T_a_b @ T_b_c)
    both = in_c.visible & (in_c.image[:, 2] == 1) & direct.visible
    apart = (in_c.image[:, :2] - direct.image).abs().amax(dim=1)
    assert (apart[both] < 1e-12).all()


def test_two_steps_of_whole_pixels_are_one_bit_by_bit() -> None:
    camera = Camera.from_parameters(8.0, 16.0, 4.0, 3.0, height=7, width=9, dtype=torch.float64)
    source, wall = normal(1, 3, 7, 9), torch.full((1, 1, 7, 9), 2.0, dtype=torch.float64)
    first, second = shifted(0.25, 0.0, 0.0), shifted(0.25, -0.125, 0.0)  # 1 px right; 1 px right, 1 px up
    in_b = inverse_warp(source, wall, camera, first)
    in_c = inverse_warp(in_b.image, wall, camera, second)
    direct = inverse_warp(source, wall, camera, first @ second)
    assert torch.equal(direct.image[..., 1:, :-2], source[..., :-1, 2:])
    seen = direct.visible[:, None].expand_as(source)
    assert direct.visible.sum() == 6 * 7
    assert torch.equal(in_c.image[seen], direct.image[seen])


@properties
@given(sizes, seeds)
def test_the_way_back_along_a_plane_is_the_inverse_map(size: tuple[int, int], seed: int) -> None:
    """With the plane seen from b, n_b = R n_a and d_b = d_a + n_b . t: the pixels of b go where H^-1 says."""
    a, b = some_camera(*size, seed=seed), some_camera(*size, seed=seed + 1)
    T_b_a = some_motion(1, seed=seed)
    R, t = T_b_a[0, :3, :3], T_b_a[0, :3, 3]
    n_a = torch.tensor([0.2, -0.1, 1.0], dtype=torch.float64)
    H = b.K[0] @ (R + t[:, None] @ n_a[None] / 2.0) @ torch.linalg.inv(a.K[0])
    depth_b = plane_depth(b, R @ n_a, float(2.0 + (R @ n_a) @ t))
    back = rigid_flow(depth_b, b, invert_pose(T_b_a), camera_b=a).flow
    x, y = grid = pixel_grid(*size)[0]
    expected = torch.einsum("ij,jhw->ihw", torch.linalg.inv(H), torch.stack([x, y, torch.ones_like(x)]))
    torch.testing.assert_close(back[0], expected[:2] / expected[2:] - grid, atol=1e-9, rtol=1e-9)


@properties
@given(sizes, seeds, st.floats(0.3, 6.0))
def test_flipping_images_camera_and_motion_flips_the_warp(size: tuple[int, int], seed: int, motion: float) -> None:
    camera, T = some_camera(*size, batch=2, seed=seed, skew=0.2), some_motion(2, seed=seed, size=motion)
    source, depth = normal(2, 3, *size, seed=seed), some_depth(2, *size, seed=seed)
    depth_source = some_depth(2, *size, seed=seed + 1)
    expected = inverse_warp(source, depth, camera, T, depth_source=depth_source)
    where = correspond(depth, camera, T)
    flipped = inverse_warp(
        source.flip(-1), depth.flip(-1), camera.flipped(), MIRROR @ T @ MIRROR, depth_source=depth_source.flip(-1)
    )
    off_border = border_free(where.pixels, *size)
    # The nearest depth of a position halfway between two pixels may be the other one in the mirror.
    halfway = ((where.pixels - where.pixels.floor() - 0.5).abs() < 1e-9).any(dim=1)
    clear = off_border & ~halfway
    assert torch.equal(flipped.visible.flip(-1)[clear], expected.visible[clear])
    seen = expected.visible & clear
    assert ((flipped.image.flip(-1) - expected.image).abs().amax(dim=1)[seen] < 1e-9).all()


@properties
@given(st.data(), seeds)
def test_cropping_the_target_crops_the_warp(data: st.DataObject, seed: int) -> None:
    height, width = 8, 9
    top, left = data.draw(st.integers(0, 7)), data.draw(st.integers(0, 8))
    rows, columns = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    camera, T = some_camera(height, width, seed=seed), some_motion(1, seed=seed)
    source, depth = normal(1, 2, height, width, seed=seed), some_depth(1, height, width, seed=seed)
    window = (..., slice(top, top + rows), slice(left, left + columns))
    whole, where = inverse_warp(source, depth, camera, T), correspond(depth, camera, T)
    part = inverse_warp(source, depth[window], camera.cropped(top, left, rows, columns), T, camera_source=camera)
    clear = border_free(where.pixels, height, width)[window]
    assert torch.equal(part.visible[clear], whole.visible[window][clear])
    seen = part.visible & clear
    assert ((part.image - whole.image[window]).abs().amax(dim=1)[seen] < 1e-9).all()


@properties
@given(st.data(), seeds)
def test_cropping_the_source_only_takes_away(data: st.DataObject, seed: int) -> None:
    height, width = 8, 9
    top, left = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 7))
    rows, columns = data.draw(st.integers(2, height - top)), data.draw(st.integers(2, width - left))
    camera, T = some_camera(height, width, seed=seed), some_motion(1, seed=seed)
    source, depth = normal(1, 2, height, width, seed=seed), some_depth(1, height, width, seed=seed)
    window = (..., slice(top, top + rows), slice(left, left + columns))
    whole, where = inverse_warp(source, depth, camera, T), correspond(depth, camera, T)
    cropped = camera.cropped(top, left, rows, columns)
    part = inverse_warp(source[window], depth, camera, T, camera_source=cropped)
    x, y = where.pixels.unbind(dim=1)
    inside = (x >= left) & (x <= left + columns - 1) & (y >= top) & (y <= top + rows - 1)
    clear = border_free(where.pixels - where.pixels.new_tensor([left, top]).reshape(1, 2, 1, 1), rows, columns)
    assert torch.equal(part.visible[clear], (whole.visible & inside)[clear])
    assert ((part.image - whole.image).abs().amax(dim=1)[part.visible & clear] < 1e-9).all()


@properties
@given(sizes, sizes, seeds)
def test_resizing_both_cameras_scales_the_positions(old: tuple[int, int], new: tuple[int, int], seed: int) -> None:
    """On a plane, at the centres of the resized pixels: p' = (p + 0.5) s - 0.5 as images are resized."""
    camera, T = some_camera(*old, seed=seed), some_motion(1, seed=seed)
    n = torch.tensor([0.2, -0.1, 1.0], dtype=torch.float64)
    resized = camera.resized(*new)
    s = torch.tensor([new[1] / old[1], new[0] / old[0]], dtype=torch.float64).reshape(1, 2, 1, 1)
    small = correspond(plane_depth(resized, n, 2.0), resized, T).pixels
    H = camera.K[0] @ (T[0, :3, :3] + T[0, :3, 3:] @ n[None] / 2.0) @ torch.linalg.inv(camera.K[0])
    centres = (pixel_grid(*new) + 0.5) / s - 0.5
    mapped = torch.einsum("ij,jhw->ihw", H, torch.cat([centres[0], torch.ones(1, *new, dtype=torch.float64)]))
    expected = (mapped[:2] / mapped[2:] + 0.5) * s[0] - 0.5
    torch.testing.assert_close(small[0], expected, atol=1e-8, rtol=1e-9)


@pytest.mark.parametrize("factor", [2, 3])
def test_resizing_images_and_cameras_resizes_the_warp(factor: int) -> None:
    """Warp, then shrink, is shrink, then warp: for a smooth image and wall to 0.01 of a contrast of 1.

    With K / factor, as published code scales it, a small camera that rolls turns about the wrong point.
    """
    height, width = 36, 48
    camera = some_camera(height, width)
    T = pose_from(torch.tensor([[0.03, -0.05, 0.6]]).double(), torch.tensor([[0.1, 0.05, 0.2]]).double())
    x, y = pixel_grid(height, width)[0]
    source = torch.stack([(x / 8).sin(), (y / 7 + x / 20).cos()])[None] / 2
    depth = plane_depth(camera, torch.tensor([0.2, -0.1, 1.0], dtype=torch.float64), 2.0)
    small_camera = camera.resized(height // factor, width // factor)
    large = inverse_warp(source, depth, camera, T)
    K_divided = camera.K / factor
    K_divided[:, 2, 2] = 1
    errors = []
    for used in (small_camera, Camera(K_divided, *small_camera.size)):
        small = inverse_warp(F.avg_pool2d(source, factor), F.avg_pool2d(depth, factor), used, T)
        whole = F.avg_pool2d(large.visible.double(), factor) == 1
        seen = small.visible & whole
        assert seen.double().mean() > 0.4
        errors.append(float((small.image - F.avg_pool2d(large.image, factor)).abs().amax(dim=1)[seen].mean()))
    assert errors[0] < 0.01
    assert errors[1] > 1.2 * errors[0]


@properties
@given(sizes, seeds)
def test_sampling_a_sampled_ramp_adds_the_positions(size: tuple[int, int], seed: int) -> None:
    """The image of x and y reads back where it was sampled, at the border where that lies outside."""
    height, width = size
    pixels = pixel_grid(3, 4) + 3 * normal(1, 2, 3, 4, seed=seed)
    limit = pixels.new_tensor([width - 1, height - 1]).reshape(1, 2, 1, 1)
    expected = torch.minimum(pixels.clamp(min=0), limit)
    torch.testing.assert_close(sample(pixel_grid(height, width), pixels), expected, atol=1e-12, rtol=0)
