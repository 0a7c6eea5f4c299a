"""Every knob of the segmentation training in one frozen dataclass of plain scalars."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from stc_lab.errors import InputError


@dataclass(frozen=True)
class SegmentationRecipe:
    """How a segmenter is trained: on labelled frames alone, or with Eq. 1 of Pasad et al. 2020 on pairs beside them.

    `SegmentationRecipe.baseline()` is the supervised phase, `.continuation()` the phase with consistency that starts
    from it; `warp="none"` and `warp="identity"` make its two control rows. Values are checked when it is made.
    """

    # supervised part
    labelled: int = 200  # frames whose labels may be used, of all training frames (supervised_rows draws them)
    batch: int = 8  # labelled frames per step
    steps: int = 1500  # optimiser steps; 1500 of 8 frames of 64 x 96 px take 1-2 minutes on one core
    learning_rate: float = 3e-3  # peak of the one-cycle schedule; half of it when continuing a trained net
    warm_up: float = 0.1  # share of the steps in which the learning rate rises
    weight_decay: float = 0.02  # AdamW's
    class_balance: float = 0.25  # class weights f^-this, f = share of labelled pixels; 0 = none; keep it mild
    flip: bool = True  # mirror every second labelled frame
    zoom: float = 1.3  # largest random zoom into a labelled frame; 1 = none
    jitter: float = 0.6  # strength of the random contrast, brightness and colour cast; 0 = none
    freeze_batch_norm: bool = False  # keep the stored statistics, so that unlabelled frames cannot help through them
    # consistency part
    pairs: int = 0  # pairs of frames per step, both ways each; 0 = supervised only
    weight: float = 0.3  # lambda of the consistency loss; 1 is too strong for rare classes
    weight_warm_up: float = 0.2  # share of the steps in which lambda rises from 0
    uniform: float = 0.2  # prior weights of Eq. 1, those of the paper
    label_prior: float = 0.4
    pixel_prior: float = 0.4
    gradient: str = "both"  # which logits learn from a pair: both, warped, target
    gaps: tuple[int, ...] = (1, 2, 4, 8)  # frames between the two of a pair; each step draws one of these
    anchored: float = 0.2  # share of the pairs of which one frame is labelled
    warp: str = "geometry"  # geometry = the method; controls: identity = same pixels, no warp; none = no such loss
    # both
    seed: int = 0  # of the choice of labelled frames, of batches, pairs and augmentation; not of the net's weights

    def __post_init__(self) -> None:
        for field in fields(self):
            value = checked(field.name, field.type, getattr(self, field.name), _CHOICES, _RANGES)
            object.__setattr__(self, field.name, value)
        if self.uses_pairs and self.uniform + self.label_prior + self.pixel_prior == 0:
            raise InputError("uniform, label_prior and pixel_prior are all 0", hint="without the loss: warp='none'")

    @classmethod
    def baseline(cls, preset: str = "full", **changes: Any) -> "SegmentationRecipe":
        """The supervised phase, from random weights."""
        return cls.from_dict({**_preset("baseline", preset), **changes})

    @classmethod
    def continuation(cls, preset: str = "full", **changes: Any) -> "SegmentationRecipe":
        """The phase with consistency on unlabelled pairs, from the weights of a baseline of the same seed."""
        return cls.from_dict({**_preset("continuation", preset), **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SegmentationRecipe":
        """From names and values, as read from JSON; InputError lists the legal names."""
        legal = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(legal))
        if unknown:
            raise InputError(f"a recipe has no {', '.join(unknown)}; it has {', '.join(legal)}")
        if isinstance(values.get("gaps"), list):  # JSON has no tuples
            values = {**values, "gaps": tuple(values["gaps"])}
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Names and values, in JSON's types."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @property
    def uses_pairs(self) -> bool:
        """Whether steps see pairs at all: not in the control without loss, which is otherwise the same run."""
        return self.pairs > 0 and self.weight > 0 and self.warp != "none"


_CONTINUATION: dict[str, Any] = {
    "batch": 4,
    "steps": 500,
    "learning_rate": 1.5e-3,
    "freeze_batch_norm": True,
    "pairs": 4,
}
# A preset is only the differences: quick fits the quick rooms (32 videos) and seconds, full is for the CPU study.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "baseline": {"full": {}, "quick": {"labelled": 32, "steps": 300}},
    # quick goes on more gently: with 32 labels, 100 steps at 1.5e-3 cost the shipped net 5 of its 30 mIoU (validation).
    "continuation": {
        "full": _CONTINUATION,
        "quick": {**_CONTINUATION, "labelled": 32, "steps": 150, "learning_rate": 5e-4},
    },
}

_CHOICES = {"gradient": ("both", "warped", "target"), "warp": ("geometry", "identity", "none")}
_RANGES = {  # lowest and highest legal value
    "labelled": (1, math.inf),
    "batch": (1, math.inf),
    "steps": (1, math.inf),
    "learning_rate": (1e-9, 1),
    "warm_up": (0, 1),
    "weight_decay": (0, 1),
    "class_balance": (0, 1),
    "zoom": (1, 4),
    "jitter": (0, 2),
    "pairs": (0, math.inf),
    "weight": (0, math.inf),
    "weight_warm_up": (0, 1),
    "uniform": (0, math.inf),
    "label_prior": (0, math.inf),
    "pixel_prior": (0, math.inf),
    "gaps": (1, math.inf),
    "anchored": (0, 1),
    "seed": (0, 2**31 - 1),
}


def _preset(phase: str, name: str) -> dict[str, Any]:
    if name not in PRESETS[phase]:
        raise InputError(f"preset must be one of {', '.join(PRESETS[phase])}, got {name!r}")
    return PRESETS[phase][name]


def checked(
    name: str,
    kind: Any,
    value: Any,
    choices: Mapping[str, tuple[str, ...]],
    ranges: Mapping[str, tuple[float, float]],  # lowest and highest legal value
) -> Any:
    """The value of a recipe's field in the field's own type, or InputError that says what is legal."""
    if name in choices:
        if value not in choices[name]:
            raise InputError(f"{name} must be one of {', '.join(choices[name])}, got {value!r}")
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise InputError(f"{name} must be true or false, got {value!r}")
        return value
    low, high = ranges[name]
    legal = f"from {low} to {high}" if high < math.inf else f"of {low} or more"
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high or math.isinf(value):
            raise InputError(f"{name} must be a number {legal}, got {value!r}")
        return float(value)
    whole = [value] if kind is int else list(value) if isinstance(value, list | tuple) else []
    if not whole or any(isinstance(one, bool) or not isinstance(one, int) or not low <= one <= high for one in whole):
        noun = "a whole number" if kind is int else "whole numbers"
        raise InputError(f"{name} must be {noun} {legal}, got {value!r}")
    return value if kind is int else tuple(value)
