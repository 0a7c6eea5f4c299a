"""What smoothing after the net buys and what it costs: accuracy against consistency, filter by filter."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import PRESETS, rooms_videos
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.film_study import exact_agreement
from stc_lab.filters import (
    confidence_weights,
    guided_filter_3d,
    smooth_along_flow,
    smooth_labels_over_time,
)
from stc_lab.geometry import DisFlow, RigidFlow
from stc_lab.losses.stability import PairFlows, all_pairs, pair_flows
from stc_lab.metrics import (
    ConfusionMatrix,
    Stream,
    VideoScore,
    e_cons,
    e_smooth,
    mean_iou,
    pool_scores,
    video_consistency,
)
from stc_lab.metrics.segmentation import scores_of
from stc_lab.models import Segmenter

Family = Literal["none", "labels over time", "along the flow", "guided filter"]
WINDOW = 8  # frames: VC8
FARTHEST = 3  # frames: K of E_cons


@dataclass(frozen=True)
class Smoothing:
    """One way to smooth a clip's predictions."""

    family: Family
    sigma: float = 0.0  # frames; of the two Gaussians
    temporal_radius: int = 0  # frames; of the guided filter: 0 is 2-D
    radius: int = 4  # px
    eps: float = 1e-3
    weighted: bool = True  # by the confidence of each class
    estimated: bool = False  # the flow: DIS's, instead of the exact one, which measures E_cons as well

    @property
    def name(self) -> str:
        if self.family == "none":
            return "one frame at a time"
        if self.family != "guided filter":
            where = "over time" if self.family == "labels over time" else "along the flow"
            return f"Gaussian {'along estimated flow' if self.estimated else where}, sigma {self.sigma:g}"
        size = "2-D" if self.temporal_radius == 0 else f"3-D, {2 * self.temporal_radius + 1} frames"
        return f"{'weighted ' if self.weighted else ''}guided filter, {size}"


SMOOTHINGS = (
    Smoothing("none"),
    # Below a sigma of 0.8 a frame outvotes all others.
    *(Smoothing("labels over time", sigma=sigma) for sigma in (1.0, 2.0, 3.0, 5.0)),
    *(Smoothing("along the flow", sigma=sigma) for sigma in (1.0, 2.0, 4.0)),
    *(Smoothing("along the flow", sigma=sigma, estimated=True) for sigma in (1.0, 2.0, 4.0)),
    *(Smoothing("guided filter", temporal_radius=radius) for radius in (0, 2, 4)),
    Smoothing("guided filter", temporal_radius=2, weighted=False),
)


@dataclass(frozen=True)
class FrontRow:
    """One smoothing's scores over all videos, and whether any other is better in both senses."""

    smoothing: Smoothing
    miou: float  # 0..1
    accuracy: float  # share of right pixels, 0..1
    agreement: float  # of neighbouring frames along the exact warp, 0..1
    video_consistency: float  # VC8, 0..1; NaN where no video has so many frames
    e_cons: float  # E_cons along the exact flow, not normalised: lower is steadier
    e_smooth: float  # E_smooth with sigma 1, by boundary pixels: lower is steadier
    on_front: bool  # no other row has both a higher mIoU and a lower E_cons
    counts: Int64[Tensor, "v k k"]  # of each video: the pixels of (true class, predicted class)
    e_cons_each: Float64[Tensor, " v"]  # E_cons of each video; NaN: nothing to measure


@dataclass(frozen=True)
class Effect:
    """What one row changes against another, with the standard deviation over resampled videos."""

    miou: float  # difference, in 0..1
    miou_spread: float
    e_cons: float  # relative: -0.3 is 30 % lower
    e_cons_spread: float
    steadier: int  # videos whose E_cons is lower
    better: int  # videos whose own mIoU is higher
    videos: int


def effect_of(row: FrontRow, base: FrontRow, *, resamples: int = 200, seed: int = 0) -> Effect:
    """Compare two rows of the same videos, and say how much of the difference hangs on which videos they were.

    The spread is a bootstrap's: videos are drawn with replacement, the same ones for both rows, and both differences
    are taken anew. It says nothing of other nets.
    """
    videos = len(base.counts)
    if row.counts.shape != base.counts.shape or resamples < 2:
        raise InputError(f"two rows of the same videos and 2 resamples are needed, got {resamples} resamples")
    draws = torch.randint(videos, (resamples, videos), generator=torch.Generator().manual_seed(seed))
    gains, falls = [], []
    for drawn in (torch.arange(videos), *draws):
        gains.append(mean_iou(row.counts[drawn].sum(dim=0)) - mean_iou(base.counts[drawn].sum(dim=0)))
        falls.append(float(row.e_cons_each[drawn].nanmean() / base.e_cons_each[drawn].nanmean()) - 1)
    return Effect(
        gains[0],
        float(torch.tensor(gains[1:]).std()),
        falls[0],
        float(torch.tensor(falls[1:]).std()),
        int((row.e_cons_each < base.e_cons_each).sum()),
        sum(mean_iou(new) > mean_iou(old) for new, old in zip(row.counts, base.counts, strict=True)),
        videos,
    )


def front_videos(*, scenes: int = 4, motion: str = "tracking", speed: float = 1.0, preset: str = "quick") -> Videos:
    """The first test rooms, 24 frames each: no net has seen them, and their names fix their seeds.

    The median pixel moves by about 3 px a frame before a tracking camera, by 4 before a hand-held one, and by 19 on
    the "dolly", the world that the shipped net knows (`rooms_study.path_motion`). `preset` says how long and how large
    the clips are; `quick` and `full` are alike in that.
    """
    config = replace(PRESETS[preset], test_scenes=scenes, motion=motion, speed=speed)
    return rooms_videos("test", config)


FRONT_ROOMS = {"tiny": 2, "quick": 4, "full": 12}


def front_sets(preset: str = "quick") -> dict[str, Videos]:
    """Test rooms filmed twice: by hand, at 4 px a frame, and on the dolly, at 19, too fast for any pixel to wait."""
    if preset not in FRONT_ROOMS:
        raise InputError(f"preset must be one of {', '.join(FRONT_ROOMS)}, got {preset!r}")
    motions = {"hand-held": "handheld", "dolly": "dolly"}
    return {
        name: front_videos(scenes=FRONT_ROOMS[preset], motion=motion, preset=preset) for name, motion in motions.items()
    }


def smoothing_front(
    model: Segmenter, videos: Videos, *, smoothings: Sequence[Smoothing] = SMOOTHINGS, batch: int = 24
) -> list[FrontRow]:
    """Smooth the net's predictions of every video in each way, and measure accuracy and consistency.

    Azulay et al. 2021, Figure 9 and Table 2, with mIoU in the place of recall; for videos with labels, depth, cameras
    and poses, whose exact flow serves the filter along the flow and the measures alike. The net is put into evaluation
    mode.
    """
    if not smoothings:
        raise InputError("smoothings must hold at least one, got none")
    tallies = {smoothing: _Tally(model.num_classes) for smoothing in smoothings}
    model.eval()
    for name in videos.names:
        clip = videos.clip(name)
        clip.require("label", "depth", "camera", "T_world_camera")
        with torch.no_grad():
            probabilities = torch.cat([model(part).softmax(dim=1) for part in clip.image.split(batch)])
        flows = pair_flows(clip, RigidFlow(), pairs=all_pairs(len(clip), farthest=FARTHEST), check=None)
        seen = {False: flows}  # the flow that a smoothing may look at, by whether it is estimated
        if any(smoothing.estimated for smoothing in smoothings):
            seen[True] = estimated_flows(clip)
        for smoothing, tally in tallies.items():
            tally.add(smoothed_labels(probabilities, clip.image, seen[smoothing.estimated], smoothing), clip, flows)
    scored = {smoothing: tally.scores() for smoothing, tally in tallies.items()}
    return [
        FrontRow(smoothing, **scores, on_front=not any(_beats(other, scores) for other in scored.values()))
        for smoothing, scores in scored.items()
    ]


def estimated_flows(clip: Clip) -> PairFlows:
    """What DIS sees between neighbouring frames, both ways, of the images alone."""
    return pair_flows(clip, DisFlow(), pairs=all_pairs(len(clip), farthest=1), check=None)


def smoothed_labels(
    probabilities: Float[Tensor, "t k h w"], images: Float[Tensor, "t 3 h w"], flows: PairFlows, smoothing: Smoothing
) -> Int64[Tensor, "t h w"]:
    """The labels after one smoothing; `flows` holds, among others, those between neighbouring frames."""
    if smoothing.family == "labels over time":
        return smooth_labels_over_time(probabilities.argmax(dim=1), smoothing.sigma)
    if smoothing.family == "along the flow":
        next_ones = [flows.pairs.index((i, i + 1)) for i in range(len(images) - 1)]
        there, back = flows.flow_pq[next_ones], flows.flow_qp[next_ones]
        return smooth_along_flow(probabilities, there, back, smoothing.sigma).argmax(dim=1)
    if smoothing.family == "guided filter":
        filtered = guided_filter_3d(
            images,
            probabilities,
            radius=smoothing.radius,
            temporal_radius=smoothing.temporal_radius,
            eps=smoothing.eps,
            weights=confidence_weights(probabilities) if smoothing.weighted else None,
        )
        return filtered.argmax(dim=1)
    return probabilities.argmax(dim=1)


class _Tally:
    """The scores of one smoothing, video by video."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts: list[Tensor] = []
        self.e_cons_each: list[float] = []
        self.agreements: list[VideoScore] = []
        self.vc = Stream(partial(video_consistency, n=WINDOW))
        self.cons = Stream(partial(e_cons, K=FARTHEST, normalise="none"))
        self.smooth = Stream(partial(e_smooth, sigma=1.0, background=-1))

    def add(self, labels: Tensor, clip: Clip, flows: PairFlows) -> None:
        assert clip.label is not None
        own = ConfusionMatrix(self.classes)
        own.add(labels, clip.label)
        self.counts.append(own.counts)
        backwards = list(reversed(range(len(clip))))  # the earlier frame is warped into the later, as in `evaluate`
        self.agreements += exact_agreement(labels[backwards], clip[backwards], 1)
        self.vc.add(labels, clip.label)
        steady = self.cons.add(labels, flows)
        self.e_cons_each.append(float("nan") if steady is None else steady.value)
        self.smooth.add(labels)

    def scores(self) -> dict[str, Any]:
        counts = torch.stack(self.counts)
        found = scores_of(counts.sum(dim=0))
        return {
            "miou": found.miou,
            "accuracy": found.accuracy,
            "agreement": pool_scores(self.agreements).value,
            "video_consistency": self.vc.value if self.vc.support else float("nan"),
            "e_cons": self.cons.value,
            "e_smooth": self.smooth.value,
            "counts": counts,
            "e_cons_each": torch.tensor(self.e_cons_each, dtype=torch.float64),
        }


def _beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["miou"] > other["miou"] and one["e_cons"] < other["e_cons"])
