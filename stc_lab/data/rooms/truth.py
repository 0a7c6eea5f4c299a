"""What only the maker of a room knows: exact flow, and exactly what the other camera sees."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data.rooms.packets import Tiles, camera_packets
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.raycast import cast, occluded
from stc_lab.data.rooms.render import check_inside
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.estimators import View
from stc_lab.geometry.flow import Flow, rigid_flow
from stc_lab.geometry.pose import relative_pose


@torch.no_grad()
def exact_flow(
    scene: Scene,
    camera: Camera,
    T_world_a: Float[Tensor, "b 4 4"],
    T_world_b: Float[Tensor, "b 4 4"],
    *,
    camera_b: Camera | None = None,
) -> Flow:
    """Flow from each pixel of camera a to where camera b sees the same point of the room, for pairs of poses.

    Visible is a point in front of b, inside its image, and with no furniture on the straight line to b: a ray decides,
    not a depth map, so that thin things and edges count too. Without `camera_b` both frames share `camera`.
    """
    for name, poses in (("T_world_a", T_world_a), ("T_world_b", T_world_b)):
        check_inside(scene, poses, name)
    camera = camera.to(T_world_a.device, T_world_a.dtype)
    camera_b = camera if camera_b is None else camera_b.to(T_world_a.device, T_world_a.dtype)
    scene = scene.to(T_world_a.device, T_world_a.dtype)
    tiles = Tiles(camera.height, camera.width, T_world_a.device)
    origin, direction = camera_packets(camera, T_world_a, tiles)
    hits = cast(scene, origin, direction)
    point = origin.T[:, :, None] + hits.t * direction
    from_b = T_world_b[:, :3, 3].repeat_interleave(tiles.count, dim=0)
    slack = 1e-4 if hits.t.dtype == torch.float32 else 1e-8
    hidden = tiles.join(occluded(scene, from_b, point - from_b.T[:, :, None], slack=slack))
    flow = rigid_flow(tiles.join(hits.t)[:, None], camera, relative_pose(T_world_a, T_world_b), camera_b=camera_b)
    return Flow(flow.flow, flow.visible & ~hidden)


@dataclass(frozen=True)
class ExactRoomsFlow:
    """The flow of a room's frames as its maker knows it, in the place of an estimator; see `exact_flow`.

    It looks at the camera and pose of the views alone, which must be frames of `scene` (`scene_of` gives it).
    """

    scene: Scene

    def __call__(self, a: View, b: View) -> Flow:
        if a.camera is None or b.camera is None or a.T_world_camera is None or b.T_world_camera is None:
            raise InputError("ExactRoomsFlow needs camera and T_world_camera of both frames, got None")
        return exact_flow(self.scene, a.camera, a.T_world_camera, b.T_world_camera, camera_b=b.camera)
