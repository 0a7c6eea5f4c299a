"""Cameras, poses, and what follows from them: where a pixel goes, and whether it is seen there."""

from stc_lab.geometry.camera import MIN_DEPTH, Camera
from stc_lab.geometry.estimators import DisFlow, FlowEstimator, RaftFlow, RigidFlow, View, forward_backward
from stc_lab.geometry.flow import Flow, dis_flow, rigid_flow, warp_by_flow, warp_labels_by_flow
from stc_lab.geometry.occlusion import (
    depth_test_visible,
    gmflow_visible,
    gordon_visible,
    inside_visible,
    ruder_visible,
)
from stc_lab.geometry.path import interpolate_path, interpolate_poses
from stc_lab.geometry.pose import (
    check_pose,
    compose_poses,
    invert_pose,
    pose_from,
    pose_from_vector,
    pose_to_vector,
    relative_pose,
    so3_exp,
    so3_log,
    transform,
)
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
    "compose_poses",
    "relative_pose",
    "transform",
    "so3_exp",
    "so3_log",
    "pose_from",
    "pose_from_vector",
    "pose_to_vector",
    "interpolate_poses",
    "interpolate_path",
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
    "View",
    "FlowEstimator",
    "DisFlow",
    "RigidFlow",
    "RaftFlow",
    "forward_backward",
    "depth_test_visible",
    "gordon_visible",
    "ruder_visible",
    "gmflow_visible",
    "inside_visible",
]
