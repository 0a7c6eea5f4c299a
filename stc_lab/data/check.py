"""A whole copy of a data set, read once: what is missing, damaged or odd, and what a full run over it would take."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from stc_lab.data.frame_files import FileReader
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

_ROWS_AT_ONCE = 256  # of a thread pool's queue, so that memory does not grow with the data set
_FARTHEST = 1000.0  # m: a depth beyond it, seen by a camera, is a wrong unit


@dataclass
class FrameReport:
    """What one frame's files hold; bytes are those on disk."""

    problems: list[str] = field(default_factory=list)
    labels: Int64[np.ndarray, " ids"] | None = None  # pixels of each label id, 255 = ignore
    bytes: int = 0


@dataclass
class CheckReport:
    """What a copy of a data set holds, and what is wrong with it."""

    name: str
    videos: int
    frames: int
    sizes: dict[tuple[int, int], int]  # (height, width) of the clips, px -> videos
    known: dict[str, int]  # optional field -> frames of which it is known
    skipped: dict[str, int]  # reason -> frames that the data set's own convention leaves out
    problems: list[str]
    class_share: dict[str, float]  # of the labelled pixels that have a class; empty without labels
    ignored_share: float  # of the labelled pixels
    filmed: float  # s, from the first to the last frame of each video
    disk: int  # bytes of the files that were read, and of the table if it is on disk
    memory: int  # bytes of all frames in memory, compact: image 3, label 2, depth 4 bytes a pixel
    seconds: float  # of reading every frame once, by this check

    @property
    def sound(self) -> bool:
        return not self.problems


def check(videos: Videos, *, threads: int = 2, progress: Callable[[int, int], None] | None = None) -> CheckReport:
    """Read every file of every frame and note all that is wrong; `progress(done, total)` is called now and then.

    Memory does not grow with the number of frames. Open the videos by `open_source`, which refuses nothing.
    """
    if threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    times = {name: videos.times(name) for name in videos.names}
    problems = [str(problem) for problem in videos.problems]
    problems += [
        f"video {name!r} goes back in time, or stands still"
        for name in videos.names
        if (np.diff(times[name]) <= 0).any()
    ]
    labels = np.zeros(256, np.int64)
    disk = sum(_bytes(Path(file["filename"])) for file in videos.table.cache_files)
    began = time.perf_counter()
    for done, report in enumerate(_reports(videos, threads), start=1):
        problems += report.problems
        disk += report.bytes
        labels += 0 if report.labels is None else report.labels
        if progress is not None and (done % _ROWS_AT_ONCE == 0 or done == len(videos)):
            progress(done, len(videos))
    seconds = time.perf_counter() - began
    counted = int(labels.sum())
    shares = {name: float(labels[i]) for i, name in enumerate(videos.info.classes)} if counted else {}
    classified = sum(shares.values())
    sizes: dict[tuple[int, int], int] = {}
    for name in videos.names:
        sizes[videos.size_of(name)] = sizes.get(videos.size_of(name), 0) + 1
    return CheckReport(
        name=videos.info.name,
        videos=len(videos.names),
        frames=len(videos),
        sizes=sizes,
        known={name: len(videos.rows_with(name)) for name in sorted(videos.info.has)},
        skipped=videos.skipped,
        problems=problems,
        class_share={name: pixels / classified for name, pixels in shares.items()} if classified else {},
        ignored_share=float(labels[videos.info.ignore_index]) / counted if counted else 0.0,
        filmed=float(sum(own[-1] for own in times.values())),
        disk=disk,
        memory=_memory(videos),
        seconds=seconds,
    )


def _reports(videos: Videos, threads: int) -> Iterator[FrameReport]:
    """A report of each row, in order."""
    rows = iter(range(len(videos)))
    examine = _examine_files if isinstance(videos.read, FileReader) else _examine_arrays
    with ThreadPoolExecutor(threads) as pool:
        while chunk := list(islice(rows, _ROWS_AT_ONCE)):
            yield from pool.map(lambda row: examine(videos, row), chunk)


def _examine_arrays(videos: Videos, row: int) -> FrameReport:
    report = FrameReport()
    try:
        clip = videos.frames([row])
    except InputError as error:
        return FrameReport([f"row {row}: {error}"])
    if clip.label is not None:
        report.labels = np.bincount(clip.label.numpy().ravel(), minlength=256)
    if clip.depth is not None:
        report.problems += _odd_depth(clip.depth.numpy(), f"depth of row {row}")
    return report


def _examine_files(videos: Videos, row: int) -> FrameReport:
    """Each file of a frame on its own, so that one that is damaged hides no other."""
    reader = videos.read
    assert isinstance(reader, FileReader)
    report = FrameReport()
    for column, path in reader.files(row).items():
        try:
            values = reader.read_file(column, path, row)
        except InputError as error:
            report.problems.append(str(error))
        else:
            if column == "label":
                report.labels = np.bincount(values.ravel(), minlength=256)
            elif column == "depth":
                report.problems += _odd_depth(values, f"depth map {path}")
        report.bytes += _bytes(path)
    try:
        reader.geometry(row)
    except InputError as error:
        report.problems.append(str(error))
    return report


def _odd_depth(depth: np.ndarray, what: str) -> list[str]:
    if not (np.isfinite(depth) & (depth > 0)).any():
        return [f"{what} is unknown at every pixel"]
    if depth.max() > _FARTHEST:
        return [f"{what} reaches {depth.max():.0f} m, more than {_FARTHEST:.0f} m: another unit than the data set's?"]
    return []


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _memory(videos: Videos) -> int:
    """Bytes of all frames, kept as compact as training keeps them."""
    a_pixel = 3 + 2 * ("label" in videos.has) + 4 * ("depth" in videos.has)
    pixels = {name: videos.size_of(name)[0] * videos.size_of(name)[1] for name in videos.names}
    return sum(a_pixel * pixels[name] * videos.frame_count(name) for name in videos.names)
