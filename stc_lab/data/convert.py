"""Videos decoded once: their frames as arrays in the cache, at the size in which they are used."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stc_lab.data.cache import build_once, cache_root
from stc_lab.data.frame_files import FileFormat, FileReader
from stc_lab.data.frames import Clip
from stc_lab.data.schema import OPTIONAL, frame_features
from stc_lab.data.videos import Videos, array_videos
from stc_lab.errors import InputError

if TYPE_CHECKING:
    import datasets

_FRAMES_AT_ONCE = 64
_TABLE, _KNOWN = "frames.arrow", "known.npz"


def converted(videos: Videos, *, progress: Callable[[int, int], None] | None = None) -> Videos:
    """The same videos with every frame decoded and resized once, in the cache: random access without a decoder.

    Images are rounded to 8 bits, all else is kept. What is in the cache is used again for as long as no file of a frame
    has changed (by size and time), nor the adapter, its options, the size or the code; an interrupted conversion leaves
    nothing. `progress(done, total)` is called now and then. Errors: InputError for a file that cannot be read, or a
    cache that cannot be written.
    """
    reader = videos.read
    if not isinstance(reader, FileReader):
        raise InputError(f"the frames of {videos.info.name!r} are arrays already", hint="converted() is for files")
    height, width = videos.size
    folder = cache_root() / "converted" / f"{videos.info.name}-{height}x{width}-{_digest(videos, reader)}"
    build_once(folder, lambda partial: _write(partial, videos, progress))
    from datasets import Dataset

    with np.load(folder / _KNOWN) as stored:
        known = {name: stored[name] for name in stored.files}
    return array_videos(videos.info, Dataset.from_file(str(folder / _TABLE)), known=known, skipped=videos.skipped)


def _digest(videos: Videos, reader: FileReader) -> str:
    """Names the frames by all that determines them: files, cameras, poses, format, size and code."""
    text = [str(reader.root.absolute()), repr(videos.info), repr(videos.size), _format(reader.form), repr(videos.names)]
    digest = hashlib.sha256("\0".join(text).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for start in range(0, len(videos), 1000):
        rows = list(range(start, min(start + 1000, len(videos))))
        for name, shape in (("intrinsics", (3, 3)), ("pose", (4, 4))):
            if name in videos.has and not (name == "pose" and reader.form.read_pose is not None):
                digest.update(reader.columns.arrays(name, rows, shape).tobytes())
        stamps = [(str(path), *_stamp(path)) for row in rows for path in reader.files(row).values()]
        digest.update(json.dumps(stamps).encode())
    return digest.hexdigest()[:16]


def _format(form: FileFormat) -> str:
    lookup = None if form.label_lookup is None else form.label_lookup.tolist()
    functions = [f"{f.__module__}.{f.__qualname__}" if f else "" for f in (form.framing, form.read_pose)]
    return repr((functions, form.same_view, form.label_divisor, lookup))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return found.st_mtime_ns, found.st_size


def _write(folder: Path, videos: Videos, progress: Callable[[int, int], None] | None) -> None:
    from datasets.arrow_writer import ArrowWriter

    path, total = folder / _TABLE, len(videos)
    known = {name: np.isin(np.arange(total), videos.rows_with(name)) for name in videos.info.has}
    features = frame_features(videos.info.has, videos.size)
    with ArrowWriter(path=str(path), features=features, writer_batch_size=_FRAMES_AT_ONCE) as writer:
        for start in range(0, total, _FRAMES_AT_ONCE):
            rows = list(range(start, min(start + _FRAMES_AT_ONCE, total)))
            writer.write_batch(_columns(videos, rows, features))
            if progress is not None:
                progress(rows[-1] + 1, total)
        writer.finalize()
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    np.savez(folder / _KNOWN, **known)  # type: ignore[arg-type]  # taken for savez's own keyword


def _columns(videos: Videos, rows: list[int], features: "datasets.Features") -> dict[str, Any]:
    """Frames as columns of the table; each is read alone, for a camera or pose that another of them lacks."""
    clips = [videos.frames([row]) for row in rows]
    columns: dict[str, Any] = {
        "video": [clip.video[0] for clip in clips],
        "index": [int(clip.index[0]) for clip in clips],
        "time": [float(clip.time[0]) for clip in clips],
        "image": np.stack([(clip.image[0] * 255).round().to(torch.uint8).numpy() for clip in clips]),
    }
    for name in OPTIONAL:
        if name in features:
            columns[name] = np.stack([_value(clip, name, videos.size) for clip in clips])
    return columns


def _value(clip: Clip, name: str, size: tuple[int, int]) -> np.ndarray:
    """One field of a clip of one frame, as the table holds it."""
    if name == "label":
        return np.full(size, 255, np.uint8) if clip.label is None else clip.label[0].to(torch.uint8).numpy()
    if name == "depth":
        return np.zeros(size, np.float32) if clip.depth is None else clip.depth[0, 0].numpy()
    if name == "intrinsics":
        return np.full((3, 3), np.nan) if clip.camera is None else clip.camera.K[0].double().numpy()
    return np.full((4, 4), np.nan) if clip.T_world_camera is None else clip.T_world_camera[0].double().numpy()
