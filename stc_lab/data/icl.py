"""A rendered RGB-D sequence in Open3D's layout: ICL-NUIM living room 1, 640 x 480 px (data_cards/icl.md)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from stc_lab.data.camera_files import open3d_camera
from stc_lab.data.frame_files import file_videos
from stc_lab.data.pose_files import read_log_poses, read_named_poses
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
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
    folders={"train": "icl_livingroom1"},
    depth_per_metre=1000.0,
)


def icl_videos(root: Path, split: str = "train") -> Videos:
    """The sequence of a folder with `image/`, `depth/`, a camera's .json, and `poses_c2w.txt` or `trajectory.log`.

    Its only split is `train`. Depth is in millimetres; poses are camera-to-world, in order of the frame numbers.
    """
    if split != "train":
        raise InputError(f"the only split of {INFO.name!r} is 'train', got {split!r}")
    return file_videos(INFO, root, _sequences)


def _sequences(tree: Tree) -> Iterator[FileSequence]:
    images = tree.numbered("image", suffix=(".jpg", ".png"))
    if not images:
        raise InputError(
            f"{tree.root / 'image'} has no pictures named by numbers, like 00000.jpg", hint="an empty download"
        )
    numbers = list(images)
    depths = tree.numbered("depth", suffix=".png")
    digits = max((len(name) for name in depths.values()), default=9)
    poses = _poses(tree, numbers)
    yield FileSequence(
        tree.root.resolve().name,
        numbers,
        [f"image/{name}" for name in images.values()],
        depth=["depth/" + depths.get(n, f"{n}.png".zfill(digits)) for n in numbers],
        camera=_camera(tree),
        pose=np.stack([poses[n] for n in numbers]),
    )


def _poses(tree: Tree, numbers: list[int]) -> dict[int, Float64[np.ndarray, "4 4"]]:
    named, log = tree.file("poses_c2w.txt"), tree.file("trajectory.log")
    if named.is_file():
        poses = {int(name): pose for name, pose in read_named_poses(named).items() if name.isdigit()}
        lost = [n for n in numbers if n not in poses]
        if lost:
            raise InputError(
                f"{named} has no pose of frame {lost[0]:05d}", hint="poses of another part of the sequence"
            )
        return poses
    if not log.is_file():
        raise InputError(f"{tree.root} has neither {named.name} nor {log.name}", hint="an incomplete download or copy")
    listed = read_log_poses(log)
    if len(listed) != len(numbers):
        raise InputError(
            f"trajectory {log} must have a pose for each of the {len(numbers)} images, got {len(listed)}",
            hint="the trajectory of the whole sequence beside a part of its images",
        )
    return dict(zip(numbers, listed, strict=True))


def _camera(tree: Tree) -> Camera:
    files = [tree.file(name) for name in tree.names(suffix=".json")]
    if len(files) != 1:
        got = ", ".join(path.name for path in files) or "none"
        raise InputError(
            f"{tree.root} must hold one .json file, the camera's, got {got}", hint="copy Open3D's camera_*.json"
        )
    return open3d_camera(files[0], dtype=torch.float64)
