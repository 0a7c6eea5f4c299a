"""Metrics: each returns its value, its support and, where it has one, its map."""

from stc_lab.metrics.alignment import Alignment, align_umeyama
from stc_lab.metrics.context import ClassContext, ContextReliance, class_context, context_reliance
from stc_lab.metrics.depth import DepthScorer, DepthScores, best_constant, depth_scores, garg_crop, row_mean
from stc_lab.metrics.embedding import Projection2D, project_2d
from stc_lab.metrics.segmentation import ConfusionMatrix, SegmentationScores
from stc_lab.metrics.separation import CentroidScore, Separation, centroid_accuracy, class_separation
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
    "CentroidScore",
    "ClassContext",
    "ConfusionMatrix",
    "ContextReliance",
    "DepthScorer",
    "DepthScores",
    "FocalError",
    "PairErrors",
    "Projection2D",
    "RelativeErrors",
    "ScaleDrift",
    "SegmentationScores",
    "Separation",
    "TrajectoryError",
    "VideoScore",
    "absolute_trajectory_error",
    "align_umeyama",
    "best_constant",
    "centroid_accuracy",
    "chain_poses",
    "class_context",
    "class_separation",
    "context_reliance",
    "depth_scores",
    "focal_error",
    "garg_crop",
    "pool_scores",
    "project_2d",
    "relative_pose_errors",
    "rotation_error",
    "row_mean",
    "scale_drift",
    "temporal_agreement",
    "translation_direction_error",
    "video_consistency",
]
