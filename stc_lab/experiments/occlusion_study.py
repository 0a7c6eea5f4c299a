"""How well the published rules find what another frame does not see, where the truth is known."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.rooms.config import PRESETS, RoomsConfig
from stc_lab.data.rooms.truth import ExactRoomsFlow
from stc_lab.data.rooms.videos import render_video, scene_of, video_name
from stc_lab.data.sintel import SintelPair, read_sintel_pair
from stc_lab.errors import InputError
from stc_lab.geometry import (
    DisFlow,
    Flow,
    FlowEstimator,
    depth_test_visible,
    forward_backward,
    gmflow_visible,
    gordon_visible,
    inside_visible,
    ruder_visible,
)
from stc_lab.metrics.occlusion import OcclusionCounts

_ByDepth = Callable[..., Bool[Tensor, "b h w"]]
_ByFlow = Callable[[Tensor, Tensor], Bool[Tensor, "b h w"]]
BY_DEPTH: Mapping[str, _ByDepth] = MappingProxyType({"depth_test": depth_test_visible, "gordon": gordon_visible})
BY_FLOW: Mapping[str, _ByFlow] = MappingProxyType(
    {
        "ruder": ruder_visible,
        "ruder_without_boundaries": partial(ruder_visible, motion_boundaries=False),
        "gmflow": gmflow_visible,
        "inside": lambda flow_ab, _: inside_visible(flow_ab),
    }
)
METHODS = (*BY_DEPTH, *BY_FLOW)
ESTIMATORS: Mapping[str, FlowEstimator] = MappingProxyType({"dis": DisFlow()})
_PAIRS_AT_ONCE = 16  # bounds the memory of a long video

Judge = tuple[str, str]  # the rule, and what it looked at: "depth", or whose flow
Plain = str | int | float | None
_Counts = tuple[OcclusionCounts, OcclusionCounts]


@dataclass(frozen=True)
class PairOcclusion:
    """Frames a and b: what of a is visible in b in truth, and by each rule."""

    truth: Flow
    counted: Bool[Tensor, "b h w"]  # pixels of which the truth is known
    masks: dict[Judge, Bool[Tensor, "b h w"]]  # by (method, evidence); True = visible

    @property
    def in_view(self) -> Bool[Tensor, "b h w"]:
        """Counted pixels whose true place lies inside b: what is not visible there is hidden behind something."""
        return self.counted & inside_visible(self.truth.flow)

    def counts(self, judge: Judge) -> _Counts:
        """Of one rule: everywhere, and in view alone."""
        mask, visible = self.masks[judge], self.truth.visible
        return OcclusionCounts.of(mask, visible, self.counted), OcclusionCounts.of(mask, visible, self.in_view)


@dataclass(frozen=True)
class OcclusionRow:
    """One rule on one kind of evidence, over all pairs of a gap."""

    method: str
    evidence: str  # "depth"; or whose flow: "exact", an estimator's name, or "exact+dis" (true there, estimated back)
    gap: int  # frames
    everywhere: OcclusionCounts  # occluded: leaves the frame or is hidden
    in_view: OcclusionCounts  # over pixels that stay inside the frame: occluded is hidden


@dataclass(frozen=True)
class OcclusionStudy:
    """A table of rules, gap by gap."""

    rows: tuple[OcclusionRow, ...]

    def row(self, method: str, evidence: str, gap: int) -> OcclusionRow:
        for row in self.rows:
            if (row.method, row.evidence, row.gap) == (method, evidence, gap):
                return row
        known = sorted({(row.method, row.evidence) for row in self.rows})
        raise InputError(f"no row of {method!r} on {evidence!r} at gap {gap}; there are {known}")

    def table(self) -> list[dict[str, Plain]]:
        """The rows as plain values: precision, recall and F1 of the occluded class, everywhere and in view."""
        return [_name(row) | _shares(row.everywhere, "") | _shares(row.in_view, "_in_view") for row in self.rows]


def _name(row: OcclusionRow) -> dict[str, Plain]:
    return {"method": row.method, "evidence": row.evidence, "gap": row.gap}


def _shares(counts: OcclusionCounts, suffix: str) -> dict[str, Plain]:
    return {f"{name}{suffix}": getattr(counts, name) for name in ("precision", "recall", "f1", "visible")}


def occlusion_of_pair(
    a: Clip,
    b: Clip,
    truth: FlowEstimator,
    *,
    methods: Sequence[str] = METHODS,
    estimators: Mapping[str, FlowEstimator] = ESTIMATORS,
    depth_noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> PairOcclusion:
    """Judge which pixels of a are visible in b by each rule: by depth, by the true flow and by each estimator's.

    `truth` is an exact estimator (`ExactRoomsFlow`). The true flow is an upper bound for rules that look at flow: it
    is known even for what is hidden. `depth_noise` is the deviation of both depth maps, as a share of the depth, and
    needs a `generator`: a rule by depth that is fed exact depth is flattered too.
    """
    _check_methods(methods)
    exact = truth(a, b)
    masks: dict[Judge, Tensor] = {}
    if any(method in BY_DEPTH for method in methods):
        a.require("depth", "camera", "T_world_camera")
        b.require("depth", "camera")
        assert a.depth is not None and b.depth is not None
        depth_a, depth_b = (_noisy(depth, depth_noise, generator) for depth in (a.depth, b.depth))
        for method in methods:
            if method in BY_DEPTH:
                masks[method, "depth"] = BY_DEPTH[method](
                    depth_a, a.camera, a.motion_to(b), depth_b, camera_source=b.camera
                )
    if any(method in BY_FLOW for method in methods):
        masks |= _by_flow("exact", exact.flow, truth(b, a).flow, methods)
        for name, estimator in estimators.items():
            there, back = forward_backward(estimator, a, b)
            masks |= _by_flow(name, there.flow, back.flow, methods)
    return PairOcclusion(exact, torch.ones_like(exact.visible), masks)


def occlusion_study(
    clips: Sequence[Clip],
    gaps: Sequence[int] = (1, 4, 8),
    *,
    methods: Sequence[str] = METHODS,
    estimators: Mapping[str, FlowEstimator] = ESTIMATORS,
    depth_noise: float = 0.0,
    config: RoomsConfig = PRESETS["quick"],
) -> OcclusionStudy:
    """Hold the rules against the rooms' truth, over all pairs of frames t and t + gap, pixels pooled.

    Each clip is one video of `rooms` (see `rooms_clips`); `config` is the one it was rendered with, but for its motion,
    size and sensor. The noise of the depth is drawn from the same seed in every call.
    """
    generator = torch.Generator().manual_seed(0)
    found: dict[tuple[Judge, int], _Counts] = {}
    for gap in gaps:
        for clip in clips:
            truth = ExactRoomsFlow(scene_of(_video(clip), config))
            for a, b in _pairs(clip, gap):
                pair = occlusion_of_pair(
                    a,
                    b,
                    truth,
                    methods=methods,
                    estimators=estimators,
                    depth_noise=depth_noise,
                    generator=generator,
                )
                _pool(found, pair, gap)
    return _study(found)


def rooms_clips(motion: str, *, seeds: Sequence[int] = (0, 1, 2, 3), preset: str = "quick") -> list[Clip]:
    """Test videos of `rooms` for a study: `dolly` or `handheld`, one for each seed."""
    if preset not in PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    return [render_video(video_name("test", seed), replace(PRESETS[preset], motion=motion)) for seed in seeds]


def sintel_occlusion(
    pair: SintelPair,
    *,
    methods: Sequence[str] = tuple(BY_FLOW),
    estimators: Mapping[str, FlowEstimator] = ESTIMATORS,
) -> PairOcclusion:
    """Judge one pair of Sintel by the rules that need no depth: with each estimator's flow, and with the true one.

    Sintel has no flow back, so that the true flow there meets an estimated one back (evidence `exact+<name>`).
    """
    _check_methods(methods, BY_FLOW)
    masks: dict[Judge, Tensor] = {}
    for name, estimator in estimators.items():
        there, back = forward_backward(estimator, pair.a, pair.b)
        masks |= _by_flow(f"exact+{name}", pair.truth.flow, back.flow, methods)
        masks |= _by_flow(name, there.flow, back.flow, methods)
    return PairOcclusion(pair.truth, pair.counted, masks)


def sintel_study(root: Path | str, pairs: Sequence[tuple[str, str, int]], **options: Any) -> OcclusionStudy:
    """The rules on pairs (render, scene, frame) of Sintel, pixels pooled; `options` are those of `sintel_occlusion`."""
    found: dict[tuple[Judge, int], _Counts] = {}
    for pair in pairs:
        _pool(found, sintel_occlusion(read_sintel_pair(root, *pair), **options), 1)
    return _study(found)


def _video(clip: Clip) -> str:
    if len(set(clip.video)) != 1:
        raise InputError(f"each clip must be of one video, got one of {len(set(clip.video))}")
    return clip.video[0]


def _pairs(clip: Clip, gap: int) -> Iterator[tuple[Clip, Clip]]:
    if not 0 < gap < len(clip):
        raise InputError(f"gaps must lie between 1 and {len(clip) - 1} for {len(clip)} frames, got {gap}")
    for start in range(0, len(clip) - gap, _PAIRS_AT_ONCE):
        stop = min(start + _PAIRS_AT_ONCE, len(clip) - gap)
        yield clip[start:stop], clip[start + gap : stop + gap]


def _pool(found: dict[tuple[Judge, int], _Counts], pair: PairOcclusion, gap: int) -> None:
    for judge in pair.masks:
        counts, before = pair.counts(judge), found.get((judge, gap))
        found[judge, gap] = counts if before is None else (before[0] + counts[0], before[1] + counts[1])


def _study(found: Mapping[tuple[Judge, int], _Counts]) -> OcclusionStudy:
    return OcclusionStudy(tuple(OcclusionRow(*judge, gap, *counts) for (judge, gap), counts in found.items()))


def _by_flow(
    evidence: str, flow_ab: Float[Tensor, "b 2 h w"], flow_ba: Float[Tensor, "b 2 h w"], methods: Sequence[str]
) -> dict[Judge, Bool[Tensor, "b h w"]]:
    return {(method, evidence): BY_FLOW[method](flow_ab, flow_ba) for method in methods if method in BY_FLOW}


def _noisy(depth: Float[Tensor, "b 1 h w"], deviation: float, generator: torch.Generator | None) -> Tensor:
    if deviation == 0:
        return depth
    if generator is None:
        raise InputError("depth_noise needs a generator", hint="generator=torch.Generator().manual_seed(0)")
    draws = torch.randn(depth.shape, generator=generator, dtype=depth.dtype).to(depth.device)
    return depth * (1 + deviation * draws)


def _check_methods(methods: Sequence[str], legal: Collection[str] = METHODS) -> None:
    unknown = [method for method in methods if method not in legal]
    if unknown or not methods:
        raise InputError(f"methods must be of {', '.join(legal)}, got {', '.join(unknown) or 'none'}")
