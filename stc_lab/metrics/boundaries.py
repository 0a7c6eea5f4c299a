"""Pixels on the boundaries between labels, by the definitions in use: they differ by a factor of about two."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_labels

BoundaryMode = Literal["thick", "inner", "outer"]


def label_boundaries(
    labels: Int64[Tensor, "t h w"],
    mode: BoundaryMode = "thick",
    *,
    background: int = 0,
    ignore_index: int | None = None,
) -> Bool[Tensor, "t h w"]:
    """Which pixels lie on a boundary between labels.

    - `thick`: those with another label to the left, right, above or below, so on both sides of a boundary.
    - `inner`: of these, the ones that are not background.
    - `outer`: of these, the background ones, and any with two labels other than the background in its 3 x 3 pixels:
      where two objects touch, both sides again.

    These are the modes of scikit-image's find_boundaries. With `ignore_index`, that id is no label: a pixel next to it
    is not on a boundary for that, and it is not on one itself.
    """
    expect_labels("labels", labels)
    _check_mode(mode)
    boundary = torch.zeros_like(labels, dtype=torch.bool)
    for axis in (1, 2):
        before, after = labels.narrow(axis, 0, labels.shape[axis] - 1), labels.narrow(axis, 1, labels.shape[axis] - 1)
        differ = before != after
        if ignore_index is not None:
            differ &= (before != ignore_index) & (after != ignore_index)
        boundary.narrow(axis, 0, labels.shape[axis] - 1).logical_or_(differ)
        boundary.narrow(axis, 1, labels.shape[axis] - 1).logical_or_(differ)
    if mode == "inner":
        boundary &= labels != background
    if mode == "outer":
        empty = labels == background
        nothing = empty if ignore_index is None else empty | (labels == ignore_index)
        most = _around(labels.masked_fill(nothing, torch.iinfo(torch.int64).min), torch.maximum)
        least = _around(labels.masked_fill(nothing, torch.iinfo(torch.int64).max), torch.minimum)
        boundary &= empty | (most != least)
    return boundary


def boundary_counts(
    labels: Int64[Tensor, "t h w"],
    mode: BoundaryMode = "thick",
    *,
    background: int = 0,
    ignore_index: int | None = None,
) -> Int64[Tensor, " t"]:
    """Pixels on a boundary in each frame; see `label_boundaries`."""
    frames = [
        label_boundaries(frame[None], mode, background=background, ignore_index=ignore_index).sum() for frame in labels
    ]
    if not frames:
        raise InputError("labels must hold at least one frame, got none")
    return torch.stack(frames)


def _check_mode(mode: str) -> None:
    if mode not in get_args(BoundaryMode):
        raise InputError(f"mode must be one of {', '.join(get_args(BoundaryMode))}, got {mode!r}")


def _around(labels: Tensor, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The extreme label among the 3 x 3 pixels around each, fewer at the border."""
    for axis in (1, 2):
        n = labels.shape[axis]
        found = labels.clone()
        for start, other in ((0, 1), (1, 0)):
            here, there = found.narrow(axis, start, n - 1), labels.narrow(axis, other, n - 1)
            here.copy_(pick(here, there))
        labels = found
    return labels
