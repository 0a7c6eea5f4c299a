"""Colours as rooms have them: every class of furniture has typical ones, with exceptions."""

import colorsys
from dataclasses import dataclass

import numpy as np

from stc_lab.data.rooms.primitives import Texture

RGB = tuple[float, float, float]  # linear, 0 to 1


def grey(value: float) -> RGB:
    return (value, value, value)


def shaded(colour: RGB, factor: float) -> RGB:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


@dataclass(frozen=True)
class Material:
    """Two colours and the texture that mixes them."""

    colour: RGB
    second: RGB
    texture: Texture = Texture.PLAIN
    scale: float = 1.0  # texture periods per metre


class Swatches:
    """Draws materials; a share `exceptions` of the class-typical ones is replaced by any fabric or furniture colour."""

    def __init__(self, rng: np.random.Generator, exceptions: float) -> None:
        self.rng = rng
        self.exceptions = exceptions

    def material(
        self, colour: RGB, texture: Texture = Texture.PLAIN, *, second: RGB | None = None, scale: float = 1.0
    ) -> Material:
        """A material; without a second colour, a darker shade of the first."""
        shade = self.rng.uniform(0.55, 0.85)
        return Material(colour, shaded(colour, shade) if second is None else second, texture, scale)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def texture(self, *choices: Texture) -> Texture:
        return choices[self.rng.integers(len(choices))]

    def wood(self) -> RGB:
        rng = self.rng
        brightness = rng.uniform(0.25, 0.8)
        return (brightness, brightness * rng.uniform(0.68, 0.85), brightness * rng.uniform(0.4, 0.65))

    def paint(self) -> RGB:
        """White, grey to dark, or coloured."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.35:
            value = rng.uniform(0.7, 0.95)
            return (value, value * rng.uniform(0.95, 1), value * rng.uniform(0.88, 1))
        if kind < 0.6:
            value = rng.uniform(0.12, 0.6)
            return (value, value, value * rng.uniform(0.9, 1.1))
        return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.15, 0.6), rng.uniform(0.3, 0.85))

    def fabric(self) -> RGB:
        rng = self.rng
        return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.65), rng.uniform(0.2, 0.9))

    def typical(self, hue: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]) -> RGB:
        """A colour of the class's own range (hue may pass 1), or an exception."""
        rng = self.rng
        if self.chance(self.exceptions):
            return self.fabric()
        return colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value))

    def timber(self, brightness: tuple[float, float], *, warmth: float = 1.0) -> Material:
        """Wood of the class's own brightness, or an exception."""
        rng = self.rng
        if self.chance(self.exceptions):
            return self.furniture()
        value = rng.uniform(*brightness)
        colour = (value, value * (1 - rng.uniform(0.12, 0.25) * warmth), value * (1 - rng.uniform(0.3, 0.5) * warmth))
        return self.material(colour, Texture.WOOD)

    def furniture(self) -> Material:
        """Any wood or paint."""
        if self.chance(0.55):
            return self.material(self.wood(), Texture.WOOD)
        return self.material(self.paint(), self.texture(Texture.PLAIN, Texture.NOISE))
