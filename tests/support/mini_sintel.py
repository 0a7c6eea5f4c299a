"""A miniature of MPI Sintel in its true layout."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from miniatures import colour, pose
from PIL import Image

SIZE = (10, 24)
TAG = struct.pack("<f", 202021.25)


def write_depth(path: Path, depth: np.ndarray) -> None:
    height, width = depth.shape
    path.write_bytes(TAG + struct.pack("<ii", width, height) + depth.astype("<f4").tobytes())


def write_camera(path: Path, K: np.ndarray, T_camera_world: np.ndarray) -> None:
    path.write_bytes(TAG + K.astype("<f8").tobytes() + T_camera_world[:3].astype("<f8").tobytes())


def write_sintel(
    root: Path, scenes: Sequence[str] = ("alley_1",), frames: int = 3, *, split: str = "training", extra: bool = True
) -> Path:
    """Frames from 1 in both renders, final a little darker; `extra`: depth, and cameras whose focal length grows."""
    for scene in scenes:
        for kind in ("clean", "final", *(("depth", "camdata_left") if extra else ())):
            (root / split / kind / scene).mkdir(parents=True, exist_ok=True)
        for n in range(1, frames + 1):
            stem = f"frame_{n:04d}"
            picture = colour(n, SIZE)
            Image.fromarray(picture).save(root / split / "clean" / scene / f"{stem}.png")
            picture[..., 2] -= 50
            Image.fromarray(picture).save(root / split / "final" / scene / f"{stem}.png")
            if extra:
                depth = np.full(SIZE, 2.5 + n, np.float32)
                depth[0, :2] = (np.inf, -1)
                write_depth(root / split / "depth" / scene / f"{stem}.dpt", depth)
                K = np.array([[30.0 + n, 0, 11.5], [0, 30 + n, 4.5], [0, 0, 1]])
                write_camera(root / split / "camdata_left" / scene / f"{stem}.cam", K, np.linalg.inv(pose(n)))
    return root
