"""Temporal consistency TC: does a frame's prediction agree with the next one's, warped along the flow?"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_labels
from stc_lab.geometry.flow import Flow, landing, lifted, warp_labels_by_flow
from stc_lab.geometry.warp import sample
from stc_lab.metrics.segmentation import ConfusionMatrix, MeanOver, mean_iou
from stc_lab.metrics.streaming import NothingToMeasure

Script = Literal["vspw", "etc"]
_MEANS: dict[str, MeanOver] = {"vspw": "true", "etc": "all_zero"}


@dataclass(frozen=True)
class CountTally:
    """Counts of (label, warped label) over the pixels of all videos; its value is their mean IoU."""

    counts: Int64[Tensor, "k k"]
    over: MeanOver

    @property
    def value(self) -> float:
        return mean_iou(self.counts, self.over)

    @property
    def support(self) -> int:
        return int(self.counts.sum())

    def __add__(self, other: "CountTally") -> "CountTally":
        if (len(self.counts), self.over) != (len(other.counts), other.over):
            raise InputError(f"{len(self.counts)} and {len(other.counts)} classes do not add up")
        return CountTally(self.counts + other.counts.to(self.counts.device), self.over)


@dataclass(frozen=True)
class TemporalConsistency:
    """Mean IoU between the labels of each frame and those of the next, warped into it."""

    value: float
    support: int  # pixels compared; a pixel counts once in each pair of frames
    map: Float32[Tensor, "t h w"]  # 1: the same label, 0: another, NaN: not compared; on the first frame of each pair
    tally: CountTally  # pools the pixels of all videos, as both scripts do


def temporal_consistency(
    prediction: Int64[Tensor, "t h w"],
    flow: Flow,
    num_classes: int,
    *,
    official: bool = False,
    script: Script = "vspw",
    ignore_index: int = 255,
) -> TemporalConsistency:
    """TC of one video: the labels of frame t + 1, warped to t by the flow t -> t + 1, against those of t as mean IoU.

    `flow` holds the t - 1 flows from each frame to the next. Labels are read at the nearest pixel, zero flow is the
    identity, and only `flow.visible` pixels that land inside the next frame count, without `ignore_index` on either
    side; the mean is over the classes that occur on either side. Visibility by a forward-backward check is the caller's
    to give (`EstimatedPairs`, `ruder_visible`).

    The published numbers come from two scripts that do otherwise; `official=True` does as they do. Neither looks at
    occlusion, and both pool the pixels of all videos (see `Stream`), VSPW's those of the first 100 of its list.
    - `script="vspw"`, its TC_cal.py: positions are normalised for one grid and read on another (W - 1 beside
      align_corners=False), so they are off by up to half a pixel, and zero flow loses the last of an even number of
      rows or columns. What falls outside becomes class 0. The mean is over the classes of frame t.
    - `script="etc"`, eval_tc.py of ETC (Liu et al. 2020): ids are interpolated and their fractions cut off, so that
      classes appear between others. The border goes on. The mean is over all classes, absent ones as 0.

    Raises NothingToMeasure if the video has one frame, or no pixel can be compared.
    """
    expect_labels("prediction", prediction)
    if official and script not in get_args(Script):
        raise InputError(f"script must be one of {', '.join(get_args(Script))}, got {script!r}")
    pairs = len(prediction) - 1
    if pairs < 1:
        raise NothingToMeasure("temporal consistency needs at least 2 frames, got 1")
    if flow.flow.shape != (pairs, 2, *prediction.shape[1:]):
        raise InputError(
            f"flow must be [{pairs}, 2, {', '.join(map(str, prediction.shape[1:]))}], from each frame to the next, "
            f"got {list(flow.flow.shape)}",
            hint="one flow fewer than frames, at the size of the labels",
        )
    here, there = prediction[:-1], prediction[1:]
    over: MeanOver = "occurring"
    if official:
        warped = (_warped_vspw if script == "vspw" else _warped_etc)(there, flow.flow)
        usable, over = torch.ones_like(flow.visible), _MEANS[script]
    else:
        found = warp_labels_by_flow(there, flow.flow)
        warped = found.label
        usable = found.visible & flow.visible & (here != ignore_index) & (warped != ignore_index)
    if not bool(usable.any()):
        raise NothingToMeasure(
            "no usable pixel: flow.visible is False everywhere, or the flow leaves the image",
            hint="flow of another size or unit than px",
        )
    matrix = ConfusionMatrix(num_classes, ignore_index=-1)
    matrix.add(warped.masked_fill(~usable, 0), here.masked_fill(~usable, -1))
    tally = CountTally(matrix.counts, over)
    same = torch.where(usable, (warped == here).float(), torch.nan)
    return TemporalConsistency(tally.value, tally.support, same, tally)


def _warped_vspw(labels: Tensor, flow: Tensor) -> Tensor:
    height, width = labels.shape[1:]
    x, y = landing(lifted(flow)).unbind(dim=1)
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=3)
    read = F.grid_sample(
        labels[:, None].to(grid.dtype), grid, mode="nearest", padding_mode="zeros", align_corners=False
    )
    return read[:, 0].long()


def _warped_etc(labels: Tensor, flow: Tensor) -> Tensor:
    pixels = landing(lifted(flow))
    return sample(labels[:, None].to(pixels.dtype), pixels)[:, 0].long()
