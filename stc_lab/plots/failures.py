"""The failure gallery: one failure with its frames, errors, masks and landscapes, or all of them in small multiples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from stc_lab.errors import InputError
from stc_lab.experiments.depth_failures import DepthFailure, Evidence
from stc_lab.experiments.depth_landscapes import CURVES, FACTORS, Landscape
from stc_lab.plots.grid import image_grid
from stc_lab.plots.palette import SERIES_COLOURS, Palette
from stc_lab.plots.panels import Panel, image_panel, value_panel, verdict_panel
from stc_lab.plots.template import FONT_SIZE, QUIET_INK, SMALL_SIZE, WIDTH, template


@dataclass(frozen=True)
class _Style:
    """How a curve looks, by colour, dash and mark at once, and on which side of its mark the figure stands."""

    name: str
    colour: str
    dash: str
    symbol: str
    beside: str


_OFF = _Style("knob off", "#7a8594", "dash", "circle", "bottom left")
_ON = _Style("knob on", SERIES_COLOURS[1], "solid", "diamond", "top center")
_CURED = _Style("on, with the remedy", SERIES_COLOURS[0], "dot", "square", "bottom right")
# Its first class shows the picture itself, so that its colour is never drawn.
MASK_PALETTE = Palette(
    ("not judged", "judged", "judged, auto-masked", "auto-masked elsewhere"),
    ("#ffffff", SERIES_COLOURS[0], SERIES_COLOURS[1], "#f2c9a9"),
)
_SEARCHED = "depth / true depth"
_X_AXIS: dict[str, Any] = {
    "type": "log",
    "range": [math.log10(0.46), math.log10(2.17)],
    "tickvals": [0.5, 0.7, 1, 1.4, 2],
    "ticktext": ["0.5", "0.7", "1", "1.4", "2"],
}
_PLOTS = 190  # px, height of the landscapes under the pictures
_ABOVE, _BELOW = 84, 58  # px: their legend and titles, and their axis
_CLAIM = 24  # px, under the title
_LEFT, _BETWEEN = 70, 54  # px: tick labels of the first landscape, and of the others


def failure_figure(found: DepthFailure, *, width: int = WIDTH) -> go.Figure:
    """One failure: frame, source, error and masks with the knob off, the same with it on, the landscapes below.

    Errors share one scale. The landscapes are those of L1, of L1 + SSIM and of the remedy, or of SSIM alone where the
    remedy has no curve of its own; a mark shows each minimum, and a flat one has none.
    """
    both = (found.off, found.on)
    high = _highest_error(found)
    off, on = (_pictures(found, one, high) for one in both)
    off[2] = replace(off[2], scale=None)  # that of the row below
    on[1:] = [replace(panel, title="") for panel in on[1:]]  # those of the row above
    hidden = "" if found.shown else " (it does not show in this room)"
    title = f"{found.failure.name.capitalize()}: {found.failure.knob} {_change(found)}{hidden}"
    figure = image_grid([*off, *on], columns=4, title=title, width=width)
    top = _make_room(figure)
    area = figure.layout.width - figure.layout.margin.l - figure.layout.margin.r
    each = (area - _LEFT - 2 * _BETWEEN) / 3
    for place, curve in enumerate(_curves(found)):
        x, y = f"x{100 + place}", f"y{100 + place}"  # numbers that no picture has
        left = _LEFT + place * (each + _BETWEEN)
        span = {"domain": [left / area, (left + each) / area], "anchor": y, "automargin": False}
        rise = {"domain": [0, top], "anchor": x, "automargin": False, "rangemode": "tozero", "nticks": 5}
        name = {"title": {"text": "mean error, judged" if place == 0 else "", "standoff": 2}}
        figure.update_layout({f"xaxis{100 + place}": _X_AXIS | span, f"yaxis{100 + place}": rise | name})
        shown = [(style, one) for style, one in zip((_OFF, _ON), both, strict=True) if curve in one.landscapes]
        minima = ", ".join(
            f"{_place(one.landscapes[curve])} {style.name.removeprefix('knob ')}" for style, one in shown
        )
        role = "remedy: " if curve == found.failure.cure and curve != "loss" else ""
        _write(figure, f"<b>{role}{CURVES[curve]}</b><br>{_quiet(f'minimum: {minima}')}", x, y, centred=False)
        _write(figure, _quiet(_SEARCHED), x, y, below=True)
        for style, one in shown:
            figure.add_traces(_traces(one.landscapes[curve], style, x, y, legend=place == 0))
        _mark_truth(figure, x, y)
    claim = {"text": found.failure.claim, "font": {"size": SMALL_SIZE, "color": QUIET_INK}}
    figure.update_layout(title_subtitle=claim)
    return figure


def failure_panels(found: DepthFailure) -> list[Panel]:
    """Target, error and masks with the knob off, then the same with it on: most of the pictures of `failure_figure`."""
    high = _highest_error(found)
    return [_pictures(found, one, high)[i] for one in (found.off, found.on) for i in (0, 2, 3)]


def failure_chart(found: DepthFailure, *, width: int = WIDTH) -> go.Figure:
    """The landscapes of `failure_figure` alone: three plots of two curves each, whatever the failure.

    So an explorer can move the curves of one figure. What a setting has no curve of stays empty.
    """
    figure = make_subplots(rows=1, cols=3, horizontal_spacing=0.07)
    for column, curve in enumerate(_curves(found), start=1):
        for style, one in ((_OFF, found.off), (_ON, found.on)):
            errors = one.landscapes[curve].error if curve in one.landscapes else (None,) * len(FACTORS)
            line = {"color": style.colour, "dash": style.dash, "width": 2.5}
            trace = go.Scatter(x=list(FACTORS), y=list(errors), mode="lines", line=line, name=style.name)
            figure.add_trace(trace.update(showlegend=column == 1), row=1, col=column)
        role = "remedy: " if curve == found.failure.cure and curve != "loss" else ""
        figure.update_xaxes(**_X_AXIS, title_text=f"{_SEARCHED}<br>{role}{CURVES[curve]}", row=1, col=column)
        _mark_truth(figure, *(f"{axis}{column if column > 1 else ''}" for axis in "xy"))
    figure.update_yaxes(rangemode="tozero", nticks=5)
    figure.update_yaxes(title_text="mean error, judged", row=1, col=1)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(
        template=template(), width=width, height=300, margin={"t": 40, "l": 70, "r": 14}, legend=legend
    )
    return figure


def failure_landscapes(found: Sequence[DepthFailure], *, width: int = WIDTH) -> go.Figure:
    """Small multiples: L1 above, L1 + SSIM and what the remedy makes of it below, a column for each failure.

    Every curve is divided by its own mean: how far it dips below 1 is what a depth net has to go by. The figures are
    the places of the minima.
    """
    if not found:
        raise InputError("landscapes need at least one failure, got none")
    columns, height, rows = len(found), 520, ("l1", "loss")
    figure = make_subplots(
        rows=2,
        cols=columns,
        shared_yaxes="all",
        shared_xaxes=True,
        horizontal_spacing=0.018,
        vertical_spacing=0.06,
        x_title=_SEARCHED,
    )
    listed: set[str] = set()
    for number, (curve, one) in enumerate(((curve, one) for curve in rows for one in found), start=1):
        x, y = (f"{axis}{number if number > 1 else ''}" for axis in "xy")
        curves, cure = [(_OFF, one.off.landscapes[curve]), (_ON, one.on.landscapes[curve])], one.failure.cure
        if curve == "loss" and cure is not None and cure != "loss":
            curves.append((_CURED, one.on.landscapes[cure]))
        for style, landscape in curves:
            figure.add_traces(_traces(landscape, style, x, y, legend=style.name not in listed, relative=True))
            listed.add(style.name)
        _mark_truth(figure, x, y)
        if number <= columns:
            knob = _quiet(f"{one.failure.knob}<br>{_change(one)}")
            _write(figure, f"<b>{one.failure.name}</b><br>{knob}", x, y)
    for row, curve in enumerate(rows, start=1):
        figure.update_yaxes(title_text=f"{CURVES[curve]}<br>error / its mean", row=row, col=1)
    figure.update_xaxes(**_X_AXIS)
    highest = max(max(trace.y) for trace in figure.data)
    figure.update_yaxes(range=[0, 1.08 * highest])
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        margin={"t": 106, "l": 84, "b": 62, "r": 14},
        legend={"orientation": "h", "x": 0, "y": 1 - 8 / height, "yref": "container", "yanchor": "top"},
    )
    return figure


def _highest_error(found: DepthFailure) -> float:
    """Upper end of the errors' scale, the same with the knob off and on."""
    both = (found.off, found.on)
    return max(float(one.error[part].quantile(0.98)) for one in both for part in (found.region, one.visible))


def _pictures(found: DepthFailure, evidence: Evidence, high: float) -> list[Panel]:
    """Target, one source, error and masks at one setting of the knob."""
    setting = "off" if evidence is found.off else "on"
    mean = f"judged: {evidence.landscapes['loss'].at_truth:.3f} in the mean"
    title = "error at the true depth"
    return [
        image_panel(evidence.target, f"{setting}: {found.failure.knob} {evidence.value:g}"),
        image_panel(evidence.sources[0], f"source, {found.gap} frames before"),
        value_panel(evidence.error, "L1 + SSIM", title, mean, high=high, colours="magma"),
        _masks(found, evidence),
    ]


def _masks(found: DepthFailure, evidence: Evidence) -> Panel:
    """Which pixels are judged, which of all the auto-mask removes, and which an occlusion mask (hatched)."""
    verdict = torch.where(found.region, torch.where(evidence.kept, 1, 2), torch.where(evidence.kept, 0, 3))
    removed, hidden = 100 * found.auto_masked(evidence), 100 * float((~evidence.visible).double().mean())
    caption = f"auto-masked: {removed:.0f} % of judged; hidden: {hidden:.0f} %"
    panel = verdict_panel(verdict, MASK_PALETTE, "masks remove (hatched: hidden)", caption, over=evidence.target)
    return replace(panel, hidden=(~evidence.visible).cpu().numpy())


def _change(found: DepthFailure) -> str:
    return f"{found.off.value:g} → {found.on.value:g}"


def _curves(found: DepthFailure) -> list[str]:
    cure = found.failure.cure
    return ["l1", "ssim", "loss"] if cure is None or cure == "loss" else ["l1", "loss", cure]


def _make_room(figure: go.Figure) -> float:
    """Move pictures and their legend up by what the landscapes take; these end at the returned paper coordinate."""
    layout = figure.layout
    old = layout.height - layout.margin.t - layout.margin.b
    new = old + layout.margin.b + _ABOVE + _PLOTS

    def moved(y: float) -> float:
        return 1 - (1 - y) * old / new

    for axis in figure.select_yaxes():
        axis.domain = [moved(y) for y in axis.domain]
    for text in layout.annotations:
        text.y = moved(text.y)
    for trace in figure.select_traces({"type": "scatter"}):
        if trace.marker.colorbar.y is not None:
            trace.marker.colorbar.y = moved(trace.marker.colorbar.y)
    top = layout.margin.t + _CLAIM
    height = top + new + _BELOW
    legend = {"y": (_BELOW + _PLOTS + _ABOVE) / height, "yref": "container", "x": 0, "xanchor": "left"}
    figure.update_layout(
        height=height,
        margin={"t": top, "b": _BELOW},
        title={"y": 1 - 0.5 * layout.margin.t / height},
        legend=legend,
        legend2=legend | {"orientation": "h", "yanchor": "top"},
    )
    return float(_PLOTS / new)


def _traces(
    landscape: Landscape, style: _Style, x: str, y: str, *, legend: bool, relative: bool = False
) -> list[go.Scatter]:
    """A curve over the search, and a mark at its minimum; a `relative` one is over its mean and says its place."""
    mean = sum(landscape.error) / len(landscape.error) if relative else 1.0
    height = [error / mean if mean > 0 else 1.0 for error in landscape.error]
    common = {"name": style.name, "legendgroup": style.name, "xaxis": x, "yaxis": y}
    common["legend"] = "legend" if relative else "legend2"
    line = {"color": style.colour, "dash": style.dash, "width": 2.5}
    traces = [go.Scatter(x=list(FACTORS), y=height, mode="lines", line=line, showlegend=legend, **common)]
    if landscape.best is not None:
        marker = {"symbol": style.symbol, "size": 10, "color": style.colour, "line": {"width": 1, "color": "white"}}
        text = {"text": [_place(landscape)], "textposition": style.beside, "cliponaxis": False}
        mark = go.Scatter(x=[landscape.best], y=[min(height)], showlegend=False, marker=marker, **text, **common)
        font = {"color": style.colour, "size": SMALL_SIZE - 1}
        traces.append(mark.update(mode="markers+text" if relative else "markers", textfont=font))
    return traces


def _mark_truth(figure: go.Figure, x: str, y: str) -> None:
    line = {"color": QUIET_INK, "width": 1.5, "dash": "dot"}
    figure.add_shape(type="line", xref=x, x0=1, x1=1, yref=f"{y} domain", y0=0, y1=1, line=line, layer="below")


def _write(figure: go.Figure, text: str, x: str, y: str, *, below: bool = False, centred: bool = True) -> None:
    """Words over one plot, or under its axis."""
    side = (
        {"x": 0.5, "align": "center", "xanchor": "center"} if centred else {"x": 0, "align": "left", "xanchor": "left"}
    )
    edge = {"y": 0, "yanchor": "top", "yshift": -22} if below else {"y": 1, "yanchor": "bottom", "yshift": 5}
    refs = {"xref": f"{x} domain", "yref": f"{y} domain"}
    figure.add_annotation(text=text, showarrow=False, font={"size": FONT_SIZE}, **side, **edge, **refs)


def _quiet(text: str) -> str:
    return f"<span style='color:{QUIET_INK};font-size:{SMALL_SIZE}px'>{text}</span>"


def _place(landscape: Landscape) -> str:
    return "none" if landscape.best is None else f"{landscape.best:.2f}"
