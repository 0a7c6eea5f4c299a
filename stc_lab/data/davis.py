"""DAVIS 2016 and 2017: short videos with masks of objects in every frame (data_cards/davis.md)."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from stc_lab.data.frame_files import file_videos
from stc_lab.data.image_files import read_ids
from stc_lab.data.mask_folders import masked_sequence
from stc_lab.data.schema import SourceInfo
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

MOST_OBJECTS = 20  # of a video, as many as the unsupervised benchmark takes into account
INFO = SourceInfo(
    name="davis",
    frame_rate=24.0,
    has=frozenset({"label"}),
    licence="CC BY 4.0 unless stated otherwise (README of the data set)",
    reference="Pont-Tuset et al.: The 2017 DAVIS challenge on video object segmentation, arXiv:1704.00675",
    classes=("background", *(f"object {i}" for i in range(1, MOST_OBJECTS + 1))),
    splits=("train", "val", "test-dev", "test-challenge"),
    folders={"val": "davis_car_shadow"},
    ignore_ids={255: "void"},
)
INFO_2016 = replace(
    INFO,
    reference="Perazzi et al.: A benchmark dataset and evaluation methodology for video object segmentation, CVPR 2016",
    classes=("background", "object"),
    label_ids={0: 0, 255: 1} | dict.fromkeys(range(1, MOST_OBJECTS + 1), 1),
    ignore_ids={},
)
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
ANNOTATIONS = {"semi-supervised": "Annotations", "unsupervised": "Annotations_unsupervised"}


def davis_videos(
    root: Path,
    split: str,
    *,
    year: int = 2017,
    resolution: str = "480p",
    annotations: str = "semi-supervised",
) -> Videos:
    """Videos of the sequences in the lists of ImageSets; without that folder, all that lie there, as the split val.

    Of 2017, a label is the number of an object within its video: class 1 of two videos has nothing in common. Of 2016,
    a pixel is background or object; the masks are those of 2016 (grey, 0 and 255) or the objects of 2017 taken
    together. `annotations="unsupervised"` takes the masks of 2019, which have all objects and mark void. `resolution`
    is the folder of images and masks: "480p", and "Full-Resolution" (2017, sizes differ) or "1080p" (2016).
    """
    for name, got, legal in (
        ("year", year, (2016, 2017)),
        ("resolution", resolution, RESOLUTIONS),
        ("annotations", annotations, tuple(ANNOTATIONS)),
    ):
        if got not in legal:
            raise InputError(f"{name} of DAVIS must be one of {', '.join(map(str, legal))}, got {got!r}")
    if year == 2016 and (annotations != "semi-supervised" or split not in ("train", "val")):
        raise InputError(
            f"DAVIS 2016 has the splits train and val and one kind of annotations, got {split!r} and {annotations!r}"
        )
    sequences = partial(_sequences, split=split, year=year, resolution=resolution, annotations=annotations)
    return file_videos(INFO if year == 2017 else INFO_2016, root, sequences)


def _sequences(tree: Tree, *, split: str, year: int, resolution: str, annotations: str) -> Iterator[FileSequence]:
    images, masks = f"JPEGImages/{resolution}", f"{ANNOTATIONS[annotations]}/{resolution}"
    if not tree.has_folder(images):
        raise InputError(
            f"DAVIS folder {tree.root} has no folder {images}",
            hint="root must hold JPEGImages, Annotations and ImageSets; or the archive is of another resolution",
        )
    every = split in ("train", "val")  # of a test set, only first masks are published
    if every and not tree.has_folder(masks):
        raise InputError(f"DAVIS folder {tree.root} has no folder {masks}", hint="masks are another archive")
    names = _names(tree, split, year, annotations)
    if names is None:
        names = tree.folders(images)
    for i, name in enumerate(names):
        sequence = tree.attempt(masked_sequence, tree, name, f"{images}/{name}", f"{masks}/{name}", every)
        if sequence is not None:
            if i == 0 and year == 2017:
                _expect_numbered(tree, sequence)
            yield sequence


def _names(tree: Tree, split: str, year: int, annotations: str) -> list[str] | None:
    """Sequences of a split; None: there are no lists at all."""
    if not tree.has_folder("ImageSets"):
        if split != "val":
            raise InputError(
                f"DAVIS folder {tree.root} has no folder ImageSets, so its sequences are the split 'val', got {split!r}"
            )
        return None
    if year == 2016:
        places = ["2016", "480p", "1080p"]
    else:
        places = ["2019" if annotations == "unsupervised" and split.startswith("test") else "2017"]
    lists = [tree.file(f"ImageSets/{place}/{split}.txt") for place in places]
    path = next((path for path in lists if path.is_file()), None)
    if path is None:
        raise InputError(
            f"DAVIS folder {tree.root} has no list {' or '.join(str(p.relative_to(tree.root)) for p in lists)}",
            hint="DAVIS of another year, or a test set, which is an archive of its own",
        )
    names = dict.fromkeys(
        _sequence_name(line, f"{path}, line {i}")
        for i, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if line.strip()
    )
    if not names:
        raise InputError(f"list {path} names no sequences", hint="an empty file: fetch it again")
    return list(names)


def _sequence_name(line: str, where: str) -> str:
    """Sequence of a line: its name alone, or the paths of an image and its mask, of which the folder counts."""
    words = [PurePosixPath(word) for word in line.split()]
    if len(words) == 1 and len(words[0].parts) == 1 and words[0].name != "..":
        return words[0].name
    if len(words) == 2 and len({word.stem for word in words}) == 1 and len({word.parent.name for word in words}) == 1:
        return words[0].parent.name
    raise InputError(
        f"{where} must be the name of a sequence, or /JPEGImages/480p/bear/00000.jpg "
        f"/Annotations/480p/bear/00000.png, got {line.strip()[:80]!r}",
        hint="a list of another data set",
    )


def _expect_numbered(tree: Tree, sequence: FileSequence) -> None:
    """Raise if the first mask is one of 2016, where 255 is the object: as one of 2017 it would be void."""
    label = next((label for label in sequence.label or () if label is not None), None)
    if label is None:
        return
    path = tree.file(label)
    try:
        ids = set(read_ids(path).ravel().tolist())
    except InputError:
        return  # reading that frame names the file
    if ids == {0, 255}:
        raise InputError(
            f"mask {path} holds 0 and 255, so it is of DAVIS 2016; of 2017 it would be void where the object is",
            hint="load('davis', ..., year=2016)",
        )
