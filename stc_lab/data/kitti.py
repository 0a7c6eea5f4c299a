"""KITTI odometry: rectified video of a driving car, 10 Hz, with poses (data_cards/kitti.md)."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from stc_lab.data.camera_files import PlacedCamera, kitti_cameras
from stc_lab.data.frame_files import file_videos
from stc_lab.data.image_files import read_size
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.trajectory_files import read_row_poses, read_times
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.pose import invert_pose

INFO = SourceInfo(
    name="kitti",
    frame_rate=10.0,
    has=frozenset({"intrinsics", "pose"}),
    licence="CC BY-NC-SA 3.0",
    reference="Geiger, Lenz, Urtasun: Are we ready for autonomous driving? The KITTI vision benchmark suite, CVPR 2012",
    splits=("train", "test"),
    folders={"train": "kitti_odometry_06"},
)
CAMERAS = {"left grey": 0, "right grey": 1, "left colour": 2, "right colour": 3}
SEQUENCES = {"train": range(11), "test": range(11, 22)}  # with and without published poses


def kitti_videos(
    root: Path, split: str, *, camera: str = "left grey", sequences: Sequence[str] | None = None
) -> Videos:
    """Videos of the folder that holds `sequences/NN/image_{0..3}` and `poses/NN.txt`, seen by one of four cameras.

    `train` are the sequences 00 to 10, whose poses are published, `test` are 11 to 21; those that are not there are
    left out. `sequences`, like ["09", "10"], names some of a split. The poses are those of the left grey camera, moved
    to the chosen one by the baseline in calib.txt. Without a folder `poses` no frame has one.
    """
    if camera not in CAMERAS:
        raise InputError(f"camera of 'kitti' must be one of {', '.join(CAMERAS)}, got {camera!r}")
    if split not in SEQUENCES:
        raise InputError(f"split of 'kitti' must be one of {', '.join(SEQUENCES)}, got {split!r}")
    names = [f"{number:02d}" for number in SEQUENCES[split]]
    asked = names if sequences is None else sequences
    if isinstance(asked, str) or not asked or not set(asked) <= set(names):
        raise InputError(
            f"sequences of the split {split!r} must be a list of names from {names[0]} to {names[-1]}, got {asked!r}",
            hint="two digits each, as text: sequences=['09', '10']",
        )
    wanted = partial(_sequences, camera=camera, names=list(asked), all_needed=sequences is not None)
    return file_videos(INFO, root, wanted)


def _sequences(tree: Tree, *, camera: str, names: list[str], all_needed: bool) -> Iterator[FileSequence]:
    there = [name for name in names if tree.has_folder(f"sequences/{name}")]
    if not there or (all_needed and len(there) < len(names)):
        lost = [name for name in names if name not in there]
        raise InputError(
            f"KITTI folder {tree.root} has no sequences/{', '.join(lost)}",
            hint="root must be the folder that holds sequences/ and poses/; 00 to 10 are train, 11 to 21 test",
        )
    for name in there:
        yield _sequence(tree, name, camera)


def _sequence(tree: Tree, name: str, camera: str) -> FileSequence:
    folder = f"sequences/{name}/image_{CAMERAS[camera]}"
    if not tree.has_folder(folder):
        others = [other for other, i in CAMERAS.items() if tree.has_folder(f"sequences/{name}/image_{i}")]
        raise InputError(
            f"{tree.root / folder} of the {camera} camera is missing; there are: {', '.join(others) or 'none'}",
            hint="grey and colour images are two downloads: load('kitti', ..., camera='left colour')",
        )
    images = tree.numbered(folder, suffix=(".png", ".jpg"))
    if not images:
        raise InputError(f"{tree.root / folder} has no images, like 000000.png", hint="an empty or broken download")
    numbers = list(images)
    paths = [f"{folder}/{image}" for image in images.values()]
    size = tree.attempt(read_size, tree.file(paths[0]))
    placed = None if size is None else tree.attempt(_camera, tree.file(f"sequences/{name}/calib.txt"), camera, size)
    stamps = tree.file(f"sequences/{name}/times.txt")
    return FileSequence(
        name,
        numbers,
        paths,
        camera=None if placed is None else placed.camera,
        pose=_poses(tree, name, numbers, placed),
        time=tree.attempt(_times, stamps, numbers) if stamps.is_file() else None,
        size=size,
    )


def _camera(path: Path, camera: str, size: tuple[int, int]) -> PlacedCamera:
    cameras = kitti_cameras(path, height=size[0], width=size[1], dtype=torch.float64)
    if CAMERAS[camera] not in cameras:
        raise InputError(
            f"{path} has no line P{CAMERAS[camera]}: of the {camera} camera",
            hint="a file that was cut short, or of a copy with fewer cameras",
        )
    return cameras[CAMERAS[camera]]


def _poses(
    tree: Tree, name: str, numbers: list[int], placed: PlacedCamera | None
) -> Float64[np.ndarray, "n 4 4"] | None:
    """Camera-to-world poses of the chosen camera; the world is the left grey camera's first frame."""
    if int(name) not in SEQUENCES["train"] or placed is None or not tree.has_folder("poses"):
        return None
    path = tree.file(f"poses/{name}.txt")
    listed = tree.attempt(read_row_poses, path)
    T_world_left = None if listed is None else tree.attempt(_of_frames, path, listed, numbers)
    if T_world_left is None:
        return None
    T_left_camera = invert_pose(placed.T_camera_reference)[0].numpy()
    return T_world_left @ T_left_camera


def _times(path: Path, numbers: list[int]) -> Float64[np.ndarray, " n"]:
    return _of_frames(path, read_times(path), numbers)


def _of_frames(path: Path, lines: np.ndarray, numbers: list[int]) -> np.ndarray:
    """The lines of the frames' numbers, of a file with one for each frame from 0."""
    if numbers[-1] >= len(lines):
        raise InputError(
            f"{path} must have a line for each frame up to {numbers[-1]:06d}, it has {len(lines)}",
            hint="a file that was cut short, or that of another sequence",
        )
    return lines[numbers]
