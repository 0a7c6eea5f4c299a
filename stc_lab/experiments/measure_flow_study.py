"""What estimated flow does to the measures of consistency: each with exact and with estimated flow, side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import NUM_CLASSES, PRESETS, RoomsConfig, scene_of
from stc_lab.data.rooms.truth import ExactRoomsFlow
from stc_lab.errors import InputError
from stc_lab.geometry import DisFlow, Flow, FlowEstimator, masked_labels, warp_labels_by_flow
from stc_lab.losses.stability import PairFlows, all_pairs, pair_flows
from stc_lab.metrics import Stream, e_cons, e_smooth, temporal_agreement, temporal_consistency
from stc_lab.metrics.video import VideoScore
from stc_lab.models import Segmenter
from stc_lab.training.evaluate import predict

Measure = Callable[[Tensor, PairFlows], object]
Plain = str | float | int
REACH = 3  # K of E_cons: frames
ESTIMATOR: FlowEstimator = DisFlow()


@dataclass(frozen=True)
class MeasureRow:
    """One measure on one kind of labels, all videos together."""

    measure: str
    labels: str  # "true", or "net"
    exact: float  # exact flow, exactly what is visible
    checked: float  # exact flow, visible by the forward-backward check
    estimated: float  # estimated flow, and the check
    support: int  # comparisons of a pixel with exact flow

    @property
    def difference(self) -> float:
        return self.estimated - self.exact


@dataclass(frozen=True)
class MeasureStudy:
    """A row for each measure and kind of labels."""

    rows: tuple[MeasureRow, ...]

    def row(self, measure: str, labels: str) -> MeasureRow:
        for row in self.rows:
            if (row.measure, row.labels) == (measure, labels):
                return row
        known = sorted({(row.measure, row.labels) for row in self.rows})
        raise InputError(f"no row of {measure!r} on {labels!r} labels; there are {known}")

    def table(self) -> list[dict[str, Plain]]:
        """The rows as plain values, each with the difference that the estimated flow makes."""
        return [{**vars(row), "difference": row.difference} for row in self.rows]


def measure_flow_study(
    clips: Sequence[Clip],
    model: Segmenter | None = None,
    *,
    config: RoomsConfig = PRESETS["quick"],
    estimator: FlowEstimator = ESTIMATOR,
) -> MeasureStudy:
    """Every measure of consistency, with the rooms' exact flow and with an estimated one, and what that changes.

    On true labels the exact flow leaves only what the nearest pixel gets wrong at edges; what the estimated flow adds
    is its own error, which a net's labels are then charged with too. Each clip is one video of `rooms`
    (`occlusion_study.rooms_clips`), `config` the one it was rendered with, but for its motion and sensor. Without a
    model the labels are the true ones alone. Sizes of objects take class 0 as the background.
    """
    if not clips:
        raise InputError("clips must hold at least one video, got none")
    streams: dict[tuple[str, str, str], Stream] = {}
    for clip in clips:
        clip.require("label")
        assert clip.label is not None
        if len(set(clip.video)) != 1:
            raise InputError(f"each clip must be of one video, got one of {len(set(clip.video))}")
        labels: dict[str, Int64[Tensor, "t h w"]] = {"true": clip.label}
        if model is not None:
            labels["net"] = predict(model, clip.image)
        exact, pairs = ExactRoomsFlow(scene_of(clip.video[0], config)), all_pairs(len(clip), farthest=REACH)
        tables = {
            "exact": pair_flows(clip, exact, pairs=pairs, check=None),
            "checked": pair_flows(clip, exact, pairs=pairs),
            "estimated": pair_flows(clip, estimator, pairs=pairs),
        }
        for kind, own in labels.items():
            for evidence, flows in tables.items():
                for name, measure in MEASURES.items():
                    streams.setdefault((name, kind, evidence), Stream(measure)).add(own, flows)
    kinds = ("true",) if model is None else ("true", "net")
    return MeasureStudy(tuple(_row(streams, name, kind) for kind in kinds for name in MEASURES))


def _row(streams: Mapping[tuple[str, str, str], Stream], name: str, kind: str) -> MeasureRow:
    exact, checked, estimated = (streams[name, kind, evidence] for evidence in ("exact", "checked", "estimated"))
    return MeasureRow(name, kind, exact.value, checked.value, estimated.value, exact.support)


def _to_next(flows: PairFlows) -> Flow:
    """The flow from each frame to the next, out of a table of pairs."""
    steps = torch.tensor([i for i, (p, q) in enumerate(flows.pairs) if q == p + 1])
    return Flow(flows.flow_pq[steps], flows.visible_p[steps])


def _agreement(labels: Tensor, flows: PairFlows) -> VideoScore:
    flow = _to_next(flows)
    warped = warp_labels_by_flow(labels[1:], flow.flow)
    return temporal_agreement(labels[:-1], masked_labels(warped.label, warped.visible & flow.visible))


def _tc(labels: Tensor, flows: PairFlows, **options: object) -> object:
    return temporal_consistency(labels, _to_next(flows), NUM_CLASSES, **options)  # type: ignore[arg-type]  # by name


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "agreement": _agreement,
        "TC": _tc,
        "TC as VSPW's script": lambda labels, flows: _tc(labels, flows, official=True),
        "TC as ETC's script": lambda labels, flows: _tc(labels, flows, official=True, script="etc"),
        "E_pair of neighbours": lambda labels, flows: e_cons(labels, flows, K=1, normalise="none"),
        "E_cons": lambda labels, flows: e_cons(labels, flows, K=REACH, normalise="none"),
        "E_cons / sqrt of objects": lambda labels, flows: e_cons(labels, flows, K=REACH, normalise="sqrt_object"),
        "E_cons / boundary": lambda labels, flows: e_cons(labels, flows, K=REACH, normalise="boundary"),
        # Looks at no flow: here so that the table says so.
        "E_smooth, no flow": lambda labels, flows: e_smooth(labels, normalise="boundary"),
        "E_cons / boundary, official": lambda labels, flows: e_cons(labels, flows, K=REACH, official=True),
    }
)
