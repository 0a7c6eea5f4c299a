"""Camera paths through a room, by family: `dolly` and `handheld` here, `tracking` in a module of its own.

`dolly` swings between close-ups and wide views, `handheld` walks and looks around, `tracking` passes things by.

A camera is never inside a piece of furniture or outside the room: paths that lead there are drawn again.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from torch import Tensor

from stc_lab.data.rooms.classes import Label
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.space import Space
from stc_lab.data.rooms.tracking import tracking_path
from stc_lab.data.rooms.trajectory import direction, looking, sway, wave
from stc_lab.errors import InputError
from stc_lab.geometry.path import interpolate_path

_CLEARANCE = 0.15  # m between the camera and any furniture
_TRIES = 200
_STRETCH = 50  # frames in which a handheld camera passes three way points

Path = tuple[np.ndarray, np.ndarray, np.ndarray]  # positions [t 3], points looked at [t 3], roll [t] (rad)


def dolly_path(scene: Scene, frames: int, rng: np.random.Generator) -> Float[Tensor, "t 4 4"]:
    """Poses that swing about a piece of furniture, 0.5-0.8 m to 2.2-3.2 m away, and about a second one half way."""
    return _clear_path(scene, frames, rng, _swing)


def handheld_path(scene: Scene, frames: int, rng: np.random.Generator) -> Float[Tensor, "t 4 4"]:
    """Poses of someone who walks about the middle of the room and turns: about 0.09 m and 2 degrees per frame."""
    return _clear_path(scene, frames, rng, _walk)


PATHS: dict[str, Callable[[Scene, int, np.random.Generator], Float[Tensor, "t 4 4"]]] = {
    "dolly": dolly_path,
    "handheld": handheld_path,
    "tracking": tracking_path,
}


def slowed(T_world_camera: Float[Tensor, "t 4 4"], speed: float) -> Float[Tensor, "t 4 4"]:
    """The path at a share of its speed (0..1), from its first pose on: at 0 the camera stays there."""
    if speed == 1 or len(T_world_camera) == 1:
        return T_world_camera
    time = torch.arange(len(T_world_camera), dtype=torch.float64)
    return interpolate_path(time, T_world_camera, speed * time)


def _clear_path(
    scene: Scene, frames: int, rng: np.random.Generator, draw: Callable[[Space, int, np.random.Generator], Path]
) -> Float[Tensor, "t 4 4"]:
    if frames < 1:
        raise InputError(f"frames must be at least 1, got {frames}")
    room = Space(scene)
    for _ in range(_TRIES):
        position, target, roll = draw(room, frames, rng)
        if room.free(position, _CLEARANCE) and (np.linalg.norm(target - position, axis=1) > 0.35).all():
            return torch.from_numpy(looking(position, target, roll)).to(torch.float32)
    raise InputError(f"no camera path of {frames} frames without a collision in room {scene.seed} in {_TRIES} tries")


def _swing(room: Space, frames: int, rng: np.random.Generator) -> Path:
    """Look at a piece of a class drawn uniformly over those present; half way turn to a piece near by."""
    time = np.arange(frames)
    length, width, height = room.size
    named = np.nonzero(room.label != Label.BACKGROUND)[0]
    first = _of_any_class(room, named, rng)
    others = np.nonzero(room.label != room.label[first])[0]
    by_distance = others[np.argsort(np.linalg.norm(room.centre[others] - room.centre[first], axis=1))]
    second = _of_any_class(room, by_distance[:12], rng)
    turned = 1 / (1 + np.exp(-np.clip(time - (frames - 1) / 2, -600, 600)))  # 0 before, 1 after, over about four frames
    target = np.outer(1 - turned, room.centre[first]) + np.outer(turned, room.centre[second])

    near, far = math.log(rng.uniform(0.5, 0.8)), math.log(rng.uniform(2.2, 3.2))
    distance = np.exp((near + far) / 2 + wave(rng, time, (far - near) / 2, rng.uniform(9, 15)))
    towards_middle = [
        math.atan2(width / 2 - room.centre[i][1], length / 2 - room.centre[i][0]) for i in (first, second)
    ]
    turn = (towards_middle[1] - towards_middle[0] + np.pi) % (2 * np.pi) - np.pi
    azimuth = towards_middle[0] + turn * turned
    azimuth += wave(rng, time, rng.uniform(0.3, 0.8), rng.uniform(12, 24)) + wave(rng, time, 0.1, 5)
    elevation = np.radians(rng.uniform(8, 30)) + wave(rng, time, 0.2, rng.uniform(8, 16))
    elevation = np.clip(elevation, -0.1, 0.9)
    position = target + distance[:, None] * direction(azimuth, elevation)
    position = np.clip(position, [0.25, 0.25, 0.3], [length - 0.25, width - 0.25, height - 0.25])
    jitter = [wave(rng, time, amplitude, rng.uniform(6, 12)) for amplitude in (0.22, 0.22, 0.15)]
    aim = target + np.stack(jitter, axis=1) * distance[:, None]
    return position, aim, wave(rng, time, 0.06, rng.uniform(8, 16)) + 0.02 * rng.standard_normal(frames)


def _of_any_class(room: Space, solids: np.ndarray, rng: np.random.Generator) -> int:
    """One of the solids: first its class is drawn, uniformly over those there are."""
    label = rng.choice(np.unique(room.label[solids]))
    return int(rng.choice(solids[room.label[solids] == label]))


def _walk(room: Space, frames: int, rng: np.random.Generator) -> Path:
    """A smooth line through way points, eyes somewhat down, with the sway of steps and hands."""
    time = np.arange(frames) / _STRETCH
    points = 4 + 3 * int(time[-1])
    low = np.full(2, 1.3)
    high = np.maximum(room.size[:2] - 1.3, low + 0.2)
    spline = CubicSpline(np.arange(points) / 3, rng.uniform(low, high, (points, 2)))
    floor = np.clip(spline(time), 1.0, room.size[:2] - 1.0)
    turn = rng.choice([-1.0, 1.0]) * rng.uniform(1.2, 2.6)
    yaw = rng.uniform(0, 2 * np.pi) + turn * time + sway(rng, time, 0.18, 1.0) + sway(rng, time, 0.012, 6.0)
    pitch = rng.uniform(-0.46, -0.14) + sway(rng, time, 0.09, 1.2) + sway(rng, time, 0.008, 7.0)
    roll = sway(rng, time, 0.03, 1.0) + sway(rng, time, 0.006, 6.0)
    up = rng.uniform(1.2, 1.65) + sway(rng, time, 0.06, 1.5)
    position = np.concatenate([floor, up[:, None]], axis=1)
    return position, position + direction(yaw, pitch), roll
