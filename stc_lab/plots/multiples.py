"""Small multiples: several figures of curves side by side on one y axis, with one legend."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stc_lab.errors import InputError
from stc_lab.plots.curves import Series, curves
from stc_lab.plots.template import WIDTH, template


def curve_row(
    panels: Mapping[str, Sequence[Series]],
    *,
    y_title: str,
    title: str = "",
    width: int = WIDTH,
    height: int = 380,
    y_from_zero: bool = False,
) -> go.Figure:
    """One panel of curves for each x title (with its unit); series of one name look alike and share a legend entry."""
    return curve_grid({y_title: panels}, title=title, width=width, height=height, y_from_zero=y_from_zero)


def curve_grid(
    rows: Mapping[str, Mapping[str, Sequence[Series]]],
    *,
    title: str = "",
    width: int = WIDTH,
    height: int | None = None,
    y_from_zero: bool = False,
) -> go.Figure:
    """Several measures over the same quantities: a row for each y title, in it a panel for each x title.

    All rows have the same x titles, in one order; they stand under the last.
    """
    columns = list(next(iter(rows.values()), {}))
    if not columns:
        raise InputError("a row of curves needs at least one panel, got none")
    for y_title, panels in rows.items():
        if list(panels) != columns:
            raise InputError(f"row {y_title!r} has the panels {list(panels)}, the first row {columns}")
    height = 120 + 230 * len(rows) if height is None else height
    top = 78 if title else 44
    figure = make_subplots(
        rows=len(rows),
        cols=len(columns),
        shared_yaxes=True,
        horizontal_spacing=0.035,
        shared_xaxes="columns",
        vertical_spacing=0.08 if len(rows) > 1 else 0.0,
    )
    names = list(dict.fromkeys(one.name for panels in rows.values() for series in panels.values() for one in series))
    listed: set[str] = set()
    for row, (y_title, panels) in enumerate(rows.items(), start=1):
        for column, (x_title, series) in enumerate(panels.items(), start=1):
            here = {one.name: one for one in series}
            # Looks go by place: every panel draws all names in one order, and those it lacks are left out.
            every = [here.get(name, Series(name, [0.0], [0.0])) for name in names]
            for trace in curves(every, x_title=x_title, y_title=y_title).data:
                if trace.name in here:
                    trace.update(legendgroup=trace.name, showlegend=trace.name not in listed)
                    listed.add(trace.name)
                    figure.add_trace(trace, row=row, col=column)
            if row == len(rows):
                figure.update_xaxes(title_text=x_title, row=row, col=column)
        figure.update_yaxes(title_text=y_title, row=row, col=1)
    if y_from_zero:
        figure.update_yaxes(rangemode="tozero")
    heading = {"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        title=heading,
        margin={"t": top},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
    )
    return figure


def mean_series(
    records: Sequence[Mapping[str, Any]], key: str, *, name: str, every: int = 10, control: bool = False
) -> Series:
    """A loss of a training log as means over each `every` steps: batches differ more than the net does."""
    points = [(float(record["step"]), float(record[key])) for record in records if key in record]
    if not points:
        raise InputError(f"no record holds {key!r}", hint="this row was trained without it")
    parts = [points[i : i + every] for i in range(0, len(points), every)]
    means = [tuple(sum(values) / len(part) for values in zip(*part, strict=True)) for part in parts]
    return Series(name, [step for step, _ in means], [value for _, value in means], control=control)
