"""Which labelled frames taught which class, and how far consistency carried their labels: pixels reached by a warp."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stc_lab.data import Videos
from stc_lab.errors import InputError
from stc_lab.geometry import inverse_warp_labels

_AT_ONCE = 64  # pairs of frames


@dataclass(frozen=True)
class Teacher:
    """One labelled frame that shows a class."""

    row: int  # of the videos
    video: str
    index: int
    labelled: int  # its pixels of the class
    reached: int  # pixels of other frames that get the class from this one


@dataclass(frozen=True)
class ClassReach:
    """How many pixels know a class from labels, and how many more through visible pairs."""

    name: str
    share: float  # of the labelled pixels
    labelled: int
    reached: int  # pixels of frames without a label, each counted once
    right: int  # of those, where the class is indeed there
    teachers: tuple[Teacher, ...]  # by pixels reached, most first

    @property
    def factor(self) -> float:
        """Pixels reached for each that is labelled; NaN for a class that no label shows."""
        return self.reached / self.labelled if self.labelled else float("nan")


def label_reach(videos: Videos, labelled: Sequence[int], *, gaps: Sequence[int] = (1, 2, 4, 8)) -> list[ClassReach]:
    """Carry the labels of some frames along the exact geometry to the frames `gaps` before and after them.

    These are the pairs that the consistency loss may draw around a label; whatever a pixel of them is called, it is
    asked to agree with the labelled one. A pixel that several labels reach counts once, for the first. Classes are in
    the data set's order.
    """
    if not labelled or not gaps or min(gaps) < 1:
        raise InputError(f"labelled frames and gaps of 1 or more are expected, got {len(labelled)} and {list(gaps)}")
    classes, ignore = len(videos.info.classes), videos.info.ignore_index
    own = torch.stack([_counts(videos.frames([row]).label, classes, ignore) for row in labelled])
    place = {row: i for i, row in enumerate(labelled)}
    reached = torch.zeros(len(labelled), classes, dtype=torch.int64)
    right = torch.zeros(classes, dtype=torch.int64)
    taken: dict[int, Tensor] = {}
    for target, source in _batches(_neighbours(videos, labelled, gaps)):
        truth, carried = _carried(videos, target, source)
        for i, (to, start) in enumerate(zip(target, source, strict=True)):
            label = carried[i].clone()
            if to in taken:
                label[taken[to]] = ignore
            seen = label != ignore
            taken[to] = taken[to] | seen if to in taken else seen
            reached[place[start]] += _counts(label, classes, ignore)
            right += _counts(label[label == truth[i]], classes, ignore)
    shares = own.sum(dim=0).double() / own.sum()
    return [
        ClassReach(
            name,
            float(shares[k]),
            int(own[:, k].sum()),
            int(reached[:, k].sum()),
            int(right[k]),
            _teachers(videos, labelled, own[:, k].tolist(), reached[:, k].tolist()),
        )
        for k, name in enumerate(videos.info.classes)
    ]


def carried_label(videos: Videos, source: int, target: int) -> Tensor:
    """The label of one row as the camera of another sees it, [h, w]; ignore where it does not see it."""
    return _carried(videos, [target], [source])[1][0]


def _carried(videos: Videos, target: Sequence[int], source: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The targets' true labels, and those carried to them from the sources."""
    there, here = videos.frames(target), videos.frames(source)
    for clip in (there, here):
        clip.require("label", "depth", "camera", "T_world_camera")
    assert there.label is not None and there.depth is not None and there.camera is not None and here.label is not None
    warped = inverse_warp_labels(
        here.label,
        there.depth,
        there.camera,
        there.motion_to(here),
        camera_source=here.camera,
        depth_source=here.depth,
    )
    return there.label, warped.label


def _neighbours(videos: Videos, labelled: Sequence[int], gaps: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(target, source): each frame without a label that is a gap away from one with, in the same video."""
    known = set(labelled)
    for row, video in zip(labelled, videos.videos_of(labelled), strict=True):
        first = videos.row(video, 0)
        for gap in gaps:
            for target in (row - gap, row + gap):
                if first <= target < first + videos.frame_count(video) and target not in known:
                    yield target, row


def _batches(pairs: Iterator[tuple[int, int]]) -> Iterator[tuple[list[int], list[int]]]:
    listed = list(pairs)
    for start in range(0, len(listed), _AT_ONCE):
        part = listed[start : start + _AT_ONCE]
        yield [target for target, _ in part], [source for _, source in part]


def _teachers(
    videos: Videos, labelled: Sequence[int], pixels: Sequence[int], reached: Sequence[int]
) -> tuple[Teacher, ...]:
    names = videos.videos_of(labelled)
    found = [
        Teacher(row, name, row - videos.row(name, 0), own, far)
        for row, name, own, far in zip(labelled, names, pixels, reached, strict=True)
        if own > 0
    ]
    return tuple(sorted(found, key=lambda one: (-one.reached, one.row)))


def _counts(label: Tensor | None, classes: int, ignore: int) -> Tensor:
    assert label is not None
    return torch.bincount(label[label != ignore].flatten(), minlength=classes)
