"""Which files of a folder belong to which image (folder.py)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stc_lab.data.file_patterns import FRAME, Fields, FilePattern, natural
from stc_lab.data.tree import Tree
from stc_lab.errors import InputError

WORDS = {"labels": "label map", "depth": "depth map", "poses": "pose file", "intrinsics": "intrinsics file"}


class Frame(NamedTuple):
    """An image of a video."""

    number: int
    path: str
    fields: Fields


@dataclass
class Partners:
    """The files of one kind beside the images of one folder."""

    kind: str  # as the option is called
    pattern: FilePattern
    paths: dict[tuple[str, ...], str]  # by pattern.key

    def of(self, frames: Sequence[Fields]) -> list[str | None]:
        return [self.paths.get(self.pattern.key(fields)) for fields in frames]


def partners_beside(tree: Tree, kind: str, pattern: FilePattern, known: Mapping[str, str]) -> Partners:
    """The files of one kind for a folder of images, whose own fields are `known`."""
    paths: dict[tuple[str, ...], str] = {}
    for path, fields in pattern.files(tree, {name: known[name] for name in pattern.fields if name in known}):
        key = pattern.key(fields)
        if key in paths:
            raise InputError(
                f"two {WORDS[kind]}s fit {kind}={pattern.text!r} and the same image: {paths[key]}, {path}",
                hint="a * that should be a field, or one file in two forms, with and without leading zeros",
            )
        paths[key] = path
    return Partners(kind, pattern, paths)


def numbered(files: list[tuple[str, Fields]], numbering: str, video: str) -> list[Frame]:
    """Number, path and fields of the frames of a video, by rising number."""
    if numbering == "order":
        files = sorted(files, key=lambda file: natural(file[1][FRAME]))
        return [Frame(i, path, fields) for i, (path, fields) in enumerate(files)]
    found = []
    for path, fields in files:
        digits = re.findall(r"[0-9]+", fields[FRAME])
        if not digits:
            raise InputError(
                f"the name of {path}, an image of video {video!r}, must have a number that counts frames",
                hint="numbering='order' takes the images as they are sorted",
            )
        found.append(Frame(int(digits[-1]), path, fields))
    return sorted(found, key=lambda frame: (frame.number, frame.path))


def note_mismatch(tree: Tree, partners: Partners, video: str, frames: list[Frame], paths: list[str | None]) -> None:
    """Note images without a partner, and files that have no image."""
    kind, pattern = partners.kind, partners.pattern
    lost = [frame for frame, path in zip(frames, paths, strict=True) if path is None]
    allow = "or say missing='allow', if not every frame has one"
    if lost:
        _, image, fields = lost[0]
        tree.problems.append(
            InputError(
                f"{len(lost)} of {len(frames)} images of video {video!r} have no {WORDS[kind]}: {image} needs "
                f"{pattern.example(fields)}",
                hint=f"names that differ by more than leading zeros: change {kind}={pattern.text!r}, {allow}",
            )
        )
    if not pattern.of_frames:
        return
    place = pattern.fields.index(FRAME)

    def video_of(key: tuple[str, ...]) -> tuple[str, ...]:
        return key[:place] + key[place + 1 :]

    own = video_of(pattern.key(frames[0].fields))
    used = {pattern.key(frame.fields) for frame in frames}
    extra = [path for key, path in partners.paths.items() if key not in used and video_of(key) == own]
    if extra and len(lost) < len(frames):
        tree.problems.append(
            InputError(f"{len(extra)} {WORDS[kind]}s have no image in video {video!r}: {extra[0]}", hint=allow[3:])
        )


def expect_matches(
    tree: Tree, images: FilePattern, others: Mapping[str, FilePattern], videos: int, matched: Mapping[str, int]
) -> None:
    """Raise unless some images and, of each kind asked for, some partners were found."""
    if not videos:
        held = [*tree.names()[:4], *(f"{name}/" for name in tree.folders()[:4])]
        raise InputError(
            f"no file in {tree.root} fits images={images.text!r}; it holds {', '.join(held) or 'nothing'}",
            hint="the pattern begins at root; * and {field} stay within one level of folders",
        )
    for kind, pattern in others.items():
        if not matched[kind]:
            first = next(pattern.files(tree, {}), None)
            raise InputError(
                f"{kind}={pattern.text!r} fits no image of images={images.text!r}; "
                + (f"it finds {first[0]} and others" if first else "it finds no file at all"),
                hint="a folder that is called otherwise, or names that differ by more than leading zeros",
            )
