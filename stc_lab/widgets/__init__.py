"""Explorers: thin shells over pure functions from a state to a picture; without a browser they show their default."""

from stc_lab.widgets.bench import bench_picture, perturbation_bench, sweep_rows
from stc_lab.widgets.browser import browser_picture, scene_browser
from stc_lab.widgets.contrast import anchor_explorer, anchor_picture, threshold_explorer, threshold_picture
from stc_lab.widgets.curves import LiveCurves
from stc_lab.widgets.depth import failure_gallery, failure_picture
from stc_lab.widgets.depth_unit import UnitState, unit_bench, unit_picture
from stc_lab.widgets.explorer import Explorer, Picture, Table
from stc_lab.widgets.explorer_desk import ConsistencyExplorer, consistency_explorer
from stc_lab.widgets.journey import JourneyState, journey_picture, pixel_journey
from stc_lab.widgets.live import live_lab
from stc_lab.widgets.prediction import prediction_explorer, prediction_picture
from stc_lab.widgets.sensor import sensor_bench, sensor_picture
from stc_lab.widgets.smoothing import refinement_explorer, refinement_picture, smoothing_explorer, smoothing_picture
from stc_lab.widgets.stability import stability_bench, stability_picture
from stc_lab.widgets.warp import WarpNumbers, WarpState, warp_explorer, warp_numbers_and_image, warp_picture
from stc_lab.widgets.world import world_bench, world_picture

__all__ = [
    "stability_bench",
    "stability_picture",
    "ConsistencyExplorer",
    "Explorer",
    "JourneyState",
    "LiveCurves",
    "Picture",
    "Table",
    "UnitState",
    "WarpNumbers",
    "WarpState",
    "anchor_explorer",
    "anchor_picture",
    "bench_picture",
    "browser_picture",
    "consistency_explorer",
    "failure_gallery",
    "failure_picture",
    "journey_picture",
    "live_lab",
    "perturbation_bench",
    "pixel_journey",
    "prediction_explorer",
    "prediction_picture",
    "refinement_explorer",
    "refinement_picture",
    "scene_browser",
    "sensor_bench",
    "sensor_picture",
    "smoothing_explorer",
    "smoothing_picture",
    "sweep_rows",
    "threshold_explorer",
    "threshold_picture",
    "unit_bench",
    "unit_picture",
    "warp_explorer",
    "warp_numbers_and_image",
    "warp_picture",
    "world_bench",
    "world_picture",
]
