"""Edges of labels and of depth: where they meet, between which classes, and what the unit of depth makes of them."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.experiments.depth_edge_losses import PLACES, DepthSteps
from stc_lab.experiments.depth_edge_study import KINDS, NOTHING, EdgeStudy
from stc_lab.plots.curves import Series, class_bars, curves
from stc_lab.plots.palette import Palette
from stc_lab.plots.panels import Panel, verdict_panel
from stc_lab.plots.template import QUIET_INK, SMALL_SIZE

EDGE_PALETTE = Palette(KINDS, ("#ffffff", "#0072b2", "#d55e00", "#cc79a7"))  # the first is never drawn
SCALES = tuple(10 ** (i / 6) for i in range(-12, 19))  # factors on a depth in metres, 0.01 to 1000
UNITS = {0.01: "0.01", 0.1: "0.1", 1.0: "1: metres", 10.0: "10", 100.0: "100: cm", 1000.0: "1000: mm"}


def edge_panel(kinds: Int64[Tensor, "h w"], image: Float[Tensor, "3 h w"], title: str) -> Panel:
    """What each pixel borders on (`edge_kinds`), over the picture, with each kind's share of all edge pixels."""
    edges = kinds != NOTHING
    shares = [
        f"{name} {100 * float((kinds[edges] == i).float().mean()):.0f} %"
        for i, name in enumerate(KINDS)
        if i != NOTHING and bool((kinds == i).any())
    ]
    return verdict_panel(kinds, EDGE_PALETTE, title, "of the edge pixels: " + "; ".join(shares), over=image)


def pair_bars(study: EdgeStudy, *, most: int = 16, title: str = "") -> go.Figure:
    """For the pairs of classes with most label edges, the share of these that has a depth edge.

    Behind each name stands its share of all label edges; the dashed line is the share among all pixels, edge or not.
    """
    rows = [row for row in study.rows if row.label_edges][:most]
    figure = class_bars(
        {"with a depth edge": torch.tensor([row.share_with_depth for row in rows])},
        [row.name for row in rows],
        x_title=f"label edges with a depth edge within {study.radius} px (%)",
        frequency=torch.tensor([row.label_edges / study.label_edges for row in rows]),
        title=title,
    )
    chance = 100 * study.chance_depth
    figure.add_vline(chance, line={"dash": "dash", "color": QUIET_INK, "width": 1.5})
    figure.add_annotation(
        x=chance, y=1, yref="paper", text=f"anywhere: {chance:.0f} %", xanchor="left", yanchor="bottom",
        showarrow=False, font={"size": SMALL_SIZE, "color": QUIET_INK},
    )  # fmt: skip
    figure.update_layout(showlegend=False)
    figure.update_xaxes(range=[0, 100])
    return figure


def weight_curves(
    steps: DepthSteps,
    *,
    normalised: bool = False,
    at: float | None = None,
    scales: Sequence[float] = SCALES,
    title: str = "",
    width: int = 720,
    height: int = 330,
) -> go.Figure:
    """The mean weight e^-|dD| at each place over the factor on a depth in metres; `at` marks one factor.

    `normalised` divides the depth by its mean, after which no factor matters.
    """

    def weights(scale: float) -> Mapping[str, float]:
        return steps.weights(1 / steps.mean if normalised else scale)

    found = [weights(scale) for scale in scales]
    series = [Series(place, list(scales), [one[place] for one in found]) for place in PLACES]
    if at is not None:
        here = weights(at)
        series.append(Series("where the slider stands", [at] * len(PLACES), [here[place] for place in PLACES]))
    figure = curves(
        series,
        x_title="factor on the depth",
        y_title="mean weight e<sup>-|dD|</sup>",
        title=title,
        width=width,
        height=height,
        x_log=True,
        y_from_zero=True,
    )
    figure.update_traces(mode="lines", selector={"mode": "lines+markers"})
    if at is not None:
        figure.data[-1].update(mode="markers", marker_size=12)
    ticks = {scale: words for scale, words in UNITS.items() if min(scales) <= scale * 1.001 and scale <= max(scales)}
    figure.update_xaxes(tickvals=list(ticks), ticktext=list(ticks.values()))
    figure.update_yaxes(range=[0, 1.05])
    figure.update_layout(margin_r=60)
    return figure
