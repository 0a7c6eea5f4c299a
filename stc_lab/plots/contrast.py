"""Figures of the contrastive loss: who is pushed, what flips, and what a teacher is sure of."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from jaxtyping import Float
from torch import Tensor

from stc_lab.experiments.pixel_embedding import AnchorView
from stc_lab.experiments.sure_labels import SureLabels
from stc_lab.experiments.surroundings import FlipRate
from stc_lab.plots.curves import Series, curves
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.template import WIDTH, template

_POINTS = 24  # of a curve


def flip_curve(rates: Mapping[str, Sequence[FlipRate]], *, title: str = "", width: int = WIDTH) -> go.Figure:
    """How often predictions flip over how much the surroundings changed, a curve for each net, both in per cent."""
    series = [
        Series(name, [100 * rate.change for rate in found], [100 * rate.flips for rate in found])
        for name, found in rates.items()
    ]
    x_title = "change of the surroundings (% of the window)"
    return curves(
        series, x_title=x_title, y_title="points that flip (%)", title=title, width=width, height=400, y_from_zero=True
    )


def push_curves(views: Sequence[AnchorView], *, names: Sequence[str] = ()) -> go.Figure:
    """What share of the push the hardest negatives get, at each temperature.

    Without `names` each curve says its temperature and how many negatives, pushed alike, would spread the push so.
    """
    series = []
    for number, view in enumerate(views):
        shares = view.weight[view.weight > 0].double().sort(descending=True).values.cumsum(0)
        count = view.negatives
        ranks = [max(1, round(count ** (i / _POINTS))) for i in range(_POINTS + 1)]
        reached = [100 * float(shares[min(rank, len(shares)) - 1]) for rank in ranks]
        name = f"τ = {view.temperature:g}: as if {view.effective:,.0f} of {count:,} were pushed"
        series.append(
            Series(f"τ = {names[number]}" if names else name, [100 * rank / count for rank in ranks], reached)
        )
    figure = curves(
        series, x_title="the hardest negatives (% of all)", y_title="their share of the push (%)", x_log=True
    )
    figure.update_yaxes(range=[0, 104])
    return figure


def sure_bars(sure: SureLabels, threshold: float, *, width: int = WIDTH) -> go.Figure:
    """For each class the share of its proposals that is kept, of the kept that is right, and of its pixels reached.

    Classes in the order of their true pixels; one that nobody proposes, keeps or has gets no bar.
    """
    order = sure.true.argsort(descending=True).tolist()
    rows = {
        "kept, of what was proposed": sure.kept(threshold),
        "right, of what was kept": sure.correct(threshold),
        "reached, of what is there": sure.reached(threshold),
    }
    figure = go.Figure()
    for colour, (name, values) in zip(SERIES_COLOURS, rows.items(), strict=False):
        figure.add_trace(
            go.Bar(x=[sure.classes[i] for i in order], y=_percents(values[order]), name=name, marker={"color": colour})
        )
    figure.update_layout(
        template=template(),
        width=width,
        height=360,
        margin={"t": 44},
        bargap=0.25,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
    )
    figure.update_xaxes(title_text=f"classes, the most frequent first; threshold {threshold:.2f}", showgrid=False)
    figure.update_yaxes(title_text="pixels (%)", range=[0, 101])
    return figure


def threshold_curves(sure: Mapping[str, SureLabels], *, thresholds: Sequence[float]) -> go.Figure:
    """Right ones among the kept over the share kept, a curve for each teacher and a point for each threshold."""
    series = [
        Series(
            name,
            [100 * one.all_kept(threshold) for threshold in thresholds],
            [100 * one.all_correct(threshold) for threshold in thresholds],
        )
        for name, one in sure.items()
    ]
    figure = curves(series, x_title="pixels that get a label (%)", y_title="right ones among them (%)", height=380)
    for trace in figure.data:
        trace.update(
            text=[f"threshold {threshold:.2f}" for threshold in thresholds],
            hovertemplate="%{text}: %{x:.1f} % kept, %{y:.1f} % of them right<extra></extra>",
        )
    return figure


def _percents(values: Float[Tensor, " k"]) -> list[float | None]:
    return [None if value != value else round(100 * value, 2) for value in values.tolist()]
