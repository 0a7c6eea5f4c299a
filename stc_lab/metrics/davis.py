"""Region and contour of objects in video, J and F of DAVIS (Perazzi et al. 2016, Pont-Tuset et al. 2017)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.metrics.streaming import MeanTally, NothingToMeasure

BOUND = 0.008  # of the image's diagonal: how far apart two contours may be and still match
_BACKGROUND = 0


@dataclass(frozen=True)
class FrameStatistics:
    """What DAVIS reports of a value per frame."""

    mean: float
    recall: float  # share of the frames with a value strictly over 0.5
    decay: float  # mean of the first quarter of the frames minus that of the last


@dataclass(frozen=True)
class ObjectScores:
    """One object in one video."""

    id: int
    J: FrameStatistics  # region: intersection over union
    F: FrameStatistics  # contour: harmonic mean of precision and recall
    pixel_recall: float  # TP / (TP + FN) over all frames; NaN where the object has no pixel
    J_frames: Float64[Tensor, " t"]
    F_frames: Float64[Tensor, " t"]


@dataclass(frozen=True)
class DavisScores:
    """The objects of one video, or of several: each counts once, however long or large."""

    value: float  # mean of J and F
    support: int  # objects
    J: FrameStatistics  # means over the objects
    F: FrameStatistics
    pixel_recall: float  # mean over the objects that have a pixel
    objects: tuple[ObjectScores, ...]
    map: Float32[Tensor, "h w"]  # share of the frames in which the pixel has the wrong object; NaN: always void

    @property
    def tally(self) -> MeanTally:
        """Its part in the J & F of several videos: a mean over their objects."""
        return MeanTally(self.value * self.support, self.support, self.support)


def region_similarity(
    prediction: Bool[Tensor, "t h w"], truth: Bool[Tensor, "t h w"], *, void: Bool[Tensor, "t h w"] | None = None
) -> Float64[Tensor, " t"]:
    """J of each frame: intersection over union of the masks, 1 where both are empty. Void pixels do not count."""
    _expect_masks(prediction, truth, void)
    usable = torch.ones_like(truth) if void is None else ~void
    inter, union = _pixels(prediction & truth & usable), _pixels((prediction | truth) & usable)
    return torch.where(union == 0, torch.ones_like(inter), inter / union.clamp(min=1))


def contour_accuracy(
    prediction: Bool[Tensor, "t h w"],
    truth: Bool[Tensor, "t h w"],
    *,
    bound: float = BOUND,
    void: Bool[Tensor, "t h w"] | None = None,
    official: bool = False,
) -> Float64[Tensor, " t"]:
    """F of each frame: which share of each contour lies close to the other; 1 where both are empty, 0 where one is.

    Close is within ceil(bound * diagonal) px, or within `bound` px if that is at least 1; the reference program takes
    this for the bipartite matching of the paper. A contour is the pixels of a mask that touch its outside (left,
    right, above, below); void pixels are neither. `official=True` takes the contour of the reference program: a pixel
    that differs from its neighbour to the right, below, or diagonally between, half a pixel up and to the left of the
    true contour, so that a flipped image scores a little differently; void pixels make contours there.
    Computed on the CPU.
    """
    _expect_masks(prediction, truth, void)
    if not bound > 0:
        raise InputError(f"bound must be positive, got {bound}")
    import cv2

    radius = bound if bound >= 1 else math.ceil(bound * math.hypot(*truth.shape[1:]))
    reach = np.arange(-int(radius), int(radius) + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.uint8)
    contours = _corner_contours if official else _inner_contours
    found = []
    for said, true in zip(contours(prediction, void).cpu().numpy(), contours(truth, void).cpu().numpy(), strict=True):
        n_said, n_true = np.count_nonzero(said), np.count_nonzero(true)
        if n_said == 0 or n_true == 0:
            found.append(float(n_said == n_true))
            continue
        near_said, near_true = (cv2.dilate(contour.astype(np.uint8), disk) > 0 for contour in (said, true))
        precision, recall = np.count_nonzero(said & near_true) / n_said, np.count_nonzero(true & near_said) / n_true
        found.append(2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0)
    return torch.tensor(found, dtype=torch.float64, device=truth.device)


def frame_statistics(values: Float64[Tensor, " t"], *, official: bool = False) -> FrameStatistics:
    """Mean, recall and decay of a value per frame; NaN frames are left out.

    The quarters are the reference program's: their ends are rounded, and neighbours share the frame between them.
    `official=True` also keeps these ends in 8 bits as it does: beyond 256 frames they wrap around, and the decay is
    that of other frames, or NaN where a quarter ends before it begins.
    """
    if len(values) == 0:
        raise NothingToMeasure("values must hold at least one frame, got none")
    ends = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(np.int64) - 1
    if official:
        ends %= 256
    first, last = values[ends[0] : ends[1] + 1], values[ends[3] : ends[4] + 1]
    return FrameStatistics(
        mean=float(values.nanmean()),
        recall=float((values > 0.5).double().mean()),
        decay=float(first.nanmean() - last.nanmean()),
    )


def davis_scores(
    prediction: Int64[Tensor, "t h w"],
    truth: Int64[Tensor, "t h w"],
    *,
    void_index: int = 255,
    bound: float = BOUND,
    official: bool = False,
) -> DavisScores:
    """J and F of the objects of one video: their means over the frames, recall and decay, and pixel recall.

    Ids are objects, 0 the background, `void_index` in the truth what does not count. The objects are those with a pixel
    in the truth. `official=True` does as the reference program for the semi-supervised task: the first frame, which is
    given, and the last one are dropped, every id up to the largest of the first frame is an object (an absent one that
    is not predicted scores 1), void is background, and contours and decay are those of `contour_accuracy` and
    `frame_statistics`. "Recall" of a method may mean the share of frames with J > 0.5 or the share of pixels found:
    both are given.
    Raises NothingToMeasure if there is no object, or no frame left.
    """
    if prediction.shape != truth.shape or truth.ndim != 3:
        raise InputError(
            f"prediction and truth must both be [t, h, w], got {list(prediction.shape)} and {list(truth.shape)}"
        )
    void = truth == void_index
    if official:
        truth = truth.masked_fill(void, _BACKGROUND)
        ids = list(range(1, int(truth[0].max()) + 1)) if len(truth) else []
        prediction, truth, void = prediction[1:-1], truth[1:-1], torch.zeros_like(void)[1:-1]
    else:
        ids = [i for i in torch.unique(truth).tolist() if i not in (_BACKGROUND, void_index)]
    if not ids or not len(truth):
        raise NothingToMeasure(
            f"no object to measure in {len(truth)} frames",
            hint="masks of the background alone; or, official, too few frames once the first and last are dropped",
        )
    objects = tuple(_object(i, prediction == i, truth == i, void, bound, official) for i in ids)
    J, F = (_mean_statistics([getattr(scores, name) for scores in objects]) for name in ("J", "F"))
    found = torch.tensor([scores.pixel_recall for scores in objects])
    wrong = ((prediction != truth) & ~void).sum(dim=0) / (~void).sum(dim=0)
    return DavisScores((J.mean + F.mean) / 2, len(objects), J, F, float(found.nanmean()), objects, wrong)


def _object(i: int, said: Tensor, true: Tensor, void: Tensor, bound: float, official: bool) -> ObjectScores:
    J = region_similarity(said, true, void=void)
    F = contour_accuracy(said, true, bound=bound, void=void, official=official)
    pixels, found = (float(_pixels(mask).sum()) for mask in (true, said & true))
    return ObjectScores(
        id=i,
        J=frame_statistics(J, official=official),
        F=frame_statistics(F, official=official),
        pixel_recall=found / pixels if pixels else math.nan,
        J_frames=J,
        F_frames=F,
    )


def _mean_statistics(each: list[FrameStatistics]) -> FrameStatistics:
    mean, recall, decay = np.mean([(s.mean, s.recall, s.decay) for s in each], axis=0).tolist()
    return FrameStatistics(mean, recall, decay)


def _pixels(masks: Tensor) -> Float64[Tensor, " t"]:
    """Pixels of each frame's mask; NumPy counts bits where torch would add up numbers."""
    if masks.device.type != "cpu":
        return masks.flatten(1).sum(dim=1).double()
    return torch.tensor([float(np.count_nonzero(mask)) for mask in masks.numpy()], dtype=torch.float64)


def _inner_contours(masks: Tensor, void: Tensor | None) -> Tensor:
    outside = ~masks if void is None else ~(masks | void)
    touching = torch.zeros_like(masks)
    touching[:, :, 1:] |= outside[:, :, :-1]
    touching[:, :, :-1] |= outside[:, :, 1:]
    touching[:, 1:] |= outside[:, :-1]
    touching[:, :-1] |= outside[:, 1:]
    touching &= masks
    return touching if void is None else touching & ~void


def _corner_contours(masks: Tensor, void: Tensor | None) -> Tensor:
    if void is not None:
        masks = masks & ~void
    right, below, corner = masks[:, :, 1:], masks[:, 1:], masks[:, 1:, 1:]
    contours = torch.zeros_like(masks)
    contours[:, :, :-1] |= masks[:, :, :-1] != right
    contours[:, :-1] |= masks[:, :-1] != below
    contours[:, :-1, :-1] |= masks[:, :-1, :-1] != corner
    return contours


def _expect_masks(prediction: Tensor, truth: Tensor, void: Tensor | None) -> None:
    for name, masks in (("prediction", prediction), ("truth", truth), ("void", truth if void is None else void)):
        if masks.dtype != torch.bool or masks.ndim != 3 or masks.shape != truth.shape:
            raise InputError(
                f"{name} must be a bool mask of the truth's shape {list(truth.shape)}, "
                f"got {masks.dtype} {list(masks.shape)}",
                hint="object ids? davis_scores takes them; one object's mask is labels == id",
            )
