"""7-Scenes: Kinect RGB-D video with camera poses, 640 x 480 px (data_cards/sevenscenes.md)."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from stc_lab.data.frame_files import file_videos
from stc_lab.data.pose_files import read_pose
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

INFO = SourceInfo(
    name="sevenscenes",
    frame_rate=30.0,
    has=frozenset({"depth", "intrinsics", "pose"}),
    licence="Microsoft Research, non-commercial use",
    reference="Shotton et al.: Scene coordinate regression forests for camera relocalization, CVPR 2013",
    splits=("train", "test"),
    folders={"train": "sevenscenes_redkitchen"},
    depth_per_metre=1000.0,
    depth_unknown=(0, 65535),
)
HEIGHT, WIDTH = 480, 640
DEPTH_FOCAL, COLOR_FOCAL = 585.0, 525.0  # px: nominal, of the depth camera; fitted, of the colour camera
COLOR_X = -0.025  # m: what the depth camera sees at x = 0 lies there in the colour camera; fitted
_COLOR = re.compile(r"frame-(\d+)\.color\.(png|jpg)")


def sevenscenes_videos(root: Path, split: str) -> Videos:
    """Videos of a scene's folder (`seq-01`, ... and TrainSplit.txt, TestSplit.txt), or of one folder of frames.

    Colour and depth come from two cameras and are not registered. Where `frame-*.depth_registered.png` lies beside the
    frames, the clip is the colour camera's: that depth, K of 525 px, and the pose moved to it. Otherwise the depth is
    taken as if it were the colour camera's, with the nominal 585 px, as is usual for this data set; warps then err by
    some pixels.
    """
    return file_videos(INFO, root, partial(_sequences, split=split))


def _sequences(tree: Tree, *, split: str) -> Iterator[FileSequence]:
    registered: bool | None = None
    for folder in _folders(tree, split):
        names = tree.names(folder)
        own = any(name.endswith(".depth_registered.png") for name in names)
        if registered not in (None, own):
            raise InputError(
                f"{tree.root / folder} must have registered depth as the other sequences of {tree.root} do, or none"
            )
        registered = own
        yield _sequence(tree, folder, names, registered)


def _folders(tree: Tree, split: str) -> list[str]:
    """Folders of the frames of a split; a folder that itself holds frames is one training video."""
    lists = tree.file(f"{split.capitalize()}Split.txt")
    if lists.is_file():
        folders = []
        for i, line in enumerate(lists.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if not line.strip():
                continue
            number = re.fullmatch(r"sequence(\d+)", line.strip())
            if number is None:
                raise InputError(f"{lists}, line {i} must be like 'sequence1', got {line.strip()[:80]!r}")
            folders.append(f"seq-{int(number[1]):02d}")
        if not folders:
            raise InputError(f"{lists} names no sequences", hint="an empty file: fetch it again")
        return folders
    if split != "train":
        raise InputError(
            f"7-Scenes folder {tree.root} has no {lists.name}, so its frames are the split 'train', "
            f"got split {split!r}",
            hint="root must be the folder of one scene, with seq-01, ... and TrainSplit.txt, TestSplit.txt",
        )
    return ["."]


def _sequence(tree: Tree, folder: str, names: list[str], registered: bool) -> FileSequence:
    """Frames of one folder with the poses of their camera."""
    images = {int(match[1]): name for name in names if (match := _COLOR.fullmatch(name))}
    where = tree.root / folder
    if not images:
        raise InputError(f"{where} has no frames, frame-*.color.png or .jpg", hint="an archive that was not unpacked")
    T_depth_color = np.eye(4)
    T_depth_color[0, 3] = -COLOR_X
    focal = COLOR_FOCAL if registered else DEPTH_FOCAL
    numbers, poses = sorted(images), []
    for number in numbers:
        stem = images[number].split(".")[0]
        pose = tree.attempt(read_pose, tree.file(f"{folder}/{stem}.pose.txt"))
        T_world_depth = np.full((4, 4), np.nan) if pose is None else pose
        poses.append(T_world_depth @ T_depth_color if registered else T_world_depth)
    depth = "depth_registered.png" if registered else "depth.png"
    return FileSequence(
        where.resolve().name,
        numbers,
        [f"{folder}/{images[n]}" for n in numbers],
        depth=[f"{folder}/{images[n].split('.')[0]}.{depth}" for n in numbers],
        camera=Camera.from_parameters(focal, focal, 320.0, 240.0, height=HEIGHT, width=WIDTH, dtype=torch.float64),
        pose=np.stack(poses),
    )
