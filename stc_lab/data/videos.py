"""Videos: any data set as rows of a table, read when asked for (CONVENTIONS.md, frames)."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stc_lab.data.frames import Clip
from stc_lab.data.resize import check_size, resize_clip
from stc_lab.data.schema import SourceInfo, check_columns
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

if TYPE_CHECKING:
    import datasets

Read = Callable[[list[int]], Clip]
_PIXELS_AT_ONCE = 1_000_000  # of the stored frames, so that reading many frames smaller keeps memory small


class Videos:
    """The videos of a data set: names, frame counts and random access to frames; pictures stay on disk until asked for.

    A row is a frame's place in the table; the rows of a video lie together. Every reader gives a `Clip`.
    """

    def __init__(
        self,
        info: SourceInfo,
        table: "datasets.Dataset",
        read: Read,
        *,
        size: tuple[int, int],
    ) -> None:
        """`read` makes a clip of `size` (height, width) of some rows of the table."""
        check_columns(table, info)
        if len(table) == 0:
            raise InputError(f"data set {info.name!r} has no frames", hint="an empty folder or an empty list file")
        self.info = info
        self.size = size  # (height, width) of the clips, px
        self._stored_size = size
        self._count = len(table)
        self._read = read
        self._rows = _rows_of_videos(table)
        self.names = tuple(self._rows)

    def __len__(self) -> int:
        """Number of frames of all videos."""
        return self._count

    def __repr__(self) -> str:
        known = ", ".join(sorted(self.info.has)) or "images only"
        return f"<Videos {self.info.name}: {len(self.names)} videos, {len(self)} frames of {self.size} px, {known}>"

    def resized(self, size: tuple[int, int]) -> "Videos":
        """The same videos, each frame resized with its labels, depth and camera to `size` (height, width)."""
        check_size(size)
        other = copy.copy(self)
        other.size = size
        return other

    def in_memory(self) -> "Videos":
        """The same videos with every frame decoded now, once: for small ones that are read again and again."""
        other = copy.copy(self)
        other._read = self.frames(range(len(self))).__getitem__
        other._stored_size = self.size
        return other

    def frame_count(self, video: str) -> int:
        return len(self._rows_of(video))

    def row(self, video: str, index: int) -> int:
        """Row of the `index`-th frame of a video."""
        rows = self._rows_of(video)
        if not 0 <= index < len(rows):
            raise InputError(f"video {video!r} has frames 0 to {len(rows) - 1}, got index {index}")
        return rows[index]

    def clip(self, video: str, *, start: int = 0, stop: int | None = None, step: int = 1) -> Clip:
        """Frames start, start + step, ... before `stop` of a video (to its end without `stop`)."""
        rows = self._rows_of(video)
        last = len(rows) if stop is None else stop
        if step < 1 or not 0 <= start < last <= len(rows):
            raise InputError(
                f"clip of video {video!r} needs 0 <= start < stop <= {len(rows)} and step >= 1, "
                f"got start {start}, stop {last}, step {step}"
            )
        return self.frames(rows[start:last:step])

    def frames(self, rows: Sequence[int]) -> Clip:
        """The frames of any rows, in the given order, also across videos."""
        wrong = [row for row in rows if not 0 <= row < len(self)]
        if wrong or len(rows) == 0:
            got = f"got {wrong[0]}" if wrong else "got no rows"
            raise InputError(f"rows of {self.info.name!r} are 0 to {len(self) - 1}, {got}")
        h, w = self._stored_size
        step = max(1, _PIXELS_AT_ONCE // (h * w))
        parts = [rows[i : i + step] for i in range(0, len(rows), step)]
        return _joined([resize_clip(self._read(list(map(int, part))), self.size) for part in parts])

    def pairs(self, gap: int) -> list[tuple[int, int]]:
        """Rows (i, i + gap) of all frames that are `gap` frames apart in one video; a negative gap looks back."""
        if gap == 0:
            raise InputError("gap must not be 0: a frame makes no pair with itself")
        found = [(row, row + gap) for rows in self._rows.values() for row in rows if row + gap in rows]
        if not found:
            longest = max(map(len, self._rows.values()))
            raise InputError(f"no video of {self.info.name!r} has two frames {gap} apart; the longest has {longest}")
        return found

    def _rows_of(self, video: str) -> range:
        if video not in self._rows:
            known = ", ".join(self.names[:12]) + (", ..." if len(self.names) > 12 else "")
            raise InputError(f"{self.info.name!r} has no video {video!r}; it has {len(self.names)}: {known}")
        return self._rows[video]


def array_videos(info: SourceInfo, table: "datasets.Dataset") -> Videos:
    """Videos of a table in array form (schema.py)."""
    reader = _ArrayReader(info, table)
    return Videos(info, table, reader, size=reader.size)


class _ArrayReader:
    """Reads rows in array form as views of the table's own memory, which is mapped from disk.

    The table's numpy format walks nested lists and is many times slower at random rows.
    """

    def __init__(self, info: SourceInfo, table: "datasets.Dataset") -> None:
        check_columns(table, info)
        if len(table.data) != len(table) or table._indices is not None:
            raise InputError("the table is a selection of another one", hint="table.flatten_indices() before")
        self.size: tuple[int, int] = tuple(table.features["image"].shape[1:])
        shapes = {
            "image": (3, *self.size),
            "label": self.size,
            "depth": self.size,
            "intrinsics": (3, 3),
            "pose": (4, 4),
        }
        self._views = {
            name: [_view(chunk, shape) for chunk in table.data.column(name).chunks]
            for name, shape in shapes.items()
            if name in table.column_names
        }
        self._starts = np.cumsum([0, *map(len, self._views["image"])])
        columns = table.select_columns(["video", "index", "time"]).with_format("numpy")[:]
        self._video, self._index, self._time = list(map(str, columns["video"])), columns["index"], columns["time"]

    def __call__(self, rows: list[int]) -> Clip:
        chunks = np.searchsorted(self._starts, rows, side="right") - 1
        places = [(int(chunk), row - int(self._starts[chunk])) for chunk, row in zip(chunks, rows, strict=True)]

        def read(name: str, dtype: torch.dtype) -> torch.Tensor | None:
            if name not in self._views:
                return None
            return torch.from_numpy(np.stack([self._views[name][chunk][i] for chunk, i in places])).to(dtype)

        image, depth, K = read("image", torch.float32), read("depth", torch.float32), read("intrinsics", torch.float32)
        assert image is not None
        return Clip(
            video=tuple(self._video[row] for row in rows),
            index=torch.from_numpy(self._index[rows]).to(torch.int64),
            time=torch.from_numpy(self._time[rows]).to(torch.float32),
            image=image / 255,
            label=read("label", torch.int64),
            depth=None if depth is None else depth[:, None],
            camera=None if K is None else Camera(K, *self.size),
            T_world_camera=read("pose", torch.float32),
        )


def _view(chunk: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The values of one chunk of an array column, [rows, *shape], without a copy."""
    values = chunk.storage
    for _ in shape:
        values = values.flatten()
    return values.to_numpy(zero_copy_only=True).reshape(-1, *shape)


def _rows_of_videos(table: "datasets.Dataset") -> dict[str, range]:
    """The rows of each video, in the order of the table."""
    columns = table.select_columns(["video", "index"]).with_format("numpy")[:]
    names, index = list(map(str, columns["video"])), np.asarray(columns["index"])
    starts = [i for i in range(len(names)) if i == 0 or names[i] != names[i - 1]]
    rows = {names[start]: range(start, stop) for start, stop in zip(starts, [*starts[1:], len(names)], strict=True)}
    if len(rows) != len(starts):
        raise InputError("the rows of a video must lie together in the table", hint="the table was shuffled")
    for name, own in rows.items():
        if not np.array_equal(index[own.start : own.stop], np.arange(len(own))):
            raise InputError(f"the frames of video {name!r} must be numbered 0, 1, 2, ... in the table")
    return rows


def _joined(clips: list[Clip]) -> Clip:
    """One clip of all the frames of clips of one source."""
    if len(clips) == 1:
        return clips[0]

    def together(name: str) -> Any:
        values = [getattr(clip, name) for clip in clips]
        if values[0] is None:
            return None
        if name == "video":
            return sum(values, ())
        if name == "camera":
            return Camera(torch.cat([camera.K for camera in values]), *values[0].size)
        return torch.cat(values)

    return Clip(**{field.name: together(field.name) for field in fields(Clip)})
