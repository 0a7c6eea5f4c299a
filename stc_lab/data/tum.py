"""TUM RGB-D: Kinect video with the poses of a motion capture system, 640 x 480 px (data_cards/tum.md)."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import Float64, Int64

from stc_lab.data.camera_files import TUM_INTRINSICS, tum_camera
from stc_lab.data.frame_files import file_videos
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.trajectory_files import content_lines, read_timed_poses, rising
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

INFO = SourceInfo(
    name="tum",
    frame_rate=30.0,
    has=frozenset({"depth", "intrinsics", "pose"}),
    licence="CC BY 4.0, as the authors' page states it",
    reference="Sturm et al.: A benchmark for the evaluation of RGB-D SLAM systems, IROS 2012",
    depth_per_metre=5000.0,
)
TOLERANCE = 0.02  # s: what is further apart does not belong together
FREIBURG2_PER_METRE = 5208.0  # of freiburg 2, as its SLAM settings have it; the other cameras have the 5000 of the page
CAMERAS = {f"freiburg{number}": number for number in TUM_INTRINSICS}
_NAME = re.compile(r"freiburg\d+")


def tum_videos(
    root: Path, split: str = "train", *, camera: str | None = None, depth_per_metre: float | None = None
) -> Videos:
    """Videos of one sequence's folder (rgb.txt, depth.txt, groundtruth.txt, rgb/, depth/) or of a folder of them.

    Its only split is `train`. A frame is a line of rgb.txt whose nearest depth map and nearest pose lie within 0.02 s,
    each of which is used once; nothing is interpolated, others are skipped. The times are those of the colour images.
    `camera` is freiburg1, freiburg2 or freiburg3, by default what the folder's name says. Images stay distorted as they
    are stored. Depth has 5000 units to the metre, of freiburg 2 5208, unless `depth_per_metre` is given.
    """
    if split != "train":
        raise InputError(f"the only split of {INFO.name!r} is 'train', got {split!r}")
    if camera is not None and camera not in CAMERAS:
        raise InputError(f"camera of 'tum' must be one of {', '.join(CAMERAS)}, got {camera!r}")
    tree = Tree(root)
    units = _units({_camera(tree, folder, camera) for folder in _folders(tree)}, root, depth_per_metre)
    return file_videos(replace(INFO, depth_per_metre=units), root, partial(_sequences, camera=camera))


def associate(a: Float64[np.ndarray, " n"], b: Float64[np.ndarray, " m"], tolerance: float) -> Int64[np.ndarray, " n"]:
    """Place in `b` of the partner of each time of `a`, or -1: the nearest pairs first, each time used once.

    Both rise. As associate.py of the data set, which takes the same pairs from a list of all of them.
    """
    left, right = np.searchsorted(b, a - tolerance, "left"), np.searchsorted(b, a + tolerance, "right")
    counts = right - left
    i = np.repeat(np.arange(len(a)), counts)
    j = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts - left, counts)
    apart = np.abs(a[i] - b[j])
    partner, taken = np.full(len(a), -1), np.zeros(len(b), bool)
    for k in np.argsort(apart, kind="stable"):
        if apart[k] < tolerance and partner[i[k]] < 0 and not taken[j[k]]:
            partner[i[k]] = j[k]
            taken[j[k]] = True
    return partner


def _folders(tree: Tree) -> list[str]:
    """Folders of the sequences of a root, which may be one itself."""
    if tree.file("rgb.txt").is_file():
        return ["."]
    folders = [name for name in tree.folders() if tree.file(f"{name}/rgb.txt").is_file()]
    if not folders:
        raise InputError(
            f"TUM folder {tree.root} has no rgb.txt, nor has a folder in it",
            hint="root must be the folder of a sequence, like rgbd_dataset_freiburg1_desk, or one that holds such",
        )
    return folders


def _camera(tree: Tree, folder: str, chosen: str | None) -> str:
    if chosen is not None:
        return chosen
    where = (tree.root / folder).resolve().name
    name = _NAME.search(where)
    if name is None or name[0] not in CAMERAS:
        raise InputError(
            f"the name of TUM sequence {where!r} must tell its camera, {', '.join(CAMERAS)}",
            hint="a folder that was renamed: say it, load('tum', ..., camera='freiburg1')",
        )
    return name[0]


def _units(cameras: set[str], root: Path, chosen: float | None) -> float:
    """Units of depth in a metre, which must be one for all sequences that are opened together."""
    if chosen is not None:
        if not chosen > 0:
            raise InputError(f"depth_per_metre must be positive, got {chosen}")
        return float(chosen)
    assert INFO.depth_per_metre is not None
    units = {FREIBURG2_PER_METRE if name == "freiburg2" else INFO.depth_per_metre for name in cameras}
    if len(units) > 1:
        raise InputError(
            f"the sequences of {root} have two units of depth: of freiburg2 {FREIBURG2_PER_METRE:g} to the metre, "
            f"of the others {INFO.depth_per_metre:g}",
            hint="open them apart, or take one for all: depth_per_metre=5000, as the data set's page says",
        )
    return units.pop()


def _sequences(tree: Tree, *, camera: str | None) -> Iterator[FileSequence]:
    for folder in _folders(tree):
        yield _sequence(tree, folder, _camera(tree, folder, camera))


def _sequence(tree: Tree, folder: str, camera: str) -> FileSequence:
    times, images = _stamped(tree.file(f"{folder}/rgb.txt"))
    depth_times, depths = _stamped(tree.file(f"{folder}/depth.txt"))
    depth_of = associate(times, depth_times, TOLERANCE)
    skipped = {f"no depth map within {TOLERANCE} s": int((depth_of < 0).sum())}
    kept, poses = depth_of >= 0, None
    truth = tree.file(f"{folder}/groundtruth.txt")
    if truth.is_file():  # the sequences for validation come without
        pose_times, all_poses = read_timed_poses(truth)
        pose_of = associate(times, pose_times, TOLERANCE)
        skipped[f"no pose within {TOLERANCE} s"] = int((kept & (pose_of < 0)).sum())
        kept &= pose_of >= 0
        poses = all_poses[pose_of[kept]]
    # Times drift against 30 Hz: only the step from one image to the next tells how many were dropped between them.
    number = np.cumsum([0, *np.maximum(1, np.rint(np.diff(times) * INFO.frame_rate)).astype(int)])
    chosen = np.flatnonzero(kept).tolist()
    return FileSequence(
        (tree.root / folder).resolve().name,
        number[kept],
        [f"{folder}/{images[i]}" for i in chosen],
        depth=[f"{folder}/{depths[depth_of[i]]}" for i in chosen],
        camera=tum_camera(CAMERAS[camera], dtype=torch.float64),
        pose=poses,
        time=times[kept],
        skipped={reason: count for reason, count in skipped.items() if count},
    )


def _stamped(path: Path) -> tuple[Float64[np.ndarray, " n"], list[str]]:
    """Times (s) and files of the lines `time folder/file` of rgb.txt or depth.txt."""
    lines, times, names = [], [], []
    for i, line in content_lines(path):
        words = line.split()
        try:
            time = float(words[0])
        except ValueError:
            time = np.nan
        name = PurePosixPath(words[-1])
        if len(words) != 2 or not np.isfinite(time) or name.is_absolute() or ".." in name.parts:
            raise InputError(
                f"{path}, line {i} must be like '1305031102.175304 rgb/1305031102.175304.png', got {line[:80]!r}",
                hint="a list of another data set, or one that was cut short",
            )
        lines.append(i)
        times.append(time)
        names.append(str(name))
    return rising(np.array(times), path, lines), names
