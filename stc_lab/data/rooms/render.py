"""Render a room: linear colour, depth and labels of each pixel centre, for a camera and its poses."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.rooms.packets import Tiles, camera_packets
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.raycast import cast
from stc_lab.data.rooms.shading import shade
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import check_pose

_TILES_AT_ONCE = 384  # keeps the intermediate tensors small
_TILES_AT_ONCE_ELSEWHERE = 16384  # another device than the CPU wants much to do at once


@dataclass(frozen=True)
class RoomsFrames:
    """What a perfect sensor would see."""

    radiance: Float[Tensor, "t 3 h w"]  # linear RGB
    depth: Float[Tensor, "t 1 h w"]  # z in metres, exact at the pixel centre
    label: Int64[Tensor, "t h w"]  # class ids, exact at the pixel centre
    mover: Int64[Tensor, "t h w"] | None = None  # moving thing, from 1; 0: stands still; None: nothing moves here


@torch.no_grad()
def render(
    scene: Scene,
    camera: Camera,
    T_world_camera: Float[Tensor, "t 4 4"],
    *,
    time: Float[Tensor, " t"] | None = None,
    shadows: bool = True,
    supersample: int = 1,
) -> RoomsFrames:
    """Frames of a scene seen from poses inside the room, in the type and on the device of the poses.

    The colour is the mean over `supersample` x `supersample` rays per pixel; depth and labels are those of its centre.
    A room in which things move needs the `time` of each pose, in frames since the first (fractions allowed).
    """
    check_inside(scene, T_world_camera, "T_world_camera")
    moments = check_time(scene, time, len(T_world_camera), "time")
    if supersample < 1:
        raise InputError(f"supersample must be at least 1, got {supersample}")
    camera = camera.to(T_world_camera.device, T_world_camera.dtype)
    scene = scene.to(T_world_camera.device, T_world_camera.dtype)
    frames = _trace(scene, moments, camera, T_world_camera, shadows, 1)
    if supersample == 1:
        return frames
    fine = camera.resized(camera.height * supersample, camera.width * supersample)
    radiance = F.avg_pool2d(_trace(scene, moments, fine, T_world_camera, shadows, supersample).radiance, supersample)
    return replace(frames, radiance=radiance)


def check_inside(scene: Scene, T_world_camera: Float[Tensor, "t 4 4"], name: str) -> None:
    """Raise unless all poses are rigid motions and the cameras are in the room."""
    check_pose(T_world_camera, name)
    centre = T_world_camera[:, :3, 3]
    outside = ((centre <= 0) | (centre >= scene.room.to(centre))).any(dim=1)
    if bool(outside.any()):
        i = int(outside.nonzero()[0])
        size, place = ([round(x, 2) for x in v.tolist()] for v in (scene.room, centre[i]))
        raise InputError(
            f"{name}[{i}] must be inside the room, 0 to {size} m, got a camera at {place}",
            hint="T_camera_world where T_world_camera is meant, or the pose of another room",
        )


def check_time(scene: Scene, time: Float[Tensor, " t"] | None, frames: int, name: str) -> list[float] | None:
    """Times of frames as numbers, None where nothing moves; raise where a moving scene lacks them."""
    if scene.movers is None:
        return None
    if time is None:
        raise InputError(
            f"{name} must give the time of each of the {frames} poses: things move in this room",
            hint=f"{name}=torch.arange(frames) for consecutive frames; a clip's own is clip.index",
        )
    if time.shape != (frames,) or not bool(torch.isfinite(time).all()):
        raise InputError(f"{name} must be {frames} finite numbers, one for each pose, got {list(time.shape)}")
    moments: list[float] = time.tolist()
    return moments


def _trace(
    scene: Scene,
    moments: list[float] | None,
    camera: Camera,
    T_world_camera: Float[Tensor, "t 4 4"],
    shadows: bool,
    rays_across: int,
) -> RoomsFrames:
    """One ray per pixel, some frames at a time; textures are faded for pixels `rays_across` as wide."""
    tiles = Tiles(camera.height, camera.width, T_world_camera.device)
    at_once = _TILES_AT_ONCE if T_world_camera.device.type == "cpu" else _TILES_AT_ONCE_ELSEWHERE
    step = max(1, at_once // tiles.count) if moments is None else 1
    K = camera.K.expand(len(T_world_camera), -1, -1)
    radiance, depth, label, mover = [], [], [], []
    for i in range(0, len(T_world_camera), step):
        camera_i = Camera(K[i : i + step], *camera.size)
        origin, direction = camera_packets(camera_i, T_world_camera[i : i + step], tiles)
        now = scene if moments is None else scene.at(moments[i])
        hits = cast(now, origin, direction)
        pixel = (rays_across * hits.t / camera_i.K[:, 0, 0].repeat_interleave(tiles.count)[:, None]).reshape(-1)
        radiance.append(tiles.join(shade(now, origin, direction, hits, pixel, shadows=shadows)))
        depth.append(tiles.join(hits.t))
        label.append(tiles.join(scene.materials.label[hits.surface]))
        if moments is not None:
            mover.append(tiles.join(scene.mover_of(hits.surface)))
    return RoomsFrames(
        radiance=torch.cat(radiance, dim=1).transpose(0, 1),
        depth=torch.cat(depth)[:, None],
        label=torch.cat(label),
        mover=torch.cat(mover) if mover else None,
    )
