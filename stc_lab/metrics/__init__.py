"""Metrics: each returns its value, its support and, where it has one, its map."""

from stc_lab.metrics.segmentation import ConfusionMatrix, SegmentationScores
from stc_lab.metrics.video import VideoScore, pool_scores, temporal_agreement, video_consistency

__all__ = [
    "ConfusionMatrix",
    "SegmentationScores",
    "VideoScore",
    "pool_scores",
    "temporal_agreement",
    "video_consistency",
]
