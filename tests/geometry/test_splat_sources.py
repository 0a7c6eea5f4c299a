"""Splats of several sources into one target, and splats along a flow."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planar import draw
from slow_splat import Point, points_of, slow_splat

from stc_lab.geometry import (
    Camera,
    correspond,
    forward_splat,
    forward_splat_sources,
    pose_from,
    relative_pose,
    rigid_flow,
    splat_by_flow,
    warp_by_flow,
)
from stc_lab.geometry.splat import FlowMode, Mode
from stc_lab.geometry.splat_landings import land

MODES: tuple[Mode, ...] = get_args(Mode)
FLOW_MODES: tuple[FlowMode, ...] = get_args(FlowMode)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def motions(*shape: int) -> torch.Tensor:
    """Small random motions [*shape, 4, 4], the same at each call."""
    count = int(np.prod(shape))
    return pose_from(0.05 * random(count, 3, seed=5), 0.2 * random(count, 3, seed=6)).reshape(*shape, 4, 4)


def three_sources() -> tuple[torch.Tensor, torch.Tensor, list[Camera], torch.Tensor, Camera]:
    """Two items of three sources, each with a camera of its own."""
    cameras = [Camera.from_fov(8, 10, fov, dtype=torch.float64) for fov in (50.0, 60.0, 70.0)]
    depths = 2 + 0.8 * random(2, 3, 1, 8, 10, seed=1).sin()
    depths[:, 1, :, 2:4, 3:6] = 0.0
    target = Camera.from_fov(9, 12, 65.0, dtype=torch.float64)
    return random(2, 3, 4, 8, 10), depths, cameras, motions(2, 3), target


@pytest.mark.parametrize("mode", MODES)
def test_several_sources_are_the_slow_loop_over_all_their_points(mode: Mode) -> None:
    sources, depths, cameras, T, target = three_sources()
    warped = forward_splat_sources(sources, depths, cameras, T, camera_target=target, mode=mode, sharpness=3.0)
    for i in range(2):
        points: list[Point] = []
        for s in range(3):
            arrays = (sources[i, s], depths[i, s, 0], cameras[s].K[0], T[i, s], target.K[0])
            points += points_of(*(array.numpy() for array in arrays), sharpness=3.0)
        image, visible = slow_splat(points, 4, (9, 12), mode)
        assert np.array_equal(warped.visible[i].numpy(), visible)
        np.testing.assert_allclose(warped.image[i].numpy(), image, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_one_source_is_the_single_splat(mode: Mode) -> None:
    sources, depths, cameras, T, target = three_sources()
    several = forward_splat_sources(
        sources[:, :1], depths[:, :1], cameras[:1], T[:, :1], camera_target=target, mode=mode
    )
    single = forward_splat(sources[:, 0], depths[:, 0], cameras[0], T[:, 0], camera_target=target, mode=mode)
    assert torch.equal(several.image, single.image)
    assert torch.equal(several.visible, single.visible)


@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_the_sources_does_not_matter(mode: Mode) -> None:
    sources, depths, cameras, T, target = three_sources()
    importance = random(2, 3, 1, 8, 10, seed=9) if mode == "softmax" else None
    straight = forward_splat_sources(
        sources, depths, cameras, T, camera_target=target, mode=mode, importance=importance
    )
    order = [2, 0, 1]
    permuted = forward_splat_sources(
        sources[:, order],
        depths[:, order],
        [cameras[s] for s in order],
        T[:, order],
        camera_target=target,
        mode=mode,
        importance=None if importance is None else importance[:, order],
    )
    assert torch.equal(permuted.visible, straight.visible)
    torch.testing.assert_close(permuted.image, straight.image, atol=1e-12, rtol=0)


def test_the_sum_over_sources_is_the_sum_of_the_splats() -> None:
    sources, depths, cameras, T, target = three_sources()
    together = forward_splat_sources(sources, depths, cameras, T, camera_target=target, mode="sum").image
    single = [
        forward_splat(sources[:, s], depths[:, s], cameras[s], T[:, s], camera_target=target, mode="sum").image
        for s in range(3)
    ]
    torch.testing.assert_close(together, sum(single), atol=1e-12, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_a_blind_source_adds_nothing_and_two_halves_make_one(mode: Mode) -> None:
    sources, depths, cameras, T, target = three_sources()
    source, depth, camera, motion = sources[:, 0], depths[:, 0], cameras[0], T[:, 0]
    left, right = depth.clone(), depth.clone()
    left[..., 5:], right[..., :5] = 0.0, 0.0
    halves = forward_splat_sources(
        torch.stack([source, source, sources[:, 1]], dim=1),
        torch.stack([left, right, torch.zeros_like(depth)], dim=1),
        camera,
        torch.stack([motion, motion, T[:, 1]], dim=1),
        camera_target=target,
        mode=mode,
    )
    whole = forward_splat(source, depth, camera, motion, camera_target=target, mode=mode)
    assert torch.equal(halves.visible, whole.visible)
    torch.testing.assert_close(halves.image, whole.image, atol=1e-12, rtol=0)


def test_sources_fill_each_others_holes_and_hide_each_other() -> None:
    camera = Camera.from_parameters(8.0, 8.0, 7.5, 0.0, height=1, width=16, dtype=torch.float64)
    wall, post = torch.full((1, 1, 1, 16), 4.0).double(), torch.zeros(1, 1, 1, 16).double()
    wall[..., 6:9] = 0.0  # a hole in the wall, and a source that knows the post alone
    post[..., 7:11] = 1.0
    depths = torch.stack([wall, post], dim=1)
    sources = torch.stack([torch.full_like(wall, 3.0), torch.full_like(post, 7.0)], dim=1)
    T = torch.eye(4).double().expand(1, 2, 4, 4)
    zbuffer = forward_splat_sources(sources, depths, camera, T)
    assert zbuffer.image[0, 0, 0].tolist() == [3.0] * 6 + [0.0] + [7.0] * 4 + [3.0] * 5
    assert zbuffer.visible[0, 0].tolist() == [True] * 6 + [False] + [True] * 9
    average = forward_splat_sources(sources, depths, camera, T, mode="average")
    assert average.image[0, 0, 0].tolist() == [3.0] * 6 + [0.0, 7.0, 7.0, 5.0, 5.0] + [3.0] * 5


def test_two_views_of_a_drawn_scene_leave_fewer_holes_than_one() -> None:
    K = torch.tensor([[55.0, 0, 31.5], [0, 55.0, 23.5], [0, 0, 1]], dtype=torch.float64)
    camera, turn = Camera(K[None], 48, 64), torch.zeros(1, 3, dtype=torch.float64)
    shifts = [torch.tensor([[x, 0.0, 0.0]], dtype=torch.float64) for x in (-0.3, 0.3, 0.0)]
    poses = [pose_from(turn, shift) for shift in shifts]
    left, right, middle = (draw(K, 48, 64, T[0]) for T in poses)
    T = torch.stack([relative_pose(poses[0], poses[2]), relative_pose(poses[1], poses[2])], dim=1)
    images, depths = torch.stack([left.image, right.image], dim=1), torch.stack([left.depth, right.depth], dim=1)
    both = forward_splat_sources(images, depths, camera, T)
    one = forward_splat(left.image, left.depth, camera, T[:, 0])
    assert one.visible.double().mean() < 0.93
    assert both.visible.double().mean() > 0.995
    assert (both.image - middle.image).abs().mean(dim=1)[both.visible].mean() < 8e-3


@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([1, 3, 21]),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(MODES),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_no_motion_returns_equal_sources(
    b: int, s: int, c: int, h: int, w: int, mode: Mode, dtype: torch.dtype
) -> None:
    lifted = torch.promote_types(dtype, torch.float32)
    camera = Camera.from_fov(h, w, 60.0, dtype=lifted)
    source, depth = random(b, c, h, w, dtype=dtype), 2 + random(b, 1, h, w, seed=1, dtype=lifted).sin()
    sources, depths = (value[:, None].expand(b, s, *value.shape[1:]) for value in (source, depth))
    T = torch.eye(4, dtype=lifted).expand(b, s, 4, 4)
    warped = forward_splat_sources(sources, depths, camera, T, mode=mode)
    assert warped.image.dtype == dtype
    assert warped.visible.all()
    expected = source * s if mode == "sum" else source
    torch.testing.assert_close(warped.image, expected)


@pytest.mark.parametrize("mode", FLOW_MODES)
def test_the_flow_splat_is_the_slow_loop(mode: FlowMode) -> None:
    source, flow, importance = random(2, 3, 8, 10), 2.5 * random(2, 2, 8, 10, seed=1), 3 * random(2, 1, 8, 10, seed=2)
    flow[0, 0, 2, 3], flow[0, 1, 4, 5], flow[1, 0, 6, 7] = torch.nan, torch.inf, 2e9
    warped = splat_by_flow(source, flow, mode=mode, importance=importance if mode == "softmax" else None)
    for i in range(2):
        points = []
        for y, x in np.ndindex(8, 10):
            u, v = flow[i, :, y, x].tolist()
            if abs(u) < 1e9 and abs(v) < 1e9:
                points.append(Point(x + u, y + v, 1.0, float(importance[i, 0, y, x]), source[i, :, y, x].numpy()))
        image, visible = slow_splat(points, 3, (8, 10), mode)
        assert np.array_equal(warped.visible[i].numpy(), visible)
        np.testing.assert_allclose(warped.image[i].numpy(), image, atol=1e-12)


@pytest.mark.parametrize("mode", ["average", "sum"])
def test_the_flow_splat_along_a_rigid_flow_is_the_depth_splat(mode: FlowMode) -> None:
    camera, T = Camera.from_fov(9, 12, 60.0, dtype=torch.float64), motions(2)
    source, depth = random(2, 3, 9, 12), 2 + 0.5 * random(2, 1, 9, 12, seed=1).sin()
    by_flow = splat_by_flow(source, rigid_flow(depth, camera, T).flow, mode=mode)
    by_depth = forward_splat(source, depth, camera, T, mode=mode)
    assert torch.equal(by_flow.visible, by_depth.visible)
    torch.testing.assert_close(by_flow.image, by_depth.image, atol=1e-11, rtol=0)


def test_the_summed_flow_splat_is_the_adjoint_of_the_warp_by_flow() -> None:
    flow, thrown, other = 2 * random(1, 2, 9, 12), random(1, 2, 9, 12, seed=1), random(1, 2, 9, 12, seed=2)
    warped = warp_by_flow(other, flow)
    thrown = thrown * warped.visible[:, None]
    splat = splat_by_flow(thrown, flow, mode="sum").image
    torch.testing.assert_close((splat * other).sum(), (thrown * warped.image).sum(), atol=1e-11, rtol=0)


def test_importance_decides_a_collision_of_flows() -> None:
    source = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]])
    flow = torch.zeros(1, 2, 1, 4)
    flow[0, 0, 0, 0] = 2.0  # the first lands on the third
    importance = torch.tensor([[[[0.0, 0.0, 1.0, 0.0]]]])
    assert splat_by_flow(source, flow).image.tolist() == [[[[0.0, 2.0, 2.0, 4.0]]]]
    assert splat_by_flow(source, flow, mode="sum").image.tolist() == [[[[0.0, 2.0, 4.0, 4.0]]]]
    soft = splat_by_flow(source, flow, mode="softmax", importance=importance * 200)
    assert soft.image.tolist() == [[[[0.0, 2.0, 3.0, 4.0]]]]
    assert soft.visible.tolist() == [[[False, True, True, True]]]
    e = float(np.e)
    soft = splat_by_flow(source, flow, mode="softmax", importance=importance)
    assert soft.image[0, 0, 0, 2] == pytest.approx((1 + 3 * e) / (1 + e), rel=1e-6)


@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([1, 3, 21, 124]),
    st.sampled_from(FLOW_MODES),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_no_flow_returns_the_source_bit_by_bit(h: int, w: int, c: int, mode: FlowMode, dtype: torch.dtype) -> None:
    source, flow = random(2, c, h, w, dtype=dtype), torch.zeros(2, 2, h, w, dtype=dtype)
    importance = random(2, 1, h, w, seed=1, dtype=dtype) if mode == "softmax" else None
    warped = splat_by_flow(source, flow, mode=mode, importance=importance)
    assert torch.equal(warped.image, source)
    assert warped.visible.all()


def test_far_flow_is_lost_and_unknown_flow_is_not_thrown() -> None:
    source = random(1, 2, 3, 6, dtype=torch.float32)
    source[..., 1, :] = torch.nan
    flow = torch.zeros(1, 2, 3, 6)
    flow[0, 0, 0] = torch.tensor([9e8, -9e8, 100.0, -100.0, 7.0, -6.0])
    flow[0, 0, 1] = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e9, 3e38, -3e38])
    flow.requires_grad_()
    for mode in ("average", "sum"):
        warped = splat_by_flow(source, flow, mode=mode)
        assert warped.visible[0].tolist() == [[False] * 6, [False] * 6, [True] * 6]
        assert torch.equal(warped.image[..., 2, :], source[..., 2, :])
        (gradient,) = torch.autograd.grad(warped.image.square().sum(), flow)
        assert (gradient[:, :, :2] == 0).all()
        assert gradient.isfinite().all()


def test_a_point_that_the_inverse_warp_sees_is_thrown_where_it_looks() -> None:
    camera, T = Camera.from_fov(9, 12, 60.0, dtype=torch.float64), motions(1)
    depth = 2 + 0.5 * random(1, 1, 9, 12, seed=1).sin()
    where = correspond(depth, camera, T)
    for y, x in ((4, 5), (2, 8), (7, 3)):
        one = torch.zeros(1, 1, 9, 12, dtype=torch.float64)
        one[..., y, x] = 1.0
        image = forward_splat(one, depth, camera, T, mode="sum").image[0, 0]
        rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(12.0), indexing="ij")
        centre = torch.stack([(image * columns).sum(), (image * rows).sum()])
        torch.testing.assert_close(centre, where.pixels[0, :, y, x], atol=1e-11, rtol=0)


def test_a_large_image_numbers_its_pixels_exactly() -> None:
    """Past 2^24 pixels, float32 no longer tells neighbours apart."""
    height, width = 5000, 5000
    pixels = torch.tensor([[[4321.0, 4322.0], [4000.0, 4000.0]]])
    place = land(pixels, torch.ones(1, 2, dtype=torch.bool), height, width).place[0, 0]
    assert place.tolist() == [4000 * width + 4321, 4000 * width + 4322]
