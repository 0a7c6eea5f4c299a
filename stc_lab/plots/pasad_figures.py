"""Every figure of the Pasad study, from whatever results there are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from stc_lab.experiments.class_gains import ClassGains, class_gains
from stc_lab.experiments.confusions import confusion_changes
from stc_lab.experiments.pasad_gallery import GalleryFrame
from stc_lab.experiments.pasad_profiles import BEST
from stc_lab.experiments.pasad_results import Result, counts_of, identity_of, paired, values_of
from stc_lab.experiments.published import CONTINUED, METHOD
from stc_lab.plots.ablation import ablation_figure, ablation_words
from stc_lab.plots.export import exporting
from stc_lab.plots.grid import image_grid
from stc_lab.plots.label_efficiency import (
    efficiency_words,
    equivalence_figure,
    equivalence_words,
    gain_curves,
    gain_words,
    label_efficiency,
)
from stc_lab.plots.label_reach import gallery_panels, gallery_words
from stc_lab.plots.rare_classes import change_words, confusion_change, gain_scatter, scatter_words
from stc_lab.plots.save import SavedFigure, save_figure


def comparisons(results: Sequence[Result], count: int | None = None, *, row: str = METHOD) -> list[ClassGains]:
    """Gains by class of a row and of its own control, by default at the lowest label count; those that there are."""
    if count is None:
        count = (counts_of(results) or (0,))[0]
    base = values_of(results, CONTINUED, count)
    return [
        class_gains(results, count, row=one)
        for one in (row, identity_of(row))
        if paired(base, values_of(results, one, count))[0]
    ]


def study_figures(results: Sequence[Result]) -> dict[str, tuple[go.Figure, str]]:
    """The figures by name, each with its alternative text."""
    gains, best = comparisons(results), comparisons(results, row=BEST)
    changes, names = confusion_changes(results)
    moved: dict[str, np.ndarray] = {f"{row}, after minus before": change for row, change in changes.items()}
    alt = change_words(changes[METHOD], names) if METHOD in changes else "No results yet."
    return {
        "label_efficiency": (label_efficiency(results, title="How many labels?"), efficiency_words(results)),
        "gains": (gain_curves(results, title="What the loss adds, and what its controls add"), gain_words(results)),
        "label_equivalence": (
            equivalence_figure(results, title="How many labels does consistency replace?"),
            equivalence_words(results),
        ),
        "ablation": (ablation_figure(results, title="Which part of the loss?"), ablation_words(results)),
        "rare_classes": (gain_scatter(gains, title="Do rare classes profit most?"), scatter_words(gains)),
        "rare_classes_best": (gain_scatter(best, title="And by the best that was found?"), scatter_words(best)),
        "confusion": (confusion_change(moved, names, title="What becomes of each true class"), alt),
    }


def gallery_figure(results: Sequence[Result], gallery: Sequence[GalleryFrame]) -> tuple[go.Figure, str]:
    """Figure 3 with its alternative text; `gallery` is of the lowest and the highest label count of the results."""
    counts = counts_of(results)
    panels = gallery_panels(gallery, list(results[0]["iou"]), counts[0], counts[-1])
    return image_grid(panels, columns=4), gallery_words(gallery)


def write_figures(
    results: Sequence[Result], folder: Path | str, *, gallery: Sequence[GalleryFrame] = ()
) -> list[SavedFigure]:
    """Save every figure into `folder`; figures without results say so, and without frames there is no gallery."""
    tested = [result for result in results if result["split"] == "test"]
    figures = study_figures(tested)
    if gallery:
        figures["gallery"] = gallery_figure(tested, gallery)
    with exporting():
        return [save_figure(figure, name, folder, alt=alt) for name, (figure, alt) in figures.items()]
