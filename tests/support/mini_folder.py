"""Somebody's own frames in folders, with all that can go with them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from miniatures import colour, pose
from PIL import Image

SIZE = (8, 12)
PATTERNS = {
    "images": "*/color/*.jpg",
    "labels": "*/label/*.png",
    "depth": "*/depth/*.png",
    "poses": "*/pose/*.txt",
    "intrinsics": "*/intrinsics.txt",
}
ALL = {**PATTERNS, "classes": ["wall", "floor", "chair"], "depth_per_metre": 1000}


def write_images(root: Path, frames: int = 2) -> Path:
    """Images alone, all in one folder."""
    root.mkdir(parents=True, exist_ok=True)
    for n in range(frames):
        Image.fromarray(colour(40 * n, SIZE)).save(root / f"{n:04d}.jpg", quality=95)
    return root


def write_folder(root: Path, videos: Sequence[str] = ("a", "b"), frames: int = 3) -> Path:
    """Frame n: label 1 with a void pixel, depth 1.5 m + n mm, pose(n); names padded unalike, as programs do."""
    for video in videos:
        for kind in ("color", "label", "depth", "pose"):
            (root / video / kind).mkdir(parents=True)
        for n in range(frames):
            Image.fromarray(colour(40 * n, SIZE)).save(root / video / "color" / f"{n:06d}.jpg", quality=95)
            label = np.ones(SIZE, np.uint8)
            label[0, 0] = 255
            Image.fromarray(label).save(root / video / "label" / f"{n}.png")
            Image.fromarray(np.full(SIZE, 1500 + n, np.uint16)).save(root / video / "depth" / f"{n:03d}.png")
            np.savetxt(root / video / "pose" / f"{n}.txt", pose(n))
        np.savetxt(root / video / "intrinsics.txt", [[20.0, 0, 5.5], [0, 21, 3.5], [0, 0, 1]])
    return root
