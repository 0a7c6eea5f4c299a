"""Frames and masks in two folders under the same numbers, as DAVIS and YouTube-VOS lie on disk."""

from pathlib import Path

from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.errors import InputError


def masked_sequence(tree: Tree, name: str, images: str, masks: str, every: bool) -> FileSequence:
    """The sequence of the folders `images` and `masks`; `every` frame should have a mask, or only those that do."""
    frames = tree.numbered(images, suffix=(".jpg", ".png"))
    if not frames:
        raise InputError(f"{tree.root / images} has no frames 00000.jpg, ...", hint="an incomplete download or copy")
    found = set(tree.names(masks, suffix=".png")) if tree.has_folder(masks) else set()
    labels = [f"{Path(frame).stem}.png" for frame in frames.values()]
    return FileSequence(
        name,
        list(frames),
        [f"{images}/{frame}" for frame in frames.values()],
        label=[f"{masks}/{label}" if every or label in found else None for label in labels],
    )
