"""The path family `tracking`: past near and far things, so that the flow tells depth; every fourth clip turns.

Study 3's recipe. A clip that turns while it moves is where the focal length shows; the others hardly turn.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data.rooms.packets import Tiles, camera_packets
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.raycast import cast
from stc_lab.data.rooms.space import Space
from stc_lab.data.rooms.trajectory import direction, looking, sway, wave
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

FIELD_OF_VIEW = 72.0  # degrees, horizontal
_VIEWS = (0.0, 0.5, 0.8, 1.1, 1.57, 2.2)  # rad between the direction of travel and that of view: ahead, aside, back
_CLIP = 32  # frames in which speed and sway go through their waves
_LEG = 40  # frames after which a longer clip turns back on its line
_CANDIDATES = 4  # valid paths, of which the one with most parallax is taken
_TRIES = 400
_STRICT = 150  # tries before the limits of room and distance are eased


def turns(scene: Scene) -> bool:
    """Whether the tracking clip of this scene turns: every fourth of a split does."""
    return scene.seed % 4 == 3


@torch.no_grad()
def tracking_path(scene: Scene, frames: int, rng: np.random.Generator) -> Float[Tensor, "t 4 4"]:
    """Poses on a nearly straight line, 0.06-0.11 m per frame, turned 0.05-0.55 degrees per frame.

    Clips that turn (`turns`): 0.05-0.075 m and 1.2-2.4 degrees. The view is ahead, aside or back. Of four paths that
    keep 0.75 m from the walls, 0.4 m from all that is seen and 1.2 m from half of it, the one with the largest speed
    times spread of inverse depth. Rooms too full for that get a path with smaller distances.
    """
    if frames < 1:
        raise InputError(f"frames must be at least 1, got {frames}")
    space, camera, best = Space(scene), Camera.from_fov(12, 18, FIELD_OF_VIEW), None
    valid, most = 0, -math.inf
    for attempt in range(_TRIES):
        ease = 1 - 0.75 * max(0, attempt - _STRICT) / (_TRIES - _STRICT)
        position, target, roll, speed = _line(space, frames, rng, turns(scene))
        margin = 0.25 + 0.5 * ease
        if (position[:, :2] < margin).any() or (position[:, :2] > space.size[:2] - margin).any():
            continue
        if not space.free(position, 0.15):
            continue
        poses = torch.from_numpy(looking(position, target, roll)).to(torch.float32)
        inverse = 1 / _probe(scene, camera, poses[:: max(4, frames // 8)])
        if bool(
            (inverse.amax(dim=1) > 1 / (0.4 * ease)).any() or (inverse.median(dim=1).values > 1 / (1.2 * ease)).any()
        ):
            continue
        valid += 1
        parallax = speed * float(inverse.std(dim=1).mean())
        if parallax > most:
            best, most = poses, parallax
        if valid == _CANDIDATES:
            break
    if best is None:
        raise InputError(f"no tracking path of {frames} frames without a collision in room {scene.seed}")
    return best


def _line(
    space: Space, frames: int, rng: np.random.Generator, turning: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Positions, points looked at, roll, and mean speed (m per frame)."""
    time = np.arange(frames) / _CLIP
    speed = rng.uniform(0.05, 0.075) if turning else rng.uniform(0.06, 0.11)
    gone = np.cumsum(speed * (1 + wave(rng, time, 0.25, rng.uniform(0.67, 2.0))))
    heading, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
    leg = speed * _LEG
    if frames > _LEG:
        gone = leg * (0.5 - np.arcsin(0.98 * np.cos(np.pi * gone / leg)) / (2 * np.arcsin(0.98)))  # there and back
    curve = bend / (speed * _CLIP)  # rad per metre
    ahead = heading + curve * gone
    floor = rng.uniform(0, 1, 2) * space.size[:2]
    floor = floor + np.stack([np.sin(ahead) - np.sin(heading), np.cos(heading) - np.cos(ahead)], axis=1) / curve
    up = rng.uniform(1.05, 1.6) + sway(rng, time, 0.05, 1.2)
    view = rng.choice(_VIEWS) * rng.choice([-1, 1]) + rng.uniform(-0.2, 0.2)
    rate = math.radians(rng.uniform(1.2, 2.4) if turning else rng.uniform(0.05, 0.55)) * rng.choice([-1, 1])
    yaw = heading + view + rate * (np.arange(frames) - (frames - 1) / 2) + sway(rng, time, 0.004, 3.0)
    pitch = rng.uniform(-0.5, -0.15) + sway(rng, time, 0.012, 1.5) + sway(rng, time, 0.002, 5.0)
    roll = sway(rng, time, 0.01, 1.0) + sway(rng, time, 0.002, 5.0)
    position = np.concatenate([floor, up[:, None]], axis=1)
    return position, position + direction(yaw, pitch), roll, speed


def _probe(scene: Scene, camera: Camera, poses: Float[Tensor, "t 4 4"]) -> Float[Tensor, "t r"]:
    """A coarse depth map of each pose, as one row of numbers."""
    tiles = Tiles(*camera.size, poses.device)
    origin, rays = camera_packets(camera, poses, tiles)
    return tiles.join(cast(scene, origin, rays).t).flatten(1)
