"""Videos that lie on disk as one file for each frame, decoded on access."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int16
from torch import Tensor

from stc_lab.data.columns import Columns
from stc_lab.data.frames import Clip
from stc_lab.data.framing import WHOLE, Framing
from stc_lab.data.image_files import id_lookup, read_depth, read_image, read_labels
from stc_lab.data.index import Sequences, open_index
from stc_lab.data.schema import SourceInfo
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import check_pose

WORDS = {"image": "image", "label": "label map", "depth": "depth map", "pose": "pose file"}


@dataclass(frozen=True)
class FileFormat:
    """How the files of a data set are read, beyond what its info says; functions must be those of a module."""

    framing: Callable[[tuple[int, int]], Framing] | None = None  # of images stored at (height, width); None: as stored
    same_view: bool = False  # label and depth maps of another size than their image show all of its view
    label_lookup: Int16[np.ndarray, " ids"] | None = None  # None: from the info's label_ids and ignore_ids
    label_divisor: int = 1  # of instance maps: class * divisor + instance
    read_pose: Callable[[Path], Float64[np.ndarray, "4 4"]] | None = None  # of a frame's own file; None: they are given
    read_depth: Callable[[Path], Float32[np.ndarray, "h w"]] | None = None  # m, 0 unknown; None: of 16-bit pictures

    def frame(self, stored: tuple[int, int]) -> Framing:
        return WHOLE if self.framing is None else self.framing(stored)


def file_videos(info: SourceInfo, root: Path, sequences: Sequences, form: FileFormat | None = None) -> Videos:
    """Videos of all `sequences(Tree(root))`, each cut into runs of evenly spaced frames (FileSequence.videos).

    `sequences` is a function of a module, or a `functools.partial` of one with keyword arguments, which name whatever
    its result hangs on but the files. Files of frames are looked for when they are read; of each video the header of
    one image is read, unless the sequence gives its size.
    """
    form = FileFormat() if form is None else form
    table, facts = open_index(info, root, sequences, pose_files=form.read_pose is not None)
    sizes = {name: form.frame(size).result(size) if size != (0, 0) else size for name, size in facts.sizes.items()}
    has = frozenset(name for name in info.has if facts.known[name])
    reader = FileReader(info, root, Columns(table), form, has, facts.sizes)
    return Videos(
        info,
        table,
        reader,
        sizes=sizes,
        stored_sizes=facts.sizes,
        has=has,
        skipped=facts.skipped,
        problems=facts.problems,
    )


@dataclass(frozen=True)
class FileReader:
    """Makes clips of rows of one video's size; names the file that is at fault."""

    info: SourceInfo
    root: Path
    columns: Columns
    form: FileFormat
    has: frozenset[str]
    sizes: dict[str, tuple[int, int]]  # of each video's images as they are stored

    @cached_property
    def lookup(self) -> Int16[np.ndarray, " ids"]:
        if self.form.label_lookup is not None:
            return self.form.label_lookup
        return id_lookup(self.info.stored_ids(), ignore=self.info.ignore_ids.keys())

    def __call__(self, rows: list[int]) -> Clip:
        video = tuple(map(str, self.columns.strings("video", rows)))
        images = self._images(video, rows)
        stored = images.shape[-2], images.shape[-1]
        framing = self.form.frame(stored)
        label = self._maps("label", rows, stored, 255)
        depth = self._maps("depth", rows, stored, 0)
        return Clip(
            video=video,
            index=torch.from_numpy(self.columns.numbers("index", rows).astype(np.int64)),
            time=torch.from_numpy(self.columns.numbers("time", rows).astype(np.float32)),
            image=framing.image(images.float().div_(255)),
            label=None if label is None else framing.nearest(label, stored),
            depth=None if depth is None else framing.nearest(depth, stored)[:, None],
            camera=self._camera(rows, stored, framing),
            T_world_camera=self._poses(rows),
        )

    def files(self, row: int) -> dict[str, Path]:
        """The files of a frame, by column."""
        names = [name for name in WORDS if name in self.has or name == "image"]
        if self.form.read_pose is None:
            names = [name for name in names if name != "pose"]
        found = {name: self.columns.strings(name, [row])[0] for name in names}
        return {name: self.root / path for name, path in found.items() if path is not None}

    def missing(self, rows: range) -> Iterator[InputError]:
        """An error for each file of the rows that is not there; looks into folders, not at single files."""
        folders: dict[str, set[str]] = {}
        for row in rows:
            files = self.files(row)
            for name, path in files.items():
                folder = str(path.parent)
                if folder not in folders:
                    folders[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
                if path.name not in folders[folder]:
                    what = f"image {path}" if name == "image" else f"{WORDS[name]} {path} of image {files['image']}"
                    yield InputError(f"{what} is missing", hint="an incomplete download or copy")

    def read_file(self, column: str, path: Path, row: int) -> np.ndarray:
        """What one file of a frame holds, as it is stored; its size is compared with that of its video."""
        if column == "pose":
            assert self.form.read_pose is not None
            return self.form.read_pose(path)
        values = read_image(path) if column == "image" else self._read_map(column, path)
        video = str(self.columns.strings("video", [row])[0])
        if (column == "image" or not self.form.same_view) and self.sizes[video] != (0, 0):
            _expect_size(values, f"{WORDS[column]} {path}", self.sizes[video], f"the first image of {video}")
        return values

    def geometry(self, row: int) -> None:
        """Raise unless a frame's camera and its pose, if it has them, can be those of a real camera."""
        image = self.root / str(self.columns.strings("image", [row])[0])
        stored = self.sizes[str(self.columns.strings("video", [row])[0])]
        if self.form.read_pose is None:  # else it is a file of its own
            self._poses([row])
        K = self.columns.arrays("intrinsics", [row], (3, 3))[0] if "intrinsics" in self.has else None
        if K is not None and stored != (0, 0) and not (0 < K[0, 2] < stored[1] and 0 < K[1, 2] < stored[0]):
            raise InputError(
                f"the camera of image {image} has its principal point ({K[0, 2]:.1f}, {K[1, 2]:.1f}) outside the "
                f"{stored[0]} x {stored[1]} image",
                hint="intrinsics of another size",
            )

    def _images(self, video: tuple[str, ...], rows: list[int]) -> Tensor:
        images = []
        for name, path in zip(video, self.columns.strings("image", rows), strict=True):
            image = read_image(self.root / str(path))
            if self.sizes[name] != (0, 0):
                _expect_size(image, f"image {self.root / str(path)}", self.sizes[name], f"the first image of {name}")
            images.append(image)
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

    def _maps(self, column: str, rows: list[int], stored: tuple[int, int], unknown: int) -> Tensor | None:
        """Label or depth maps of the rows; those of frames that have none are full of `unknown`."""
        if column not in self.has:
            return None
        paths = self.columns.strings(column, rows)
        read: dict[int, np.ndarray] = {}
        size = None
        for i, (row, path) in enumerate(zip(rows, paths, strict=True)):
            if path is None:
                continue
            read[i] = self._read_map(column, self.root / path)
            what = f"{WORDS[column]} {self.root / path}"
            if not self.form.same_view:
                image = self.root / str(self.columns.strings("image", [row])[0])
                _expect_size(read[i], what, stored, f"its image {image}")
            size = read[i].shape if size is None else size
            _expect_size(read[i], what, size, "another one of its video")
        dtype = np.int64 if column == "label" else np.float32
        empty = np.full(stored if size is None else size, unknown, dtype)
        return torch.from_numpy(np.stack([read.get(i, empty) for i in range(len(rows))]))

    def _read_map(self, column: str, path: Path) -> np.ndarray:
        if column == "label":
            return read_labels(path, self.lookup, divisor=self.form.label_divisor)
        if self.form.read_depth is not None:
            return self.form.read_depth(path)
        return read_depth(path, per_metre=self.info.depth_per_metre or 1.0, unknown=self.info.depth_unknown)

    def _camera(self, rows: list[int], stored: tuple[int, int], framing: Framing) -> Camera | None:
        if "intrinsics" not in self.has:
            return None
        K = self.columns.arrays("intrinsics", rows, (3, 3))
        if np.isnan(K[:, 0, 0]).any():
            return None
        return framing.camera(Camera(torch.from_numpy(K), *stored)).to(dtype=torch.float32)

    def _poses(self, rows: list[int]) -> Tensor | None:
        if "pose" not in self.has:
            return None
        if self.form.read_pose is None:
            poses = self.columns.arrays("pose", rows, (4, 4))
        else:
            paths = self.columns.strings("pose", rows)
            known = [self.form.read_pose(self.root / path) for path in paths if path is not None]
            if len(known) < len(rows):
                return None
            poses = np.stack(known)
        if np.isnan(poses[:, 0, 0]).any():
            return None
        T_world_camera = torch.from_numpy(poses)
        check_pose(T_world_camera, f"pose of image {self.root / str(self.columns.strings('image', rows)[0])} and on")
        return T_world_camera.float()


def _expect_size(values: np.ndarray, what: str, size: Any, other: str) -> None:
    if values.shape[:2] != tuple(size):
        h, w = values.shape[:2]
        raise InputError(
            f"{what} is {h} x {w} px, but {other} is {size[0]} x {size[1]} px",
            hint="files of two versions of the data set in one folder",
        )
