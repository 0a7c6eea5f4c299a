"""Losses: what a net is asked to agree with."""

from stc_lab.losses.consistency import (
    BothDirections,
    ConsistencyLoss,
    Direction,
    LogitsConsistency,
    PixelLoss,
    both_directions,
    consistency_map,
    logits_consistency,
    pseudo_label_cross_entropy,
    weighted_consistency,
)
from stc_lab.losses.contrastive import ContrastiveLoss, contrastive_loss, sampled_contrastive_loss
from stc_lab.losses.depth_edges import EdgeLoss, edge_loss_h, edge_loss_p
from stc_lab.losses.edges import canny_edges, image_edges, sobel_edges
from stc_lab.losses.gordon import (
    GORDON_2019,
    GORDON_2021,
    DepthConsistency,
    RgbdConsistency,
    RgbdWeights,
    closer_mask,
    depth_consistency,
    depth_proximity,
    rgbd_consistency,
    weighted_ssim,
)
from stc_lab.losses.invariance import AffineRanges, Invariance, apply_affine, random_affine, transform_invariance
from stc_lab.losses.motion_consistency import MotionConsistency, motion_consistency
from stc_lab.losses.multi_task import semantic_smoothness, shared_gradient
from stc_lab.losses.objective import Objective, ObjectiveValue
from stc_lab.losses.photometric import (
    AverageReprojection,
    MinimumReprojection,
    auto_mask,
    average_reprojection,
    minimum_reprojection,
    photometric_error,
    whole_windows,
)
from stc_lab.losses.pixel_samples import class_balanced_sample, labels_on_grid
from stc_lab.losses.pseudo_labels import (
    PseudoLabels,
    ThresholdCurve,
    ensemble_probabilities,
    pseudo_labels,
    threshold_curve,
)
from stc_lab.losses.smoothness import (
    MotionFieldSmoothness,
    edge_aware_smoothness,
    edge_aware_smoothness_map,
    motion_field_smoothness,
)
from stc_lab.losses.ssim import ssim_loss_map, ssim_map
from stc_lab.losses.stability import (
    PairFlows,
    PairStability,
    all_pairs,
    join_flows,
    pair_flows,
    pair_stability_loss,
    teacher_loss,
)
from stc_lab.losses.terms import TERMS, Step

__all__ = [
    "AffineRanges",
    "AverageReprojection",
    "BothDirections",
    "ConsistencyLoss",
    "ContrastiveLoss",
    "DepthConsistency",
    "Direction",
    "EdgeLoss",
    "GORDON_2019",
    "GORDON_2021",
    "Invariance",
    "LogitsConsistency",
    "MinimumReprojection",
    "MotionConsistency",
    "MotionFieldSmoothness",
    "Objective",
    "ObjectiveValue",
    "PairFlows",
    "PairStability",
    "PixelLoss",
    "PseudoLabels",
    "RgbdConsistency",
    "RgbdWeights",
    "Step",
    "TERMS",
    "ThresholdCurve",
    "all_pairs",
    "apply_affine",
    "auto_mask",
    "average_reprojection",
    "both_directions",
    "canny_edges",
    "class_balanced_sample",
    "closer_mask",
    "consistency_map",
    "contrastive_loss",
    "depth_consistency",
    "depth_proximity",
    "edge_aware_smoothness",
    "edge_aware_smoothness_map",
    "edge_loss_h",
    "edge_loss_p",
    "ensemble_probabilities",
    "image_edges",
    "join_flows",
    "labels_on_grid",
    "logits_consistency",
    "minimum_reprojection",
    "motion_consistency",
    "motion_field_smoothness",
    "pair_flows",
    "pair_stability_loss",
    "photometric_error",
    "pseudo_label_cross_entropy",
    "pseudo_labels",
    "random_affine",
    "rgbd_consistency",
    "sampled_contrastive_loss",
    "semantic_smoothness",
    "shared_gradient",
    "sobel_edges",
    "ssim_loss_map",
    "ssim_map",
    "teacher_loss",
    "threshold_curve",
    "transform_invariance",
    "weighted_consistency",
    "weighted_ssim",
    "whole_windows",
]
