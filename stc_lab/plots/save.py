"""The one door to disk for figures: HTML and JSON always, PNG and SVG when a browser can make them."""

import hashlib
import html
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import plotly.graph_objects as go
from filelock import FileLock

from stc_lab.errors import InputError
from stc_lab.plots.export import ExportError, exporter_problem, exporting, give_up
from stc_lab.plots.template import FONT_FAMILY, INK, QUIET_INK

INDEX = "index.json"


@dataclass(frozen=True)
class SavedFigure:
    """Where a figure lies; `png` and `svg` are None where no static export works."""

    name: str
    alt: str
    html: Path
    json: Path
    png: Path | None
    svg: Path | None
    problem: str | None = None  # why there is no PNG and SVG


def save_figure(fig: go.Figure, name: str, folder: Path | str, *, alt: str) -> SavedFigure:
    """Write `fig` as `folder/name.*` and list it in `folder/index.json`; each file appears whole or not at all.

    `alt` says in words what the figure shows, for those who cannot see it: what is compared, and what is seen.
    Many figures are saved fastest inside `with exporting():`.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise InputError(f"name must be lower-case letters, digits, '-', '_', got {name!r}", hint="it names the files")
    if not alt.strip():
        raise InputError(f"figure {name!r} needs alternative text, got none", hint="say in a sentence what it shows")
    alt = " ".join(alt.split())
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figure = go.Figure(fig)
    figure.update_layout(meta={"alt": alt})
    pictures = _static(figure, name)
    paths = {kind: folder / f"{name}.{kind}" for kind in ("html", "json", "png", "svg")}
    with FileLock(folder / ".lock"):
        _write(paths["json"], figure.to_json(pretty=False).encode())
        _share_plotly_js(folder)
        _write(paths["html"], _page(figure, name, alt).encode())
        for kind in ("png", "svg"):
            if kind in pictures:
                _write(paths[kind], pictures[kind])
            else:
                paths[kind].unlink(missing_ok=True)  # one of an earlier run would contradict the HTML
        saved = SavedFigure(
            name,
            alt,
            paths["html"],
            paths["json"],
            png=paths["png"] if "png" in pictures else None,
            svg=paths["svg"] if "svg" in pictures else None,
            problem=None if pictures else exporter_problem(),
        )
        _list(saved, folder)
    return saved


def _static(figure: go.Figure, name: str) -> dict[str, bytes]:
    with exporting() as exporter:
        if exporter is None:
            return {}
        try:
            svg = exporter.picture(figure, "svg", scale=1)
            return {"png": exporter.picture(figure, "png"), "svg": _fixed_ids(svg, name)}
        except ExportError as error:
            give_up(f"figure {name!r}: {error}")
            return {}


def _fixed_ids(svg: bytes, name: str) -> bytes:
    """Plotly draws random ids into each SVG; those of the same figure should be the same."""
    random = re.findall(rb'id="defs-([0-9a-f]{6})"|class="trace [a-z ]*trace([0-9a-f]{6})"', svg)
    for number, found in enumerate(dict.fromkeys(a or b for a, b in random)):
        svg = svg.replace(found, hashlib.sha256(f"{name} {number}".encode()).hexdigest()[:6].encode())
    return svg


def _page(figure: go.Figure, name: str, alt: str) -> str:
    """A page that a screen reader can read: the figure has a label, and the same words stand below it."""
    plot = figure.to_html(
        full_html=False,
        include_plotlyjs="directory",
        div_id=f"figure-{name}",
        config={"displaylogo": False},
        auto_play=False,  # what moves starts when the reader asks for it
    )
    title = html.escape(re.sub(r"<[^>]+>", " ", figure.layout.title.text or name))
    text = html.escape(alt)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ margin: 16px; background: white; color: {INK}; font-family: {FONT_FAMILY}; }}
figure {{ margin: 0; }}
figcaption {{ max-width: 60em; margin: 8px 12px; color: {QUIET_INK}; font-size: 15px; line-height: 1.45; }}
</style>
</head>
<body>
<figure>
<div role="img" aria-label="{text}">
{plot}
</div>
<figcaption>{text}</figcaption>
</figure>
</body>
</html>
"""


def _share_plotly_js(folder: Path) -> None:
    """One `plotly.min.js` for all pages of the folder; replaced when plotly was upgraded."""
    from plotly.offline import get_plotlyjs

    source = get_plotlyjs().encode()
    path = folder / "plotly.min.js"
    if not path.exists() or path.stat().st_size != len(source):
        _write(path, source)


def _list(saved: SavedFigure, folder: Path) -> None:
    path = folder / INDEX
    listed = {entry["name"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))} if path.exists() else {}
    entry = asdict(saved)
    del entry["problem"]
    listed[saved.name] = {key: value.name if isinstance(value, Path) else value for key, value in entry.items()}
    _write(path, (json.dumps([listed[name] for name in sorted(listed)], indent=1) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    """Write beside the target and rename, so that no reader ever sees half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
