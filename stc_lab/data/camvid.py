"""CamVid, as the authors of SegNet published it: 480 x 360 px, 11 classes and void (data_cards/camvid.md)."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from stc_lab.data.frame_files import file_videos
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

VOID = 11
INFO = SourceInfo(
    name="camvid",
    frame_rate=30.0,
    has=frozenset({"label"}),
    licence="CC BY-NC 4.0, as stated by the repository that holds these files",
    reference="Brostow, Fauqueur, Cipolla: Semantic object classes in video, Pattern Recognition Letters 2009",
    classes=(
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Pavement",
        "Tree",
        "SignSymbol",
        "Fence",
        "Car",
        "Pedestrian",
        "Bicyclist",
    ),
    splits=("train", "val", "test"),
    folders={"train": "camvid_1hz", "val": "camvid_15hz"},
    ignore_ids={VOID: "Void"},
)
_NAME = re.compile(r"(?P<sequence>.+)_f?(?P<number>\d+)")  # 0016E5_07959, Seq05VD_f00210


def camvid_videos(root: Path, split: str) -> Videos:
    """CamVid frames of the list file `<split>.txt` in `root`.

    A line names an image and its label map; of each path the last two parts count (`train/X.png trainannot/X.png`), so
    the published lists, which start with /SegNet/CamVid/, work wherever the folder lies.
    """
    return file_videos(INFO, root, partial(_sequences, split=split))


def _sequences(tree: Tree, *, split: str) -> Iterator[FileSequence]:
    lists = tree.file(f"{split}.txt")
    if not lists.is_file():
        raise InputError(
            f"CamVid folder {tree.root} has no list file {lists.name}",
            hint="root must be the folder that holds train.txt, val.txt or test.txt beside the image folders",
        )
    sequences: dict[str, list[tuple[int, str, str]]] = {}
    for i, line in enumerate(lists.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if line.strip():
            name, number, image, label = _frame(line, f"{lists}, line {i}")
            sequences.setdefault(name, []).append((number, image, label))
    if not sequences:
        raise InputError(f"list file {lists} names no frames", hint="an empty file: fetch it again")
    for name, frames in sequences.items():
        numbers, images, labels = zip(*frames, strict=True)
        yield FileSequence(name, numbers, images, label=labels)


def _frame(line: str, where: str) -> tuple[str, int, str, str]:
    """Sequence, frame number, image and label map of a line."""
    parts = line.split()
    if len(parts) != 2:
        missing = "; the label map is missing" if len(parts) == 1 else ""
        raise InputError(f"{where} must name an image and its label map, got {line.strip()[:80]!r}{missing}")
    image, label = (Path(*Path(part).parts[-2:]) for part in parts)
    name = _NAME.fullmatch(image.stem)
    if name is None or image.stem != label.stem or ".." in parts[0] + parts[1]:
        raise InputError(
            f"{where} must be like train/0016E5_00390.png trainannot/0016E5_00390.png, got {line.strip()[:80]!r}",
            hint="a list of another data set, or lines of two files mixed up",
        )
    return name["sequence"], int(name["number"]), image.as_posix(), label.as_posix()
