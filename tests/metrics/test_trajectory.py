"""Errors of motions against SciPy's rotations, loops with matrix inverses, and trajectories whose error is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stc_lab.geometry import Camera, compose_poses, pose_from, relative_pose
from stc_lab.metrics import (
    absolute_trajectory_error,
    chain_poses,
    focal_error,
    relative_pose_errors,
    rotation_error,
    scale_drift,
    translation_direction_error,
)


def poses(seed=0, b=6, turn=1.0, step=1.0):
    rng = np.random.default_rng(seed)
    return pose_from(torch.from_numpy(rng.normal(0, turn, (b, 3))), torch.from_numpy(rng.normal(0, step, (b, 3))))


def walk(seed=0, t=12):
    """A camera that walks on, so that neighbours are near each other."""
    return chain_poses(poses(seed, t - 1, turn=0.2, step=0.3))


def moved(T, R, t, scale=1.0):
    """The trajectory in another world, and in another unit."""
    out = T.clone()
    out[:, :3, :3] = R @ T[:, :3, :3]
    out[:, :3, 3] = scale * T[:, :3, 3] @ R.T + t
    return out


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_rotation_errors_are_those_of_scipy(seed):
    a, b = poses(seed), poses(seed + 1)
    R_a, R_b = (Rotation.from_matrix(T[:, :3, :3].numpy()) for T in (a, b))
    errors = rotation_error(a, b)
    np.testing.assert_allclose(errors.each, np.degrees((R_a.inv() * R_b).magnitude()), rtol=1e-9)
    np.testing.assert_allclose(errors.each, rotation_error(b, a).each, rtol=1e-9)
    world = poses(seed + 2, 1).expand(6, -1, -1)
    np.testing.assert_allclose(errors.each, rotation_error(compose_poses(world, a), compose_poses(world, b)).each)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-9, 1e-6, 1e-3, 1.0, math.pi - 1e-6, math.pi - 1e-9, math.pi])
def test_rotation_errors_are_precise_near_none_and_near_half_a_turn(angle):
    """The arc cosine of the trace would give 0 below 1e-8 and lose half of the digits elsewhere."""
    axis = torch.tensor([[0.6, -0.64, 0.48]], dtype=torch.float64)
    still = torch.zeros(1, 3, dtype=torch.float64)
    error = rotation_error(pose_from(angle * axis, still), pose_from(still, still))
    assert float(error.each) == pytest.approx(math.degrees(angle), rel=1e-9, abs=0)


def test_equal_motions_have_no_error_at_all():
    T = poses().float()
    assert rotation_error(T, T).each.tolist() == [0.0] * 6
    assert float(translation_direction_error(T, T).each.max()) < 1e-6


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), unit=st.floats(1e-3, 1e3))
def test_directions_differ_by_their_angle_whatever_their_length(seed, unit):
    a, b = poses(seed), poses(seed + 1)
    scaled = a.clone()
    scaled[:, :3, 3] *= unit
    t_a, t_b = a[:, :3, 3].numpy(), b[:, :3, 3].numpy()
    cosine = (t_a * t_b).sum(1) / np.linalg.norm(t_a, axis=1) / np.linalg.norm(t_b, axis=1)
    errors = translation_direction_error(scaled, b)
    np.testing.assert_allclose(errors.each, np.degrees(np.arccos(cosine)), atol=1e-5)
    opposite = b.clone()
    opposite[:, :3, 3] *= -unit
    np.testing.assert_allclose(translation_direction_error(opposite, b).each, 180)


def test_no_motion_has_no_direction():
    true, estimated = poses(b=4), poses(1, b=4)
    true[0, :3, 3] = 0
    true[1, :3, 3] = torch.tensor([0.0, 9e-4, 0.0])
    estimated[2, :3, 3] = 0
    errors = translation_direction_error(estimated, true)
    assert torch.isnan(errors.each).tolist() == [True, True, True, False]
    assert (errors.support, errors.undefined) == (1, 3)
    assert errors.mean == errors.median == errors.rmse == float(errors.each[3])
    assert translation_direction_error(estimated, true, still=1e-4).support == 2
    nothing = translation_direction_error(estimated[:1], true[:1])
    assert (nothing.support, nothing.mean, nothing.median, nothing.rmse) == (0, None, None, None)


def test_means_over_pairs_are_those_of_numpy():
    errors = rotation_error(poses(0, 8), poses(1, 8))
    each = errors.each.numpy()
    assert errors.mean == pytest.approx(each.mean()) and errors.median == pytest.approx(np.median(each))
    assert errors.rmse == pytest.approx(np.sqrt((each**2).mean()))


def test_a_scale_that_grows_by_a_percent_has_this_slope():
    true = poses(b=20)
    estimated = true.clone()
    estimated[:, :3, 3] *= (3 * 1.01 ** torch.arange(20.0, dtype=torch.float64))[:, None]
    drift = scale_drift(estimated, true)
    np.testing.assert_allclose(drift.ratio, 3 * 1.01 ** np.arange(20))
    assert drift.slope == pytest.approx(math.log(1.01))
    seconds = torch.arange(20.0, dtype=torch.float64) / 30 + 1e9  # since 1970
    assert scale_drift(estimated, true, time=seconds).slope == pytest.approx(30 * math.log(1.01), rel=1e-4)
    steady = scale_drift(compose_poses(true, poses(5, 20, step=0.0)), true)
    assert steady.slope == pytest.approx(0, abs=1e-12) and steady.spread == pytest.approx(0, abs=1e-12)


def test_the_slope_of_the_scale_is_a_line_through_what_is_defined():
    true, estimated = poses(b=15), poses(1, b=15)
    true[3, :3, 3] = 0
    estimated[7, :3, 3] = 0
    drift = scale_drift(estimated, true)
    keep = [i for i in range(15) if i not in (3, 7)]
    logs = np.log(np.linalg.norm(estimated[keep, :3, 3], axis=1) / np.linalg.norm(true[keep, :3, 3], axis=1))
    assert drift.slope == pytest.approx(np.polyfit(keep, logs, 1)[0])
    assert drift.spread == pytest.approx(logs.std()) and (drift.support, drift.undefined) == (13, 2)
    assert scale_drift(estimated[:1], true[:1]).slope is None


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_chained_motions_give_the_trajectory_back(seed):
    T = walk(seed)
    motions = relative_pose(T[1:], T[:-1])  # points of frame i + 1 in frame i
    torch.testing.assert_close(chain_poses(motions, T[0]), T)
    at_origin = chain_poses(motions)
    assert torch.equal(at_origin[0], torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(relative_pose(at_origin[1:], at_origin[:-1]), motions)


def test_long_chains_keep_what_float32_would_lose():
    motion = pose_from(torch.tensor([[0.0, 2 * math.pi / 1000, 0.0]]), torch.tensor([[0.01, 0.0, 0.0]]))
    loop = chain_poses(motion.expand(1000, -1, -1))
    assert loop.dtype == torch.float32 and loop.shape == (1001, 4, 4)
    torch.testing.assert_close(loop[-1], torch.eye(4), atol=2e-4, rtol=0)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.05, 20))
def test_neither_world_nor_unit_of_the_estimate_matter_to_the_ate(seed, scale):
    true = walk(seed)
    world = poses(seed + 3, 1)[0]
    estimated = moved(true, world[:3, :3], world[:3, 3], scale)
    error = absolute_trajectory_error(estimated, true)
    assert error.rmse < 1e-9 and error.alignment.scale == pytest.approx(1 / scale)
    torch.testing.assert_close(error.aligned, true)
    rigid = absolute_trajectory_error(moved(true, world[:3, :3], world[:3, 3]), true, with_scale=False)
    assert rigid.rmse < 1e-9 and rigid.alignment.scale == 1.0


def test_the_ate_is_what_is_left_after_alignment():
    true = walk()
    noise = torch.from_numpy(np.random.default_rng(4).normal(0, 0.05, (12, 3)))
    estimated = true.clone()
    estimated[:, :3, 3] += noise
    error = absolute_trajectory_error(estimated, true)
    left = error.aligned[:, :3, 3] - true[:, :3, 3]
    assert error.rmse == pytest.approx(float((left**2).sum(dim=1).mean().sqrt())) == pytest.approx(error.alignment.rmse)
    np.testing.assert_allclose(error.each, left.norm(dim=1))
    assert error.rmse <= float((noise**2).sum(dim=1).mean().sqrt()) and error.support == 12


def test_an_ate_on_a_straight_line_does_not_need_the_turn_about_it():
    true = torch.eye(4, dtype=torch.float64).repeat(10, 1, 1)
    true[:, 2, 3] = torch.arange(10.0)
    estimated = moved(true, poses(2, 1)[0, :3, :3], torch.ones(3, dtype=torch.float64), 4.0)
    error = absolute_trajectory_error(estimated, true)
    assert error.rmse < 1e-9 and error.alignment.rank == 1


def test_standing_still_is_as_wrong_as_the_true_way_is_wide():
    true = walk()
    still = torch.eye(4, dtype=torch.float64).repeat(12, 1, 1)
    error = absolute_trajectory_error(still, true, with_scale=False)
    spread = true[:, :3, 3] - true[:, :3, 3].mean(dim=0)
    assert error.rmse == pytest.approx(float((spread**2).sum(dim=1).mean().sqrt()))
    assert error.alignment.rank == 0


@pytest.mark.parametrize("gap", [1, 2, 5])
def test_relative_errors_are_those_of_the_formula(gap):
    true, estimated = walk(0), walk(1)
    errors = relative_pose_errors(estimated, true, gaps=[gap], scale=1.7)[gap]
    P, Q = estimated.numpy().copy(), true.numpy()
    P[:, :3, 3] *= 1.7
    for i in range(12 - gap):
        motion_q = np.linalg.inv(Q[i]) @ Q[i + gap]
        motion_p = np.linalg.inv(P[i]) @ P[i + gap]
        E = np.linalg.inv(motion_q) @ motion_p
        assert float(errors.translation.each[i]) == pytest.approx(np.linalg.norm(E[:3, 3]))
        angle = np.degrees(Rotation.from_matrix(E[:3, :3]).magnitude())
        assert float(errors.rotation.each[i]) == pytest.approx(angle)
        a, b = motion_p[:3, 3], motion_q[:3, 3]
        between = np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
        assert float(errors.direction.each[i]) == pytest.approx(between)


def test_relative_errors_do_not_know_the_world():
    true, estimated, world = walk(0), walk(1), poses(2, 1)[0]
    there = moved(estimated, world[:3, :3], world[:3, 3])
    for gap, errors in relative_pose_errors(estimated, true).items():
        same = relative_pose_errors(there, true)[gap]
        torch.testing.assert_close(same.rotation.each, errors.rotation.each)
        torch.testing.assert_close(same.translation.each, errors.translation.each)


def test_the_given_trajectory_is_left_as_it_was():
    true, estimated = walk(0), walk(1)
    before = estimated.clone()
    relative_pose_errors(estimated, true, scale=2.0)
    absolute_trajectory_error(estimated, true)
    assert torch.equal(estimated, before)


def test_a_drift_grows_with_the_gap():
    true = walk()
    yaw = torch.zeros(11, 3, dtype=torch.float64)
    yaw[:, 1] = math.radians(0.5)
    motions = compose_poses(relative_pose(true[1:], true[:-1]), pose_from(yaw, torch.zeros_like(yaw)))
    errors = relative_pose_errors(chain_poses(motions), true, gaps=(1, 2, 4, 8))
    means = [errors[gap].rotation.mean for gap in (1, 2, 4, 8)]
    assert means[0] == pytest.approx(0.5) and means == sorted(means)


def test_float32_poses_are_judged_in_float64():
    a, b = poses(0).float(), poses(1).float()
    assert rotation_error(a, b).each.dtype == torch.float64
    np.testing.assert_allclose(rotation_error(a, b).each, rotation_error(a.double(), b.double()).each)


def test_focal_errors_are_relative_and_signed():
    true = Camera.from_parameters(60, 66, 47.5, 31.5, height=64, width=96)
    long = Camera.from_parameters(66, 66, 50.5, 31.0, height=64, width=96, dtype=torch.float64)
    error = focal_error(long, true)
    np.testing.assert_allclose(error.focal, [[0.1, 0.0]], atol=1e-12)
    np.testing.assert_allclose(error.principal_point, [[3.0, -0.5]])
    assert error.value == pytest.approx(0.05) and error.support == 1
    resized = focal_error(long.resized(32, 48), true.resized(32, 48))
    np.testing.assert_allclose(resized.focal, error.focal, atol=1e-7)
    both = Camera(torch.cat([true.K, long.K.float()]), 64, 96)
    np.testing.assert_allclose(focal_error(both, true).focal, [[0, 0], [0.1, 0]], atol=1e-7)
