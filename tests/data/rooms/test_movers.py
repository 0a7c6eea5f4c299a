"""Things that move: rigid, clear of everything, and followed exactly by flow, masks and visibility."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import (
    PRESETS,
    RoomsConfig,
    Scene,
    exact_flow,
    exact_movers,
    mover_masks,
    object_poses,
    render,
    render_video,
    scene_of,
)
from stc_lab.data.rooms.primitives import Materials
from stc_lab.data.rooms.space import Space
from stc_lab.data.rooms.truth import ExactRoomsFlow
from stc_lab.errors import InputError
from stc_lab.geometry import rigid_flow
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import check_pose, relative_pose

CONFIG = replace(PRESETS["tiny"], motion="handheld", moving_objects=3, frames=12, dial=0.0)
VIDEOS = [f"rooms-train-{i:04d}" for i in (1, 4, 5)]
Case = tuple[Scene, Camera, Tensor, Tensor]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Scene, camera, poses and times of each video, in double precision."""
    found = []
    for video in VIDEOS:
        scene = scene_of(video, CONFIG).to(dtype=torch.float64)
        poses = render_video(video, replace(CONFIG, shadows=False)).T_world_camera
        assert poses is not None
        time = torch.arange(CONFIG.frames, dtype=torch.float64)
        found.append((scene, CONFIG.camera().to("cpu", torch.float64), poses.double(), time))
    return found


def test_poses_are_rigid_smooth_and_closed(cases: list[Case]) -> None:
    for scene, *_ in cases:
        assert scene.movers is not None and len(scene.movers) == 3
        time = torch.linspace(0, 12, 241, dtype=torch.float64)
        T = scene.movers.T_world_object(time)
        check_pose(T.flatten(0, 1), "T")
        place, forward = T[:, :, :3, 3], T[:, :, :3, 1]
        step = place[1:] - place[:-1]
        assert float(step.norm(dim=-1).max()) < 0.05  # of a twentieth of a frame
        bend = (step[1:] - step[:-1]).norm(dim=-1)
        assert float(bend.max()) < 0.1 * float(step.norm(dim=-1).max())
        level = step[..., :2] / step[..., :2].norm(dim=-1, keepdim=True)
        assert float((level * forward[:-1, :, :2]).sum(dim=-1).min()) > 0.9  # it faces where it goes
        speed = step[..., :2].norm(dim=-1).mean(dim=0) * 20
        assert ((speed > 0.01) & (speed < 0.16)).all()


def test_nothing_is_run_into(cases: list[Case]) -> None:
    """At every twentieth of a round: each mover's primitives stay inside the room and out of the furniture."""
    for scene, _, poses, _ in cases:
        assert scene.movers is not None
        of = scene.movers.of
        still = Space(_without_movers(scene))
        for time in np.linspace(0, 120, 40):
            now = scene.at(float(time)).primitives
            centre, half = now.centre[of >= 0], now.half[of >= 0]
            reach = half[:, :2].norm(dim=1)
            assert (centre[:, :2] - reach[:, None] > -1e-6).all()
            assert (centre[:, :2] + reach[:, None] < scene.room[:2] + 1e-6).all()
            assert (centre[:, 2] + half[:, 2] < scene.room[2]).all()
            middle = centre.numpy()
            for place, size in zip(middle, half.numpy(), strict=True):
                assert still.clear(place[None, :2], float(min(size[:2])), place[2] - size[2] + 0.06, place[2] + size[2])
        for i, pose in enumerate(poses):
            offset = scene.at(float(i)).primitives.centre[of >= 0] - pose[:3, 3]
            assert float(offset.norm(dim=1).min()) > 0.3


def _without_movers(scene: Scene) -> Scene:
    """The furniture alone."""
    assert scene.movers is not None
    still = scene.movers.of < 0
    p, shape = scene.primitives, torch.arange(3).repeat_interleave(torch.tensor(scene.primitives.counts))
    counts = tuple(int(((shape == k) & still).sum()) for k in range(3))
    keep = torch.cat([still, torch.ones(6, dtype=torch.bool)])
    primitives = replace(p, counts=counts, centre=p.centre[still], half=p.half[still], yaw=p.yaw[still])
    m = scene.materials
    materials = Materials(**{field.name: getattr(m, field.name)[keep] for field in fields(m)})
    return replace(scene, primitives=primitives, materials=materials, movers=None)


def test_flow_of_a_moving_pixel_is_the_projection_of_its_own_motion(cases: list[Case]) -> None:
    """Point by point from depth, mask and object poses, and the static pixels by the rigid flow of the room."""
    checked = 0
    for scene, camera, poses, time in cases:
        assert scene.movers is not None
        a, b = slice(0, -3), slice(3, None)
        exact = exact_flow(scene, camera, poses[a], poses[b], time_a=time[a], time_b=time[b])
        frames = render(scene, camera, poses[a], time=time[a], shadows=False)
        assert frames.mover is not None
        assert torch.equal(frames.mover, exact_movers(scene, camera, poses[a], time[a]))
        still = rigid_flow(frames.depth, camera, relative_pose(poses[a], poses[b])).flow
        static = frames.mover == 0
        assert torch.equal(exact.flow.movedim(1, -1)[static], still.movedim(1, -1)[static])
        K, T = camera.K[0], scene.movers.T_world_object(time)
        for i, y, x in (frames.mover > 0).nonzero()[::17].tolist():
            ray = torch.linalg.solve(K, torch.tensor([x, y, 1.0], dtype=torch.float64))
            point = torch.cat([frames.depth[i, 0, y, x] * ray, torch.ones(1, dtype=torch.float64)])
            thing = int(frames.mover[i, y, x]) - 1
            own = torch.linalg.solve(T[i, thing], poses[i] @ point)
            seen = torch.linalg.solve(poses[i + 3], T[i + 3, thing] @ own)[:3]
            if seen[2] < 0.05:
                continue
            landing = (K @ seen / seen[2])[:2]
            assert (
                float((exact.flow[i, :, y, x] - (landing - torch.tensor([x, y]))).abs().max()) < 1e-5
            )  # poses are rigid to float32
            checked += 1
    assert checked > 50


def test_a_visible_point_shows_the_same_thing_in_the_other_frame(cases: list[Case]) -> None:
    """Looked up in a fine rendering of frame b: the same mover, and the depth that the moved point has there."""
    good = total = hidden = 0
    for scene, camera, poses, time in cases:
        a, b = slice(0, 4), slice(4, 8)
        exact = exact_flow(scene, camera, poses[a], poses[b], time_a=time[a], time_b=time[b])
        mover = exact_movers(scene, camera, poses[a], time[a])
        fine = camera.resized(camera.height * 8, camera.width * 8)
        there = render(scene, fine, poses[b], time=time[b], shadows=False)
        assert there.mover is not None
        for i, y, x in exact.visible.nonzero().tolist():
            u, v = (exact.flow[i, :, y, x] + torch.tensor([x, y]) + 0.5) * 8 - 0.5
            u_fine, v_fine = min(max(round(float(u)), 0), fine.width - 1), min(max(round(float(v)), 0), fine.height - 1)
            good += int(there.mover[i, v_fine, u_fine] == mover[i, y, x])
            total += 1
        still = rigid_flow(
            render(scene, camera, poses[a], time=time[a]).depth, camera, relative_pose(poses[a], poses[b])
        )
        hidden += int((still.visible & ~exact.visible & (mover == 0)).sum())
    assert good / total > 0.985 and hidden > 0


def test_the_exact_estimator_reads_the_moment_from_the_clips() -> None:
    scene, clip = scene_of(VIDEOS[0], CONFIG), render_video(VIDEOS[0], replace(CONFIG, shadows=False))
    a, b = clip[[0, 1]], clip[[4, 5]]
    assert a.camera is not None and a.T_world_camera is not None and b.T_world_camera is not None
    exact = exact_flow(
        scene, a.camera, a.T_world_camera, b.T_world_camera, time_a=a.index.float(), time_b=b.index.float()
    )
    estimated = ExactRoomsFlow(scene)(a, b)
    assert torch.equal(estimated.flow, exact.flow)
    assert torch.equal(estimated.visible, exact.visible)
    with pytest.raises(InputError, match="needs the index of both frames"):
        ExactRoomsFlow(scene)(Timeless(a), Timeless(b))


class Timeless:
    """A view that knows everything but its moment."""

    def __init__(self, clip: Clip) -> None:
        self.image, self.depth, self.camera, self.T_world_camera = (
            clip.image,
            clip.depth,
            clip.camera,
            clip.T_world_camera,
        )


def test_a_mover_hides_what_is_behind_and_uncovers_it(cases: list[Case]) -> None:
    """One camera that stands still: pixels that the mover covers or leaves are visible from the other time or not."""
    scene, camera, poses, _ = cases[1]
    T = poses[-1:].expand(2, -1, -1)
    before, after = torch.tensor([2.0, 11.0]).double(), torch.tensor([11.0, 2.0]).double()
    exact = exact_flow(scene, camera, T, T, time_a=before, time_b=after)
    mover = exact_movers(scene, camera, T, before)
    first, second = mover
    assert ((first > 0) != (second > 0)).any()
    inner = torch.zeros_like(first, dtype=torch.bool)
    inner[1:-1, 1:-1] = True  # the outermost pixels lie on the image's border, within rounding
    for i, (now, then) in enumerate(((first, second), (second, first))):
        assert not exact.visible[i][(now == 0) & (then > 0)].any()  # covered then
        assert exact.visible[i][(now == 0) & (then == 0) & inner].all()
        assert float(exact.flow[i][:, now == 0].abs().max()) < 1e-9
    assert float(exact.flow[0][:, first > 0].abs().max()) > 1


def test_masks_and_poses_of_a_video_are_those_of_its_frames() -> None:
    masks, poses = mover_masks(VIDEOS[0], CONFIG), object_poses(VIDEOS[0], CONFIG)
    assert masks.shape == (12, 32, 48) and poses.shape == (12, 3, 4, 4)
    assert set(masks.unique().tolist()) <= {0, 1, 2, 3} and (masks > 0).any()
    scene = scene_of(VIDEOS[0], CONFIG)
    assert scene.movers is not None
    assert torch.allclose(poses[5], scene.movers.T_world_object(torch.tensor([5.0]).double())[0].float())
    still = replace(CONFIG, moving_objects=0)
    assert not mover_masks(VIDEOS[0], still).any() and object_poses(VIDEOS[0], still).shape == (12, 0, 4, 4)


def test_every_path_family_takes_them() -> None:
    for motion in ("dolly", "handheld", "tracking"):
        for i in range(2):
            scene = scene_of(f"rooms-val-{i:04d}", RoomsConfig(motion=motion, moving_objects=2))
            assert scene.movers is not None and len(scene.movers) == 2


@pytest.mark.bad_input
def test_times_are_asked_for_where_things_move() -> None:
    scene, camera = scene_of(VIDEOS[0], CONFIG), CONFIG.camera()
    poses = render_video(VIDEOS[0], replace(CONFIG, moving_objects=0)).T_world_camera
    assert poses is not None
    with pytest.raises(InputError, match="time must give the time of each of the 12 poses"):
        render(scene, camera, poses)
    with pytest.raises(InputError, match="time_b must give"):
        exact_flow(scene, camera, poses, poses, time_a=torch.arange(12.0))
    with pytest.raises(InputError, match="time must be 12 finite numbers"):
        render(scene, camera, poses, time=torch.full((12,), float("nan")))
    with pytest.raises(InputError, match="moving_objects must be between 0 and 6, got 7"):
        RoomsConfig(moving_objects=7)
