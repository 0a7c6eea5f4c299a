"""Figure 2 of Pasad et al.: the gain of each class over its frequency; and what the net confuses before and after."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stc_lab.errors import InputError
from stc_lab.experiments.class_gains import ClassGain, ClassGains
from stc_lab.metrics import RankCorrelation
from stc_lab.plots.label_efficiency import NO_RESULTS
from stc_lab.plots.point_names import name_places
from stc_lab.plots.row_looks import dress, look_of, nothing_yet
from stc_lab.plots.template import SMALL_SIZE, WIDTH


def gain_scatter(
    comparisons: Sequence[ClassGains], *, title: str = "", width: int = WIDTH, height: int = 560
) -> go.Figure:
    """Relative gain of the IoU (left, as in the paper) and gain in points (right) over the share of labelled pixels.

    One series for each comparison, the method first; bars are standard errors over the seeds. Points are named for the
    first series; the correlations stand above the panels.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.09, subplot_titles=_headings(comparisons))
    for number, gains in enumerate(comparisons):
        look = look_of(gains.row)
        rated = [one for one in gains.classes if not math.isnan(one.relative)]
        for column, classes, values, errors in (
            (1, rated, [100 * one.relative for one in rated], [100 * one.error for one in rated]),
            (
                2,
                gains.classes,
                [100 * one.gain.mean for one in gains.classes],
                [100 * one.gain.spread / math.sqrt(one.gain.n) for one in gains.classes],
            ),
        ):
            bars = {
                "array": [0 if math.isnan(e) else e for e in errors],
                "thickness": 1,
                "width": 2,
                "color": look.colour,
            }
            figure.add_trace(
                go.Scatter(
                    x=[100 * one.frequency if one.frequency > 0 else None for one in classes],
                    y=values,
                    name=gains.row,
                    mode="markers+text" if number == 0 else "markers",
                    text=[one.name for one in classes],
                    textposition=_names(classes, values) if number == 0 else None,
                    cliponaxis=False,
                    textfont={"size": SMALL_SIZE - 2},
                    marker={"size": 9 if number == 0 else 7, "symbol": look.symbol, "color": look.colour},
                    opacity=1 if number == 0 else 0.65,
                    error_y=bars,
                    customdata=[[100 * one.base, 100 * one.gain.mean, one.gain.n] for one in classes],
                    hovertemplate="%{text}: %{x:.2g} % of the labelled pixels<br>IoU %{customdata[0]:.1f} "
                    "%{customdata[1]:+.1f} points<br>%{customdata[2]} seeds<extra>" + gains.row + "</extra>",
                    legendgroup=gains.row,
                    showlegend=column == (1 if rated else 2),
                ),
                row=1,
                col=column,
            )
    if not comparisons:
        nothing_yet(figure, NO_RESULTS)
    ticks = [digit * 10.0**power for power in range(-3, 2) for digit in (1, 3)]
    figure.update_xaxes(
        type="log", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks], title_text="share of the labelled pixels (%)"
    )
    figure.update_yaxes(title_text="relative gain of the IoU (%)", row=1, col=1)
    figure.update_yaxes(title_text="gain of the IoU (points)", row=1, col=2)
    figure.add_hline(y=0, line={"color": "#000000", "width": 1.2})
    return dress(figure, title=title, width=width, height=height, above=46)


def scatter_words(comparisons: Sequence[ClassGains]) -> str:
    """What the scatter shows, in words."""
    if not comparisons:
        return f"Relative gain of each class over its frequency: {NO_RESULTS}."
    first = comparisons[0]
    bands = "; ".join(f"{title}: {100 * mean.value:+.1f}" for title, mean in first.bands().items() if mean.n)
    said = (
        f"Gain of the IoU of each class by {first.row} at {first.count} labels over its share of the labelled pixels."
    )
    found = _correlation(first.relative)
    return f"{said} Spearman's correlation with the relative gain: {found}. Points by band: {bands}."


def confusion_change(
    changes: Mapping[str, np.ndarray], names: Sequence[str], *, title: str = "", width: int = WIDTH, height: int = 560
) -> go.Figure:
    """What became of the pixels of each true class (rows): blue, more of them are called so than before; red, fewer.

    `changes` are differences of two confusion matrices in shares of each true class, -1..1, a panel each.
    """
    for panel, change in changes.items():
        if change.shape != (len(names), len(names)):
            raise InputError(f"{panel!r} needs a matrix of {len(names)} x {len(names)}, got {list(change.shape)}")
    panels = list(changes) or [NO_RESULTS]
    figure = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=panels)
    largest = max((100 * float(np.abs(change).max()) for change in changes.values()), default=1.0) or 1.0
    for column, change in enumerate(changes.values(), start=1):
        cells = go.Heatmap(
            z=100 * change,
            x=list(names),
            y=list(names),
            zmin=-largest,
            zmax=largest,
            colorscale="RdBu",
            xgap=1,
            ygap=1,
            showscale=column == len(panels),
            colorbar={"title": {"text": "points", "font": {"size": SMALL_SIZE}}, "thickness": 14, "outlinewidth": 0},
            hovertemplate="true %{y}, called %{x}: %{z:+.1f} points<extra></extra>",
        )
        figure.add_trace(cells, row=1, col=column)
    figure.update_xaxes(tickangle=-90, showgrid=False, title_text="called", tickfont={"size": SMALL_SIZE - 2}, dtick=1)
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": SMALL_SIZE - 2}, dtick=1)
    figure.update_yaxes(title_text="true class", row=1, col=1)
    return dress(figure, title=title, width=width, height=height, lines=0, above=30)


def change_words(change: np.ndarray, names: Sequence[str], *, most: int = 3) -> str:
    """The largest moves of a confusion change, in words: which classes are found more often, and which are lost."""
    own = np.diag(change)
    order = np.argsort(own)
    up = [f"{names[i]} {100 * own[i]:+.1f}" for i in order[::-1][:most] if own[i] > 0]
    down = [f"{names[i]} {100 * own[i]:+.1f}" for i in order[:most] if own[i] < 0]
    return f"Points of recall. Up most: {', '.join(up) or 'none'}; down most: {', '.join(down) or 'none'}."


def _names(classes: Sequence[ClassGain], values: Sequence[float]) -> list[str]:
    x = [math.log10(max(one.frequency, 1e-9)) for one in classes]
    return name_places(x, values, [one.name for one in classes], size=(390, 380), font=SMALL_SIZE - 2)


def _headings(comparisons: Sequence[ClassGains]) -> list[str]:
    if not comparisons:
        return ["relative gain", "gain"]
    first = comparisons[0]
    return [f"relative gain<br>{_correlation(first.relative)}", f"gain in points<br>{_correlation(first.absolute)}"]


def _correlation(found: RankCorrelation | None) -> str:
    if found is None:
        return "no correlation: nothing to rank"
    return f"ρ = {found.value:+.2f}, p = {found.p_value:.2g}, {found.support} classes"
