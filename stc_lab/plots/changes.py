"""What a filter changed: pixels mended, spoilt, and wrong both times, over the faded image."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import plotly.graph_objects as go
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.flicker import RunGroup
from stc_lab.plots.curves import Series, curves
from stc_lab.plots.palette import Palette
from stc_lab.plots.panels import Panel, verdict_panel
from stc_lab.plots.template import INK, QUIET_INK, SMALL_SIZE

CHANGES = Palette(
    ("unchanged", "mended", "spoilt", "changed, wrong both times"), ("#ffffff", "#0072b2", "#d55e00", "#f0e442")
)


def change_map(
    before: Int64[Tensor, "*b h w"],
    after: Int64[Tensor, "*b h w"],
    truth: Int64[Tensor, "*b h w"],
    *,
    ignore_index: int = 255,
) -> Int64[Tensor, "*b h w"]:
    """0 where labels stay (or the truth ignores), 1 wrong to right, 2 right to wrong, 3 wrong to wrong."""
    if not before.shape == after.shape == truth.shape:
        raise InputError(
            f"before, after and truth must have one shape, got {list(before.shape)}, {list(after.shape)} "
            f"and {list(truth.shape)}"
        )
    kind = torch.full_like(before, 3)
    kind[after == truth] = 1
    kind[before == truth] = 2
    kind[(before == after) | (truth == ignore_index)] = 0
    return kind


def change_panel(
    before: Int64[Tensor, "h w"],
    after: Int64[Tensor, "h w"],
    truth: Int64[Tensor, "h w"],
    image: Float[Tensor, "3 h w"],
    title: str = "what changed",
) -> Panel:
    """The changes in colours over the image, with the numbers of pixels mended and spoilt."""
    kind = change_map(before, after, truth)
    mended, spoilt, other = (int((kind == i).sum()) for i in (1, 2, 3))
    caption = f"blue: {mended} px mended, orange: {spoilt} spoilt; yellow: {other} wrong both times"
    drawn = verdict_panel(kind, CHANGES, title, caption, over=image)
    # Its colours stand in the caption: in a legend they would mingle with the classes.
    return replace(drawn, palette=None, classes=())


HALF_OF_A_GAUSSIAN = 1.349  # standard deviations: the middle half of its weight lies in a stretch so long


def run_figure(methods: Mapping[str, Sequence[RunGroup]], *, sigma: float | None = None, title: str = "") -> go.Figure:
    """What each smoothing adds to the accuracy, by how long the truth stays as it is at the pixel; zero is a line.

    A dashed line stands where a run of two classes is half of a Gaussian of `sigma` frames: shorter ones are outvoted.
    """
    series = []
    for name, groups in methods.items():
        known = [group for group in groups if group.pixels > 0]
        x = [_middle(group.frames) for group in known]
        series.append(Series(name, x, [100 * (group.after - group.before) for group in known]))
    figure = curves(
        series,
        x_title="frames for which the true label stays at the pixel",
        y_title="change of accuracy (points)",
        title=title,
        x_log=True,
    )
    named = {_middle(group.frames): group.name for groups in methods.values() for group in groups}
    figure.update_xaxes(tickmode="array", tickvals=list(named), ticktext=list(named.values()))
    figure.add_hline(y=0, line={"color": INK, "width": 1})
    if sigma is not None:
        half = HALF_OF_A_GAUSSIAN * sigma
        figure.add_vline(x=half, line={"color": QUIET_INK, "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            text=f"1.35 sigma = {half:.1f} frames",
            x=math.log10(half),  # plotly takes a shape's place on a logarithmic axis as it is, an annotation's not
            y=0.02,
            yref="y domain",
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": SMALL_SIZE, "color": QUIET_INK},
        )
    return figure


def _middle(frames: tuple[int, int]) -> float:
    first, last = frames
    return 1.25 * first if last >= 10_000 else (first + last) / 2
