"""The knobs of the consistency explorer, by the names of the fields of its state; each has a label."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stc_lab.experiments.explorer_material import ExplorerMaterial
from stc_lab.experiments.explorer_state import ANY_CLASS, OWN_RULE, ExplorerState
from stc_lab.experiments.pair_places import default_occlusion, occlusions_of
from stc_lab.experiments.pair_ranking import MEASURES

FASTEST = 60.0  # px: the end of the slider of motion means any motion beyond it
_ANY_MOTION = 1000.0
_WAYS = [("later into earlier", "backward"), ("earlier into later", "forward")]
_FULL = {"width": "auto"}
_STYLE = {"description_width": "116px"}


@dataclass(frozen=True)
class Range:
    """A slider of a number: its label, ends, step and how it is written."""

    words: str
    low: float
    high: float
    step: float
    written: str


DISTURBANCES: Mapping[str, Range] = {
    "depth_scale": Range("depth, times", 0.5, 2.0, 0.01, ".2f"),
    "pitch": Range("pitch (deg)", -10, 10, 0.1, "+.1f"),
    "yaw": Range("yaw (deg)", -10, 10, 0.1, "+.1f"),
    "shift": Range("sideways (m)", -0.5, 0.5, 0.01, "+.2f"),
    "focal_scale": Range("focal, times", 0.6, 1.6, 0.01, ".2f"),
    "exposure": Range("exposure (stops)", -3, 3, 0.1, "+.1f"),
    "tolerance": Range("tolerance, times", 0.1, 10, 0.1, ".1f"),
}


def make_knobs(material: ExplorerMaterial, state: ExplorerState) -> dict[str, Any]:
    """One ipywidget for each field that a hand can set; `motion` stands for both of its ends."""
    from ipywidgets import Dropdown, FloatRangeSlider, FloatSlider, IntSlider

    look = {"style": _STYLE, "layout": _FULL}
    classes = [("any class", ANY_CLASS), *((name, i) for i, name in enumerate(material.classes))]
    models = list(material.models)
    knobs: dict[str, Any] = {
        "measure": Dropdown(options=list(MEASURES), value=state.measure, description="rank by", **look),
        "of_class": Dropdown(options=classes, value=state.of_class, description="class", **look),
        "least_visible": FloatSlider(
            value=state.least_visible,
            min=0,
            max=1,
            step=0.05,
            readout_format=".0%",
            description="visible at least",
            **look,
        ),
        "motion": FloatRangeSlider(
            value=motion_ends(state),
            min=0,
            max=FASTEST,
            step=0.5,
            readout_format=".0f",
            description="motion (px)",
            **look,
        ),
        "model": Dropdown(options=models, value=material.model_of(state), description="model", **look),
        "second": Dropdown(
            options=[("none", ""), *((name, name) for name in models)],
            value=state.second,
            description="beside it",
            **look,
        ),
        "video": Dropdown(options=list(material.videos.names), value=state.video, description="video", **look),
        "frame": IntSlider(value=state.frame, min=0, max=_last(material, state), description="frame", **look),
        "gap": IntSlider(value=state.gap, min=1, max=material.gaps(state.video), description="gap (frames)", **look),
        "direction": Dropdown(options=_WAYS, value=state.direction, description="warp", **look),
        "geometry": Dropdown(options=list(material.geometries), value=state.geometry, description="geometry", **look),
        "occlusion": Dropdown(options=rules(state), value=state.occlusion, description="occlusion by", **look),
        "opacity": FloatSlider(
            value=state.opacity, min=0, max=1, step=0.05, readout_format=".0%", description="opacity", **look
        ),
    }
    for name, one in DISTURBANCES.items():
        knobs[name] = FloatSlider(
            value=getattr(state, name),
            min=one.low,
            max=one.high,
            step=one.step,
            readout_format=one.written,
            description=one.words,
            **look,
        )
    return knobs


def fit_knobs(knobs: Mapping[str, Any], material: ExplorerMaterial, state: ExplorerState) -> None:
    """Bring every knob to where the state stands, with the ends and choices that are legal there."""
    last, largest = _last(material, state), material.gaps(state.video)
    if tuple(knobs["occlusion"].options) != tuple(rules(state)):
        knobs["occlusion"].options = rules(state)
    knobs["frame"].max, knobs["gap"].max = max(last, state.frame), max(largest, state.gap)
    for name, knob in knobs.items():
        value = motion_ends(state) if name == "motion" else getattr(state, name)
        knob.value = material.model_of(state) if name == "model" else value
    knobs["frame"].max, knobs["gap"].max = last, largest


def changes_of(name: str, value: Any) -> dict[str, Any]:
    """What a knob that moved changes in the state."""
    if name == "motion":
        least, most = value
        return {"least_motion": float(least), "most_motion": _ANY_MOTION if most >= FASTEST else float(most)}
    if name in DISTURBANCES or name in ("opacity", "least_visible"):
        return {name: round(float(value), 6)}  # a slider's sum of steps
    return {name: value}


def rules(state: ExplorerState) -> list[tuple[str, str]]:
    """The rules of occlusion that the state's geometry has, by what they are called here."""
    return [
        (f"{default_occlusion(state.geometry)} (its own)", OWN_RULE),
        *((r, r) for r in occlusions_of(state.geometry)),
    ]


def motion_ends(state: ExplorerState) -> tuple[float, float]:
    return min(state.least_motion, FASTEST), min(state.most_motion, FASTEST)


def _last(material: ExplorerMaterial, state: ExplorerState) -> int:
    return max(0, material.videos.frame_count(state.video) - 1 - state.gap)
