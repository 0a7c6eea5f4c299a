"""Checkpoints: all that a training run needs to go on as if it had never stopped, in one safetensors file."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.models import Network
from stc_lab.models.store import read_safetensors, write_safetensors
from stc_lab.training.memory import FrameMemory


@dataclass(frozen=True)
class Checkpoint:
    """Keeps a run's state in `path`, replaced in one go, so that an interrupted write leaves the state before it.

    Tensors: weights, AdamW's moments, generators. JSON in the header: the step and what identifies the run.
    """

    path: Path
    identity: dict[str, Any]  # of `run_identity`
    every: int  # steps

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"checkpoint_every must be at least 1 step, got {self.every}")

    def resume(
        self, model: Network, optimiser: torch.optim.Optimizer, generators: dict[str, torch.Generator]
    ) -> tuple[int, int]:
        """Take up the state in the file, if there is one; returns the step to go on with and the skipped pairs so far.

        Raises InputError if the file is damaged or belongs to another recipe, data or start.
        """
        if not self.path.exists():
            return 0, 0
        tensors, notes = read_safetensors(self.path)
        if notes.get("kind") != "checkpoint":
            raise InputError(f"{self.path} is no training checkpoint", hint="a model saved there by save_model")
        self._expect_same_run(notes["identity"])
        model.load_state_dict(_under(tensors, "model"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "optimiser").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        for name, value in _under(tensors, "generator").items():
            generators[name].set_state(value)
        return notes["step"], notes["skipped"]

    def after(
        self,
        step: int,
        model: Network,
        optimiser: torch.optim.Optimizer,
        generators: dict[str, torch.Generator],
        skipped: int,
        *,
        last: bool,
    ) -> None:
        """Keep the state after every `every`-th step and after the last one."""
        if (step + 1) % self.every and not last:
            return
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{key}": value for key, value in values.items()}
        tensors |= {f"generator.{name}": generator.get_state() for name, generator in generators.items()}
        notes = {"kind": "checkpoint", "step": step + 1, "skipped": skipped, "identity": self.identity}
        kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        write_safetensors(self.path, kept, notes)

    def _expect_same_run(self, found: dict[str, Any]) -> None:
        different = []
        for part, mine in self.identity.items():
            theirs = found.get(part)
            if isinstance(mine, dict) and isinstance(theirs, dict):
                names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
                different += [f"{part} {name}: {theirs.get(name)} there, {mine.get(name)} here" for name in names]
            elif theirs != mine:
                different.append(f"{part}: {theirs} there, {mine} here")
        if different:
            raise InputError(
                f"the checkpoint {self.path} belongs to another run ({'; '.join(different)})",
                hint="give each run its own file, or delete this one to start anew; random first weights must come "
                "from the same Segmenter(generator=...)",
            )


@runtime_checkable
class Settings(Protocol):
    """A recipe of any training."""

    def to_dict(self) -> dict[str, Any]:
        """Names and values, in JSON's types."""


def run_identity(model: Network, recipe: Settings, memory: FrameMemory, labelled: Sequence[int]) -> dict[str, Any]:
    """What must be equal for one run to go on with the state of another: recipe, net, first weights and data."""
    return {
        "recipe": recipe.to_dict(),
        "architecture": model.architecture,
        "first weights": digest_of_weights(model),
        "data": data_digest(memory, labelled),
    }


def data_digest(memory: FrameMemory, labelled: Sequence[int]) -> str:
    """Names the training data: its videos, and the pixels and labels of the labelled frames."""
    videos = memory.videos
    layout = [[name, videos.frame_count(name)] for name in videos.names]
    pixels = hashlib.sha256(json.dumps([videos.info.name, list(videos.size), layout, list(labelled)]).encode())
    for clip in memory.parts(labelled):
        pixels.update((clip.image * 255).round().to(torch.uint8).numpy().tobytes())
        if clip.label is not None:
            pixels.update(clip.label.numpy().tobytes())
    return pixels.hexdigest()[:16]


def digest_of_weights(model: Network) -> str:
    """Names the weights of a net."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix.`, without it."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
