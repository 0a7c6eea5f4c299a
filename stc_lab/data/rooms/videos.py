"""The rooms as videos: rendered once, kept in the cache as one Arrow table per split."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stc_lab.data.cache import build_once, cache_root
from stc_lab.data.frames import Clip
from stc_lab.data.rooms.build import build_scene
from stc_lab.data.rooms.classes import CLASS_NAMES
from stc_lab.data.rooms.config import FIRST_SEED, FRAME_RATE, PRESETS, SPLITS, RoomsConfig
from stc_lab.data.rooms.paths import PATHS
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.render import render
from stc_lab.data.rooms.sensor import develop
from stc_lab.data.schema import SourceInfo, frame_features
from stc_lab.data.videos import Videos, array_videos
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

INFO = SourceInfo(
    name="rooms",
    frame_rate=FRAME_RATE,
    has=frozenset({"label", "depth", "intrinsics", "pose"}),
    licence="Apache-2.0",
    reference="Spatio-Temporal Consistency Lab: procedural rooms, rendered by stc_lab.data.rooms",
    classes=CLASS_NAMES,
)
_TABLE = "frames.arrow"
_NAME = re.compile(rf"rooms-({'|'.join(SPLITS)})-(\d{{4}}|[1-9]\d{{4,5}})")
_PATH_DRAWS, _SENSOR_DRAWS = 1, 2  # streams of random numbers beside that of the furniture


def rooms_videos(
    split: str = "train",
    config: RoomsConfig = PRESETS["quick"],
    cache: Path | str | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Videos:
    """Videos of a split, from the cache folder; rendered into it first if they are not there yet.

    `progress(done, total)` is called after each rendered scene. An interrupted rendering leaves nothing behind that
    could be taken for complete, and of two processes that ask at once one renders. Errors: InputError when the cache
    cannot be written.
    """
    count = config.scenes(split)
    root = cache_root() if cache is None else Path(cache).expanduser()
    size = f"{count}x{config.frames}-{config.height}x{config.width}"
    folder = root / "rooms" / f"{split}-{config.motion}-{size}-{config.digest()}"
    build_once(folder, lambda partial: _write(partial, split, config, progress))
    from datasets import Dataset

    return array_videos(INFO, Dataset.from_file(str(folder / _TABLE)))


def video_name(split: str, scene: int) -> str:
    return f"rooms-{split}-{scene:04d}"


def scene_of(video: str, config: RoomsConfig = PRESETS["quick"]) -> Scene:
    """The room in which a video was taken, for exact flow, exact visibility and new views."""
    return build_scene(
        _seed(video), exceptions=config.exceptions, micro_contrast=config.micro_contrast, gloss=config.gloss
    )


def render_video(video: str, config: RoomsConfig) -> Clip:
    """All frames of one video as its sensor recorded them, not rounded to 8 bits."""
    seed, scene, camera = _seed(video), scene_of(video, config), config.camera()
    poses = PATHS[config.motion](scene, config.frames, np.random.default_rng([seed, _PATH_DRAWS]))
    frames = render(scene, camera, poses, shadows=config.shadows, supersample=config.supersample)
    draws = torch.Generator().manual_seed(int(np.random.default_rng([seed, _SENSOR_DRAWS]).integers(2**62)))
    image = config.sensor().apply(develop(frames.radiance, auto_exposure=config.auto_exposure), draws)
    index = torch.arange(config.frames)
    return Clip(
        video=(video,) * config.frames,
        index=index,
        time=index / FRAME_RATE,
        image=image,
        label=frames.label,
        depth=frames.depth,
        camera=Camera(camera.K.expand(config.frames, -1, -1), *camera.size),
        T_world_camera=poses,
    )


def _seed(video: str) -> int:
    found = _NAME.fullmatch(video)
    if found is None:
        raise InputError(f"video must be named like {video_name('train', 7)!r}, got {video!r}")
    return FIRST_SEED[found[1]] + int(found[2])


def _write(folder: Path, split: str, config: RoomsConfig, progress: Callable[[int, int], None] | None) -> None:
    """Render a split scene by scene into a table in `folder`, which is on the disk when this returns."""
    from datasets.arrow_writer import ArrowWriter

    count = config.scenes(split)
    features = frame_features(INFO.has, (config.height, config.width))
    (folder / "config.json").write_text(json.dumps({"split": split, **asdict(config)}, indent=2), encoding="utf-8")
    path = folder / _TABLE
    with one_thread(), ArrowWriter(path=str(path), features=features, writer_batch_size=config.frames) as writer:
        for scene in range(count):
            writer.write_batch(_rows(render_video(video_name(split, scene), config)))
            if progress is not None:
                progress(scene + 1, count)
        writer.finalize()
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _rows(clip: Clip) -> dict[str, Any]:
    """A clip as columns of the table."""
    assert clip.label is not None and clip.depth is not None
    assert clip.camera is not None and clip.T_world_camera is not None
    return {
        "video": list(clip.video),
        "index": clip.index.numpy(),
        "time": clip.index.double().numpy() / FRAME_RATE,
        "image": (clip.image * 255).round().to(torch.uint8).numpy(),
        "label": clip.label.to(torch.uint8).numpy(),
        "depth": clip.depth[:, 0].numpy(),
        "intrinsics": clip.camera.K.double().numpy(),
        "pose": clip.T_world_camera.double().numpy(),
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: on a busy machine, threads that wait for each other cost 100-fold."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
