"""What every notebook does in its set-up line: find its folders, show and keep figures, hand over its numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stc_lab.experiments.places import figures_folder
from stc_lab.experiments.recipes import recipe_of
from stc_lab.experiments.report import report
from stc_lab.plots.export import keep_browser
from stc_lab.plots.save import save_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from stc_lab.widgets.explorer import Explorer
    from stc_lab.widgets.explorer_desk import ConsistencyExplorer


@dataclass(frozen=True)
class Lesson:
    """One notebook at work: `lesson = open_lesson("02", source=source, gap=gap)`."""

    notebook: str
    figures: Path

    def show(self, figure: "go.Figure", name: str, *, alt: str) -> None:
        """Keep the figure under `name` with its alternative text, and show it below the cell.

        Readers without plotly, and screen readers, get the text.
        """
        from IPython.display import display

        save_figure(figure, name, self.figures, alt=alt)
        display({**(figure._repr_mimebundle_() or {}), "text/plain": alt}, raw=True)

    def explore(self, explorer: "Explorer | ConsistencyExplorer", name: str, *, alt: str) -> None:
        """Keep the explorer's opening state as a figure, and show the explorer: live in the lab, a figure elsewhere."""
        from IPython.display import display

        save_figure(explorer.figure(), name, self.figures, alt=alt)
        display(explorer)

    def report(self, **metrics: object) -> None:
        """Hand numbers (or short words) to the run that this notebook belongs to; in the lab nothing happens."""
        report(metrics)


def open_lesson(notebook: str, **parameters: object) -> Lesson:
    """Check the notebook's parameters against its recipe, so that a wrong value is refused before anything is done."""
    recipe = recipe_of(notebook)(**parameters)
    keep_browser()
    return Lesson(recipe.notebook, figures_folder(recipe.notebook))
