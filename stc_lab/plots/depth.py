"""Learned depth, motion and focal length in figures: disparity, measures beside their references, errors over gaps."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import torch
from jaxtyping import Bool, Float
from plotly.subplots import make_subplots
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.curves import DASHES, Series, curves
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.panels import Panel, value_panel
from stc_lab.plots.pictures import depth_rgb
from stc_lab.plots.template import INK, QUIET_INK, SMALL_SIZE, WIDTH, template

MEASURE_TITLES = {  # of the measures of `DepthScores`, with their units
    "abs_rel": "abs_rel (lower is better)",
    "sq_rel": "sq_rel (m, lower is better)",
    "rmse": "rmse (m, lower is better)",
    "rmse_log": "rmse_log (lower is better)",
    "a1": "a1 (higher is better)",
    "a2": "a2 (higher is better)",
    "a3": "a3 (higher is better)",
}
_REFERENCE_COLOUR = "#aab2bd"
_ROW = 46  # px
_SPACING = 0.03  # of the width, between measures
_CHARACTER = 0.6  # width of an average character over the font size, in the widest font of the stack


def disparity_panel(
    disparity: Float[Tensor, "h w"],
    title: str,
    caption: str = "",
    *,
    unit: str = "1/m",
    low: float = 0.0,
    high: float | None = None,
    visible: Bool[Tensor, "h w"] | None = None,
) -> Panel:
    """Inverse depth, near is bright; unknown disparity (0 or not finite) is grey.

    Its colours are not those of depth, where near is dark. Give the same `high` to panels that are to be compared.
    """
    known = torch.isfinite(disparity) & (disparity > 0)
    if not bool(known.any()):
        raise InputError("disparity is nowhere known, so there is nothing to draw", hint="0 and non-finite are unknown")
    quantity = f"disparity ({unit or 'no unit'})"
    shown = torch.where(known, disparity, 0.0)
    panel = value_panel(shown, quantity, title, caption, low=low, high=high, visible=visible, colours="magma")
    assert panel.scale is not None
    return replace(panel, rgb=depth_rgb(disparity, panel.scale))


def depth_bars(
    rows: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    measures: Sequence[str] = ("abs_rel", "rmse", "a1"),
    references: Sequence[str] = (),
    title: str = "",
    width: int = WIDTH,
) -> go.Figure:
    """A bar for each row and measure, from the measures of its seeds (`DepthScores.values`); references are grey.

    A row of several seeds shows each as a point, its mean as the bar and the sample standard deviation as a whisker.
    """
    if not rows or not measures:
        raise InputError(f"bars need at least one row and one measure, got {len(rows)} and {len(measures)}")
    if strangers := [name for name in references if name not in rows]:
        raise InputError(f"references must be rows, got {strangers}", hint=f"the rows are {list(rows)}")
    names = list(rows)
    colours = _colours(names, references)
    left = max(map(len, names)) * SMALL_SIZE * _CHARACTER + 30
    column_width = (width - left - 24) / len(measures) * (1 - _SPACING)
    figure = make_subplots(rows=1, cols=len(measures), shared_yaxes=True, horizontal_spacing=_SPACING)
    for column, measure in enumerate(measures, start=1):
        place = {"row": 1, "col": column}
        values = [_seeds(name, rows[name], measure) for name in names]
        means, spreads = [statistics.fmean(seeds) for seeds in values], [_spread(seeds) for seeds in values]
        figure.add_trace(go.Bar(y=names, x=means, orientation="h", name=measure, marker_color=colours), **place)
        for name, seeds, mean, spread in zip(names, values, means, spreads, strict=True):
            if spread is not None:
                for trace in _spread_traces(f"{name}, {measure}", name, seeds, mean, spread):
                    figure.add_trace(trace, **place)
        ends = [max(mean + (spread or 0), *seeds) for mean, spread, seeds in zip(means, spreads, values, strict=True)]
        texts = [f"{m:.3f}" + ("" if s is None else f" ± {s:.3f}") for m, s in zip(means, spreads, strict=True)]
        for name, end, text in zip(names, ends, texts, strict=True):
            figure.add_annotation(
                x=end, y=name, text=text, xanchor="left", xshift=6, showarrow=False, font_size=SMALL_SIZE, **place
            )
        room = max(map(len, texts)) * SMALL_SIZE * _CHARACTER + 16  # px beside the longest bar for its numbers
        most = max(ends) / max(0.3, 1 - room / column_width)
        figure.update_xaxes(title_text=MEASURE_TITLES.get(measure, measure), range=[0, most], nticks=5, **place)
        if measure in ("a1", "a2", "a3"):
            figure.update_xaxes(tickvals=[0, 0.25, 0.5, 0.75, 1], **place)  # a share ends there
    several = max(len(seeds) for seeds in rows.values()) > 1
    figure.update_layout(
        template=template(),
        width=width,
        height=100 + (40 if title else 0) + _ROW * len(names) + (26 if several else 0),
        margin={"t": 62 if title else 20, "b": 70 + (26 if several else 0), "l": 20},
        bargap=0.35,
        showlegend=False,
        title={"text": title} if title else None,
    )
    if several:
        figure.add_annotation(
            text="bars: means over seeds; points: seeds; whiskers: standard deviation",
            xref="paper", yref="paper", x=0, y=0, xanchor="left", yanchor="top", yshift=-62, showarrow=False,
            font={"size": SMALL_SIZE, "color": QUIET_INK},
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    return figure


def error_by_gap(
    rows: Mapping[str, Mapping[int, float | Sequence[float]]],
    *,
    y_title: str,
    references: Sequence[str] = (),
    title: str = "",
    width: int = WIDTH,
    height: int = 420,
) -> go.Figure:
    """A measure over the gap between two frames: for each row and gap a value, or one for each seed.

    Seeds are drawn as their mean and sample standard deviation. References are grey. `y_title` carries the unit.
    """
    series = []
    for name, by_gap in rows.items():
        gaps = sorted(by_gap)
        values = [_numbers(by_gap[gap]) for gap in gaps]
        if not gaps or not all(values):
            raise InputError(f"row {name!r} needs a value for each gap, got {dict(by_gap)}")
        spread = [_spread(seeds) or 0.0 for seeds in values] if max(map(len, values)) > 1 else None
        means = [statistics.fmean(seeds) for seeds in values]
        series.append(Series(name, [float(gap) for gap in gaps], means, spread, control=name in references))
    figure = curves(
        series, x_title="gap (frames)", y_title=y_title, title=title, width=width, height=height, y_from_zero=True
    )
    gaps = sorted({gap for by_gap in rows.values() for gap in by_gap})
    room = 0.06 * max(1, gaps[-1] - gaps[0])
    figure.update_xaxes(tickvals=gaps, range=[gaps[0] - room, gaps[-1] + room])
    return figure


def focal_over_training(
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    truth: float | None,
    *,
    x: str = "step",
    y: str = "focal",
    tolerance: float | None = 0.05,
    x_title: str = "training step",
    title: str = "",
    width: int = WIDTH,
    height: int = 420,
) -> go.Figure:
    """The focal length (px) that each run believed in while it learned, from the records that it logged.

    The true one is a line, with what lies within `tolerance` of it shaded; None: nobody knows it.
    """
    figure = go.Figure()
    found: dict[str, list[tuple[float, float]]] = {}
    for name, records in runs.items():
        found[name] = [(float(one[x]), float(one[y])) for one in records if x in one and y in one]
        if not found[name]:
            keys = sorted({key for one in records for key in one})
            raise InputError(f"no record of run {name!r} holds {x!r} and {y!r}", hint=f"x= and y= choose among {keys}")
    if not found:
        raise InputError("a figure of focal lengths needs at least one run, got none")
    ends = [min(p[0][0] for p in found.values()), max(p[-1][0] for p in found.values())]
    if truth is not None and tolerance is not None:
        low, high = truth * (1 - tolerance), truth * (1 + tolerance)
        figure.add_trace(
            go.Scatter(
                x=[ends[0], ends[1], ends[1], ends[0]],
                y=[low, low, high, high],
                mode="none",
                fill="toself",
                fillcolor="rgba(106,118,132,0.18)",
                name=f"within {100 * tolerance:g} % of the truth",
                hoverinfo="skip",
            )
        )
    if truth is not None:
        line = {"color": "#1b2430", "width": 2, "dash": "dash"}
        figure.add_trace(go.Scatter(x=ends, y=[truth, truth], mode="lines", name=f"truth, {truth:.4g} px", line=line))
    for number, (name, points) in enumerate(found.items()):
        colour = SERIES_COLOURS[number % len(SERIES_COLOURS)]
        figure.add_trace(
            go.Scatter(
                x=[p[0] for p in points],
                y=[p[1] for p in points],
                mode="lines",
                name=name,
                line={"color": colour, "width": 2.5, "dash": DASHES[number % len(DASHES)]},
            )
        )
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        margin={"t": 78 if title else 44, "r": 34},
        title={"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
    )
    figure.update_xaxes(title_text=x_title, range=ends if ends[1] > ends[0] else None)
    figure.update_yaxes(title_text="focal length (px)")
    return figure


def _colours(names: Sequence[str], references: Sequence[str]) -> list[str]:
    own = iter(SERIES_COLOURS * len(names))
    return [_REFERENCE_COLOUR if name in references else next(own) for name in names]


def _seeds(name: str, seeds: Sequence[Mapping[str, float]], measure: str) -> list[float]:
    if not seeds or not all(measure in one for one in seeds):
        raise InputError(
            f"row {name!r} needs {measure!r} of each seed, got {[sorted(one) for one in seeds]}",
            hint="a list of the `values` of DepthScores, one for each seed",
        )
    return [float(one[measure]) for one in seeds]


def _numbers(value: float | Sequence[float]) -> list[float]:
    return [float(one) for one in value] if isinstance(value, Sequence) else [float(value)]


def _spread_traces(
    label: str, row: str, seeds: Sequence[float], mean: float, spread: float
) -> tuple[go.Scatter, go.Scatter]:
    """The standard deviation about the mean as a whisker, and the seeds as points over it."""
    whisker = {"array": [spread], "thickness": 1.5, "width": 6, "color": INK}
    dots = {"size": 6, "color": "white", "line": {"width": 1.2, "color": INK}}
    return (
        go.Scatter(x=[mean], y=[row], mode="markers", marker={"size": 1, "color": INK}, error_x=whisker, name=label),
        go.Scatter(x=list(seeds), y=[row] * len(seeds), mode="markers", marker=dots, name=f"{label}: seeds"),
    )


def _spread(seeds: Sequence[float]) -> float | None:
    """Sample standard deviation; one seed has none."""
    return statistics.stdev(seeds) if len(seeds) > 1 else None
