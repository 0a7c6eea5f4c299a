"""Pure functions from tensors and results to plotly figures; `save_figure` is the one that writes to disk."""

from stc_lab.plots.curves import Series, class_bars, curves, training_curves
from stc_lab.plots.digest import describe
from stc_lab.plots.export import exporter_problem, exporter_works, exporting, keep_browser
from stc_lab.plots.grid import image_grid
from stc_lab.plots.multiples import curve_row, mean_series
from stc_lab.plots.palette import SERIES_COLOURS, Palette, Scale, class_palette
from stc_lab.plots.panels import Panel, depth_panel, image_panel, label_panel, mask_panel, value_panel
from stc_lab.plots.save import SavedFigure, save_figure
from stc_lab.plots.template import TEMPLATE_NAME, template

__all__ = [
    "SERIES_COLOURS",
    "TEMPLATE_NAME",
    "Palette",
    "Panel",
    "SavedFigure",
    "Scale",
    "Series",
    "class_bars",
    "class_palette",
    "curve_row",
    "curves",
    "depth_panel",
    "describe",
    "exporter_problem",
    "exporter_works",
    "exporting",
    "image_grid",
    "image_panel",
    "label_panel",
    "keep_browser",
    "mask_panel",
    "mean_series",
    "save_figure",
    "template",
    "training_curves",
    "value_panel",
]
