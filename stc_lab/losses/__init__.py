"""Losses: what a net is asked to agree with."""

from stc_lab.losses.consistency import ConsistencyLoss, LogitsConsistency, consistency_map, logits_consistency
from stc_lab.losses.edges import image_edges

__all__ = ["ConsistencyLoss", "LogitsConsistency", "consistency_map", "image_edges", "logits_consistency"]
