"""Curves and bars: series told apart by colour, marker and dash at once, with their spread."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.template import WIDTH, template

MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star", "triangle-down", "cross")
PATTERNS = ("", "/", ".", "x")
_ABSENT_FONT = {"size": 12, "color": "#6b7684"}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Series:
    """One curve: y over x, and half the height of its error bars (say what they mean in the caption)."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    control: bool = False  # a control row: grey, behind the others

    def __post_init__(self) -> None:
        lengths = {len(self.x), len(self.y), *([] if self.error is None else [len(self.error)])}
        if len(lengths) != 1 or not len(self.x):
            raise InputError(
                f"series {self.name!r} needs as many y (and errors) as x, at least one, got {sorted(lengths)}"
            )


def curves(
    series: Sequence[Series],
    *,
    x_title: str,
    y_title: str,
    title: str = "",
    width: int = WIDTH,
    height: int = 440,
    x_log: bool = False,
    y_from_zero: bool = False,
) -> go.Figure:
    """Lines with markers, e.g. a measure over the size of a perturbation; axis titles carry their units."""
    if not series:
        raise InputError("a figure of curves needs at least one series, got none")
    figure = go.Figure()
    for number, one in enumerate(series):
        style = _style(number)
        colour = "#7a8594" if one.control else style["colour"]
        figure.add_trace(
            go.Scatter(
                x=list(one.x),
                y=list(one.y),
                name=one.name,
                mode="lines+markers",
                line={"color": colour, "dash": style["dash"], "width": 2.5},
                marker={"symbol": style["marker"], "size": 9, "color": colour, "line": {"width": 1, "color": "white"}},
                error_y=None if one.error is None else {"array": list(one.error), "thickness": 1.5, "width": 4},
            )
        )
    figure.update_layout(**_layout(title, width, height))
    figure.update_xaxes(title_text=x_title, type="log" if x_log else "linear")
    figure.update_yaxes(title_text=y_title, rangemode="tozero" if y_from_zero else "normal")
    return figure


def training_curves(
    records: Sequence[Mapping[str, Any]],
    *,
    x: str = "step",
    losses: Sequence[str] | None = None,
    smooth: int | None = None,
    title: str = "",
    width: int = WIDTH,
    height: int = 440,
) -> go.Figure:
    """Loss parts over the training steps, from the records that a training loop logs.

    `losses` are the keys to draw, by default the parts of the project's own training loop that were logged. Each point
    is the mean of the last `smooth` records, by default of a fiftieth of them.
    """
    keys = loss_keys(records) if losses is None else list(losses)
    smooth = max(1, len(records) // 50) if smooth is None else smooth
    series = []
    for key in keys:
        points = [(record[x], record[key]) for record in records if x in record and key in record]
        if not points:
            raise InputError(f"no record holds {key!r} and {x!r}", hint=f"the records hold {_all_keys(records)}")
        series.append(
            Series(PARTS.get(key, key), [p[0] for p in points], _trailing_mean([p[1] for p in points], smooth))
        )
    y_title = "loss" if smooth == 1 else f"loss (mean of {smooth} {x}s)"
    figure = curves(series, x_title=x, y_title=y_title, title=title, width=width, height=height, y_from_zero=True)
    if max(len(one.x) for one in series) > 40:
        figure.update_traces(mode="lines")
    return figure


PARTS = {
    "loss": "total",
    "ce": "cross-entropy",
    "consistency": "consistency (Eq. 1)",
    "uniform": "uniform prior",
    "label_prior": "label prior",
    "pixel_prior": "pixel prior",
    # the terms of an objective
    "cross_entropy": "cross-entropy",
    "logits_consistency": "consistency (Eq. 1)",
    "weighted_consistency": "weighted consistency",
    "pseudo_label_cross_entropy": "pseudo-label cross-entropy",
    "teacher": "teacher's labels",
    "contrastive": "contrast (STCL)",
    "sampled_contrastive": "contrast (STCL, sampled)",
    "edge_loss_p": "depth edges (L_p)",
    "edge_loss_h": "depth edges (L_h)",
    "semantic_smoothness": "semantic smoothness",
    "pair_stability": "stability (E_pair)",
    "transform_invariance": "transform invariance",
}


def loss_keys(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The parts of the loss that occur in `records`."""
    if not records:
        raise InputError("there are no training records to draw", hint="the log callback has not been called yet")
    found = set(_all_keys(records))
    keys = [key for key in PARTS if key in found]
    if not keys:
        raise InputError(
            f"the records hold none of {list(PARTS)}, but {sorted(found)}", hint="name the keys: losses=[...]"
        )
    return keys


def _trailing_mean(values: Sequence[float], window: int) -> list[float]:
    """Mean of each value and those up to `window` - 1 before it."""
    return [sum(values[max(0, i + 1 - window) : i + 1]) / min(i + 1, window) for i in range(len(values))]


def class_bars(
    scores: Mapping[str, Float[Tensor, " k"]],
    names: Sequence[str],
    *,
    x_title: str = "IoU (%)",
    errors: Mapping[str, Float[Tensor, " k"]] | None = None,
    frequency: Float[Tensor, " k"] | None = None,
    title: str = "",
    width: int = WIDTH,
) -> go.Figure:
    """One group of bars per class, in per cent of scores in [0, 1]; NaN (class absent) is written, not drawn as zero.

    With `frequency` the classes are sorted by it, the most frequent on top, with their share of pixels by the name.
    """
    for key, value in scores.items():
        if len(value) != len(names):
            raise InputError(f"scores {key!r} hold {len(value)} classes, but there are {len(names)} names")
    order = list(range(len(names)))
    labels = list(names)
    if frequency is not None:
        share = frequency.tolist()
        order.sort(key=lambda i: -share[i])
        labels = [f"{name}  <span style='color:#6b7684'>{_percent(share[i])}</span>" for i, name in enumerate(names)]
    figure = go.Figure()
    for number, (key, value) in enumerate(scores.items()):
        percent = (value.double() * 100).tolist()
        spread = None if errors is None or key not in errors else (errors[key].double() * 100).tolist()
        figure.add_trace(
            go.Bar(
                y=[labels[i] for i in order],
                x=[None if math.isnan(percent[i]) else percent[i] for i in order],
                name=key,
                orientation="h",
                marker={"color": SERIES_COLOURS[number % len(SERIES_COLOURS)], "pattern": _pattern(number)},
                error_x=None if spread is None else {"array": [spread[i] for i in order], "thickness": 1.5, "width": 3},
            )
        )
    for i in order:
        absent = [key for key, value in scores.items() if math.isnan(float(value[i]))]
        if absent:
            text = "absent" if len(absent) == len(scores) else "absent: " + ", ".join(absent)
            figure.add_annotation(x=0, y=labels[i], text=text, xanchor="left", showarrow=False, font=_ABSENT_FONT)
    thickness = 8 + 11 * len(scores)
    figure.update_layout(**_layout(title, width, 130 + max(thickness, 20) * len(names)), barmode="group", bargap=0.28)
    figure.update_layout(legend={"traceorder": "normal"})
    figure.update_xaxes(title_text=x_title, rangemode="tozero", minallowed=0)
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    return figure


def _pattern(number: int) -> dict[str, Any]:
    """Stripes over the bar, so that bars are told apart without their colour."""
    light = "rgba(255,255,255,0.7)"
    return {
        "shape": PATTERNS[number % len(PATTERNS)],
        "fillmode": "overlay",
        "fgcolor": light,
        "size": 6,
        "solidity": 0.25,
    }


def _style(number: int) -> dict[str, str]:
    return {
        "colour": SERIES_COLOURS[number % len(SERIES_COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "dash": DASHES[number % len(DASHES)],
    }


def _layout(title: str, width: int, height: int) -> dict[str, Any]:
    top = 78 if title else 44
    return {
        "template": template(),
        "width": width,
        "height": height,
        "showlegend": True,
        "title": {"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None,
        "margin": {"t": top},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
    }


def _percent(share: float) -> str:
    digits = 0 if share >= 0.0995 else 1 if share >= 0.00995 else 2
    return f"{100 * share:.{digits}f} %"


def _all_keys(records: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for record in records for key in record))
