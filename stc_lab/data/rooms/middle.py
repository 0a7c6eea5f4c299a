"""What stands in the middle of a room: a table with chairs, and pieces for a camera to pass by."""

import math

import numpy as np

from stc_lab.data.rooms.classes import Label
from stc_lab.data.rooms.furniture import Part, Place, Vector, Workshop, bin_, cabinet, chair, floor_lamp, plant, trinket
from stc_lab.data.rooms.materials import Swatches
from stc_lab.data.rooms.primitives import Shape

_PIECES = {  # how to build it, m of free floor around its middle, m from its back to its middle
    "chair": (chair, 0.4, 0.0),
    "table": (None, 0.75, 0.0),
    "plant": (plant, 0.35, 0.25),
    "bin": (bin_, 0.25, 0.2),
    "cabinet": (cabinet, 0.6, 0.24),
    "floor lamp": (floor_lamp, 0.3, 0.25),
}
_PLACES = 30  # tried for a piece before it is left out


def table(shop: Workshop, place: Place, *, low: bool) -> None:
    """A round or rectangular table; a high one has chairs around it."""
    rng, s = shop.rng, shop.swatches
    top = 0.42 if low else 0.74
    half, depth = rng.uniform(0.4, 0.75), rng.uniform(0.3, 0.45)
    wood = s.timber((0.5, 0.8), warmth=1.2)
    if s.chance(0.25):
        half = depth + 0.1
        shop.add(place, Shape.CYLINDER, (0, 0, top), (half, half, 0.025), Label.TABLE, wood)
        shop.add(place, Shape.CYLINDER, (0, 0, top / 2), (0.05, 0.05, top / 2), Label.TABLE, wood)
    else:
        shop.box(place, (0, 0, top), (half, depth, 0.025), Label.TABLE, wood)
        shop.legs(place, half - 0.05, depth - 0.05, top, 0.03, Label.TABLE, wood)
    for _ in range(int(rng.integers(4))):
        trinket(shop, place, rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), top + 0.025)
    if low:
        return
    for side, turn in ((-1, 0.0), (1, math.pi)):
        for along in (-0.4, 0.4) if half > 0.55 else (0.0,):
            if s.chance(0.8):
                seat = place.moved(along * half, side * (depth + 0.15), turn + rng.uniform(-0.25, 0.25))
                chair(shop, seat)


def clutter(parts: list[Part], size: Vector, count: int, rng: np.random.Generator, exceptions: float) -> list[Part]:
    """Parts of up to `count` more pieces away from the walls; one that finds no free floor is left out."""
    shop = Workshop(rng, Swatches(rng, exceptions))
    for _ in range(count):
        build, radius, back = _PIECES[str(rng.choice(list(_PIECES)))]
        for _ in range(_PLACES):
            x, y = (rng.uniform(0.22, 0.78) * side for side in size[:2])
            others = [part for part in parts + shop.parts if part.label != Label.RUG]
            if all(part.distance(x, y) > radius for part in others):
                place = Place(x, y, rng.uniform(0, 2 * math.pi)).moved(0.0, -back)
                if build is None:
                    table(shop, place, low=bool(rng.random() < 0.5))
                else:
                    build(shop, place)
                break
    return shop.parts
