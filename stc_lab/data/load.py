"""One door to all data sets: `load(name, ...)`."""

import importlib
import inspect
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from stc_lab.data.cache import cache_root
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError


@dataclass(frozen=True)
class _Source:
    """Where a data set's adapter lives, and the folders of its splits within STC_LAB_DATA."""

    module: str
    function: str
    splits: tuple[str, ...]
    folders: dict[str, str]

    def adapter(self) -> Callable[..., Videos]:
        function: Callable[..., Videos] = getattr(importlib.import_module(self.module), self.function)
        return function


_FILES = {
    "camvid": _Source(
        "stc_lab.data.camvid",
        "camvid_videos",
        ("train", "val", "test"),
        {"train": "camvid_1hz", "val": "camvid_15hz"},
    ),
    "icl": _Source("stc_lab.data.icl", "icl_videos", ("train",), {"train": "icl_livingroom1"}),
    "sevenscenes": _Source(
        "stc_lab.data.sevenscenes", "sevenscenes_videos", ("train", "test"), {"train": "sevenscenes_redkitchen"}
    ),
}
_ROOMS_SPLITS = ("train", "val", "test")


def available() -> tuple[str, ...]:
    """Names that `load` knows."""
    return ("rooms", *_FILES)


def load(
    name: str,
    *,
    root: Path | str | None = None,
    split: str = "train",
    size: tuple[int, int] | None = None,
    **options: Any,
) -> Videos:
    """Open the videos of a data set; frames are decoded when they are asked for.

    `root` is the folder of a data set's files, by default its folder in STC_LAB_DATA; for `rooms` it is the cache that
    the frames are rendered into once. `size` (height, width) resizes frames, labels, depth and cameras. `rooms` takes
    `preset` ("tiny", "quick", "full"), the fields of `RoomsConfig`, like `motion`, and `progress(done, total)`, called
    after each rendered scene, as options.
    """
    _expect("data set", name, available())
    videos = _rooms(root, split, options) if name == "rooms" else _files(name, root, split, options)
    return videos if size is None else videos.resized(size)


def _files(name: str, root: Path | str | None, split: str, options: dict[str, Any]) -> Videos:
    source = _FILES[name]
    _expect(f"split of {name!r}", split, source.splits)
    adapter = source.adapter()
    legal = [p.name for p in inspect.signature(adapter).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        _expect(f"option of {name!r}", option, legal)
    folder = _default_root(name, source, split) if root is None else Path(root).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"folder {folder} of data set {name!r} {'is a file' if folder.exists() else 'is missing'}",
            hint="a typing error in root= or STC_LAB_DATA, or an archive that was not unpacked",
        )
    return adapter(folder, split, **options)


def _default_root(name: str, source: _Source, split: str) -> Path:
    data = os.environ.get("STC_LAB_DATA")
    if not data:
        raise InputError(
            f"data set {name!r} needs the folder of its files",
            hint=f"load({name!r}, root=...), or STC_LAB_DATA=<folder that holds {', '.join(source.folders.values())}>",
        )
    if split not in source.folders:
        raise InputError(
            f"the split {split!r} of {name!r} has no folder in STC_LAB_DATA; "
            f"there are {', '.join(f'{k} ({v})' for k, v in source.folders.items())}",
            hint=f"give its folder, load({name!r}, root=..., split={split!r})",
        )
    return Path(data).expanduser() / source.folders[split]


def _rooms(root: Path | str | None, split: str, options: dict[str, Any]) -> Videos:
    config_module = importlib.import_module("stc_lab.data.rooms.config")
    presets = config_module.PRESETS
    _expect("split of 'rooms'", split, _ROOMS_SPLITS)
    preset, progress = options.pop("preset", "quick"), options.pop("progress", None)
    _expect("preset of 'rooms'", preset, presets)
    legal = ["preset", "progress", *(field.name for field in fields(presets[preset]))]
    for option in options:
        _expect("option of 'rooms'", option, legal)
    config = replace(presets[preset], **options)
    rooms_videos: Callable[..., Videos] = importlib.import_module("stc_lab.data.rooms.videos").rooms_videos
    return rooms_videos(split, config, cache_root() if root is None else Path(root).expanduser(), progress=progress)


def _expect(what: str, got: str, legal: Collection[str]) -> None:
    if got not in legal:
        raise InputError(f"unknown {what}: {got!r}; legal: {', '.join(legal) if legal else 'none'}")
