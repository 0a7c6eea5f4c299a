"""Send things through a room, on paths where they meet neither furniture nor each other nor the camera."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data.rooms.build import with_movers
from stc_lab.data.rooms.classes import Label
from stc_lab.data.rooms.furniture import Place, Workshop, chair, plant
from stc_lab.data.rooms.materials import Swatches
from stc_lab.data.rooms.movers import Movers, ellipse_rate
from stc_lab.data.rooms.primitives import Scene, Shape, Texture
from stc_lab.data.rooms.raycast import occluded
from stc_lab.data.rooms.space import Space
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

MOST_MOVERS = 6
_AROUND = np.linspace(0, 2 * np.pi, 64, endpoint=False)
_FROM_CAMERA = 0.35  # m between the camera and a mover's outline
_APART = 0.08  # m between the outlines of any two movers, whenever they pass
_CHOICE = 8  # valid paths, of which the one that the camera sees most of is taken
_PATIENCE = 40  # valid paths after which one that the camera never sees will do
_TRIES = 100  # for each kind of thing
_LOOKS = 16  # frames in which it is counted how often a mover is seen


def _robot(shop: Workshop, place: Place) -> None:
    """A round body with a head and a dark visor."""
    s = shop.swatches
    body, head = s.material(s.paint(), Texture.STRIPE, scale=6.0), s.material((0.85, 0.85, 0.88))
    shop.add(place, Shape.CYLINDER, (0, 0, 0.24), (0.22, 0.22, 0.24), Label.BACKGROUND, body)
    shop.add(place, Shape.ELLIPSOID, (0, 0, 0.58), (0.17, 0.17, 0.16), Label.BACKGROUND, head)
    shop.box(place, (0, 0.13, 0.58), (0.1, 0.06, 0.035), Label.BACKGROUND, s.material((0.05, 0.06, 0.1)))


def _trolley(shop: Workshop, place: Place) -> None:
    """A low chest on four wheels."""
    s = shop.swatches
    wood, wheel = s.timber((0.25, 0.55)), s.material((0.1, 0.1, 0.1))
    shop.box(place, (0, 0, 0.42), (0.24, 0.34, 0.32), Label.CABINET, wood)
    shop.box(place, (0, 0, 0.76), (0.26, 0.36, 0.02), Label.CABINET, s.material(s.paint()))
    for x in (-0.2, 0.2):
        for y in (-0.28, 0.28):
            shop.add(place, Shape.ELLIPSOID, (x, y, 0.06), (0.03, 0.06, 0.06), Label.CABINET, wheel)


def _ball(shop: Workshop, place: Place) -> None:
    s = shop.swatches
    skin = s.material(s.fabric(), Texture.CHECK, second=s.fabric(), scale=5.0)
    shop.add(place, Shape.ELLIPSOID, (0, 0, 0.24), (0.24, 0.24, 0.24), Label.BACKGROUND, skin)


def _balloon(shop: Workshop, place: Place) -> None:
    """An air ship at the height of the eyes."""
    s = shop.swatches
    skin = s.material(s.fabric(), Texture.STRIPE, second=s.fabric(), scale=5.0)
    shop.add(place, Shape.ELLIPSOID, (0, 0, 1.75), (0.15, 0.24, 0.15), Label.BACKGROUND, skin)
    shop.box(place, (0, -0.2, 1.75), (0.1, 0.04, 0.012), Label.BACKGROUND, s.material((0.3, 0.3, 0.32)))


@dataclass(frozen=True)
class _Kind:
    """A thing that moves; it faces +y."""

    build: Callable[[Workshop, Place], None]
    radius: float  # m, of the upright cylinder that holds it
    low: float  # m
    high: float
    hop: float = 0.0  # m


_KINDS = (
    _Kind(chair, 0.37, 0.0, 1.05),
    _Kind(_robot, 0.24, 0.0, 0.76),
    _Kind(_trolley, 0.46, 0.0, 0.8),
    _Kind(_ball, 0.25, 0.0, 0.5, hop=0.45),
    _Kind(lambda shop, place: plant(shop, place.moved(0.0, -0.25)), 0.4, 0.0, 1.4),
    _Kind(_balloon, 0.26, 1.55, 1.95, hop=0.2),
)


@dataclass(frozen=True)
class _Track:
    """One closed path and the cylinder that goes along it."""

    kind: _Kind
    centre: np.ndarray  # [2] m
    axes: tuple[float, float]  # m
    heading: float  # rad
    rate: float  # rad per frame
    phase: float  # rad
    hops: float  # rad per frame

    @property
    def high(self) -> float:
        return self.kind.high + self.kind.hop

    def places(self, angle: np.ndarray) -> np.ndarray:
        """Points [n, 2] of the path at angles from its start."""
        x, y = self.axes[0] * np.cos(self.phase + angle), self.axes[1] * np.sin(self.phase + angle)
        c, s = math.cos(self.heading), math.sin(self.heading)
        return self.centre + np.stack([c * x - s * y, s * x + c * y], axis=1)


def staged(
    scene: Scene, camera: Camera, T_world_camera: Float[Tensor, "t 4 4"], count: int, rng: np.random.Generator
) -> Scene:
    """The scene with `count` moving things (0 to 6), where the camera of these poses sees much of them.

    They are office chairs, robots, trolleys, plants, hopping balls and air ships, 0.03 to 0.08 m per frame fast. None
    ever passes through a wall, furniture, another one, or, in these frames, the camera.
    """
    if not 0 <= count <= MOST_MOVERS:
        raise InputError(f"the number of moving things must be between 0 and {MOST_MOVERS}, got {count}")
    if count == 0:
        return scene
    shop, space = Workshop(rng, Swatches(rng, 0.0)), Space(scene)
    position = T_world_camera[:, :3, 3].double().cpu().numpy()
    view = _View(scene, camera, T_world_camera)
    tracks: list[_Track] = []
    for _ in range(count):
        tracks.append(_free_track(space, position, view, tracks, rng))
    movers = _movers(tracks)
    start = movers.T_world_object(torch.zeros(1, dtype=torch.float64))[0]
    of: list[int] = []
    for i, (track, pose) in enumerate(zip(tracks, start, strict=True)):
        before = len(shop.parts)
        x, y = pose[0, 3].item(), pose[1, 3].item()
        track.kind.build(shop, Place(x, y, math.atan2(pose[1, 0].item(), pose[0, 0].item())))
        of += [i] * (len(shop.parts) - before)
    return with_movers(scene, shop.parts, of, movers)


class _View:
    """How often the camera would see a thing, from a few of its frames."""

    def __init__(self, scene: Scene, camera: Camera, T_world_camera: Float[Tensor, "t 4 4"]) -> None:
        self.chosen = torch.linspace(0, len(T_world_camera) - 1, min(_LOOKS, len(T_world_camera))).round().long()
        self._scene, self._camera, self._poses = scene, camera, T_world_camera[self.chosen]

    def share(self, track: _Track) -> float:
        """Share of the frames in which the thing's middle is in the image and nothing stands before it."""
        T = self._poses
        place = track.places(track.rate * self.chosen.numpy())
        middle = np.full(len(place), (track.kind.low + track.kind.high) / 2)
        point = torch.from_numpy(np.column_stack([place, middle])).to(T)
        reach = point - T[:, :3, 3]
        x, y, z = (T[:, :3, :3].transpose(1, 2) @ reach[:, :, None])[:, :, 0].unbind(dim=1)
        K, (height, width) = self._camera.K[0].to(T), self._camera.size
        depth = z.clamp_min(1e-3)
        u, v = K[0, 0] * x / depth + K[0, 2], K[1, 1] * y / depth + K[1, 2]
        seen = (z > 0.3) & (u > 0) & (u < width - 1) & (v > 0) & (v < height - 1)
        if not bool(seen.any()):
            return 0.0
        hidden = occluded(self._scene, T[seen, :3, 3], reach[seen].T[:, :, None])
        return float((~hidden).sum()) / len(T)


def _free_track(
    space: Space, camera: np.ndarray, view: _View, others: list[_Track], rng: np.random.Generator
) -> _Track:
    """A path clear of everything: of the first few, the one that the camera sees most of.

    One kind after the other is tried, in random order, each on smaller and smaller paths.
    """
    kinds = [_KINDS[i] for i in rng.permutation(len(_KINDS))] + [_KINDS[-1]] * 4  # high up there is always some space
    best, most, valid = None, -1.0, 0
    for kind, attempt in product(kinds, range(_TRIES)):
        long = rng.uniform(0.15, 1.0 - 0.8 * attempt / _TRIES)
        axes = (long, long * rng.uniform(0.35, 1.0))
        track = _Track(
            kind=kind,
            centre=rng.uniform(0.1, 0.9, 2) * space.size[:2],
            axes=axes,
            heading=rng.uniform(0, 2 * np.pi),
            rate=ellipse_rate(rng.uniform(0.03, 0.08), axes) * rng.choice([-1, 1]),
            phase=rng.uniform(0, 2 * np.pi),
            hops=2 * math.pi / rng.uniform(6, 14),
        )
        if not _clear(track, space, camera, others):
            continue
        valid += 1
        seen = view.share(track)
        if seen > most:
            best, most = track, seen
        if valid >= _PATIENCE or (valid >= _CHOICE and most > 0):
            break
    if best is None:
        raise InputError(
            f"no room for {len(others) + 1} moving things in this room: all paths tried met something",
            hint="fewer moving_objects or less clutter",
        )
    return best


def _clear(track: _Track, space: Space, camera: np.ndarray, others: list[_Track]) -> bool:
    round_ = track.places(_AROUND)
    if not space.clear(round_, track.kind.radius + 0.04, track.kind.low + 0.03, track.high + 0.03):
        return False
    for other in others:
        level = track.kind.low < other.high + _APART and other.kind.low < track.high + _APART
        gap = np.linalg.norm(round_[:, None] - other.places(_AROUND), axis=-1).min()
        if level and gap < track.kind.radius + other.kind.radius + _APART:
            return False
    then = track.places(track.rate * np.arange(len(camera)))
    near = np.linalg.norm(then - camera[:, :2], axis=1) < track.kind.radius + _FROM_CAMERA
    as_high = (camera[:, 2] > track.kind.low - _FROM_CAMERA) & (camera[:, 2] < track.high + _FROM_CAMERA)
    return not (near & as_high).any()


def _movers(tracks: list[_Track]) -> Movers:
    def of(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    return Movers(
        of=torch.zeros(0, dtype=torch.int64),
        centre=torch.from_numpy(np.stack([track.centre for track in tracks])),
        axes=torch.tensor([track.axes for track in tracks], dtype=torch.float64),
        heading=of([track.heading for track in tracks]),
        rate=of([track.rate for track in tracks]),
        phase=of([track.phase for track in tracks]),
        hop=of([track.kind.hop for track in tracks]),
        hops=of([track.hops for track in tracks]),
    )
