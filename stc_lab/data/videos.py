"""Videos: any data set as rows of a table, read when asked for (CONVENTIONS.md, frames)."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from stc_lab.data.columns import Columns, rows_of_videos
from stc_lab.data.frames import Clip
from stc_lab.data.pairs import Pairs
from stc_lab.data.resize import check_size, resize_clip
from stc_lab.data.schema import OPTIONAL, SourceInfo, check_columns
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

if TYPE_CHECKING:
    import datasets

Read = Callable[[list[int]], Clip]
Sizes = Mapping[str, tuple[int, int]]
_PIXELS_AT_ONCE = 1_000_000  # of the stored frames, so that reading many frames smaller keeps memory small


class Videos:
    """The videos of a data set: names, frame counts and random access to frames; pictures stay on disk until asked for.

    A row is a frame's place in the table; the rows of a video lie together. Every reader gives a `Clip`. What no frame
    of these videos knows is None there. Where some frames lack labels or depth, theirs are all 255 or 0; the camera
    and the poses of a clip are None unless each of its frames has its own. `rows_with` says which frames know what.
    """

    def __init__(
        self,
        info: SourceInfo,
        table: "datasets.Dataset",
        read: Read,
        *,
        sizes: Sizes | tuple[int, int],
        stored_sizes: Sizes | tuple[int, int] | None = None,
        has: frozenset[str] | None = None,
        skipped: Mapping[str, int] | None = None,
        problems: Sequence[InputError] = (),
        known: Mapping[str, Bool[np.ndarray, " n"]] | None = None,
    ) -> None:
        """`read` makes a clip of some rows of one size.

        Sizes are (height, width), of all videos or of each: `sizes` those of the clips (0, 0 if it cannot be told),
        `stored_sizes` those of the frames on disk, if they differ. `has` are the fields known of any frame, `skipped`
        the frames left out by reason, `problems` what the adapter could not read. `known` says of fields in which rows
        they are known, where the table cannot tell.
        """
        check_columns(table, info)
        if len(table) == 0:
            raise InputError(f"data set {info.name!r} has no frames", hint="an empty folder or an empty list file")
        self.info = info
        self.has = info.has if has is None else has
        self.skipped = dict(skipped or {})
        self.problems = tuple(problems)
        self._known = dict(known or {})
        self.table = table
        self._count = len(table)
        self.read = read
        self._rows = rows_of_videos(table)
        self.names = tuple(self._rows)
        self._starts = np.array([rows.start for rows in self._rows.values()])
        self._sizes = self._of_each(sizes)
        self._stored = self._sizes if stored_sizes is None else self._of_each(stored_sizes)

    def __len__(self) -> int:
        """Number of frames of all videos."""
        return self._count

    def __repr__(self) -> str:
        known = ", ".join(sorted(self.has)) or "images only"
        sizes = set(self._sizes.values())
        of = f"{next(iter(sizes))} px" if len(sizes) == 1 else f"{len(sizes)} sizes"
        return f"<Videos {self.info.name}: {len(self.names)} videos, {len(self)} frames of {of}, {known}>"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of all frames, px; an error where videos differ: `resized` makes them alike."""
        sizes = sorted(set(self._sizes.values()) - {(0, 0)})
        if len(sizes) != 1:
            few = ", ".join(f"{h} x {w}" for h, w in sizes[:4]) + (", ..." if len(sizes) > 4 else "")
            raise InputError(
                f"the videos of {self.info.name!r} have no one size: {few or 'no image can be read'}",
                hint="ask size_of(video), or make them alike: load(..., size=(height, width)) or videos.resized(...)",
            )
        return sizes[0]

    def size_of(self, video: str) -> tuple[int, int]:
        """(height, width) of the frames of a video, px; (0, 0) if none of them can be read."""
        self._rows_of(video)
        return self._sizes[video]

    def stored_size_of(self, video: str) -> tuple[int, int]:
        """(height, width) of a video's frames on disk, px; (0, 0) if none of them can be read."""
        self._rows_of(video)
        return self._stored[video]

    def resized(self, size: tuple[int, int]) -> "Videos":
        """The same videos, each frame resized with its labels, depth and camera to `size` (height, width)."""
        check_size(size)
        other = copy.copy(self)
        other._sizes = dict.fromkeys(self.names, (size[0], size[1]))
        return other

    def in_memory(self) -> "Videos":
        """The same videos with every frame decoded now, once: for small ones that are read again and again."""
        other = copy.copy(self)
        other.read = _KeptReader([self.frames([row]) for row in range(len(self))])
        other._stored = self._sizes
        return other

    def frame_count(self, video: str) -> int:
        return len(self._rows_of(video))

    def times(self, video: str) -> Float64[np.ndarray, " n"]:
        """Time of each frame of a video, s since its first."""
        rows = self._rows_of(video)
        return np.asarray(self.table.data.column("time").slice(rows.start, len(rows)))

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
        """The frames of any rows, in the given order, also across videos of one size."""
        wrong = [row for row in rows if not 0 <= row < len(self)]
        if wrong or len(rows) == 0:
            got = f"got {wrong[0]}" if wrong else "got no rows"
            raise InputError(f"rows of {self.info.name!r} are 0 to {len(self) - 1}, {got}")
        videos = self.videos_of(rows)
        sizes = sorted({self._sizes[video] for video in videos})
        if len(sizes) > 1:
            raise InputError(
                f"the asked frames have several sizes: {', '.join(f'{h} x {w}' for h, w in sizes[:4])} px",
                hint="make the videos alike: load(..., size=(height, width)) or videos.resized((height, width))",
            )
        clips = []
        for stored, group in groupby(zip(rows, videos, strict=True), key=lambda item: self._stored[item[1]]):
            own = [int(row) for row, _ in group]
            step = max(1, _PIXELS_AT_ONCE // max(1, stored[0] * stored[1]))
            for i in range(0, len(own), step):
                clip = self.read(own[i : i + step])
                clips.append(clip if sizes[0] == (0, 0) else resize_clip(clip, sizes[0]))
        return _joined(clips)

    def pairs(self, gap: int) -> Pairs:
        """Rows (i, i + gap) of all frames that are `gap` frames apart in one video; a negative gap looks back."""
        pairs = Pairs(list(self._rows.values()), gap)
        if len(pairs) == 0:
            longest = max(map(len, self._rows.values()))
            raise InputError(f"no video of {self.info.name!r} has two frames {gap} apart; the longest has {longest}")
        return pairs

    def rows_with(self, *names: str) -> Int64[np.ndarray, " n"]:
        """Rows of the frames that know all of the named fields: "label", "depth", "intrinsics", "pose"."""
        known = np.ones(len(self), bool)
        columns = Columns(self.table)
        for name in names:
            if name not in OPTIONAL:
                raise InputError(f"unknown field {name!r}; legal: {', '.join(OPTIONAL)}")
            if name in self._known:
                known &= self._known[name]
            else:
                known &= columns.known(name) if name in self.has else False
        return np.flatnonzero(known)

    def videos_of(self, rows: Sequence[int]) -> list[str]:
        """Name of the video of each row."""
        return [self.names[i] for i in np.searchsorted(self._starts, list(rows), side="right") - 1]

    def _of_each(self, sizes: Sizes | tuple[int, int]) -> dict[str, tuple[int, int]]:
        if isinstance(sizes, tuple):
            return dict.fromkeys(self.names, sizes)
        return {name: sizes[name] for name in self.names}

    def _rows_of(self, video: str) -> range:
        if video not in self._rows:
            known = ", ".join(self.names[:12]) + (", ..." if len(self.names) > 12 else "")
            raise InputError(f"{self.info.name!r} has no video {video!r}; it has {len(self.names)}: {known}")
        return self._rows[video]


def array_videos(
    info: SourceInfo,
    table: "datasets.Dataset",
    *,
    known: Mapping[str, Bool[np.ndarray, " n"]] | None = None,
    skipped: Mapping[str, int] | None = None,
) -> Videos:
    """Videos of a table in array form (schema.py); `known` says in which rows a field is known, if not in all."""
    check_columns(table, info)
    size: tuple[int, int] = tuple(table.features["image"].shape[1:])
    has = frozenset(name for name in info.has if known is None or name not in known or known[name].any())
    reader = _ArrayReader(Columns(table), has, size)
    return Videos(info, table, reader, sizes=size, has=has, known=known, skipped=skipped)


@dataclass(frozen=True)
class _ArrayReader:
    columns: Columns
    has: frozenset[str]
    size: tuple[int, int]

    def __call__(self, rows: list[int]) -> Clip:
        shapes = {
            "image": (3, *self.size),
            "label": self.size,
            "depth": self.size,
            "intrinsics": (3, 3),
            "pose": (4, 4),
        }

        def read(name: str, dtype: torch.dtype) -> torch.Tensor | None:
            if name != "image" and name not in self.has:
                return None
            return torch.from_numpy(self.columns.arrays(name, rows, shapes[name])).to(dtype)

        image, depth, K, pose = (read(name, torch.float32) for name in ("image", "depth", "intrinsics", "pose"))
        assert image is not None
        return Clip(
            video=tuple(map(str, self.columns.strings("video", rows))),
            index=torch.from_numpy(self.columns.numbers("index", rows)).to(torch.int64),
            time=torch.from_numpy(self.columns.numbers("time", rows)).to(torch.float32),
            image=image / 255,
            label=read("label", torch.int64),
            depth=None if depth is None else depth[:, None],
            camera=None if K is None or bool(K[:, 0, 0].isnan().any()) else Camera(K, *self.size),
            T_world_camera=None if pose is None or bool(pose[:, 0, 0].isnan().any()) else pose,
        )


@dataclass(frozen=True)
class _KeptReader:
    clips: list[Clip]  # of one frame each

    def __call__(self, rows: list[int]) -> Clip:
        return _joined([self.clips[row] for row in rows])


def _joined(clips: Sequence[Clip]) -> Clip:
    """One clip of all the frames of clips of one source; its camera and poses are None if one of them lacks its own."""
    if len(clips) == 1:
        return clips[0]

    def together(name: str) -> Any:
        values = [getattr(clip, name) for clip in clips]
        if any(value is None for value in values):
            return None
        if name == "video":
            return sum(values, ())
        if name == "camera":
            return Camera(torch.cat([camera.K for camera in values]), *values[0].size)
        return torch.cat(values)

    return Clip(**{field.name: together(field.name) for field in fields(Clip)})
