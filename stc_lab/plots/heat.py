"""Heat maps side by side on one colour scale: a measure over two quantities at once, with its valley."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.palette import SERIES_COLOURS, Scale
from stc_lab.plots.template import INK, SMALL_SIZE, WIDTH, template

_AXIS = 84  # px left of each map, for its ticks and title
_BAR = 92  # px right of the maps, for the colour bar


@dataclass(frozen=True)
class Heat:
    """A measure over two quantities; rows are y, from the first upwards."""

    value: Float[Tensor, "y x"]
    x: Sequence[float]
    y: Sequence[float]
    x_title: str
    y_title: str
    title: str = ""

    def __post_init__(self) -> None:
        if tuple(self.value.shape) != (len(self.y), len(self.x)) or not len(self.x) or not len(self.y):
            raise InputError(
                f"heat map {self.title!r} needs a value for each of {len(self.y)} y and {len(self.x)} x, "
                f"got {list(self.value.shape)}"
            )

    def valley(self) -> list[float | None]:
        """For each x the y of the smallest value; None where it lies at the map's edge, for it may lie beyond."""
        lowest = self.value.argmin(dim=0).tolist()
        return [self.y[i] if 0 < i < len(self.y) - 1 else None for i in lowest]


def heat_row(
    maps: Sequence[Heat], quantity: str, *, title: str = "", width: int = WIDTH, height: int = 400
) -> go.Figure:
    """The maps with one colour bar; a line joins the smallest value over each x, a cross marks no added error."""
    if not maps:
        raise InputError("a row of heat maps needs at least one, got none")
    spacing = _AXIS / (width - _AXIS - _BAR) if len(maps) > 1 else 0.0
    figure = make_subplots(rows=1, cols=len(maps), horizontal_spacing=spacing, subplot_titles=[m.title for m in maps])
    scale = Scale(quantity, min(float(m.value.min()) for m in maps), max(float(m.value.max()) for m in maps), "cividis")
    above = 30 if any(one.title for one in maps) else 6
    top = (74 if title else 40) + above
    stops = [[i / (len(scale.colours) - 1), colour] for i, colour in enumerate(scale.colours)]
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        title={"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None,
        margin={"t": top, "l": _AXIS, "r": _BAR},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1 - (top - above - 14) / height,
            "yref": "container",
            "yanchor": "middle",
        },
        coloraxis={
            "colorscale": stops,
            "cmin": scale.low,
            "cmax": scale.high,
            "colorbar": {
                "title": {"text": quantity, "side": "right", "font": {"size": SMALL_SIZE}},
                "tickfont": {"size": SMALL_SIZE},
                "thickness": 12,
                "outlinewidth": 0,
            },
        },
    )
    for column, one in enumerate(maps, start=1):
        hover = f"{one.x_title}: %{{x}}<br>{one.y_title}: %{{y}}<br>{quantity}: %{{z:.4f}}<extra></extra>"
        x, y = list(one.x), list(one.y)
        heat = go.Heatmap(z=one.value.tolist(), x=x, y=y, coloraxis="coloraxis", hovertemplate=hover, name=one.title)
        orange = SERIES_COLOURS[1]
        valley = go.Scatter(
            x=x,
            y=one.valley(),
            mode="lines+markers",
            name="the valley: best y for each x",
            line={"color": "white", "width": 2.5},
            marker={"color": "white", "size": 6, "line": {"color": INK, "width": 1}},
            showlegend=column == 1,
            legendgroup="valley",
        )
        truth = go.Scatter(
            x=[0],
            y=[0],
            mode="markers",
            name="the geometry as given",
            marker={"symbol": "cross", "size": 13, "color": orange, "line": {"color": "white", "width": 1.5}},
            showlegend=column == 1,
            legendgroup="truth",
        )
        for trace in (heat, valley, truth):
            figure.add_trace(trace, row=1, col=column)
        figure.update_xaxes(title_text=one.x_title, row=1, col=column, showgrid=False)
        figure.update_yaxes(title_text=one.y_title, row=1, col=column, showgrid=False)
    return figure
