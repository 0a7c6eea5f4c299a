"""How strongly each term of a consistency objective pulls at a net as it starts, and weights that make them equal."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from stc_lab.errors import InputError
from stc_lab.losses import Objective
from stc_lab.models import Segmenter
from stc_lab.training.memory import FrameMemory
from stc_lab.training.objective_recipe import ObjectiveRecipe
from stc_lab.training.objective_step import StepMaker

PRIORS = ("uniform", "label_prior", "pixel_prior")
PSEUDO = "pseudo_label_cross_entropy"
DRAWS = 16  # steps that the strength is the mean of


def gradient_norms(
    model: Segmenter, memory: FrameMemory, recipe: ObjectiveRecipe, *, draws: int = DRAWS
) -> dict[str, float]:
    """Of each prior of Eq. 1 and of the pseudo-label cross-entropy: the norm of its gradient, mean over steps' pairs.

    The gradient is that of the term alone with weight 1 in all weights of the net, which is left as it is.
    """
    both = (("logits_consistency", 1.0), (PSEUDO, 1.0))
    maker = StepMaker(model, None, memory, replace(recipe, terms=both, anchored=0.0, targets="labels"), [])
    parts = {prior: Objective([("logits_consistency", 1.0, _only(prior))]) for prior in PRIORS}
    parts[PSEUDO] = Objective([(PSEUDO, 1.0)])
    weights = [value for value in model.parameters() if value.requires_grad]
    sums = dict.fromkeys(parts, 0.0)
    for _ in range(draws):
        step = maker.make().step
        for name, objective in parts.items():
            slopes = torch.autograd.grad(objective(step).total, weights, retain_graph=True, allow_unused=True)
            sums[name] += float(torch.cat([slope.flatten() for slope in slopes if slope is not None]).norm())
    return {name: total / draws for name, total in sums.items()}


def equalised_terms(
    model: Segmenter,
    memory: FrameMemory,
    recipe: ObjectiveRecipe,
    *,
    scales: Mapping[str, float] | None = None,
    draws: int = DRAWS,
) -> tuple[tuple[tuple[Any, ...], ...], dict[str, float]]:
    """The recipe's terms, each prior and the pseudo-label cross-entropy scaled to the uniform prior's gradient norm.

    `scales` are those factors if they are known already. Raises InputError for a term that has none.
    """
    strangers = set(recipe.names) - {"cross_entropy", "logits_consistency", PSEUDO}
    if strangers:
        raise InputError(f"only the terms of Pasad et al. can be equalised, not {', '.join(sorted(strangers))}")
    if scales is None:
        norms = gradient_norms(model, memory, recipe, draws=draws)
        scales = {name: norms["uniform"] / max(norm, 1e-12) for name, norm in norms.items()}
    terms = []
    for name, weight, *options in recipe.terms:
        if name == "logits_consistency":
            given = {prior: value * scales[prior] for prior, value in options[0].items()} if options else None
            if given is None:
                raise InputError("Eq. 1 needs its prior weights spelled out to be equalised")
            terms.append((name, weight, given))
        else:
            terms.append((name, weight * scales.get(name, 1.0), *options))
    return tuple(terms), dict(scales)


def _only(prior: str) -> dict[str, float]:
    return {name: float(name == prior) for name in PRIORS}
