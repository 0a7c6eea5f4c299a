"""A grid of panels as one plotly figure: shared zoom, captions, colour bars, and a legend of the classes present."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from stc_lab.errors import InputError
from stc_lab.plots.marks import SYMBOLS
from stc_lab.plots.panels import Panel
from stc_lab.plots.pictures import data_uri
from stc_lab.plots.template import FONT_SIZE, QUIET_INK, SMALL_SIZE, WIDTH, template

_MARGIN = 12  # px around everything
_GAP = 18  # px between panels
_LARGEST = 460  # px, width of one panel
_LINE = 18  # px, one line of a caption
_TITLE_LINE = 21
_BAR = 52  # px for a colour bar with its ticks and title
_LEGEND_LINE = 24
_FRAME = {
    "showticklabels": False,
    "ticks": "",
    "showgrid": False,
    "showline": True,
    "mirror": True,
    "automargin": False,
    "constrain": "domain",
}
_TEXT = {
    "xref": "paper",
    "yref": "paper",
    "xanchor": "left",
    "align": "left",
    "xshift": -3,  # a text box has 3 px around its text
    "showarrow": False,
    "font": {"size": FONT_SIZE},
}
_CHARACTER = 0.56  # width of an average character over the font size, in the widest font of the stack


def image_grid(
    panels: Sequence[Panel | None],
    *,
    columns: int | None = None,
    title: str = "",
    width: int = WIDTH,
    legend: bool = True,
) -> go.Figure:
    """The panels row by row, `columns` to a row, None for an empty place; panels of one size zoom together."""
    drawn = [panel for panel in panels if panel is not None]
    if not drawn:
        raise InputError("an image grid needs at least one panel, got none")
    columns = min(len(panels), 4) if columns is None else min(columns, len(panels))
    if columns < 1:
        raise InputError(f"columns must be at least 1, got {columns}")
    panel_width = min(_LARGEST, (width - 2 * _MARGIN - (columns - 1) * _GAP) // columns)
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    bands = [_Band(row, panel_width) for row in rows]
    plot_width = columns * panel_width + (columns - 1) * _GAP
    entries = _legend_entries(drawn) if legend else []
    top = _MARGIN + (34 if title else 0)
    bottom = _MARGIN + _legend_height(entries, plot_width)
    plot_height = sum(band.height for band in bands) + _GAP * (len(bands) - 1)
    figure = go.Figure()
    layout: dict[str, Any] = {
        "template": template(),
        "width": plot_width + 2 * _MARGIN,
        "height": plot_height + top + bottom,
        "margin": {"l": _MARGIN, "r": _MARGIN, "t": top, "b": bottom, "autoexpand": False},
        "hovermode": "closest",
        "dragmode": "zoom",
    }
    if title:
        middle = 1 - 0.5 * top / layout["height"]
        layout["title"] = {"text": title, "y": middle, "yref": "container", "yanchor": "middle"}
    annotations: list[dict[str, Any]] = []
    number, above = 0, 0.0
    for row, band in zip(rows, bands, strict=True):
        for column, panel in enumerate(row):
            if panel is None:
                continue
            number += 1
            left = column * (panel_width + _GAP)
            image_top = above + band.title_height
            height = panel_width * panel.size[0] / panel.size[1]
            x = [left / plot_width, (left + panel_width) / plot_width]
            y = [1 - (image_top + height) / plot_height, 1 - image_top / plot_height]
            _add_picture(figure, layout, panel, number, panel_width, x, y, drawn[0].size)
            bold = f"<b>{band.titles[column]}</b>"
            annotations.append({**_TEXT, "text": bold, "x": x[0], "y": y[1], "yanchor": "bottom"})
            under = y[0]
            if panel.scale is not None:
                _add_bar(figure, panel, number, sum(x) / 2, under, panel_width)
                under -= _BAR / plot_height
            if panel.caption:
                font = {"size": SMALL_SIZE, "color": QUIET_INK}
                caption = {"text": band.captions[column], "x": x[0], "y": under, "yanchor": "top", "font": font}
                annotations.append({**_TEXT, **caption})
        above += band.height + _GAP
    for name, colour, symbol in entries:
        line = {"width": 1, "color": "#6b7684"} if symbol == "square" else {"width": 2.5, "color": colour}
        marker = {"symbol": symbol, "size": 14 if symbol == "square" else 11, "color": colour, "line": line}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=name, marker=marker, hoverinfo="skip"))
    layout["annotations"] = annotations
    layout["legend"] = {
        "orientation": "h",
        "entrywidth": _entry_width(entries),
        "entrywidthmode": "pixels",
        "itemclick": False,
        "itemdoubleclick": False,
        "traceorder": "normal",
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yref": "container",
        "yanchor": "bottom",
    }
    figure.update_layout(layout)
    return figure


class _Band:
    """Heights (px) of one row of panels: titles above, colour bars and captions below."""

    def __init__(self, row: Sequence[Panel | None], width: int) -> None:
        self.titles = [_wrapped(panel.title if panel else "", width, FONT_SIZE * 1.06) for panel in row]
        self.captions = [_wrapped(panel.caption if panel else "", width, SMALL_SIZE) for panel in row]
        self.title_height = 6 + _TITLE_LINE * max(text.count("<br>") + 1 for text in self.titles)
        below = 0
        for panel, caption in zip(row, self.captions, strict=True):
            lines = _LINE * (caption.count("<br>") + 1) + 8 if caption else 0
            below = max(below, lines + (_BAR if panel and panel.scale else 0))
        self.height = self.title_height + max(math.ceil(width * p.size[0] / p.size[1]) for p in row if p) + below


def _wrapped(text: str, width: int, size: float) -> str:
    """`text` broken into lines that fit `width` px; breaks written in it are kept."""
    room = max(8, int(width / (size * _CHARACTER)))
    return "<br>".join(line for part in text.split("<br>") for line in textwrap.wrap(part, room) or [""])


def _add_picture(
    figure: go.Figure,
    layout: dict[str, Any],
    panel: Panel,
    number: int,
    width: int,
    x: list[float],
    y: list[float],
    shared_size: tuple[int, int],
) -> None:
    """The picture on axes in data pixels: the centre of the first pixel is (0, 0), as everywhere in this project."""
    suffix = "" if number == 1 else str(number)
    # Browsers keep the pixels of an image trace sharp; enlarging noise that nobody draws on would double its bytes.
    bare = panel.photo and panel.hidden is None and not panel.marks
    factor = 1 if bare else panel.enlargement(width)
    offset = 0.5 / factor - 0.5
    figure.add_trace(
        go.Image(
            source=data_uri(panel.encoded(factor)),
            x0=offset,
            y0=offset,
            dx=1 / factor,
            dy=1 / factor,
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
            name=panel.title,
            hovertemplate="x %{x:.0f}, y %{y:.0f} px<extra></extra>",
        )
    )
    height_px, width_px = panel.size
    shared = number > 1 and panel.size == shared_size
    layout[f"xaxis{suffix}"] = {
        **_FRAME,
        "domain": x,
        "anchor": f"y{suffix}",
        "range": [-0.5, width_px - 0.5],
        **({"matches": "x"} if shared else {}),
    }
    layout[f"yaxis{suffix}"] = {
        **_FRAME,
        "domain": y,
        "anchor": f"x{suffix}",
        "range": [height_px - 0.5, -0.5],
        "scaleanchor": f"x{suffix}",
        **({"matches": "y"} if shared else {}),
    }


def _add_bar(figure: go.Figure, panel: Panel, number: int, x: float, y: float, width: int) -> None:
    """A horizontal colour bar under the panel; it needs a trace of its own, which draws nothing."""
    assert panel.scale is not None
    scale = panel.scale
    stops = [[i / (len(scale.colours) - 1), colour] for i, colour in enumerate(scale.colours)]
    bar = {
        "orientation": "h",
        "x": x,
        "xanchor": "center",
        "y": y,
        "yanchor": "top",
        "ypad": 6,
        "xpad": 0,
        "len": width - 16,
        "lenmode": "pixels",
        "thickness": 9,
        "outlinewidth": 0,
        "nticks": 5,
        "ticklen": 3,
        "tickfont": {"size": SMALL_SIZE - 1, "color": QUIET_INK},
        "title": {"text": scale.title, "side": "bottom", "font": {"size": SMALL_SIZE - 1, "color": QUIET_INK}},
    }
    suffix = "" if number == 1 else str(number)
    marker = {"color": [scale.low], "colorscale": stops, "cmin": scale.low, "cmax": scale.high, "colorbar": bar}
    bare = {"x": [None], "y": [None], "mode": "markers", "showlegend": False, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(**bare, marker={**marker, "showscale": True}, xaxis=f"x{suffix}", yaxis=f"y{suffix}"))


def _legend_entries(panels: Sequence[Panel]) -> list[tuple[str, str, str]]:
    """(name, colour, symbol) of the classes and marks that occur in any panel; classes in their order."""
    entries: dict[tuple[int, str], str] = {}
    for panel in panels:
        for i in panel.classes:
            assert panel.palette is not None
            entries[i, panel.palette.names[i]] = panel.palette.colours[i]
    marks = {mark.name: (mark.name, mark.colour, SYMBOLS[mark.kind]) for p in panels for mark in p.marks if mark.name}
    return [(name, entries[i, name], "square") for i, name in sorted(entries)] + list(marks.values())


def _entry_width(entries: list[tuple[str, str, str]]) -> int:
    longest = max((len(name) for name, *_ in entries), default=0)
    return math.ceil(longest * SMALL_SIZE * _CHARACTER) + 8


def _legend_height(entries: list[tuple[str, str, str]], width: int) -> int:
    if not entries:
        return 0
    per_row = max(1, width // (_entry_width(entries) + 40))
    return _LEGEND_LINE * math.ceil(len(entries) / per_row) + 10
