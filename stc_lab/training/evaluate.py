"""How good and how steady a net's predictions are, and what fusing views of one scene could add to them."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.errors import InputError
from stc_lab.filters import fuse_views
from stc_lab.geometry import inverse_warp_labels
from stc_lab.metrics import (
    ConfusionMatrix,
    SegmentationScores,
    VideoScore,
    pool_scores,
    temporal_agreement,
    video_consistency,
)
from stc_lab.models import Segmenter, upsample_strided

OFFSETS = (-8, -4, -2, -1, 1, 2, 4, 8)
ROWS = ("single", "fused", "identity")
_PIXELS_AT_ONCE = 3_000_000


@dataclass(frozen=True)
class FusionCeiling:
    """Scores of one frame alone, of the mean over its neighbours' views warped into it, and of the unwarped control."""

    single: SegmentationScores
    fused: SegmentationScores
    identity: SegmentationScores  # the same neighbours on the same pixels, without the warp
    offsets: tuple[int, ...]  # frames


@dataclass(frozen=True)
class Evaluation:
    """Scores of a net over all frames of some videos."""

    scores: SegmentationScores
    temporal_agreement: VideoScore | None  # along the exact warp; None: no depth and poses, or nothing visible
    gap: int  # frames between the two compared
    video_consistency: VideoScore | None  # None: no video has `window` frames with a steady pixel
    window: int  # n of VC_n, frames
    classes: tuple[str, ...]
    frames: int
    fusion: FusionCeiling | None = None

    def to_dict(self) -> dict[str, Any]:
        """All numbers in JSON's types; classes by name, None where a class does not occur."""
        summary: dict[str, Any] = {
            **_numbers(self.scores),
            "temporal_agreement": None if self.temporal_agreement is None else self.temporal_agreement.value,
            "gap": self.gap,
            "video_consistency": None if self.video_consistency is None else self.video_consistency.value,
            "window": self.window,
            "frames": self.frames,
            "iou": _by_class(self.classes, self.scores.iou),
            "frequency": _by_class(self.classes, self.scores.frequency),
        }
        if self.fusion is not None:
            rows = {name: _numbers(getattr(self.fusion, name)) for name in ROWS}
            summary["fusion"] = {"offsets": list(self.fusion.offsets), **rows}
        return summary


def predict(model: Segmenter, images: Float[Tensor, "t 3 h w"], *, batch: int = 24) -> Int64[Tensor, "t h w"]:
    """The most likely class of each pixel, in evaluation mode, `batch` frames at a time."""
    with evaluating(model):
        return torch.cat([model(part).argmax(dim=1) for part in images.split(batch)])


def evaluate(
    model: Segmenter,
    videos: Videos,
    *,
    gap: int = 2,
    window: int = 8,
    fusion: bool = False,
    batch: int = 24,
    each: Callable[[Clip, Int64[Tensor, "t h w"]], object] | None = None,
) -> Evaluation:
    """Segmentation scores of every frame, agreement of frames `gap` apart along the exact warp, and VC_window.

    Agreement and VC pool the pixels and windows of all videos; videos too short for them count in the scores alone.
    `fusion=True` adds `fusion_ceiling`, which takes about twice as long again. `each` gets every video and its
    predicted labels, for measures of one's own.
    """
    if gap < 1:
        raise InputError(f"gap must be at least 1 frame, got {gap}")
    device = next(model.parameters()).device
    confusion = ConfusionMatrix(model.num_classes)
    agreements: list[VideoScore] = []
    consistencies: list[VideoScore] = []
    for name in videos.names:
        clip = videos.clip(name).to(device)
        clip.require("label")
        assert clip.label is not None
        prediction = predict(model, clip.image, batch=batch)
        confusion.update(prediction, clip.label)
        agreements += _agreement(prediction, clip, gap)
        consistencies += _consistency(prediction, clip.label, window)
        if each is not None:
            each(clip, prediction)
    return Evaluation(
        scores=confusion.results(),
        temporal_agreement=pool_scores(agreements) if agreements else None,
        gap=gap,
        video_consistency=pool_scores(consistencies) if consistencies else None,
        window=window,
        classes=videos.info.classes,
        frames=len(videos),
        fusion=fusion_ceiling(model, videos, batch=batch) if fusion else None,
    )


@dataclass(frozen=True)
class ViewPredictions:
    """The most likely class of each pixel, from the frame alone and from the mean of several views."""

    single: Int64[Tensor, "t h w"]
    fused: Int64[Tensor, "t h w"]
    identity: Int64[Tensor, "t h w"]  # control: the same mean without the warp


def fused_predictions(
    model: Segmenter, clip: Clip, *, offsets: Sequence[int] = OFFSETS, batch: int = 24
) -> ViewPredictions:
    """Predict the frames of one video alone, fused with the views `offsets` frames away, and fused without warping.

    Probabilities are averaged on the net's coarse grid, then upsampled, all three alike.
    """
    clip.require("depth", "camera", "T_world_camera")
    stride, size = model.coarse_stride, clip.image.shape[-2:]
    coarse = clip.strided(stride)
    assert coarse.depth is not None and coarse.camera is not None and coarse.T_world_camera is not None
    with evaluating(model):
        alone = torch.cat([model.coarse(part).softmax(dim=1) for part in clip.image.split(batch)])
        views = {"single": alone}
        for name, warp in (("fused", "geometry"), ("identity", "identity")):
            views[name] = fuse_views(
                alone,
                coarse.depth,
                coarse.camera,
                coarse.T_world_camera,
                offsets=offsets,
                warp=warp,  # type: ignore[arg-type]  # a literal of the loop
            )
    return ViewPredictions(
        **{name: upsample_strided(mean, *size, stride=stride).argmax(dim=1) for name, mean in views.items()}
    )


def fusion_ceiling(
    model: Segmenter, videos: Videos, *, offsets: Sequence[int] = OFFSETS, batch: int = 24
) -> FusionCeiling:
    """What a scene's other views know that the frame alone does not: the training-free measure of geometry's worth.

    For any videos with labels, depth, cameras and poses, and any net of their classes. `identity` is the control: what
    it gains is smoothing, not geometry. A rough guide to, not a bound of, what consistency can teach; on rooms' dolly
    paths about +7 mIoU, and -3 for the control. `experiments.fusion_study` keeps the label maps as well. InputError
    where the data set lacks a field, or the net has other classes.
    """
    counts = {name: ConfusionMatrix(model.num_classes) for name in ROWS}
    for clip, views in fused_clips(model, videos, offsets=offsets, batch=batch):
        assert clip.label is not None
        for row, confusion in counts.items():
            confusion.update(getattr(views, row), clip.label)
    return FusionCeiling(**{row: confusion.results() for row, confusion in counts.items()}, offsets=tuple(offsets))


def fused_clips(
    model: Segmenter,
    videos: Videos,
    *,
    offsets: Sequence[int] = OFFSETS,
    batch: int = 24,
    frames_at_once: int | None = None,
) -> Iterator[tuple[Clip, ViewPredictions]]:
    """All frames of all videos, on the net's device, with their `fused_predictions`: a piece of a video at a time.

    A piece is predicted with the neighbours around it, so that the pieces of a long video are fused as the whole is.
    """
    missing = sorted({"label", "depth", "intrinsics", "pose"} - videos.has)
    if missing:
        raise InputError(
            f"fusing views along the geometry needs labels, depth, intrinsics and poses: "
            f"{videos.info.name!r} has no {', '.join(missing)}",
            hint="predict its depth and poses first, or take rooms, icl or sevenscenes",
        )
    if model.num_classes != len(videos.info.classes):
        raise InputError(
            f"the net tells {model.num_classes} classes apart, {videos.info.name!r} has {len(videos.info.classes)}",
            hint="a net that was trained on another data set",
        )
    device, reach = next(model.parameters()).device, max(map(abs, offsets), default=0)
    for name in videos.names:
        count, (height, width) = videos.frame_count(name), videos.size_of(name)
        step = (
            max(2 * reach, 1, _PIXELS_AT_ONCE // max(1, height * width)) if frames_at_once is None else frames_at_once
        )
        for start in range(0, count, step):
            stop = min(start + step, count)
            first, last = max(0, start - reach), min(count, stop + reach)
            clip = videos.clip(name, start=first, stop=last).to(device)
            clip.require("label", "depth", "camera", "T_world_camera")
            views = fused_predictions(model, clip, offsets=offsets, batch=batch)
            own = slice(start - first, stop - first)
            yield clip[own], ViewPredictions(**{row: getattr(views, row)[own] for row in ROWS})


@contextmanager
def evaluating(model: Segmenter) -> Iterator[None]:
    """Evaluation mode without gradients; each layer's own mode comes back after it (BatchNorm may be frozen)."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.no_grad():
            model.eval()
            yield
    finally:
        for module, training in modes:
            module.training = training


def _agreement(prediction: Tensor, clip: Clip, gap: int) -> list[VideoScore]:
    """Agreement of each frame with the one `gap` before it, warped; none without geometry or visible pixels."""
    known = clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
    if not known or len(clip) <= gap:
        return []
    source, target = clip[:-gap], clip[gap:]
    assert target.depth is not None and target.camera is not None
    warped = inverse_warp_labels(
        prediction[:-gap],
        target.depth,
        target.camera,
        target.motion_to(source),
        camera_source=source.camera,
        depth_source=source.depth,
    )
    return [temporal_agreement(prediction[gap:], warped)] if bool(warped.visible.any()) else []


def _consistency(prediction: Tensor, truth: Tensor, window: int) -> list[VideoScore]:
    """VC_window of one video; empty if it is too short, or no pixel keeps its true class for so long."""
    if len(truth) < window:
        return []
    same = (truth[1:] == truth[:-1]) & (truth[1:] != 255)
    if not bool(same.unfold(0, window - 1, 1).all(dim=-1).any()):
        return []
    return [video_consistency(prediction, truth, window)]


def _numbers(scores: SegmentationScores) -> dict[str, float]:
    return {"miou": scores.miou, "weighted_iou": scores.weighted_iou, "accuracy": scores.accuracy}


def _by_class(classes: tuple[str, ...], values: Tensor) -> dict[str, float | None]:
    names = classes or tuple(map(str, range(len(values))))
    return {
        name: None if math.isnan(value) else round(value, 6)
        for name, value in zip(names, values.tolist(), strict=False)
    }
