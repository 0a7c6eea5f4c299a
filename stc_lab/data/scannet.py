"""ScanNet: hand-held RGB-D video of rooms with labels and poses, as its readers export it (data_cards/scannet.md)."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from stc_lab.data.frame_files import FileFormat, file_videos
from stc_lab.data.framing import WHOLE, Framing
from stc_lab.data.image_files import id_lookup
from stc_lab.data.pose_files import read_pose
from stc_lab.data.scannet_scene import (
    DEPTH_SIZE,
    LABEL_FOLDERS,
    label_bits,
    label_folder,
    scene_sequence,
)
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

# NYU40 ids of the 20 classes of ScanNet's benchmark, in its order, and of the others.
BENCHMARK = {
    1: "wall",
    2: "floor",
    3: "cabinet",
    4: "bed",
    5: "chair",
    6: "sofa",
    7: "table",
    8: "door",
    9: "window",
    10: "bookshelf",
    11: "picture",
    12: "counter",
    14: "desk",
    16: "curtain",
    24: "refrigerator",
    28: "shower curtain",
    33: "toilet",
    34: "sink",
    36: "bathtub",
    39: "otherfurniture",
}
OTHERS = {
    13: "blinds",
    15: "shelves",
    17: "dresser",
    18: "pillow",
    19: "mirror",
    20: "floor mat",
    21: "clothes",
    22: "ceiling",
    23: "books",
    25: "television",
    26: "paper",
    27: "towel",
    29: "box",
    30: "whiteboard",
    31: "person",
    32: "night stand",
    35: "lamp",
    37: "bag",
    38: "otherstructure",
    40: "otherprop",
}
_OTHERPROP = 40
UNLABELLED = {0: "unlabelled"}
INFO = SourceInfo(
    name="scannet",
    frame_rate=30.0,
    has=frozenset({"label", "depth", "intrinsics", "pose"}),
    licence="ScanNet Terms of Use, non-commercial research and education",
    reference="Dai et al.: ScanNet: Richly-annotated 3D reconstructions of indoor scenes, CVPR 2017",
    classes=("background", *BENCHMARK.values()),
    splits=("train", "val", "test"),
    label_ids={**{nyu: i for i, nyu in enumerate(BENCHMARK, start=1)}, **dict.fromkeys(OTHERS, 0)},
    ignore_ids=UNLABELLED,
    depth_per_metre=1000.0,
)
LABEL_MAP = "scannetv2-labels.combined.tsv"
_FOLDERS = ("", "scans", "scans_test")  # of the scans, within the root
_SCENE = re.compile(r"scene\d{4}_\d{2}")


def scannet_videos(
    root: Path,
    split: str,
    *,
    classes: int = 21,
    scenes: str | Sequence[str] | None = None,
    camera: str = "color",
    labels: str | None = None,
    ids: str | None = None,
    unpack: bool = False,
) -> Videos:
    """Videos of the scans that `scannetv2_<split>.txt` lists, or of `scenes` (names, or a text with commas).

    `classes=21`: class 0 is the background, all that is labelled but not one of the benchmark's 20; 255 is unlabelled.
    `classes=20`: the benchmark's convention, where the background is 255 as well.

    Colour images and label maps are brought to the size of the depth maps, 480 x 640 px, which are taken as registered,
    as ScanNet's authors say they are. The camera is that of the colour images, scaled, since a warp moves their pixels;
    `camera="depth"` takes the depth camera's, whose focal lengths differ by 1 to 2 %.

    `labels`: "label-filt" or "label" (None: the first that a scan has), or "none". Their `ids` are "scannet", mapped by
    scannetv2-labels.combined.tsv, or "nyu40"; None: 16-bit maps hold ScanNet's ids, 8-bit maps those of NYU40.
    `unpack=True` unpacks the archives of label maps into the cache. Frames whose tracking was lost are left out and
    counted. The frames of scannet_frames_25k are 3.3 s apart: good to train with, too far apart to warp.
    """
    _expect("classes", classes, (20, 21))
    _expect("camera", camera, ("color", "depth"))
    _expect("labels", labels, (None, *LABEL_FOLDERS, "none"))
    _expect("ids", ids, (None, "scannet", "nyu40"))
    info = INFO
    if classes == 20:
        info = replace(
            INFO,
            classes=tuple(BENCHMARK.values()),
            label_ids={nyu: i for i, nyu in enumerate(BENCHMARK)},
            ignore_ids=UNLABELLED | OTHERS,
        )
    names = scenes.replace(",", " ").split() if isinstance(scenes, str) else scenes
    chosen = None if names is None else list(names)
    bits = _bits(root, split, chosen, labels, unpack) if ids is None else None
    own = ids == "scannet" or bits == 16
    form = FileFormat(
        framing=_framing,
        same_view=True,
        label_lookup=_lookup(info, label_map(root)) if own else None,
        read_pose=read_pose,
    )
    found = partial(_sequences, split=split, scenes=chosen, labels=labels, bits=bits, camera=camera, unpack=unpack)
    return file_videos(info, root, found, form)


def label_map(root: Path) -> dict[int, int]:
    """NYU40 id of each of ScanNet's own ids, from scannetv2-labels.combined.tsv in `root` or the folder above.

    An id to which the file gives no NYU40 id counts as its `otherprop`.
    """
    path = next((p for p in (root / LABEL_MAP, root / ".." / LABEL_MAP) if p.is_file()), None)
    if path is None:
        raise InputError(
            f"label maps of ScanNet's own ids (16 bits) need {LABEL_MAP} in {root} or the folder above",
            hint='download-scannet.py --label_map fetches it; ids="nyu40" if they hold ids of NYU40, '
            'labels="none" to do without',
        )
    mapped: dict[int, int] = {}
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        missing = {"id", "nyu40id"} - set(rows.fieldnames or ())
        if missing:
            raise InputError(
                f"{path} has no column {', '.join(sorted(missing))}",
                hint="the file of ScanNet v2, columns separated by tabs",
            )
        for row in rows:
            try:
                own, nyu = int(row["id"]), int(row["nyu40id"] or _OTHERPROP)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{path}, line {rows.line_num} must give whole numbers as id and nyu40id: {error}",
                    hint="a file that was cut short or edited",
                ) from error
            if own < 1 or not 0 <= nyu <= 40 or mapped.setdefault(own, nyu) != nyu:
                raise InputError(
                    f"{path}, line {rows.line_num} maps id {own} to {nyu}: NYU40 has the ids 1 to 40, "
                    "and an id stands for one of them",
                    hint="the mapping of another data set",
                )
    if not mapped:
        raise InputError(f"{path} maps no ids", hint="an incomplete download: fetch it again")
    return mapped


def _lookup(info: SourceInfo, mapped: dict[int, int]) -> Int16[np.ndarray, " ids"]:
    """Class of each of ScanNet's own ids."""
    classes = info.stored_ids()
    return id_lookup(
        {own: classes[nyu] for own, nyu in mapped.items() if nyu in classes},
        ignore=[0, *(own for own, nyu in mapped.items() if nyu not in classes)],
    )


def _framing(stored: tuple[int, int]) -> Framing:
    """To the size of the depth maps; images that were exported smaller stay as they are."""
    return Framing(size=DEPTH_SIZE) if stored[0] > DEPTH_SIZE[0] or stored[1] > DEPTH_SIZE[1] else WHOLE


def _bits(root: Path, split: str, scenes: Sequence[str] | None, labels: str | None, unpack: bool) -> int | None:
    """Bits of the first label map that can be read; None: there is none."""
    tree = Tree(root)
    for scene, folder in _scans(tree, split, scenes):
        place = tree.attempt(label_folder, tree, folder, scene, labels=labels, unpack=unpack)
        for name in tree.names(place, suffix=".png") if place is not None else ():
            bits = label_bits(root / str(place) / name)
            if bits is not None:
                return bits
    return None


def _sequences(tree: Tree, *, split: str, scenes: Sequence[str] | None, **options: Any) -> Iterator[FileSequence]:
    for scene, folder in _scans(tree, split, scenes):
        found = tree.attempt(scene_sequence, tree, folder, scene, **options)
        if found is not None:
            yield found


def _scans(tree: Tree, split: str, scenes: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Name and folder of each scan that is there; the others are noted as problems."""
    for scene in _names(tree, split) if scenes is None else scenes:
        if not _SCENE.fullmatch(scene):
            raise InputError(f"a scan must be named like scene0000_00, got {scene[:80]!r}")
        places = (f"{folder}/{scene}".lstrip("/") for folder in _FOLDERS)
        found = next((place for place in places if tree.has_folder(place)), None)
        if found is None:
            tree.problems.append(
                InputError(
                    f"scan {scene} is neither in {tree.root} nor in its folders {' and '.join(_FOLDERS[1:])}",
                    hint="root must hold the scans' folders or scans/; of an incomplete copy, "
                    'scenes=("scene0000_00", ...) opens a part',
                )
            )
        else:
            yield scene, found


def _names(tree: Tree, split: str) -> list[str]:
    """Scans of a published list file."""
    name = f"scannetv2_{split}.txt"
    path = next((p for p in (tree.file(name), tree.file(f"../{name}")) if p.is_file()), None)
    if path is None:
        raise InputError(
            f"ScanNet folder {tree.root} has no list file {name}, nor has the folder above",
            hint="copy it from Tasks/Benchmark of https://github.com/ScanNet/ScanNet, "
            'or name scans: scenes=("scene0000_00", ...)',
        )
    names = path.read_text(encoding="utf-8", errors="replace").split()
    if not names:
        raise InputError(f"list file {path} names no scans", hint="an empty file: fetch it again")
    return names


def _expect(option: str, got: Any, legal: Sequence[Any]) -> None:
    if got not in legal:
        raise InputError(f"option {option} of 'scannet' must be one of {', '.join(map(repr, legal))}, got {got!r}")
