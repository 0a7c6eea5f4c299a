"""The long tail: how often classes occur, and how many of them a few labels show."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from jaxtyping import Float, Int64
from plotly.subplots import make_subplots
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.class_census import OFTEN, ClassCensus, LabelCoverage
from stc_lab.plots.curves import Series, curves
from stc_lab.plots.palette import class_palette
from stc_lab.plots.template import SMALL_SIZE, WIDTH, template

_STEM = "#b6bec9"


def long_tail(census: ClassCensus, *, title: str = "") -> go.Figure:
    """Each class's share of the pixels on a logarithmic axis, and of the frames it occurs in; frequent ones on top.

    Marks and not bars: a logarithmic axis has no zero that a bar could start from. A class that never occurs has no
    mark, but a word.
    """
    palette = class_palette(census.names)
    pixels, frames = (100 * share for share in (census.pixel_share(), census.frame_share()))
    order = sorted(range(len(census.names)), key=lambda i: float(pixels[i]))  # plotly counts from below
    names = [census.names[i] for i in order]
    colours = [palette.colours[i] for i in order]
    low = min(float(pixels[i]) for i in order if pixels[i] > 0)
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04, column_widths=[0.6, 0.4])
    marker = {"size": 13, "color": colours, "line": {"width": 1.2, "color": "#4a5565"}, "symbol": "square"}
    for column, (values, start) in enumerate(((pixels, low / 2), (frames, 0.0)), start=1):
        x = [float(values[i]) if pixels[i] > 0 else None for i in order]
        figure.add_trace(_stems(names, x, start), row=1, col=column)
        what = "of the pixels" if column == 1 else "of the frames"
        hover = "%{y}: %{x:.3g} % " + what + "<extra></extra>"
        dots = go.Scatter(x=x, y=names, mode="markers", marker=marker, hovertemplate=hover, name=what, showlegend=False)
        figure.add_trace(dots, row=1, col=column)
    for i in order:
        if pixels[i] == 0:
            figure.add_annotation(
                x=0.0,
                xref="x domain",
                y=census.names[i],
                text="never",
                showarrow=False,
                xanchor="left",
                font={"size": 12},
            )
    ticks = [digit * 10.0**power for power in range(-4, 2) for digit in (1, 2, 5)]
    figure.update_xaxes(
        type="log",
        title_text="share of the labelled pixels (%)",
        tickvals=ticks,
        ticktext=[f"{t:g}" for t in ticks],
        row=1,
        col=1,
    )
    figure.update_xaxes(title_text="frames that show it (%)", range=[-3, 104], row=1, col=2)
    figure.update_yaxes(ticks="", showgrid=False, tickfont={"size": SMALL_SIZE})
    height = 110 + 22 * len(names)
    figure.update_layout(**_layout(title, height), showlegend=False)
    return figure


def tails_by_rank(shares: Mapping[str, Float[Tensor, " k"]], *, title: str = "") -> go.Figure:
    """Shares of the pixels by rank, of several data sets: their tails without their names."""
    series = []
    for name, share in shares.items():
        falling = [100 * v for v in share.sort(descending=True).values.tolist() if v > 0]
        series.append(Series(name, list(range(1, len(falling) + 1)), falling))
    figure = curves(series, x_title="rank of the class", y_title="share of the labelled pixels (%)", title=title)
    figure.update_yaxes(type="log", dtick=1)
    return figure


def coverage_curves(coverage: LabelCoverage, *, title: str = "", height: int = 430) -> go.Figure:
    """Classes seen over the share of labelled frames: means over the seeds, with their standard deviation."""
    rows: dict[str, tuple[Int64[Tensor, "share seed"], bool]] = {
        "seen in one labelled frame or more": (coverage.once, False),
        f"in {OFTEN} or more": (coverage.often, False),
        "control: video by video, seen in one or more": (coverage.as_filmed, True),
    }
    if coverage.once.shape[1] < 2:
        raise InputError("a spread needs at least two seeds, got one")
    x = [100 * share for share in coverage.shares]
    series = [
        Series(
            name,
            x,
            values.double().mean(dim=1).tolist(),
            error=values.double().std(dim=1).tolist(),
            control=control,
        )
        for name, (values, control) in rows.items()
    ]
    figure = curves(
        series,
        x_title="labelled frames",
        y_title=f"classes (of {coverage.classes})",
        title=title,
        height=height,
        x_log=True,
        y_from_zero=True,
    )
    words = [f"{v:g} %<br>{n:,}" for v, n in zip(x, coverage.frames, strict=True)]
    figure.update_xaxes(tickvals=x, ticktext=words)
    figure.update_yaxes(range=[0, coverage.classes * 1.06])
    return figure


def labelling_order(
    first: Float[Tensor, "v t"], videos: Sequence[str], shares: Sequence[float], *, most: int = 40, title: str = ""
) -> go.Figure:
    """Which frame is labelled from which share on: a row for each video (at most `most`), dark ones first."""
    if len(videos) != len(first):
        raise InputError(f"{len(first)} rows need as many names of videos, got {len(videos)}")
    names = list(videos)[:most]
    ordered = sorted(shares)
    step = {share: i for i, share in enumerate(ordered)}
    z = [[step.get(value) for value in row] for row in first[:most].tolist()]
    stops = _steps(len(ordered))
    figure = go.Figure(
        go.Heatmap(
            z=z,
            y=names,
            zmin=-0.5,
            zmax=len(ordered) - 0.5,
            colorscale=[[(i + side) / len(ordered), c] for i, c in enumerate(stops) for side in (0, 1)],
            xgap=1,
            ygap=1,
            hovertemplate="%{y}, frame %{x}<extra></extra>",
            colorbar={
                "title": {"text": "labelled from<br>a share of", "font": {"size": SMALL_SIZE}},
                "tickvals": list(range(len(ordered))),
                "ticktext": [f"{100 * share:g} %" for share in ordered],
                "tickfont": {"size": SMALL_SIZE},
                "thickness": 16,
                "outlinewidth": 0,
            },
        )
    )
    figure.update_xaxes(title_text="frame", showgrid=False)
    sparse = {"tickvals": names[:: -(-len(names) // 12)]}
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="", **sparse)
    figure.update_layout(**_layout(title, 150 + max(170, 11 * len(names))))
    return figure


def _stems(names: Sequence[str], x: Sequence[float | None], start: float) -> go.Scatter:
    """Thin lines from the axis to the marks, which guide the eye from a name to its mark."""
    known = [(name, value) for name, value in zip(names, x, strict=True) if value is not None]
    return go.Scatter(
        x=[v for _, value in known for v in (start, value, None)],
        y=[v for name, _ in known for v in (name, name, None)],
        mode="lines",
        line={"width": 1, "color": _STEM},
        hoverinfo="skip",
        showlegend=False,
    )


def _steps(count: int) -> list[str]:
    """Blues from dark to light: told apart by lightness alone, so that every eye can."""
    from plotly import colors

    return colors.sample_colorscale("Blues", [1 - 0.9 * i / max(1, count - 1) for i in range(count)])


def _layout(title: str, height: int) -> dict[str, object]:
    heading = {"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None
    return {
        "template": template(),
        "width": WIDTH,
        "height": height,
        "title": heading,
        "margin": {"t": 56 if title else 24, "r": 24},
    }
