"""Sequences of frame files, as an adapter finds them, and the videos they become."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Float64, Int64

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

Paths = Sequence[str | None]


@dataclass(frozen=True)
class FileSequence:
    """The frames of one filmed sequence, column by column; all columns have one value for each frame.

    Paths are relative to the data set's root; None is what is not known of a frame.
    """

    name: str  # unique in the data set
    number: (
        Sequence[int] | Int64[np.ndarray, " n"]
    )  # counts frames of the filmed video, in any order; a gap cuts the sequence
    image: Sequence[str]
    label: Paths | None = None
    depth: Paths | None = None
    camera: Camera | None = None  # of the images as they are stored: one K for all, or one for each frame
    pose: Float64[np.ndarray, "n 4 4"] | Paths | None = None  # camera-to-world; NaN or None where not known
    time: Float64[np.ndarray, " n"] | None = None  # s; None: number / frame rate
    skipped: Mapping[str, int] = field(default_factory=dict)  # frames left out, by reason
    size: tuple[int, int] | None = None  # (height, width) of the images; None: asked of the first one

    def __post_init__(self) -> None:
        for name in ("number", "label", "depth", "pose", "time"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.image):
                raise InputError(
                    f"sequence {self.name!r} has {len(self.image)} images, but {len(value)} values of {name}"
                )
        if self.camera is not None and len(self.camera.K) not in (1, len(self.image)):
            raise InputError(
                f"sequence {self.name!r} must have one camera, or one for each of its {len(self.image)} images, "
                f"got {len(self.camera.K)}"
            )

    def videos(self, frame_rate: float) -> Iterator["FileSequence"]:
        """The sequence cut into runs of evenly spaced frames, with `time` from the start of each.

        So frames i and i + gap of a video are always equally far apart. A whole sequence keeps its name, the parts of a
        cut one are numbered from 1.
        """
        number = np.asarray(self.number, dtype=np.int64)
        order = np.argsort(number, kind="stable")
        number = number[order]
        twice = np.flatnonzero(np.diff(number) == 0)
        if len(twice):
            a, b = (self.image[order[i]] for i in (twice[0], twice[0] + 1))
            raise InputError(
                f"sequence {self.name} has the frame number {number[twice[0]]} twice: {a}, {b}",
                hint="a line that stands twice in a list file, or one frame in two formats",
            )
        runs = evenly_spaced_runs(number) if len(number) else []
        for i, run in enumerate(runs, start=1):
            chosen = order[run.start : run.stop]
            time = number[run.start : run.stop] / frame_rate if self.time is None else np.asarray(self.time)[chosen]
            name = self.name if len(runs) == 1 else f"{self.name}-{i}"
            yield self._part(name, chosen, number[run.start : run.stop], time - time[0])

    def _part(self, name: str, chosen: np.ndarray, number: np.ndarray, time: np.ndarray) -> "FileSequence":
        places = chosen.tolist()

        def of(values: Paths | None) -> Paths | None:
            return None if values is None else [values[i] for i in places]

        camera = self.camera
        if camera is not None and len(camera.K) > 1:
            camera = Camera(camera.K[chosen], *camera.size)
        changed = {
            "name": name,
            "number": number,
            "image": [self.image[i] for i in places],
            "label": of(self.label),
            "depth": of(self.depth),
            "camera": camera,
            "pose": self.pose[chosen] if isinstance(self.pose, np.ndarray) else of(self.pose),
            "time": time,
        }
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in changed}
        return FileSequence(**changed, **kept)  # type: ignore[arg-type]  # columns of several types by name


def evenly_spaced_runs(numbers: Sequence[int] | np.ndarray) -> list[range]:
    """Cut rising frame numbers into runs of one spacing; returns the positions of each run.

    A spacing counts if it is next to an equal one, or is the most common of all: a break between two runs is neither.
    """
    gaps = np.diff(numbers)
    if len(gaps) == 0:
        return [range(len(numbers))]
    if (gaps <= 0).any():
        raise InputError(f"frame numbers must rise, got {list(numbers)[:20]}")
    values, counts = np.unique(gaps, return_counts=True)
    same = gaps[1:] == gaps[:-1]
    linked = (gaps == values[np.argmax(counts)]) | np.append(same, False) | np.append(False, same)
    runs, start = [], 0
    # Between two equal spacings nothing can break: only the others are looked at one by one.
    for i in (np.flatnonzero(~linked | np.append(True, ~same)) + 1).tolist():
        changed = i - 1 > start and gaps[i - 1] != gaps[start]
        if not linked[i - 1] or changed:
            runs.append(range(start, i))
            start = i
    return [*runs, range(start, len(numbers))]
