"""Where kornia and we compute the same function: to 1e-8 in float64, values and gradients alike.

The places where they part are in test_apart_from_kornia.py.
"""

import pytest
import torch
from kornia.geometry.camera import PinholeCamera, project_points
from kornia.geometry.depth import DepthWarper, depth_to_3d_v2, warp_frame_depth
from torch import Tensor
from warp_inputs import normal, some_camera, some_depth, some_motion

from stc_lab.geometry import MIN_DEPTH, Camera, correspond, inverse_warp, invert_pose, rigid_flow, transform

HEIGHT, WIDTH = 20, 27


def pinhole(camera: Camera, T_camera_world: Tensor) -> PinholeCamera:
    """Kornia's camera: 4 x 4 intrinsics, and extrinsics from world to camera."""
    count = len(T_camera_world)
    K = torch.eye(4, dtype=camera.K.dtype).repeat(count, 1, 1)
    K[:, :3, :3] = camera.K
    height, width = (torch.full((count,), float(side), dtype=camera.K.dtype) for side in camera.size)
    return PinholeCamera(K, T_camera_world, height, width)


def depth_warper(
    camera_image: Camera, T_image_world: Tensor, camera_depth: Camera, T_depth_world: Tensor
) -> DepthWarper:
    warper = DepthWarper(pinhole(camera_image, T_image_world), *camera_depth.size)
    return warper.compute_projection_matrix(pinhole(camera_depth, T_depth_world))


@pytest.mark.parametrize("channels", [1, 3, 21, 124])
@pytest.mark.parametrize(("batch", "seed"), [(1, 0), (2, 10), (3, 20)])
def test_warp_frame_depth_is_the_inverse_warp(channels: int, batch: int, seed: int) -> None:
    camera = some_camera(HEIGHT, WIDTH, batch=batch, seed=seed)
    source, depth = normal(batch, channels, HEIGHT, WIDTH, seed=seed), some_depth(batch, HEIGHT, WIDTH, seed=seed)
    T = some_motion(batch, seed=seed)
    warped = inverse_warp(source, depth, camera, T)
    theirs = warp_frame_depth(source, depth, T, camera.K)
    assert 0.3 < warped.visible.double().mean() < 1
    assert (warped.image - theirs).abs().amax(dim=1)[warped.visible].max() < 1e-8


@pytest.mark.parametrize("seed", range(0, 80, 10))
def test_they_agree_for_large_motions_too(seed: int) -> None:
    """As long as somebody sees something: turns of half a radian and a metre of way."""
    batch, camera = 8, some_camera(HEIGHT, WIDTH, batch=8, seed=seed)
    source, depth = normal(batch, 2, HEIGHT, WIDTH, seed=seed), 2 * some_depth(batch, HEIGHT, WIDTH, seed=seed)
    T = some_motion(batch, seed=seed, size=6.0)
    warped = inverse_warp(source, depth, camera, T)
    assert warped.visible.any()
    theirs = warp_frame_depth(source, depth, T, camera.K)
    assert (warped.image - theirs).abs().amax(dim=1)[warped.visible].max() < 1e-8


@pytest.mark.parametrize("channels", [1, 3, 21, 124])
def test_depth_warper_is_the_inverse_warp_between_two_cameras(channels: int) -> None:
    """Its "dst" holds the image and its "src" the depth, as the paper of the class has it: our source and target."""
    batch, target, source = 2, some_camera(HEIGHT, WIDTH, batch=2), some_camera(HEIGHT, WIDTH, batch=2, seed=5)
    T_target_world, T_source_world = some_motion(batch, seed=1), some_motion(batch, seed=4)
    image, depth = normal(batch, channels, HEIGHT, WIDTH), some_depth(batch, HEIGHT, WIDTH)
    T_source_target = T_source_world @ invert_pose(T_target_world)
    warped = inverse_warp(image, depth, target, T_source_target, camera_source=source)
    assert warped.visible.double().mean() > 0.3
    theirs = depth_warper(source, T_source_world, target, T_target_world)(depth, image)
    assert (warped.image - theirs).abs().amax(dim=1)[warped.visible].max() < 1e-8


def test_the_positions_are_those_of_the_depth_warper() -> None:
    """Its grid is normalised by W - 1 and H - 1, for `align_corners=True`."""
    batch, camera, T = 2, some_camera(HEIGHT, WIDTH, batch=2), some_motion(2, seed=3)
    depth = some_depth(batch, HEIGHT, WIDTH)
    still = torch.eye(4, dtype=torch.float64).repeat(batch, 1, 1)
    grid = depth_warper(camera, T, camera, still).warp_grid(depth)
    theirs = (grid + 1) / 2 * torch.tensor([WIDTH - 1, HEIGHT - 1], dtype=torch.float64)
    where = correspond(depth, camera, T)
    torch.testing.assert_close(where.pixels, theirs.permute(0, 3, 1, 2), atol=1e-8, rtol=0)
    y, x = torch.meshgrid(torch.arange(HEIGHT).double(), torch.arange(WIDTH).double(), indexing="ij")
    flow = rigid_flow(depth, camera, T).flow
    torch.testing.assert_close(flow + torch.stack([x, y]), theirs.permute(0, 3, 1, 2), atol=1e-8, rtol=0)


def test_backprojected_points_are_those_of_depth_to_3d() -> None:
    camera, depth = some_camera(HEIGHT, WIDTH, batch=3), some_depth(3, HEIGHT, WIDTH)
    theirs = depth_to_3d_v2(depth[:, 0], camera.K)
    torch.testing.assert_close(camera.backproject(depth), theirs.permute(0, 3, 1, 2), atol=1e-12, rtol=0)


def test_projected_points_are_those_of_project_points_in_front_of_the_camera() -> None:
    camera, points = some_camera(HEIGHT, WIDTH, batch=3), normal(3, 3, 30, 30)
    points[:, 2] = points[:, 2].abs() + MIN_DEPTH
    theirs = project_points(points.permute(0, 2, 3, 1), camera.K[:, None, None]).permute(0, 3, 1, 2)
    torch.testing.assert_close(camera.project(points), theirs, atol=1e-9, rtol=1e-12)


def test_moved_points_are_those_of_kornia() -> None:
    camera, depth, T = some_camera(HEIGHT, WIDTH, batch=2), some_depth(2, HEIGHT, WIDTH), some_motion(2)
    moved = transform(T, camera.backproject(depth))
    where = correspond(depth, camera, T)
    torch.testing.assert_close(where.depth, moved[:, 2:], atol=1e-12, rtol=0)
    theirs = project_points(moved.permute(0, 2, 3, 1), camera.K[:, None, None]).permute(0, 3, 1, 2)
    torch.testing.assert_close(where.pixels, theirs, atol=1e-8, rtol=0)


@pytest.mark.parametrize("channels", [1, 3, 21])
def test_the_gradients_agree(channels: int) -> None:
    """To image, depth, pose (its upper three rows) and the four intrinsics that kornia reads, over visible pixels."""
    batch, camera = 2, some_camera(HEIGHT, WIDTH, batch=2, seed=8)
    inputs = (
        normal(batch, channels, HEIGHT, WIDTH),
        some_depth(batch, HEIGHT, WIDTH),
        some_motion(batch, seed=6),
        camera.K,
    )

    def ours(source: Tensor, depth: Tensor, T: Tensor, K: Tensor) -> Tensor:
        return inverse_warp(source, depth, Camera(K, HEIGHT, WIDTH), T).image

    visible = inverse_warp(*inputs[:2], camera, inputs[2]).visible[:, None]
    weight = normal(batch, channels, HEIGHT, WIDTH, seed=9) * visible
    gradients = []
    for warp in (ours, warp_frame_depth):
        free = [value.clone().requires_grad_() for value in inputs]
        gradients.append(torch.autograd.grad((warp(*free) * weight).sum(), free))
    (image, depth, T, K), theirs = gradients
    scale = 1 / HEIGHT / WIDTH  # of the sums over pixels: pose and intrinsics gather a term from each
    torch.testing.assert_close(image, theirs[0], atol=1e-8, rtol=0)
    torch.testing.assert_close(depth, theirs[1], atol=1e-8, rtol=0)
    torch.testing.assert_close(T[:, :3] * scale, theirs[2][:, :3] * scale, atol=1e-8, rtol=0)
    assert (T[:, 3] == 0).all()  # the last row is no parameter
    for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)):
        torch.testing.assert_close(K[:, row, column] * scale, theirs[3][:, row, column] * scale, atol=1e-8, rtol=0)


def test_the_gradients_between_two_cameras_agree_with_the_depth_warper() -> None:
    batch, target, other = 2, some_camera(HEIGHT, WIDTH, batch=2), some_camera(HEIGHT, WIDTH, batch=2, seed=5)
    inputs = normal(batch, 3, HEIGHT, WIDTH), some_depth(batch, HEIGHT, WIDTH), some_motion(batch), target.K, other.K
    still = torch.eye(4, dtype=torch.float64).repeat(batch, 1, 1)

    def ours(source: Tensor, depth: Tensor, T: Tensor, K_target: Tensor, K_source: Tensor) -> Tensor:
        cameras = Camera(K_target, HEIGHT, WIDTH), Camera(K_source, HEIGHT, WIDTH)
        return inverse_warp(source, depth, cameras[0], T, camera_source=cameras[1]).image

    def theirs(source: Tensor, depth: Tensor, T: Tensor, K_target: Tensor, K_source: Tensor) -> Tensor:
        cameras = Camera(K_target, HEIGHT, WIDTH), Camera(K_source, HEIGHT, WIDTH)
        return depth_warper(cameras[1], T, cameras[0], still)(depth, source)

    visible = inverse_warp(*inputs[:2], target, inputs[2], camera_source=other).visible[:, None]
    weight = normal(batch, 3, HEIGHT, WIDTH, seed=9) * visible / HEIGHT / WIDTH
    gradients = []
    for warp in (ours, theirs):
        free = [value.clone().requires_grad_() for value in inputs]
        gradients.append(torch.autograd.grad((warp(*free) * weight).sum(), free))
    for place, (a, b) in enumerate(zip(*gradients, strict=True)):
        if place == 2:
            a, b = a[:, :3], b[:, :3]
        if place > 2:  # the upper two rows but the skew, which PinholeCamera's inverse leaves out
            a, b = a[:, :2].clone(), b[:, :2].clone()
            a[:, 0, 1] = b[:, 0, 1] = a[:, 1, 0] = b[:, 1, 0] = 0
        torch.testing.assert_close(a, b, atol=1e-8, rtol=0)
