"""One video of a room, frame by frame or whole: room, path, moving things, light and sensor put together."""

import re
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.rooms.build import build_scene
from stc_lab.data.rooms.config import FIRST_SEED, FRAME_RATE, PRESETS, SPLITS, RoomsConfig
from stc_lab.data.rooms.exposure import exposed
from stc_lab.data.rooms.paths import PATHS, slowed
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.sensor import develop
from stc_lab.data.rooms.staging import staged
from stc_lab.data.rooms.truth import exact_movers
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

_NAME = re.compile(rf"rooms-({'|'.join(SPLITS)})-(\d{{4}}|[1-9]\d{{4,5}})")
_PATH_DRAWS, _SENSOR_DRAWS, _MOVER_DRAWS = 1, 2, 4  # streams of random numbers beside those of the furniture
_PIXELS_AT_ONCE = 1_500_000
_WHOLE = 16  # frames: the noise of a video in pieces of a multiple of this is that of the whole (Sensor.record)


def video_name(split: str, scene: int) -> str:
    return f"rooms-{split}-{scene:04d}"


def scene_of(video: str, config: RoomsConfig = PRESETS["quick"]) -> Scene:
    """The room in which a video was taken, for exact flow, exact visibility and new views.

    With `moving_objects`, `scene.movers` holds their paths and `scene.at(index)` is the room at a frame.
    """
    return _staged(video, config)[0]


def render_video(video: str, config: RoomsConfig, *, device: torch.device | str = "cpu") -> Clip:
    """All frames of one video as its sensor recorded them, not rounded to 8 bits; the clip lies on the CPU."""
    (clip,) = rendered(video, config, device=device, frames_at_once=config.frames)
    return clip


def rendered(
    video: str, config: RoomsConfig, *, device: torch.device | str = "cpu", frames_at_once: int | None = None
) -> Iterator[Clip]:
    """The frames of one video in order, some at a time, so that memory does not grow with the video's length.

    Rays are cast on `device`; the noise is always drawn on the CPU.
    """
    scene, poses = _staged(video, config)
    camera, seed = config.camera(), _seed(video)
    draws = torch.Generator().manual_seed(int(np.random.default_rng([seed, _SENSOR_DRAWS]).integers(2**62)))
    sensor = config.sensor()
    faults = sensor.draw(config.frames, draws)
    step = _step(config) if frames_at_once is None else frames_at_once
    index = torch.arange(config.frames)
    for start in range(0, config.frames, step):
        stop = min(start + step, config.frames)
        frames = exposed(
            scene,
            camera,
            poses.to(device),
            first=start,
            last=stop,
            shutter=config.motion_blur,
            samples=config.motion_blur_samples,
            shadows=config.shadows,
            supersample=config.supersample,
        )
        picture = develop(frames.radiance, auto_exposure=config.auto_exposure).cpu()
        yield Clip(
            video=(video,) * (stop - start),
            index=index[start:stop],
            time=index[start:stop] / FRAME_RATE,
            image=sensor.record(picture, faults.part(start, stop), draws),
            label=frames.label.cpu(),
            depth=frames.depth.cpu(),
            camera=Camera(camera.K.expand(stop - start, -1, -1), *camera.size),
            T_world_camera=poses[start:stop],
        )


def mover_masks(video: str, config: RoomsConfig) -> Int64[Tensor, "t h w"]:
    """Which moving thing each pixel of a video shows, from 1; 0 for what stands still."""
    scene, poses = _staged(video, config)
    return exact_movers(scene, config.camera(), poses, torch.arange(config.frames).to(poses))


def object_poses(video: str, config: RoomsConfig) -> Float[Tensor, "t m 4 4"]:
    """T_world_object of each moving thing of a video in each frame; thing i of `mover_masks` is [:, i - 1]."""
    scene, poses = _staged(video, config)
    if scene.movers is None:
        return poses.new_zeros(config.frames, 0, 4, 4)
    return scene.movers.T_world_object(torch.arange(config.frames, dtype=torch.float64)).to(poses)


def _staged(video: str, config: RoomsConfig) -> tuple[Scene, Float[Tensor, "t 4 4"]]:
    """The room of a video, and the poses of its camera."""
    seed = _seed(video)
    scene = build_scene(
        seed,
        exceptions=config.exceptions,
        texture=config.texture,
        micro_contrast=config.micro_contrast,
        gloss=config.gloss,
        clutter=config.pieces(),
    )
    path = PATHS[config.motion](scene, config.frames, np.random.default_rng([seed, _PATH_DRAWS]))
    poses = slowed(path, config.speed)
    movers = np.random.default_rng([seed, _MOVER_DRAWS])
    return staged(scene, config.camera(), poses, config.moving_objects, movers), poses


def _step(config: RoomsConfig) -> int:
    return _WHOLE * max(1, -(-_PIXELS_AT_ONCE // (_WHOLE * config.height * config.width)))


def _seed(video: str) -> int:
    found = _NAME.fullmatch(video)
    if found is None:
        raise InputError(f"video must be named like {video_name('train', 7)!r}, got {video!r}")
    return FIRST_SEED[found[1]] + int(found[2])
