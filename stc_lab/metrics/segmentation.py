"""Segmentation accuracy from a confusion matrix that is filled batch by batch."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from stc_lab.errors import InputError


@dataclass(frozen=True)
class SegmentationScores:
    """Scores over all usable pixels seen; `ConfusionMatrix.results` says which conventions."""

    miou: float  # mean of `iou` over the classes that occur in truth or prediction
    weighted_iou: float  # mean of `iou` weighted by `frequency` (VSPW's WIoU)
    accuracy: float  # share of pixels labelled right
    iou: Float64[Tensor, " k"]  # intersection over union; NaN: class in neither truth nor prediction
    frequency: Float64[Tensor, " k"]  # share of the usable pixels that truly belong to the class
    support: int  # usable pixels


@dataclass
class ConfusionMatrix:
    """Counts of (true class, predicted class) over pixels; `update` adds frames, `results` reads the scores off it.

    Matrices of the same classes add up: `a + b` is the matrix of both sets of frames.
    """

    num_classes: int
    ignore_index: int = 255  # truth with this id is left out
    counts: Int64[Tensor, "k k"] = field(init=False)  # rows: truth, columns: prediction

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise InputError(f"num_classes must be at least 1, got {self.num_classes}")
        self.counts = torch.zeros(self.num_classes, self.num_classes, dtype=torch.int64)

    def update(self, prediction: Int64[Tensor, "b h w"], truth: Int64[Tensor, "b h w"]) -> None:
        """Count frames. Class ids outside 0..num_classes-1 raise InputError, except in truth `ignore_index`."""
        if prediction.shape != truth.shape:
            raise InputError(
                f"prediction and truth must have the same shape, got {list(prediction.shape)} and {list(truth.shape)}",
                hint="coarse logits compared with full-size labels",
            )
        usable = truth != self.ignore_index
        predicted, true = prediction[usable], truth[usable]
        self._expect_ids("prediction", predicted, "a model with more classes, or ids of another label map")
        self._expect_ids(
            "truth", true, f"labels not mapped to the classes, or an ignore id that is not {self.ignore_index}"
        )
        k = self.num_classes
        counts = torch.bincount(true * k + predicted, minlength=k * k).reshape(k, k)
        self.counts = self.counts.to(counts.device) + counts

    def _expect_ids(self, name: str, ids: Tensor, hint: str) -> None:
        wrong = (ids < 0) | (ids >= self.num_classes)
        if bool(wrong.any()):
            found = torch.unique(ids[wrong]).tolist()
            shown = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
            raise InputError(f"{name} must hold class ids 0..{self.num_classes - 1}, got {shown}", hint=hint)

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise InputError(
                f"matrices of the same classes add up, got {self.num_classes} classes (ignore {self.ignore_index}) "
                f"and {other.num_classes} (ignore {other.ignore_index})"
            )
        both = ConfusionMatrix(self.num_classes, self.ignore_index)
        both.counts = self.counts + other.counts.to(self.counts.device)
        return both

    def results(self) -> SegmentationScores:
        """Scores of all frames so far.

        A class counts in the mean IoU if it occurs in truth or prediction, so one that is only predicted counts as 0
        (as in torchmetrics' macro average and mmsegmentation; VSPW's evaluator averages over the true classes only).
        Raises InputError if there was no usable pixel.
        """
        counts = self.counts.double()
        support = int(self.counts.sum())
        if support == 0:
            raise InputError(
                f"no usable pixel: nothing was counted, or every label was {self.ignore_index}",
                hint="frames without labels, or update() never called",
            )
        right, true, predicted = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
        iou = right / (true + predicted - right)  # 0 / 0 = NaN: the class occurs nowhere
        frequency = true / support
        return SegmentationScores(
            miou=float(iou.nanmean()),
            weighted_iou=float((frequency * iou).nansum()),
            accuracy=float(right.sum() / support),
            iou=iou,
            frequency=frequency,
            support=support,
        )
