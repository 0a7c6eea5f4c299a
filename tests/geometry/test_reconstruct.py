"""Whole clips from their flows, on a rendered room with exact flow: the truth is found, and nothing is made up."""

from dataclasses import replace

import pytest
import torch
from sights import MIRROR, bumps, mirrored_flow
from torch import Tensor
from warp_inputs import normal

from stc_lab.data.rooms import RoomsConfig
from stc_lab.data.rooms.videos import render_video, video_name
from stc_lab.geometry import Camera, Flow, invert_pose, relative_pose, rigid_flow
from stc_lab.geometry.egomotion import Trust, depth_steps
from stc_lab.geometry.reconstruct import Matches, gathered, reconstruct
from stc_lab.metrics import rotation_error, translation_direction_error

FRAMES = 7
PAIRS = torch.tensor([(i, i + gap) for gap in (1, 2, 4, 6) for i in range(FRAMES - gap)])


class Room:
    """A clip in float64: true depth, poses and camera, flow of all pairs that follows from them, and a poor start."""

    def __init__(self) -> None:
        config = RoomsConfig(
            train_scenes=1, val_scenes=1, test_scenes=1, frames=FRAMES, height=24, width=36, motion="tracking"
        )
        clip = render_video(video_name("train", 0), config)
        assert clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
        self.depth, poses = clip.depth.double(), clip.T_world_camera.double()
        self.camera = Camera(clip.camera.K[:1].double(), *clip.camera.size)
        i, j = PAIRS.unbind(dim=1)
        self.T = relative_pose(poses[i], poses[j])
        there = rigid_flow(self.depth[i], self.camera, self.T, depth_b=self.depth[j])
        back = rigid_flow(self.depth[j], self.camera, invert_pose(self.T), depth_b=self.depth[i])
        self.matches = Matches(PAIRS, there, back)
        rough = (0.15 * bumps(FRAMES, seed=1, size=self.camera.size)).exp()
        self.start = torch.full_like(self.depth, float(self.depth.median())) * rough

    def error(self, depth: Tensor) -> float:
        """Median error of log depth, the unit aside."""
        ratio = (depth / self.depth).log()
        return float((ratio - ratio.median()).abs().median())


@pytest.fixture(scope="module")
def room() -> Room:
    return Room()


def test_the_truth_stays(room: Room) -> None:
    found = reconstruct(room.matches, room.depth, room.camera)
    torch.testing.assert_close(found.depth, room.depth, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.T_j_i, room.T, atol=1e-5, rtol=0)
    assert float((found.certainty > 0.5).float().mean()) > 0.9


def test_sweeps_come_nearer_to_depth_and_motion(room: Room) -> None:
    found = [reconstruct(room.matches, room.start, room.camera, sweeps=sweeps) for sweeps in (1, 3, 6)]
    errors = [room.error(each.depth) for each in found]
    assert room.error(room.start) > errors[0] > 2 * max(errors[1:])
    assert errors[2] < 0.25 * room.error(room.start)
    for measure in (rotation_error, translation_direction_error):
        first, _, last = (float(measure(each.T_j_i, room.T).each.nanmedian()) for each in found)
        assert last < 0.1 * first
        assert last < 1  # degree


def test_noise_and_some_wrong_flow_do_no_great_harm(room: Room) -> None:
    flows = []
    for i, flow in enumerate((room.matches.forward, room.matches.backward)):
        wrong = torch.rand(flow.visible.shape, generator=torch.Generator().manual_seed(i)) < 0.1
        noise = 0.05 * normal(*flow.flow.shape, seed=i) + 5 * wrong[:, None] * normal(*flow.flow.shape, seed=5 + i)
        flows.append(Flow(flow.flow + noise, flow.visible))
    found = reconstruct(Matches(PAIRS, *flows), room.start, room.camera, sweeps=6)
    assert room.error(found.depth) < 0.3 * room.error(room.start)


def test_where_the_matches_say_nothing_the_start_stays(room: Room) -> None:
    """A block of each frame that is seen in no match, and a frame that has none."""
    pairs = PAIRS[(PAIRS != 3).all(dim=1)]
    kept = (PAIRS != 3).all(dim=1)
    flows = []
    for flow in (room.matches.forward, room.matches.backward):
        visible = flow.visible[kept].clone()
        visible[:, 5:12, 8:20] = False
        flows.append(Flow(flow.flow[kept], visible))
    found = reconstruct(Matches(pairs, *flows), room.start, room.camera)
    for part in (found.depth[:, :, 5:12, 8:20], room.start[:, :, 5:12, 8:20]), (found.depth[3], room.start[3]):
        torch.testing.assert_close(*part, rtol=1e-12, atol=0)
    assert float(found.certainty[:, :, 5:12, 8:20].max()) == float(found.certainty[3].max()) == 0
    assert float(found.certainty[2, :, 14:].median()) > 0.5


def test_a_camera_that_only_turns_learns_no_depth(room: Room) -> None:
    turn = room.T.clone()
    turn[:, :3, 3] = 0
    i, j = PAIRS.unbind(dim=1)
    there = rigid_flow(room.start[i], room.camera, turn)
    back = rigid_flow(room.start[j], room.camera, invert_pose(turn))
    found = reconstruct(Matches(PAIRS, there, back), room.start, room.camera)
    torch.testing.assert_close(found.depth, room.start, rtol=1e-9, atol=0)
    torch.testing.assert_close(found.T_j_i, turn, atol=1e-6, rtol=0)
    assert float(found.certainty.max()) < 1e-9


@pytest.mark.parametrize("unit", [0.01, 39.4])
def test_the_unit_is_that_of_the_start(room: Room, unit: float) -> None:
    found, other = (reconstruct(room.matches, room.start * factor, room.camera, sweeps=2) for factor in (1.0, unit))
    torch.testing.assert_close(other.depth, unit * found.depth, rtol=1e-6, atol=0)
    torch.testing.assert_close(other.certainty, found.certainty, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(other.T_j_i[:, :3, 3], unit * found.T_j_i[:, :3, 3], rtol=1e-6, atol=1e-9 * unit)


def test_neither_order_nor_direction_of_the_pairs_matters(room: Room) -> None:
    order = torch.randperm(len(PAIRS), generator=torch.Generator().manual_seed(0))
    there, back = room.matches.forward, room.matches.backward
    turned = Matches(
        PAIRS[order].flip(1),
        Flow(back.flow[order], back.visible[order]),
        Flow(there.flow[order], there.visible[order]),
    )
    found, other = (
        reconstruct(matches, room.depth * 1.05, room.camera, sweeps=2) for matches in (room.matches, turned)
    )
    torch.testing.assert_close(other.depth, found.depth, rtol=1e-4, atol=0)
    torch.testing.assert_close(invert_pose(other.T_j_i), found.T_j_i[order], atol=1e-4, rtol=0)


def test_a_mirror_shows_the_mirrored_clip(room: Room) -> None:
    seen = Matches(PAIRS, mirrored_flow(room.matches.forward), mirrored_flow(room.matches.backward))
    found = reconstruct(room.matches, room.start, room.camera, sweeps=2)
    other = reconstruct(seen, room.start.flip(-1), room.camera.flipped(), sweeps=2)
    torch.testing.assert_close(other.depth.flip(-1), found.depth, rtol=1e-6, atol=0)
    torch.testing.assert_close(other.T_j_i, MIRROR @ found.T_j_i @ MIRROR, atol=1e-6, rtol=0)


def test_a_doubted_start_is_left_behind_further(room: Room) -> None:
    """Flow of a deviation of 5 px weighs about as much as the prior."""
    moved = []
    for doubt in (0.01, 0.1, 1.0):
        found = reconstruct(room.matches, room.start, room.camera, trust=Trust(5.0), doubt=doubt)
        moved.append(float((found.depth / room.start).log().abs().mean()))
    assert moved[0] < 0.02
    assert 2 * moved[0] < moved[1] < moved[2]


def test_gathering_adds_up_what_each_pair_says(room: Room) -> None:
    information, pull = gathered(room.matches, room.start, room.camera, room.T, trust=Trust())
    expected = torch.zeros(2, *room.start.shape, dtype=torch.float64)
    sight = room.matches.sight(room.start, room.camera)
    for number, (i, j) in enumerate(PAIRS.tolist()):
        one = torch.arange(len(PAIRS)) == number
        for frame, found in zip((i, j), depth_steps(sight[one], room.T[one]), strict=True):
            expected[0, frame] += found[0][0]
            expected[1, frame] += found[1][0]
    torch.testing.assert_close(information, expected[0])
    torch.testing.assert_close(pull, expected[1])


def test_each_pair_sees_the_depths_of_its_own_frames(room: Room) -> None:
    sight = room.matches.sight(room.depth, room.camera)
    for number, (i, j) in enumerate(PAIRS.tolist()):
        assert torch.equal(sight.depth_a[number], room.depth[i])
        assert torch.equal(sight.depth_b[number], room.depth[j])
    assert sight.flow_ab is room.matches.forward and sight.flow_ba is room.matches.backward


@pytest.mark.parametrize("mark", [0.0, torch.nan, torch.inf])
def test_a_start_with_holes_keeps_them_and_nothing_else_suffers(room: Room, mark: float) -> None:
    holes = torch.zeros_like(room.start, dtype=torch.bool)
    holes[1:3, :, 4:9, 20:30] = True
    found = reconstruct(room.matches, torch.where(holes, mark, room.start), room.camera, sweeps=2)
    unknown = ~(found.depth.isfinite() & (found.depth > 0))
    assert torch.equal(unknown, holes)
    assert float(found.certainty[holes].max()) == 0
    assert bool(found.certainty.isfinite().all() and found.T_j_i.isfinite().all())


def test_it_wants_no_gradient_and_changes_nothing(room: Room) -> None:
    start = room.start.clone().requires_grad_()
    flow = room.matches.forward.flow.clone()
    found = reconstruct(replace(room.matches), start, room.camera, sweeps=1)
    assert not (found.depth.requires_grad or found.certainty.requires_grad or found.T_j_i.requires_grad)
    assert torch.equal(start, room.start) and torch.equal(flow, room.matches.forward.flow)
    assert found.depth.dtype == torch.float64


def test_single_precision_does_as_well(room: Room) -> None:
    flows = (Flow(flow.flow.float(), flow.visible) for flow in (room.matches.forward, room.matches.backward))
    camera = room.camera.to(dtype=torch.float32)
    found = reconstruct(Matches(PAIRS, *flows), room.start.float(), camera, sweeps=6)
    assert found.depth.dtype == found.T_j_i.dtype == torch.float32
    assert room.error(found.depth.double()) < 0.25 * room.error(room.start)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted(room: Room, half: torch.dtype) -> None:
    flows = (Flow(flow.flow.to(half), flow.visible) for flow in (room.matches.forward, room.matches.backward))
    camera = Camera(room.camera.K.float(), *room.camera.size)
    found = reconstruct(Matches(PAIRS, *flows), room.start.to(half), camera, sweeps=2)
    assert found.depth.dtype == found.T_j_i.dtype == torch.float32
    assert room.error(found.depth.double()) < room.error(room.start) / 2
