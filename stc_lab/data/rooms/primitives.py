"""What a room is made of: boxes, vertical cylinders and ellipsoids, their materials, and one light."""

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.rooms.movers import Movers

FACES = 6  # of the room itself: walls x = 0, x = length, y = 0, y = width, then floor and ceiling

_Struct = TypeVar("_Struct")


class Shape(IntEnum):
    BOX = 0
    CYLINDER = 1  # upright, elliptic
    ELLIPSOID = 2


class Texture(IntEnum):
    """How a material mixes its two colours over a surface."""

    PLAIN = 0
    WOOD = 1
    CHECK = 2
    STRIPE = 3
    NOISE = 4
    TILE = 5
    BOOKS = 6
    ART = 7
    PLANK = 8


@dataclass(frozen=True)
class Primitives:
    """The solids of a room, sorted by shape; each is turned by `yaw` (rad) about its own vertical axis."""

    counts: tuple[int, int, int]  # boxes, cylinders, ellipsoids
    centre: Float[Tensor, "n 3"]  # m
    half: Float[Tensor, "n 3"]  # m: half extents along the solid's own axes
    yaw: Float[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.yaw)


@dataclass(frozen=True)
class Materials:
    """Look and class of each surface: those of the primitives in their order, then the six faces of the room."""

    label: Int64[Tensor, " s"]  # class ids
    texture: Int64[Tensor, " s"]  # Texture ids
    colour: Float[Tensor, "s 3"]  # linear RGB
    second: Float[Tensor, "s 3"]  # linear RGB: the other colour of the texture
    scale: Float[Tensor, " s"]  # 1/m: texture periods per metre
    phase: Float[Tensor, "s 3"]  # m: shifts the texture, so that no two boards are alike


@dataclass(frozen=True)
class Scene:
    """One furnished room. World axes: x, y span the floor from the corner (0, 0), z points up; metres."""

    seed: int
    room: Float[Tensor, "3"]  # length, width, height
    primitives: Primitives
    materials: Materials
    light: Float[Tensor, "3"]  # position of the lamp under the ceiling
    light_colour: Float[Tensor, "3"]
    ambient: Float[Tensor, "3"]
    micro_contrast: float  # of the class-typical micro texture
    gloss: float  # strength of all highlights
    texture: float = 1.0  # contrast of all textures, the micro texture included
    movers: Movers | None = None  # things that move; their primitives stand where they are at time 0

    def at(self, time: float) -> "Scene":
        """The room at a moment (frames since the first one; fractions allowed), its moving things where they are then.

        Surfaces keep their indices. A room in which nothing moves is the same at all times.
        """
        if self.movers is None or time == 0:
            return self
        solids, of = self.primitives, self.movers.of
        moving = (of >= 0).nonzero()[:, 0]
        since_start = self.movers.T_later_sooner(0.0, time)[of[moving]]
        centre, yaw = solids.centre.clone(), solids.yaw.clone()
        turned = since_start[:, :3, :3] @ centre[moving].to(since_start)[:, :, None]
        centre[moving] = (turned[:, :, 0] + since_start[:, :3, 3]).to(centre)
        yaw[moving] += torch.atan2(since_start[:, 1, 0], since_start[:, 0, 0]).to(yaw)
        return replace(self, primitives=replace(solids, centre=centre, yaw=yaw))

    def mover_of(self, surface: Int64[Tensor, "*any"]) -> Int64[Tensor, "*any"]:
        """Which moving thing each surface belongs to, from 1; 0 for what stands still."""
        if self.movers is None:
            return torch.zeros_like(surface)
        of = torch.cat([self.movers.of, self.movers.of.new_full((FACES,), -1)])
        return of[surface] + 1

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Scene":
        """The scene on another device or in another floating-point type; ids stay integers."""
        return _moved(self, device, dtype)


def _moved(struct: _Struct, device: torch.device | str | None, dtype: torch.dtype | None) -> _Struct:
    """A copy of a dataclass with every tensor in it moved, and in nested structures too."""
    values = {}
    for field in fields(struct):  # type: ignore[arg-type]
        value = getattr(struct, field.name)
        if isinstance(value, Tensor):
            value = value.to(device=device, dtype=dtype if value.is_floating_point() else None)
        elif isinstance(value, Primitives | Materials | Movers):
            value = _moved(value, device, dtype)
        values[field.name] = value
    return type(struct)(**values)
