"""The failure gallery at the turn of one knob: pictures, masks and landscapes of self-supervised depth's failures."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from stc_lab.errors import InputError
from stc_lab.experiments.depth_failures import FAILURES, DepthFailure, Evidence, depth_failure
from stc_lab.experiments.depth_landscapes import CURVES
from stc_lab.plots.failures import failure_chart, failure_panels
from stc_lab.widgets.explorer import Explorer, Picture, Table

LEAST = 0.3  # of the knob's way: below, some failures have nothing to be judged on


def failure_picture(failure: str, share: float = 1.0, room: int = 0) -> Picture:
    """A failure with its knob turned up by `share` (1: all the way), beside the knob off.

    The test room is the first from number `room` on in which the failure can be judged; a knob that counts things
    stays at 1 at least.
    """
    found = _found(failure, _knob(failure, share), room)
    curves = dict.fromkeys((found.failure.curve, "loss"))
    rows = {
        f"off: {found.failure.knob} {found.off.value:g}": _cells(found, found.off, curves),
        f"on: {found.failure.knob} {found.on.value:g}": _cells(found, found.on, curves),
    }
    titles = (*(f"{CURVES[curve]}: least at" for curve in curves), "below its mean", "auto-masked")
    claim = found.failure.claim if found.shown else "The failure does not show here."
    note = f"{claim} Remedy: {found.failure.remedy} Judged: {found.failure.judged} ({found.video})."
    return Picture(tuple(failure_panels(found)), Table(titles, rows), note, failure_chart(found))


def failure_gallery(failure: str = "moving things", room: int = 0) -> Explorer:
    """Choose a failure, turn its one knob, try another room; opens with the knob turned all the way."""
    if failure not in FAILURES:
        raise InputError(f"failure must be one of {', '.join(FAILURES)}, got {failure!r}")

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Dropdown, FloatSlider, IntSlider

        return {
            "failure": Dropdown(options=list(FAILURES), value=failure, description="what goes wrong"),
            "share": FloatSlider(value=1.0, min=LEAST, max=1, step=0.05, description="knob, from off to on"),
            "room": IntSlider(value=room, min=0, max=20, description="rooms from number"),
        }

    return Explorer("Failure gallery", controls, failure_picture, {"failure": failure, "share": 1.0, "room": room})


def _knob(failure: str, share: float) -> float:
    if failure not in FAILURES:
        raise InputError(f"failure must be one of {', '.join(FAILURES)}, got {failure!r}")
    if not LEAST <= share <= 1:
        raise InputError(f"share must lie between {LEAST} and 1 (knob all the way on), got {share}")
    chosen = FAILURES[failure]
    value = chosen.off + share * (chosen.on - chosen.off)
    return max(1, round(value)) if isinstance(chosen.off, int) else value


@lru_cache(maxsize=32)
def _found(failure: str, value: float, room: int) -> DepthFailure:
    return depth_failure(failure, value, seed=room)


def _cells(found: DepthFailure, evidence: Evidence, curves: Mapping[str, None]) -> tuple[str, ...]:
    landscapes = [evidence.landscapes[curve] for curve in curves]
    places = ["nowhere: flat" if one.best is None else f"{one.best:.2f} x the true depth" for one in landscapes]
    return *places, f"{100 * landscapes[0].contrast:.0f} %", f"{100 * found.auto_masked(evidence):.0f} %"
