"""A front of two measures: methods as points, their families as lines, and what no other beats in both."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stc_lab.errors import InputError
from stc_lab.experiments.smoothing_front import FrontRow, Smoothing, effect_of
from stc_lab.experiments.stabilising import TrainedRow
from stc_lab.plots.colours import rgb_of_hex
from stc_lab.plots.curves import DASHES, MARKERS
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.template import INK, QUIET_INK, SMALL_SIZE, WIDTH, template

_CONTROL = "#7a8594"
_PLAIN = "the net, one frame at a time"
_OVER_TIME, _ALONG_EXACT, _ALONG_ESTIMATED, _GUIDED, _UNWEIGHTED = _FILTERS = (
    "Gaussian over time (sigma)",
    "Gaussian along the exact flow (sigma)",
    "Gaussian along estimated flow (sigma)",
    "weighted guided filter (frames)",
    "guided filter, all pixels alike (frames)",
)


@dataclass(frozen=True)
class FrontPoint:
    """One method: what it costs (lower is better) and what it gives (higher is better)."""

    name: str  # short, beside the point
    family: str  # in the legend; points of one family are joined in their order
    cost: float
    gain: float
    cost_error: float | None = None  # half the length of the error bar
    gain_error: float | None = None
    control: bool = False  # what all others start from: grey, joined to nothing


def best_points(points: Sequence[FrontPoint]) -> list[FrontPoint]:
    """The points that no other beats in both cost and gain, by cost."""
    best = [p for p in points if not any(q.cost < p.cost and q.gain > p.gain for q in points)]
    return sorted(best, key=lambda point: (point.cost, point.gain))


def front_figure(
    panels: Mapping[str, Sequence[FrontPoint]],
    *,
    x_title: str,
    y_title: str,
    title: str = "",
    width: int = WIDTH,
    height: int = 520,
) -> go.Figure:
    """A panel of points for each title, best at the upper left; a dotted staircase joins what no other point beats."""
    if not panels or not all(panels.values()):
        raise InputError("a front needs at least one panel with at least one point")
    figure = make_subplots(rows=1, cols=len(panels), subplot_titles=list(panels), horizontal_spacing=0.09)
    families = list(dict.fromkeys(p.family for points in panels.values() for p in points))
    looks = _looks([family for family in families if not _is_control(panels, family)])
    listed: set[str] = set()
    for column, points in enumerate(panels.values(), start=1):
        figure.add_trace(_staircase(points, column == 1), row=1, col=column)
        for family in families:
            own = [point for point in points if point.family == family]
            if own:
                trace = _family(own, family, looks.get(family))
                trace.showlegend = family not in listed
                listed.add(family)
                figure.add_trace(trace, row=1, col=column)
        figure.update_xaxes(title_text=x_title, row=1, col=column)
        figure.add_annotation(
            text="better",
            xref="x domain" if column == 1 else f"x{column} domain",
            yref="y domain" if column == 1 else f"y{column} domain",
            x=0.015,
            y=0.985,
            ax=34,
            ay=26,
            xanchor="center",
            arrowhead=2,
            arrowwidth=2,
            arrowcolor=QUIET_INK,
            font={"size": SMALL_SIZE, "color": QUIET_INK},
        )
    figure.update_yaxes(title_text=y_title, row=1, col=1)
    rows = -(-(len(families) + 1) // 2)
    top = (78 if title else 44) + 21 * rows
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        title={"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None,
        margin={"t": top},
        legend={
            "orientation": "h",
            "entrywidth": (width - 200) // 2,
            "entrywidthmode": "pixels",
            "x": 0,
            "xanchor": "left",
            "y": 1 - (44 if title else 8) / height,
            "yref": "container",
            "yanchor": "top",
        },
    )
    return figure


def _looks(families: Sequence[str]) -> dict[str, int]:
    """A number for the look of each family: filters keep theirs in every figure, others take what these leave."""
    known = {name: number for number, name in enumerate(_FILTERS) if name in families}
    spare = [number for number in (*range(len(_FILTERS), 20), *range(len(_FILTERS))) if number not in known.values()]
    others = [family for family in families if family not in known]
    return known | dict(zip(others, spare, strict=False))


def _is_control(panels: Mapping[str, Sequence[FrontPoint]], family: str) -> bool:
    return any(p.control for points in panels.values() for p in points if p.family == family)


def _staircase(points: Sequence[FrontPoint], first: bool) -> go.Scatter:
    """From the best point of the lowest cost to the right; a step goes right before it goes up."""
    best = best_points(points)
    right = max(point.cost for point in points)
    x, y = [best[0].cost], [best[0].gain]
    for point in best[1:]:
        x += [point.cost, point.cost]
        y += [y[-1], point.gain]
    return go.Scatter(
        x=[*x, right],
        y=[*y, y[-1]],
        mode="lines",
        name="no point beats these in both",
        line={"color": INK, "dash": "dot", "width": 1.5},
        showlegend=first,
        hoverinfo="skip",
    )


def _family(own: Sequence[FrontPoint], family: str, look: int | None) -> go.Scatter:
    colour = _CONTROL if look is None else SERIES_COLOURS[look % len(SERIES_COLOURS)]
    symbol = "star" if look is None else [m for m in MARKERS if m != "star"][look % (len(MARKERS) - 1)]
    shown: dict[str, dict[str, object]] = {}
    for axis, errors in (
        ("error_x", [point.cost_error for point in own]),
        ("error_y", [point.gain_error for point in own]),
    ):
        if any(error is not None for error in errors):
            faint = "rgba({},{},{},0.4)".format(*rgb_of_hex((colour,))[0])
            bars = {"array": [error or 0.0 for error in errors], "color": faint}
            shown[axis] = {**bars, "thickness": 1.2, "width": 3}
    return go.Scatter(
        x=[point.cost for point in own],
        y=[point.gain for point in own],
        mode="lines+markers+text" if look is not None and len(own) > 1 else "markers+text",
        name=family,
        # The ends of a line say where it leads; names in between would lie upon each other.
        text=[point.name if point in (own[0], own[-1]) else "" for point in own],
        customdata=[point.name for point in own],
        textposition=["middle right", "bottom center", "middle left", "top center"][0 if look is None else look % 4],
        textfont={"size": SMALL_SIZE - 1, "color": QUIET_INK},
        line={"color": colour, "width": 2, "dash": DASHES[(look or 0) % len(DASHES)]},
        marker={
            "symbol": symbol,
            "size": 15 if look is None else 11,
            "color": colour,
            "line": {"width": 1, "color": "white"},
        },
        hovertemplate=f"{family}, %{{customdata}}<br>%{{x:.3f}}, %{{y:.3f}}<extra></extra>",
        cliponaxis=False,
        **shown,
    )


def smoothing_points(rows: Sequence[FrontRow]) -> list[FrontPoint]:
    """The filters of a front as points: E_cons against mIoU in per cent, with spreads over resampled videos."""
    plain = [row for row in rows if row.smoothing.family == "none"]
    points = []
    for row in rows:
        spreads: tuple[float | None, float | None] = (None, None)
        if plain and row is not plain[0]:
            effect = effect_of(row, plain[0])
            spreads = effect.e_cons_spread * plain[0].e_cons, 100 * effect.miou_spread
        name, family = _name_and_family(row.smoothing)
        points.append(FrontPoint(name, family, row.e_cons, 100 * row.miou, *spreads, control=family == _PLAIN))
    return points


def _name_and_family(smoothing: Smoothing) -> tuple[str, str]:
    if smoothing.family == "none":
        return "", _PLAIN
    if smoothing.family == "guided filter":
        size = "2-D" if smoothing.temporal_radius == 0 else f"{2 * smoothing.temporal_radius + 1}"
        return size, _GUIDED if smoothing.weighted else _UNWEIGHTED
    along = _ALONG_ESTIMATED if smoothing.estimated else _ALONG_EXACT
    return f"{smoothing.sigma:g}", _OVER_TIME if smoothing.family == "labels over time" else along


def training_points(rows: Sequence[TrainedRow], videos: str) -> list[FrontPoint]:
    """Trained nets as points: means over the seeds, with standard deviations between them."""
    points = []
    for name in dict.fromkeys(row.name for row in rows):
        own = [row.scores[videos] for row in rows if row.name == name]
        costs, gains = [row.e_cons for row in own], [100 * row.miou for row in own]
        spreads = (statistics.stdev(costs), statistics.stdev(gains)) if len(own) > 1 else (None, None)
        family = f"trained on: {name}"
        points.append(FrontPoint("", family, statistics.fmean(costs), statistics.fmean(gains), *spreads))
    return points
