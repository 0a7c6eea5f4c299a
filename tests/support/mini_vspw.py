"""Miniature VSPW in its true layout."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from miniatures import colour
from PIL import Image

from stc_lab.data.vspw import CLASSES

SIZE = (27, 48)  # of the miniature's videos, unless others are given
IDS = (0, 1, 14, 124, 255)  # others, wall, floor, train, void: one column each, then floor


def mask(size: tuple[int, int]) -> np.ndarray:
    ids = np.full(size, 14, np.uint8)
    ids[:, : len(IDS)] = IDS
    return ids


def write_vspw(
    root: Path,
    videos: Mapping[str, Sequence[int]] | None = None,
    *,
    split: str = "train",
    masks: bool = True,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> Path:
    """The videos of a split, by name with their frame numbers, added to what is there."""
    videos = {"1001_3iEIq5HBY1s": [2058, 2059, 2060]} if videos is None else videos
    for name, numbers in videos.items():
        folder, size = root / "data" / name, (sizes or {}).get(name, SIZE)
        for kind in ("origin", *(["mask"] if masks else [])):
            (folder / kind).mkdir(parents=True)
        for n in numbers:
            Image.fromarray(colour(n, size)).save(folder / "origin" / f"{n:08d}.jpg", quality=95)
            if masks:
                Image.fromarray(mask(size)).save(folder / "mask" / f"{n:08d}.png")
    (root / f"{split}.txt").write_text("\n".join(videos) + "\n")
    numbered = {name: str(i) for i, name in enumerate(CLASSES, start=1)} | {"others": "0"}
    (root / "label_num_dic_final.json").write_text(json.dumps(numbered))
    return root
