"""The first stage of learning depth: what is drawn fits together, the loss leads to the truth, and so does the lens."""

import math
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
import torch
from sights import exact_sight, mirrored_flow
from small_rooms import SMALL, FreeDepth, exact_matches
from torch import Tensor
from warp_inputs import some_motion

from stc_lab.data.rooms.videos import render_video, video_name
from stc_lab.geometry import Camera
from stc_lab.geometry.egomotion import Sight, Trust, fit_motion
from stc_lab.geometry.reconstruct import Matches
from stc_lab.training.depth_joint import FocalLength, FrameSets, draw_sets, grid_disparity, joint_loss
from stc_lab.training.depth_matches import GAPS, MatchedClip
from stc_lab.training.depth_recipe import DepthRecipe

PAIRS = [(i, i + gap) for gap in GAPS for i in range(9 - gap)]


def numbered_clip(frames: int = 9, name: str = "numbered") -> MatchedClip:
    """A clip whose flow tells which frames it is between: from i to j it is (j - i, 10 i + j), and back minus that.

    Each image is as bright as its frame's number says and a bar stands at its left.
    """
    pairs = [(i, i + gap) for gap in GAPS for i in range(frames - gap)]
    flow = torch.zeros(len(pairs), 2, 2, 4, 6)
    for row, (i, j) in enumerate(pairs):
        flow[row, 0, 0], flow[row, 0, 1] = j - i, 10 * i + j
        flow[row, 1] = -flow[row, 0]
    usable = torch.ones(len(pairs), 2, 4, 6, dtype=torch.bool)
    usable[..., 0] = False
    image = torch.full((frames, 3, 16, 24), 128, dtype=torch.uint8)
    image[..., :12] = 0
    return MatchedClip(name, image, {pair: row for row, pair in enumerate(pairs)}, flow.half(), usable)


def test_sets_hold_four_frames_of_one_clip_with_all_their_flow() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = draw_sets([numbered_clip(), numbered_clip(frames=7)], 40, generator)
    assert batch.images.shape == (160, 3, 16, 24)
    assert float(batch.images.min()) >= 0 and float(batch.images.max()) <= 1
    pairs = batch.matches.pairs.reshape(40, 6, 2)
    expected = torch.tensor(list(combinations(range(4), 2)))
    assert torch.equal(pairs, 4 * torch.arange(40)[:, None, None] + expected)
    there, back = (flow.flow[..., 2, 3].reshape(40, 6, 2) for flow in (batch.matches.forward, batch.matches.backward))
    assert torch.equal(there, -back)
    gaps = there[..., 0].abs()
    assert set(gaps.flatten().tolist()) <= {float(gap) for gap in GAPS}
    assert len({tuple(row) for row in gaps.tolist()}) > 3  # several spacings
    first, second, third = gaps[:, 0], gaps[:, 3], gaps[:, 5]
    assert torch.equal(gaps[:, 1], first + second) and torch.equal(gaps[:, 2], first + second + third)
    i, j = (there[..., 1] / 10).floor(), there[..., 1] % 10
    assert torch.equal(j - i, gaps)
    assert torch.equal(i[:, :3], i[:, :1].expand(-1, 3))  # all from one first frame


def test_half_of_the_sets_are_mirrored_frames_flow_and_mask_alike() -> None:
    batch = draw_sets([numbered_clip()], 200, torch.Generator().manual_seed(1))
    mirrored = batch.matches.forward.flow[::6, 0, 2, 3] < 0
    assert 0.35 < float(mirrored.float().mean()) < 0.65
    left, right = (batch.images[::4, :, 8, side].mean(dim=1) for side in (0, -1))
    assert torch.equal(left > right, mirrored)  # the dark half stands left, unless mirrored
    for flow in (batch.matches.forward, batch.matches.backward):
        assert torch.equal(flow.visible[::6, 0, 0], mirrored) and torch.equal(~flow.visible[::6, 0, -1], mirrored)
        assert bool(
            (flow.flow.reshape(200, 6, -1)[:, :, :24].sign() == flow.flow.reshape(200, 6, -1)[:, :1, :1].sign()).all()
        )


def test_what_is_drawn_hangs_on_the_generator_alone() -> None:
    clips = [numbered_clip(), numbered_clip(8)]
    one, same, other = (draw_sets(clips, 6, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.images, same.images) and torch.equal(one.matches.forward.flow, same.matches.forward.flow)
    assert not torch.equal(one.images, other.images)


def exact_batch() -> tuple[FrameSets, Tensor, float]:
    """Four frames of a small room with their true flow, depth, and focal length over the width."""
    clip = render_video(video_name("train", 2), replace(SMALL, train_scenes=3, height=16, width=24))
    matches, depth, camera = exact_matches(clip, list(combinations(range(4), 2)))
    return FrameSets(clip.image[:4], matches), depth[:4], float(camera.K[0, 0, 0]) / camera.width


@pytest.fixture(scope="module")
def batch() -> tuple[FrameSets, Tensor, float]:
    return exact_batch()


PLAIN = DepthRecipe.preset("tiny", smoothness=0.0)


def test_the_true_depth_has_no_loss(batch: tuple[FrameSets, Tensor, float]) -> None:
    frames, depth, ratio = batch
    for progress in (0.0, 0.3, 1.0):
        loss = joint_loss(FreeDepth(depth), frames, FocalLength(ratio, False), PLAIN, progress=progress)
        assert float(loss.detach()) < 1e-6
    off = joint_loss(FreeDepth(depth * 1.2), frames, FocalLength(ratio, False), PLAIN, progress=0.0)
    assert float(off.detach()) < 1e-6  # its unit is not told by any image


def test_following_the_loss_leads_to_the_true_depth(batch: tuple[FrameSets, Tensor, float]) -> None:
    """In this room. In others, a constant depth takes the shift for a turn at first, and never comes back by itself."""
    frames, depth, ratio = batch
    net = FreeDepth(torch.full_like(depth, float(depth.median())))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.05)

    def error() -> float:
        ratio_of = (net.log_depth - depth.log()).detach()
        return float((ratio_of - ratio_of.median()).abs().median())

    before = error()
    focal = FocalLength(ratio, learned=False)
    for step in range(60):
        loss = joint_loss(net, frames, focal, PLAIN, progress=step / 60)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert error() < 0.35 * before
    assert focal.ratio == ratio


def test_the_loss_is_alike_in_a_mirror(batch: tuple[FrameSets, Tensor, float]) -> None:
    frames, depth, ratio = batch
    rough = (depth.log() + 0.2 * frames.images[:, :1]).exp()
    seen = FrameSets(
        frames.images.flip(-1),
        Matches(frames.matches.pairs, mirrored_flow(frames.matches.forward), mirrored_flow(frames.matches.backward)),
    )
    recipe = DepthRecipe.preset("tiny")
    losses, gradients = [], []
    for net, sets in ((FreeDepth(rough), frames), (FreeDepth(rough.flip(-1)), seen)):
        loss = joint_loss(net, sets, FocalLength(ratio, False), recipe, progress=0.5)
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(net.log_depth.grad)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    torch.testing.assert_close(
        gradients[1].flip(-1), gradients[0], rtol=1e-2, atol=1e-3 * float(gradients[0].abs().max())
    )


def test_the_unit_is_drawn_to_that_of_the_untrained_net(batch: tuple[FrameSets, Tensor, float]) -> None:
    """No image tells it: without an anchor it would drift."""
    frames, depth, ratio = batch
    slopes = []
    for factor in (0.5, 2.0):
        net = FreeDepth(depth * factor, initial_depth=float(depth.log().mean().exp()))
        joint_loss(net, frames, FocalLength(ratio, False), PLAIN, progress=1.0).backward()
        slopes.append(float(net.log_depth.grad.sum()))
    assert slopes[0] < 0 < slopes[1]


def test_disparities_come_on_the_grid_of_the_matches(batch: tuple[FrameSets, Tensor, float]) -> None:
    frames, depth, _ = batch
    same = grid_disparity(FreeDepth(depth), frames.images, frames.matches)
    torch.testing.assert_close(same, 1 / depth)
    fine = FreeDepth(torch.nn.functional.interpolate(depth, scale_factor=2, mode="nearest"))
    assert grid_disparity(fine, frames.images, frames.matches).shape == depth.shape


def guess(sight: Sight, ratio: float) -> Sight:
    width = sight.camera.width
    camera = FocalLength(ratio, False).camera(sight.camera.height, width)
    return Sight(sight.depth_a, sight.depth_b, sight.flow_ab, sight.flow_ba, camera)


def test_turning_pairs_lead_the_focal_length_to_the_true_one() -> None:
    true = 0.8
    motion = some_motion(4, seed=2, size=1.5, dtype=torch.float32)
    camera = FocalLength(true, False).camera(12, 16)
    sight, _ = exact_sight(motion=motion, camera=camera, size=(12, 16), dtype=torch.float32)
    recipe, trust = DepthRecipe(), Trust(0.1, 0.1)
    focal, ratios = FocalLength(1.0, learned=True), []
    for _ in range(120):
        now = guess(sight, focal.ratio)
        focal.follow(now, fit_motion(now, trust=trust, iterations=6), trust, recipe)
        ratios.append(focal.ratio)
    assert ratios[38] == 1.0 and ratios[39] != 1.0  # before, depth and motion find each other
    assert max(abs(math.log(b / a)) for a, b in pairwise(ratios)) < 0.0201
    assert focal.ratio == pytest.approx(true, rel=0.08)


@pytest.mark.parametrize("reason", ["it is known", "nothing turns"])
def test_the_focal_length_stays_where(reason: str) -> None:
    motion = some_motion(4, seed=2, dtype=torch.float32)
    if reason == "nothing turns":
        motion[:, :3, :3] = torch.eye(3)
    camera = FocalLength(0.8, False).camera(24, 32)
    sight, T = exact_sight(motion=motion, camera=camera, dtype=torch.float32)
    focal = FocalLength(1.0, learned=reason != "it is known")
    for _ in range(50):
        focal.follow(guess(sight, focal.ratio), T, Trust(), DepthRecipe())
    assert focal.ratio == 1.0


def test_the_learned_camera_has_square_pixels_and_its_middle() -> None:
    camera = FocalLength(0.7, True).camera(16, 24)
    expected = Camera.from_parameters(16.8, 16.8, 11.5, 7.5, height=16, width=24)
    assert torch.equal(camera.K, expected.K) and camera.size == (16, 24)
    # The same lens on a grid of another size is the resized camera.
    torch.testing.assert_close(camera.resized(8, 12).K, FocalLength(0.7, True).camera(8, 12).K)


def test_nothing_of_a_batch_is_changed(batch: tuple[FrameSets, Tensor, float]) -> None:
    frames, depth, ratio = batch
    before = frames.images.clone(), frames.matches.forward.flow.clone()
    joint_loss(FreeDepth(depth), frames, FocalLength(ratio, True), PLAIN, progress=0.1).backward()
    assert torch.equal(before[0], frames.images) and torch.equal(before[1], frames.matches.forward.flow)
