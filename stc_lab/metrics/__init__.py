"""Metrics: each returns its value, its support and, where it has one, its map."""

from stc_lab.metrics.alignment import Alignment, align_umeyama
from stc_lab.metrics.boundaries import boundary_counts, label_boundaries
from stc_lab.metrics.context import ClassContext, ContextReliance, class_context, context_reliance
from stc_lab.metrics.davis import (
    DavisScores,
    FrameStatistics,
    contour_accuracy,
    davis_scores,
    frame_statistics,
    region_similarity,
)
from stc_lab.metrics.depth import DepthScorer, DepthScores, best_constant, depth_scores, garg_crop, row_mean
from stc_lab.metrics.embedding import Projection2D, project_2d
from stc_lab.metrics.ranking import RankCorrelation, spearman, spearman_p_value
from stc_lab.metrics.segmentation import ConfusionMatrix, SegmentationScores, mean_iou
from stc_lab.metrics.separation import CentroidScore, Separation, centroid_accuracy, class_separation
from stc_lab.metrics.stability import StabilityScore, e_cons, e_pair, e_smooth
from stc_lab.metrics.streaming import NothingToMeasure, Stream
from stc_lab.metrics.temporal import TemporalConsistency, temporal_consistency
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
from stc_lab.metrics.video import VideoScore, pool_scores, temporal_agreement, video_consistencies, video_consistency
from stc_lab.metrics.votes import vote_over_time

__all__ = [
    "Alignment",
    "CentroidScore",
    "ClassContext",
    "ConfusionMatrix",
    "ContextReliance",
    "DavisScores",
    "DepthScorer",
    "DepthScores",
    "FocalError",
    "FrameStatistics",
    "NothingToMeasure",
    "PairErrors",
    "Projection2D",
    "RankCorrelation",
    "RelativeErrors",
    "ScaleDrift",
    "SegmentationScores",
    "Separation",
    "StabilityScore",
    "Stream",
    "TemporalConsistency",
    "TrajectoryError",
    "VideoScore",
    "absolute_trajectory_error",
    "align_umeyama",
    "best_constant",
    "boundary_counts",
    "centroid_accuracy",
    "chain_poses",
    "class_context",
    "class_separation",
    "context_reliance",
    "contour_accuracy",
    "davis_scores",
    "depth_scores",
    "e_cons",
    "e_pair",
    "e_smooth",
    "focal_error",
    "frame_statistics",
    "garg_crop",
    "label_boundaries",
    "mean_iou",
    "pool_scores",
    "project_2d",
    "region_similarity",
    "relative_pose_errors",
    "rotation_error",
    "row_mean",
    "scale_drift",
    "spearman",
    "spearman_p_value",
    "temporal_agreement",
    "temporal_consistency",
    "translation_direction_error",
    "video_consistencies",
    "video_consistency",
    "vote_over_time",
]
