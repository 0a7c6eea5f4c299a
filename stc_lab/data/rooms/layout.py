"""Furnish a room: a door, windows and furniture along the walls, a table, chairs and a rug in the middle."""

import colorsys
import math

import numpy as np

from stc_lab.data.rooms.classes import Label
from stc_lab.data.rooms.furniture import PIECES, Place, Workshop, bin_, chair, radiator
from stc_lab.data.rooms.materials import Material, Swatches, grey, shaded
from stc_lab.data.rooms.middle import table
from stc_lab.data.rooms.primitives import Texture

# What each kind of room holds, most wanted first, with the probability of each place in the list.
KINDS = {
    "bedroom": ["bed", "cabinet", "cabinet", "bookshelf", "desk"],
    "living room": ["sofa", "tv stand", "bookshelf", "cabinet", "sofa"],
    "office": ["desk", "desk", "bookshelf", "cabinet", "bookshelf"],
    "kitchen": ["fridge", "cabinet", "cabinet", "bookshelf", "cabinet"],
}
KIND_SHARE = [0.3, 0.3, 0.2, 0.2]
WANTED = [1.0, 1.0, 0.9, 0.85, 0.75]
EXTRAS = {
    "sofa": 0.4,
    "bed": 0.12,
    "desk": 0.25,
    "fridge": 0.35,
    "tv stand": 0.2,
    "bookshelf": 0.3,
    "plant": 0.5,
    "floor lamp": 0.5,
    "bin": 0.6,
    "cabinet": 0.5,
}
TABLE_SHARE = {"bedroom": 0.3, "living room": 0.8, "office": 0.4, "kitchen": 0.95}


class _Wall:
    """One wall seen from inside: positions run along it from its left end; what is taken, low and high."""

    def __init__(self, x: float, y: float, yaw: float, length: float) -> None:
        self.place, self.length = Place(x, y, yaw), length
        self.low: list[tuple[float, float]] = [(-1.0, 0.05), (length - 0.05, math.inf)]
        self.high: list[tuple[float, float]] = []

    def find(
        self, rng: np.random.Generator, half: float, corner: float, *, low: bool = False, high: bool = False
    ) -> float | None:
        """A free position for a thing of half width `half` at least `corner` m from the ends, or None."""
        taken = (self.low if low else []) + (self.high if high else [])
        if self.length <= 2 * (corner + half):
            return None
        for _ in range(12):
            x = float(rng.uniform(corner + half, self.length - corner - half))
            if all(x + half < start or x - half > end for start, end in taken):
                return x
        return None

    def take(self, x: float, half: float, *, low: bool = False, high: bool = False) -> None:
        for wanted, spans in ((low, self.low), (high, self.high)):
            if wanted:
                spans.append((x - half, x + half))


class Room:
    """A room and its furniture, as parts; `rng` gives all draws, `exceptions` the share of untypical colours."""

    def __init__(self, rng: np.random.Generator, exceptions: float) -> None:
        self.rng = rng
        self.swatches = Swatches(rng, exceptions)
        self.shop = Workshop(rng, self.swatches)
        self.size = (rng.uniform(4.2, 6.0), rng.uniform(3.9, 5.4), rng.uniform(2.4, 2.9))
        self.kind = str(rng.choice(list(KINDS), p=KIND_SHARE))
        length, width, _ = self.size
        self.walls = [
            _Wall(0, 0, 0.0, length),
            _Wall(length, 0, math.pi / 2, width),
            _Wall(length, width, math.pi, length),
            _Wall(0, width, -math.pi / 2, width),
        ]
        self.faces = self._faces()
        walls = self.shuffled_walls()
        self.door(walls[0])
        for wall in walls[1 : 1 + int(rng.integers(1, 3))]:
            self.window(wall)
        self.furnish()
        self.pictures()
        self.middle()

    def shuffled_walls(self) -> list[_Wall]:
        return [self.walls[i] for i in self.rng.permutation(4)]

    def _faces(self) -> list[tuple[Label, Material]]:
        """Materials of the four walls, the floor and the ceiling."""
        rng, s = self.rng, self.swatches
        if s.chance(0.6):
            v = rng.uniform(0.6, 0.95)
            paint = (v, v * rng.uniform(0.93, 1), v * rng.uniform(0.82, 1))
        else:
            paint = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.1, 0.4), rng.uniform(0.5, 0.9))
        second = shaded(paint, rng.uniform(0.8, 0.95)) if s.chance(0.7) else s.fabric()
        texture = s.texture(Texture.PLAIN, Texture.NOISE, Texture.NOISE, Texture.STRIPE, Texture.TILE)
        wall = Material(paint, second, texture, rng.uniform(1, 3))
        texture = s.texture(Texture.PLANK, Texture.PLANK, Texture.TILE, Texture.CHECK, Texture.NOISE)
        colour = s.wood() if texture == Texture.PLANK else s.paint()
        floor = Material(colour, shaded(colour, rng.uniform(0.5, 0.85)), texture, rng.uniform(1.5, 4))
        v = rng.uniform(0.8, 0.98)
        texture = s.texture(Texture.PLAIN, Texture.NOISE, Texture.TILE)
        ceiling = Material((v, v, v * 0.98), grey(v * 0.9), texture, rng.uniform(1, 2))
        return [(Label.WALL, wall)] * 4 + [(Label.FLOOR, floor), (Label.CEILING, ceiling)]

    def door(self, wall: _Wall) -> None:
        s, shop = self.swatches, self.shop
        x = wall.find(self.rng, 0.5, 0.2, low=True)
        if x is None:
            return
        leaf = s.timber((0.55, 0.75)) if s.chance(0.4) else s.material(grey(self.rng.uniform(0.8, 0.97)))
        frame = s.material(shaded(leaf.colour, 0.9), leaf.texture)
        place = wall.place.moved(x, 0.0)
        shop.box(place, (0, 0.0, 1.02), (0.5, 0.03, 1.02), Label.DOOR, frame)
        shop.box(place, (0, 0.02, 1.0), (0.42, 0.03, 0.98), Label.DOOR, leaf)
        shop.box(place, (0.34, 0.07, 1.0), (0.05, 0.02, 0.015), Label.DOOR, s.material((0.6, 0.55, 0.4)))
        wall.take(x, 0.55, low=True, high=True)

    def window(self, wall: _Wall) -> None:
        """A window, often with curtains, sometimes with a radiator below."""
        rng, s, shop = self.rng, self.swatches, self.shop
        half = rng.uniform(0.45, 0.8)
        x = wall.find(rng, half + 0.2, 0.3, high=True)
        if x is None:
            return
        place = wall.place.moved(x, 0.0)
        sky = (rng.uniform(0.6, 0.95), rng.uniform(0.75, 1.0), 1.0)
        trees = (0.6, 0.75, 0.6) if s.chance(0.6) else (0.5, 0.55, 0.7)
        frame = s.material(s.paint())
        z, half_height = rng.uniform(1.4, 1.6), rng.uniform(0.45, 0.6)
        pane = Material(sky, trees, Texture.NOISE)
        shop.box(place, (0, 0, z), (half, 0.02, half_height), Label.WINDOW, pane)
        for side in (-1, 0, 1):
            shop.box(place, (side * half, 0, z), (0.03, 0.04, half_height), Label.WINDOW, frame)
        for side in (-1, 1):
            shop.box(place, (0, 0, z + side * half_height), (half, 0.04, 0.03), Label.WINDOW, frame)
        if s.chance(0.6):
            colour = s.typical((0, 1), (0.35, 0.8), (0.4, 0.85))
            cloth = Material(colour, shaded(colour, 0.65), Texture.STRIPE, 11.0)
            low, top = z - half_height - rng.uniform(0.1, 0.7), z + half_height + 0.15
            for side in (-1, 1):
                centre = (side * (half + 0.1), 0.06, (low + top) / 2)
                shop.box(place, centre, (0.17, 0.04, (top - low) / 2), Label.CURTAIN, cloth)
        wall.take(x, half + 0.3, high=True)
        if s.chance(0.4):
            radiator(shop, place)
            wall.take(x, 0.7, low=True)

    def furnish(self) -> None:
        """Stand the pieces that this kind of room wants, and some extras, along the walls where there is space."""
        wanted = list(zip(KINDS[self.kind], WANTED, strict=True)) + list(EXTRAS.items())
        for name, probability in wanted:
            if not self.swatches.chance(probability):
                continue
            piece = PIECES[name]
            for wall in self.shuffled_walls():
                x = wall.find(self.rng, piece.half_width, 0.55, low=True, high=piece.tall)
                if x is not None:
                    piece.build(self.shop, wall.place.moved(x, 0.02))
                    wall.take(x, piece.half_width, low=True, high=piece.tall or name == "tv stand")
                    break

    def pictures(self) -> None:
        rng, s = self.rng, self.swatches
        for _ in range(int(rng.integers(1, 6))):
            wall, half = self.walls[rng.integers(4)], rng.uniform(0.18, 0.5)
            x = wall.find(rng, half + 0.05, 0.2, high=True)
            if x is None:
                continue
            place, half_height, z = wall.place.moved(x, 0.0), rng.uniform(0.18, 0.4), rng.uniform(1.4, 1.65)
            frame = s.material(s.wood() if s.chance(0.5) else s.paint())
            canvas = s.material(s.fabric(), Texture.ART, second=s.fabric(), scale=rng.uniform(3, 7))
            self.shop.box(place, (0, 0, z), (half, 0.025, half_height), Label.PICTURE, frame)
            self.shop.box(place, (0, 0.01, z), (half - 0.04, 0.02, half_height - 0.04), Label.PICTURE, canvas)
            wall.take(x, half + 0.05, high=True)

    def middle(self) -> None:
        """A rug, a table with chairs, or a lone chair in the middle; perhaps a bin somewhere."""
        rng, s, shop = self.rng, self.swatches, self.shop
        spot = self.spot(0.9) or self.spot(0.6)
        x, y = spot or (self.size[0] / 2, self.size[1] / 2)
        if s.chance(0.5):
            colour = s.typical((0.75, 1.05), (0.4, 0.8), (0.3, 0.8))
            texture = s.texture(Texture.STRIPE, Texture.CHECK, Texture.ART, Texture.NOISE)
            cloth = s.material(colour, texture, second=s.fabric(), scale=rng.uniform(2, 5))
            half = (rng.uniform(0.7, 1.2), rng.uniform(0.6, 0.9), 0.012)
            shop.box(Place(x, y, rng.uniform(-0.2, 0.2)), (0, 0, 0.005), half, Label.RUG, cloth)
        if s.chance(TABLE_SHARE[self.kind]) and spot is not None:
            yaw = rng.uniform(-0.3, 0.3) + float(rng.choice([0.0, math.pi / 2]))
            table(self.shop, Place(x, y, yaw), low=self.kind == "living room")
        elif s.chance(0.4) and spot is not None:
            chair(shop, Place(x, y, rng.uniform(0, 2 * math.pi)))
        if s.chance(0.3):
            spot = self.spot(0.4)
            if spot is not None:
                bin_(shop, Place(*spot, rng.uniform(0, 2 * math.pi)))

    def spot(self, radius: float) -> tuple[float, float] | None:
        """A place on the floor, rather near the middle, with no furniture within `radius` m, or None."""
        length, width, _ = self.size
        for attempt in range(24):
            share = 0.08 + 0.3 * attempt / 24
            x, y = length * (0.5 + self.rng.uniform(-share, share)), width * (0.5 + self.rng.uniform(-share, share))
            if all(part.distance(x, y) > radius for part in self.shop.parts if part.label != Label.RUG):
                return x, y
        return None
