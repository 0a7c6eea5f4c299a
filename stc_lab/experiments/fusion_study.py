"""What a net's own predictions gain from being averaged over views: over a data set, and frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.metrics import ConfusionMatrix
from stc_lab.models import Segmenter
from stc_lab.training.evaluate import OFFSETS, ROWS, FusionCeiling, ViewPredictions, fused_clips


@dataclass(frozen=True)
class FrameGain:
    """How much more of one frame's pixels are right after fusion along the geometry than in either other way."""

    video: str
    index: int
    classes: int  # different true classes that fill at least 2 % of the frame
    gain: float  # accuracy fused, minus that of one frame or of the identity control, whichever is better; -1..1


@dataclass(frozen=True)
class FusionStudy:
    """The fusion ceiling of some videos, the label maps behind it, and every frame's gain."""

    ceiling: FusionCeiling
    views: dict[str, ViewPredictions]  # by video
    gains: tuple[FrameGain, ...]

    def largest(self, count: int = 1, *, classes: int = 4) -> list[FrameGain]:
        """The frames that gain most, one of each video, of those that show at least `classes` classes."""
        best = {gain.video: gain for gain in self._ranked(classes)}  # the last of a video stays: its best
        return sorted(best.values(), key=lambda gain: -gain.gain)[:count]

    def median(self, *, classes: int = 4) -> FrameGain:
        """The frame of the median gain, of those that show at least `classes` classes."""
        ranked = self._ranked(classes)
        return ranked[len(ranked) // 2]

    def _ranked(self, classes: int) -> list[FrameGain]:
        shown = [gain for gain in self.gains if gain.classes >= classes]
        if not shown:
            raise InputError(f"no frame shows {classes} classes or more")
        return sorted(shown, key=lambda gain: (gain.gain, gain.video, gain.index))


def fusion_study(model: Segmenter, videos: Videos, *, offsets: Sequence[int] = OFFSETS, batch: int = 24) -> FusionStudy:
    """Predict all frames alone, fused over their neighbours, and fused without warping; keep the label maps.

    The diagnostic of `training.fusion_ceiling`, for any videos with labels, depth, cameras and poses and any net of
    their classes, with every frame's gain. The label maps of all frames lie in memory, on the CPU.
    """
    counts = {name: ConfusionMatrix(model.num_classes) for name in ROWS}
    pieces: dict[str, list[ViewPredictions]] = {name: [] for name in videos.names}
    gains: list[FrameGain] = []
    for clip, found in fused_clips(model, videos, offsets=offsets, batch=batch):
        assert clip.label is not None
        for row, confusion in counts.items():
            confusion.update(getattr(found, row), clip.label)
        gains += _gains(clip, found)
        pieces[clip.video[0]].append(found)
    scores = {row: confusion.results() for row, confusion in counts.items()}
    views = {
        name: ViewPredictions(**{row: torch.cat([getattr(piece, row).cpu() for piece in own]) for row in ROWS})
        for name, own in pieces.items()
    }
    return FusionStudy(FusionCeiling(**scores, offsets=tuple(offsets)), views, tuple(gains))


def _gains(clip: Clip, views: ViewPredictions) -> list[FrameGain]:
    assert clip.label is not None
    usable = clip.label != 255
    single, fused, identity = (
        _accuracy(labels, clip.label, usable) for labels in (views.single, views.fused, views.identity)
    )
    gain = fused - torch.maximum(single, identity)
    return [
        FrameGain(clip.video[t], int(clip.index[t]), _classes_shown(clip.label[t][usable[t]]), float(gain[t]))
        for t in range(len(clip))
    ]


def _classes_shown(labels: Int64[Tensor, " n"], *, share: float = 0.02) -> int:
    _, counts = labels.unique(return_counts=True)
    return int((counts >= share * max(1, len(labels))).sum())


def _accuracy(prediction: Tensor, truth: Tensor, usable: Tensor) -> Float[Tensor, " t"]:
    right = ((prediction == truth) & usable).flatten(1).sum(dim=1)
    return right.double() / usable.flatten(1).sum(dim=1).clamp_min(1)
