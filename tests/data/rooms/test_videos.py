"""The rooms as a cached data set: whole or absent, rendered once, the same frames as rendered directly."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from stc_lab.data.rooms import PRESETS, RoomsConfig, render_video, rooms_videos
from stc_lab.data.rooms.config import SPLITS

MINI = replace(PRESETS["tiny"], train_scenes=2, frames=3, height=16, width=24)
_RENDER = """
import sys
from dataclasses import replace
from pathlib import Path
from stc_lab.data.rooms import PRESETS, rooms_videos
config = replace(PRESETS["tiny"], train_scenes={scenes}, frames=3, height=16, width=24)
def progress(done, total):
    with open(sys.argv[2], "a") as log:
        log.write(f"{{done}}\\n")
videos = rooms_videos("train", config, sys.argv[1], progress=progress)
print(len(videos))
"""


def _start(cache: Path, log: Path, scenes: int) -> "subprocess.Popen[str]":
    environment = dict(os.environ, OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    code = _RENDER.format(scenes=scenes)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(cache), str(log)], env=environment, stdout=subprocess.PIPE, text=True
    )


def _folders(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "rooms").glob("*") if path.is_dir())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_frames_are_those_rendered_directly(cache: Path) -> None:
    videos = rooms_videos("train", MINI, cache)
    assert videos.names == ("rooms-train-0000", "rooms-train-0001")
    assert videos.size == (16, 24) and len(videos) == 6
    stored, direct = videos.clip(videos.names[1]), render_video(videos.names[1], MINI)
    assert torch.allclose(stored.image, direct.image, atol=0.5 / 255 + 1e-6)
    for name in ("label", "depth", "T_world_camera", "index", "time"):
        assert torch.equal(getattr(stored, name), getattr(direct, name)), name
    assert stored.camera is not None and direct.camera is not None
    assert torch.equal(stored.camera.K, direct.camera.K)
    assert stored.video == direct.video


def test_what_is_there_is_not_rendered_again(cache: Path) -> None:
    done: list[tuple[int, int]] = []
    config = replace(MINI, micro_contrast=0.2)
    rooms_videos("train", config, cache, progress=lambda i, n: done.append((i, n)))
    assert done == [(1, 2), (2, 2)]
    rooms_videos("train", config, cache, progress=lambda i, n: pytest.fail("rendered again"))
    folder = next(path for path in _folders(cache) if path.name.endswith(config.digest()))
    assert json.loads((folder / "config.json").read_text())["micro_contrast"] == 0.2


def test_a_digest_follows_every_setting_but_the_number_of_scenes() -> None:
    assert replace(MINI, train_scenes=7).digest() == MINI.digest()
    for field in fields(RoomsConfig):
        if not field.name.endswith("_scenes"):
            value = getattr(MINI, field.name)
            other = {"motion": "handheld", "fov": 60.0, "shadows": False, "clutter": 2, "motion_blur_samples": 9}
            changed = other.get(field.name, (value or 0) + (1 if field.type is int else 0.1))
            assert replace(MINI, **{field.name: changed}).digest() != MINI.digest(), field.name


def test_quick_is_the_beginning_of_full() -> None:
    quick, full = PRESETS["quick"], PRESETS["full"]
    assert quick.digest() == full.digest()
    assert all(quick.scenes(split) < full.scenes(split) for split in SPLITS)


def test_threads_are_given_back(cache: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        rooms_videos("val", replace(MINI, val_scenes=1), cache)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_of_two_processes_one_renders(tmp_path: Path) -> None:
    log = tmp_path / "log"
    both = [_start(tmp_path / "cache", log, 4) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].strip() for process in both] == ["12", "12"]
    assert log.read_text().split() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_rendering_leaves_nothing_that_counts(tmp_path: Path, how: signal.Signals) -> None:
    log, cache = tmp_path / "log", tmp_path / "cache"
    process = _start(cache, log, 500)
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not [path for path in _folders(cache) if not path.name.startswith(".")]
    rooms_videos("train", MINI, cache)  # another folder: its lock is free, so what the dead one left goes too
    assert [path.name for path in _folders(cache)] == [path.name for path in _folders(cache) if path.name[0] != "."]
