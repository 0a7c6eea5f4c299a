"""Camera paths: rigid, inside the room, never inside furniture, and as fast as the studies say."""

import math

import numpy as np
import pytest
import torch

from stc_lab.data.rooms import build_scene
from stc_lab.data.rooms.paths import PATHS
from stc_lab.geometry.pose import check_pose, relative_pose


@pytest.mark.parametrize("motion", PATHS)
def test_cameras_are_rigid_upright_and_clear_of_everything(motion: str) -> None:
    for seed in range(12):
        scene = build_scene(seed)
        T = PATHS[motion](scene, 24, np.random.default_rng(seed))
        assert T.shape == (24, 4, 4)
        check_pose(T, "T")
        assert (T[:, 2, 1] < 0).all()  # the camera's y axis, down, points down in the world
        place = T[:, :3, 3]
        assert ((place > 0.2) & (place < scene.room - 0.2)).all()
        solids = scene.primitives
        for centre, half, yaw in zip(solids.centre, solids.half, solids.yaw.tolist(), strict=True):
            c, s = math.cos(yaw), math.sin(yaw)
            turned = (place - centre) @ torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
            assert not (turned.abs() < half + 0.14).all(dim=1).any()


@pytest.mark.parametrize("motion", PATHS)
def test_a_generator_gives_one_path(motion: str) -> None:
    scene = build_scene(3)
    a, b = (PATHS[motion](scene, 12, np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(a, b)
    assert not torch.equal(a, PATHS[motion](scene, 12, np.random.default_rng(8)))


def test_handheld_steps_and_turns_like_someone_walking() -> None:
    """Study 1: 0.09 m and 2.3 degrees per frame."""
    steps, angles = [], []
    for seed in range(20):
        T = PATHS["handheld"](build_scene(seed), 50, np.random.default_rng(seed))
        motion = relative_pose(T[:-1], T[1:])
        steps.append(motion[:, :3, 3].norm(dim=1))
        angles.append(torch.rad2deg(torch.arccos(((motion[:, 0, 0] + motion[:, 1, 1] + motion[:, 2, 2]) - 1).div(2))))
    assert 0.05 < float(torch.cat(steps).median()) < 0.13
    assert 1.5 < float(torch.cat(angles).median()) < 3.5


def test_dolly_swings_between_near_and_far() -> None:
    """The depth at the middle of the image changes by more than a factor of two in most rooms."""
    from stc_lab.data.rooms import render
    from stc_lab.geometry.camera import Camera

    camera, ratios = Camera.from_fov(8, 12, 50.0), []
    for seed in range(10):
        scene = build_scene(seed)
        depth = render(scene, camera, PATHS["dolly"](scene, 24, np.random.default_rng(seed)), shadows=False).depth
        middle = depth[:, 0, 3:5, 5:7].flatten(1).median(dim=1).values
        ratios.append(float(middle.quantile(0.9) / middle.quantile(0.1)))
    assert float(np.median(ratios)) > 2
