"""The smallest honest experiment on Eq. 1: one trained net continued three ways, so that only the loss differs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry import Warped
from stc_lab.models import FPNSegmenter, load_shipped
from stc_lab.training import (
    Evaluation,
    FrameMemory,
    SegmentationRecipe,
    TrainingResult,
    evaluate,
    train,
    warp_logits,
)

# Picked among ten settings on the validation rooms (seed 0): with one label per room a larger rate forgets what the net
# knew, and a larger weight costs accuracy within so few steps.
LEARNING_RATE = 3e-4
WEIGHT = 0.3

# The same steps and labelled batches in all; `none` and `identity` are the controls.
ROWS = {
    "no consistency loss": "none",
    "Eq. 1, identity warp": "identity",
    "Eq. 1, along the geometry": "geometry",
}


@dataclass(frozen=True)
class ExamplePair:
    """Two frames of a video, and a net's coarse logits of both on the grid of the target."""

    target: Clip
    source: Clip
    logits_target: Float[Tensor, "1 k h w"]
    warped: Warped  # the source's logits as the target's camera would see them
    edges: Bool[Tensor, "1 h w"]  # of the target's image
    logits_source: Float[Tensor, "1 k h w"]
    edges_source: Bool[Tensor, "1 h w"]


def example_pair(
    model: FPNSegmenter, videos: Videos, *, gap: int, classes: int = 4, visible: float = 0.5
) -> ExamplePair:
    """The pair whose agreement is nearest to the mean of all pairs that show enough classes and overlap enough.

    An ordinary pair, picked by a rule. Everything is on the net's coarse grid, where it is trained.
    """
    memory = FrameMemory(videos)
    found: list[tuple[float, int, int]] = []
    for row, later in videos.pairs(gap):
        pair = _example(model, memory, row, later)
        assert pair.target.label is not None
        seen = pair.warped.visible
        if float(seen.float().mean()) < visible or len(pair.target.label.unique()) < classes:
            continue
        same = (pair.logits_target.argmax(dim=1) == pair.warped.image.argmax(dim=1))[seen]
        found.append((float(same.float().mean()), row, later))
    if not found:
        raise InputError(f"no two frames {gap} apart show {classes} classes and {visible:.0%} of the same surfaces")
    mean = sum(agreement for agreement, _, _ in found) / len(found)
    _, row, later = min(found, key=lambda one: (abs(one[0] - mean), one[1]))
    return _example(model, memory, row, later)


def _example(model: FPNSegmenter, memory: FrameMemory, row: int, later: int) -> ExamplePair:
    stride = model.coarse_stride
    target, source = memory.frames([row]), memory.frames([later])
    with torch.no_grad():
        logits_target, logits_source = model.coarse(torch.cat([target.image, source.image])).split(1)
    edges, edges_source = (
        memory.edges([number], clip.image, stride=stride) for number, clip in ((row, target), (later, source))
    )
    target, source = target.strided(stride), source.strided(stride)
    warped = warp_logits(logits_source, source, target, warp="geometry")
    return ExamplePair(target, source, logits_target, warped, edges, logits_source, edges_source)


@dataclass(frozen=True)
class StudyRow:
    """One way of continuing, and what it came to."""

    name: str
    result: TrainingResult
    evaluation: Evaluation

    @property
    def model(self) -> FPNSegmenter:
        return self.result.model

    def measures(self) -> dict[str, float]:
        """The four numbers to compare, 0..1."""
        steady, agreement = self.evaluation.video_consistency, self.evaluation.temporal_agreement
        return {
            "mIoU": self.evaluation.scores.miou,
            "accuracy": self.evaluation.scores.accuracy,
            "temporal agreement": float("nan") if agreement is None else agreement.value,
            "VC8": float("nan") if steady is None else steady.value,
        }


def consistency_study(
    train_videos: Videos,
    test_videos: Videos,
    *,
    steps: int,
    seed: int = 0,
    weight: float = WEIGHT,
    log: Callable[[str], Callable[[dict[str, Any]], None]] | None = None,
) -> list[StudyRow]:
    """Continue the shipped net for `steps` with each of `ROWS`, and evaluate each on the test videos.

    One labelled frame per training video. With seed 0 these are frames that the shipped net was trained on, so that no
    row sees a new label; other seeds draw other frames. `log(row)` gives the `log` of that row's training.
    """
    memory = FrameMemory(train_videos)
    shortest = min(train_videos.frame_count(name) for name in train_videos.names)
    gaps = tuple(gap for gap in (1, 2, 4, 8) if gap <= shortest // 3)  # so that any labelled frame can have a partner
    rows = []
    for name, warp in ROWS.items():
        recipe = SegmentationRecipe.continuation(
            "full",
            labelled=len(train_videos.names),
            steps=steps,
            seed=seed,
            warp=warp,
            gaps=gaps,
            learning_rate=LEARNING_RATE,
            weight=weight,
        )
        model = load_shipped("rooms_fpn").model
        result = train(model, train_videos, recipe, memory=memory, log=None if log is None else log(name))
        rows.append(StudyRow(name, result, evaluate(model, test_videos)))
    return rows
