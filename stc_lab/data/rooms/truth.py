"""What only the maker of a room knows: exact flow, and exactly what the other camera sees."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.rooms.packets import Tiles, camera_packets
from stc_lab.data.rooms.primitives import Scene
from stc_lab.data.rooms.raycast import cast, occluded
from stc_lab.data.rooms.render import check_inside, check_time
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.estimators import View
from stc_lab.geometry.flow import Flow, rigid_flow
from stc_lab.geometry.pose import invert_pose, relative_pose


@torch.no_grad()
def exact_flow(
    scene: Scene,
    camera: Camera,
    T_world_a: Float[Tensor, "b 4 4"],
    T_world_b: Float[Tensor, "b 4 4"],
    *,
    camera_b: Camera | None = None,
    time_a: Float[Tensor, " b"] | None = None,
    time_b: Float[Tensor, " b"] | None = None,
) -> Flow:
    """Flow from each pixel of camera a to where camera b sees the same point of the room, for pairs of poses.

    Visible is a point in front of b, inside its image, and with no furniture on the straight line to b: a ray decides,
    not a depth map, so that thin things and edges count too. Without `camera_b` both frames share `camera`.
    Where things move, both times are needed (frames since the first, a clip's `index`): a point of a moving thing is
    followed to where the thing is then, and what has moved before a point hides it.
    """
    for name, poses in (("T_world_a", T_world_a), ("T_world_b", T_world_b)):
        check_inside(scene, poses, name)
    camera = camera.to(T_world_a.device, T_world_a.dtype)
    camera_b = camera if camera_b is None else camera_b.to(T_world_a.device, T_world_a.dtype)
    scene = scene.to(T_world_a.device, T_world_a.dtype)
    before = check_time(scene, time_a, len(T_world_a), "time_a")
    after = check_time(scene, time_b, len(T_world_b), "time_b")
    if before is None or after is None:
        return _followed(scene, scene, camera, T_world_a, camera_b, T_world_b, None)
    assert scene.movers is not None
    flows = [
        _followed(
            scene.at(a),
            scene.at(b),
            _of_frame(camera, i),
            T_world_a[i, None],
            _of_frame(camera_b, i),
            T_world_b[i, None],
            scene.movers.T_later_sooner(a, b),
        )
        for i, (a, b) in enumerate(zip(before, after, strict=True))
    ]
    return Flow(torch.cat([flow.flow for flow in flows]), torch.cat([flow.visible for flow in flows]))


def _of_frame(camera: Camera, i: int) -> Camera:
    return camera if len(camera.K) == 1 else Camera(camera.K[i, None], *camera.size)


@torch.no_grad()
def exact_movers(
    scene: Scene, camera: Camera, T_world_camera: Float[Tensor, "t 4 4"], time: Float[Tensor, " t"]
) -> Int64[Tensor, "t h w"]:
    """Which moving thing each pixel shows, from 1; 0 for what stands still.

    `scene.movers.T_world_object(time)[:, i - 1]` is the pose of thing i, and its motion from one frame to another is
    `T_world_object(later) T_world_object(sooner)^-1`, in the world.
    """
    check_inside(scene, T_world_camera, "T_world_camera")
    camera = camera.to(T_world_camera.device, T_world_camera.dtype)
    scene = scene.to(T_world_camera.device, T_world_camera.dtype)
    moments = check_time(scene, time, len(T_world_camera), "time")
    tiles = Tiles(camera.height, camera.width, T_world_camera.device)
    masks = []
    for i, pose in enumerate(T_world_camera.split(1)):
        origin, direction = camera_packets(_of_frame(camera, i), pose, tiles)
        now = scene if moments is None else scene.at(moments[i])
        masks.append(tiles.join(scene.mover_of(cast(now, origin, direction).surface)))
    return torch.cat(masks)


def _followed(
    now: Scene,
    then: Scene,
    camera: Camera,
    T_world_a: Float[Tensor, "b 4 4"],
    camera_b: Camera,
    T_world_b: Float[Tensor, "b 4 4"],
    T_then_now: Float[Tensor, "m 4 4"] | None,
) -> Flow:
    """The flow between two moments of a room, `T_then_now` the motion of each moving thing in the world."""
    tiles = Tiles(camera.height, camera.width, T_world_a.device)
    origin, direction = camera_packets(camera, T_world_a, tiles)
    hits = cast(now, origin, direction)
    point = origin.T[:, :, None] + hits.t * direction
    depth = tiles.join(hits.t)[:, None]
    found = rigid_flow(depth, camera, relative_pose(T_world_a, T_world_b), camera_b=camera_b)
    flow, visible = found.flow, found.visible
    if T_then_now is not None:
        mover = now.mover_of(hits.surface)
        for i, T in enumerate(T_then_now, start=1):
            own = mover == i
            point[:, own] = T[:3, :3] @ point[:, own] + T[:3, 3:]
            # Seen from the thing itself, it is the camera that moves.
            carried = rigid_flow(
                depth, camera, relative_pose(T_world_a, invert_pose(T[None]) @ T_world_b), camera_b=camera_b
            )
            here = tiles.join(own)
            flow = torch.where(here[:, None], carried.flow, flow)
            visible = torch.where(here, carried.visible, visible)
    from_b = T_world_b[:, :3, 3].repeat_interleave(tiles.count, dim=0)
    slack = 1e-4 if hits.t.dtype == torch.float32 else 1e-8
    hidden = tiles.join(occluded(then, from_b, point - from_b.T[:, :, None], slack=slack))
    return Flow(flow, visible & ~hidden)


@dataclass(frozen=True)
class ExactRoomsFlow:
    """The flow of a room's frames as its maker knows it, in the place of an estimator; see `exact_flow`.

    It looks at the camera and pose of the views, which must be frames of `scene` (`scene_of` gives it); where things
    move, at the `index` of the frames too, which a `Clip` has.
    """

    scene: Scene

    def __call__(self, a: View, b: View) -> Flow:
        if a.camera is None or b.camera is None or a.T_world_camera is None or b.T_world_camera is None:
            raise InputError("ExactRoomsFlow needs camera and T_world_camera of both frames, got None")
        times: list[Tensor | None] = [None, None]
        if self.scene.movers is not None:
            times = [getattr(view, "index", None) for view in (a, b)]
            if any(time is None for time in times):
                raise InputError("ExactRoomsFlow needs the index of both frames where things move", hint="pass clips")
            times = [time.to(a.T_world_camera.dtype) for time in times if time is not None]
        return exact_flow(
            self.scene,
            a.camera,
            a.T_world_camera,
            b.T_world_camera,
            camera_b=b.camera,
            time_a=times[0],
            time_b=times[1],
        )
