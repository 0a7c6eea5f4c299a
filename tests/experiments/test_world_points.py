"""Frames agree in the world when they are read right, and each classic mistake is noticed."""

from dataclasses import replace

import pytest
import torch
from planar_clips import SIZE, planar_clip

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import RoomsConfig, render_video
from stc_lab.errors import InputError
from stc_lab.experiments.world_points import (
    Misreading,
    judging_gap,
    up_direction,
    without_ceiling,
    world_disagreement,
    world_points,
)

HEIGHT, WIDTH = SIZE
STEPS = [[0.02 * i, 0.01 * i, 0.05 * i] for i in range(7)]
TURNS = [[0.0, 0.02 * i, 0.01 * i] for i in range(7)]


@pytest.fixture(scope="module")
def clip() -> Clip:
    return planar_clip(STEPS, turns=TURNS)


@pytest.fixture(scope="module")
def room() -> Clip:
    return render_video("rooms-test-0003", RoomsConfig(frames=12, height=48, width=64, motion="handheld", dial=0.0))


def test_points_are_pixels_placed_by_hand(clip: Clip) -> None:
    points = world_points(clip, most=7 * 50)
    assert points.xyz.shape == (350, 3) and points.frame.bincount().tolist() == [50] * 7
    assert clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
    for i in (0, 120, 349):
        frame = int(points.frame[i])
        at = (clip.image[frame] == points.rgb[i][:, None, None]).all(dim=0).nonzero()  # pixels of this colour
        K, T = clip.camera.K[frame], clip.T_world_camera[frame]
        places = []
        for y, x in at.tolist():
            ray = torch.linalg.inv(K) @ torch.tensor([x, y, 1.0], dtype=K.dtype)
            places.append(T[:3, :3] @ (clip.depth[frame, 0, y, x] * ray) + T[:3, 3])
        off = (torch.stack(places) - points.xyz[i]).norm(dim=1).min()
        assert float(off) < 1e-9


def test_all_points_lie_on_the_card_or_the_wall(clip: Clip) -> None:
    x, y, z = world_points(clip).xyz.T
    wall = 4 + 0.3 * x - 0.2 * y  # planar.py
    assert bool(((z - 2).abs().minimum((z - wall).abs()) < 1e-9).all())


def test_unknown_depth_gives_no_point(clip: Clip) -> None:
    assert clip.depth is not None
    depth = clip.depth.clone()
    depth[0] = 0
    depth[1, :, :, 3:] = torch.nan
    points = world_points(replace(clip, depth=depth), most=7 * HEIGHT * WIDTH)
    counts = points.frame.bincount(minlength=7).tolist()
    assert counts == [0, 3 * HEIGHT] + [HEIGHT * WIDTH] * 5
    assert bool(points.xyz.isfinite().all())


def test_the_same_seed_draws_the_same_points(clip: Clip) -> None:
    first, again, other = (world_points(clip, most=70, seed=seed).xyz for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_frames_read_right_agree(clip: Clip, room: Clip) -> None:
    on_slanted_wall = world_disagreement(clip, 1).value  # its depth is read at the nearest pixel
    assert on_slanted_wall is not None and on_slanted_wall < 0.003
    found = world_disagreement(room, 2)
    assert found.value is not None and found.value < 0.01 and 0.5 < found.landed < 1


@pytest.mark.parametrize(
    "mistake",
    [
        Misreading(inverted=True),
        Misreading(along_ray=True),
        Misreading(focal_factor=1.3),
        Misreading(depth_factor=1.3),
        Misreading(without_poses=True),
    ],
    ids=["inverted", "along_ray", "focal", "depth", "no_poses"],
)
def test_each_mistake_is_noticed(room: Clip, mistake: Misreading) -> None:
    right, wrong = world_disagreement(room, 2).value, world_disagreement(mistake.of(room), 2).value
    assert right is not None and wrong is not None and wrong > 2 * right


def test_mistakes_are_undone_by_their_opposites(clip: Clip) -> None:
    there = Misreading(depth_factor=5, focal_factor=2, inverted=True).of(clip)
    back = Misreading(depth_factor=0.2, focal_factor=0.5, inverted=True).of(there)
    for name in ("depth", "T_world_camera"):
        assert torch.allclose(getattr(back, name), getattr(clip, name))
    assert back.camera is not None and clip.camera is not None and torch.allclose(back.camera.K, clip.camera.K)


def test_none_is_the_clip_itself(clip: Clip) -> None:
    same = Misreading().of(clip)
    assert torch.equal(same.depth, clip.depth) and torch.equal(same.T_world_camera, clip.T_world_camera)


def test_a_length_along_the_ray_becomes_a_depth(clip: Clip) -> None:
    """Who reads z as a length of the ray puts a frontal wall on a sphere."""
    camera = clip.camera
    assert camera is not None
    wall = replace(clip, depth=torch.full_like(clip.depth, 3.0))
    bent = Misreading(along_ray=True).of(wall)
    assert bent.depth is not None
    assert torch.allclose(camera.backproject(bent.depth).norm(dim=1), torch.full_like(clip.depth[:, 0], 3.0))


def test_the_unit_of_the_depth_can_be_found(room: Clip) -> None:
    riddle = Misreading(depth_factor=5, inverted=True).of(room)
    scores = {}
    for factor in (0.1, 0.2, 0.4, 1.0):
        for inverted in (True, False):
            one = Misreading(depth_factor=factor, inverted=inverted).of(riddle)
            scores[factor, inverted] = world_disagreement(one, judging_gap(riddle)).value or 1.0
    assert min(scores, key=scores.__getitem__) == (0.2, True)


def test_nothing_to_compare(clip: Clip) -> None:
    assert clip.T_world_camera is not None
    T = clip.T_world_camera.clone()
    T[::2, 0, 3] += 1000
    found = world_disagreement(replace(clip, T_world_camera=T), 1)
    assert found.value is None and found.landed == 0


def test_up_is_where_the_cameras_hold_it(clip: Clip, room: Clip) -> None:
    assert up_direction(room).tolist() == [0, 0, 1]
    assert up_direction(clip).tolist() == [0, -1, 0]  # y points down in camera axes
    tilted = planar_clip([[0.0, 0.0, 0.0]], turns=[[0.75, 0.0, 0.0]])
    assert tilted.T_world_camera is not None
    assert torch.allclose(up_direction(tilted), -tilted.T_world_camera[0, :3, 1])


def test_the_ceiling_is_lifted_off(room: Clip) -> None:
    points = world_points(room)
    low = without_ceiling(points, room, above=0.0)
    assert room.T_world_camera is not None
    top = float(room.T_world_camera[:, 2, 3].max())
    assert float(low.xyz[:, 2].max()) < top < float(points.xyz[:, 2].max())
    assert len(low.xyz) == int((points.xyz[:, 2] < top).sum()) == len(low.rgb) == len(low.frame)


@pytest.mark.bad_input
def test_what_has_no_world_is_said(clip: Clip) -> None:
    with pytest.raises(InputError, match="has no depth"):
        world_points(replace(clip, depth=None))
    with pytest.raises(InputError, match="a point for each of 7 frames, got 6"):
        world_points(clip, most=6)
    with pytest.raises(InputError, match="gap must lie between 1 and 6"):
        world_disagreement(clip, 7)
    with pytest.raises(InputError, match="factors must be positive"):
        Misreading(depth_factor=0).of(clip)
    assert clip.T_world_camera is not None
    T = clip.T_world_camera[:2].clone()
    T[1, :3, :3] = T[0, :3, :3] @ torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=T.dtype))
    with pytest.raises(InputError, match="nobody can say where up is"):
        up_direction(replace(clip[:2], T_world_camera=T))
