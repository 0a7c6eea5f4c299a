"""Losses: what a net is asked to agree with."""

from stc_lab.losses.consistency import ConsistencyLoss, LogitsConsistency, consistency_map, logits_consistency
from stc_lab.losses.contrastive import ContrastiveLoss, contrastive_loss, sampled_contrastive_loss
from stc_lab.losses.edges import image_edges
from stc_lab.losses.pixel_samples import class_balanced_sample, labels_on_grid
from stc_lab.losses.pseudo_labels import (
    PseudoLabels,
    ThresholdCurve,
    ensemble_probabilities,
    pseudo_labels,
    threshold_curve,
)

__all__ = [
    "ConsistencyLoss",
    "ContrastiveLoss",
    "LogitsConsistency",
    "PseudoLabels",
    "ThresholdCurve",
    "class_balanced_sample",
    "consistency_map",
    "contrastive_loss",
    "ensemble_probabilities",
    "image_edges",
    "labels_on_grid",
    "logits_consistency",
    "pseudo_labels",
    "sampled_contrastive_loss",
    "threshold_curve",
]
