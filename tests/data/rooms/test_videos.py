"""The rooms as a cached data set: whole or absent, rendered once, the same frames as rendered directly."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stc_lab.data import Clip
from stc_lab.data.rooms import PRESETS, RoomsConfig, render_video, rooms_videos
from stc_lab.data.rooms.config import FIRST_SEED, MOST_SCENES, SPLITS
from stc_lab.errors import InputError

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
            other |= {"speed": 0.5, "texture": 0.5}
            step = 1 if field.type is int else 0.1
            changed = other[field.name] if field.name in other else (value or 0) + step
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


def test_workers_write_the_same_table(tmp_path: Path) -> None:
    """Byte for byte, with progress after each scene; no part of a video is left beside the table."""
    config = replace(MINI, train_scenes=5, moving_objects=1)
    done: list[tuple[int, int]] = []
    for name, workers in (("one", 1), ("two", 2)):
        rooms_videos("train", config, tmp_path / name, workers=workers, progress=lambda i, n: done.append((i, n)))
    assert done == [(i, 5) for i in range(1, 6)] * 2
    (one,), (two,) = _folders(tmp_path / "one"), _folders(tmp_path / "two")
    assert sorted(path.name for path in two.iterdir()) == ["config.json", "frames.arrow"]
    assert (one / "frames.arrow").read_bytes() == (two / "frames.arrow").read_bytes()


def test_a_worker_that_fails_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is a fresh process: its error comes from what it was asked, here a room too full to fit anything."""
    from stc_lab.data.rooms import writing

    monkeypatch.setattr(writing, "video_name", lambda split, scene: f"rooms-{split}-x")
    with pytest.raises(InputError, match="video must be named like"):
        rooms_videos("train", MINI, tmp_path, workers=2)
    assert not _folders(tmp_path)


def test_a_long_video_is_rendered_and_written_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So memory does not grow with its length: no more frames at a time than a fixed number of pixels."""
    from stc_lab.data.rooms import clips, writing

    log: list[str] = []
    monkeypatch.setattr(clips, "_PIXELS_AT_ONCE", 16 * 16 * 24)
    exposed, rows = clips.exposed, writing._rows

    def logged(*args: Any, **options: Any) -> Any:
        log.append(f"render {options['first']}-{options['last']}")
        return exposed(*args, **options)

    def stored(clip: Clip) -> dict[str, Any]:
        log.append(f"write {len(clip)}")
        return rows(clip)

    monkeypatch.setattr(clips, "exposed", logged)
    monkeypatch.setattr(writing, "_rows", stored)
    config = replace(MINI, train_scenes=1, frames=40, motion="handheld", memory=0.9)
    videos = rooms_videos("train", config, tmp_path)
    assert log == ["render 0-16", "write 16", "render 16-32", "write 16", "render 32-40", "write 8"]
    log.clear()
    stored_clip, whole = videos.clip(videos.names[0]), render_video(videos.names[0], config)
    assert log == ["render 0-40"]
    assert torch.allclose(stored_clip.image, whole.image, atol=0.5 / 255 + 1e-5)
    assert torch.allclose(stored_clip.depth, whole.depth, rtol=1e-5)  # type: ignore[arg-type]  # rooms have depth


def test_presets_have_their_sizes() -> None:
    sizes = {name: (config.height, config.width) for name, config in PRESETS.items()}
    assert sizes == {"tiny": (32, 48), "quick": (64, 96), "full": (64, 96), "hd": (240, 320)}
    full = PRESETS["full"]
    assert full.train_scenes >= 80 and full.test_scenes >= 20
    firsts = {split: set(range(FIRST_SEED[split], FIRST_SEED[split] + MOST_SCENES)) for split in SPLITS}
    assert not firsts["train"] & firsts["val"] and not firsts["val"] & firsts["test"]
