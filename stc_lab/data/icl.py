"""A rendered RGB-D sequence in Open3D's layout: ICL-NUIM living room 1, 640 x 480 px (data_cards/icl.md)."""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from stc_lab.data.frame_files import FileFormat, FrameFile, file_videos
from stc_lab.data.pose_files import read_log_poses, read_named_poses
from stc_lab.data.schema import SourceInfo
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

INFO = SourceInfo(
    name="icl",
    frame_rate=30.0,
    has=frozenset({"depth", "intrinsics", "pose"}),
    licence="CC BY 3.0, as ICL-NUIM is generally published",
    reference="Handa et al.: A benchmark for RGB-D visual odometry, 3D reconstruction and SLAM, ICRA 2014; "
    "Choi, Zhou, Koltun: Robust reconstruction of indoor scenes, CVPR 2015",
)


def icl_videos(root: Path, split: str = "train") -> Videos:
    """The sequence of a folder with `image/`, `depth/`, a camera's .json, and `poses_c2w.txt` or `trajectory.log`.

    Its only split is `train`. Depth is in millimetres; poses are camera-to-world, in order of the frame numbers.
    """
    if split != "train":
        raise InputError(f"the only split of {INFO.name!r} is 'train', got {split!r}")
    images, depths = (_numbered(root / name) for name in ("image", "depth"))
    lost = sorted(images.keys() - depths.keys())
    if lost:
        raise InputError(
            f"image {images[lost[0]]} has no depth map {lost[0]:05d}.png in {root / 'depth'} "
            f"({len(lost)} of {len(images)} images lack theirs)",
            hint="an incomplete download or copy",
        )
    numbers = sorted(images)
    poses = _poses(root, numbers)
    sequence = root.resolve().name
    frames = [FrameFile(sequence, n, images[n], depth=depths[n], pose=poses[n]) for n in numbers]
    form = FileFormat(depth_per_metre=1000.0, depth_unknown=(0,))
    return file_videos(INFO, frames, form, camera=_camera(root))


def _numbered(folder: Path) -> dict[int, Path]:
    """Picture files of a folder whose names are numbers, by number."""
    if not folder.is_dir():
        raise InputError(
            f"folder {folder} is missing", hint="root must be the folder that holds image, depth and the camera's json"
        )
    files = {int(path.stem): path for path in folder.iterdir() if path.suffix in (".jpg", ".png") and _is_number(path)}
    if not files:
        raise InputError(f"{folder} has no pictures named by numbers, like 00000.png", hint="an empty download")
    return files


def _is_number(path: Path) -> bool:
    return path.stem.isascii() and path.stem.isdigit()


def _poses(root: Path, numbers: list[int]) -> dict[int, Float64[np.ndarray, "4 4"]]:
    named, log = root / "poses_c2w.txt", root / "trajectory.log"
    if named.is_file():
        poses = {int(name): pose for name, pose in read_named_poses(named).items() if name.isdigit()}
        lost = [n for n in numbers if n not in poses]
        if lost:
            raise InputError(
                f"{named} has no pose of frame {lost[0]:05d}", hint="poses of another part of the sequence"
            )
        return poses
    if not log.is_file():
        raise InputError(f"{root} has neither {named.name} nor {log.name}", hint="an incomplete download or copy")
    listed = read_log_poses(log)
    if len(listed) != len(numbers):
        raise InputError(
            f"trajectory {log} must have a pose for each of the {len(numbers)} images, got {len(listed)}",
            hint="the trajectory of the whole sequence beside a part of its images",
        )
    return dict(zip(numbers, listed, strict=True))


def _camera(root: Path) -> Camera:
    files = sorted(root.glob("*.json"))
    if len(files) != 1:
        got = ", ".join(path.name for path in files) or "none"
        raise InputError(
            f"{root} must hold one .json file, the camera's, got {got}", hint="copy Open3D's camera_*.json"
        )
    try:
        values = json.loads(files[0].read_text(encoding="utf-8"))
        fx, _, _, _, fy, _, cx, cy, _ = map(float, values["intrinsic_matrix"])  # stored by columns
        height, width = int(values["height"]), int(values["width"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"camera file {files[0]} must give width, height and intrinsic_matrix (9 numbers, by columns): {error!r}",
            hint="a file of another program, or one that was cut short",
        ) from error
    return Camera.from_parameters(fx, fy, cx, cy, height=height, width=width)
