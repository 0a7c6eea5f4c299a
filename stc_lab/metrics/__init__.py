"""Metrics: each returns its value, its support and, where it has one, its map."""

from stc_lab.metrics.alignment import Alignment, align_umeyama
from stc_lab.metrics.depth import DepthScorer, DepthScores, best_constant, depth_scores, garg_crop, row_mean
from stc_lab.metrics.segmentation import ConfusionMatrix, SegmentationScores
from stc_lab.metrics.trajectory import (
    FocalError,
    PairErrors,
    RelativeErrors,
    ScaleDrift,
    TrajectoryError,
    absolute_trajectory_error,
    chain_poses,
    focal_error,
    relative_pose_errors,
    rotation_error,
    scale_drift,
    translation_direction_error,
)
from stc_lab.metrics.video import VideoScore, pool_scores, temporal_agreement, video_consistency

__all__ = [
    "Alignment",
    "ConfusionMatrix",
    "DepthScorer",
    "DepthScores",
    "FocalError",
    "PairErrors",
    "RelativeErrors",
    "ScaleDrift",
    "SegmentationScores",
    "TrajectoryError",
    "VideoScore",
    "absolute_trajectory_error",
    "align_umeyama",
    "best_constant",
    "chain_poses",
    "depth_scores",
    "focal_error",
    "garg_crop",
    "pool_scores",
    "relative_pose_errors",
    "rotation_error",
    "row_mean",
    "scale_drift",
    "temporal_agreement",
    "translation_direction_error",
    "video_consistency",
]
