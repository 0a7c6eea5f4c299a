"""Exact optical flow and exact visibility, by casting rays: what depth maps and their occlusion test are judged by."""

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data.rooms.packets import Tiles, camera_packets
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.raycast import cast, occluded
from stc_lab.data.rooms.render import check_inside
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.flow import Flow, rigid_flow
from stc_lab.geometry.pose import relative_pose


@torch.no_grad()
def exact_flow(
    scene: Scene, camera: Camera, T_world_a: Float[Tensor, "b 4 4"], T_world_b: Float[Tensor, "b 4 4"]
) -> Flow:
    """Flow from each pixel of camera a to where camera b sees the same point of the room, for pairs of poses.

    Visible is a point in front of b, inside its image, and with no furniture on the straight line to b: a ray decides,
    not a depth map, so that thin things and edges count too.
    """
    for name, poses in (("T_world_a", T_world_a), ("T_world_b", T_world_b)):
        check_inside(scene, poses, name)
    camera = camera.to(T_world_a.device, T_world_a.dtype)
    scene = scene.to(T_world_a.device, T_world_a.dtype)
    tiles = Tiles(camera.height, camera.width, T_world_a.device)
    origin, direction = camera_packets(camera, T_world_a, tiles)
    hits = cast(scene, origin, direction)
    point = origin.T[:, :, None] + hits.t * direction
    from_b = T_world_b[:, :3, 3].repeat_interleave(tiles.count, dim=0)
    slack = 1e-4 if hits.t.dtype == torch.float32 else 1e-8
    hidden = tiles.join(occluded(scene, from_b, point - from_b.T[:, :, None], slack=slack))
    flow = rigid_flow(tiles.join(hits.t)[:, None], camera, relative_pose(T_world_a, T_world_b))
    return Flow(flow.flow, flow.visible & ~hidden)
