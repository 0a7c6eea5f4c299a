"""Colour of surface points: two-colour textures and class-typical micro textures, faded out by the pixel's footprint.

A texture loses its contrast before a pixel gets as wide as half its period, as in a camera whose lens is no sharper
than its pixels. So two views of a surface differ by their sensor noise, and not by how each happened to sample it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.rooms.classes import FINISH, Label, Pattern
from stc_lab.data.rooms.primitives import Materials, Texture

_CELLS = 64  # side of the periodic lattice of random values
_OCTAVES = (2.5, 8.0, 22.0)  # 1/m: cells per metre of the three octaves of value noise
_DOTS_SHARE = 0.255  # of the area where sin u sin v > 0.35


@dataclass(frozen=True)
class SurfacePoints:
    """Points on surfaces, in the surface's own coordinates (m); u and v run along the surface."""

    surface: Int64[Tensor, " m"]  # index into the materials
    own: Float[Tensor, "3 m"]  # in the frame of the primitive, shifted by its phase
    u: Float[Tensor, " m"]
    v: Float[Tensor, " m"]
    pixel_u: Float[Tensor, " m"]  # m along u and v that one pixel covers, seen at its slant
    pixel_v: Float[Tensor, " m"]

    def __getitem__(self, chosen: Tensor) -> "SurfacePoints":
        return SurfacePoints(
            self.surface[chosen],
            self.own[:, chosen],
            self.u[chosen],
            self.v[chosen],
            self.pixel_u[chosen],
            self.pixel_v[chosen],
        )


def fade(cycles_per_pixel: Tensor) -> Tensor:
    """Contrast left of a texture: 1 where it is finely sampled, 0 from 0.4 cycles per pixel on."""
    return (1 - 2.5 * cycles_per_pixel).clamp_(0, 1)


def albedo(
    materials: Materials, micro_contrast: float, points: SurfacePoints, *, texture: float = 1.0
) -> Float[Tensor, "3 m"]:
    """Colour of each point under white light; `texture` (0..1) is the contrast left of all that varies on a surface."""
    noise = _octaves(points)
    kinds, scale = materials.texture[points.surface], materials.scale[points.surface]
    mix = 0.22 * noise[2] + 0.14 * noise[1]
    for kind, pattern in _PATTERNS.items():
        chosen = (kinds == kind).nonzero()[:, 0]
        if len(chosen):
            mix[chosen] += pattern(points[chosen], scale[chosen], noise[:, chosen])
    mix.clamp_(-0.15, 1.15)
    if texture < 1:
        mix = torch.lerp(_faded(points.u.device, points.u.dtype)[kinds], mix, texture)
    first, second = materials.colour.T[:, points.surface], materials.second.T[:, points.surface]
    colour = torch.lerp(first, second, mix)
    books = (kinds == Texture.BOOKS).nonzero()[:, 0]
    if len(books):
        colour[:, books] = _books(points[books], scale[books], texture)
    if micro_contrast > 0:
        colour *= 1 + texture * micro_contrast * _micro(materials, points, noise[2])
    return colour


def _octaves(points: SurfacePoints) -> Tensor:
    """Three octaves of value noise, each within +-0.5 and faded [3, m]."""
    pixel = (points.pixel_u * points.pixel_v).sqrt()
    uv = torch.stack([points.u, points.v], dim=-1)
    values = []
    for i, frequency in enumerate(_OCTAVES):
        values.append(value_noise(uv * frequency + 7.3 * i) * fade(pixel * (frequency / 2)))
    return torch.stack(values)


@lru_cache(maxsize=8)
def _lattice(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Random values in +-0.5 on a lattice that repeats after _CELLS, with one more row and column [1, 1, n, n]."""
    values = np.random.default_rng(20).random((_CELLS, _CELLS)) - 0.5
    return torch.from_numpy(np.pad(values, (0, 1), mode="wrap"))[None, None].to(device=device, dtype=dtype)


def value_noise(uv: Float[Tensor, "m 2"]) -> Float[Tensor, " m"]:
    """Smooth noise in +-0.5 with one random value per unit cell."""
    cell = uv.floor()
    inside = uv - cell
    inside = inside * inside * (3 - 2 * inside)
    cell -= _CELLS * (cell / _CELLS).floor()
    grid = ((cell + inside) * (2 / _CELLS) - 1)[None, None]
    lattice = _lattice(uv.device, uv.dtype)
    return F.grid_sample(lattice, grid, mode="bilinear", padding_mode="border", align_corners=True)[0, 0, 0]


def _random(i: Tensor, j: Tensor | int = 0) -> Tensor:
    """A random value in [0, 1) for each pair of whole numbers."""
    key = i.floor().long() * 73 + (j if isinstance(j, int) else j.floor().long()) * 7919
    return _lattice(i.device, i.dtype)[0, 0, :-1, :-1].reshape(-1)[key.remainder(_CELLS * _CELLS)] + 0.5


def _square(x: Tensor, width: Tensor) -> Tensor:
    """Square wave of period 2 in +-1 with ramps of one pixel's `width`."""
    nearest = x.round()
    sign = 1 - 2 * nearest.remainder(2)
    return sign * ((x - nearest) * 2 / width.clamp_min(1e-6)).clamp_(-1, 1)


def _line(x: Tensor, half: float, width: Tensor) -> Tensor:
    """Share of a pixel of `width` that lies on the lines |x - n| < half."""
    edge = (half - (x - x.round()).abs()) / width.clamp_min(1e-6) + 0.5
    return edge.clamp_(0, 1) * (2 * half / width.clamp_min(1e-6)).clamp_(max=1)


def _triangle(x: Tensor) -> Tensor:
    """Triangle wave of period 1: 1 at whole numbers, 0 half way."""
    return (x - x.floor() - 0.5).abs() * 2


def _soft(x: Tensor) -> Tensor:
    return torch.sigmoid((x - 0.5) * 12)


def _wood(p: SurfacePoints, scale: Tensor, noise: Tensor) -> Tensor:
    rings = torch.sin(p.own[0] * 3 + p.own[1] * 2 + p.own[2] * 17 + noise[0] * 3)
    return 0.5 + 0.45 * rings * fade(p.pixel_v * 2.7) + 0.6 * noise[1]


def _check(p: SurfacePoints, scale: Tensor, noise: Tensor) -> Tensor:
    contrast = fade(torch.maximum(p.pixel_u, p.pixel_v) * scale / 2)
    return 0.5 + 0.5 * contrast * _square(p.u * scale, p.pixel_u * scale) * _square(p.v * scale, p.pixel_v * scale)


def _stripe(p: SurfacePoints, scale: Tensor, noise: Tensor) -> Tensor:
    return 0.5 + (_soft(_triangle(p.u * scale)) - 0.5) * fade(p.pixel_u * scale)


def _cloud(p: SurfacePoints, scale: Tensor, noise: Tensor) -> Tensor:
    return 0.5 + 0.9 * noise[0] + 0.8 * noise[1] + 0.5 * noise[2]


def _tile(p: SurfacePoints, scale: Tensor, noise: Tensor) -> Tensor:
    across, up = (
        _line(x * scale, 0.04, width * scale) * fade(width * scale) for x, width in ((p.u, p.pixel_u), (p.v, p.pixel_v))
    )
    return 0.1 + 0.9 * torch.maximum(across, up) + 0.3 * noise[1]


def _plank(p: SurfacePoints, scale: Tensor, noise: Tensor) -> Tensor:
    row = p.v * scale * 1.6
    visible = fade(p.pixel_v * scale * 1.6)
    board = _random(row, p.u * scale * 0.35 + 3 * _random(row))
    gap = _line(row, 0.03, p.pixel_v * scale * 1.6)
    return 0.15 + (0.7 * board + 0.4 * gap) * visible + 0.35 * (1 - visible) + 0.4 * noise[1]


def _art(p: SurfacePoints, scale: Tensor, noise: Tensor) -> Tensor:
    shapes = value_noise(torch.stack([p.u, p.v], dim=-1) * scale[:, None])
    return _soft(0.5 + 1.3 * noise[0] + 0.9 * shapes) + 0.3 * noise[1]


_PATTERNS = {
    Texture.WOOD: _wood,
    Texture.CHECK: _check,
    Texture.STRIPE: _stripe,
    Texture.NOISE: _cloud,
    Texture.TILE: _tile,
    Texture.PLANK: _plank,
    Texture.ART: _art,
}


def _books(p: SurfacePoints, scale: Tensor, texture: float) -> Tensor:
    """A row of book spines, each of its own colour; far away their mean."""
    spine = p.u * scale
    colours = torch.stack([_random(spine, channel) for channel in (1, 2, 3)]) * 0.8 + 0.1
    return torch.lerp(torch.full_like(colours, 0.45), colours, texture * fade(p.pixel_u * scale / 2))


@lru_cache(maxsize=8)
def _faded(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Mix of the two colours where nothing of a texture is left, by kind."""
    plain = {Texture.PLAIN: 0.0, Texture.TILE: 0.1}
    return torch.tensor([plain.get(kind, 0.5) for kind in Texture], device=device, dtype=dtype)


def _step(x: Tensor, cycles_per_pixel: Tensor) -> Tensor:
    """The sign of a sine x, with ramps as wide as a pixel."""
    return (x / (torch.pi * cycles_per_pixel).clamp_min(1e-6)).clamp_(-1, 1)


@lru_cache(maxsize=8)
def _finishes(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    patterns = torch.tensor([int(FINISH[label].pattern) for label in Label], device=device)
    return patterns, torch.tensor([FINISH[label].period for label in Label], device=device, dtype=dtype)


def _micro(materials: Materials, points: SurfacePoints, speckle: Tensor) -> Tensor:
    """The micro texture of each point's class, zero in the mean and within about +-1."""
    patterns, periods = _finishes(points.u.device, points.u.dtype)
    label = materials.label[points.surface]
    pattern, period = patterns[label], periods[label]
    cycles = torch.maximum(points.pixel_u, points.pixel_v) / period
    contrast = fade(cycles)
    relief = torch.where(pattern == Pattern.SPECKLE, 2.5 * speckle, 0.0)
    sharp = ((contrast > 0) & (pattern != Pattern.SPECKLE) & (pattern != Pattern.NONE)).nonzero()[:, 0]
    if len(sharp):
        u, v = (2 * torch.pi * x[sharp] / period[sharp] for x in (points.u, points.v))
        relief[sharp] = contrast[sharp] * _relief(pattern[sharp], u, v, cycles[sharp])
    return relief


def _relief(pattern: Tensor, u: Tensor, v: Tensor, cycles: Tensor) -> Tensor:
    across, up = u.sin(), v.sin()
    product = across * up
    relief = torch.where(pattern == Pattern.ROWS, up, across)  # COLUMNS
    relief = torch.where(pattern == Pattern.CHECKS, _step(product, cycles), relief)
    relief = torch.where(pattern == Pattern.DOTS, _step(product - 0.35, cycles) + 1 - 2 * _DOTS_SHARE, relief)
    relief = torch.where(pattern == Pattern.DIAGONALS, torch.sin(0.8 * (u + v)), relief)
    grid = 0.8 * _step(torch.maximum(across, up) - 0.8, cycles) + 0.21
    relief = torch.where(pattern == Pattern.GRID, grid, relief)
    return torch.where(pattern == Pattern.WAVES, torch.sin(v + 1.5 * torch.sin(0.5 * u)), relief)
