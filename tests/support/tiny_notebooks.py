"""Notebooks of a few lines, in a project folder of their own, and the recipe they share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from stc_lab.experiments.recipes import Range, Recipe

HEADING = "# 99 Tiny: does it run?\n\n**Claim.** Two and two\nare *four*.\n\nMore text."
PARAMETERS = 'mode = "plain"\ncount = 2\nscale = 0.5\nloud = False\n'


@dataclass(frozen=True)
class Tiny(Recipe):
    notebook: ClassVar[str] = "99_tiny"
    title: ClassVar[str] = "tiny"

    mode: Literal["plain", "broken"] = "plain"
    count: Annotated[int, Range(0, 10)] = 2
    scale: float = 0.5
    loud: bool = False


def write_project(folder: Path, *cells: str) -> Path:
    """A project folder with one notebook: heading, parameters, then the cells."""
    notebook = new_notebook(
        cells=[
            new_markdown_cell(HEADING),
            new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            *map(new_code_cell, cells),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    (folder / "notebooks").mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / "notebooks" / f"{Tiny.notebook}.ipynb")
    return folder
