"""YouTube-VOS: many short videos with masks of objects in every fifth frame (data_cards/youtubevos.md)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from stc_lab.data.frame_files import FileReader, file_videos
from stc_lab.data.image_files import id_lookup, read_labels
from stc_lab.data.mask_folders import masked_sequence
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

MOST_OBJECTS = 20  # of a video: a bound of ours, so that an id beyond it is noticed
INFO = SourceInfo(
    name="youtubevos",
    frame_rate=30.0,
    has=frozenset({"label"}),
    licence="annotations CC BY 4.0; the data for non-commercial research only (terms of use)",
    reference="Xu et al.: YouTube-VOS: a large-scale video object segmentation benchmark, arXiv:1809.03327",
    classes=("background", *(f"object {i}" for i in range(1, MOST_OBJECTS + 1))),
    splits=("train", "valid", "test"),
    ignore_ids={255: "void"},
)
# The categories of the training videos. Validation and test also have others, which nothing trained here can know.
CATEGORIES = (
    "airplane",
    "ape",
    "bear",
    "bike",
    "bird",
    "boat",
    "bucket",
    "bus",
    "camel",
    "cat",
    "cow",
    "crocodile",
    "deer",
    "dog",
    "dolphin",
    "duck",
    "eagle",
    "earless_seal",
    "elephant",
    "fish",
    "fox",
    "frisbee",
    "frog",
    "giant_panda",
    "giraffe",
    "hand",
    "hat",
    "hedgehog",
    "horse",
    "knife",
    "leopard",
    "lion",
    "lizard",
    "monkey",
    "motorbike",
    "mouse",
    "others",
    "owl",
    "paddle",
    "parachute",
    "parrot",
    "penguin",
    "person",
    "plant",
    "rabbit",
    "raccoon",
    "sedan",
    "shark",
    "sheep",
    "sign",
    "skateboard",
    "snail",
    "snake",
    "snowboard",
    "squirrel",
    "surfboard",
    "tennis_racket",
    "tiger",
    "toilet",
    "train",
    "truck",
    "turtle",
    "umbrella",
    "whale",
    "zebra",
)
CATEGORY_INFO = replace(INFO, classes=("background", *CATEGORIES, "unseen"))
LABELS = ("instance", "category")


def youtubevos_videos(root: Path, split: str, *, all_frames: bool = False, labels: str = "instance") -> Videos:
    """Videos of `<split>/JPEGImages`, every fifth frame of a 30 Hz film; `all_frames` takes them all.

    All frames lie in `<split>_all_frames/JPEGImages` or `all_frames/<split>_all_frames/JPEGImages`; those between the
    labelled ones have no labels. In validation and test, only the masks in which an object first appears are published.

    With `labels="instance"`, a label is the number of an object within its video: class 1 of two videos has nothing in
    common. With "category", it is the object's category in `<split>/meta.json`: one of the 65 of the training videos,
    or "unseen", which stands for all others.
    """
    if labels not in LABELS:
        raise InputError(f"labels of YouTube-VOS must be one of {', '.join(LABELS)}, got {labels!r}")
    if all_frames not in (True, False):
        raise InputError(f"all_frames of YouTube-VOS must be True or False, got {all_frames!r}")
    sequences = partial(_sequences, split=split, all_frames=all_frames)
    if labels == "instance":
        return file_videos(INFO, root, sequences)
    categories = _categories(root / split / "meta.json", split)
    videos = file_videos(CATEGORY_INFO, root, sequences)
    reader = videos.read
    assert isinstance(reader, FileReader)
    kept = {field.name: getattr(reader, field.name) for field in fields(reader)}
    videos.read = CategoryReader(**kept, categories=categories)
    return videos


@dataclass(frozen=True)
class CategoryReader(FileReader):
    """Reads masks of numbered objects as maps of their categories."""

    categories: Mapping[str, Mapping[int, int]]  # class of each object of a video

    def _read_map(self, column: str, path: Path) -> np.ndarray:
        classes = {0: 0, **self.categories.get(path.parent.name, {})}
        return read_labels(path, id_lookup(classes, ignore=self.info.ignore_ids.keys()))


def _sequences(tree: Tree, *, split: str, all_frames: bool) -> Iterator[FileSequence]:
    plain = f"{split}/JPEGImages"
    places = [f"{split}_all_frames/JPEGImages", f"all_frames/{split}_all_frames/JPEGImages"] if all_frames else [plain]
    images = next((place for place in places if tree.has_folder(place)), None)
    if images is None:
        raise InputError(
            f"YouTube-VOS folder {tree.root} has no folder {' or '.join(places)}",
            hint="root must hold train, valid or test; all frames are archives of their own",
        )
    names = set(tree.folders(images))
    meta = tree.file(f"{split}/meta.json")
    if meta.is_file():
        names.update(_objects(meta))
    if not names:
        raise InputError(f"{tree.root / images} has no videos", hint="an archive that was not unpacked")
    every = split == "train" and not all_frames
    for name in sorted(names):
        sequence = tree.attempt(masked_sequence, tree, name, f"{images}/{name}", f"{split}/Annotations/{name}", every)
        if sequence is not None:
            yield sequence


def _categories(meta: Path, split: str) -> dict[str, dict[int, int]]:
    """Class of each object of each video."""
    if not meta.is_file():
        raise InputError(
            f"{meta} is missing, which tells the categories of objects", hint="labels='instance' does without"
        )
    unseen = None if split == "train" else len(CATEGORIES) + 1
    known = {name: i for i, name in enumerate(CATEGORIES, start=1)}
    classes: dict[str, dict[int, int]] = {}
    for video, objects in _objects(meta).items():
        classes[video] = {}
        for number, category in objects.items():
            index = known.get(category, unseen if category else None)
            if index is None:
                raise InputError(
                    f"object {number} of video {video} in {meta} is of the category {category!r}, which is none of the "
                    f"{len(CATEGORIES)} of the training videos",
                    hint="another data set in the same form, or another release",
                )
            classes[video][number] = index
    return classes


def _objects(meta: Path) -> dict[str, dict[int, str]]:
    """Category of each object of each video; "" where it is not said."""
    try:
        videos = json.loads(meta.read_text(encoding="utf-8"))["videos"]
        return {
            str(video): {int(number): str(what.get("category", "")) for number, what in said["objects"].items()}
            for video, said in videos.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{meta} must hold videos, each with numbered objects and their category: {error!r}",
            hint="a download that was cut short, or the file of another data set",
        ) from error
