"""Maps and curves of the depth chapter: errors of each claim, what masks take, valleys, and doubt along a line."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import plotly.graph_objects as go
import torch
from jaxtyping import Float
from plotly.subplots import make_subplots
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.depth_doubt import Doubt, Place
from stc_lab.experiments.depth_landscapes import FACTORS
from stc_lab.experiments.depth_lesson import FAR, FOUND, KEPT, MISSED, OUT, WASTED, Explanation, Masks, common_means
from stc_lab.experiments.depth_valleys import FLOW, FOCAL_FACTORS, PHOTOMETRIC, DepthValleys, FocalValley, square
from stc_lab.plots.marks import Kind, Mark
from stc_lab.plots.palette import SERIES_COLOURS, Palette
from stc_lab.plots.panels import Panel, grey_panel, image_panel, value_panel, verdict_panel
from stc_lab.plots.template import QUIET_INK, SMALL_SIZE, WIDTH, template

_QUANTITY = "photometric error"
# The first class of each shows the picture itself, so that its colour is never drawn.
_WINNERS = Palette(
    ("neither sees it", "frame before is better", "frame after is better"), ("#ffffff", "#56b4e9", "#e69f00")
)
_MOVING = Palette(("kept", "taken by the auto-mask"), ("#ffffff", "#cc79a7"))
_FAR = Palette(FAR, ("#ffffff", "#0072b2", "#d55e00", "#f0e442", "#98a2b0"))
_LOG_AXIS = {"type": "log", "range": [math.log10(0.46), math.log10(2.17)]}
_TICKS = {"tickvals": [0.5, 0.7, 1, 1.4, 2], "ticktext": ["0.5", "0.7", "1", "1.4", "2"]}
_LOOKS = {PHOTOMETRIC: (SERIES_COLOURS[1], "solid"), FLOW: (SERIES_COLOURS[0], "dash")}
_TRUTH = {"color": QUIET_INK, "width": 1.5, "dash": "dot"}
_LINE, _ELLIPSE, _EXPECTED, _FLOW = "#56b4e9", "#009e73", "#0072b2", "#d55e00"


def claim_panels(claims: Mapping[str, Explanation], source: int) -> list[Panel]:
    """Above, one source as each claim brings it into the target; below, its photometric error, on one scale.

    The means are over the pixels that every claim keeps in view.
    """
    means = common_means(claims, source)
    high = max(float(claim.error[source][claim.visible[source]].quantile(0.97)) for claim in claims.values())
    above = [
        image_panel(claim.warped[source], name.capitalize(), visible=claim.visible[source])
        for name, claim in claims.items()
    ]
    below = [
        value_panel(
            claim.error[source],
            _QUANTITY,
            f"error, mean {means[name]:.3f}",
            high=high,
            visible=claim.visible[source],
            colours="magma",
        )
        for name, claim in claims.items()
    ]
    return above + below


def mask_panels(masks: Masks, image: Float[Tensor, "3 h w"], *, of: str) -> list[Panel]:
    """Which source explains each pixel better, what the auto-mask and what the closer-mask take, with shares."""
    kept = masks.in_view
    winner, moving = masks.winner + 1, torch.where(kept & ~masks.moving, 1, 0)
    wins = [float((masks.winner[kept] == i).double().mean()) for i in range(2)]
    saved = f"mean error {masks.mean_average:.3f} → {masks.mean_least:.3f}"
    shares = {what: _percent(masks.far == what, masks.far != OUT) for what in (FOUND, WASTED, MISSED)}
    words = f"before {100 * wins[0]:.0f} %, after {100 * wins[1]:.0f} %; {saved}"
    better = verdict_panel(winner, _WINNERS, f"{of}: minimum of both", words, over=image)
    ordered = (
        f"takes {shares[FOUND]} that are hidden and {shares[WASTED]} that are seen, leaves {shares[MISSED]} hidden"
    )
    return [
        replace(better, hidden=None if bool(kept.all()) else (~kept).cpu().numpy()),
        verdict_panel(moving, _MOVING, "Auto-mask", f"takes {_percent(moving == 1, kept)}", over=image),
        verdict_panel(masks.far - KEPT, _FAR, "Closer-mask, frame after", ordered, over=image),
    ]


def depth_valley_figure(valleys: DepthValleys, *, width: int = WIDTH, window: int = 15) -> go.Figure:
    """Both errors over the depth factor for one pixel, a window about it and the image; last, where downhill leads.

    Each curve is divided by its mean. The pixel is `DepthValleys.typical_pixel`.
    """
    x, y = valleys.typical_pixel()
    size = valleys.judged.shape[0], valleys.judged.shape[1]
    regions = {
        f"one pixel ({x}, {y})": square(size, x, y, 1),
        f"window of {window} x {window}": square(size, x, y, window) & valleys.judged,
        "whole image": valleys.judged,
    }
    titles = [f"<b>{name}</b>" for name in (*regions, "arrives at the truth")]
    figure = make_subplots(rows=1, cols=4, subplot_titles=titles, horizontal_spacing=0.055)
    for name, (colour, dash) in _LOOKS.items():
        line = {"color": colour, "dash": dash, "width": 2.5}
        common = {"mode": "lines", "line": line, "name": name.removesuffix(" (px)"), "legendgroup": name}
        for column, region in enumerate(regions.values(), start=1):
            values = valleys.curve(name, region)
            mean = sum(values) / len(values)
            heights = [value / mean for value in values]
            figure.add_trace(
                go.Scatter(x=list(FACTORS), y=heights, showlegend=column == 1, **common), row=1, col=column
            )
        shares = [100 * share for share in valleys.arrivals(name)]
        figure.add_trace(go.Scatter(x=list(FACTORS), y=shares, showlegend=False, **common), row=1, col=4)
    figure.update_xaxes(**_LOG_AXIS, **_TICKS, title_text="depth / true depth")
    figure.update_xaxes(title_text="factor to start from", row=1, col=4)
    figure.update_yaxes(title_text="error / its mean", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text="pixels (%)", range=[0, 102], row=1, col=4, title_standoff=2)
    for column in range(1, 5):
        figure.add_vline(x=1, line=_TRUTH, row=1, col=column, layer="below")
    figure.update_annotations(font={"size": SMALL_SIZE + 1})
    _layout(figure, width, 380)
    return figure


def focal_valley_figure(valleys: Mapping[str, FocalValley], *, width: int = WIDTH) -> go.Figure:
    """Small multiples: for each case, how much each error grows over its least away from the best focal length."""
    if not valleys:
        raise InputError("focal valleys need at least one case, got none")
    titles = [f"<b>{name}</b><br>{valley.turn:.1f}° a pair" for name, valley in valleys.items()]
    figure = make_subplots(rows=1, cols=len(valleys), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.02)
    highest = 0.0
    for column, valley in enumerate(valleys.values(), start=1):
        for name, (colour, dash) in _LOOKS.items():
            least = min(valley.error[name])
            rise = [100 * (value / least - 1) for value in valley.error[name]]
            highest = max(highest, *rise)
            common = {"name": name.removesuffix(" (px)"), "legendgroup": name}
            line = {"color": colour, "dash": dash, "width": 2.5}
            curve = go.Scatter(x=list(FOCAL_FACTORS), y=rise, mode="lines", line=line, showlegend=column == 1, **common)
            figure.add_trace(curve, row=1, col=column)
            marker = {"size": 12, "color": "white", "line": {"color": colour, "width": 3}}
            best = go.Scatter(x=[FOCAL_FACTORS[rise.index(0.0)]], y=[0.0], mode="markers", marker=marker, **common)
            figure.add_trace(best.update(showlegend=False, cliponaxis=False), row=1, col=column)
        figure.add_vline(x=1, line=_TRUTH, row=1, col=column, layer="below")
    ticks = {"tickvals": [0.6, 0.8, 1, 1.25, 1.6], "ticktext": ["0.6", "0.8", "1", "1.25", "1.6"]}
    figure.update_xaxes(type="log", **ticks, range=[math.log10(0.56), math.log10(1.72)])
    figure.update_xaxes(title_text="focal length / truth")
    figure.update_yaxes(range=[-0.04 * highest, 1.05 * highest])
    figure.update_yaxes(title_text="above its least (%)", row=1, col=1)
    figure.update_annotations(font={"size": SMALL_SIZE + 1})
    _layout(figure, width, 390)
    figure.update_layout(margin={"t": 96})
    return figure


def doubt_panels(found: Sequence[Doubt], image: Float[Tensor, "3 h w"]) -> list[Panel]:
    """Some pixels in the source, and one of them enlarged: of those whose flow is no surprise the one farthest off."""
    if not found:
        raise InputError("a picture of doubt needs at least one pixel, got none")
    height, width = image.shape[-2:]
    allowed = [one for one in found if one.allowed and _inside(one, height, width)]
    farthest = max(allowed or found, key=lambda one: one.along)
    spans = [max(values) - min(values) for values in zip(*farthest.ellipse, farthest.found, strict=True)]
    side = max(12, math.ceil(1.4 * max(spans[0], spans[1] * width / height)))
    rows, columns = _window(farthest.expected, height, width, side)
    near = [one for one in found if one is farthest]
    words = f"flow: {farthest.along:.1f} px off along the line, {farthest.across:.1f} px across"
    return [
        replace(grey_panel(image, "Source: where pixels should land", "and where the flow says they do"),
                marks=_marks(found, (0, 0), ellipses=False)),
        replace(grey_panel(image[:, rows, columns], "One of them, enlarged", words),
                marks=_marks(near, (columns.start, rows.start), ellipses=True)),
    ]  # fmt: skip


def _marks(found: Sequence[Doubt], corner: tuple[int, int], *, ellipses: bool) -> tuple[Mark, ...]:
    def moved(places: Sequence[Place]) -> tuple[Place, ...]:
        return tuple((x - corner[0], y - corner[1]) for x, y in places)

    def mark(kind: Kind, places: Sequence[Place], colour: str, name: str) -> Mark:
        return Mark(kind, moved(places), colour, name)

    marks = [mark("line", one.line, _LINE, "where it may land if the depth is doubted") for one in found]
    if ellipses:
        marks += [mark("line", one.ellipse, _ELLIPSE, "what fit_motion allows for") for one in found]
    marks.append(mark("ring", [one.expected for one in found], _EXPECTED, "where depth and motion put it"))
    marks.append(mark("cross", [one.found for one in found], _FLOW, "where the flow puts it"))
    return tuple(marks)


def _inside(one: Doubt, height: int, width: int) -> bool:
    return all(0 <= x <= width - 1 and 0 <= y <= height - 1 for x, y in (*one.ellipse, one.found))


def _window(middle: Place, height: int, width: int, side: int) -> tuple[slice, slice]:
    """Rows and columns of a piece in the image's proportions, as near to centred as the image allows."""
    tall = max(8, round(side * height / width))
    left = min(max(0, round(middle[0] - side / 2)), max(0, width - side))
    top = min(max(0, round(middle[1] - tall / 2)), max(0, height - tall))
    return slice(top, min(height, top + tall)), slice(left, min(width, left + side))


def _percent(mask: Tensor, among: Tensor) -> str:
    return f"{100 * float(mask[among].double().mean()):.0f} %" if bool(among.any()) else "none"


def _layout(figure: go.Figure, width: int, height: int) -> None:
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        margin={"t": 66, "l": 66, "r": 18},
        legend={
            "orientation": "h", "x": 0, "xanchor": "left", "y": 1 - 6 / height, "yref": "container", "yanchor": "top",
        },
    )  # fmt: skip
