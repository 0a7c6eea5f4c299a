"""The causes of what disagrees, counted over pairs."""

from collections.abc import Iterable

import torch

from stc_lab.errors import InputError
from stc_lab.experiments.explorer_material import ExplorerMaterial
from stc_lab.experiments.explorer_state import ExplorerState
from stc_lab.experiments.likely_cause import CAUSES
from stc_lab.experiments.pair_ranking import PairScore


def cause_shares(material: ExplorerMaterial, state: ExplorerState, pairs: Iterable[PairScore]) -> dict[str, float]:
    """Of the visible pixels of these pairs that are called differently, the share of each likely cause.

    The geometry, the rule and the disturbance are the state's. Causes that make a pixel invisible are none of them.
    """
    counts = torch.zeros(len(CAUSES), dtype=torch.int64)
    for score in pairs:
        seen = material.seen(material.at_pair(state, score))
        counts += torch.bincount(seen.causes[seen.view.disagreement[0]], minlength=len(CAUSES))
    if not int(counts.sum()):
        raise InputError("no pixel of these pairs disagrees", hint="worse pairs, or more of them")
    return {name: int(n) / int(counts.sum()) for name, n in zip(CAUSES, counts, strict=True) if int(n)}
