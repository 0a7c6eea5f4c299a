"""Pixels in a net's feature space, drawn in the plane: what lies under the pointer says which pixel it is."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stc_lab.errors import InputError
from stc_lab.experiments.pixel_embedding import EmbeddedPixels
from stc_lab.plots.palette import Palette
from stc_lab.plots.template import SMALL_SIZE, WIDTH, template

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")  # of the frames, in their order
_MOST = 2000  # points of a panel: each takes about 60 bytes of the notebook


def embedding_scatter(
    planes: Mapping[str, EmbeddedPixels], palette: Palette, *, title: str = "", height: int = 470
) -> go.Figure:
    """A panel for each net with the same pixels, coloured by their true class; the shape is the frame.

    The pointer tells class, prediction and place of each pixel. Points whose prediction is wrong have a dark rim.
    """
    if not planes:
        raise InputError("an embedding needs at least one net, got none")
    most = max(map(len, planes.values()))
    if most > _MOST:
        raise InputError(f"an embedding may show {_MOST} pixels, got {most}", hint="embedded_pixels(..., count=400)")
    names = [f"<b>{name}</b><br>{_numbers(pixels)}" for name, pixels in planes.items()]
    figure = make_subplots(rows=1, cols=len(planes), subplot_titles=names, horizontal_spacing=0.05)
    for column, pixels in enumerate(planes.values(), start=1):
        for class_id in pixels.label.unique().tolist():
            trace = _class_trace(pixels, class_id, palette)
            figure.add_trace(trace.update(showlegend=column == 1), row=1, col=column)
        bare = {"showticklabels": False, "ticks": "", "showgrid": False, "row": 1, "col": column}
        figure.update_xaxes(title_text="first axis of PCA", **bare)
        figure.update_yaxes(title_text="second axis" if column == 1 else "", **bare)
    figure.update_annotations(x=None, font={"size": SMALL_SIZE})
    for annotation, axis in zip(figure.layout.annotations, figure.select_xaxes(), strict=True):
        annotation.update(x=axis.domain[0], xanchor="left", align="left")
    figure.update_layout(
        template=template(),
        width=WIDTH,
        height=height,
        title={"text": title, "y": 0.97, "yanchor": "top"} if title else None,
        margin={"t": 110 if title else 70, "b": 86, "l": 40, "r": 16},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.1, "yanchor": "top", "itemsizing": "constant"},
    )
    return figure


def _class_trace(pixels: EmbeddedPixels, class_id: int, palette: Palette) -> go.Scatter:
    chosen = pixels.label == class_id
    frames = pixels.frame.unique().tolist()
    frame, right = pixels.frame[chosen].tolist(), (pixels.prediction[chosen] == class_id).tolist()
    place = zip(frame, pixels.x[chosen].tolist(), pixels.y[chosen].tolist(), strict=True)
    said = [palette.names[i] for i in pixels.prediction[chosen].tolist()]
    return go.Scatter(
        x=_rounded(pixels.xy[chosen, 0].tolist()),
        y=_rounded(pixels.xy[chosen, 1].tolist()),
        mode="markers",
        name=palette.names[class_id],
        legendgroup=palette.names[class_id],
        marker={
            "color": palette.colours[class_id],
            "size": 8,
            "symbol": [SYMBOLS[frames.index(i) % len(SYMBOLS)] for i in frame],
            "line": {"width": 1.5, "color": ["#c3c8d0" if ok else "#1b2430" for ok in right]},
        },
        text=[f"frame {i}, x {x}, y {y}<br>the net says {name}" for (i, x, y), name in zip(place, said, strict=True)],
        hovertemplate="<b>%{fullData.name}</b><br>%{text}<extra></extra>",
    )


def _numbers(pixels: EmbeddedPixels) -> str:
    found = pixels.separation
    return f"within / between {found.ratio:.3f}, silhouette {found.silhouette:.3f}"


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]
