"""Bad input to the rooms is refused with what was expected, what came and why."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stc_lab.data.rooms import (
    PRESETS,
    RoomsConfig,
    Sensor,
    build_scene,
    dolly_path,
    exact_flow,
    render,
    rooms_videos,
    scene_of,
)
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

pytestmark = pytest.mark.bad_input
MINI = replace(PRESETS["tiny"], train_scenes=1, frames=2, height=16, width=24)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"motion": "flying"}, "motion must be one of dolly, handheld, tracking, got 'flying'"),
        ({"frames": 0}, "frames must be between 1 and 100000, got 0"),
        ({"frames": 2.5}, "frames must be a whole number, got 2.5"),
        ({"exceptions": 1.5}, "exceptions must be between 0 and 1"),
        ({"gloss": float("nan")}, "gloss must be between 0 and 10, got nan"),
        ({"gloss": "much"}, "gloss must be a number, got 'much'"),
        ({"fov": 190.0}, "horizontal_fov must lie between 0 and 180"),
        ({"speed": 1.5}, "speed must be between 0 and 1, got 1.5"),
        ({"speed": "slow"}, "speed must be a number, got 'slow'"),
        ({"texture": -0.1}, "texture must be between 0 and 1, got -0.1"),
        ({"noise": -0.1}, "noise must be between 0 and inf, got -0.1"),
        ({"blur": 2.0}, "blur must be between 0 and 1, got 2.0"),
        ({"dial": -1.0}, "dial must be between 0 and 10"),
    ],
)
def test_settings(setting: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RoomsConfig(**setting)  # type: ignore[arg-type]  # settings of several types by name


def test_split_video_seed_and_dial() -> None:
    with pytest.raises(InputError, match="split must be one of train, val, test, got 'dev'"):
        rooms_videos("dev", MINI)
    with pytest.raises(InputError, match="like 'rooms-train-0007', got 'seq01'"):
        scene_of("seq01")
    with pytest.raises(InputError, match="seed must not be negative, got -1"):
        build_scene(-1)
    with pytest.raises(InputError, match="dial must be at least 0, got nan"):
        Sensor().scaled(float("nan"))
    with pytest.raises(InputError, match="frames must be at least 1, got 0"):
        dolly_path(build_scene(1), 0, np.random.default_rng(0))


def test_cameras_outside_the_room_or_lost() -> None:
    scene, camera = build_scene(1), Camera.from_fov(8, 12, 50.0)
    T = dolly_path(scene, 2, np.random.default_rng(0))
    outside, lost = T.clone(), T.clone()
    outside[1, 0, 3] = -0.5
    lost[0, 0, 0] = float("nan")
    with pytest.raises(InputError, match=r"T_world_camera\[1\] must be inside the room"):
        render(scene, camera, outside)
    with pytest.raises(InputError, match="T_world_b holds NaN"):
        exact_flow(scene, camera, T, lost)
    with pytest.raises(InputError, match="supersample must be at least 1, got 0"):
        render(scene, camera, T, supersample=0)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"workers": 0}, "workers must be a whole number between 1 and 256, got 0"),
        ({"workers": 1.5}, "workers must be a whole number"),
        ({"device": "abacus"}, "device 'abacus' cannot be used here"),
    ],
)
def test_workers_and_devices_that_are_none(tmp_path: Path, option: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rooms_videos("train", MINI, tmp_path, **option)
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="file"):
        rooms_videos("train", MINI, file)
    if os.geteuid() != 0:  # root may write everywhere
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        with pytest.raises(InputError, match="closed"):
            rooms_videos("train", MINI, closed)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="full"):
        rooms_videos("train", MINI, tmp_path)
    assert not [path for path in (tmp_path / "rooms").iterdir() if path.is_dir()]
    assert torch.get_num_threads() >= 1
