"""A miniature of YouTube-VOS in its true layout: masks of every fifth frame, and what the objects are."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mini_davis import mask, write_mask
from miniatures import colour
from PIL import Image

SIZE = (12, 20)
VIDEOS = {"003234408d": ("penguin", "penguin", "person"), "0043f083b5": ("bus", "sedan")}


def write_youtubevos(
    root: Path,
    videos: Mapping[str, Sequence[str]] = VIDEOS,
    *,
    split: str = "train",
    first: int = 0,
    count: int = 3,
    all_frames: str | None = None,
    masks_of: Sequence[int] | None = None,
) -> Path:
    """Videos by name, with the categories of their objects; frames are `first`, `first` + 5, ...

    `all_frames` is the folder that gets every frame; `masks_of` the frames that have a mask, by default all.
    """
    meta: dict[str, object] = {}
    labelled = [first + 5 * i for i in range(count)]
    for name, categories in videos.items():
        for kind in ("JPEGImages", "Annotations"):
            (root / split / kind / name).mkdir(parents=True, exist_ok=True)
        for n in labelled:
            Image.fromarray(colour(10 * n, SIZE)).save(root / split / "JPEGImages" / name / f"{n:05d}.jpg", quality=95)
            if masks_of is None or n in masks_of:
                write_mask(root / split / "Annotations" / name / f"{n:05d}.png", mask(len(categories), SIZE))
        if all_frames is not None:
            folder = root / all_frames / "JPEGImages" / name
            folder.mkdir(parents=True, exist_ok=True)
            for n in range(first, labelled[-1] + 1):
                Image.fromarray(colour(10 * n, SIZE)).save(folder / f"{n:05d}.jpg", quality=95)
        frames = [f"{n:05d}" for n in labelled]
        objects = {str(i): {"category": c, "frames": frames} for i, c in enumerate(categories, start=1)}
        meta[name] = {"objects": objects}
    (root / split / "meta.json").write_text(json.dumps({"videos": meta}))
    return root
