"""Furniture: each piece adds its parts to a workshop, in its own frame at a place on the floor or against a wall."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stc_lab.data.rooms.classes import Label
from stc_lab.data.rooms.materials import RGB, Material, Swatches, grey, shaded
from stc_lab.data.rooms.primitives import Shape, Texture

Vector = tuple[float, float, float]
WHITE_SHEET: RGB = (0.85, 0.84, 0.8)


@dataclass(frozen=True)
class Place:
    """Where a piece stands: its origin on the floor (m) and the turn of its own axes (rad). Its +y faces the room."""

    x: float
    y: float
    yaw: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """World x, y of a point in the piece's own frame."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + c * x - s * y, self.y + s * x + c * y

    def moved(self, x: float, y: float, turn: float = 0.0) -> "Place":
        return Place(*self.at(x, y), self.yaw + turn)


@dataclass(frozen=True)
class Part:
    """One primitive with its class and material."""

    shape: Shape
    centre: Vector
    half: Vector
    yaw: float
    label: Label
    material: Material
    phase: Vector

    def distance(self, x: float, y: float) -> float:
        """Distance (m) on the floor plan from a point to the part's outline; 0 within."""
        dx, dy = x - self.centre[0], y - self.centre[1]
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        across, along = abs(c * dx + s * dy) - self.half[0], abs(c * dy - s * dx) - self.half[1]
        return math.hypot(max(across, 0.0), max(along, 0.0))


class Workshop:
    """Collects the parts of a room; the draws come from one generator, in the order of the calls."""

    def __init__(self, rng: np.random.Generator, swatches: Swatches) -> None:
        self.rng = rng
        self.swatches = swatches
        self.parts: list[Part] = []

    def add(self, place: Place, shape: Shape, centre: Vector, half: Vector, label: Label, material: Material) -> None:
        """Add a part whose `centre` (m) is given in the frame of `place`."""
        px, py, pz = self.rng.uniform(0, 50, 3).tolist()
        x, y = place.at(centre[0], centre[1])
        self.parts.append(Part(shape, (x, y, centre[2]), half, place.yaw, label, material, (px, py, pz)))

    def box(self, place: Place, centre: Vector, half: Vector, label: Label, material: Material) -> None:
        self.add(place, Shape.BOX, centre, half, label, material)

    def legs(self, place: Place, x: float, y: float, height: float, half: float, label: Label, wood: Material) -> None:
        """Four square legs at (+-x, +-y)."""
        for sx in (-1, 1):
            for sy in (-1, 1):
                self.box(place, (sx * x, sy * y, height / 2), (half, half, height / 2), label, wood)


def chair(shop: Workshop, place: Place) -> None:
    rng, s = shop.rng, shop.swatches
    if s.chance(0.5):
        cover = s.timber((0.2, 0.45))
    else:
        cover = s.material(s.typical((0.95, 1.08), (0.5, 0.8), (0.3, 0.7)), Texture.NOISE)
    seat, half = rng.uniform(0.42, 0.5), rng.uniform(0.2, 0.25)
    leg = s.material(s.wood() if s.chance(0.5) else (0.15, 0.15, 0.16))
    shop.box(place, (0, 0, seat), (half, half, 0.03), Label.CHAIR, cover)
    shop.box(place, (0, -half + 0.03, seat + 0.28), (half, 0.025, rng.uniform(0.16, 0.26)), Label.CHAIR, cover)
    shop.legs(place, half - 0.03, half - 0.03, seat, 0.022, Label.CHAIR, leg)


def trinket(shop: Workshop, place: Place, x: float, y: float, z: float) -> None:
    """A small nameless thing on a surface of height z: a box, a vase or a ball."""
    rng, s = shop.rng, shop.swatches
    shape = Shape(int(rng.integers(3)))
    a, b, c = rng.uniform(0.04, 0.1, 3).tolist()
    colour = s.fabric() if s.chance(0.6) else s.paint()
    material = s.material(colour, s.texture(Texture.PLAIN, Texture.NOISE, Texture.STRIPE), scale=8.0)
    half = (a, a if shape == Shape.CYLINDER else b, c)
    shop.add(place, shape, (x, y, z + c), half, Label.BACKGROUND, material)


def _shade(shop: Workshop) -> Material:
    """The shade of a lamp."""
    value = shop.rng.uniform(0.85, 1.0)
    return shop.swatches.material((value, value * 0.95, value * 0.8))


def table_lamp(shop: Workshop, place: Place, x: float, y: float, z: float) -> None:
    s = shop.swatches
    shade = _shade(shop) if s.chance(0.6) else s.material(s.fabric())
    shop.add(place, Shape.CYLINDER, (x, y, z + 0.14), (0.02, 0.02, 0.14), Label.LAMP, s.material(s.paint()))
    shop.add(place, Shape.CYLINDER, (x, y, z + 0.33), (0.12, 0.12, 0.09), Label.LAMP, shade)


def pillow(shop: Workshop, place: Place, x: float, y: float, z: float, colour: RGB | None = None) -> None:
    rng, s = shop.rng, shop.swatches
    colour = s.typical((0, 1), (0.5, 0.9), (0.5, 0.95)) if colour is None else colour
    material = s.material(colour, s.texture(Texture.PLAIN, Texture.STRIPE, Texture.NOISE), scale=6.0)
    half = (rng.uniform(0.2, 0.3), rng.uniform(0.12, 0.17), 0.1)
    shop.add(place, Shape.ELLIPSOID, (x, y, z), half, Label.PILLOW, material)


def bed(shop: Workshop, place: Place) -> None:
    rng, s = shop.rng, shop.swatches
    half, length = rng.uniform(0.5, 0.9), rng.uniform(0.95, 1.05)
    frame = s.timber((0.3, 0.6))
    blanket = s.material(
        s.typical((0.5, 0.75), (0.1, 0.45), (0.6, 0.95)),
        s.texture(Texture.NOISE, Texture.STRIPE, Texture.CHECK, Texture.PLAIN),
        scale=rng.uniform(2, 5),
    )
    shop.box(place, (0, 0.05, 0.45), (half + 0.03, 0.04, rng.uniform(0.4, 0.6)), Label.BED, frame)
    shop.box(place, (0, length, 0.17), (half, length, 0.13), Label.BED, frame)
    shop.box(place, (0, length, 0.38), (half - 0.02, length - 0.02, 0.1), Label.BED, s.material(WHITE_SHEET))
    shop.box(place, (0, length + 0.3, 0.4), (half + 0.01, length - 0.31, 0.1), Label.BED, blanket)
    cover = None if s.chance(0.6) else WHITE_SHEET
    for side in (-0.5, 0.5) if half > 0.7 else (0.0,):
        pillow(shop, place, side * half, 0.3, 0.54, cover)


def sofa(shop: Workshop, place: Place) -> None:
    rng, s = shop.rng, shop.swatches
    half = rng.uniform(0.75, 1.1)
    cover = s.material(
        s.typical((0.0, 0.12), (0.05, 0.45), (0.2, 0.55)),
        s.texture(Texture.NOISE, Texture.PLAIN, Texture.STRIPE),
        scale=rng.uniform(2, 5),
    )
    shop.box(place, (0, 0.45, 0.22), (half, 0.42, 0.2), Label.SOFA, cover)
    shop.box(place, (0, 0.14, 0.55), (half, 0.12, 0.28), Label.SOFA, cover)
    for side in (-1, 1):
        shop.box(place, (side * (half - 0.1), 0.45, 0.35), (0.1, 0.42, 0.25), Label.SOFA, cover)
        if s.chance(0.5):
            pillow(shop, place, side * half * 0.55, 0.33, 0.55, None if s.chance(0.7) else cover.colour)


def desk(shop: Workshop, place: Place) -> None:
    """A light desk with a monitor and a chair in front of it."""
    rng, s = shop.rng, shop.swatches
    half, depth, top = rng.uniform(0.55, 0.8), rng.uniform(0.28, 0.36), 0.74
    board = s.material(s.timber((0.75, 0.95), warmth=0.4).colour)
    shop.box(place, (0, depth + 0.02, top), (half, depth, 0.025), Label.DESK, board)
    for side in (-1, 1):
        shop.box(place, (side * (half - 0.03), depth + 0.02, top / 2), (0.025, depth, top / 2), Label.DESK, board)
    if s.chance(0.5):
        shop.box(place, (half - 0.25, depth, top - 0.3), (0.2, depth - 0.03, 0.28), Label.DESK, board)
    screen = Material((0.05, 0.05, 0.06), (0.12, 0.13, 0.16))
    x = rng.uniform(-0.2, 0.2)
    shop.box(place, (x, 0.15, top + 0.25), (0.27, 0.02, 0.17), Label.TV, screen)
    shop.box(place, (x, 0.15, top + 0.05), (0.05, 0.05, 0.03), Label.TV, screen)
    chair(shop, place.moved(0, 2 * depth + 0.25, math.pi + rng.uniform(-0.5, 0.5)))
    if s.chance(0.4):
        table_lamp(shop, place, -half + 0.2, 0.2, top)
    for _ in range(int(rng.integers(3))):
        trinket(shop, place, rng.uniform(-half + 0.1, half - 0.1), rng.uniform(0.2, 0.5), top + 0.025)


def cabinet(shop: Workshop, place: Place) -> None:
    """A wardrobe, or a low chest with things on it."""
    rng, s = shop.rng, shop.swatches
    half, depth = rng.uniform(0.35, 0.75), rng.uniform(0.2, 0.28)
    height = float(rng.choice([0.4, 0.45, 0.9, 1.0]))
    body = s.timber((0.25, 0.55))
    door = Material(body.colour, shaded(body.colour, 0.6), body.texture, body.scale)
    shop.box(place, (0, depth, height), (half, depth, height), Label.CABINET, body)
    doors = max(2, int(half / 0.25))
    for i in range(doors):
        x = -half + (i + 0.5) * 2 * half / doors
        front = (half / doors - 0.02, 0.012, height - 0.06)
        shop.box(place, (x, 2 * depth + 0.005, height), front, Label.CABINET, door)
    if height < 0.5:
        if s.chance(0.3):
            table_lamp(shop, place, rng.uniform(-0.2, 0.2), depth, 2 * height)
        for _ in range(int(rng.integers(3))):
            trinket(shop, place, rng.uniform(-half + 0.1, half - 0.1), depth, 2 * height)


def bookshelf(shop: Workshop, place: Place) -> None:
    rng, s = shop.rng, shop.swatches
    half, depth, height = rng.uniform(0.35, 0.6), 0.15, rng.uniform(0.7, 1.05)
    wood = s.timber((0.4, 0.8))
    back = s.material(shaded(wood.colour, 0.7), wood.texture)
    for side in (-1, 1):
        shop.box(place, (side * half, depth, height), (0.02, depth, height), Label.BOOKSHELF, wood)
    shop.box(place, (0, 0.015, height), (half, 0.012, height), Label.BOOKSHELF, back)
    boards = int(rng.integers(4, 6))
    for i in range(boards + 1):
        z = 0.03 + i * (2 * height - 0.06) / boards
        shop.box(place, (0, depth, z), (half, depth, 0.015), Label.BOOKSHELF, wood)
        if i < boards and s.chance(0.8):
            books = s.material(s.fabric(), Texture.BOOKS, scale=14.0)
            shop.box(place, (0, depth - 0.02, z + 0.14), (half - 0.04, depth * 0.7, 0.12), Label.BOOKSHELF, books)


def fridge(shop: Workshop, place: Place) -> None:
    rng, s = shop.rng, shop.swatches
    value = rng.uniform(0.6, 0.8)
    steel = s.material((value * 0.93, value * 0.98, value * 1.04) if s.chance(0.8) else s.paint())
    shop.box(place, (0, 0.32, 0.55), (0.3, 0.31, 0.55), Label.FRIDGE, steel)
    shop.box(place, (0, 0.32, 1.42), (0.3, 0.31, 0.3), Label.FRIDGE, steel)
    shop.box(place, (0.22, 0.65, 0.85), (0.015, 0.02, 0.2), Label.FRIDGE, s.material((0.4, 0.4, 0.42)))


def tv_stand(shop: Workshop, place: Place) -> None:
    rng, s = shop.rng, shop.swatches
    half = rng.uniform(0.5, 0.8)
    screen = Material((0.04, 0.04, 0.05), (0.1, 0.11, 0.14))
    shop.box(place, (0, 0.2, 0.24), (half, 0.2, 0.22), Label.CABINET, s.furniture())
    shop.box(place, (0, 0.15, 0.82), (half * 0.85, 0.03, 0.3), Label.TV, screen)
    shop.box(place, (0, 0.15, 0.5), (0.1, 0.06, 0.05), Label.TV, s.material((0.08, 0.08, 0.09)))


def plant(shop: Workshop, place: Place) -> None:
    rng, s = shop.rng, shop.swatches
    pot = s.material((0.6, 0.35, 0.25) if s.chance(0.5) else s.paint())
    green = (rng.uniform(0.1, 0.3), rng.uniform(0.35, 0.6), rng.uniform(0.1, 0.25))
    shop.add(place, Shape.CYLINDER, (0, 0.25, 0.18), (0.15, 0.15, 0.18), Label.PLANT, pot)
    for _ in range(4):
        centre = (rng.uniform(-0.12, 0.12), 0.25 + rng.uniform(-0.1, 0.12), rng.uniform(0.5, 1.1))
        half = (rng.uniform(0.1, 0.22), rng.uniform(0.1, 0.2), rng.uniform(0.15, 0.28))
        leaves = s.material(shaded(green, rng.uniform(0.8, 1.2)), Texture.NOISE, scale=10.0)
        shop.add(place, Shape.ELLIPSOID, centre, half, Label.PLANT, leaves)


def floor_lamp(shop: Workshop, place: Place) -> None:
    metal = shop.swatches.material(grey(0.2))
    shop.add(place, Shape.CYLINDER, (0, 0.25, 0.75), (0.02, 0.02, 0.75), Label.LAMP, metal)
    shop.add(place, Shape.CYLINDER, (0, 0.25, 1.6), (0.18, 0.18, 0.14), Label.LAMP, _shade(shop))
    shop.add(place, Shape.CYLINDER, (0, 0.25, 0.02), (0.14, 0.14, 0.02), Label.LAMP, metal)


def bin_(shop: Workshop, place: Place) -> None:
    s = shop.swatches
    shape = Shape.CYLINDER if s.chance(0.5) else Shape.BOX
    material = s.material(s.paint(), s.texture(Texture.PLAIN, Texture.NOISE))
    shop.add(place, shape, (0, 0.2, 0.18), (0.15, 0.15, 0.18), Label.BACKGROUND, material)


def radiator(shop: Workshop, place: Place) -> None:
    ribs = shop.swatches.material((0.88, 0.88, 0.86), Texture.STRIPE, scale=12.0)
    shop.box(place, (0, 0.06, 0.4), (shop.rng.uniform(0.4, 0.6), 0.05, 0.28), Label.BACKGROUND, ribs)


@dataclass(frozen=True)
class Piece:
    """A piece of furniture that stands against a wall."""

    build: Callable[[Workshop, Place], None]
    half_width: float  # m of wall it takes to either side
    tall: bool = False  # hides the wall above it: no window or picture there


PIECES: dict[str, Piece] = {
    "bed": Piece(bed, 0.95),
    "sofa": Piece(sofa, 1.15),
    "desk": Piece(desk, 0.85),
    "cabinet": Piece(cabinet, 0.78, tall=True),
    "bookshelf": Piece(bookshelf, 0.65, tall=True),
    "fridge": Piece(fridge, 0.34, tall=True),
    "tv stand": Piece(tv_stand, 0.85),
    "plant": Piece(plant, 0.3, tall=True),
    "floor lamp": Piece(floor_lamp, 0.25, tall=True),
    "bin": Piece(bin_, 0.25),
}
