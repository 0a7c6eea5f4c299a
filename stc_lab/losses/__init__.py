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
from stc_lab.losses.invariance import AffineRanges, Invariance, apply_affine, random_affine, transform_invariance
from stc_lab.losses.multi_task import semantic_smoothness, shared_gradient
from stc_lab.losses.objective import Objective, ObjectiveValue
from stc_lab.losses.pixel_samples import class_balanced_sample, labels_on_grid
from stc_lab.losses.pseudo_labels import (
    PseudoLabels,
    ThresholdCurve,
    ensemble_probabilities,
    pseudo_labels,
    threshold_curve,
)
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
    "BothDirections",
    "ConsistencyLoss",
    "ContrastiveLoss",
    "Direction",
    "EdgeLoss",
    "Invariance",
    "LogitsConsistency",
    "Objective",
    "ObjectiveValue",
    "PairFlows",
    "PairStability",
    "PixelLoss",
    "PseudoLabels",
    "Step",
    "TERMS",
    "ThresholdCurve",
    "all_pairs",
    "apply_affine",
    "both_directions",
    "canny_edges",
    "class_balanced_sample",
    "consistency_map",
    "contrastive_loss",
    "edge_loss_h",
    "edge_loss_p",
    "ensemble_probabilities",
    "image_edges",
    "join_flows",
    "labels_on_grid",
    "logits_consistency",
    "pair_flows",
    "pair_stability_loss",
    "pseudo_label_cross_entropy",
    "pseudo_labels",
    "random_affine",
    "sampled_contrastive_loss",
    "semantic_smoothness",
    "shared_gradient",
    "sobel_edges",
    "teacher_loss",
    "threshold_curve",
    "transform_invariance",
    "weighted_consistency",
]
