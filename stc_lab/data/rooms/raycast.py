"""Exact first hits of rays with a room, for packets of rays that share an origin.

A packet is a small tile of pixels with the camera as origin, or the same tile's surface points seen from the light.
Primitives outside the cone around a packet are left out: most of the room is, for most packets.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.rooms.primitives import Primitives, Scene, Shape

_TINY = 1e-9  # stands in for a direction component of zero, whose reciprocal would make NaN
_FIRST = 1e-3  # nearest t that counts as a hit
_PACKETS_AT_ONCE = 256  # keeps the intermediate tensors in the processor's cache
_PACKETS_AT_ONCE_ELSEWHERE = 8192  # another device than the CPU wants much to do at once


@dataclass(frozen=True)
class Hits:
    """First surface along each ray: the point is origin + t direction."""

    t: Float[Tensor, "p r"]
    surface: Int64[Tensor, "p r"]  # index into the scene's materials


def cast(scene: Scene, origin: Float[Tensor, "p 3"], direction: Float[Tensor, "3 p r"]) -> Hits:
    """First hit of each ray with the furniture or the room itself; the origins lie inside the room."""
    t, surface = nearest(scene.primitives, origin, direction)
    size = scene.room.to(direction.dtype)
    inverse = 1 / torch.where(direction.abs() < _TINY, _TINY, direction)
    ends = size[:, None] * torch.ones_like(origin.T)
    exits = torch.where(inverse > 0, (ends - origin.T)[:, :, None], -origin.T[:, :, None]).mul_(inverse)
    wall_t, axis = exits.min(dim=0)
    positive = inverse.gather(0, axis[None])[0] > 0
    room = wall_t < t
    return Hits(torch.where(room, wall_t, t), torch.where(room, len(scene.primitives) + 2 * axis + positive, surface))


def occluded(
    scene: Scene, origin: Float[Tensor, "p 3"], reach: Float[Tensor, "3 p r"], *, slack: float = 1e-3
) -> Bool[Tensor, "p r"]:
    """Whether furniture lies between the origin and origin + reach, nearer than (1 - slack) of the way.

    The room itself is convex and hides nothing.
    """
    t, _ = nearest(scene.primitives, origin, reach)
    return t < 1 - slack


def nearest(
    primitives: Primitives, origin: Float[Tensor, "p 3"], direction: Float[Tensor, "3 p r"]
) -> tuple[Float[Tensor, "p r"], Int64[Tensor, "p r"]]:
    """Find the first front face of a primitive: its t and index, infinity and 0 where there is none.

    A primitive that encloses the origin is not seen.
    """
    step = _PACKETS_AT_ONCE if direction.device.type == "cpu" else _PACKETS_AT_ONCE_ELSEWHERE
    parts = [
        _nearest(primitives, origin[i : i + step], direction[:, i : i + step]) for i in range(0, len(origin), step)
    ]
    return torch.cat([t for t, _ in parts]), torch.cat([index for _, index in parts])


def _nearest(primitives: Primitives, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    best = torch.full_like(direction[0], math.inf)
    index = torch.zeros_like(best, dtype=torch.int64)
    keep = _near_packet(primitives, origin, direction)
    start = 0
    for shape, count in zip(Shape, primitives.counts, strict=True):
        packet, primitive, sizes, order = _pairs(keep[:, start : start + count])
        if sizes:
            primitive = primitive + start
            t = _intersect(shape, primitives, primitive, origin[packet], direction[:, packet])
            best_here, index_here = best[order], index[order]
            row = 0
            for size in sizes:  # one candidate of each packet at a time; the packets with most candidates come first
                nearer = t[row : row + size] < best_here[:size]
                best_here[:size] = torch.where(nearer, t[row : row + size], best_here[:size])
                index_here[:size] = torch.where(nearer, primitive[row : row + size, None], index_here[:size])
                row += size
            best[order], index[order] = best_here, index_here
        start += count
    return best, index


def _pairs(keep: Tensor) -> tuple[Tensor, Tensor, list[int], Tensor]:
    """(packet, primitive) pairs to test, as rounds: round k holds the k-th candidate of each packet that has one.

    Also the size of each round, and the packets in the order in which all rounds list them.
    """
    order = torch.argsort(keep.sum(dim=1), descending=True, stable=True)
    packet, primitive = keep[order].nonzero().unbind(dim=1)
    turn = (keep[order].cumsum(dim=1) - 1)[packet, primitive]
    by_turn = torch.argsort(turn, stable=True)
    return order[packet[by_turn]], primitive[by_turn], torch.bincount(turn).tolist(), order


def _near_packet(primitives: Primitives, origin: Tensor, direction: Tensor) -> Tensor:
    """Which primitives may meet the cone around each packet [p, n]; never leaves out one that does.

    The plane that touches the cone on the side of the primitive's centre separates the two if the primitive's own
    extent along the plane's normal is smaller than its distance.
    """
    unit = direction / direction.square().sum(dim=0).sqrt()
    axis = unit.mean(dim=2)
    axis = axis / axis.square().sum(dim=0).sqrt().clamp_min(_TINY)
    cosine = (unit * axis[:, :, None]).sum(dim=0).amin(dim=1)[:, None] - 1e-6
    sine = (1 - cosine.square()).clamp_min(0).sqrt()
    to_centre = primitives.centre.to(direction.dtype).T[:, None, :] - origin.T[:, :, None]
    along = (to_centre * axis[:, :, None]).sum(dim=0)
    across = to_centre - along * axis[:, :, None]
    distance = across.square().sum(dim=0).sqrt()
    normal = cosine * across / distance.clamp_min(_TINY) - sine * axis[:, :, None]
    beside = (normal * to_centre).sum(dim=0) > _extent(primitives, normal) + 1e-4
    behind = along + _extent(primitives, axis[:, :, None].expand_as(normal)) < -1e-4
    return ~((beside | behind) & (cosine > 0))


def _extent(primitives: Primitives, normal: Tensor) -> Tensor:
    """Half the width of each primitive along normals [3, p, n], measured from its centre."""
    dtype = normal.dtype
    cosine, sine = primitives.yaw.to(dtype).cos(), primitives.yaw.to(dtype).sin()
    half = primitives.half.to(dtype).T[:, None, :]
    x = (cosine * normal[0] + sine * normal[1]).mul_(half[0])
    y = (cosine * normal[1] - sine * normal[0]).mul_(half[1])
    z = normal[2] * half[2]
    box = x.abs() + y.abs() + z.abs()
    a, b = primitives.counts[0], primitives.counts[0] + primitives.counts[1]
    box[:, a:b] = (x[:, a:b].square() + y[:, a:b].square()).sqrt() + z[:, a:b].abs()
    box[:, b:] = (x[:, b:].square() + y[:, b:].square() + z[:, b:].square()).sqrt()
    return box


def _intersect(shape: Shape, primitives: Primitives, index: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """Find t of the front face for each pair of packet and primitive [q, r]; infinity where the ray misses.

    Rays are taken into the frame in which the primitive is the unit cube, cylinder or ball.
    """
    dtype = direction.dtype
    yaw, half, centre = (part.to(dtype)[index] for part in (primitives.yaw, primitives.half, primitives.centre))
    cosine, sine = yaw.cos(), yaw.sin()
    x, y, z = (origin - centre).unbind(dim=1)
    ox = ((cosine * x + sine * y) / half[:, 0])[:, None]
    oy = ((cosine * y - sine * x) / half[:, 1])[:, None]
    oz = (z / half[:, 2])[:, None]
    dx = torch.addcmul(direction[0] * (cosine / half[:, 0])[:, None], direction[1], (sine / half[:, 0])[:, None])
    dy = torch.addcmul(direction[1] * (cosine / half[:, 1])[:, None], direction[0], (-sine / half[:, 1])[:, None])
    dz = direction[2] * (1 / half[:, 2])[:, None]
    if shape == Shape.BOX:
        enter, leave = _slab(ox, dx)
        for o, d in ((oy, dy), (oz, dz)):
            near, far = _slab(o, d)
            enter, leave = torch.maximum(enter, near), torch.minimum(leave, far)
    else:
        a, b, c = dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - 1
        if shape == Shape.ELLIPSOID:
            a, b, c = torch.addcmul(a, dz, dz), torch.addcmul(b, oz, dz), c + oz * oz
        discriminant = b * b - a * c
        root = discriminant.clamp_min(0).sqrt()
        a = a.clamp_min(_TINY * _TINY)
        leave = torch.where(discriminant > 0, (root - b) / a, -math.inf)
        enter = (-root - b) / a
        if shape == Shape.CYLINDER:
            near, far = _slab(oz, dz)
            enter, leave = torch.maximum(enter, near), torch.minimum(leave, far)
    return torch.where((enter < leave) & (enter > _FIRST), enter, math.inf)


def _slab(origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Where a ray enters and leaves -1 <= x <= 1, as t."""
    width = direction.abs().clamp_min_(_TINY).reciprocal_()
    middle = torch.copysign(width, direction).mul_(-origin)
    return middle - width, middle + width
