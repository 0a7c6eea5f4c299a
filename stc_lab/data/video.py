"""Any film as a data set of one video, without labels, depth and cameras (data_cards/video.md)."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from stc_lab.data import film as film_module
from stc_lab.data.cache import build_current, cache_root
from stc_lab.data.film import Film, FilmIndex, index_film
from stc_lab.data.frames import Clip
from stc_lab.data.schema import SourceInfo, frame_features
from stc_lab.data.tree import Seen, Tree, unchanged
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

INFO = SourceInfo(
    name="video",
    frame_rate=30.0,
    has=frozenset(),
    licence="that of the film",
    reference="none: a film of your own",
)
_FRAMES, _FACTS = "frames.npz", "facts.json"


def video_videos(
    root: Path,
    split: str = "train",
    *,
    start: int = 0,
    stop: int | None = None,
    step: int = 1,
    max_frames: int | None = None,
) -> Videos:
    """The frames start, start + step, ... before `stop` of a film file, `max_frames` of them at most.

    The film is decoded once as far as it is asked for, to know its frames and their times; that index is kept in the
    cache for as long as the file does not change. Frames are decoded again when they are read, and turned upright.
    Times are the film's own, which may be unevenly spaced; the frame rate is their average.
    """
    if split != "train":
        raise InputError(f"the only split of {INFO.name!r} is 'train', got {split!r}")
    for name, value, least in (
        ("start", start, 0),
        ("stop", stop, 1),
        ("step", step, 1),
        ("max_frames", max_frames, 1),
    ):
        may_lack = name in ("stop", "max_frames") and value is None
        if not may_lack and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise InputError(f"{name} of 'video' counts frames, it must be a whole number from {least}, got {value!r}")
    if stop is not None and stop <= start:
        raise InputError(f"stop must be more than start, got start {start} and stop {stop}")
    if max_frames is not None:
        last = start + (max_frames - 1) * step + 1
        stop = last if stop is None else min(stop, last)
    index, seen = _index(root, stop)
    count = len(index.time)
    if start >= count:
        raise InputError(f"film {root} has {count} frames, got start {start}", hint="start counts frames from 0")
    numbers = np.arange(start, count if stop is None else min(stop, count), step)
    info = replace(INFO, frame_rate=index.frame_rate) if count > 1 else INFO
    time = index.time[numbers] - index.time[numbers[0]]
    from datasets import Dataset

    n = len(numbers)
    columns = {"video": [root.stem] * n, "index": np.arange(n), "time": time, "image": [root.name] * n}
    table = Dataset.from_dict(columns, features=frame_features(INFO.has))
    return Videos(info, table, _Reader(Film(root, index), seen, numbers, time), sizes=(index.height, index.width))


@dataclass(frozen=True)
class _Reader:
    film: Film
    seen: Seen
    numbers: Int64[np.ndarray, " n"]  # of each row's frame in the film
    time: np.ndarray

    def __call__(self, rows: list[int]) -> Clip:
        path = self.film.path
        if not unchanged(path.parent, self.seen):
            raise InputError(f"film {path} is gone, or is another than the one that was opened", hint="load it again")
        index = self.film.index
        image = torch.empty(len(rows), 3, index.height, index.width)
        for place in np.argsort(self.numbers[rows], kind="stable").tolist():  # a decoder goes forward
            picture = self.film.frame(int(self.numbers[rows[place]]))
            image[place] = torch.from_numpy(picture).permute(2, 0, 1)
        return Clip(
            video=(path.stem,) * len(rows),
            index=torch.tensor(rows),
            time=torch.from_numpy(self.time[rows].astype(np.float32)),
            image=image.div_(255),
        )


def _index(path: Path, count: int | None) -> tuple[FilmIndex, Seen]:
    """The film's index from the cache, or made now: never that of an older file of the same name."""
    code = Path(__file__).read_text(encoding="utf-8") + Path(film_module.__file__).read_text(encoding="utf-8")
    digest = hashlib.sha256("\0".join((str(path.absolute()), str(count), code)).encode()).hexdigest()[:16]
    base = cache_root() / "films" / digest
    folder = build_current(base, partial(_is_current, path.parent), partial(_build, path, count))
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    with np.load(folder / _FRAMES, allow_pickle=False) as kept:
        pts, time, key = (kept[name] for name in ("pts", "time", "key"))
    turn = tuple(facts["turn"])
    return FilmIndex(facts["height"], facts["width"], turn, pts if len(pts) else None, time, key), facts["seen"]


def _build(path: Path, count: int | None, folder: Path) -> None:
    tree = Tree(path.parent)
    tree.file(path.name)
    index = index_film(path, count)
    pts = np.empty(0, np.int64) if index.pts is None else index.pts
    np.savez(folder / _FRAMES, pts=pts, time=index.time, key=index.key)
    facts = {name: asdict(index)[name] for name in ("height", "width", "turn")}
    facts |= {"seen": tree.seen, "settled": tree.settled}
    (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _is_current(parent: Path, folder: Path) -> bool:
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        return bool(facts["settled"]) and unchanged(parent, facts["seen"])
    except (OSError, ValueError, KeyError):
        return False
