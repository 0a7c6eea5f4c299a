"""Videos that lie on disk as one file for each frame: the table of paths, and its decoding on access."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float64, Int16

from stc_lab.data.frames import Clip
from stc_lab.data.image_files import read_depth, read_image, read_labels, read_size
from stc_lab.data.schema import SourceInfo, frame_features
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class FrameFile:
    """One frame on disk, before it is put in its place in a video."""

    sequence: str
    number: int  # counts frames of the filmed video
    image: Path
    label: Path | None = None
    depth: Path | None = None
    pose: Float64[np.ndarray, "4 4"] | None = None


@dataclass(frozen=True)
class FileFormat:
    """How the files of a data set are read."""

    label_lookup: Int16[np.ndarray, "256"] | None = None
    depth_per_metre: float = 1000.0
    depth_unknown: tuple[int, ...] = (0,)


def file_videos(
    info: SourceInfo,
    frames: Sequence[FrameFile],
    form: FileFormat,
    *,
    camera: Camera | None = None,
) -> Videos:
    """Videos of frame files; a sequence is cut into runs of evenly spaced frames, each a video of its own.

    So frames i and i + gap of a video are always equally far apart in time. All files must exist; only the header of
    the first image is read. `camera` is the one camera of all frames.
    """
    from datasets import Dataset

    if not frames:
        raise InputError(f"data set {info.name!r} has no frames", hint="an empty folder or an empty list file")
    _check_files(frames)
    size = read_size(frames[0].image)
    if camera is not None:
        camera.expect_size(f"image {frames[0].image}", *size)
    columns: dict[str, list[Any]] = {name: [] for name in frame_features(info.has)}
    for video, run in _videos(frames):
        columns["video"] += [video] * len(run)
        columns["index"] += list(range(len(run)))
        columns["time"] += [(frame.number - run[0].number) / info.frame_rate for frame in run]
        columns["image"] += [str(frame.image) for frame in run]
        optional: dict[str, list[Any]] = {
            "label": [str(frame.label) for frame in run],
            "depth": [str(frame.depth) for frame in run],
            "intrinsics": [None if camera is None else camera.K[0].double().numpy()] * len(run),
            "pose": [frame.pose for frame in run],
        }
        for name in info.has:
            columns[name] += optional[name]
    table = Dataset.from_dict(columns, features=frame_features(info.has))
    return Videos(info, table, _FileReader(table, form, size), size=size)


def evenly_spaced_runs(numbers: Sequence[int]) -> list[range]:
    """Cut rising frame numbers into runs of one spacing; returns the positions of each run.

    A spacing counts if it is next to an equal one, or is the most common of all: a break between two runs is neither.
    """
    gaps = np.diff(numbers)
    if len(gaps) == 0:
        return [range(len(numbers))]
    if (gaps <= 0).any():
        raise InputError(f"frame numbers must rise, got {list(numbers)[:20]}")
    values, counts = np.unique(gaps, return_counts=True)
    same = gaps[1:] == gaps[:-1]
    linked = (gaps == values[np.argmax(counts)]) | np.append(same, False) | np.append(False, same)
    runs, start = [], 0
    for i in range(1, len(numbers)):
        changed = i - 1 > start and gaps[i - 1] != gaps[start]
        if not linked[i - 1] or changed:
            runs.append(range(start, i))
            start = i
    return [*runs, range(start, len(numbers))]


def _videos(frames: Sequence[FrameFile]) -> list[tuple[str, list[FrameFile]]]:
    """Name and frames of each run: a whole sequence keeps its name, the parts of a cut one are numbered from 1."""
    sequences: dict[str, list[FrameFile]] = {}
    for frame in frames:
        sequences.setdefault(frame.sequence, []).append(frame)
    videos = []
    for name, own in sequences.items():
        own = sorted(own, key=lambda frame: frame.number)
        for frame, following in pairwise(own):
            if frame.number == following.number:
                raise InputError(
                    f"sequence {name} has the frame number {frame.number} twice: {frame.image}, {following.image}",
                    hint="a line that stands twice in a list file, or one frame in two formats",
                )
        runs = evenly_spaced_runs([frame.number for frame in own])
        for i, run in enumerate(runs, start=1):
            videos.append((name if len(runs) == 1 else f"{name}-{i}", [own[j] for j in run]))
    return videos


def _check_files(frames: Sequence[FrameFile]) -> None:
    for frame in frames:
        if not frame.image.is_file():
            raise InputError(f"image {frame.image} is missing", hint="an incomplete download or copy")
        for name, path in (("label map", frame.label), ("depth map", frame.depth)):
            if path is not None and not path.is_file():
                raise InputError(f"{name} {path} of image {frame.image} is missing", hint="an incomplete download")


@dataclass(frozen=True)
class _FileReader:
    table: "datasets.Dataset"
    form: FileFormat
    size: tuple[int, int]

    def __call__(self, rows: list[int]) -> Clip:
        batch = self.table[rows]
        images, labels, depths = [], [], []
        for i, name in enumerate(batch["image"]):
            image = read_image(Path(name))
            self._expect_size(image, f"image {name}", "the first image of the data set")
            images.append(image)
            if "label" in batch:
                assert self.form.label_lookup is not None
                labels.append(read_labels(Path(batch["label"][i]), self.form.label_lookup))
                self._expect_size(labels[-1], f"label map {batch['label'][i]}", f"its image {name}")
            if "depth" in batch:
                form = self.form
                depths.append(
                    read_depth(Path(batch["depth"][i]), per_metre=form.depth_per_metre, unknown=form.depth_unknown)
                )
                self._expect_size(depths[-1], f"depth map {batch['depth'][i]}", f"its image {name}")
        K = torch.tensor(batch["intrinsics"], dtype=torch.float32) if "intrinsics" in batch else None
        return Clip(
            video=tuple(batch["video"]),
            index=torch.tensor(batch["index"], dtype=torch.int64),
            time=torch.tensor(batch["time"], dtype=torch.float32),
            image=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255,
            label=torch.from_numpy(np.stack(labels)) if labels else None,
            depth=torch.from_numpy(np.stack(depths))[:, None] if depths else None,
            camera=None if K is None else Camera(K, *self.size),
            T_world_camera=torch.tensor(batch["pose"], dtype=torch.float32) if "pose" in batch else None,
        )

    def _expect_size(self, values: np.ndarray, what: str, other: str) -> None:
        h, w = values.shape[:2]
        if (h, w) != self.size:
            raise InputError(
                f"{what} is {h} x {w} px, but {other} is {self.size[0]} x {self.size[1]} px",
                hint="files of two versions of the data set in one folder",
            )
