"""The one schema of frames, as columns of a Hugging Face `datasets` table.

A row is a frame. The table has the columns `video`, `index`, `time` and `image`, and of the optional ones those that
the source knows of any frame; what it never knows has no column. Two forms hold the pictures:

| column     | array form (rendered frames)       | path form (original files)           | unknown of a frame |
|------------|------------------------------------|--------------------------------------|--------------------|
| video      | name of the video                  | same                                 |                    |
| index      | position in the video, from 0      | same                                 |                    |
| time       | s since the video's first frame    | same                                 |                    |
| image      | uint8 [3, h, w], RGB               | path of the image file               |                    |
| label      | uint8 [h, w], 255 = ignore         | path of the label file               | null               |
| depth      | float32 [h, w], z in m, 0 unknown  | path of the depth file               | null               |
| intrinsics | float64 [3, 3], px of the image    | same                                 | NaN                |
| pose       | float64 [4, 4], camera-to-world, m | same, or path of a file that has it  | NaN or null        |

Paths are relative to the data set's root. The rows of a video lie together, in order of `index`, and its frames have
one size; videos may differ in size. A frame's intrinsics belong to its image as it is stored.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stc_lab.errors import InputError

if TYPE_CHECKING:
    import datasets

REQUIRED = ("video", "index", "time", "image")
OPTIONAL = ("label", "depth", "intrinsics", "pose")
POSES = ("camera-to-world", "world-to-camera")


@dataclass(frozen=True)
class SourceInfo:
    """What is true of a whole data set; its data card says the same in words."""

    name: str
    frame_rate: float  # Hz, of the video the frames were taken from
    has: frozenset[str]  # optional columns that come with it, if not with every frame
    licence: str  # of the data, not of this package
    reference: str  # the publication to cite
    classes: tuple[str, ...] = ()  # by label id; empty without labels
    ignore_index: int = 255
    splits: tuple[str, ...] = ("train",)
    folders: Mapping[str, str] = field(default_factory=dict)  # of a split, within STC_LAB_DATA
    label_ids: Mapping[int, int] | None = None  # class of each stored id; None: the stored ids are the classes
    ignore_ids: Mapping[int, str] = field(default_factory=dict)  # stored ids without a class, and what they are called
    depth_per_metre: float | None = None  # units of the stored depth in a metre; None: no depth, or stored in metres
    depth_unknown: tuple[int, ...] = (0,)  # stored values that mean unknown
    stored_poses: str = "camera-to-world"  # how the files hold them; a Clip's are always camera-to-world

    def __post_init__(self) -> None:
        unknown = sorted(set(self.has) - set(OPTIONAL))
        if unknown:
            raise InputError(f"has must be among {', '.join(OPTIONAL)}, got {', '.join(unknown)}")
        if ("label" in self.has) != bool(self.classes):
            raise InputError(f"data set {self.name!r} must name its classes if, and only if, it has labels")
        if not self.frame_rate > 0:
            raise InputError(f"frame_rate must be positive, got {self.frame_rate}")
        if self.depth_per_metre is not None and ("depth" not in self.has or not self.depth_per_metre > 0):
            raise InputError(f"depth_per_metre must be positive and goes with depth, got {self.depth_per_metre}")
        if self.stored_poses not in POSES:
            raise InputError(f"stored_poses must be one of {', '.join(POSES)}, got {self.stored_poses!r}")
        outside = sorted(set(self.folders) - set(self.splits))
        if outside:
            raise InputError(f"folders must belong to the splits {', '.join(self.splits)}, got {', '.join(outside)}")
        self._check_ids()

    def _check_ids(self) -> None:
        if len(self.classes) > 255:
            raise InputError(f"data set {self.name!r} must have at most 255 classes, got {len(self.classes)}")
        ids = self.stored_ids()
        both = sorted(ids.keys() & self.ignore_ids.keys())
        wrong = sorted(set(ids.values()) - set(range(len(self.classes))))
        if both or wrong:
            what = f"id {both[0]} has a class and is ignored" if both else f"there is no class {wrong[0]}"
            raise InputError(f"label_ids and ignore_ids of {self.name!r} do not fit its classes: {what}")

    def stored_ids(self) -> dict[int, int]:
        """Class of each id in the label files; ids that are ignored are not in it."""
        return dict(enumerate(range(len(self.classes)))) if self.label_ids is None else dict(self.label_ids)


def frame_features(
    has: Collection[str], size: tuple[int, int] | None = None, *, pose_files: bool = False
) -> "datasets.Features":
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
        "pose": Value("string") if pose_files else Array2D((4, 4), "float64"),
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
