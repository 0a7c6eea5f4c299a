"""A pixel's journey: follow one pixel of the target through K^-1, its depth, T and K into the source."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.journey import REASONS, Journey, follow_pixel
from stc_lab.plots.marks import Mark
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.panels import depth_panel, image_panel
from stc_lab.widgets.explorer import Explorer, Picture, Table

_HERE, _WAY = SERIES_COLOURS[1], SERIES_COLOURS[0]  # vermilion and blue: apart for every eye, and in grey


@dataclass(frozen=True)
class JourneyState:
    """Where the sliders of the journey stand."""

    x: int  # px of the target
    y: int
    target: int  # frames of the clip
    source: int
    depth: float = 100.0  # per cent of the true depth


def journey_picture(clip: Clip, state: JourneyState) -> Picture:
    """The pixel in the target, where it can land in the source, what the source's depth says there, and the numbers."""
    target, source = _frame(clip, state.target, "target"), _frame(clip, state.source, "source")
    journey = follow_pixel(target, source, state.x, state.y, depth_factor=state.depth / 100)
    true = journey if state.depth == 100 else follow_pixel(target, source, state.x, state.y)
    assert target.depth is not None and source.depth is not None
    way = tuple((c.x, c.y) for c in journey.candidates)
    marks: tuple[Mark, ...] = (
        Mark("line", way, _WAY),
        Mark("dots", way, _WAY, "where it can land: near (large) to far (small)"),
    )
    if true.lands is not None:
        marks += (Mark("ring", (true.lands,), _HERE, "where it lands with its own depth"),)
    if journey.lands is not None and journey is not true:
        marks += (Mark("cross", (journey.lands,), _HERE, "where it lands with the depth of the slider"),)
    start = (Mark("ring", ((float(state.x), float(state.y)),), _HERE),)
    arrived = () if journey.lands is None else (Mark("ring", (journey.lands,), _HERE),)
    depth = "unknown" if journey.depth is None else f"{journey.depth:.2f} m"
    lands = "" if journey.lands is None else f"({journey.lands[0]:.1f}, {journey.lands[1]:.1f}): "
    panels = (
        replace(
            image_panel(target.image[0], f"target: frame {state.target}", f"({state.x}, {state.y}), depth {depth}"),
            marks=start,
        ),
        replace(
            image_panel(source.image[0], f"source: frame {state.source}", lands + REASONS[journey.reason]), marks=marks
        ),
        replace(depth_panel(source.depth[0, 0], "depth of the source", _compared(journey)), marks=arrived),
    )
    note = f"Verdict: {journey.verdict}."
    if journey.candidates:
        near, far = journey.candidates[0].depth, journey.candidates[-1].depth
        note += f" The dots are depths from {near:.2f} to {far:.1f} m in equal steps of 1 / depth."
    return Picture(panels, _stations(journey), note)


def pixel_journey(clip: Clip, *, target: int, source: int, x: int | None = None, y: int | None = None) -> Explorer:
    """Sliders over the pixel, the source frame and the depth; a click on the target chooses the pixel too.

    Opens at (x, y), by default the middle of the image.
    """
    clip.require("depth", "camera", "T_world_camera")
    _frame(clip, target, "target")
    _frame(clip, source, "source")
    height, width = clip.image.shape[-2:]
    opening = {"x": width // 2 if x is None else x, "y": height // 2 if y is None else y, "source": source}

    def controls() -> Mapping[str, Any]:
        from ipywidgets import FloatLogSlider, IntSlider

        return {
            "x": IntSlider(opening["x"], 0, width - 1, description="x (px)"),
            "y": IntSlider(opening["y"], 0, height - 1, description="y (px)"),
            "source": IntSlider(source, 0, len(clip) - 1, description="source frame"),
            "depth": FloatLogSlider(100, min=1.5, max=2.5, step=0.02, readout_format=".0f", description="depth (%)"),
        }

    def picture(x: int, y: int, source: int, depth: float = 100.0) -> Picture:
        return journey_picture(clip, JourneyState(x, y, target, source, round(depth, 6)))

    return Explorer("A pixel's journey", controls, picture, opening, click=("x", "y"))


def _frame(clip: Clip, index: int, name: str) -> Clip:
    if not 0 <= index < len(clip):
        raise InputError(f"{name} frame must lie in 0..{len(clip) - 1}, got {index}")
    return clip[index]


def _compared(journey: Journey) -> str:
    if journey.depth_there is None or journey.in_source is None:
        return "no depth to compare with"
    return f"there {journey.depth_there:.2f} m, the pixel's z {journey.in_source[2]:.2f} m"


def _stations(journey: Journey) -> Table:
    def row(values: tuple[float, ...] | None, digits: int) -> tuple[str, ...]:
        cells = () if values is None else tuple(f"{value:.{digits}f}" for value in values)
        return cells + ("",) * (3 - len(cells))

    depth = "unknown" if journey.depth is None else f"{journey.depth:.3f} m"
    rows = {
        "1. pixel of the target (px)": row(tuple(map(float, journey.pixel)), 0),
        "2. its ray: K⁻¹ (x, y, 1)": row(journey.ray, 3),
        f"3. times its depth, {depth}: in the target's camera (m)": row(journey.in_target, 3),
        "4. times T_source_target: in the source's camera (m)": row(journey.in_source, 3),
        "5. times K, divided by z: pixel of the source (px)": row(journey.lands, 1),
    }
    return Table(("x", "y", "z"), rows)
