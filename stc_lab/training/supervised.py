"""The supervised part of training: labelled batches, class weights, cross-entropy and the state of BatchNorm."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.models import Segmenter
from stc_lab.training.augment import augment
from stc_lab.training.memory import FrameMemory

IGNORE = 255
RAREST = 0.002  # share of the pixels below which a class gets no more weight


@runtime_checkable
class LabelledDraws(Protocol):
    """What a recipe says of its labelled batches."""

    @property
    def batch(self) -> int: ...
    @property
    def flip(self) -> bool: ...
    @property
    def zoom(self) -> float: ...
    @property
    def jitter(self) -> float: ...


def draw_labelled(
    memory: FrameMemory,
    labelled: Sequence[int],
    recipe: LabelledDraws,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[Float[Tensor, "b 3 h w"], Int64[Tensor, "b h w"]]:
    """Images and labels of `recipe.batch` of the labelled rows, drawn with replacement and augmented."""
    chosen = torch.randint(len(labelled), (recipe.batch,), generator=generator)
    clip = memory.frames([labelled[i] for i in chosen.tolist()])
    clip.require("label")
    assert clip.label is not None
    images, labels = clip.image.to(device), clip.label.to(device)
    return augment(images, labels, generator, flip=recipe.flip, zoom=recipe.zoom, jitter=recipe.jitter)


def class_weights(memory: FrameMemory, labelled: Sequence[int], classes: int, *, power: float) -> Float[Tensor, " k"]:
    """Weights f^-power by the class frequencies f in the labelled frames, with a weighted mean of 1 over their pixels.

    Raises InputError if the frames have no labels, none that counts, or one that is no class.
    """
    counts = torch.zeros(classes, dtype=torch.int64)
    for clip in memory.parts(labelled):
        clip.require("label")
        assert clip.label is not None
        for video, index, label in zip(clip.video, clip.index.tolist(), clip.label, strict=True):
            used = label[label != IGNORE]
            if len(used) and not 0 <= int(used.min()) <= int(used.max()) < classes:
                raise InputError(
                    f"frame {index} of video {video!r} has labels {int(used.min())} to {int(used.max())}, "
                    f"but the model knows classes 0 to {classes - 1}",
                    hint=f"a model made for fewer classes, or an ignore id that is not {IGNORE}",
                )
            counts += torch.bincount(used, minlength=classes)
    if counts.sum() == 0:
        raise InputError(f"none of the {len(labelled)} labelled frames has a labelled pixel: all are {IGNORE}")
    frequency = counts.float() / counts.sum()
    weights = frequency.clamp(min=RAREST) ** -power
    return weights / (frequency * weights).sum()


def cross_entropy(
    logits: Float[Tensor, "b k h w"], labels: Int64[Tensor, "b h w"], weights: Float[Tensor, " k"]
) -> Float[Tensor, ""]:
    """Weighted cross-entropy over the labelled pixels; 0 if there is none, as in a zoom into unlabelled ground."""
    if not bool((labels != IGNORE).any()):
        return logits.sum() * 0
    return F.cross_entropy(logits, labels, weight=weights.to(logits.dtype), ignore_index=IGNORE)


def set_training(model: Segmenter, *, freeze_batch_norm: bool) -> None:
    """Training mode; with frozen BatchNorm, its layers normalise by the statistics they have and keep them."""
    model.train()
    for module in model.modules():
        if freeze_batch_norm and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
