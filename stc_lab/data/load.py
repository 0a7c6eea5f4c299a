"""One door to all data sets: `load(name, ...)`."""

import importlib
import inspect
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from stc_lab.data.cache import cache_root
from stc_lab.data.frame_files import FileReader
from stc_lab.data.index import KEPT_FROM
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sources import ADAPTERS, FILMS, source
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError


def available() -> tuple[str, ...]:
    """Names that `load` knows."""
    return ("rooms", *ADAPTERS)


def load_info(name: str) -> SourceInfo:
    """What is true of a data set as a whole, whatever copies there are."""
    _expect("data set", name, available())
    if name != "rooms":
        return source(name).info
    info: SourceInfo = importlib.import_module("stc_lab.data.rooms.videos").INFO
    return info


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
    the frames are rendered into once, for `video` a film. `size` (height, width) resizes frames, labels, depth and
    cameras. Options of `rooms` are its `preset` ("tiny", "quick", ...), the fields of `RoomsConfig`, like `motion`, and
    those of `rooms_videos`, like `progress` and `workers`; of the others, the keyword parameters of their adapter.

    A copy with files that are missing or cannot be read is refused at once if it is small. Of a large one (20,000
    frames or more), only a frame that is asked for says so; `stc-lab data check` looks at all of them.
    """
    videos = open_source(name, root=root, split=split, **options)
    _refuse(videos)
    return videos if size is None else videos.resized(size)


def open_source(name: str, *, root: Path | str | None = None, split: str = "train", **options: Any) -> Videos:
    """Open a data set as it is, whatever may be wrong with its files: for those who look for what is wrong."""
    _expect("data set", name, available())
    return _rooms(root, split, options) if name == "rooms" else _files(name, root, split, options)


def _files(name: str, root: Path | str | None, split: str, options: dict[str, Any]) -> Videos:
    adapter = source(name)
    _expect(f"split of {name!r}", split, adapter.info.splits)
    for option in options:
        _expect(f"option of {name!r}", option, _options_of(adapter.videos))
    place = _default_root(adapter.info, split) if root is None else Path(root).expanduser()
    film = name in FILMS
    if not (place.is_file() if film else place.is_dir()):
        wanted, other = ("file", "folder") if film else ("folder", "file")
        raise InputError(
            f"{wanted} {place} of data set {name!r} {f'is a {other}' if place.exists() else 'is missing'}",
            hint="a typing error in root= or STC_LAB_DATA, or an archive that was not unpacked",
        )
    return adapter.videos(place, split, **options)


def _default_root(info: SourceInfo, split: str) -> Path:
    data = os.environ.get("STC_LAB_DATA")
    folders = info.folders
    if not data or not folders:
        either = f", or STC_LAB_DATA=<folder that holds {', '.join(folders.values())}>" if folders else ""
        raise InputError(
            f"data set {info.name!r} needs the folder of its files", hint=f"load({info.name!r}, root=...){either}"
        )
    if split not in folders:
        raise InputError(
            f"the split {split!r} of {info.name!r} has no folder in STC_LAB_DATA; "
            f"there are {', '.join(f'{k} ({v})' for k, v in folders.items())}",
            hint=f"give its folder, load({info.name!r}, root=..., split={split!r})",
        )
    return Path(data).expanduser() / folders[split]


def _refuse(videos: Videos) -> None:
    """Raise the first of the problems of a small data set."""
    if len(videos) >= KEPT_FROM or not isinstance(videos.read, FileReader):
        return
    unread = (name for name in videos.names if videos.size_of(name) == (0, 0))
    found: Iterable[InputError] = chain(videos.problems, videos.read.missing(range(len(videos))))
    problems = list(islice(found, 100))
    if problems:
        if len(problems) == 1:
            raise problems[0]
        more = f"{len(problems) - 1}{' or more' if len(problems) == 100 else ''}"
        raise InputError(f"{problems[0]}. And {more} other problems: stc-lab data check names them all")
    for name in unread:
        videos.clip(name, stop=1)


def _rooms(root: Path | str | None, split: str, options: dict[str, Any]) -> Videos:
    presets = importlib.import_module("stc_lab.data.rooms.config").PRESETS
    module: Any = importlib.import_module("stc_lab.data.rooms.videos")
    _expect("split of 'rooms'", split, module.INFO.splits)
    preset = options.pop("preset", "quick")
    _expect("preset of 'rooms'", preset, presets)
    own = _options_of(module.rooms_videos)
    settings = [field.name for field in fields(presets[preset])]
    for option in options:
        _expect("option of 'rooms'", option, ["preset", *own, *settings])
    config = replace(presets[preset], **{name: value for name, value in options.items() if name in settings})
    cache = cache_root() if root is None else Path(root).expanduser()
    videos: Videos = module.rooms_videos(
        split, config, cache, **{name: value for name, value in options.items() if name in own}
    )
    return videos


def _options_of(function: Callable[..., Videos]) -> list[str]:
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _expect(what: str, got: str, legal: Collection[str]) -> None:
    if got not in legal:
        raise InputError(f"unknown {what}: {got!r}; legal: {', '.join(legal) if legal else 'none'}")
