"""The rooms as videos: rendered once, kept in the cache as one Arrow table per split."""

from collections.abc import Callable
from pathlib import Path

import torch

from stc_lab.data.cache import build_once, cache_root
from stc_lab.data.rooms.classes import CLASS_NAMES
from stc_lab.data.rooms.clips import render_video, scene_of, video_name
from stc_lab.data.rooms.config import FRAME_RATE, PRESETS, SPLITS, RoomsConfig
from stc_lab.data.rooms.writing import TABLE, write_split
from stc_lab.data.schema import SourceInfo
from stc_lab.data.videos import Videos, array_videos
from stc_lab.errors import InputError

__all__ = ["INFO", "render_video", "rooms_videos", "scene_of", "video_name"]

INFO = SourceInfo(
    name="rooms",
    frame_rate=FRAME_RATE,
    has=frozenset({"label", "depth", "intrinsics", "pose"}),
    licence="Apache-2.0",
    reference="Spatio-Temporal Consistency Lab: procedural rooms, rendered by stc_lab.data.rooms",
    classes=CLASS_NAMES,
    splits=SPLITS,
)
MOST_WORKERS = 256


def rooms_videos(
    split: str = "train",
    config: RoomsConfig = PRESETS["quick"],
    cache: Path | str | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
    device: str = "cpu",
) -> Videos:
    """Videos of a split, from the cache folder; rendered into it first if they are not there yet.

    `progress(done, total)` is called after each rendered scene. `workers` processes share the scenes, one thread each;
    the frames are the same whatever their number. On another `device` than the CPU the last bits differ, so its frames
    lie in a folder of their own. Memory does not grow with the number or the length of the videos. An interrupted
    rendering leaves nothing behind that could be taken for complete, and of two processes that ask at once one renders.
    Errors: InputError when the cache cannot be written.
    """
    count = config.scenes(split)
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"workers must be a whole number between 1 and {MOST_WORKERS}, got {workers!r}")
    kind = _device_type(device)
    root = cache_root() if cache is None else Path(cache).expanduser()
    size = f"{count}x{config.frames}-{config.height}x{config.width}"
    place = "" if kind == "cpu" else f"-{kind}"
    folder = root / "rooms" / f"{split}-{config.motion}-{size}-{config.digest()}{place}"
    build_once(
        folder,
        lambda partial: write_split(
            partial, split, config, INFO.has, device=device, workers=min(workers, count), progress=progress
        ),
    )
    from datasets import Dataset

    return array_videos(INFO, Dataset.from_file(str(folder / TABLE)))


def _device_type(device: str) -> str:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {device!r} cannot be used here: {str(error).splitlines()[0]}",
            hint="'cpu', or 'cuda' where torch.cuda.is_available()",
        ) from error
    return place.type
