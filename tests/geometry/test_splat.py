"""The forward splat against a slow loop, its adjoint, hand-made collisions and an analytic scene."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planar import draw
from slow_splat import nearest_labels, points_of, slow_splat

from stc_lab.geometry import (
    MIN_DEPTH,
    Camera,
    correspond,
    forward_splat,
    forward_splat_labels,
    inverse_warp,
    pose_from,
    relative_pose,
    sample,
)
from stc_lab.geometry.splat import Mode

MODES: tuple[Mode, ...] = get_args(Mode)
SHAPES = {"h": st.integers(1, 20), "w": st.integers(1, 20), "seed": st.integers(0, 99)}


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def pose(turn: list[float], shift: list[float], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return pose_from(torch.tensor([turn], dtype=dtype), torch.tensor([shift], dtype=dtype))


def two_views() -> tuple[torch.Tensor, torch.Tensor, Camera, torch.Tensor, Camera]:
    """Source, depth with holes, a camera for each item, motions, and a target camera of another size."""
    K = Camera.from_fov(9, 12, 70.0, dtype=torch.float64).K
    camera = Camera(torch.cat([K, K * torch.tensor([1.2, 1.1, 1.0]).double()[:, None]]), 9, 12)
    K = Camera.from_fov(11, 10, 60.0, dtype=torch.float64).K
    target = Camera(torch.cat([K, K]), 11, 10)
    source, depth = random(2, 3, 9, 12), 2 + random(2, 1, 9, 12, seed=4).sin()
    depth[:, :, 3, 4], depth[:, :, 5, 6], depth[:, :, 7, 8] = 0.0, math.nan, math.inf
    T = torch.cat([pose([0.05, -0.1, 0.2], [0.2, 0.1, -0.3]), pose([0.0, 0.1, 0.0], [0.0, 0.0, -1.5])])
    return source, depth, camera, T, target


@settings(deadline=None, max_examples=60)
@given(
    mode=st.sampled_from(MODES),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    channels=st.sampled_from([1, 3, 21, 124]),
    **SHAPES,
)
def test_identity_pose_returns_the_known_source_bit_by_bit(
    h: int, w: int, seed: int, mode: Mode, dtype: torch.dtype, channels: int
) -> None:
    lifted = torch.promote_types(dtype, torch.float32)
    camera = Camera.from_parameters(1.1 * w, 0.9 * w, 0.4 * w, 0.6 * h, height=h, width=w, dtype=lifted)
    source = random(2, channels, h, w, seed=seed, dtype=dtype)
    depth = random(2, 1, h, w, seed=seed, dtype=lifted)
    warped = forward_splat(source, depth, camera, torch.eye(4, dtype=lifted).repeat(2, 1, 1), mode=mode)
    assert torch.equal(warped.visible, depth[:, 0] > MIN_DEPTH)
    assert torch.equal(warped.image, torch.where(depth > MIN_DEPTH, source, torch.zeros_like(source)))


@pytest.mark.parametrize("mode", MODES)
def test_it_is_the_slow_loop(mode: Mode) -> None:
    source, depth, camera, T, target = two_views()
    warped = forward_splat(source, depth, camera, T, camera_target=target, mode=mode, sharpness=3.0)
    assert 0.2 < warped.visible.double().mean() < 0.95
    for i in range(2):
        points = points_of(
            *(array.numpy() for array in (source[i], depth[i, 0], camera.K[i], T[i], target.K[0])), sharpness=3.0
        )
        image, visible = slow_splat(points, 3, (11, 10), mode)
        assert np.array_equal(warped.visible[i].numpy(), visible)
        np.testing.assert_allclose(warped.image[i].numpy(), image, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(
    mode=st.sampled_from(MODES),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    channels=st.sampled_from([1, 3, 21]),
    tilt=st.floats(-0.3, 0.3),
    ahead=st.floats(-1.0, 1.0),
    **SHAPES,
)
def test_any_shape_and_dtype_is_the_slow_loop(
    h: int, w: int, seed: int, mode: Mode, dtype: torch.dtype, channels: int, tilt: float, ahead: float
) -> None:
    lifted = torch.promote_types(dtype, torch.float32)
    camera = Camera.from_fov(h, w, 70.0, dtype=lifted)
    source = random(1, channels, h, w, seed=seed, dtype=dtype)
    depth = 2 + 0.5 * random(1, 1, h, w, seed=seed + 1, dtype=lifted).sin()
    T = pose([0.1 * tilt, tilt, 0.3 * tilt], [0.2, 0.1 * tilt, ahead], lifted)
    warped = forward_splat(source, depth, camera, T, mode=mode, sharpness=2.0)
    assert warped.image.dtype == dtype
    assert warped.image.isfinite().all()
    if dtype == torch.float64:  # in others a rounded position may cross a threshold
        arrays = (source[0], depth[0, 0], camera.K[0], T[0], camera.K[0])
        image, visible = slow_splat(points_of(*(a.numpy() for a in arrays), sharpness=2.0), channels, (h, w), mode)
        assert np.array_equal(warped.visible[0].numpy(), visible)
        np.testing.assert_allclose(warped.image[0].numpy(), image, atol=1e-9)
    else:
        lifted_source = forward_splat(source.to(lifted), depth, camera, T, mode=mode, sharpness=2.0).image
        assert torch.equal(warped.image, lifted_source.to(dtype))


def test_a_half_precision_depth_is_lifted() -> None:
    camera, depth = Camera.from_fov(9, 12, 70.0), 2 + random(1, 1, 9, 12, dtype=torch.float16).sin()
    source, T = random(1, 3, 9, 12, dtype=torch.float16), pose([0.0, 0.1, 0.0], [0.1, 0.0, 0.0], torch.float32)
    half = forward_splat(source, depth, camera, T)
    assert half.image.dtype == torch.float16
    assert torch.equal(half.image, forward_splat(source, depth.float(), camera, T).image)


def test_a_callers_importance_is_that_of_the_slow_loop() -> None:
    source, depth, camera, T, target = two_views()
    importance = 4 * random(2, 1, 9, 12, seed=8)
    warped = forward_splat(source, depth, camera, T, camera_target=target, mode="softmax", importance=importance)
    for i in range(2):
        arrays = (source[i], depth[i, 0], camera.K[i], T[i], target.K[0])
        points = points_of(*(array.numpy() for array in arrays), importance=importance[i, 0].numpy())
        image, visible = slow_splat(points, 3, (11, 10), "softmax")
        assert np.array_equal(warped.visible[i].numpy(), visible)
        np.testing.assert_allclose(warped.image[i].numpy(), image, atol=1e-12)


def test_a_sum_conserves_mass() -> None:
    camera, T = Camera.from_fov(20, 24, 60.0, dtype=torch.float64), pose([0.02, -0.03, 0.1], [0.1, 0.0, -0.3])
    depth = 2 + 0.3 * random(1, 1, 20, 24).sin()
    source = random(1, 3, 20, 24, seed=1) * correspond(depth, camera, T).visible[:, None]
    assert (source != 0).double().mean() > 0.5
    thrown = forward_splat(source, depth, camera, T, mode="sum").image
    torch.testing.assert_close(thrown.sum(dim=(2, 3)), source.sum(dim=(2, 3)), atol=1e-12, rtol=0)


def test_summed_splatting_is_the_adjoint_of_sampling() -> None:
    camera, T = Camera.from_fov(10, 14, 60.0, dtype=torch.float64), pose([0.02, -0.03, 0.1], [0.1, 0.0, 0.1])
    depth = 2 + 0.3 * random(1, 1, 10, 14).sin()
    thrown, other = random(1, 2, 10, 14, seed=1), random(1, 2, 10, 14, seed=2)
    where = correspond(depth, camera, T)
    thrown = thrown * where.visible[:, None]  # beyond the border a sample repeats, a splat is lost
    splat = forward_splat(thrown, depth, camera, T, mode="sum").image
    torch.testing.assert_close((splat * other).sum(), (thrown * sample(other, where)).sum(), atol=1e-11, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_a_crop_of_the_target_is_the_crop_of_the_splat(mode: Mode) -> None:
    source, depth, camera, T, target = two_views()
    whole = forward_splat(source, depth, camera, T, camera_target=target, mode=mode)
    crop = forward_splat(source, depth, camera, T, camera_target=target.cropped(2, 1, 7, 6), mode=mode)
    assert torch.equal(crop.visible, whole.visible[:, 2:9, 1:7])
    torch.testing.assert_close(crop.image, whole.image[..., 2:9, 1:7], atol=1e-11, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_a_crop_of_the_source_throws_the_same_points(mode: Mode) -> None:
    source, depth, camera, T, target = two_views()
    blind = torch.zeros_like(depth)
    blind[..., 1:8, 2:9] = depth[..., 1:8, 2:9]
    whole = forward_splat(source, blind, camera, T, camera_target=target, mode=mode)
    part, near = source[..., 1:8, 2:9], depth[..., 1:8, 2:9]
    crop = forward_splat(part, near, camera.cropped(1, 2, 7, 7), T, camera_target=target, mode=mode)
    assert torch.equal(crop.visible, whole.visible)
    torch.testing.assert_close(crop.image, whole.image, atol=1e-11, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_a_mirrored_world_splats_into_the_mirrored_image(mode: Mode) -> None:
    source, depth, camera, T, target = two_views()
    mirror = torch.diag(torch.tensor([-1.0, 1, 1, 1], dtype=torch.float64))
    straight = forward_splat(source, depth, camera, T, camera_target=target, mode=mode)
    mirrored = forward_splat(
        source.flip(-1),
        depth.flip(-1),
        camera.flipped(),
        mirror @ T @ mirror,
        camera_target=target.flipped(),
        mode=mode,
    )
    assert torch.equal(mirrored.visible.flip(-1), straight.visible)
    torch.testing.assert_close(mirrored.image.flip(-1), straight.image, atol=1e-11, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_channels_and_items_do_not_mix(mode: Mode) -> None:
    source, depth, camera, T, target = two_views()
    many = torch.cat([source, 2 * source[:, :1]], dim=1)
    together = forward_splat(many, depth, camera, T, camera_target=target, mode=mode).image
    torch.testing.assert_close(together[:, 3], 2 * together[:, 0])
    for i in range(2):
        own = Camera(camera.K[i : i + 1], *camera.size)
        its = Camera(target.K[i : i + 1], *target.size)
        alone = forward_splat(many[i : i + 1], depth[i : i + 1], own, T[i : i + 1], camera_target=its, mode=mode)
        torch.testing.assert_close(alone.image[0], together[i])


def test_whole_pixel_shift() -> None:
    camera = Camera.from_parameters(10.0, 10.0, 4.5, 3.5, height=8, width=10, dtype=torch.float64)
    source, depth = random(1, 2, 8, 10), torch.full((1, 1, 8, 10), 2.0).double()
    warped = forward_splat(source, depth, camera, pose([0.0, 0.0, 0.0], [0.6, -0.2, 0.0]))  # 3 px right, 1 px up
    torch.testing.assert_close(warped.image[..., :7, 3:], source[..., 1:, :7])
    hole = torch.ones(8, 10, dtype=torch.bool)
    hole[:7, 3:] = False
    assert torch.equal(warped.visible[0], ~hole)
    assert (warped.image[0, :, hole] == 0).all()


def post_before_wall() -> tuple[torch.Tensor, torch.Tensor, Camera]:
    """A far wall of value 0 and a near post of value 1: a step to the left makes the post cover other wall pixels."""
    camera = Camera.from_parameters(8.0, 8.0, 7.5, 1.0, height=3, width=16, dtype=torch.float64)
    depth, source = torch.full((1, 1, 3, 16), 4.0).double(), torch.zeros(1, 1, 3, 16).double()
    depth[..., 8:10], source[..., 8:10] = 1.0, 1.0
    return source, depth, camera


def test_the_nearest_surface_wins_and_averaging_mixes() -> None:
    source, depth, camera = post_before_wall()
    step = pose([0.0, 0.0, 0.0], [0.5, 0.0, 0.0])  # the post moves 4 px, the wall 1 px
    zbuffer = forward_splat(source, depth, camera, step)
    assert zbuffer.image[0, 0, 1].tolist() == [0.0] * 12 + [1.0] * 2 + [0.0] * 2
    border_and_wall_behind = [0, 9, 10]
    for mode in MODES:
        visible = forward_splat(source, depth, camera, step, mode=mode).visible
        assert (~visible[0, 1]).nonzero().flatten().tolist() == border_and_wall_behind
    average = forward_splat(source, depth, camera, step, mode="average").image[0, 0, 1]
    torch.testing.assert_close(average[12:14], torch.tensor([0.5, 0.5]).double())
    total = forward_splat(source + 1, depth, camera, step, mode="sum").image[0, 0, 1]
    torch.testing.assert_close(total[12:14], torch.tensor([3.0, 3.0]).double())
    for sharpness, share in ((1.0, 4 / 5), (2.0, 16 / 17)):  # the post counts (4 m / 1 m)^sharpness to 1
        soft = forward_splat(source, depth, camera, step, mode="softmax", sharpness=sharpness).image[0, 0, 1]
        torch.testing.assert_close(soft[12:14], torch.tensor([share, share]).double())


@pytest.mark.parametrize("mode", ["zbuffer", "softmax"])
def test_a_foreground_that_barely_touches_does_not_hide(mode: Mode) -> None:
    source, depth, camera = post_before_wall()
    step = pose([0.0, 0.0, 0.0], [0.0001, 0.0, 0.0])  # the post moves 0.0008 px
    image = forward_splat(source, depth, camera, step, mode=mode).image[0, 0, 1]
    torch.testing.assert_close(image, source[0, 0, 1], atol=1e-3, rtol=0)
    step = pose([0.0, 0.0, 0.0], [0.0125, 0.0, 0.0])  # the post moves 0.1 px and the wall 0.025 px
    image = forward_splat(source, depth, camera, step, mode="zbuffer").image[0, 0, 1]
    assert image[8:10].tolist() == [1.0, 1.0]
    assert image[10] == 0


def test_softmax_without_sharpness_is_the_average() -> None:
    source, depth, camera, T, target = two_views()
    soft = forward_splat(source, depth, camera, T, camera_target=target, mode="softmax", sharpness=0.0)
    average = forward_splat(source, depth, camera, T, camera_target=target, mode="average")
    assert torch.equal(soft.image, average.image)
    assert torch.equal(soft.visible, average.visible)


def test_softmax_tends_to_the_zbuffer() -> None:
    """On layers that shift by whole pixels, so that what touches a pixel covers it."""
    camera = Camera.from_parameters(8.0, 8.0, 7.5, 5.5, height=12, width=16, dtype=torch.float64)
    layer = torch.randint(1, 5, (1, 1, 12, 16), generator=torch.Generator().manual_seed(0))
    source, depth = random(1, 3, 12, 16), 8.0 / layer.double()  # disparities of 1 to 4 px for a step of 1 m
    step = pose([0.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    hard = forward_splat(source, depth, camera, step)
    errors = []
    for sharpness in (0.0, 1.0, 4.0, 16.0, 64.0, 1e9):
        soft = forward_splat(source, depth, camera, step, mode="softmax", sharpness=sharpness)
        assert torch.equal(soft.visible, hard.visible)
        errors.append(float((soft.image - hard.image).abs().max()))
    assert errors[0] > 0.5
    assert errors == sorted(errors, reverse=True)
    assert errors[-2] < 1e-6
    assert errors[-1] < 1e-12


def test_the_scale_of_the_scene_does_not_matter_to_softmax() -> None:
    source, depth, camera, T, target = two_views()
    large = T.clone()
    large[:, :3, 3] *= 64
    small_scene = forward_splat(source, depth, camera, T, camera_target=target, mode="softmax")
    large_scene = forward_splat(source, depth * 64, camera, large, camera_target=target, mode="softmax")
    torch.testing.assert_close(large_scene.image, small_scene.image)


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e30, 3e38])
def test_no_importance_is_too_large(scale: float) -> None:
    source, depth, camera, T, target = (v if isinstance(v, Camera) else v.float() for v in two_views())
    camera, target = camera.to(dtype=torch.float32), target.to(dtype=torch.float32)
    importance = (random(2, 1, 9, 12, seed=8, dtype=torch.float32).clamp(-1, 1) * scale).requires_grad_()
    source.requires_grad_()
    soft = forward_splat(source, depth, camera, T, camera_target=target, mode="softmax", importance=importance)
    average = forward_splat(source, depth, camera, T, camera_target=target, mode="average")
    assert torch.equal(soft.visible, average.visible)
    assert soft.image.isfinite().all()
    grads = torch.autograd.grad(soft.image.square().sum(), (source, importance))
    assert all(grad.isfinite().all() for grad in grads)


def test_a_constant_importance_is_none() -> None:
    source, depth, camera, T, target = two_views()
    importance = torch.full_like(depth, -700.0)
    soft = forward_splat(source, depth, camera, T, camera_target=target, mode="softmax", importance=importance)
    average = forward_splat(source, depth, camera, T, camera_target=target, mode="average")
    assert torch.equal(soft.image, average.image)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_thrown_spoils_nothing(mode: Mode) -> None:
    source, depth, camera, T, target = two_views()
    clean = forward_splat(source, depth, camera, T, camera_target=target, mode=mode)
    unknown = ~(depth.isfinite() & (depth > 0))
    spoilt = torch.where(unknown, torch.full_like(source, math.nan), source)
    warped = forward_splat(spoilt, depth, camera, T, camera_target=target, mode=mode)
    assert torch.equal(warped.image, clean.image)
    assert torch.equal(warped.visible, clean.visible)


def test_it_agrees_with_the_inverse_warp_on_a_drawn_scene() -> None:
    K = torch.tensor([[55.0, 0, 31.5], [0, 55.0, 23.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K[None], 48, 64)
    poses = torch.cat([torch.eye(4).double()[None], pose([0.02, -0.05, 0.03], [0.15, -0.05, 0.1])])
    a, b = (draw(K, 48, 64, T) for T in poses)
    T_b_a = relative_pose(poses[:1], poses[1:])
    inverse = inverse_warp(a.image, b.depth, camera, relative_pose(poses[1:], poses[:1]), depth_source=a.depth)
    to_truth = {}
    for mode in ("zbuffer", "softmax", "average"):
        splat = forward_splat(a.image, a.depth, camera, T_b_a, mode=mode)
        both = splat.visible & inverse.visible
        assert both.double().mean() > 0.6
        to_truth[mode] = float((splat.image - b.image).abs().mean(dim=1)[both].mean())
        if mode != "average":  # where what lies behind shows through
            assert (splat.image - inverse.image).abs().mean(dim=1)[both].mean() < 5e-3
    assert max(to_truth["zbuffer"], to_truth["softmax"]) < 5e-3
    assert to_truth["average"] > 1.2 * max(to_truth["zbuffer"], to_truth["softmax"])


def test_labels_are_the_slow_loop() -> None:
    _, depth, camera, T, target = two_views()
    labels = torch.randint(0, 200, (2, 9, 12), generator=torch.Generator().manual_seed(0))
    warped = forward_splat_labels(labels, depth, camera, T, camera_target=target)
    for i in range(2):
        arrays = (labels[i : i + 1], depth[i, 0], camera.K[i], T[i], target.K[0])
        truth = nearest_labels(points_of(*(array.numpy() for array in arrays)), (11, 10))
        assert np.array_equal(warped.label[i].numpy(), truth)
        assert np.array_equal(warped.visible[i].numpy(), truth != 255)


@settings(deadline=None, max_examples=20)
@given(dtype=st.sampled_from([torch.float16, torch.float32, torch.float64]), **SHAPES)
def test_identity_pose_returns_the_known_labels(h: int, w: int, seed: int, dtype: torch.dtype) -> None:
    lifted = torch.promote_types(dtype, torch.float32)
    camera = Camera.from_fov(h, w, 50.0, dtype=lifted)
    labels = torch.randint(0, 200, (2, h, w), generator=torch.Generator().manual_seed(seed))
    depth = random(2, 1, h, w, seed=seed, dtype=dtype)
    warped = forward_splat_labels(labels, depth, camera, torch.eye(4, dtype=lifted).repeat(2, 1, 1))
    assert torch.equal(warped.visible, depth[:, 0] > MIN_DEPTH)
    assert torch.equal(warped.label, torch.where(warped.visible, labels, 255))


def test_the_nearest_label_wins_and_none_is_made_up() -> None:
    _, depth, camera = post_before_wall()
    labels = torch.where(depth[:, 0] == 1, 7, 3)
    step = pose([0.0, 0.0, 0.0], [0.55, 0.0, 0.0])  # the post moves 4.4 px, the wall 1.1 px
    warped = forward_splat_labels(labels, depth, camera, step)
    assert warped.label[0, 1].tolist() == [255] + [3] * 8 + [255] * 2 + [3] + [7] * 2 + [3] * 2


def test_of_two_labels_at_one_depth_the_first_wins() -> None:
    camera = Camera.from_parameters(4.0, 4.0, 3.5, 0.0, height=1, width=8)
    coarse = Camera.from_parameters(1.0, 1.0, 0.5, 0.0, height=1, width=2)  # four pixels in one
    labels, depth = torch.arange(8)[None, None], torch.ones(1, 1, 1, 8)
    eye = torch.eye(4)[None]
    assert forward_splat_labels(labels, depth, camera, eye, camera_target=coarse).label.tolist() == [[[0, 4]]]


def test_labels_of_a_drawn_scene() -> None:
    K = torch.tensor([[55.0, 0, 31.5], [0, 55.0, 23.5], [0, 0, 1]], dtype=torch.float64)
    poses = torch.cat([torch.eye(4).double()[None], pose([0.02, -0.05, 0.03], [0.15, -0.05, 0.1])])
    a, b = (draw(K, 48, 64, T) for T in poses)
    warped = forward_splat_labels(a.label, a.depth, Camera(K[None], 48, 64), relative_pose(poses[:1], poses[1:]))
    right = (warped.label == b.label)[warped.visible].double().mean()
    still = (a.label == b.label)[warped.visible].double().mean()
    assert right > 0.98
    assert still < 0.95


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mode", MODES)
def test_cuda_agrees(mode: Mode) -> None:
    """In float64 and not bit by bit: there, the order of additions is not fixed."""
    source, depth, camera, T, target = two_views()
    here = forward_splat(source, depth, camera, T, camera_target=target, mode=mode)
    there = forward_splat(
        source.cuda(), depth.cuda(), camera.to("cuda"), T.cuda(), camera_target=target.to("cuda"), mode=mode
    )
    assert there.image.is_cuda
    assert torch.equal(there.visible.cpu(), here.visible)
    torch.testing.assert_close(there.image.cpu(), here.image, atol=1e-12, rtol=0)
