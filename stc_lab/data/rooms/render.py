"""Render a room: linear colour, depth and labels of each pixel centre, for a camera and its poses."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class RoomsFrames:
    """What a perfect sensor would see."""

    radiance: Float[Tensor, "t 3 h w"]  # linear RGB
    depth: Float[Tensor, "t 1 h w"]  # z in metres, exact at the pixel centre
    label: Int64[Tensor, "t h w"]  # class ids, exact at the pixel centre


@torch.no_grad()
def render(
    scene: Scene, camera: Camera, T_world_camera: Float[Tensor, "t 4 4"], *, shadows: bool = True, supersample: int = 1
) -> RoomsFrames:
    """Frames of a scene seen from poses inside the room, in the type and on the device of the poses.

    The colour is the mean over `supersample` x `supersample` rays per pixel; depth and labels are those of its centre.
    """
    check_inside(scene, T_world_camera, "T_world_camera")
    if supersample < 1:
        raise InputError(f"supersample must be at least 1, got {supersample}")
    camera = camera.to(T_world_camera.device, T_world_camera.dtype)
    scene = scene.to(T_world_camera.device, T_world_camera.dtype)
    frames = _trace(scene, camera, T_world_camera, shadows, 1)
    if supersample == 1:
        return frames
    fine = camera.resized(camera.height * supersample, camera.width * supersample)
    radiance = F.avg_pool2d(_trace(scene, fine, T_world_camera, shadows, supersample).radiance, supersample)
    return RoomsFrames(radiance, frames.depth, frames.label)


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


def _trace(
    scene: Scene, camera: Camera, T_world_camera: Float[Tensor, "t 4 4"], shadows: bool, rays_across: int
) -> RoomsFrames:
    """One ray per pixel, some frames at a time; textures are faded for pixels `rays_across` as wide."""
    tiles = Tiles(camera.height, camera.width, T_world_camera.device)
    step = max(1, _TILES_AT_ONCE // tiles.count)
    K = camera.K.expand(len(T_world_camera), -1, -1)
    radiance, depth, label = [], [], []
    for i in range(0, len(T_world_camera), step):
        camera_i = Camera(K[i : i + step], *camera.size)
        origin, direction = camera_packets(camera_i, T_world_camera[i : i + step], tiles)
        hits = cast(scene, origin, direction)
        pixel = (rays_across * hits.t / camera_i.K[:, 0, 0].repeat_interleave(tiles.count)[:, None]).reshape(-1)
        radiance.append(tiles.join(shade(scene, origin, direction, hits, pixel, shadows=shadows)))
        depth.append(tiles.join(hits.t))
        label.append(tiles.join(scene.materials.label[hits.surface]))
    return RoomsFrames(torch.cat(radiance, dim=1).transpose(0, 1), torch.cat(depth)[:, None], torch.cat(label))
