"""The scene of a seed: a furnished room as tensors, and its light."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor

from stc_lab.data.rooms import middle
from stc_lab.data.rooms.classes import Label
from stc_lab.data.rooms.furniture import Part
from stc_lab.data.rooms.layout import Room
from stc_lab.data.rooms.materials import Material, shaded
from stc_lab.data.rooms.movers import Movers
from stc_lab.data.rooms.primitives import FACES, Materials, Primitives, Scene, Shape
from stc_lab.errors import InputError

EXCEPTIONS = 0.08  # share of furniture whose colour is not typical of its class
MICRO_CONTRAST = 0.4
GLOSS = 0.7
_CLUTTER = 3  # stream of random numbers beside that of the room; the paths and the sensor have others (clips.py)


def build_scene(
    seed: int,
    *,
    exceptions: float = EXCEPTIONS,
    texture: float = 1.0,
    micro_contrast: float = MICRO_CONTRAST,
    gloss: float = GLOSS,
    clutter: int = 0,
) -> Scene:
    """The room of a seed, in float32 on the CPU; the same seed gives the same room everywhere.

    `clutter` more pieces stand in its middle, where there is free floor; all else stays as it is without them.
    """
    if seed < 0:
        raise InputError(f"seed must not be negative, got {seed}")
    if clutter < 0:
        raise InputError(f"clutter must not be negative, got {clutter}")
    rng = np.random.default_rng(seed)
    room = Room(rng, exceptions)
    length, width, height = room.size
    light = (length * rng.uniform(0.3, 0.7), width * rng.uniform(0.3, 0.7), height - 0.3)
    power, warm = rng.uniform(0.8, 1.3), (1.0, rng.uniform(0.85, 1), rng.uniform(0.65, 1))
    glow, cool = rng.uniform(0.25, 0.45), (rng.uniform(0.9, 1), 1.0, rng.uniform(1, 1.15))
    more = middle.clutter(room.shop.parts, room.size, clutter, np.random.default_rng([seed, _CLUTTER]), exceptions)
    parts = sorted(room.shop.parts + more, key=lambda part: part.shape)
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
        texture=texture,
        micro_contrast=micro_contrast,
        gloss=gloss,
    )


def with_movers(scene: Scene, parts: Sequence[Part], of: Sequence[int], movers: Movers) -> Scene:
    """The scene with parts that move, given where they are at time 0; `of` says which mover each part belongs to.

    `movers` holds their paths; its own `of` is replaced by that of all primitives.
    """
    order = sorted(range(len(parts)), key=lambda i: parts[i].shape)
    new = [parts[i] for i in order]
    added = _primitives(new)
    solids, n = scene.primitives, len(scene.primitives)
    shape = torch.cat([torch.arange(3).repeat_interleave(torch.tensor(p.counts)) for p in (solids, added)])
    place = torch.argsort(shape, stable=True)

    def joined(old: Tensor, more: Tensor) -> Tensor:
        """Values of the primitives, in order of their shape."""
        return torch.cat([old, more.to(old)])[place]

    materials = _materials([(part.label, part.material) for part in new], [part.phase for part in new])
    surfaces = {
        field.name: torch.cat(
            [
                joined(getattr(scene.materials, field.name)[:n], getattr(materials, field.name)),
                getattr(scene.materials, field.name)[n:],
            ]
        )
        for field in fields(Materials)
    }
    own = torch.tensor([of[i] for i in order])
    return replace(
        scene,
        primitives=Primitives(
            counts=tuple(a + b for a, b in zip(solids.counts, added.counts, strict=True)),  # type: ignore[arg-type]  # one for each Shape
            centre=joined(solids.centre, added.centre),
            half=joined(solids.half, added.half),
            yaw=joined(solids.yaw, added.yaw),
        ),
        materials=Materials(**surfaces),
        movers=replace(movers, of=joined(torch.full((n,), -1), own)),
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
