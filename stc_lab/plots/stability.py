"""Pictures of stability: slices through time, measures over corruptions, and measures over ratings."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Bool, Float, Int64
from plotly.subplots import make_subplots
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.panels import MARK_COLOUR, Panel, grey_panel, mask_panel
from stc_lab.plots.template import INK, SMALL_SIZE, WIDTH, template

STRETCH = 3  # rows of the picture for each frame
_CALM, _ALARM = "#eef1f5", "#b3460b"  # a measure that is content, and one that complains


def _plain(_: str, value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def time_slice_panel(
    image: Float[Tensor, "3 t w"],
    mask: Int64[Tensor, "t w"],
    title: str,
    caption: str = "",
    *,
    visible: Bool[Tensor, "t w"] | None = None,
    stretch: int = STRETCH,
    colour: str = MARK_COLOUR,
) -> Panel:
    """One row of a video over time, in greys, from top to bottom, with a mask laid over it.

    What is not visible is hatched.
    """
    tall, over = (value.repeat_interleave(stretch, dim=-2) for value in (image, mask > 0))
    seen = None if visible is None else visible.repeat_interleave(stretch, dim=0)
    return mask_panel(over, title, caption, over=grey_panel(tall), visible=seen, colour=colour)


def corruption_grid(
    values: Mapping[str, Float[Tensor, "y x"]],
    y: Sequence[float],
    x: Sequence[float],
    *,
    y_title: str,
    x_title: str,
    better: Mapping[str, str],
    written: Callable[[str, float], str] = _plain,
    title: str = "",
    width: int = WIDTH,
) -> go.Figure:
    """A table of each measure over two knobs, in colours from its best value here (pale) to its worst (dark).

    `better` says of each measure whether "higher" or "lower" is better, `written` how a value reads. Each table has
    its own range of colours.
    """
    for name, table in values.items():
        if tuple(table.shape) != (len(y), len(x)):
            raise InputError(f"{name!r} needs {len(y)} x {len(x)} values, got {list(table.shape)}")
    columns = min(3, len(values))
    rows = math.ceil(len(values) / columns)
    height = (96 if title else 60) + 220 * rows
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=list(values),
        horizontal_spacing=0.07,
        vertical_spacing=0.36 / rows if rows > 1 else 0.0,
    )
    for i, (name, table) in enumerate(values.items()):
        places = {"row": i // columns + 1, "col": i % columns + 1}
        numbers = table.double().numpy()
        text = [[written(name, v) for v in row] for row in numbers.tolist()]
        cells = _cells(_alarm(numbers, better[name]), [f"{v:g}" for v in x], [f"{v:g}" for v in y], text)
        figure.add_trace(cells, **places)
        figure.update_xaxes(title_text=x_title if places["row"] == rows else None, **places)
        figure.update_yaxes(title_text=y_title if places["col"] == 1 else None, **places)
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category", autorange="reversed")
    _dress(figure, title, width, height)
    return figure


def measure_table(
    rows: Mapping[str, Mapping[str, float]],
    better: Mapping[str, str],
    *,
    written: Callable[[str, float], str] = _plain,
    title: str = "",
    width: int = WIDTH,
) -> go.Figure:
    """Rows of masks, columns of measures: pale where a measure is content, dark where it complains; - : no value.

    Colours go by column, from the best value there to the worst.
    """
    names = list(next(iter(rows.values()), {}))
    if not names:
        raise InputError("a table of measures needs at least one row with one measure, got none")
    numbers = np.array([[row[name] for name in names] for row in rows.values()], dtype=np.float64)
    alarm = np.stack([_alarm(numbers[:, j], better[name]) for j, name in enumerate(names)], axis=1)
    text = [[written(name, v) for name, v in zip(names, row, strict=True)] for row in numbers.tolist()]
    heads = [name.replace(" / ", "<br>/ ").replace(", as ", ",<br>").replace(", ", ",<br>") for name in names]
    figure = go.Figure(_cells(alarm, heads, list(rows), text))
    figure.update_xaxes(side="top", tickangle=0)
    figure.update_yaxes(autorange="reversed")
    _dress(figure, title, width, 110 + 34 * len(rows) + (40 if title else 0))
    figure.update_layout(margin={"t": 110 if title else 76, "l": 210})
    return figure


def rank_scatter(
    panels: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_titles: Sequence[str],
    y_title: str,
    groups: Sequence[str] | None = None,
    title: str = "",
    width: int = WIDTH,
    height: int = 380,
) -> go.Figure:
    """Points of one or several measures (x) over one other quantity (y), a panel each; `groups` tell points apart."""
    if not panels or len(x_titles) != len(panels):
        raise InputError(f"each of {len(panels)} panels needs its x title, got {len(x_titles)}")
    figure = make_subplots(
        rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=list(panels)
    )
    for column, ((x, y), x_title) in enumerate(zip(panels.values(), x_titles, strict=True), start=1):
        each = [""] * len(x) if groups is None else list(groups)
        for number, group in enumerate(dict.fromkeys(each)):
            chosen = [i for i, own in enumerate(each) if own == group]
            marker: dict[str, Any] = {
                "size": 8,
                "opacity": 0.8,
                "color": SERIES_COLOURS[number],
                "symbol": ("circle", "diamond", "square")[number % 3],
                "line": {"width": 0.7, "color": "white"},
            }
            trace = go.Scatter(
                x=[float(x[i]) for i in chosen],
                y=[float(y[i]) for i in chosen],
                mode="markers",
                name=group,
                marker=marker,
                legendgroup=group,
                showlegend=bool(group) and column == 1,
            )
            figure.add_trace(trace, row=1, col=column)
        figure.update_xaxes(title_text=x_title, row=1, col=column)
    figure.update_yaxes(title_text=y_title, row=1, col=1)
    _dress(figure, title, width, height)
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"})
    return figure


def correlation_dots(
    rows: Mapping[str, Mapping[str, tuple[float, float]]], *, x_title: str, title: str = "", width: int = WIDTH
) -> go.Figure:
    """A line for each measure, on it a point with its spread for each series that has one; rows from top to bottom."""
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    if not series:
        raise InputError("a figure of correlations needs at least one value, got none")
    figure = go.Figure()
    for number, name in enumerate(series):
        found = {measure: row[name] for measure, row in rows.items() if name in row}
        colour = SERIES_COLOURS[number % len(SERIES_COLOURS)]
        figure.add_trace(
            go.Scatter(
                x=[mean for mean, _ in found.values()],
                y=list(found),
                error_x={"array": [0.0 if math.isnan(s) else s for _, s in found.values()], "thickness": 1.5},
                mode="markers",
                name=name,
                marker={"size": 12, "color": colour, "symbol": ("circle", "square", "diamond")[number % 3]},
            )
        )
    _dress(figure, title, width, 130 + 32 * len(rows) + (30 if title else 0))
    figure.update_xaxes(title_text=x_title, showgrid=True, zeroline=True, zerolinecolor="#98a2b0")
    figure.update_yaxes(categoryorder="array", categoryarray=list(rows), autorange="reversed", showgrid=True)
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"})
    return figure


def _alarm(values: np.ndarray, better: str) -> np.ndarray:
    """0 for the best value, 1 for the worst; NaN stays."""
    if better not in ("higher", "lower"):
        raise InputError(f'better must be "higher" or "lower", got {better!r}')
    worse = -values if better == "higher" else values
    known = worse[np.isfinite(worse)]
    spread = known.max() - known.min() if len(known) else 0.0
    return np.where(np.isfinite(worse), (worse - known.min()) / spread if spread > 0 else 0.0, np.nan)


def _cells(alarm: np.ndarray, x: list[str], y: list[str], text: list[list[str]]) -> go.Heatmap:
    return go.Heatmap(
        z=[[None if math.isnan(v) else v for v in row] for row in alarm.tolist()],
        x=x,
        y=y,
        text=text,
        texttemplate="%{text}",
        textfont={"size": SMALL_SIZE + 1},
        colorscale=[[0, _CALM], [1, _ALARM]],
        zmin=0,
        zmax=1.15,
        showscale=False,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        hovertemplate="%{y}<br>%{x}: %{text}<extra></extra>",
    )


def _dress(figure: go.Figure, title: str, width: int, height: int) -> None:
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        title={"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None,
        margin={"t": 92 if title else 56},
        font={"color": INK},
    )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
