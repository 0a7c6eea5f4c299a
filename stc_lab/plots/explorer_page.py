"""What the consistency explorer shows, as a page that needs nothing but itself, and as one picture."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stc_lab.plots.panels import Panel
from stc_lab.plots.pictures import data_uri
from stc_lab.plots.sheet import contact_sheet
from stc_lab.plots.template import FONT_FAMILY, INK, QUIET_INK

PAGE_WIDTH = 296  # px of a panel on a page
_CLICKABLE = re.compile(r" data-choose='[^']*' tabindex='0' role='button' aria-label='[^']*'( aria-pressed='[^']*')?")


@dataclass(frozen=True)
class Scene:
    """One state of the explorer, drawn: pictures, and the rest as HTML."""

    heading: str
    panels: tuple[Panel, ...]
    below: tuple[str, ...]  # a line of HTML under each panel
    numbers: str
    cause: str = ""  # plain words
    why: str = ""
    timeline: str = ""
    legend: str = ""
    note: str = ""

    def words(self) -> str:
        """The same for those who see no picture."""
        plain = re.sub(r"<[^>]+>", " ", f"{self.numbers} {html.escape(self.cause)} {self.why}")
        return f"{self.heading}\n" + " ".join(html.unescape(plain).split())

    def picture(self, *, columns: int = 4) -> bytes:
        """PNG of the panels with their titles."""
        return contact_sheet(self.panels, columns=columns, panel_width=PAGE_WIDTH)

    def section(self) -> str:
        """HTML of everything, without anything that wants to be clicked."""
        figures = "".join(_figure(panel, line) for panel, line in zip(self.panels, self.below, strict=True))
        cause = f"<p class='cause'>{html.escape(self.cause)}</p>" if self.cause else ""
        pictures = f"<div class='panels'>{figures}</div>"
        parts = (self.timeline, self.numbers, cause, self.legend, pictures, self.why)
        body = "".join(f"<div>{still(part)}</div>" for part in parts if part)
        note = f"<p class='note'>{html.escape(self.note)}</p>" if self.note else ""
        return f"<section><h2>{html.escape(self.heading)}</h2>{body}{note}</section>"


def explorer_page(scenes: Sequence[Scene], title: str, opening: str = "") -> str:
    """A whole HTML page with pictures inside: it links to nothing and runs nothing."""
    sections = "".join(scene.section() for scene in scenes)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{html.escape(title)}</h1>{opening}{sections}</body></html>\n"
    )


def still(text: str) -> str:
    """The HTML with nothing in it that can be clicked: on a page nobody answers."""
    return _CLICKABLE.sub("", text)


def number_table(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """Numbers that are already written out, a row for each name."""
    head = "".join(f"<th style='{_CELL}; color:{QUIET_INK}'>{html.escape(c)}</th>" for c in ("", *columns))
    body = "".join(
        f"<tr><th scope='row' style='{_CELL}; text-align:left; font-weight:400'>{html.escape(name)}</th>"
        + "".join(f"<td style='{_CELL}; font-weight:600'>{html.escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, cells in rows.items()
    )
    style = f"border-collapse:collapse; font:13px {FONT_FAMILY}; color:{INK}; font-variant-numeric:tabular-nums"
    return f"<table style='{style}'><tr>{head}</tr>{body}</table>"


def line_below(panel: Panel) -> str:
    """What stands under a panel: its caption, and the colours of its values with their range."""
    lines = [f"<div>{html.escape(panel.caption)}</div>"] if panel.caption else []
    if panel.scale is not None:
        scale = panel.scale
        gradient = f"linear-gradient(to right, {', '.join(scale.colours)})"
        lines.append(
            "<div style='display:flex; align-items:center; gap:6px'>"
            f"<span>{scale.low:.3g}</span><span style='flex:1; height:8px; background:{gradient}'></span>"
            f"<span>{scale.high:.3g} {html.escape(scale.title)}</span></div>"
        )
    return "".join(lines)


def _figure(panel: Panel, line: str) -> str:
    factor = max(1, round(PAGE_WIDTH / panel.size[1]))
    source = data_uri(panel.encoded(factor))
    words = html.escape(f"{panel.title}: {panel.caption}" if panel.caption else panel.title, quote=True)
    return (
        f"<figure><figcaption>{html.escape(panel.title)}</figcaption><img src='{source}' alt='{words}'>"
        f"<div class='below'>{line}</div></figure>"
    )


_CELL = "padding:2px 14px 2px 0; text-align:right; border-bottom:1px solid #e6e9ee"
_STYLE = f"""
body {{ font: 15px/1.5 {FONT_FAMILY}; color: {INK}; margin: 24px auto; max-width: 1380px; padding: 0 20px; }}
h1 {{ font-size: 24px; margin: 0 0 6px 0; }}
h2 {{ font-size: 18px; margin: 0 0 8px 0; }}
section {{ border-top: 2px solid #dfe3e8; padding-top: 16px; margin-top: 24px; break-inside: avoid; }}
section > div {{ margin: 8px 0; }}
.panels {{ display: flex; flex-wrap: wrap; gap: 12px; }}
figure {{ margin: 0; width: {PAGE_WIDTH}px; }}
figure img {{ display: block; width: 100%; image-rendering: pixelated; outline: 1px solid #c3c8d0; }}
figcaption {{ font-weight: 600; font-size: 13px; }}
.below {{ font-size: 12px; color: {QUIET_INK}; }}
.cause {{ font-weight: 600; margin: 0; }}
.note {{ color: {QUIET_INK}; font-size: 13px; }}
"""
