"""A miniature of DAVIS 2016 or 2017 in its true layout."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from miniatures import colour
from PIL import Image

SIZE = (12, 20)
PALETTE = [value for i in range(256) for value in (255 - i, 7 * i % 256, 100)]  # colours that are not the ids


def mask(objects: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Object i fills column i, the rest is background."""
    ids = np.zeros(size, np.uint8)
    for i in range(1, objects + 1):
        ids[:, i] = i
    return ids


def write_mask(path: Path, ids: np.ndarray, *, palette: bool = True) -> None:
    picture = Image.fromarray(ids)
    if palette:
        picture.putpalette(PALETTE)
    picture.save(path)


def write_davis(
    root: Path,
    sequences: Mapping[str, int] | None = None,
    *,
    year: int = 2017,
    split: str = "train",
    frames: int = 3,
    resolution: str = "480p",
    annotations: str = "Annotations",
    size: tuple[int, int] = SIZE,
) -> Path:
    """Sequences by name, with the number of their objects, and the list of their split; test sets have one mask."""
    sequences = {"bear": 1, "bike-packing": 2} if sequences is None else sequences
    lines = []
    for name, objects in sequences.items():
        images, masks = root / "JPEGImages" / resolution / name, root / annotations / resolution / name
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        for n in range(frames):
            Image.fromarray(colour(10 * n, size)).save(images / f"{n:05d}.jpg", quality=95)
            ids = mask(objects, size)
            if year == 2016:
                ids = (ids > 0).astype(np.uint8) * 255
                lines.append(
                    f"/JPEGImages/{resolution}/{name}/{n:05d}.jpg /Annotations/{resolution}/{name}/{n:05d}.png "
                )
            if n == 0 or not split.startswith("test"):
                write_mask(masks / f"{n:05d}.png", ids, palette=year == 2017)
        if year == 2017:
            lines.append(name)
    lists = root / "ImageSets" / ("480p" if year == 2016 else "2017")
    lists.mkdir(parents=True, exist_ok=True)
    (lists / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root
