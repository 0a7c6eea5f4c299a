"""Rendering: conventions of camera and depth, and that a pixel is what its ray sees however the image is cut."""

import numpy as np
import pytest
import torch
from torch import Tensor

from stc_lab.data.rooms import (
    PRESETS,
    Label,
    RoomsFrames,
    Scene,
    build_scene,
    dolly_path,
    handheld_path,
    render,
    scene_of,
)
from stc_lab.data.rooms.config import SPLITS
from stc_lab.data.rooms.videos import video_name
from stc_lab.geometry.camera import Camera


@pytest.fixture(scope="module")
def scene() -> Scene:
    return build_scene(2)


@pytest.fixture(scope="module")
def poses(scene: Scene) -> Tensor:
    return handheld_path(scene, 3, np.random.default_rng(0))


def _looking_along_x(position: list[float]) -> Tensor:
    """Camera x = -world y, camera y = -world z, camera z = world x."""
    T = torch.eye(4)
    T[:3, :3] = torch.tensor([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    T[:3, 3] = torch.tensor(position)
    return T[None]


def test_depth_is_z_and_the_floor_is_below() -> None:
    scene = build_scene(4)
    x, y, z = (share * float(size) for share, size in zip((0.4, 0.5, 0.8), scene.room, strict=True))
    frames = render(scene, Camera.from_fov(49, 65, 100.0), _looking_along_x([x, y, z]))
    wall = frames.label == Label.WALL
    ahead = torch.zeros_like(wall)
    ahead[:, 20:28, 28:36] = True  # rays that end on the wall ahead, not on the side walls
    assert (wall & ahead).any()
    assert torch.allclose(frames.depth[:, 0][wall & ahead], torch.tensor(float(scene.room[0]) - x), atol=1e-4)
    above, below = (frames.label[0, half] for half in (slice(None, 20), slice(29, None)))
    assert (above == Label.CEILING).any() and not (below == Label.CEILING).any()
    assert (below == Label.FLOOR).any() and not (above == Label.FLOOR).any()


def _assert_same(a: RoomsFrames, b: RoomsFrames, share: float = 1.0) -> None:
    same = a.label == b.label
    assert float(same.float().mean()) >= share
    assert torch.allclose(a.depth[:, 0][same], b.depth[:, 0][same], rtol=1e-4)


def test_a_cropped_or_strided_camera_sees_the_cropped_or_strided_image(scene: Scene, poses: Tensor) -> None:
    """Also sizes that are no multiple of a tile."""
    camera = Camera.from_fov(37, 51, 60.0)
    whole = render(scene, camera, poses)
    crop = render(scene, camera.cropped(5, 9, 20, 30), poses)
    window = (..., slice(5, 25), slice(9, 39))
    cut = RoomsFrames(whole.radiance[window], whole.depth[window], whole.label[window])
    _assert_same(crop, cut, share=0.998)
    assert float((crop.radiance - cut.radiance).abs().mean()) < 1e-4
    step = (..., slice(None, None, 2), slice(None, None, 2))
    every_second = RoomsFrames(whole.radiance[step], whole.depth[step], whole.label[step])
    _assert_same(render(scene, camera.strided(2), poses), every_second, share=0.998)


def test_frames_do_not_depend_on_their_batch(scene: Scene, poses: Tensor) -> None:
    camera = Camera.from_fov(24, 32, 60.0)
    together, alone = render(scene, camera, poses), render(scene, camera, poses[1:2])
    assert torch.equal(together.label[1:2], alone.label)
    assert torch.allclose(together.radiance[1:2], alone.radiance, atol=1e-6)


def test_double_precision_changes_next_to_nothing(scene: Scene, poses: Tensor) -> None:
    camera = Camera.from_fov(32, 48, 60.0)
    single, double = render(scene, camera, poses), render(scene, camera, poses.double())
    assert double.depth.dtype == torch.float64
    _assert_same(single, RoomsFrames(double.radiance.float(), double.depth.float(), double.label), share=0.998)


def test_more_rays_per_pixel_change_the_colour_only(scene: Scene, poses: Tensor) -> None:
    camera = Camera.from_fov(24, 32, 60.0)
    one, four = render(scene, camera, poses), render(scene, camera, poses, supersample=2)
    assert torch.equal(one.label, four.label) and torch.equal(one.depth, four.depth)
    error = (one.radiance - four.radiance).abs().mean()
    assert 0 < float(error) < 0.1 * float(one.radiance.mean())


def test_shadows_only_darken(scene: Scene, poses: Tensor) -> None:
    camera = Camera.from_fov(24, 32, 60.0)
    dark, bright = render(scene, camera, poses), render(scene, camera, poses, shadows=False)
    assert (dark.radiance <= bright.radiance + 1e-6).all()
    assert float(dark.radiance.mean()) < float(bright.radiance.mean())


def test_each_frame_may_have_its_own_intrinsics(scene: Scene, poses: Tensor) -> None:
    near, far = Camera.from_fov(24, 32, 60.0), Camera.from_fov(24, 32, 40.0)
    mixed = render(scene, Camera(torch.cat([near.K, far.K]), 24, 32), poses[:1].expand(2, -1, -1))
    for i, camera in enumerate((near, far)):
        alone = render(scene, camera, poses[:1])
        assert torch.equal(mixed.label[i], alone.label[0])
        assert torch.allclose(mixed.radiance[i], alone.radiance[0], atol=1e-6)


@pytest.mark.parametrize("split", SPLITS)
def test_quick_has_all_classes_and_a_long_tail(split: str) -> None:
    """Every third frame of each room of `quick`, small."""
    config = PRESETS["quick"]
    counts = torch.zeros(21)
    camera = Camera.from_fov(24, 36, 50.0)
    for i in range(config.scenes(split)):
        room = scene_of(video_name(split, i), config)
        poses = dolly_path(room, config.frames, np.random.default_rng([room.seed, 1]))[::3]
        counts += torch.bincount(render(room, camera, poses, shadows=False).label.flatten(), minlength=21)
    share = counts / counts.sum()
    assert float(share.min()) > 5e-4, [Label(i).name for i in (share <= 5e-4).nonzero()[:, 0].tolist()]
    ordered = share.sort(descending=True).values
    assert ordered[0] > 0.25 and ordered[:3].sum() > 0.4 and ordered[-10:].sum() < 0.2
