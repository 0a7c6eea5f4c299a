"""One page about many runs: what each notebook claims, found and drew."""

import base64
import html
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stc_lab.experiments.recipes import Recipe
from stc_lab.experiments.runs import Run

TITLE = "Spatio-Temporal Consistency Lab"
STYLE = Path(__file__).with_suffix(".css")


@dataclass(frozen=True)
class Failure:
    """A run that has no folder to show, and why."""

    recipe: Recipe
    reason: str


@dataclass(frozen=True)
class Figure:
    """A saved figure of a run: the files there are, and what it shows in words."""

    name: str
    alt: str
    html: Path
    png: Path | None


def write_summary(
    outcomes: Sequence[Run | Failure], path: Path, *, title: str = "Spatio-Temporal Consistency Lab"
) -> Path:
    """Write the page; pictures lie inside it, links are relative to it."""
    runs = [outcome for outcome in outcomes if isinstance(outcome, Run)]
    failures = len(outcomes) - len(runs)
    found = f"{len(runs)} of {len(outcomes)} runs finished" if failures else f"{len(runs)} runs"
    body = "".join(_section(outcome, path.parent) for outcome in outcomes)
    style = STYLE.read_text(encoding="utf-8")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{TITLE}: summary</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head><body>'
        f'<h1>{TITLE}</h1><p class="soft">{found}, {sum(run.seconds for run in runs):.0f} s of notebooks</p>'
        f"{body}</body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
    return path


def title_and_claim(notebook: Path) -> tuple[str, str]:
    """The first heading of a notebook and the paragraph that begins with "Claim"; empty where there is none."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    heading = re.search(r"^# +(.+)$", text, re.MULTILINE)
    claim = re.search(r"^\**Claim\b[.:]?\**[.:]?\s*(.+?)(?:\n\s*\n|\Z)", text, re.MULTILINE | re.DOTALL)
    plain = [
        re.sub(r"[*`]|\[([^\]]*)\]\([^)]*\)", r"\1", found[1]).strip() if found else "" for found in (heading, claim)
    ]
    return plain[0], " ".join(plain[1].split())


def figures_of(folder: Path) -> list[Figure]:
    """The figures saved in a folder, in the order in which they were drawn."""
    index = folder / "index.json"
    if not index.is_file():
        return []
    entries = json.loads(index.read_text(encoding="utf-8"))
    drawn = sorted(entries, key=lambda entry: (folder / entry["html"]).stat().st_mtime_ns)
    return [
        Figure(entry["name"], entry["alt"], folder / entry["html"], folder / entry["png"] if entry["png"] else None)
        for entry in drawn
    ]


def _section(outcome: Run | Failure, base: Path) -> str:
    recipe = outcome.recipe
    parameters = ", ".join(f"{name} = {value}" for name, value in asdict(recipe).items())
    if isinstance(outcome, Failure):
        return (
            f"<section><h2>{html.escape(recipe.notebook)}</h2><p><code>{html.escape(parameters)}</code></p>"
            f'<p class="failed">{html.escape(outcome.reason)}</p></section>'
        )
    executed = outcome.folder / "executed.ipynb"
    title, claim = title_and_claim(executed)
    title = "; ".join([title or recipe.notebook, *(f"{name} {value}" for name, value in recipe.changed().items())])
    figures = "".join(_figure(figure, base) for figure in figures_of(outcome.folder / "figures"))
    return (
        f"<section><h2>{html.escape(title)}</h2><p class='claim'>{html.escape(claim)}</p>"
        f"<p class='soft'><code>{html.escape(parameters)}</code> · {outcome.seconds:.0f} s · "
        f'<a href="{_link(executed, base)}">executed notebook</a></p>'
        f"{_table(outcome.metrics.items())}{figures}</section>"
    )


def _table(metrics: Iterable[tuple[str, object]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name.replace("_", " "))}</th>'
        f'<td class="number">{html.escape(_shown(value))}</td></tr>'
        for name, value in metrics
    )
    return f"<table>{rows}</table>" if rows else ""


def _shown(value: object) -> str:
    if value is None:
        return "not defined"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figure(figure: Figure, base: Path) -> str:
    link = _link(figure.html, base)
    if figure.png is not None:
        inside = base64.b64encode(figure.png.read_bytes()).decode()
        shown = f'<img src="data:image/png;base64,{inside}" alt="{html.escape(figure.alt)}">'
    else:  # no Chromium to make a PNG: the interactive figure itself
        shown = f'<iframe src="{link}" title="{html.escape(figure.alt)}" loading="lazy"></iframe>'
    caption = f'{html.escape(figure.alt)} <a href="{link}">Interactive figure</a>'
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def _link(target: Path, base: Path) -> str:
    return html.escape(Path(os.path.relpath(target, base)).as_posix())
