"""Two benches for filters after the net: smoothing over time, and the guided filter on a boundary."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from jaxtyping import Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.flicker import Flicker
from stc_lab.experiments.refinement import Window, near_boundaries, refine_window
from stc_lab.experiments.smoothing_front import FARTHEST, Smoothing, estimated_flows, smoothed_labels
from stc_lab.losses.stability import PairFlows
from stc_lab.metrics import ConfusionMatrix, e_cons
from stc_lab.plots.changes import change_panel
from stc_lab.plots.marks import Mark
from stc_lab.plots.palette import Palette
from stc_lab.plots.panels import Panel, image_panel, label_panel, value_panel
from stc_lab.plots.ribbons import ribbon_panel
from stc_lab.widgets.explorer import Explorer, Picture, Table

METHODS = ("same pixel", "along exact flow", "along estimated flow")
SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # frames
EPS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
_PIXEL = "#d55e00"


class SmoothedClip:
    """The labels of a clip after each smoothing over time; each is computed when first asked for, and kept."""

    def __init__(self, flicker: Flicker) -> None:
        self.flicker = flicker
        self._estimated: PairFlows | None = None
        self.labels = lru_cache(maxsize=None)(self._labels)
        self.numbers = lru_cache(maxsize=None)(self._numbers)

    def _labels(self, method: str, sigma: float) -> Int64[Tensor, "t h w"]:
        if method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        flows, family = self.flicker.flows, "labels over time" if method == "same pixel" else "along the flow"
        if method == "along estimated flow":
            self._estimated = self._estimated or estimated_flows(self.flicker.clip)
            flows = self._estimated
        smoothing = Smoothing(family, sigma=sigma)  # type: ignore[arg-type]  # both are families
        return smoothed_labels(self.flicker.probabilities, self.flicker.clip.image, flows, smoothing)

    def _numbers(self, method: str, sigma: float) -> tuple[str, str, str]:
        labels = self.labels(method, sigma)
        matrix = ConfusionMatrix(self.flicker.probabilities.shape[1])
        matrix.add(labels, self.flicker.truth)
        found = matrix.results()
        unsteady = e_cons(labels, self.flicker.flows, K=min(FARTHEST, len(labels) - 1), normalise="none").value
        return f"{100 * found.miou:.1f} %", f"{100 * found.accuracy:.1f} %", f"{unsteady:.3f}"


def smoothing_picture(
    clip: SmoothedClip, palette: Palette, frame: int, method: str, sigma: float, x: int, y: int
) -> Picture:
    """A frame before and after, what changed, and the ribbons of pixel (x, y)."""
    flicker = clip.flicker
    frames, height, width = flicker.truth.shape
    if not (0 <= frame < frames and 0 <= x < width and 0 <= y < height):
        raise InputError(f"there is no frame {frame} with a pixel ({x}, {y}) in {frames} of {height} x {width} px")
    before, after, truth = flicker.labels, clip.labels(method, sigma), flicker.truth
    ring = (Mark("ring", ((float(x), float(y)),), _PIXEL, "pixel of the ribbons"),)
    image = image_panel(flicker.clip.image[frame], f"frame {frame}")
    ribbons = {"truth": truth[:, y, x], "net": before[:, y, x], "smoothed": after[:, y, x]}
    panels = (
        _marked(image, ring),
        label_panel(before[frame], palette, "net, one frame at a time"),
        _marked(label_panel(after[frame], palette, f"{method}, sigma {sigma:g}"), ring),
        label_panel(truth[frame], palette, "truth"),
        change_panel(before[frame], after[frame], truth[frame], flicker.clip.image[frame]),
        ribbon_panel(ribbons, palette, "the pixel over time", "truth, net, smoothed; frame by frame", frame=frame),
    )
    rows = {
        "one frame at a time": clip.numbers(METHODS[0], 0.0),
        f"{method}, sigma {sigma:g}": clip.numbers(method, sigma),
    }
    table = Table(("mIoU of the clip", "accuracy", "E_cons (lower is steadier)"), rows)
    return Picture(panels, table, "Click into the picture to choose a pixel. E_cons goes along the exact flow.")


def smoothing_explorer(
    flicker: Flicker, palette: Palette, *, sigma: float = 2.0, frame: int | None = None, pixel: tuple[int, int] = (0, 0)
) -> Explorer:
    """Sliders over sigma and frame, the way of smoothing, and a pixel to follow; opens at `pixel` (x, y)."""
    frames, height, width = flicker.truth.shape
    clip = SmoothedClip(flicker)
    sigmas = sorted({*SIGMAS, float(sigma)})
    default = {
        "sigma": float(sigma),
        "method": METHODS[0],
        "frame": frames // 2 if frame is None else frame,
        "x": pixel[0],
        "y": pixel[1],
    }

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Dropdown, IntSlider, SelectionSlider

        shown = [(f"{value:g}", value) for value in sigmas]
        return {
            "sigma": SelectionSlider(options=shown, value=float(sigma), description="sigma (frames)"),
            "method": Dropdown(options=list(METHODS), value=METHODS[0], description="smoothed"),
            "frame": IntSlider(default["frame"], 0, frames - 1, description="frame"),
            "x": IntSlider(pixel[0], 0, width - 1, description="pixel: x"),
            "y": IntSlider(pixel[1], 0, height - 1, description="pixel: y"),
        }

    return Explorer(
        "Smoothing bench",
        controls,
        lambda **state: smoothing_picture(clip, palette, **state),
        default,
        click=("x", "y"),
    )


def refinement_picture(
    flicker: Flicker,
    palette: Palette,
    window: Window,
    radius: int,
    temporal_radius: int,
    eps: float,
    weighted: bool = True,
) -> Picture:
    """The window before and after the guided filter, with the confidence that weights it, and the numbers."""
    frame, rows, columns = window.frame, window.rows, window.columns
    refined = refine_window(flicker, window, radius=radius, temporal_radius=temporal_radius, eps=eps, weighted=weighted)
    before, truth = flicker.labels[frame, rows, columns], flicker.truth[frame, rows, columns]
    image = flicker.clip.image[frame, :, rows, columns]
    size = "2-D" if temporal_radius == 0 else f"3-D, {2 * temporal_radius + 1} frames"
    panels = (
        image_panel(image, f"the guide: frame {frame}"),
        label_panel(before, palette, "net"),
        label_panel(refined.labels, palette, f"after: {size}"),
        label_panel(truth, palette, "truth"),
        value_panel(refined.confidence, "weight of the believed class", "confidence", high=1.0),
        change_panel(before, refined.labels, truth, image),
    )
    near = near_boundaries(flicker.truth[frame, None])[0, rows, columns]
    known = truth != palette.ignore_index
    table = Table(
        ("right near boundaries", "right elsewhere", "right in the window"),
        {
            "before": _shares(before == truth, near, known),
            "after": _shares(refined.labels == truth, near, known),
        },
    )
    side = 2 * radius + 1
    frames = f"{2 * temporal_radius + 1} frames by " if temporal_radius else ""
    note = f"Windows of {frames}{side} x {side} px; the filter took {refined.milliseconds:.0f} ms on this machine."
    return Picture(panels, table, note)


def refinement_explorer(
    flicker: Flicker, palette: Palette, window: Window, *, radius: int = 4, temporal_radius: int = 2, eps: float = 1e-3
) -> Explorer:
    """Sliders over the guided filter's windows and eps, on one part of one frame."""
    frames, height, width = flicker.truth.shape
    largest, longest = min(12, max(height, width) - 1), min(4, frames - 1)
    choices = sorted({*EPS, eps})
    default = {
        "radius": min(radius, largest),
        "temporal_radius": min(temporal_radius, longest),
        "eps": eps,
        "weighted": True,
    }

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Dropdown, IntSlider, SelectionSlider

        shown = [(f"{value:g}", value) for value in choices]
        weights = [("by confidence", True), ("all alike", False)]
        return {
            "radius": IntSlider(default["radius"], 1, largest, description="radius (px)"),
            "temporal_radius": IntSlider(
                default["temporal_radius"], 0, longest, description="temporal radius (frames)"
            ),
            "eps": SelectionSlider(options=shown, value=eps, description="eps (guide units squared)"),
            "weighted": Dropdown(options=weights, value=True, description="pixels count"),
        }

    return Explorer(
        "Guided filter on a boundary",
        controls,
        lambda **state: refinement_picture(flicker, palette, window, **state),
        default,
    )


def _marked(panel: Panel, marks: tuple[Mark, ...]) -> Panel:
    return replace(panel, marks=marks)


def _shares(right: Tensor, near: Tensor, known: Tensor) -> tuple[str, str, str]:
    wheres = (near & known, ~near & known, known)
    return tuple(f"{100 * float(right[w].float().mean()):.1f} %" if bool(w.any()) else "none" for w in wheres)  # type: ignore[return-value]  # three
