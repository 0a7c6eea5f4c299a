"""Cameras, poses, and what follows from them: where a pixel goes, and whether it is seen there."""

from stc_lab.geometry.camera import MIN_DEPTH, Camera
from stc_lab.geometry.flow import Flow, dis_flow, rigid_flow, warp_by_flow, warp_labels_by_flow
from stc_lab.geometry.occlusion import forward_backward_visible
from stc_lab.geometry.pose import check_pose, invert_pose, pose_from, relative_pose, so3_exp, transform
from stc_lab.geometry.splat import forward_splat
from stc_lab.geometry.warp import (
    Correspondence,
    DepthTolerance,
    Warped,
    WarpedLabels,
    correspond,
    identity_warp,
    inverse_warp,
    inverse_warp_labels,
    masked_labels,
    sample,
    sample_labels,
)

__all__ = [
    "Camera",
    "MIN_DEPTH",
    "check_pose",
    "invert_pose",
    "relative_pose",
    "transform",
    "so3_exp",
    "pose_from",
    "Warped",
    "WarpedLabels",
    "DepthTolerance",
    "Correspondence",
    "correspond",
    "sample",
    "sample_labels",
    "inverse_warp",
    "inverse_warp_labels",
    "identity_warp",
    "masked_labels",
    "forward_splat",
    "Flow",
    "rigid_flow",
    "dis_flow",
    "warp_by_flow",
    "warp_labels_by_flow",
    "forward_backward_visible",
]
