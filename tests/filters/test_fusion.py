import pytest
import torch

from stc_lab.filters import fuse_views
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import pose_from, relative_pose
from stc_lab.geometry.warp import inverse_warp

T, K, H, W = 6, 4, 12, 16


def sliding_camera(dtype=torch.float64):
    """A camera that slides one pixel to the right per frame before a wall 2 m away."""
    camera = Camera.from_parameters(20.0, 20.0, 7.5, 5.5, height=H, width=W, dtype=dtype)
    position = torch.zeros(T, 3, dtype=dtype)
    position[:, 0] = 2.0 / 20.0 * torch.arange(T)
    return camera, torch.full((T, 1, H, W), 2.0, dtype=dtype), pose_from(torch.zeros_like(position), position)


def painted_wall(dtype=torch.float64):
    """One-hot labels painted on the wall, as each frame sees them."""
    paint = torch.randint(0, K, (H, W + T), generator=torch.Generator().manual_seed(0))
    frames = torch.stack([paint[:, i : i + W] for i in range(T)])
    return torch.nn.functional.one_hot(frames, K).permute(0, 3, 1, 2).to(dtype)


def any_probabilities(seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(T, K, H, W, generator=generator, dtype=dtype).softmax(1)


def tumbling_camera(seed=0):
    """Poses with all six degrees of freedom before a slanted wall, and the exact depth of the wall in each frame."""
    generator = torch.Generator().manual_seed(seed)
    camera = Camera.from_fov(H, W, 60.0, dtype=torch.float64)
    rotation, translation = (0.15 * torch.randn(T, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    poses = pose_from(rotation, translation)
    normal, distance = torch.tensor([0.2, -0.1, 1.0], dtype=torch.float64), 2.0  # the wall is normal . X = distance
    rays = torch.einsum("tij,jhw->tihw", poses[:, :3, :3], camera.rays()[0])
    reach = distance - poses[:, :3, 3] @ normal
    return camera, reach[:, None, None, None] / torch.einsum("tihw,i->thw", rays, normal)[:, None], poses


def loop_reference(probabilities, depth, camera, poses, offsets, warp):
    """Frame by frame, view by view, pixel by pixel, from the definition of a mean over visible views."""
    fused = torch.zeros_like(probabilities)
    for i in range(len(probabilities)):
        views = [(probabilities[i], torch.ones(H, W, dtype=torch.bool))]
        for offset in offsets:
            j = i + offset
            if 0 <= j < len(probabilities):
                T_source_target = relative_pose(poses[i : i + 1], poses[j : j + 1])
                source = slice(j, j + 1)
                cameras = [Camera(camera.K.expand(T, 3, 3)[f : f + 1], H, W) for f in (i, j)]
                warped = inverse_warp(
                    probabilities[source],
                    depth[i : i + 1],
                    cameras[0],
                    T_source_target,
                    camera_source=cameras[1],
                    depth_source=depth[source],
                )
                views.append((warped.image[0] if warp == "geometry" else probabilities[j], warped.visible[0]))
        for y in range(H):
            for x in range(W):
                seen = [image[:, y, x] for image, visible in views if visible[y, x]]
                fused[i, :, y, x] = sum(seen) / len(seen)
    return fused


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_consistent_views_change_nothing_and_inconsistent_ones_do(dtype):
    camera, depth, poses = sliding_camera(dtype)
    wall = painted_wall(dtype)
    fused = fuse_views(wall, depth, camera, poses, offsets=(-2, -1, 1, 2))
    torch.testing.assert_close(fused, wall, atol=1e-4, rtol=0)
    control = fuse_views(wall, depth, camera, poses, offsets=(-2, -1, 1, 2), warp="identity")
    assert (control - wall).abs().amax() > 0.5


@pytest.mark.parametrize("warp", ["geometry", "identity"])
def test_agrees_with_a_loop(warp):
    camera, depth, poses = tumbling_camera()
    offsets = (-3, -1, 1, 2)
    probabilities = any_probabilities()
    fused = fuse_views(probabilities, depth, camera, poses, offsets=offsets, warp=warp)
    torch.testing.assert_close(fused, loop_reference(probabilities, depth, camera, poses, offsets, warp))
    assert not torch.equal(fused, probabilities)


def test_each_frame_may_have_its_own_camera():
    camera, depth, poses = tumbling_camera()
    probabilities = any_probabilities()
    one, same = (fuse_views(probabilities, depth, c, poses) for c in (camera, Camera(camera.K.expand(T, 3, 3), H, W)))
    assert torch.equal(one, same)
    zoom = torch.linspace(1.0, 1.4, T, dtype=torch.float64)[:, None, None]
    K = camera.K * torch.cat([zoom, zoom, torch.ones_like(zoom)], dim=1)
    K[:, :2, 2] = camera.K[:, :2, 2]
    zooming = Camera(K, H, W)
    reference = loop_reference(probabilities, depth, zooming, poses, (-1, 2), "geometry")
    torch.testing.assert_close(fuse_views(probabilities, depth, zooming, poses, offsets=(-1, 2)), reference)


def test_fused_probabilities_are_probabilities():
    camera, depth, poses = tumbling_camera()
    fused = fuse_views(any_probabilities(), depth, camera, poses)
    assert (fused >= 0).all()
    torch.testing.assert_close(fused.sum(1), torch.ones(T, H, W, dtype=torch.float64))


def test_permuting_classes_permutes_the_result():
    camera, depth, poses = tumbling_camera()
    probabilities, order = any_probabilities(), torch.tensor([3, 1, 0, 2])
    torch.testing.assert_close(
        fuse_views(probabilities[:, order], depth, camera, poses),
        fuse_views(probabilities, depth, camera, poses)[:, order],
    )


def test_the_clip_played_backwards_gives_the_same():
    camera, depth, poses = tumbling_camera()
    probabilities = any_probabilities()
    forward = fuse_views(probabilities, depth, camera, poses)
    torch.testing.assert_close(fuse_views(probabilities.flip(0), depth.flip(0), camera, poses.flip(0)).flip(0), forward)


def test_a_frame_alone_and_offsets_beyond_the_clip_change_nothing():
    camera, depth, poses = sliding_camera()
    probabilities = any_probabilities()
    assert torch.equal(fuse_views(probabilities[:1], depth[:1], camera, poses[:1]), probabilities[:1])
    assert torch.equal(fuse_views(probabilities, depth, camera, poses, offsets=(T, -T, 100)), probabilities)
    assert torch.equal(fuse_views(probabilities, depth, camera, poses, offsets=()), probabilities)


def test_views_that_do_not_see_the_surface_do_not_count():
    camera, depth, poses = sliding_camera()
    probabilities = any_probabilities()
    hidden = depth.clone()
    hidden[1:] = 1.0  # in all frames but the first, something stands before the wall
    assert torch.equal(fuse_views(probabilities, hidden, camera, poses)[0], probabilities[0])
    unknown = depth.clone()
    unknown[0] = 0.0  # without depth, no correspondence
    assert torch.equal(fuse_views(probabilities, unknown, camera, poses)[0], probabilities[0])


def test_the_input_stays_as_it_was_and_gradients_flow():
    camera, depth, poses = tumbling_camera()
    probabilities = any_probabilities().requires_grad_()
    before = probabilities.detach().clone()
    fuse_views(probabilities, depth, camera, poses)[0].square().sum().backward()
    assert torch.equal(probabilities.detach(), before)
    assert probabilities.grad is not None
    assert (probabilities.grad.flatten(1).abs().amax(1) > 0).sum() > 1
