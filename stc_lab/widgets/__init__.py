"""Explorers: thin shells over pure functions from a state to a picture; without a browser they show their default."""

from stc_lab.widgets.curves import LiveCurves
from stc_lab.widgets.explorer import Explorer, Picture, Table
from stc_lab.widgets.live import live_lab
from stc_lab.widgets.prediction import prediction_explorer, prediction_picture
from stc_lab.widgets.warp import WarpNumbers, WarpState, warp_explorer, warp_numbers_and_image, warp_picture

__all__ = [
    "Explorer",
    "LiveCurves",
    "Picture",
    "Table",
    "WarpNumbers",
    "WarpState",
    "live_lab",
    "prediction_explorer",
    "prediction_picture",
    "warp_explorer",
    "warp_numbers_and_image",
    "warp_picture",
]
