"""Motion blur as a shutter makes it: the mean light of the moments during which it is open."""

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.render import RoomsFrames, render
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.path import interpolate_path
from stc_lab.geometry.pose import relative_pose

_FROM_WALL = 0.05  # m: a camera between two frames stays this far inside the room


def exposed(
    scene: Scene,
    camera: Camera,
    T_world_camera: Float[Tensor, "t 4 4"],
    *,
    first: int = 0,
    last: int | None = None,
    shutter: float,
    samples: int,
    shadows: bool = True,
    supersample: int = 1,
) -> RoomsFrames:
    """Render the frames first, ... before `last` of a video whose shutter is open for a share of the frame interval.

    The radiance is the mean of `samples` (odd) moments, evenly spread over the exposure, which lies about the frame's
    own time; camera and moving things go on between the frames. Depth, labels and pose are those of the frame's own
    time, the middle of the exposure.
    """
    count = len(T_world_camera)
    time = torch.arange(count).to(T_world_camera)[first:last]
    poses = T_world_camera[first:last]
    frames = render(scene, camera, poses, time=time, shadows=shadows, supersample=supersample)
    if shutter == 0 or (count == 1 and scene.movers is None):
        return frames
    keys, at = _continued(T_world_camera), torch.arange(-1.0, count + 1.0).to(T_world_camera)
    total = frames.radiance.clone()
    for k in range(samples):
        offset = shutter * (k - (samples - 1) / 2) / samples
        if offset == 0:
            continue
        between = _inside(scene, interpolate_path(at, keys, time + offset))
        total += render(scene, camera, between, time=time + offset, shadows=shadows, supersample=supersample).radiance
    return RoomsFrames(total / samples, frames.depth, frames.label, frames.mover)


def _continued(T_world_camera: Float[Tensor, "t 4 4"]) -> Float[Tensor, "n 4 4"]:
    """One more pose before the first and after the last: the camera keeps its speed."""
    if len(T_world_camera) == 1:
        return T_world_camera.expand(3, -1, -1)
    start, end = T_world_camera[:2], T_world_camera[-2:]
    before = start[:1] @ relative_pose(start[:1], start[1:])
    after = end[1:] @ relative_pose(end[1:], end[:1])
    return torch.cat([before, T_world_camera, after])


def _inside(scene: Scene, poses: Float[Tensor, "t 4 4"]) -> Float[Tensor, "t 4 4"]:
    poses = poses.clone()
    place = poses[:, :3, 3]
    poses[:, :3, 3] = torch.minimum(place.clamp_min(_FROM_WALL), scene.room.to(place) - _FROM_WALL)
    return poses
