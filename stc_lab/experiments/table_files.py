"""The one door to disk for tables: CSV with all digits, Markdown and HTML to read."""

import html
import math
import numbers
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stc_lab.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

STYLE = (
    "body{margin:24px;font:15px Helvetica,Arial,sans-serif;color:#1b2430;background:#fff}"
    "table{border-collapse:collapse}caption{text-align:left;max-width:60em;margin-bottom:10px;line-height:1.45}"
    "th,td{padding:4px 12px;border-bottom:1px solid #e6e9ee;text-align:right;white-space:nowrap}"
    "th[scope=row],td.word{text-align:left}thead th{border-bottom:2px solid #98a2b0}"
)


@dataclass(frozen=True)
class SavedTable:
    """Where a table lies."""

    name: str
    csv: Path
    markdown: Path
    html: Path


def save_table(
    frame: "pd.DataFrame", name: str, folder: Path | str, *, caption: str, shown: "pd.DataFrame | None" = None
) -> SavedTable:
    """Write `frame` as `folder/name.csv`, and `shown` (by default the same) as `.md` and `.html` to read.

    `caption` says what a line is, and in which unit its numbers are. Each file appears whole or not at all.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise InputError(f"name must be lower-case letters, digits, '-', '_', got {name!r}", hint="it names the files")
    if not caption.strip():
        raise InputError(f"table {name!r} needs a caption, got none", hint="what is a line, and what are the units?")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    read = frame if shown is None else shown
    saved = SavedTable(name, *(folder / f"{name}.{kind}" for kind in ("csv", "md", "html")))
    text = f"{caption}\n\n{to_markdown(read)}\n"
    for path, content in ((saved.csv, frame.to_csv(index=False)), (saved.markdown, text)):
        _write(path, content)
    _write(saved.html, _page(name, to_html(read, caption)))
    return saved


def to_markdown(frame: "pd.DataFrame") -> str:
    """The frame as a Markdown table; numbers stand to the right, "|" in a word is escaped."""
    heads, rows, numeric = _cells(frame)
    lines = [heads, ["---:" if number else "---" for number in numeric], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def to_html(frame: "pd.DataFrame", caption: str = "") -> str:
    """The frame as an HTML table, each line headed by its first cell; `caption` is plain text."""
    heads, rows, numeric = _cells(frame)
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in heads)
    body = "".join(f"<tr>{_line(row, numeric)}</tr>\n" for row in rows)
    titled = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{titled}<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def written(value: object, digits: int = 2) -> str:
    """A cell as it is read: numbers to some digits, whole ones whole, and "-" for what is not known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, numbers.Real) and not isinstance(value, bool | numbers.Integral):
        return f"{float(value):.{digits}f}"
    return str(value)


def _cells(frame: "pd.DataFrame") -> tuple[list[str], list[list[str]], list[bool]]:
    columns: Mapping[str, Sequence[object]] = {str(name): frame[name].tolist() for name in frame.columns}
    texts = [[written(value) for value in values] for values in columns.values()]
    numeric = [bool(values) and not any(isinstance(v, str) for v in values) for values in columns.values()]
    return list(columns), [list(row) for row in zip(*texts, strict=True)], numeric


def _line(row: Sequence[str], numeric: Sequence[bool]) -> str:
    first = f'<th scope="row">{html.escape(row[0])}</th>'
    rest = (
        f"<td>{html.escape(cell)}</td>" if number else f'<td class="word">{html.escape(cell)}</td>'
        for cell, number in zip(row[1:], numeric[1:], strict=True)
    )
    return first + "".join(rest)


def _page(name: str, body: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(name)}</title>'
        f"<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _write(path: Path, content: str) -> None:
    """Write beside the target and rename, so that no reader ever sees half a file."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content, encoding="utf-8")
    os.replace(partial, path)
