"""Light on surfaces: one lamp with shadows, ambient light, dark corners at the floor, glowing panes and highlights."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.data.rooms.classes import FINISH, Label
from stc_lab.data.rooms.primitives import Primitives, Scene
from stc_lab.data.rooms.raycast import Hits, occluded
from stc_lab.data.rooms.textures import SurfacePoints, albedo

_LIFT = 0.01  # m: shadow rays end this far above the surface, so that a surface does not shade itself
_STEEPEST = 0.05  # cosine: at a flatter angle than this a pixel's footprint grows no more


@dataclass(frozen=True)
class _Surfaces:
    """Points, unit normals and turned axes of all hits; `own` is the frame of the primitive."""

    point: Float[Tensor, "3 m"]
    normal: Float[Tensor, "3 m"]
    own: Float[Tensor, "3 m"]
    own_normal: Float[Tensor, "3 m"]
    own_direction: Float[Tensor, "3 m"]


def shade(
    scene: Scene,
    origin: Float[Tensor, "p 3"],
    direction: Float[Tensor, "3 p r"],
    hits: Hits,
    pixel: Float[Tensor, " m"],
    *,
    shadows: bool = True,
) -> Float[Tensor, "3 p r"]:
    """Linear RGB radiance towards the origin of the rays; `pixel` is the width (m) of a pixel where each ray hits."""
    packets, rays = hits.t.shape
    surface, t = hits.surface.reshape(-1), hits.t.reshape(-1)
    direction_m = direction.reshape(3, -1)
    geometry = _surfaces(scene, origin, direction_m, surface, t, rays)
    colour = albedo(
        scene.materials,
        scene.micro_contrast,
        _texture_points(scene, geometry, surface, pixel),
        texture=scene.texture,
    )
    point, normal = geometry.point, geometry.normal

    to_light = scene.light[:, None] - point
    distance = to_light.square().sum(dim=0).sqrt()
    to_light = to_light / distance
    lit = (normal * to_light).sum(dim=0).clamp_min_(0)
    diffuse = lit * (2.2 / (1 + 0.35 * distance.square()))
    if shadows:
        diffuse = diffuse * torch.where(_in_shadow(scene, point, normal, lit, packets), 0.25, 1.0)
    corner = 0.75 + 0.25 * (point[2] / 0.25).clamp(0, 1)
    sky = (0.75 + 0.25 * normal[2]) * corner
    light = scene.ambient[:, None] * sky + scene.light_colour[:, None] * (0.8 * diffuse)
    label = scene.materials.label[surface]
    glowing = (label == Label.LAMP) | (label == Label.WINDOW)
    light = torch.where(glowing, 0.6 + 0.4 * light, light)
    radiance = colour.clamp_(0, 1.2) * light

    if scene.gloss > 0:
        strength = colour.new_tensor([1.3 * FINISH[name].gloss for name in Label])[label]
        half_way = to_light - direction_m / direction_m.square().sum(dim=0).sqrt()
        half_way = half_way / half_way.square().sum(dim=0).sqrt().clamp_min(1e-6)
        radiance += scene.gloss * strength * (normal * half_way).sum(dim=0).clamp_min_(0) ** 24
    return radiance.reshape(3, packets, rays)


def _in_shadow(scene: Scene, point: Tensor, normal: Tensor, lit: Tensor, packets: int) -> Bool[Tensor, " m"]:
    """Whether furniture hides the lamp. The lamp is the origin of all shadow rays, so that they come in packets too."""
    ends = torch.where(lit > 0, point + _LIFT * normal, scene.light[:, None])
    reach = (ends - scene.light[:, None]).reshape(3, packets, -1)
    busy = (lit.reshape(packets, -1) > 0).any(dim=1).nonzero()[:, 0]
    shadow = torch.zeros(reach.shape[1:], dtype=torch.bool, device=point.device)
    shadow[busy] = occluded(scene, scene.light.expand(len(busy), 3), reach[:, busy])
    return shadow.reshape(-1)


def _surfaces(scene: Scene, origin: Tensor, direction: Tensor, surface: Tensor, t: Tensor, rays: int) -> _Surfaces:
    """Where each ray hits, and how the surface is turned there. The faces of the room are their own frame."""
    primitives = scene.primitives
    point = torch.addcmul(origin.T.repeat_interleave(rays, dim=1), direction, t)
    of_room = surface >= len(primitives)
    index = torch.where(of_room, 0, surface)
    cosine = torch.where(of_room, 1.0, primitives.yaw.cos()[index])
    sine = torch.where(of_room, 0.0, primitives.yaw.sin()[index])
    centre = torch.where(of_room, 0.0, primitives.centre.T[:, index])
    own = _turned(point - centre, cosine, -sine)
    own_normal = _normals(primitives, own, index)
    face = surface - len(primitives)
    inward = own.new_tensor([[1, -1, 0, 0, 0, 0], [0, 0, 1, -1, 0, 0], [0, 0, 0, 0, 1, -1]])
    own_normal = torch.where(of_room, inward[:, face.clamp_min(0)], own_normal)
    return _Surfaces(point, _turned(own_normal, cosine, sine), own, own_normal, _turned(direction, cosine, -sine))


def _turned(vector: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Vectors [3, m] turned about z."""
    x, y, z = vector
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y, z])


def _normals(primitives: Primitives, own: Tensor, index: Tensor) -> Tensor:
    """Outward normals in the primitive's own frame."""
    half = primitives.half.T[:, index]
    unit = own / half
    x, y, z = unit.abs()
    on_x = (x >= y) & (x >= z)
    on_y = ~on_x & (y >= z)
    normal = torch.stack([on_x, on_y, ~(on_x | on_y)]) * unit.sign()
    boxes, cylinders, _ = primitives.counts
    round_ = (index >= boxes).nonzero()[:, 0]
    if len(round_):
        upright = index[round_] < boxes + cylinders
        q = unit[:, round_]
        cap = upright & (q[2].abs() > 0.995)
        side = q / half[:, round_]
        side[2] = torch.where(upright, 0.0, side[2])
        side[:2] = torch.where(cap, 0.0, side[:2])
        side[2] = torch.where(cap, q[2].sign(), side[2])
        normal[:, round_] = side / side.square().sum(dim=0).sqrt().clamp_min(1e-9)
    return normal


def _texture_points(scene: Scene, geometry: _Surfaces, surface: Tensor, pixel: Tensor) -> SurfacePoints:
    """Texture coordinates along the two axes that the surface follows best, and the footprint of a pixel on them."""
    own = geometry.own + scene.materials.phase.T[:, surface]
    normal, direction = geometry.own_normal, geometry.own_direction
    x, y, z = normal.abs()
    on_x, on_z = (x >= y) & (x >= z), (z > x) & (z > y)
    slant = (normal * direction).sum(dim=0).abs().clamp_min_(_STEEPEST).reciprocal_()
    along_u = torch.where(on_x, direction[1], direction[0]) * slant
    along_v = torch.where(on_z, direction[1], direction[2]) * slant
    return SurfacePoints(
        surface,
        own,
        torch.where(on_x, own[1], own[0]),
        torch.where(on_z, own[1], own[2]),
        pixel * (1 + along_u.square()).sqrt(),
        pixel * (1 + along_v.square()).sqrt(),
    )
