"""The training loop: cross-entropy on labelled frames, and Eq. 1 of Pasad et al. 2020 on unlabelled pairs beside it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from stc_lab.data import Videos, supervised_rows
from stc_lab.errors import InputError
from stc_lab.models import Segmenter, load_model
from stc_lab.training.checkpoint import Checkpoint, run_identity
from stc_lab.training.devices import Alone, Devices
from stc_lab.training.memory import FrameMemory, memory_of
from stc_lab.training.pairs import PairLoss, PairSampler, pair_consistency
from stc_lab.training.recipe import SegmentationRecipe
from stc_lab.training.schedule import one_cycle, ramp, stream
from stc_lab.training.supervised import class_weights, cross_entropy, draw_labelled, set_training

Log = Callable[[dict[str, Any]], None]
Net = TypeVar("Net", bound=Segmenter)


@dataclass(frozen=True)
class TrainingResult(Generic[Net]):
    """A trained net, in evaluation mode, and what the training saw."""

    model: Net
    recipe: SegmentationRecipe
    labelled_rows: tuple[int, ...]  # of the videos: the frames whose labels were used
    first_step: int  # 0, or where a checkpoint was taken up
    skipped: int  # directions of pairs in which no pixel was visible, of steps x pairs x 2
    seconds: float  # wall time of this call


def train(
    model: Net,
    videos: Videos,
    recipe: SegmentationRecipe,
    *,
    start_from: Path | str | Segmenter | None = None,
    checkpoint: Path | str | None = None,
    checkpoint_every: int = 100,
    log: Log | None = None,
    memory: FrameMemory | None = None,
    devices: Devices | None = None,
) -> TrainingResult[Net]:
    """Train `model` in place, on the device it is on.

    `start_from` (a net or its file) gives the first weights. With `checkpoint` (a file) the state is kept every
    `checkpoint_every` steps, and a run that finds one there takes it up: on the CPU, bit by bit as if uninterrupted.
    `log` gets a dict of numbers each step. Runs on the same videos may share a `memory` of frames read. With `devices`
    each process calls this with the same arguments; the first one writes and logs, all end with the same net.
    Raises InputError for data or a checkpoint that does not fit, FloatingPointError if the loss leaves the numbers.
    """
    began = time.perf_counter()
    shared = Alone() if devices is None else devices
    if start_from is not None:
        _copy_weights(start_from, model)
    memory = memory_of(videos, memory)
    device = next(model.parameters()).device
    labelled = supervised_rows(videos, recipe.labelled, seed=recipe.seed)
    weights = class_weights(memory, labelled, model.num_classes, power=recipe.class_balance).to(device)
    sampler = PairSampler(videos, labelled, gaps=recipe.gaps, anchored=recipe.anchored) if recipe.uses_pairs else None
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    # Labelled frames and pairs have a generator each, so that all control rows see the same labelled batches.
    generators = {name: stream(recipe.seed, name) for name in ("labelled", "pairs")}
    keeper = None
    first, skipped = 0, 0
    if checkpoint is not None:
        keeper = Checkpoint(Path(checkpoint), run_identity(model, recipe, memory, labelled), checkpoint_every)
        first, skipped = keeper.resume(model, optimiser, generators)

    set_training(model, freeze_batch_norm=recipe.freeze_batch_norm)
    for step in range(first, recipe.steps):
        rate = one_cycle(step, recipe.steps, peak=recipe.learning_rate, warm_up=recipe.warm_up)
        optimiser.param_groups[0]["lr"] = rate

        images, labels = draw_labelled(memory, labelled, recipe, generators["labelled"], device)
        stride = model.coarse_stride
        if sampler is None:
            loss = ce = cross_entropy(shared.coarse(model, images), labels[:, ::stride, ::stride], weights)
            pair, strength = None, 0.0
        else:
            rows = sampler.draw(recipe.pairs, generators["pairs"])
            clips = [memory.frames(of_frame).to(device) for of_frame in rows]
            edges = [memory.edges(of, clip.image, stride=stride) for of, clip in zip(rows, clips, strict=True)]
            logits = shared.coarse(model, torch.cat([images, clips[0].image, clips[1].image]))
            supervised, earlier, later = logits.split([recipe.batch, recipe.pairs, recipe.pairs])
            ce = cross_entropy(supervised, labels[:, ::stride, ::stride], weights)
            coarse = clips[0].strided(stride), clips[1].strided(stride)
            pair = pair_consistency((earlier, later), coarse, (edges[0], edges[1]), recipe)
            strength = recipe.weight * ramp(step, recipe.steps, share=recipe.weight_warm_up)
            loss = ce + strength * pair.total
            skipped += pair.skipped

        optimiser.zero_grad()
        loss.backward()
        shared.sum_gradients(model)
        optimiser.step()

        entry = _entry(step, recipe, rate, loss, ce, pair, strength)
        if keeper is not None and shared.first:
            keeper.after(step, model, optimiser, generators, skipped, last=step + 1 == recipe.steps)
        if log is not None and shared.first:
            log(entry)
    return TrainingResult(model.eval(), recipe, tuple(labelled), first, skipped, seconds=time.perf_counter() - began)


def _entry(
    step: int,
    recipe: SegmentationRecipe,
    rate: float,
    loss: Tensor,
    ce: Tensor,
    pair: PairLoss | None,
    strength: float,
) -> dict[str, Any]:
    """What `log` gets after each step; the parts of Eq. 1 are unweighted, and missing without pairs."""
    value = float(loss.detach())
    if value - value != 0:  # NaN or infinite
        raise FloatingPointError(
            f"the loss is {value} at step {step}: lower the learning rate ({recipe.learning_rate:g}) or the weight "
            f"({recipe.weight:g})"
        )
    entry = {"step": step + 1, "steps": recipe.steps, "loss": value, "ce": float(ce.detach()), "learning_rate": rate}
    if pair is not None:
        entry |= {
            "consistency": float(pair.total.detach()),
            "uniform": pair.uniform,
            "label_prior": pair.label_prior,
            "pixel_prior": pair.pixel_prior,
            "weight": strength,
            "visible": pair.visible,
            "skipped": pair.skipped,
        }
    return entry


def _copy_weights(source: Path | str | Segmenter, model: Segmenter) -> None:
    stored = load_model(source).model if isinstance(source, Path | str) else source
    if stored.architecture != model.architecture:
        raise InputError(f"start_from holds {stored.architecture}, but the model to train is {model.architecture}")
    model.load_state_dict(stored.state_dict())
