"""What is known: of one frame, and of whole data sets."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import torch

from stc_lab.data.frames import Clip
from stc_lab.data.schema import OPTIONAL
from stc_lab.errors import InputError
from stc_lab.plots.palette import SERIES_COLOURS, class_palette
from stc_lab.plots.panels import Panel, depth_panel, image_panel, label_panel
from stc_lab.plots.template import SMALL_SIZE, template

_UNKNOWN = "#98a2b0"


def frame_panels(
    frame: Clip, classes: Sequence[str], *, ignore_index: int = 255, near: float | None = None, far: float | None = None
) -> list[Panel]:
    """Image, labels and depth of one frame; what is not known is hatched. `near` and `far` (m) fix the colours."""
    if len(frame) != 1:
        raise InputError(f"frame_panels draws one frame, got a clip of {len(frame)}")
    size = (int(frame.image.shape[-2]), int(frame.image.shape[-1]))
    panels = [image_panel(frame.image[0], "image")]
    if frame.label is None or not bool((frame.label != ignore_index).any()):
        panels.append(unknown_panel(size, "labels", _why(frame.label is None, "labels")))
    else:
        palette = class_palette(classes, ignore_index=ignore_index)
        void = bool((frame.label == ignore_index).any())
        panels.append(label_panel(frame.label[0], palette, "labels", "black: ignored (255)" if void else ""))
    known = None if frame.depth is None else torch.isfinite(frame.depth) & (frame.depth > 0)
    if frame.depth is None or known is None or not bool(known.any()):
        panels.append(unknown_panel(size, "depth", _why(frame.depth is None, "depth")))
    else:
        gaps = "" if bool(known.all()) else "grey: unknown (0)"
        panels.append(depth_panel(frame.depth[0, 0], "depth", gaps, low=near, high=far))
    return panels


def unknown_panel(size: tuple[int, int], title: str, caption: str) -> Panel:
    """A hatched place of `size` (h, w) for what nobody knows."""
    return Panel(np.full((*size, 3), 255, dtype=np.uint8), title, caption, hidden=np.ones(size, dtype=bool))


def knowledge_matrix(known: Mapping[str, Collection[str]], *, chosen: str = "") -> go.Figure:
    """Which data set comes with which field: a filled mark where it does, those that know most on top."""
    if not known:
        raise InputError("the table needs at least one data set, got none")
    fields = {"image": "image", "label": "labels", "depth": "depth", "intrinsics": "intrinsics", "pose": "poses"}
    assert set(fields) == {"image", *OPTIONAL}
    order = sorted(known, key=lambda name: (-len(known[name]), name))
    names = {name: f"<b>{name}</b>" if name == chosen else name for name in order}
    marks: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for name in order:
        for field, words in fields.items():
            marks[field == "image" or field in known[name]].append((words, names[name]))
    styles = {
        True: ("comes with it", {"symbol": "circle", "size": 15, "color": SERIES_COLOURS[0]}),
        False: ("None", {"symbol": "line-ew", "size": 9, "color": _UNKNOWN, "line": {"width": 2, "color": _UNKNOWN}}),
    }
    figure = go.Figure()
    for there, (words, marker) in styles.items():
        figure.add_scatter(
            x=[x for x, _ in marks[there]],
            y=[y for _, y in marks[there]],
            name=words,
            mode="markers",
            marker=marker,
            hovertemplate="%{y}: %{x}<extra></extra>",
        )
    height = 110 + 28 * len(order)
    figure.update_layout(
        template=template(),
        width=620,
        height=height,
        margin={"t": 72, "b": 16, "l": 110},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1 - 8 / height,
            "yref": "container",
            "yanchor": "top",
        },
    )
    figure.update_xaxes(
        categoryorder="array", categoryarray=list(fields.values()), side="top", showgrid=False, ticks="", showline=False
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=[names[n] for n in reversed(order)], ticks="", showline=False
    )
    figure.update_xaxes(tickfont={"size": SMALL_SIZE + 1})
    figure.update_yaxes(tickfont={"size": SMALL_SIZE + 1})
    return figure


def _why(never: bool, what: str) -> str:
    return f"None: this data set has no {what}" if never else f"no {what} of this frame"
