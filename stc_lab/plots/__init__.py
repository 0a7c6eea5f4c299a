"""Pure functions from tensors and results to plotly figures; `save_figure` is the one that writes to disk."""

from stc_lab.plots.changes import change_map, change_panel, run_figure
from stc_lab.plots.class_frequency import coverage_curves, labelling_order, long_tail, tails_by_rank
from stc_lab.plots.context import context_means, context_panels, swapped_panels
from stc_lab.plots.contrast import flip_curve, push_curves, sure_bars, threshold_curves
from stc_lab.plots.curves import Series, class_bars, curves, training_curves
from stc_lab.plots.depth import depth_bars, disparity_panel, error_by_gap, focal_over_training
from stc_lab.plots.depth_edges import edge_panel, pair_bars, weight_curves
from stc_lab.plots.depth_lesson import (
    claim_panels,
    depth_valley_figure,
    doubt_panels,
    focal_valley_figure,
    mask_panels,
)
from stc_lab.plots.digest import describe
from stc_lab.plots.embedding import embedding_scatter
from stc_lab.plots.export import exporter_problem, exporter_works, exporting, keep_browser
from stc_lab.plots.failures import failure_figure, failure_landscapes
from stc_lab.plots.front import FrontPoint, front_figure, smoothing_points, training_points
from stc_lab.plots.grid import image_grid
from stc_lab.plots.growth import growth_animation
from stc_lab.plots.heat import Heat, heat_row
from stc_lab.plots.knowledge import frame_panels, knowledge_matrix
from stc_lab.plots.marks import Mark
from stc_lab.plots.motion import motion_row
from stc_lab.plots.multiples import curve_grid, curve_row, mean_series
from stc_lab.plots.palette import SERIES_COLOURS, Palette, Scale, class_palette
from stc_lab.plots.panels import (
    Panel,
    depth_panel,
    grey_panel,
    image_panel,
    label_panel,
    mask_panel,
    value_panel,
    verdict_panel,
)
from stc_lab.plots.paths import camera_paths
from stc_lab.plots.plan import judged_frames, slice_panel, world_plan
from stc_lab.plots.point_cloud import cloud_figure
from stc_lab.plots.quality import AGREEMENT, PHOTOMETRIC, mask_series, quality_series
from stc_lab.plots.ribbons import ribbon_figure, ribbon_panel
from stc_lab.plots.save import SavedFigure, save_figure
from stc_lab.plots.stability import correlation_dots, corruption_grid, measure_table, rank_scatter, time_slice_panel
from stc_lab.plots.template import TEMPLATE_NAME, template
from stc_lab.plots.verdicts import judged_panels, landing_panel, reason_panel

__all__ = [
    "corruption_grid",
    "correlation_dots",
    "measure_table",
    "rank_scatter",
    "time_slice_panel",
    "AGREEMENT",
    "PHOTOMETRIC",
    "SERIES_COLOURS",
    "TEMPLATE_NAME",
    "FrontPoint",
    "Heat",
    "Mark",
    "Palette",
    "Panel",
    "SavedFigure",
    "Scale",
    "Series",
    "camera_paths",
    "change_map",
    "change_panel",
    "claim_panels",
    "class_bars",
    "class_palette",
    "cloud_figure",
    "context_means",
    "context_panels",
    "coverage_curves",
    "curve_grid",
    "curve_row",
    "curves",
    "depth_bars",
    "depth_panel",
    "depth_valley_figure",
    "describe",
    "disparity_panel",
    "doubt_panels",
    "edge_panel",
    "embedding_scatter",
    "error_by_gap",
    "exporter_problem",
    "exporter_works",
    "exporting",
    "failure_figure",
    "failure_landscapes",
    "flip_curve",
    "focal_over_training",
    "focal_valley_figure",
    "frame_panels",
    "front_figure",
    "grey_panel",
    "growth_animation",
    "heat_row",
    "image_grid",
    "image_panel",
    "judged_frames",
    "judged_panels",
    "keep_browser",
    "knowledge_matrix",
    "label_panel",
    "labelling_order",
    "landing_panel",
    "long_tail",
    "mask_panel",
    "mask_panels",
    "mask_series",
    "mean_series",
    "motion_row",
    "pair_bars",
    "push_curves",
    "quality_series",
    "reason_panel",
    "ribbon_figure",
    "ribbon_panel",
    "run_figure",
    "save_figure",
    "slice_panel",
    "smoothing_points",
    "sure_bars",
    "swapped_panels",
    "tails_by_rank",
    "template",
    "threshold_curves",
    "training_curves",
    "training_points",
    "value_panel",
    "verdict_panel",
    "weight_curves",
    "world_plan",
]
