"""The perturbation bench: put errors of chosen sizes on the geometry of a warp, and see what each costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.warp_quality import GeometryError, WarpQuality, perturbation_sweep, warp_pair
from stc_lab.geometry.warp import IGNORE
from stc_lab.plots.curves import Series
from stc_lab.plots.multiples import curve_grid
from stc_lab.plots.panels import grey_panel, image_panel, mask_panel, value_panel
from stc_lab.plots.quality import AGREEMENT, PHOTOMETRIC, quality_series
from stc_lab.widgets.explorer import Explorer, Picture, Table

LARGEST_ERROR = 0.25  # of the photometric colour scale: states can be compared only on one scale


@dataclass(frozen=True)
class Knob:
    """One error that can be turned up."""

    words: str  # what it is, with its unit
    largest: float  # the slider's end, in the unit of `GeometryError.of`
    step: float

    def sizes(self, count: int = 9) -> list[float]:
        """Sizes from end to end, zero among them."""
        return [round(self.largest * (2 * i / (count - 1) - 1), 6) for i in range(count)]


KNOBS: Mapping[str, Knob] = {
    "depth_scale": Knob("depth (% too large)", 60, 1),
    "translation_scale": Knob("translation (% too long)", 60, 1),
    "focal_scale": Knob("focal length (% too long)", 24, 1),
    "forward": Knob("forward (m off)", 0.24, 0.01),
    "yaw": Knob("yaw (degrees off)", 6, 0.25),
    "pitch": Knob("pitch (degrees off)", 6, 0.25),
    "sideways": Knob("sideways (m off)", 0.24, 0.01),
}


def sweep_rows(target: Clip, source: Clip, names: Sequence[str]) -> dict[str, dict[str, list[Series]]]:
    """Rows for `curve_grid`: each measure over the size of each of these errors, alone."""
    rows: dict[str, dict[str, list[Series]]] = {}
    for name in names:
        sizes = _knob(name).sizes()
        found = quality_series(perturbation_sweep(target, source, name, sizes), sizes)
        for measure, series in found.items():
            rows.setdefault(measure, {})[_knob(name).words] = series
    return rows


def bench_picture(target: Clip, source: Clip, sizes: Mapping[str, float], along: str) -> Picture:
    """The warp under errors of these sizes, its error and its wrong labels; and the curves over the error `along`."""
    pair = warp_pair(target, source, GeometryError.of(**sizes))
    right = warp_pair(target, source).quality
    visible = pair.warped.visible[0]
    third = image_panel(target.image[0], "target", "no labels to compare")
    if pair.labels is not None and target.label is not None:
        known = visible & (pair.labels[0] != IGNORE) & (target.label[0] != IGNORE)
        share = (
            ""
            if pair.quality.label_agreement is None
            else f"{100 * (1 - pair.quality.label_agreement):.1f} % of those compared"
        )
        wrong = known & (pair.labels[0] != target.label[0])
        third = mask_panel(wrong, "labels that disagree", share, over=grey_panel(target.image[0]), visible=visible)
    panels = (
        image_panel(pair.warped.image[0], "source, warped", visible=visible),
        value_panel(pair.error[0], PHOTOMETRIC, "photometric error", high=LARGEST_ERROR, visible=visible),
        third,
    )
    q = pair.quality
    rows = {
        "warped with these errors": (f"{q.photometric:.4f}", _percent(q.label_agreement)),
        "no warp (identity), same pixels": (f"{q.photometric_identity:.4f}", _percent(q.label_agreement_identity)),
        "warped without error": (f"{right.photometric:.4f}", _percent(right.label_agreement)),
    }
    note = f"{100 * q.visible:.1f} % of the pixels are compared; hatched: hidden, or outside the source's image."
    return Picture(panels, Table((PHOTOMETRIC, "label agreement"), rows), note, _chart(target, source, sizes, along, q))


def perturbation_bench(target: Clip, source: Clip, *, along: str = "depth_scale", **sizes: float) -> Explorer:
    """A slider for each error, with live numbers, and curves over one of them while the others stay as they are.

    Opens with errors of these `sizes` (see `GeometryError.of`), the others being zero.
    """
    GeometryError.of(**sizes)
    _knob(along)
    opening = {name: float(sizes.get(name, 0.0)) for name in KNOBS}
    far = [name for name, size in opening.items() if abs(size) > KNOBS[name].largest]
    if far:
        raise InputError(f"{far[0]} must lie within {KNOBS[far[0]].largest:g} of 0, got {opening[far[0]]:g}")

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Dropdown, FloatSlider

        sliders = {
            name: FloatSlider(
                value=opening[name],
                min=-knob.largest,
                max=knob.largest,
                step=knob.step,
                readout_format="+.2f" if knob.step < 1 else "+.0f",
                description=knob.words,
            )
            for name, knob in KNOBS.items()
        }
        options = [(knob.words, name) for name, knob in KNOBS.items()]
        return {**sliders, "along": Dropdown(options=options, value=along, description="curves over")}

    def picture(along: str, **now: float) -> Picture:
        return bench_picture(target, source, now, along)

    return Explorer("Perturbation bench", controls, picture, {**opening, "along": along})


def _knob(name: str) -> Knob:
    if name not in KNOBS:
        raise InputError(f"an error must be one of {', '.join(KNOBS)}, got {name!r}")
    return KNOBS[name]


def _chart(target: Clip, source: Clip, sizes: Mapping[str, float], along: str, now: WarpQuality) -> go.Figure:
    """Curves over one error, the others staying as they are, with the place where its slider stands."""
    x = _knob(along).sizes()
    others = {name: size for name, size in sizes.items() if name != along}
    found = quality_series(perturbation_sweep(target, source, along, x, **others), x)
    here = {PHOTOMETRIC: now.photometric, AGREEMENT: 100 * (now.label_agreement or 0)}
    words, at = KNOBS[along].words, sizes.get(along, 0.0)
    rows = {
        measure: {words: [*series, Series("where the slider stands", [at], [here[measure]])]}
        for measure, series in found.items()
    }
    return curve_grid(rows, width=720, height=120 + 170 * len(rows))


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"
