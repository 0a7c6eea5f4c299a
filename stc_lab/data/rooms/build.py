"""The scene of a seed: a furnished room as tensors, and its light."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stc_lab.data.rooms.classes import Label
from stc_lab.data.rooms.furniture import Part
from stc_lab.data.rooms.layout import Room
from stc_lab.data.rooms.materials import Material, shaded
from stc_lab.data.rooms.primitives import FACES, Materials, Primitives, Scene, Shape
from stc_lab.errors import InputError

EXCEPTIONS = 0.08  # share of furniture whose colour is not typical of its class
MICRO_CONTRAST = 0.4
GLOSS = 0.7


def build_scene(
    seed: int, *, exceptions: float = EXCEPTIONS, micro_contrast: float = MICRO_CONTRAST, gloss: float = GLOSS
) -> Scene:
    """The room of a seed, in float32 on the CPU; the same seed gives the same room everywhere."""
    if seed < 0:
        raise InputError(f"seed must not be negative, got {seed}")
    rng = np.random.default_rng(seed)
    room = Room(rng, exceptions)
    length, width, height = room.size
    light = (length * rng.uniform(0.3, 0.7), width * rng.uniform(0.3, 0.7), height - 0.3)
    power, warm = rng.uniform(0.8, 1.3), (1.0, rng.uniform(0.85, 1), rng.uniform(0.65, 1))
    glow, cool = rng.uniform(0.25, 0.45), (rng.uniform(0.9, 1), 1.0, rng.uniform(1, 1.15))
    parts = sorted(room.shop.parts, key=lambda part: part.shape)
    return Scene(
        seed=seed,
        room=_floats(room.size),
        primitives=_primitives(parts),
        materials=_materials(
            [(part.label, part.material) for part in parts] + room.faces,
            [part.phase for part in parts] + rng.uniform(0, 50, (FACES, 3)).tolist(),
        ),
        light=_floats(light),
        light_colour=_floats(shaded(warm, power)),
        ambient=_floats(shaded(cool, glow)),
        micro_contrast=micro_contrast,
        gloss=gloss,
    )


def _floats(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _primitives(parts: list[Part]) -> Primitives:
    boxes, cylinders, ellipsoids = (sum(part.shape == shape for part in parts) for shape in Shape)
    return Primitives(
        counts=(boxes, cylinders, ellipsoids),
        centre=_floats([part.centre for part in parts]),
        half=_floats([part.half for part in parts]),
        yaw=_floats([part.yaw for part in parts]),
    )


def _materials(surfaces: list[tuple[Label, Material]], phases: list[Sequence[float]]) -> Materials:
    materials = [material for _, material in surfaces]
    return Materials(
        label=torch.tensor([int(label) for label, _ in surfaces]),
        texture=torch.tensor([int(material.texture) for material in materials]),
        colour=_floats([material.colour for material in materials]),
        second=_floats([material.second for material in materials]),
        scale=_floats([material.scale for material in materials]),
        phase=_floats(phases),
    )
