"""The occlusion rules on one pair, pixel by pixel beside the exact truth where there is one."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.occlusion_study import Judge, occlusion_of_pair
from stc_lab.geometry import FlowEstimator, RigidFlow
from stc_lab.metrics.occlusion import OcclusionCounts

VERDICTS = (
    "seen, and called so",
    "hidden, and found",
    "hidden, but missed",
    "seen, but called hidden",
    "called hidden (truth unknown)",
    "leaves the frame, or no depth",
)
SEEN, FOUND, MISSED, FALSE_ALARM, CALLED, NOT_JUDGED = range(len(VERDICTS))
EXACT = "Exact"
TITLES: dict[Judge, str] = {
    ("depth_test", "depth"): "Depth test",
    ("gordon", "depth"): "Gordon's depth ordering",
    ("ruder_without_boundaries", "exact"): "Forward-backward, exact flow",
    ("ruder_without_boundaries", "dis"): "Forward-backward, estimated flow",
}


@dataclass(frozen=True)
class JudgedMask:
    """What one rule says of the target's pixels that stay inside the source's frame."""

    title: str
    verdict: Int64[Tensor, "h w"]  # of VERDICTS
    counts: OcclusionCounts | None  # None: the truth is unknown


def judge_masks(target: Clip, source: Clip, truth: FlowEstimator | None) -> list[JudgedMask]:
    """The exact mask, if `truth` knows it, and those of the depth test, Gordon et al. 2019 and Ruder et al. 2016.

    Judged are pixels of known depth whose true place lies inside the source: leaving the frame hides nothing. The
    forward-backward check looks at the exact flow, if known, and at the one that DIS estimates from the images.
    """
    if len(target) != 1 or len(source) != 1:
        raise InputError(f"masks are judged for one pair of frames, got clips of {len(target)} and {len(source)}")
    methods = tuple(dict.fromkeys(method for method, _ in TITLES))
    pair = occlusion_of_pair(target, source, RigidFlow() if truth is None else truth, methods=methods)
    assert target.depth is not None
    judged = pair.in_view & torch.isfinite(target.depth[:, 0]) & (target.depth[:, 0] > 0)
    hidden = ~pair.truth.visible
    found = []
    if truth is not None:
        exact = torch.where(hidden, FOUND, SEEN).masked_fill(~judged, NOT_JUDGED)
        found.append(JudgedMask(EXACT, exact[0], OcclusionCounts.of(~hidden, ~hidden, judged)))
    for judge, title in TITLES.items():
        if truth is None and judge[1] == "exact":
            continue
        called = ~pair.masks[judge]
        if truth is None:
            verdict, counts = torch.where(called, CALLED, SEEN), None
        else:
            verdict = torch.where(hidden, torch.where(called, FOUND, MISSED), torch.where(called, FALSE_ALARM, SEEN))
            counts = OcclusionCounts.of(~called, ~hidden, judged)
        found.append(JudgedMask(title, verdict.masked_fill(~judged, NOT_JUDGED)[0], counts))
    return found


def judge_by_gap(
    clip: Clip, gaps: Sequence[int], truth: FlowEstimator, *, every: int = 2
) -> dict[int, dict[str, OcclusionCounts]]:
    """Counts of each rule by its title, pooled over every `every`-th pair of the clip, for several gaps."""
    short = [gap for gap in gaps if not 0 < gap < len(clip)]
    if short:
        raise InputError(f"gaps must lie between 1 and {len(clip) - 1} for a clip of {len(clip)} frames, got {short}")
    found: dict[int, dict[str, OcclusionCounts]] = {}
    for gap in gaps:
        pooled: dict[str, OcclusionCounts] = {}
        for t in range(0, len(clip) - gap, every):
            for mask in judge_masks(clip[t], clip[t + gap], truth):
                if mask.counts is not None and mask.title != EXACT:
                    pooled[mask.title] = pooled[mask.title] + mask.counts if mask.title in pooled else mask.counts
        found[gap] = pooled
    return found
