"""How the rows of the Pasad study look in every figure: methods in colour, controls in greys."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from stc_lab.experiments.pasad_profiles import BEST
from stc_lab.experiments.pasad_results import (
    ANOTHER_ROOM,
    BEST_IDENTITY,
    BEST_LEARNED,
    DISTILLED,
    IDENTITY,
    LEARNED,
)
from stc_lab.experiments.published import BASELINE, CONTINUED, METHOD
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.template import FONT_SIZE, QUIET_INK, template

GREY = "#7a8594"


@dataclass(frozen=True)
class Look:
    """Colour, marker and dash of a row."""

    colour: str
    symbol: str
    dash: str = "solid"


LOOKS = {
    BASELINE: Look(SERIES_COLOURS[5], "circle-open", "dot"),
    CONTINUED: Look("#000000", "circle"),
    METHOD: Look(SERIES_COLOURS[0], "square"),
    LEARNED: Look(SERIES_COLOURS[2], "diamond", "dash"),
    BEST: Look(SERIES_COLOURS[1], "triangle-up"),
    BEST_LEARNED: Look(SERIES_COLOURS[3], "cross", "dash"),
    IDENTITY: Look(GREY, "x", "dash"),
    BEST_IDENTITY: Look("#a08a7c", "hexagon", "longdash"),
    ANOTHER_ROOM: Look("#98a2b0", "triangle-down", "dot"),
    DISTILLED: Look("#98a2b0", "star", "dashdot"),
}


def look_of(row: str) -> Look:
    """The look of a row; a row of another table has that of the method."""
    return LOOKS.get(row, LOOKS[METHOD])


def line_of(row: str, x: list[float], y: list[float], **changes: Any) -> go.Scatter:
    """A row as a line with its markers."""
    look = look_of(row)
    return go.Scatter(
        x=x,
        y=y,
        name=row,
        mode="lines+markers",
        line={"color": look.colour, "dash": look.dash, "width": 2},
        marker={"symbol": look.symbol, "size": 9, "color": look.colour},
        **changes,
    )


def dress(figure: go.Figure, *, title: str, width: int, height: int, lines: int = 1, above: int = 0) -> go.Figure:
    """Template and title; under it a legend of so many lines, and room for headings `above` the panels."""
    head = 44 if title else 10
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        title={"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None,
        margin={"t": head + 26 * lines + above},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1 - head / height,
            "yref": "container",
            "yanchor": "top",
        },
    )
    return figure


def nothing_yet(figure: go.Figure, words: str, *, shared: bool = False) -> None:
    """Say in the first panel why it is empty; an axis is drawn only where there is a trace.

    `shared`: its y axis is that of a panel with data, and keeps its numbers.
    """
    figure.add_trace(go.Scatter(x=[None], y=[None], showlegend=False, hoverinfo="skip", xaxis="x", yaxis="y"))
    figure.add_annotation(
        text=words,
        xref="x domain",
        yref="y domain",
        x=0.5,
        y=0.5,
        showarrow=False,
        bgcolor="white",
        font={"size": FONT_SIZE, "color": QUIET_INK},
    )
    figure.update_layout(xaxis={"showticklabels": False}, yaxis={"showticklabels": shared})


def label_axis(figure: go.Figure, counts: list[int], **where: Any) -> None:
    """A logarithmic axis of labelled frames with a tick at each count."""
    figure.update_xaxes(
        type="log", tickvals=counts, ticktext=[f"{c:g}" for c in counts], title_text="labelled frames", **where
    )
