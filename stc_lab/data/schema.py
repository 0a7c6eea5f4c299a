"""The one schema of frames, as columns of a Hugging Face `datasets` table.

A row is a frame. The table has the columns `video`, `index`, `time` and `image`, and of the optional ones those that
the source knows; what it does not know has no column. Two forms hold the pictures:

| column     | array form (rendered frames)       | path form (original files)                  |
|------------|------------------------------------|---------------------------------------------|
| video      | name of the video                  | same                                        |
| index      | position in the video, from 0      | same                                        |
| time       | s since the video's first frame    | same                                        |
| image      | uint8 [3, h, w], RGB               | path of the image file                      |
| label      | uint8 [h, w], 255 = ignore         | path of the label file                      |
| depth      | float32 [h, w], z in m, 0 unknown  | path of the depth file                      |
| intrinsics | float64 [3, 3], px of the image    | same                                        |
| pose       | float64 [4, 4], camera-to-world, m | same                                        |

The rows of a video lie together, in order of `index`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stc_lab.errors import InputError

if TYPE_CHECKING:
    import datasets

REQUIRED = ("video", "index", "time", "image")
OPTIONAL = ("label", "depth", "intrinsics", "pose")


@dataclass(frozen=True)
class SourceInfo:
    """What is true of a whole data set; its data card says the same in words."""

    name: str
    frame_rate: float  # Hz, of the video the frames were taken from
    has: frozenset[str]  # optional columns that come with it
    licence: str  # of the data, not of this package
    reference: str  # the publication to cite
    classes: tuple[str, ...] = ()  # by label id; empty without labels
    ignore_index: int = 255

    def __post_init__(self) -> None:
        unknown = sorted(set(self.has) - set(OPTIONAL))
        if unknown:
            raise InputError(f"has must be among {', '.join(OPTIONAL)}, got {', '.join(unknown)}")
        if ("label" in self.has) != bool(self.classes):
            raise InputError(f"data set {self.name!r} must name its classes if, and only if, it has labels")
        if not self.frame_rate > 0:
            raise InputError(f"frame_rate must be positive, got {self.frame_rate}")


def frame_features(has: Collection[str], size: tuple[int, int] | None = None) -> "datasets.Features":
    """Columns of a table that has the optional columns `has`: arrays of `size` (h, w), or paths without a size."""
    from datasets import Array2D, Array3D, Features, Value

    columns = {
        "video": Value("string"),
        "index": Value("int64"),
        "time": Value("float64"),
        "image": Value("string"),
        "label": Value("string"),
        "depth": Value("string"),
        "intrinsics": Array2D((3, 3), "float64"),
        "pose": Array2D((4, 4), "float64"),
    }
    if size is not None:
        columns["image"] = Array3D((3, *size), "uint8")
        columns["label"] = Array2D(size, "uint8")
        columns["depth"] = Array2D(size, "float32")
    return Features({name: columns[name] for name in (*REQUIRED, *OPTIONAL) if name in REQUIRED or name in has})


def check_columns(table: "datasets.Dataset", info: SourceInfo) -> None:
    """Raise unless the table has the required columns and exactly the optional ones that `info` promises."""
    names = set(table.column_names)
    missing = [name for name in REQUIRED if name not in names] + sorted(set(info.has) - names)
    if missing:
        raise InputError(f"the table of {info.name!r} lacks the columns {', '.join(missing)}")
    extra = sorted(names & set(OPTIONAL) - set(info.has))
    if extra:
        raise InputError(f"the table of {info.name!r} has columns its info does not name: {', '.join(extra)}")
