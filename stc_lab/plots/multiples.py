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
    if not panels:
        raise InputError("a row of curves needs at least one panel, got none")
    figure = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.035)
    names = list(dict.fromkeys(one.name for series in panels.values() for one in series))
    listed: set[str] = set()
    for column, (x_title, series) in enumerate(panels.items(), start=1):
        here = {one.name: one for one in series}
        # Looks go by place: every panel draws all names in one order, and those it lacks are left out.
        every = [here.get(name, Series(name, [0.0], [0.0])) for name in names]
        for trace in curves(every, x_title=x_title, y_title=y_title).data:
            if trace.name in here:
                trace.update(legendgroup=trace.name, showlegend=trace.name not in listed)
                listed.add(trace.name)
                figure.add_trace(trace, row=1, col=column)
        figure.update_xaxes(title_text=x_title, row=1, col=column)
    figure.update_yaxes(title_text=y_title, row=1, col=1)
    if y_from_zero:
        figure.update_yaxes(rangemode="tozero")
    heading = {"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        title=heading,
        margin={"t": 78 if title else 44},
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
