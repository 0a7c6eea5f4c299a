"""Panels side by side as one PNG: what is left of a widget where nothing else can be shown."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from stc_lab.plots.panels import Panel
from stc_lab.plots.template import INK

_GAP = 10  # px
_TITLE = 24


def contact_sheet(panels: Sequence[Panel | None], *, columns: int = 3, panel_width: int = 300) -> bytes:
    """PNG of the panels with their titles, row by row; None is an empty place."""
    pictures = [_drawn(panel, panel_width) for panel in panels]
    rows = [range(i, min(i + columns, len(pictures))) for i in range(0, len(pictures), columns)]
    heights = [max(pictures[i].height for i in row) + _TITLE + _GAP for row in rows]
    width = min(columns, len(pictures)) * (panel_width + _GAP) + _GAP
    sheet = Image.new("RGB", (width, sum(heights) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for row, top in zip(rows, (sum(heights[:i]) for i in range(len(rows))), strict=True):
        for column, i in enumerate(row):
            left = _GAP + column * (panel_width + _GAP)
            panel = panels[i]
            if panel is None:
                continue
            draw.text((left, top + 5), panel.title, fill=INK, font=font)
            sheet.paste(pictures[i], (left, top + _TITLE))
    target = io.BytesIO()
    sheet.save(target, "PNG")
    return target.getvalue()


def _drawn(panel: Panel | None, width: int) -> Image.Image:
    if panel is None:
        return Image.new("RGB", (width, 1), "white")
    picture = Image.fromarray(panel.drawn(panel.enlargement(width)))
    return picture.resize((width, round(width * picture.height / picture.width)), Image.Resampling.BOX)
