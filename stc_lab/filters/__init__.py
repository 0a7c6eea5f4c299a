"""Filters: what can be done to predictions after the net."""

from stc_lab.filters.confidence import confidence_weights
from stc_lab.filters.fusion import fuse_views
from stc_lab.filters.guided import guided_filter, guided_filter_3d
from stc_lab.filters.refine import refine_labels
from stc_lab.filters.temporal import smooth_along_flow, smooth_labels_over_time, smooth_over_time
from stc_lab.filters.upsample import weighted_guided_upsample

__all__ = [
    "fuse_views",
    "guided_filter",
    "guided_filter_3d",
    "weighted_guided_upsample",
    "confidence_weights",
    "refine_labels",
    "smooth_labels_over_time",
    "smooth_over_time",
    "smooth_along_flow",
]
