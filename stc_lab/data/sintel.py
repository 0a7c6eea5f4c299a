"""MPI Sintel (Butler et al. 2012), an animated film with exact flow and occlusion (data_cards/sintel.md)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from stc_lab.data.camera_files import PlacedCamera, sintel_camera
from stc_lab.data.flow_files import read_flo, read_sintel_mask
from stc_lab.data.frame_files import FileFormat, file_videos
from stc_lab.data.frames import Clip
from stc_lab.data.image_files import MAX_PIXELS, read_image, read_size
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.flow import Flow
from stc_lab.geometry.occlusion import inside_visible
from stc_lab.geometry.pose import invert_pose

INFO = SourceInfo(
    name="sintel",
    frame_rate=24.0,
    has=frozenset({"depth", "intrinsics", "pose"}),
    licence="CC BY 3.0 (Blender Foundation); MPI Sintel asks to be cited",
    reference="Butler, Wulff, Stanley, Black: A naturalistic open source movie for optical flow evaluation, ECCV 2012",
    splits=("train", "test"),
    folders={"train": "sintel"},
    stored_poses="world-to-camera",
)
RENDERS = ("clean", "final")
FOLDERS = {"train": "training", "test": "test"}
_DEPTH_HEADER = struct.Struct("<fii")  # tag, width, height
_TAG = 202021.25  # as a float32 it reads PIEH


@dataclass(frozen=True)
class SintelPair:
    """Two frames that follow each other, and what is true of the first."""

    a: Clip
    b: Clip
    truth: Flow  # visible: neither hidden in b nor outside of it
    counted: Bool[Tensor, "1 h w"]  # pixels whose flow is to be judged


def sintel_videos(root: Path, split: str, *, render: str = "clean") -> Videos:
    """Videos of the folder that holds `training` (split `train`) and `test`; `render` is `clean` or `final`.

    Depth and cameras are downloads of their own, of the training scenes: they are known where `training/depth` and
    `training/camdata_left` lie beside the frames. Flow and occlusion are no part of a clip: `read_sintel_pair`.
    """
    if render not in RENDERS:
        raise InputError(f"render of 'sintel' must be one of {', '.join(RENDERS)}, got {render!r}")
    if split not in FOLDERS:
        raise InputError(f"split of 'sintel' must be one of {', '.join(FOLDERS)}, got {split!r}")
    sequences = partial(_sequences, split=split, render=render)
    return file_videos(INFO, root, sequences, FileFormat(read_depth=read_sintel_depth))


def read_sintel_depth(path: Path | str) -> Float32[np.ndarray, "h w"]:
    """Read a .dpt file: z along the optical axis, float32 row by row, in the film's units, taken as metres."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"depth map {path} is missing", hint="Sintel's depth is a download of its own")
    with path.open("rb") as file:
        head = file.read(_DEPTH_HEADER.size)
        tag, width, height = _DEPTH_HEADER.unpack(head) if len(head) == _DEPTH_HEADER.size else (0.0, 0, 0)
        if tag != _TAG or not (width >= 1 and height >= 1 and width * height <= MAX_PIXELS):
            raise InputError(
                f"depth map {path} must begin with the tag {_TAG} (PIEH) and a size of 1 to {MAX_PIXELS} pixels, "
                f"got {head!r}",
                hint="a file that was cut short, or of another format",
            )
        data = file.read(4 * width * height + 1)
    if len(data) != 4 * width * height:
        raise InputError(
            f"depth map {path} must hold {4 * width * height} bytes for its {height} x {width} px, got {len(data)}"
            f"{'' if len(data) < 4 * width * height else ' or more'}",
            hint="a download or copy that was cut short: fetch the file again",
        )
    depth = np.frombuffer(data, "<f4").reshape(height, width).astype(np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    return depth


def read_sintel_pair(root: Path | str, render: str, scene: str, frame: int) -> SintelPair:
    """Read frames `frame` and `frame + 1` of a scene with their truth from Sintel's folder `training`.

    `render` is `clean` or `final`. Sintel's occlusions do not mark what leaves the frame; `truth.visible` does.
    """
    root = Path(root)
    paths = [root / render / scene / f"frame_{frame + i:04d}.png" for i in range(2)]
    name = f"frame_{frame:04d}"
    flow = read_flo(root / "flow" / scene / f"{name}.flo")
    hidden, invalid = (read_sintel_mask(root / kind / scene / f"{name}.png") for kind in ("occlusions", "invalid"))
    index = torch.arange(frame, frame + 2)
    clip = Clip(
        video=(f"{render}/{scene}",) * 2,
        index=index,
        time=index / INFO.frame_rate,
        image=torch.stack([torch.from_numpy(read_image(path)).permute(2, 0, 1) for path in paths]).float() / 255,
    )
    truth = Flow(flow.flow, inside_visible(flow.flow) & ~hidden)
    return SintelPair(clip[0], clip[1], truth, flow.known & ~invalid)


def _sequences(tree: Tree, *, split: str, render: str) -> Iterator[FileSequence]:
    folder = FOLDERS[split]
    images = f"{folder}/{render}"
    if not tree.has_folder(images):
        raise InputError(
            f"Sintel folder {tree.root} has no {images}",
            hint="root must be the folder that holds training/ and test/, with clean/ and final/ in each",
        )
    scenes = tree.folders(images)
    if not scenes:
        raise InputError(f"{tree.root / images} has no scenes, folders like alley_1", hint="an incomplete download")
    depth, cameras = (tree.has_folder(f"{folder}/{kind}") for kind in ("depth", "camdata_left"))
    for scene in scenes:
        frames = tree.numbered(f"{images}/{scene}", prefix="frame_", suffix=".png")
        if not frames:
            raise InputError(f"{tree.root / images / scene} has no frames, like frame_0001.png")
        paths = [f"{images}/{scene}/{name}" for name in frames.values()]
        size = tree.attempt(read_size, tree.file(paths[0]))
        stems = [name.removesuffix(".png") for name in frames.values()]
        placed = None
        if cameras and size is not None:
            placed = _cameras(tree, [f"{folder}/camdata_left/{scene}/{stem}.cam" for stem in stems], size)
        yield FileSequence(
            scene,
            list(frames),
            paths,
            depth=[f"{folder}/depth/{scene}/{stem}.dpt" for stem in stems] if depth else None,
            camera=None if placed is None else Camera(torch.cat([p.camera.K for p in placed]), *placed[0].camera.size),
            pose=None if placed is None else invert_pose(torch.cat([p.T_camera_reference for p in placed])).numpy(),
            size=size,
        )


def _cameras(tree: Tree, paths: list[str], size: tuple[int, int]) -> list[PlacedCamera] | None:
    """The cameras of all frames of a scene, or None where one of them cannot be read."""
    height, width = size
    found = [
        tree.attempt(sintel_camera, tree.file(path), height=height, width=width, dtype=torch.float64) for path in paths
    ]
    known = [placed for placed in found if placed is not None]
    return known if len(known) == len(paths) else None
