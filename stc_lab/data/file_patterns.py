"""Paths with something left open: `{name}` is a field, `*` is any text, both within one level of folders.

In a pattern without fields the last `*` is the field `frame`, and those before it are fields too: `*/color/*.jpg` is
`{part1}/color/{frame}.jpg`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from stc_lab.data.tree import Tree
from stc_lab.errors import InputError

FRAME = "frame"  # the field that tells the frames of a video apart
_OPEN = re.compile(r"(\{[A-Za-z_]\w*\}|\*)")
_LANGUAGE = "levels joined by /, with * for any text and {name} for a field, like {video}/color/{frame}.jpg"

Fields = dict[str, str]


@dataclass(frozen=True)
class FilePattern:
    """A pattern of files; folders are listed level by level, as far as they match."""

    text: str  # as it was given
    path: str  # its stars made fields, if it came without fields

    @cached_property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(token[1:-1] for token in _OPEN.findall(self.path) if token != "*"))

    @property
    def of_frames(self) -> bool:
        """Whether each frame has a file of its own."""
        return FRAME in self.fields

    def folders(self, tree: Tree, known: Mapping[str, str]) -> Iterator[tuple[str, Fields]]:
        """Folders that may hold matching files, with the fields that tell them apart; `known` fields are filled in."""
        yield from _descend(tree, self.path.split("/")[:-1], dict(known), "")

    def files_in(self, tree: Tree, folder: str, known: Mapping[str, str]) -> Iterator[tuple[str, Fields]]:
        """Matching files of one such folder, with all their fields."""
        expression = _expression(self.path.split("/")[-1], known)
        for name in tree.names(folder):
            if match := expression.fullmatch(name):
                yield _joined(folder, name), {**known, **match.groupdict()}

    def files(self, tree: Tree, known: Mapping[str, str]) -> Iterator[tuple[str, Fields]]:
        for folder, fields in self.folders(tree, known):
            yield from self.files_in(tree, folder, fields)

    def key(self, fields: Mapping[str, str]) -> tuple[str, ...]:
        """What a file of this pattern is found by; a frame's number may have leading zeros here and none there."""
        return tuple(_plain(fields[name]) if name == FRAME else fields[name] for name in self.fields)

    def example(self, fields: Mapping[str, str]) -> str:
        """The path of a file with these fields, for messages."""
        return _OPEN.sub(lambda token: fields.get(token[0][1:-1], token[0]), self.path)


def image_pattern(text: str) -> FilePattern:
    """The pattern of images, which must tell their frames apart."""
    _check(text, "images")
    path = text
    if "{" not in text:
        count = text.count("*")
        path = _with_fields(text, [*(f"part{i}" for i in range(1, count)), FRAME][-count:] if count else [])
    pattern = FilePattern(text, path)
    if not pattern.of_frames:
        raise InputError(f"images={text!r} must have a * or the field {{{FRAME}}} for what tells frames apart")
    return pattern


def partner_pattern(text: str, what: str, images: FilePattern, *, shared: bool) -> FilePattern:
    """The pattern of files that belong to images; `shared`: one file may be that of a whole video, or of all."""
    _check(text, what)
    path = text
    if "{" not in images.text:
        if "{" in text:
            raise InputError(
                f"{what}={text!r} has fields, but images={images.text!r} has none",
                hint=f"write both with fields: images={images.path!r}",
            )
        names, count = images.fields, text.count("*")
        if not (count == len(names) or (shared and count in (0, len(names) - 1))):
            raise InputError(
                f"{what}={text!r} must have {len(names)} times * as images={images.text!r} has, got {count}",
                hint=f"name what belongs together with fields: images={images.path!r}",
            )
        path = _with_fields(text, names[:count])
    pattern = FilePattern(text, path)
    unknown = [name for name in pattern.fields if name not in images.fields]
    if unknown or not (shared or pattern.of_frames):
        wrong = f"the field {{{unknown[0]}}} is not" if unknown else f"{{{FRAME}}} must be in it; there are"
        raise InputError(
            f"{what}={text!r} does not fit images={images.text!r}: {wrong} "
            f"{'in that, which has ' if unknown else ''}{', '.join(images.fields)}"
        )
    return pattern


def natural(text: str) -> list[str | int]:
    """Sort key that takes digits as numbers: 2 comes before 10."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", text))]


def _check(text: str, what: str) -> None:
    levels = text.split("/") if isinstance(text, str) else [""]
    rest = _OPEN.sub("", text) if isinstance(text, str) else ""
    if any(level in ("", ".", "..") or "**" in level for level in levels) or re.search(r"[{}?\[\]\\]", rest):
        raise InputError(f"{what} must be a path within root: {_LANGUAGE}; got {text!r}")


def _with_fields(text: str, names: Sequence[str]) -> str:
    left = iter(names)
    return re.sub(r"\*", lambda _: f"{{{next(left)}}}", text)


def _descend(tree: Tree, levels: Sequence[str], known: Fields, folder: str) -> Iterator[tuple[str, Fields]]:
    if not levels:
        yield folder, known
        return
    if all(token[1:-1] in known for token in _OPEN.findall(levels[0])):
        name = _OPEN.sub(lambda token: known[token[0][1:-1]], levels[0])
        if tree.has_folder(_joined(folder, name)):
            yield from _descend(tree, levels[1:], known, _joined(folder, name))
        return
    expression = _expression(levels[0], known)
    for name in sorted(tree.folders(folder), key=natural):
        if match := expression.fullmatch(name):
            yield from _descend(tree, levels[1:], {**known, **match.groupdict()}, _joined(folder, name))


def _expression(level: str, known: Mapping[str, str]) -> re.Pattern[str]:
    parts, own = [], set()
    for token in _OPEN.split(level):
        field = token[1:-1]
        if token == "*":
            parts.append("[^/]*")
        elif not _OPEN.fullmatch(token):
            parts.append(re.escape(token))
        elif field in known:
            parts.append(re.escape(known[field]))
        else:
            parts.append(f"(?P={field})" if field in own else f"(?P<{field}>[^/]+)")
            own.add(field)
    return re.compile("".join(parts))


def _plain(frame: str) -> str:
    return re.sub(r"[0-9]+", lambda digits: digits[0].lstrip("0") or "0", frame)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
