"""Segmentation accuracy from a confusion matrix that is filled batch by batch."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.compiled import compilable

MeanOver = Literal["occurring", "true", "all_zero", "all_one", "plus_one"]


@dataclass(frozen=True)
class SegmentationScores:
    """Scores over all usable pixels seen; `mean_iou` and `ConfusionMatrix.results` say which conventions."""

    miou: float  # mean of `iou` over the classes that occur in truth or prediction, unless another mean was asked for
    weighted_iou: float  # mean of `iou` weighted by `frequency` (VSPW's WIoU)
    accuracy: float  # share of pixels labelled right
    iou: Float64[Tensor, " k"]  # intersection over union; NaN: class in neither truth nor prediction
    frequency: Float64[Tensor, " k"]  # share of the usable pixels that truly belong to the class
    support: int  # usable pixels
    recall: Float64[Tensor, " k"]  # TP / (TP + FN), share of the class's pixels found; NaN: class not in the truth
    mean_recall: float  # mean of `recall` over the classes in the truth


def mean_iou(counts: Int64[Tensor, "k k"], over: MeanOver = "occurring") -> float:
    """Mean IoU of a confusion matrix (rows: truth) by one of the conventions in use, which differ widely.

    - `occurring`: over the classes in truth or prediction, so one that is only predicted counts as 0 (torchmetrics'
      macro average, mmsegmentation).
    - `true`: over the classes in the truth (the Evaluator of VSPW).
    - `all_zero`: over all k classes, an absent one counts as 0 (ETC's eval_tc.py).
    - `all_one`: over all k classes, an absent one counts as 1 (kornia, which does so image by image).
    - `plus_one`: over all k classes, each denominator 1 larger, so an absent one counts as 0 (CoinCheung's BiSeNet).

    A mean over images, as kornia's and torchmetrics.segmentation's, is one matrix per image: a `Stream` of them.
    """
    if over not in get_args(MeanOver):
        raise InputError(f"a mean IoU is over one of {', '.join(get_args(MeanOver))}, got {over!r}")
    right, true, union = _right_true_union(counts)
    if over == "plus_one":
        return float((right / (union + 1)).mean())
    if over == "true":
        return float((right / union)[true > 0].mean())
    iou = right / union
    if over == "occurring":
        return float(iou.nanmean())
    return float(iou.nan_to_num(0.0 if over == "all_zero" else 1.0).mean())


def scores_of(counts: Int64[Tensor, "k k"], over: MeanOver = "occurring") -> SegmentationScores:
    """All scores of a confusion matrix (rows: truth) that counts at least one pixel."""
    right, true, union = _right_true_union(counts)
    support = int(counts.sum())
    iou, recall, frequency = right / union, right / true, true / support  # 0 / 0 = NaN: the class does not occur
    return SegmentationScores(
        miou=mean_iou(counts, over),
        weighted_iou=float((frequency * iou).nansum()),
        accuracy=float(right.sum() / support),
        iou=iou,
        frequency=frequency,
        support=support,
        recall=recall,
        mean_recall=float(recall.nanmean()),
    )


@dataclass
class ConfusionMatrix:
    """Counts of (true class, predicted class) over pixels; `add` takes frames, `results` reads the scores off it.

    Matrices of the same classes add up: `a + b` is the matrix of both sets of frames.
    """

    num_classes: int
    ignore_index: int = 255  # truth with this id is left out
    counts: Int64[Tensor, "k k"] = field(init=False)  # rows: truth, columns: prediction

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise InputError(f"num_classes must be at least 1, got {self.num_classes}")
        self.counts = torch.zeros(self.num_classes, self.num_classes, dtype=torch.int64)

    def add(self, prediction: Int64[Tensor, "b h w"], truth: Int64[Tensor, "b h w"]) -> None:
        """Count frames. Class ids outside 0..num_classes-1 raise InputError, except in truth `ignore_index`."""
        if prediction.shape != truth.shape:
            raise InputError(
                f"prediction and truth must have the same shape, got {list(prediction.shape)} and {list(truth.shape)}",
                hint="coarse logits compared with full-size labels",
            )
        if prediction.dtype != torch.int64 or truth.dtype != torch.int64:
            raise InputError(
                f"prediction and truth must be int64 class ids, got {prediction.dtype} and {truth.dtype}",
                hint="labels.long(); for logits, argmax(dim=1) first",
            )
        counts, wrong = _count(prediction, truth, self.num_classes, self.ignore_index)
        if wrong:
            self._name_ids(prediction, truth)
        self.counts = self.counts.to(counts.device) + counts

    update = add  # its name in torchmetrics

    def _name_ids(self, prediction: Tensor, truth: Tensor) -> None:
        usable = truth != self.ignore_index
        hints = {
            "prediction": "a model with more classes, or ids of another label map",
            "truth": f"labels not mapped to the classes, or an ignore id that is not {self.ignore_index}",
        }
        for name, labels in (("prediction", prediction), ("truth", truth)):
            wrong = usable & ((labels < 0) | (labels >= self.num_classes))
            if bool(wrong.any()):
                found = torch.unique(labels[wrong]).tolist()
                shown = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
                raise InputError(f"{name} must hold class ids 0..{self.num_classes - 1}, got {shown}", hint=hints[name])

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise InputError(
                f"matrices of the same classes add up, got {self.num_classes} classes (ignore {self.ignore_index}) "
                f"and {other.num_classes} (ignore {other.ignore_index})"
            )
        both = ConfusionMatrix(self.num_classes, self.ignore_index)
        both.counts = self.counts + other.counts.to(self.counts.device)
        return both

    @property
    def value(self) -> float:
        """The mean IoU so far."""
        return self.results().miou

    @property
    def support(self) -> int:
        return int(self.counts.sum())

    def results(self, over: MeanOver = "occurring") -> SegmentationScores:
        """Scores of all frames so far, the mean IoU by one of the conventions of `mean_iou`.

        Raises InputError if there was no usable pixel.
        """
        if self.support == 0:
            raise InputError(
                f"no usable pixel: nothing was counted, or every label was {self.ignore_index}",
                hint="frames without labels, or add() never called",
            )
        return scores_of(self.counts, over)


def _right_true_union(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of each class that are right, that truly belong to it, and that truth or prediction give it."""
    counts = counts.double()
    right, true, predicted = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
    return right, true, true + predicted - right


def _count(prediction: Tensor, truth: Tensor, k: int, ignore: int) -> tuple[Tensor, int]:
    """Pairs of (truth, prediction) [k, k], and the number of pixels with an id that is no class."""
    if compilable(prediction, truth):
        from stc_lab.metrics.kernels import count_pairs

        counts = torch.zeros(k * k, dtype=torch.int64)
        wrong = count_pairs(truth.flatten().numpy(), prediction.flatten().numpy(), k, ignore, counts.numpy())
        return counts.reshape(k, k), int(wrong)
    return _count_plain(prediction, truth, k, ignore)


def _count_plain(prediction: Tensor, truth: Tensor, k: int, ignore: int) -> tuple[Tensor, int]:
    classes = (truth >= 0) & (truth < k) & (prediction >= 0) & (prediction < k)
    places = torch.where(classes, truth * k + prediction, k * k)
    places = torch.where(truth == ignore, k * k + 1, places)
    counts = torch.bincount(places.flatten(), minlength=k * k + 2)
    return counts[: k * k].reshape(k, k), int(counts[k * k])
