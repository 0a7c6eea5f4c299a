"""What flow says of depth, given the motion: triangulation, with the share of each match, and the truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sights import MIRROR, SIZE, exact_sight, mirrored, swapped, with_depths, with_noise
from warp_inputs import some_camera

from stc_lab.geometry import Camera, Flow, invert_pose, rigid_flow
from stc_lab.geometry.egomotion import Trust, depth_steps, focal_step

STEP = 1e-6


def test_an_unseen_pair_tells_nothing_at_all() -> None:
    sight, T = exact_sight(2, seed=6)
    blind = [Flow(flow.flow, torch.zeros_like(flow.visible)) for flow in (sight.flow_ab, sight.flow_ba)]
    sight = replace(sight, flow_ab=blind[0], flow_ba=blind[1])
    for value in (*focal_step(sight, T), *(value for step in depth_steps(sight, T) for value in step)):
        assert bool((value == 0).all())


def test_information_is_the_square_of_how_far_a_depth_moves_its_landing() -> None:
    """In deviations of the flow, where the flow agrees: triangulation's 1 / variance of log depth."""
    sight, T = exact_sight(3, seed=8)
    steps = depth_steps(sight, T, trust=Trust(0.2))
    for (information, pull), depth, flow, motion in (
        (steps[0], sight.depth_a, sight.flow_ab, T),
        (steps[1], sight.depth_b, sight.flow_ba, invert_pose(T)),
    ):
        near, far = (rigid_flow(depth * float(np.exp(x)), sight.camera, motion).flow for x in (-STEP, STEP))
        expected = ((far - near) / (2 * STEP * 0.2)).square().sum(dim=1) * flow.visible
        torch.testing.assert_close(information[:, 0], expected, rtol=1e-6, atol=1e-9)
        assert float(pull.abs().max()) < 1e-8


@pytest.mark.parametrize("factor", [0.8, 0.98, 1.02, 1.25])
def test_the_pull_leads_to_the_true_depth(factor: float) -> None:
    """The sign everywhere; the length, where errors are small; and in a few steps the truth."""
    sight, T = exact_sight(3, seed=9)
    off = with_depths(sight, factor)
    for _ in range(6):
        found = depth_steps(off, T)
        seen = [information > 1 for information, _ in found]
        steps = [pull / information for information, pull in found]
        for step, depth, truth, mask in zip(
            steps, (off.depth_a, off.depth_b), (sight.depth_a, sight.depth_b), seen, strict=True
        ):
            left = (truth / depth).log()[mask]
            large = left.abs() > 1e-6
            assert bool((step[mask] * left > 0)[large].all())
            if float(left.abs().max()) < 0.03:
                torch.testing.assert_close(step[mask], left, rtol=0.1, atol=1e-6)
        factors = [torch.where(mask, step, 0).exp() for step, mask in zip(steps, seen, strict=True)]
        off = with_depths(off, *factors)
    for depth, truth, mask in zip((off.depth_a, off.depth_b), (sight.depth_a, sight.depth_b), seen, strict=True):
        assert float(mask.float().mean()) > 0.5
        torch.testing.assert_close(depth[mask], truth[mask], rtol=1e-6, atol=0)


def test_a_turn_alone_tells_nothing_of_depth() -> None:
    _, T = exact_sight(3, seed=10)
    turn = T.clone()
    turn[:, :3, 3] = 0
    sight, _ = exact_sight(3, seed=10, motion=turn)
    for information, pull in depth_steps(with_noise(sight, 0.1), turn):
        assert float(information.max()) < 1e-20
        assert float(pull.abs().max()) < 1e-10


def test_a_match_off_its_epipolar_line_counts_little_and_along_it_much() -> None:
    """Each by the weight of Geman and McClure at its own scale: 4 deviations across, 20 along."""
    shift = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    shift[:, 0, 3] = 0.2  # level: the line is the row
    camera = Camera.from_parameters(30.0, 30.0, 15.5, 11.5, height=SIZE[0], width=SIZE[1], dtype=torch.float64)
    sight, _ = exact_sight(seed=11, motion=shift, camera=camera)
    clean = depth_steps(sight, shift)[0][0]
    seen = clean > 0
    for offset, expected in (((0.0, 0.4), 1 / 4), ((0.4, 0.0), (25 / 26) ** 2), ((2.0, 0.0), 1 / 4)):
        moved = sight.flow_ab.flow + torch.tensor(offset, dtype=torch.float64).reshape(1, 2, 1, 1)
        shifted = replace(sight, flow_ab=Flow(moved, sight.flow_ab.visible))
        ratio = (depth_steps(shifted, shift)[0][0] / clean)[seen]
        torch.testing.assert_close(ratio, torch.full_like(ratio, expected), rtol=1e-9, atol=0)


def test_it_counts_in_deviations_of_the_flow() -> None:
    """Pull and information grow together as the flow is trusted more: the step stays, the prior's share shrinks."""
    sight, T = exact_sight(2, seed=12)
    off = with_depths(sight, 1.001)
    for (coarse, pull), (fine, stronger) in zip(
        depth_steps(off, T, trust=Trust(0.2)), depth_steps(off, T, trust=Trust(0.1)), strict=True
    ):
        torch.testing.assert_close(fine, 4 * coarse, rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(stronger, 4 * pull, rtol=1e-3, atol=1e-9)


def test_depth_steps_are_alike_in_a_mirror_from_b_and_in_another_unit() -> None:
    sight, T = exact_sight(3, seed=13, camera=some_camera(*SIZE, seed=13, skew=0.8))
    off = with_noise(with_depths(sight, 1.1), 0.1, seed=13)
    of_a, of_b = depth_steps(off, T)
    in_mirror = depth_steps(mirrored(off), MIRROR @ T @ MIRROR)
    b_first, a_second = depth_steps(swapped(off), invert_pose(T))
    far = T.clone()
    far[:, :3, 3] *= 50
    in_inches = depth_steps(with_depths(off, 50.0), far)
    for found, expected in (
        (in_mirror[0], [value.flip(-1) for value in of_a]),
        (in_mirror[1], [value.flip(-1) for value in of_b]),
        (a_second, of_a),
        (b_first, of_b),
        (in_inches[0], of_a),
        (in_inches[1], of_b),
    ):
        for value, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-6)
