"""7-Scenes: Kinect RGB-D video with camera poses, 640 x 480 px (data_cards/sevenscenes.md)."""

import re
from pathlib import Path

import numpy as np

from stc_lab.data.frame_files import FileFormat, FrameFile, file_videos
from stc_lab.data.pose_files import read_pose
from stc_lab.data.schema import SourceInfo
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

INFO = SourceInfo(
    name="sevenscenes",
    frame_rate=30.0,
    has=frozenset({"depth", "intrinsics", "pose"}),
    licence="Microsoft Research, non-commercial use",
    reference="Shotton et al.: Scene coordinate regression forests for camera relocalization, CVPR 2013",
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
    frames: list[FrameFile] = []
    registered: bool | None = None
    for folder in _sequences(root, split):
        own, with_registered = _frames(folder)
        if registered not in (None, with_registered):
            raise InputError(f"{folder} must have registered depth as the other sequences of {root} do, or none")
        registered = with_registered
        frames += own
    focal = COLOR_FOCAL if registered else DEPTH_FOCAL
    camera = Camera.from_parameters(focal, focal, 320.0, 240.0, height=HEIGHT, width=WIDTH)
    form = FileFormat(depth_per_metre=1000.0, depth_unknown=(0, 65535))
    return file_videos(INFO, frames, form, camera=camera)


def _sequences(root: Path, split: str) -> list[Path]:
    """Folders of the frames of a split; a folder that itself holds frames is one training video."""
    lists = root / f"{split.capitalize()}Split.txt"
    if lists.is_file():
        folders = []
        for i, line in enumerate(lists.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if not line.strip():
                continue
            number = re.fullmatch(r"sequence(\d+)", line.strip())
            if number is None:
                raise InputError(f"{lists}, line {i} must be like 'sequence1', got {line.strip()[:80]!r}")
            folders.append(root / f"seq-{int(number[1]):02d}")
        if not folders:
            raise InputError(f"{lists} names no sequences", hint="an empty file: fetch it again")
        return folders
    if split != "train":
        raise InputError(
            f"7-Scenes folder {root} has no {lists.name}, so its frames are the split 'train', got split {split!r}",
            hint="root must be the folder of one scene, with seq-01, ... and TrainSplit.txt, TestSplit.txt",
        )
    return [root]


def _frames(folder: Path) -> tuple[list[FrameFile], bool]:
    """Frames of one sequence with the poses of their camera, and whether their depth is registered to colour."""
    if not folder.is_dir():
        raise InputError(f"sequence folder {folder} is missing", hint="an archive that was not unpacked")
    files = {path.name: path for path in folder.iterdir()}
    colors = {int(match[1]): path for name, path in files.items() if (match := _COLOR.fullmatch(name))}
    if not colors:
        raise InputError(f"{folder} has no frames, frame-*.color.png or .jpg", hint="an archive that was not unpacked")
    registered = any(name.endswith(".depth_registered.png") for name in files)
    depth_name = "depth_registered.png" if registered else "depth.png"
    T_depth_color = np.eye(4)
    T_depth_color[0, 3] = -COLOR_X
    frames = []
    for number, color in sorted(colors.items()):
        stem = color.name.split(".")[0]
        T_world_depth = read_pose(folder / f"{stem}.pose.txt")
        frames.append(
            FrameFile(
                folder.resolve().name,
                number,
                color,
                depth=folder / f"{stem}.{depth_name}",
                pose=T_world_depth @ T_depth_color if registered else T_world_depth,
            )
        )
    return frames, registered
