"""Ray casting against a slow loop in plain floats, which knows no packets and leaves nothing out."""

import math

import torch

from stc_lab.data.rooms.build import build_scene
from stc_lab.data.rooms.primitives import Scene, Shape
from stc_lab.data.rooms.raycast import cast, nearest, occluded


def _slow_hit(scene: Scene, origin: list[float], direction: list[float]) -> tuple[float, int]:
    """T and surface of the first hit: each solid in turn, by where the ray crosses its planes and curved sides."""
    best, which = math.inf, -1
    solids = scene.primitives
    shapes = [shape for shape, count in zip(Shape, solids.counts, strict=True) for _ in range(count)]
    for i, shape in enumerate(shapes):
        (cx, cy, cz), half, yaw = solids.centre[i].tolist(), solids.half[i].tolist(), float(solids.yaw[i])

        def own(x: float, y: float, z: float, yaw: float = yaw, half: list[float] = half) -> tuple[float, ...]:
            c, s = math.cos(yaw), math.sin(yaw)
            return (c * x + s * y) / half[0], (c * y - s * x) / half[1], z / half[2]

        o, d = own(origin[0] - cx, origin[1] - cy, origin[2] - cz), own(*direction)
        crossings = []
        flat = {Shape.BOX: (0, 1, 2), Shape.CYLINDER: (2,), Shape.ELLIPSOID: ()}[shape]
        round_ = {Shape.BOX: (), Shape.CYLINDER: (0, 1), Shape.ELLIPSOID: (0, 1, 2)}[shape]
        for axis in flat:
            for side in (-1, 1):
                if d[axis] != 0:
                    t = (side - o[axis]) / d[axis]
                    p = [a + t * b for a, b in zip(o, d, strict=True)]
                    others = [k for k in range(3) if k != axis]
                    if shape == Shape.BOX and all(abs(p[k]) <= 1 for k in others):
                        crossings.append(t)
                    if shape == Shape.CYLINDER and p[0] ** 2 + p[1] ** 2 <= 1:
                        crossings.append(t)
        if round_:
            a, b, c = (sum(p[k] * q[k] for k in round_) for p, q in ((d, d), (o, d), (o, o)))
            if b * b - a * (c - 1) > 0:
                for sign in (-1, 1):
                    t = (-b + sign * math.sqrt(b * b - a * (c - 1))) / a
                    if shape == Shape.ELLIPSOID or abs(o[2] + t * d[2]) <= 1:
                        crossings.append(t)
        if len(crossings) >= 2 and 0 < min(crossings) < best:
            best, which = min(crossings), i
    for axis in range(3):
        if d_axis := direction[axis]:
            t = ((scene.room[axis].item() if d_axis > 0 else 0.0) - origin[axis]) / d_axis
            if t < best:
                best, which = t, len(solids) + 2 * axis + (d_axis > 0)
    return best, which


def _packets(scene: Scene, count: int, rays: int, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Packets of rays about random directions, from random places above the furniture."""
    generator = torch.Generator().manual_seed(count)
    origin = scene.room * torch.rand(count, 3, generator=generator, dtype=torch.float64)
    origin[:, 2] = 2.2
    axis = torch.randn(3, count, 1, generator=generator, dtype=torch.float64)
    axis[2] -= 0.7
    return origin, axis + spread * torch.randn(3, count, rays, generator=generator, dtype=torch.float64)


def test_the_first_hit_is_that_of_a_slow_loop_for_narrow_and_wide_packets() -> None:
    wrong = total = 0
    for seed, spread in ((1, 0.05), (5, 0.5), (12, 3.0)):
        scene = build_scene(seed).to(dtype=torch.float64)
        origin, direction = _packets(scene, 12, 9, spread)
        hits = cast(scene, origin, direction)
        for p in range(12):
            for r in range(9):
                t, surface = _slow_hit(scene, origin[p].tolist(), direction[:, p, r].tolist())
                assert abs(t - float(hits.t[p, r])) < 1e-9 * max(1.0, t)
                wrong += surface != int(hits.surface[p, r])
                total += 1
    assert wrong <= total // 100  # two solids may touch in one plane: either is right


def test_a_ray_along_an_axis_through_a_centre_hits_the_near_face() -> None:
    """Direction components of exactly zero make no NaN."""
    scene = build_scene(3).to(dtype=torch.float64)
    i = 0
    centre, top = scene.primitives.centre[i], scene.primitives.centre[i, 2] + scene.primitives.half[i, 2]
    origin = torch.stack([centre[0], centre[1], scene.room[2] - 0.01])[None]
    t, _ = nearest(scene.primitives, origin, torch.tensor([[[0.0]], [[0.0]], [[-1.0]]], dtype=torch.float64))
    assert torch.isfinite(t).all()
    assert float(t) <= float(origin[0, 2] - top) + 1e-9


def test_a_ray_ends_at_its_own_surface_and_behind_furniture() -> None:
    scene = build_scene(5)
    origin, direction = (x.float() for x in _packets(scene, 40, 16, 0.3))
    hits = cast(scene, origin, direction)
    furniture = hits.surface < len(scene.primitives)
    assert furniture.any()
    assert not occluded(scene, origin, hits.t * direction, slack=1e-4).any()
    behind = occluded(scene, origin, (hits.t + 0.3) * direction, slack=1e-4)
    assert torch.equal(behind[furniture], torch.ones_like(behind[furniture]))


def test_the_work_may_be_split_into_any_packets() -> None:
    """Culling by packet is an economy, not an approximation."""
    scene = build_scene(7)
    origin, direction = (x.float() for x in _packets(scene, 30, 16, 0.8))
    together = cast(scene, origin, direction)
    alone = cast(scene, origin.repeat_interleave(16, dim=0), direction.reshape(3, -1, 1))
    assert torch.allclose(together.t.reshape(-1, 1), alone.t, rtol=1e-6, atol=0)
    assert torch.equal(together.surface.reshape(-1, 1), alone.surface)
