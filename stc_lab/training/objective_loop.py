"""Training with any composed objective: one loop for all methods, so that rows of a study differ in the terms alone."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch
from torch import nn

from stc_lab.data import Videos, supervised_rows
from stc_lab.errors import InputError
from stc_lab.losses import Objective, ObjectiveValue
from stc_lab.models import ProjectionHead, Segmenter
from stc_lab.training.checkpoint import Checkpoint, run_identity
from stc_lab.training.devices import Alone, Devices
from stc_lab.training.loop import Log, Net
from stc_lab.training.memory import FrameMemory, memory_of
from stc_lab.training.objective_recipe import ObjectiveRecipe
from stc_lab.training.objective_step import StepMaker, projection_for
from stc_lab.training.schedule import one_cycle, ramp
from stc_lab.training.supervised import set_training


@dataclass(frozen=True)
class ObjectiveResult(Generic[Net]):
    """A trained net, in evaluation mode, and what the training saw."""

    model: Net
    recipe: ObjectiveRecipe
    head: ProjectionHead | None  # of the contrastive terms, in evaluation mode; None without them
    labelled_rows: tuple[int, ...]  # of the videos: the frames whose labels were used
    first_step: int  # 0, or where a checkpoint was taken up
    skipped: int  # directions of pairs in which no pixel was visible
    seconds: float  # wall time of this call


def train_objective(
    model: Net,
    videos: Videos,
    recipe: ObjectiveRecipe,
    *,
    memory: FrameMemory | None = None,
    head: ProjectionHead | None = None,
    checkpoint: Path | str | None = None,
    checkpoint_every: int = 100,
    log: Log | None = None,
    devices: Devices | None = None,
) -> ObjectiveResult[Net]:
    """Train `model` in place, on the device it is on, with the terms of the recipe.

    The teacher of pseudo-labels and of the data term is the net as it comes in. Contrastive terms learn a projection
    head beside it: `head`, or a new one. Runs on the same videos may share a `memory` of frames read. `checkpoint`
    and `devices` as in `train`.

    `log` gets a dict of numbers each step: `loss`, the total; each term under its name, unweighted; `name.weighted`,
    its share of the total; and for pairs `visible` and `skipped`.

    Raises InputError for data that do not fit, FloatingPointError if the loss leaves the numbers.
    """
    began = time.perf_counter()
    shared = Alone() if devices is None else devices
    memory = memory_of(videos, memory)
    objective = Objective(recipe.terms)
    labelled = supervised_rows(videos, recipe.labelled, seed=recipe.seed) if recipe.labelled else []
    if "features" not in recipe.needs:
        if head is not None:
            raise InputError("a head was given, but no term contrasts features", hint="contrastive, or no head")
    elif head is None:
        head = projection_for(model, recipe)
    maker = StepMaker(model, head, memory, recipe, labelled, shared)
    groups = [(model, recipe.learning_rate)] + ([] if head is None else [(head, recipe.head_learning_rate)])
    optimiser = torch.optim.AdamW(
        [{"params": list(module.parameters())} for module, _ in groups], weight_decay=recipe.weight_decay
    )
    set_training(model, freeze_batch_norm=recipe.freeze_batch_norm)
    if head is not None:
        head.train()
    taught = None if maker.targets is None or recipe.renew == 0 else maker.targets
    keeper, first, skipped = None, 0, 0
    both = _Both(model, head, None if taught is None else taught.teacher)
    if checkpoint is not None:
        keeper = Checkpoint(Path(checkpoint), run_identity(both, recipe, memory, labelled), checkpoint_every)
        first, skipped = keeper.resume(both, optimiser, maker.generators)
    for step in range(first, recipe.steps):
        for group, (_, peak) in zip(optimiser.param_groups, groups, strict=True):
            group["lr"] = one_cycle(step, recipe.steps, peak=peak, warm_up=recipe.warm_up)
        if taught is not None and step > 0 and step % recipe.renew == 0:
            taught.renew(model)
        rising = ramp(step, recipe.steps, share=recipe.weight_warm_up)
        made = maker.make()
        value = objective(made.step, strength={n: rising for n in objective.names if n != "cross_entropy"})
        optimiser.zero_grad()
        if value.total.requires_grad:  # not while all weights are 0
            value.total.backward()
            shared.sum_gradients(model)
            optimiser.step()
        skipped += int(made.notes.get("skipped", 0))
        entry = _entry(step, recipe, optimiser.param_groups[0]["lr"], value) | made.notes
        if keeper is not None and shared.first:
            keeper.after(step, both, optimiser, maker.generators, skipped, last=step + 1 == recipe.steps)
        if log is not None and shared.first:
            log(entry)
    return ObjectiveResult(
        model.eval(),
        recipe,
        None if head is None else head.eval(),
        tuple(labelled),
        first,
        skipped,
        seconds=time.perf_counter() - began,
    )


class _Both(nn.Module):
    """The net, its head and a teacher that changes as one, to keep and to take up."""

    def __init__(self, model: Segmenter, head: ProjectionHead | None, teacher: Segmenter | None) -> None:
        super().__init__()
        self.model, self.head, self.teacher = model, head, teacher

    @property
    def architecture(self) -> dict[str, object]:
        return {"net": self.model.architecture, "head": None if self.head is None else self.head.architecture}


def _entry(step: int, recipe: ObjectiveRecipe, rate: float, value: ObjectiveValue) -> dict[str, Any]:
    logged = value.logged()
    total = logged.pop("total")
    if total - total != 0:  # NaN or infinite
        parts = ", ".join(f"{name} {float(part):g}" for name, part in value.parts.items())
        raise FloatingPointError(
            f"the loss is {total} at step {step} ({parts}): lower the learning rate ({recipe.learning_rate:g}) or the "
            "weights"
        )
    return {"step": step + 1, "steps": recipe.steps, "loss": total, "learning_rate": rate, **logged}
