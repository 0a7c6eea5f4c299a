"""Predictions that never waver, and what each measure of consistency makes of them (VC_n of He et al. 2021)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.rooms_study import class_shares
from stc_lab.metrics import ConfusionMatrix, Stream, VideoScore, video_consistency
from stc_lab.models import Segmenter
from stc_lab.training import predict

LENGTHS = (8, 16)
_IGNORE = 255
Predict = Callable[[Clip], Int64[Tensor, "t h w"]]


@dataclass(frozen=True)
class SteadinessRow:
    """One way to predict, and its scores over all videos, 0..1; NaN where no window counts a pixel."""

    name: str
    miou: float
    accuracy: float
    official: dict[int, float]  # VC_n as the published script has it
    correct: dict[int, float]  # VC_n where the prediction must be right
    balanced: dict[int, float]  # the same for each true class by itself, then the mean over the classes


def steady_predictions(model: Segmenter, videos: Videos) -> dict[str, Predict]:
    """The net, and maps for which hardly a frame was looked at, or which are wrong everywhere."""
    shares, classes = class_shares(videos), videos.info.classes
    frequent, rare = int(shares.argmax()), int(shares.argmin())
    return {
        "the net": lambda clip: predict(model, clip.image),
        "the net's first frame, held": lambda clip: predict(model, clip.image[:1]).expand(len(clip), -1, -1),
        f"always {classes[frequent]} (most frequent)": partial(_always, frequent),
        f"always {classes[rare]} ({'rarest' if shares[rare] > 0 else 'nowhere'})": partial(_always, rare),
        "the truth, each class misnamed": partial(_misnamed, len(classes)),
    }


def steadiness(
    predictions: dict[str, Predict], videos: Videos, *, lengths: Sequence[int] = LENGTHS
) -> list[SteadinessRow]:
    """mIoU, accuracy and VC_n, in three forms, of each way to predict.

    VC pools the windows of all videos, as the published numbers do; videos in which no window counts a pixel are left
    out. `balanced` is ours: VC_n over the windows and pixels of one true class at a time, so that the frequent classes
    do not decide.
    """
    if not predictions:
        raise InputError("steadiness needs at least one way to predict, got none")
    return [_row(name, make, videos, lengths) for name, make in predictions.items()]


def _row(name: str, make: Predict, videos: Videos, lengths: Sequence[int]) -> SteadinessRow:
    classes = range(len(videos.info.classes))
    confusion = ConfusionMatrix(len(classes))
    official = {n: Stream(partial(video_consistency, n=n, official=True)) for n in lengths}
    correct = {n: Stream(partial(video_consistency, n=n)) for n in lengths}
    alone = {n: [Stream(partial(video_consistency, n=n)) for _ in classes] for n in lengths}
    for video in videos.names:
        clip = videos.clip(video)
        clip.require("label")
        assert clip.label is not None
        prediction = make(clip).contiguous()
        confusion.update(prediction, clip.label)
        for n in lengths:
            official[n].add(prediction, clip.label)
            correct[n].add(prediction, clip.label)
            for class_id in clip.label.unique().tolist():
                if class_id != _IGNORE:
                    only = torch.where(clip.label == class_id, clip.label, _IGNORE)
                    alone[n][class_id].add(prediction, only)
    scores = confusion.results()
    return SteadinessRow(
        name,
        scores.miou,
        scores.accuracy,
        {n: _value(stream) for n, stream in official.items()},
        {n: _value(stream) for n, stream in correct.items()},
        {n: _mean([_value(stream) for stream in streams]) for n, streams in alone.items()},
    )


def _value(stream: Stream[VideoScore]) -> float:
    return float("nan") if stream.tally is None else stream.value


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


def _always(class_id: int, clip: Clip) -> Tensor:
    assert clip.label is not None
    return torch.full_like(clip.label, class_id)


def _misnamed(classes: int, clip: Clip) -> Tensor:
    """Every class under the name of the next: wrong at every pixel, and as steady as the world."""
    assert clip.label is not None
    return torch.where(clip.label == _IGNORE, 0, (clip.label + 1) % classes)
