"""Training a segmenter: recipe, loop, checkpoints, evaluation."""

from stc_lab.training.augment import augment, jitter_light
from stc_lab.training.evaluate import (
    Evaluation,
    FusionCeiling,
    ViewPredictions,
    evaluate,
    fused_predictions,
    fusion_ceiling,
    predict,
)
from stc_lab.training.loop import TrainingResult, train
from stc_lab.training.memory import FrameMemory
from stc_lab.training.objective_loop import ObjectiveResult, train_objective
from stc_lab.training.objective_recipe import ObjectiveRecipe
from stc_lab.training.pairs import PairLoss, PairSampler, pair_consistency, warp_logits
from stc_lab.training.progress import print_progress
from stc_lab.training.recipe import PRESETS, SegmentationRecipe

__all__ = [
    "PRESETS",
    "Evaluation",
    "FrameMemory",
    "FusionCeiling",
    "ObjectiveRecipe",
    "ObjectiveResult",
    "PairLoss",
    "PairSampler",
    "SegmentationRecipe",
    "TrainingResult",
    "ViewPredictions",
    "augment",
    "evaluate",
    "fused_predictions",
    "fusion_ceiling",
    "jitter_light",
    "pair_consistency",
    "predict",
    "print_progress",
    "train",
    "train_objective",
    "warp_logits",
]
