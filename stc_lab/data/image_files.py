"""Picture files as arrays; a file that is damaged or not what its place promises is refused by name."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64, UInt8
from PIL import Image

from stc_lab.errors import InputError

MAX_PIXELS = 50_000_000  # a picture beyond it is a mistake or an attack, not a video frame (8K has 33 million)


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """RGB picture of 8 bits a channel; grey becomes three equal channels, transparency is dropped."""
    with _decoded(path) as picture:
        if picture.mode not in ("RGB", "RGBA", "L", "LA", "P", "CMYK", "YCbCr"):
            raise InputError(
                f"{path} must be a colour or grey picture of 8 bits a channel, got mode {picture.mode}",
                hint="a depth map in the place of an image",
            )
        return np.array(picture.convert("RGB"))


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture, from its header alone."""
    with _opened(path) as picture:
        return picture.height, picture.width


def read_ids(path: Path) -> Int32[np.ndarray, "h w"]:
    """Whole numbers of a picture with one channel of 8 or 16 bits, or a palette, of which the index counts."""
    with _decoded(path) as picture:
        if picture.mode not in ("L", "P", "1") and not picture.mode.startswith("I"):
            raise InputError(
                f"label map {path} must have one 8-bit channel of class ids, a palette or 16 bits, "
                f"got mode {picture.mode}",
                hint="labels coded as colours: convert them to class ids first",
            )
        return np.array(picture).astype(np.int32)


def read_labels(path: Path, lookup: Int16[np.ndarray, " ids"], *, divisor: int = 1) -> Int64[np.ndarray, "h w"]:
    """Label map of a picture of ids; `lookup` replaces each id (-1: illegal), after a whole division by `divisor`.

    The divisor is for instance maps, such as class * 1000 + instance.
    """
    ids = read_ids(path)
    ids = ids if divisor == 1 else ids // divisor
    known = (ids >= 0) & (ids < len(lookup))
    labels = lookup[ids] if known.all() else np.where(known, lookup[np.where(known, ids, 0)], np.int16(-1))
    if (labels < 0).any():
        wrong = np.unique(ids[labels < 0])
        raise InputError(
            f"label map {path} holds id {', '.join(map(str, wrong[:5]))} at {int((labels < 0).sum())} pixels, "
            f"legal are {_ranges(np.flatnonzero(lookup >= 0))}",
            hint="labels of another data set or another numbering of the classes, or a map that was resized smoothly",
        )
    return labels.astype(np.int64)


def id_lookup(classes: Mapping[int, int], *, ignore: Collection[int] = ()) -> Int16[np.ndarray, " ids"]:
    """Table for `read_labels`: each stored id's class; those in `ignore` become 255, all others are illegal."""
    lookup = np.full(max([255, *classes, *ignore]) + 1, -1, np.int16)
    lookup[list(classes)] = list(classes.values())
    lookup[list(ignore)] = 255
    return lookup


def _ranges(ids: np.ndarray) -> str:
    """Rising ids in words: 0 to 11, 255."""
    starts = np.flatnonzero(np.append(True, np.diff(ids) > 1))
    runs = [(ids[a], ids[b - 1]) for a, b in zip(starts, [*starts[1:], len(ids)], strict=True)]
    return ", ".join(f"{a} to {b}" if a != b else str(a) for a, b in runs)


def read_depth(path: Path, *, per_metre: float, unknown: Collection[int] = (0,)) -> Float32[np.ndarray, "h w"]:
    """Depth in metres of a 16-bit picture with `per_metre` units a metre; `unknown` values become 0."""
    with _decoded(path) as picture:
        if not picture.mode.startswith("I"):
            raise InputError(
                f"depth map {path} must have one 16-bit channel, got mode {picture.mode}",
                hint="a depth map saved again by a program that reduced it to 8 bits, or a colour picture of it",
            )
        values = np.array(picture)
    depth = values.astype(np.float32) / np.float32(per_metre)
    for value in unknown:
        depth[values == value] = 0
    return depth


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture whose header is read, and is of a sane size."""
    try:
        picture = Image.open(path)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, str(error)) from error
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing", hint="the folder changed after it was opened") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on damaged files
        raise _damaged(path, error) from error
    with picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise _too_large(path, f"{picture.width} x {picture.height} pixels")
        yield picture


@contextmanager
def _decoded(path: Path) -> Iterator[Image.Image]:
    """A picture whose pixels are read; Pillow raises where they are cut short."""
    with _opened(path) as picture:
        try:
            picture.load()
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise _damaged(path, error) from error
        yield picture


def _damaged(path: Path, error: Exception) -> InputError:
    size = path.stat().st_size if path.is_file() else 0
    return InputError(
        f"{path} ({size} bytes) cannot be decoded as a picture: {error}",
        hint="a download or copy that was cut short: fetch the file again",
    )


def _too_large(path: Path, got: str) -> InputError:
    return InputError(
        f"{path} must have at most {MAX_PIXELS} pixels, got {got}", hint="a damaged header, or a picture made to harm"
    )
