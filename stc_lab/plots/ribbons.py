"""Ribbons: the class of one pixel over the frames of a clip, as a strip of colours; several ribbons tell a story."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.marks import Mark
from stc_lab.plots.palette import Palette
from stc_lab.plots.panels import Panel
from stc_lab.plots.template import INK, SMALL_SIZE, WIDTH, template

Ribbons = Mapping[str, Int64[Tensor, " t"]]  # what is shown -> the label of the pixel in each frame

_STRIP = 30  # px: height of a ribbon with the gap under it
_HEAD = 30  # px over each group, for its name
_AXIS = 52  # px under the last ribbon
_LEGEND = 30  # px for a row of the legend
_LEFT = 150  # px for the names of the ribbons
_CHARACTER = 7.2  # px of a letter in the small size
_THICK, _GAP = 5, 1  # rows of a ribbon in a panel, and between two
_NOW = "#d55e00"


def ribbon_figure(pixels: Mapping[str, Ribbons], palette: Palette, *, title: str = "", width: int = WIDTH) -> go.Figure:
    """A group of ribbons for each pixel, frame by frame from left to right; all have one length.

    Long runs carry the name of their class, the legend lists the classes that occur.
    """
    lengths = {len(ribbon) for ribbons in pixels.values() for ribbon in ribbons.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"ribbons must be at least one, all of one length, got lengths {sorted(lengths)}")
    (frames,) = lengths
    present = palette.present(torch.stack([ribbon for ribbons in pixels.values() for ribbon in ribbons.values()]))
    per_row = max(1, (width - 24) // 130)
    legend = 10 + _LEGEND * math.ceil(len(present) / per_row)
    top = 44 if title else 8
    height = top + sum(_HEAD + _STRIP * len(ribbons) for ribbons in pixels.values()) + _AXIS + legend
    figure = go.Figure()
    layout: dict[str, Any] = {"annotations": []}
    inner = height - top - _AXIS - legend
    above = 0
    for number, (name, ribbons) in enumerate(pixels.items()):
        suffix = "" if number == 0 else str(number + 1)
        above += _HEAD
        domain = [1 - (above + _STRIP * len(ribbons)) / inner, 1 - above / inner]
        above += _STRIP * len(ribbons)
        heading = {"text": f"<b>{name}</b>", "x": 0, "xref": "paper", "xanchor": "left", "showarrow": False}
        layout["annotations"].append({**heading, "y": domain[1], "yref": "paper", "yanchor": "bottom"})
        names = list(ribbons)
        ids = torch.stack(list(ribbons.values()))
        figure.add_trace(_strips(ids, names, palette, suffix))
        layout["annotations"] += _names_of_runs(ids, palette, suffix, (width - _LEFT - 24) / frames)
        layout[f"yaxis{suffix}"] = {
            "domain": domain,
            "range": [len(names) - 0.5, -0.5],
            "tickmode": "array",
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "ticks": "",
            "showgrid": False,
            "showline": False,
            "fixedrange": True,
        }
    last = "" if len(pixels) == 1 else str(len(pixels))
    layout["xaxis"] = {"range": [-0.5, frames - 0.5], "title": "frame", "anchor": f"y{last}", "showgrid": False}
    for i in present:
        marker = {"symbol": "square", "size": 14, "color": palette.colours[i], "line": {"width": 1, "color": "#6b7684"}}
        bare = {"x": [None], "y": [None], "mode": "markers", "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(**bare, name=palette.names[i], marker=marker))
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        title={"text": title, "y": 1 - 22 / height, "yref": "container", "yanchor": "middle"} if title else None,
        margin={"l": _LEFT, "r": 24, "t": top, "b": _AXIS + legend},
        legend={
            "orientation": "h",
            "entrywidth": 90,
            "entrywidthmode": "pixels",
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "traceorder": "normal",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        **layout,
    )
    return figure


def ribbon_panel(
    ribbons: Ribbons, palette: Palette, title: str, caption: str = "", *, frame: int | None = None
) -> Panel:
    """The same of one pixel as a picture for an explorer: a column for each frame; a line marks `frame`."""
    ids = torch.stack(list(ribbons.values()))
    colours = palette.table()[ids.cpu().numpy()]
    strips = np.repeat(colours, _THICK + _GAP, axis=0)
    strips[_THICK :: _THICK + _GAP] = 255
    rows = strips[:-_GAP]
    marks: tuple[Mark, ...] = ()
    if frame is not None:
        ends = ((float(frame), 0.0), (float(frame), len(rows) - 1.0))
        marks = (Mark("line", ends, _NOW, "frame shown"),)
    return Panel(rows, title, caption, palette=palette, classes=palette.present(ids), marks=marks)


def runs_of(ribbon: Int64[Tensor, " t"]) -> list[tuple[int, int, int]]:
    """The runs of a ribbon: first frame, frames, label."""
    values, counts = torch.unique_consecutive(ribbon, return_counts=True)
    firsts = counts.cumsum(dim=0) - counts
    return list(zip(firsts.tolist(), counts.tolist(), values.tolist(), strict=True))


def _strips(ids: Int64[Tensor, "n t"], names: list[str], palette: Palette, suffix: str) -> go.Heatmap:
    shown = sorted({int(i) for i in ids.unique()})
    place = {label: i for i, label in enumerate(shown)}
    table = palette.table()
    colours = [f"rgb({r},{g},{b})" for r, g, b in (table[label] for label in shown)]
    n = len(shown)
    scale = [stop for i, c in enumerate(colours) for stop in ([i / n, c], [(i + 1) / n, c])]
    words = [[_word(int(label), palette) for label in row] for row in ids]
    return go.Heatmap(
        z=[[place[int(label)] for label in row] for row in ids],
        y=list(range(len(names))),
        customdata=words,
        zmin=-0.5,
        zmax=n - 0.5,
        colorscale=scale,
        showscale=False,
        ygap=6,
        yaxis=f"y{suffix}",
        name=", ".join(names),
        hovertemplate="frame %{x}: %{customdata}<extra></extra>",
    )


def _names_of_runs(
    ids: Int64[Tensor, "n t"], palette: Palette, suffix: str, frame_width: float
) -> list[dict[str, Any]]:
    table = palette.table()
    texts = []
    for row, ribbon in enumerate(ids):
        for first, length, label in runs_of(ribbon):
            word = _word(label, palette)
            if length * frame_width < _CHARACTER * len(word) + 8:
                continue
            dark = float(table[label] @ np.array([0.299, 0.587, 0.114])) < 140  # luma, ITU-R BT.601
            texts.append(
                {
                    "text": word,
                    "x": first + (length - 1) / 2,
                    "y": row,
                    "xref": "x",
                    "yref": f"y{suffix}",
                    "showarrow": False,
                    "font": {"size": SMALL_SIZE, "color": "white" if dark else INK},
                }
            )
    return texts


def _word(label: int, palette: Palette) -> str:
    return palette.names[label] if label < len(palette) else "ignored"
