"""What pairs say of the focal length: against NumPy on numerical derivatives, the error itself, and the truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sights import MIRROR, bumps, exact_sight, longer, mirrored, swapped, with_depths, with_noise
from torch import Tensor
from warp_inputs import some_camera, some_motion

from stc_lab.geometry import Camera, Flow, compose_poses, invert_pose, pose_from, rigid_flow
from stc_lab.geometry.egomotion import DAMPING, Sight, Trust, fit_motion, focal_step

STEP = 1e-6


class Errors:
    """Of one pair's pixels, one way: [2, n] px for small changes of motion (6), log focal length (1) and log depth."""

    def __init__(self, depth: Tensor, flow: Flow, camera: Camera, T_b_a: Tensor, *, backward: bool) -> None:
        self.depth, self.flow, self.camera, self.T_b_a, self.backward = depth, flow, camera, T_b_a, backward

    def __call__(self, change: np.ndarray, log_depth: float = 0.0) -> np.ndarray:
        step = torch.from_numpy(change)[None]
        motion = compose_poses(pose_from(step[:, :3], step[:, 3:6]), self.T_b_a)
        motion = invert_pose(motion) if self.backward else motion
        camera = longer(self.camera, float(np.exp(change[6])))
        found = rigid_flow(self.depth * float(np.exp(log_depth)), camera, motion).flow
        return np.asarray((found - self.flow.flow)[0].flatten(1))


def slow_focal_step(sight: Sight, T: Tensor, trust: Trust) -> tuple[np.ndarray, np.ndarray]:
    """`focal_step` from derivatives by differences, one pair and one pixel after the other, with 2 x 2 covariances."""
    curvatures, slopes = [], []
    for pair in range(len(T)):
        one = sight[torch.arange(len(T)) == pair]
        H, g = np.zeros((7, 7)), np.zeros(7)
        for depth, flow, backward in ((one.depth_a, one.flow_ab, False), (one.depth_b, one.flow_ba, True)):
            errors = Errors(depth, flow, one.camera, T[pair : pair + 1], backward=backward)
            J = np.stack([(errors(STEP * way) - errors(-STEP * way)) / (2 * STEP) for way in np.eye(7)])
            here, none = errors(np.zeros(7)), np.zeros(7)
            slide = (errors(none, STEP) - errors(none, -STEP)) / (2 * STEP)
            for i in np.flatnonzero(flow.visible[0]):
                doubt = slide[:, i] * trust.log_depth / trust.flow
                precision = np.linalg.inv(np.eye(2) + np.outer(doubt, doubt))
                squared = here[:, i] @ precision @ here[:, i]
                weight = (1 + squared / (2 * trust.flow) ** 2) ** -2
                H += weight * J[:, :, i] @ precision @ J[:, :, i].T
                g += weight * J[:, :, i] @ precision @ here[:, i]
        motion = H[:6, :6] + DAMPING * np.diag(np.diag(H)[:6])
        curvatures.append(H[6, 6] - H[6, :6] @ np.linalg.solve(motion, H[:6, 6]))
        slopes.append(g[6] - H[6, :6] @ np.linalg.solve(motion, g[:6]))
    return np.array(curvatures), np.array(slopes)


@pytest.mark.parametrize("doubt", [0.0, 0.3, 2.0])
def test_the_focal_step_is_that_of_numpy_on_numerical_derivatives(doubt: float) -> None:
    """At a motion that is not the best one, too, with depths and flows that are off."""
    sight, T = exact_sight(2, seed=1, camera=some_camera(12, 16, batch=2, seed=3, skew=1.0), size=(12, 16))
    sight = with_noise(with_depths(sight, (0.1 * bumps(2, seed=4, size=(12, 16))).exp()), 0.1, seed=5)
    T = compose_poses(some_motion(2, seed=6, size=0.05), T)
    trust = Trust(0.1, doubt)
    curvature, slope = focal_step(sight, T, trust=trust)
    expected = slow_focal_step(sight, T, trust)
    np.testing.assert_allclose(curvature.numpy(), expected[0], rtol=1e-4)
    np.testing.assert_allclose(slope.numpy(), expected[1], rtol=1e-4, atol=1e-4)


def least_error(sight: Sight, log_focal: float, trust: Trust) -> Tensor:
    """Half the robust squared error of each pair under the motion that suits a focal length best."""
    sight = replace(sight, camera=longer(sight.camera, float(np.exp(log_focal))))
    T = fit_motion(sight, trust=trust, iterations=30)
    total = torch.zeros(len(T), dtype=torch.float64)
    for depth, flow, motion in ((sight.depth_a, sight.flow_ab, T), (sight.depth_b, sight.flow_ba, invert_pose(T))):
        squared = ((rigid_flow(depth, sight.camera, motion).flow - flow.flow) ** 2).sum(dim=1)
        total += (flow.visible * squared / (1 + squared / (2 * trust.flow) ** 2)).sum(dim=(1, 2)) / 2
    return total


def test_its_slope_is_that_of_the_error_with_the_motion_following() -> None:
    """With a depth that is believed, nothing but the motion is marginalised; at the best motion that is exact."""
    sight, _ = exact_sight(3, seed=2)
    sight = replace(sight, camera=longer(sight.camera, 1.05))
    trust, step = Trust(0.3, 0.0), 1e-3
    T = fit_motion(sight, trust=trust, iterations=30)
    expected = (least_error(sight, step, trust) - least_error(sight, -step, trust)) / (2 * step)
    _, slope = focal_step(sight, T, trust=trust)
    torch.testing.assert_close(slope, expected, rtol=2e-2, atol=1e-3 * float(expected.abs().max()))
    assert float(expected.min()) > 0  # a shorter lens would be better


@pytest.mark.parametrize("doubt", [0.0, 0.3])
@pytest.mark.parametrize("wrong", [0.7, 1.4])
def test_turning_pairs_lead_to_the_true_focal_length(doubt: float, wrong: float) -> None:
    sight, _ = exact_sight(8, seed=3)
    trust, factor = Trust(0.1, doubt), wrong
    for _ in range(8):
        guess = replace(sight, camera=longer(sight.camera, factor))
        curvature, slope = focal_step(guess, fit_motion(guess, trust=trust), trust=trust)
        factor *= float((-slope.sum() / curvature.sum()).clamp(-0.3, 0.3).exp())
    assert factor == pytest.approx(1, abs=1e-6)


def test_noise_leads_it_astray_as_far_as_the_curvature_says() -> None:
    """Over many draws the step from the truth has the variance flow^2 / curvature, for whoever believes the depth."""
    sight, T = exact_sight(1, seed=4)
    trust, noise, draws = Trust(1.0, 0.0), 0.05, 200
    many = exact_sight(motion=T.expand(draws, 4, 4), seed=4, camera=sight.camera)[0]
    visible = [flow.visible.expand(draws, -1, -1) for flow in (sight.flow_ab, sight.flow_ba)]
    flows = [
        Flow(flow.flow.repeat(draws, 1, 1, 1), mask)
        for flow, mask in zip((sight.flow_ab, sight.flow_ba), visible, strict=True)
    ]
    depths = (depth.repeat(draws, 1, 1, 1) for depth in (sight.depth_a, sight.depth_b))
    many = with_noise(Sight(*depths, *flows, sight.camera), noise, seed=4)
    curvature, slope = focal_step(many, T.repeat(draws, 1, 1), trust=trust)
    steps = -slope / curvature
    expected = noise / float(curvature.mean().sqrt())
    assert float(steps.std()) == pytest.approx(expected, rel=0.15)
    assert abs(float(steps.mean())) < 4 * expected / draws**0.5


def test_pairs_that_only_shift_tell_little_of_it() -> None:
    sight, T = exact_sight(8, seed=5)
    shift = T.clone()
    shift[:, :3, :3] = torch.eye(3)
    shifting, _ = exact_sight(8, seed=5, motion=shift)
    told, _ = focal_step(sight, T, trust=Trust(0.1, 0.0))
    little, _ = focal_step(shifting, shift, trust=Trust(0.1, 0.0))
    assert float(little.sum() / told.sum()) < 0.01
    assert float((little / told).max()) < 0.5


def test_the_focal_step_is_alike_in_a_mirror_from_b_and_in_another_unit() -> None:
    sight, _ = exact_sight(3, seed=7)
    noisy = with_noise(replace(sight, camera=longer(sight.camera, 1.1)), 0.1, seed=7)
    T = fit_motion(noisy)
    far = T.clone()
    far[:, :3, 3] *= 50
    expected = focal_step(noisy, T)
    for other in (
        focal_step(mirrored(noisy), MIRROR @ T @ MIRROR),
        focal_step(swapped(noisy), invert_pose(T)),
        focal_step(with_depths(noisy, 50.0), far),
    ):
        for value, wanted in zip(other, expected, strict=True):
            torch.testing.assert_close(value, wanted, rtol=1e-2, atol=1e-6)  # its damping is no invariant
