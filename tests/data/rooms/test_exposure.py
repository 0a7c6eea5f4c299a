"""Motion blur: nothing when off, light kept, along the motion there is, about the middle of the exposure."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stc_lab.data.rooms import PRESETS, RoomsConfig, build_scene, handheld_path, render, render_video
from stc_lab.data.rooms.exposure import exposed
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

CLEAN = replace(PRESETS["tiny"], motion="handheld", frames=4, dial=0.0)
CAMERA = Camera.from_fov(24, 36, 60.0)


def test_off_is_off_to_the_bit_whatever_the_samples() -> None:
    sharp = render_video("rooms-test-0001", CLEAN)
    assert torch.equal(render_video("rooms-test-0001", replace(CLEAN, motion_blur_samples=21)).image, sharp.image)


def test_a_camera_that_stands_still_makes_no_blur() -> None:
    scene = build_scene(2)
    T = handheld_path(scene, 1, np.random.default_rng(0)).expand(3, -1, -1)
    still = exposed(scene, CAMERA, T, shutter=1.0, samples=5)
    assert torch.allclose(still.radiance, render(scene, CAMERA, T).radiance, atol=1e-4)


def test_the_mean_of_many_moments_is_the_mean_of_as_many_renderings() -> None:
    """Constant speed along a line: the moments are the poses of a path with finer steps, rendered one by one."""
    scene = build_scene(2)
    start = handheld_path(scene, 1, np.random.default_rng(0))[0]
    fine = start.repeat(15, 1, 1)
    fine[:, :3, 3] += torch.linspace(-0.14, 0.14, 15)[:, None] * start[:3, 0]
    path = fine[[2, 7, 12]]  # a frame is five fine steps
    blurred = exposed(scene, CAMERA, path, shutter=1.0, samples=5, shadows=False)
    mean = render(scene, CAMERA, fine[5:10], shadows=False).radiance.mean(dim=0)
    assert float((blurred.radiance[1] - mean).abs().mean()) < 1e-4
    whole = render(scene, CAMERA, path, shadows=False)
    assert torch.equal(blurred.depth, whole.depth) and torch.equal(blurred.label, whole.label)
    outer = [render(scene, CAMERA, fine[i : i + 5], shadows=False).radiance.mean(dim=0) for i in (0, 10)]
    for first_or_last, expected in zip((0, 2), outer, strict=True):  # the camera goes on at its speed
        assert float((blurred.radiance[first_or_last] - expected).abs().mean()) < 1e-4


def test_longer_exposures_blur_more_and_keep_the_light() -> None:
    images = [render_video("rooms-test-0001", replace(CLEAN, motion_blur=share)).image for share in (0.0, 0.4, 1.0)]
    detail = [float((x[..., 1:] - x[..., :-1]).abs().mean()) for x in images]
    assert detail[0] > 1.03 * detail[1] and detail[1] > 1.03 * detail[2]
    assert float((images[2].mean() - images[0].mean()).abs()) < 0.02


def test_a_thing_that_moves_is_blurred_before_a_camera_that_stands_still() -> None:
    from stc_lab.data.rooms import scene_of

    config = replace(CLEAN, moving_objects=2, frames=8)
    scene = scene_of("rooms-train-0004", config)
    poses = render_video("rooms-train-0004", replace(config, shadows=False)).T_world_camera
    assert poses is not None
    T = poses[-1:].expand(8, -1, -1)
    sharp = render(scene, config.camera(), T, time=torch.arange(8.0), shadows=False)
    blurred = exposed(scene, config.camera(), T, shutter=0.8, samples=5, shadows=False)
    assert sharp.mover is not None and blurred.mover is not None and torch.equal(sharp.mover, blurred.mover)
    change = (sharp.radiance - blurred.radiance).abs().amax(dim=1)
    moving = torch.nn.functional.max_pool2d((sharp.mover > 0).float(), 9, 1, 4) > 0
    assert (sharp.mover > 0).any()
    assert float(change[~moving].max()) < 1e-3 < float(change[sharp.mover > 0].mean())


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"motion_blur": 1.5}, "motion_blur must be between 0 and 1, got 1.5"),
        ({"motion_blur": -0.1}, "motion_blur must be between 0 and 1"),
        ({"motion_blur_samples": 6}, "motion_blur_samples must be odd, got 6"),
        ({"motion_blur_samples": 1}, "motion_blur_samples must be between 3 and 63"),
        ({"motion_blur_samples": 7.5}, "motion_blur_samples must be a whole number"),
        ({"clutter": -1}, "clutter must be between 0 and 20"),
        ({"clutter": 2.5}, "clutter must be a whole number, got 2.5"),
        ({"moving_objects": True}, "moving_objects must be a whole number, got True"),
    ],
)
def test_settings(setting: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RoomsConfig(**setting)  # type: ignore[arg-type]  # settings of several types by name
