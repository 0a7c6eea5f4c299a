"""The forward splat against a slow loop, its adjoint and an analytic scene."""

import math
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planar import draw

from stc_lab.geometry import (
    MIN_DEPTH,
    Camera,
    correspond,
    forward_splat,
    inverse_warp,
    pose_from,
    relative_pose,
    sample,
)

Mode = Literal["zbuffer", "average", "sum"]
MODES: tuple[Mode, ...] = ("zbuffer", "average", "sum")


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pose(turn: list[float], shift: list[float], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return pose_from(torch.tensor([turn], dtype=dtype), torch.tensor([shift], dtype=dtype))


@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from(MODES),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 99),
)
def test_identity_pose_returns_the_known_source_bit_by_bit(
    h: int, w: int, mode: Mode, dtype: torch.dtype, seed: int
) -> None:
    camera = Camera.from_parameters(1.1 * w, 0.9 * w, 0.4 * w, 0.6 * h, height=h, width=w, dtype=dtype)
    source, depth = random(2, 3, h, w, seed=seed, dtype=dtype), random(2, 1, h, w, seed=seed, dtype=dtype)
    warped = forward_splat(source, depth, camera, torch.eye(4, dtype=dtype).repeat(2, 1, 1), mode=mode)
    assert torch.equal(warped.visible, depth[:, 0] > MIN_DEPTH)
    assert torch.equal(warped.image, torch.where(depth > MIN_DEPTH, source, torch.zeros_like(source)))


def slow_splat(
    source: np.ndarray,
    depth: np.ndarray,
    K: np.ndarray,
    T: np.ndarray,
    K_target: np.ndarray,
    size: tuple[int, int],
    mode: Mode,
) -> tuple[np.ndarray, np.ndarray]:
    """Every source pixel thrown one by one, then every target pixel settled one by one."""
    landed: dict[tuple[int, int], list[tuple[float, float, np.ndarray]]] = {}
    for y, x in np.ndindex(depth.shape):
        z = depth[y, x]
        if not (np.isfinite(z) and z > 0):
            continue
        point = T[:3, :3] @ (np.linalg.inv(K) @ np.array([x, y, 1.0]) * z) + T[:3, 3]
        if point[2] <= 1e-3:
            continue
        u, v, _ = K_target @ (point / point[2])
        for row in (math.floor(v), math.floor(v) + 1):
            for column in (math.floor(u), math.floor(u) + 1):
                weight = (1 - abs(u - column)) * (1 - abs(v - row))
                if weight > 1e-3 and 0 <= row < size[0] and 0 <= column < size[1]:
                    landed.setdefault((row, column), []).append((point[2], weight, source[:, y, x]))
    image, visible = np.zeros((len(source), *size)), np.zeros(size, dtype=bool)
    for (row, column), points in landed.items():
        if mode == "zbuffer":
            covering = [z for z, weight, _ in points if weight >= 0.25] or [z for z, _, _ in points]
            nearest = min(covering)
            points = [p for p in points if abs(p[0] - nearest) < 0.04 * nearest + 0.02]
        total = sum(weight for _, weight, _ in points)
        value = sum(weight * color for _, weight, color in points)
        image[:, row, column] = value if mode == "sum" else value / total
        visible[row, column] = True
    return image, visible


@pytest.mark.parametrize("mode", MODES)
def test_it_is_the_slow_loop(mode: Mode) -> None:
    camera, target = (
        Camera.from_fov(9, 12, 70.0, dtype=torch.float64),
        Camera.from_fov(11, 10, 60.0, dtype=torch.float64),
    )
    source, depth = random(2, 3, 9, 12), 2 + random(2, 1, 9, 12, seed=4).sin()
    depth[:, :, 3, 4], depth[:, :, 5, 6], depth[:, :, 7, 8] = 0.0, math.nan, math.inf
    T = torch.cat([pose([0.05, -0.1, 0.2], [0.2, 0.1, -0.3]), pose([0.0, 0.1, 0.0], [0.0, 0.0, -1.5])])
    warped = forward_splat(source, depth, camera, T, camera_target=target, mode=mode)
    assert 0.2 < warped.visible.double().mean() < 0.95
    for i in range(2):
        image, visible = slow_splat(
            source[i].numpy(),
            depth[i, 0].numpy(),
            camera.K[0].numpy(),
            T[i].numpy(),
            target.K[0].numpy(),
            (11, 10),
            mode,
        )
        assert np.array_equal(warped.visible[i].numpy(), visible)
        np.testing.assert_allclose(warped.image[i].numpy(), image, atol=1e-12)


def test_summed_splatting_is_the_adjoint_of_sampling() -> None:
    camera, T = Camera.from_fov(10, 14, 60.0, dtype=torch.float64), pose([0.02, -0.03, 0.1], [0.1, 0.0, 0.1])
    depth = 2 + 0.3 * random(1, 1, 10, 14).sin()
    thrown, other = random(1, 2, 10, 14, seed=1), random(1, 2, 10, 14, seed=2)
    where = correspond(depth, camera, T)
    thrown = thrown * where.visible[:, None]  # beyond the border a sample repeats, a splat is lost
    splat = forward_splat(thrown, depth, camera, T, mode="sum").image
    torch.testing.assert_close(
        (splat * other).sum(), (thrown * sample(other, where)).sum(), atol=2e-2, rtol=0
    )  # least weight


def test_whole_pixel_shift() -> None:
    camera = Camera.from_parameters(10.0, 10.0, 4.5, 3.5, height=8, width=10, dtype=torch.float64)
    source, depth = random(1, 2, 8, 10), torch.full((1, 1, 8, 10), 2.0).double()
    warped = forward_splat(source, depth, camera, pose([0.0, 0.0, 0.0], [0.6, -0.2, 0.0]))  # 3 px right, 1 px up
    torch.testing.assert_close(warped.image[..., :7, 3:], source[..., 1:, :7])
    hole = torch.ones(8, 10, dtype=torch.bool)
    hole[:7, 3:] = False
    assert torch.equal(warped.visible[0], ~hole)
    assert (warped.image[0, :, hole] == 0).all()


def test_the_nearest_surface_wins_and_averaging_mixes() -> None:
    # A far wall of value 0 and a near post of value 1; a step to the left makes the post cover other wall pixels.
    camera = Camera.from_parameters(8.0, 8.0, 7.5, 1.0, height=3, width=16, dtype=torch.float64)
    depth, source = torch.full((1, 1, 3, 16), 4.0).double(), torch.zeros(1, 1, 3, 16).double()
    depth[..., 8:10], source[..., 8:10] = 1.0, 1.0
    step = pose([0.0, 0.0, 0.0], [0.5, 0.0, 0.0])  # the post moves 4 px, the wall 1 px
    zbuffer = forward_splat(source, depth, camera, step)
    assert zbuffer.image[0, 0, 1].tolist() == [0.0] * 12 + [1.0] * 2 + [0.0] * 2
    assert (~zbuffer.visible[0, 1]).nonzero().flatten().tolist() == [
        0,
        9,
        10,
    ]  # the border, and the wall behind the post
    average = forward_splat(source, depth, camera, step, mode="average").image[0, 0, 1]
    torch.testing.assert_close(average[12:14], torch.tensor([0.5, 0.5]).double())
    total = forward_splat(source + 1, depth, camera, step, mode="sum").image[0, 0, 1]
    torch.testing.assert_close(total[12:14], torch.tensor([3.0, 3.0]).double())


def test_a_foreground_that_barely_touches_does_not_hide() -> None:
    camera = Camera.from_parameters(8.0, 8.0, 7.5, 1.0, height=3, width=16, dtype=torch.float64)
    depth, source = torch.full((1, 1, 3, 16), 4.0).double(), torch.zeros(1, 1, 3, 16).double()
    depth[..., 8:10], source[..., 8:10] = 1.0, 1.0
    step = pose([0.0, 0.0, 0.0], [0.0125, 0.0, 0.0])  # the post moves 0.1 px and the wall 0.025 px
    image = forward_splat(source, depth, camera, step).image[0, 0, 1]
    assert image[8:10].tolist() == [1.0, 1.0]
    assert image[10] == 0


@pytest.mark.parametrize("mode", MODES)
def test_gradients(mode: Mode) -> None:
    camera = Camera.from_fov(5, 6, 60.0, dtype=torch.float64)
    source, depth = random(1, 2, 5, 6), 2 + 0.1 * random(1, 1, 5, 6).sin()
    turn, shift = torch.tensor([[0.02, 0.01, -0.03]]).double(), torch.tensor([[0.1, 0.05, 0.02]]).double()

    def splat(*inputs: torch.Tensor) -> torch.Tensor:
        source, depth, turn, shift = inputs
        return forward_splat(source, depth, camera, pose_from(turn, shift), mode=mode).image

    inputs = [value.requires_grad_() for value in (source, depth, turn, shift)]
    assert torch.autograd.gradcheck(splat, inputs)


def test_nothing_makes_nan_in_values_or_gradients() -> None:
    camera = Camera.from_fov(6, 7, 60.0)
    depth = torch.full((1, 1, 6, 7), 2.0)
    depth[0, 0, 0] = torch.tensor([0.0, -1.0, math.nan, math.inf, -math.inf, 1e-30, 3e38])
    depth.requires_grad_()
    source = random(1, 2, 6, 7, dtype=torch.float32).requires_grad_()
    for shift in ([0.1, 0.0, 0.1], [0.0, 0.0, -3.0]):
        warped = forward_splat(source, depth, camera, pose([0.0, 0.1, 0.0], shift, torch.float32))
        assert warped.image.isfinite().all()
        assert all(g.isfinite().all() for g in torch.autograd.grad(warped.image.sum(), (source, depth)))
    assert not warped.visible.any()  # all of it behind the camera


def test_it_agrees_with_the_inverse_warp_on_a_drawn_scene() -> None:
    K = torch.tensor([[55.0, 0, 31.5], [0, 55.0, 23.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K[None], 48, 64)
    poses = torch.cat([torch.eye(4).double()[None], pose([0.02, -0.05, 0.03], [0.15, -0.05, 0.1])])
    a, b = (draw(K, 48, 64, T) for T in poses)
    T_b_a = relative_pose(poses[:1], poses[1:])
    splat = forward_splat(a.image, a.depth, camera, T_b_a)
    inverse = inverse_warp(a.image, b.depth, camera, relative_pose(poses[1:], poses[:1]), depth_source=a.depth)
    both = splat.visible & inverse.visible
    assert both.double().mean() > 0.6
    assert (splat.image - b.image).abs().mean(dim=1)[both].mean() < 5e-3
    assert (splat.image - inverse.image).abs().mean(dim=1)[both].mean() < 5e-3
    averaged = forward_splat(a.image, a.depth, camera, T_b_a, mode="average")
    error = (averaged.image - b.image).abs().mean(dim=1)[both].mean()
    assert error > 1.2 * (splat.image - b.image).abs().mean(dim=1)[both].mean()
