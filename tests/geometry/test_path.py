"""Poses between poses against SciPy's Slerp, and what must hold of any path."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from stc_lab.errors import InputError
from stc_lab.geometry import (
    check_pose,
    compose_poses,
    interpolate_path,
    interpolate_poses,
    pose_from,
    pose_to_vector,
    relative_pose,
)


def some_poses(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(2, count, 3, generator=generator, dtype=torch.float64)
    return pose_from(*vectors).to(dtype)


def test_it_is_scipys_slerp_and_a_straight_line() -> None:
    times = np.array([0.0, 0.3, 1.0, 1.1, 4.0])
    poses = some_poses(5)
    at = np.random.default_rng(0).uniform(0, 4, size=40)
    found = interpolate_path(torch.from_numpy(times), poses, torch.from_numpy(at)).numpy()
    turns = Slerp(times, Rotation.from_matrix(poses[:, :3, :3].numpy()))(at).as_matrix()
    np.testing.assert_allclose(found[:, :3, :3], turns, rtol=0, atol=1e-14)
    for i in range(3):
        np.testing.assert_allclose(found[:, i, 3], np.interp(at, times, poses[:, i, 3]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_recorded_times_give_the_recorded_poses_exactly(dtype: torch.dtype) -> None:
    poses = some_poses(6, dtype=dtype)
    times = torch.tensor([0.0, 0.1, 0.3, 0.7, 0.9, 2.0], dtype=dtype)
    assert torch.equal(interpolate_path(times, poses, times), poses)
    zero, one = torch.zeros(5, dtype=dtype), torch.ones(5, dtype=dtype)
    assert torch.equal(interpolate_poses(poses[:-1], poses[1:], zero), poses[:-1])
    assert torch.equal(interpolate_poses(poses[:-1], poses[1:], one), poses[1:])
    assert torch.equal(interpolate_poses(poses[:-1], poses[:-1], 0.3 * one), poses[:-1])


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 1), st.integers(0, 1000))
def test_the_way_back_is_the_way_there(fraction: float, seed: int) -> None:
    a, b = some_poses(3, seed), some_poses(3, seed + 1)
    f = torch.full((3,), fraction, dtype=torch.float64)
    between = interpolate_poses(a, b, f)
    check_pose(between, "T")
    torch.testing.assert_close(between, interpolate_poses(b, a, 1 - f), rtol=0, atol=1e-13)
    # The camera turns at a constant rate: a fraction of the way is that fraction of the angle.
    part, whole = (pose_to_vector(relative_pose(T, a))[:, 3:] for T in (between, b))
    torch.testing.assert_close(part, fraction * whole, rtol=0, atol=1e-13)


def test_moving_the_world_moves_the_path() -> None:
    a, b, T_there_world = (some_poses(4, seed) for seed in range(3))
    f = torch.tensor([0.0, 0.2, 0.5, 0.9], dtype=torch.float64)
    moved = interpolate_poses(compose_poses(T_there_world, a), compose_poses(T_there_world, b), f)
    torch.testing.assert_close(moved, compose_poses(T_there_world, interpolate_poses(a, b, f)))


@pytest.mark.parametrize("angle", [1e-9, 1e-4, math.pi - 1e-9, math.pi])
def test_small_and_half_turns(angle: float) -> None:
    v, o = torch.tensor([[0.0, angle, 0.0]], dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64)
    start = some_poses(1)
    end = compose_poses(start, pose_from(v, o))
    for fraction in (0.25, 0.75):
        found = interpolate_poses(start, end, torch.tensor([fraction], dtype=torch.float64))
        torch.testing.assert_close(found, compose_poses(start, pose_from(fraction * v, o)), rtol=0, atol=2e-15)


def test_seconds_since_1970_beside_float32_poses() -> None:
    start = 1305031102.1758
    times = start + torch.arange(4, dtype=torch.float64) / 30
    poses = some_poses(4, dtype=torch.float32)
    found = interpolate_path(times, poses, times[1:3] + 1 / 120)
    assert found.dtype == torch.float32
    expected = interpolate_poses(poses[1:3], poses[2:4], torch.tensor([0.25, 0.25]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_gradients_reach_both_poses_and_the_fraction(fraction: float) -> None:
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).expand(2, 1, 4)
    tops = [some_poses(2, seed)[:, :3].requires_grad_() for seed in (1, 2)]

    def between(a: torch.Tensor, b: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        return interpolate_poses(torch.cat([a, last], dim=1), torch.cat([b, last], dim=1), f)

    f = torch.full((2,), fraction, dtype=torch.float64)
    inside = 0 < fraction < 1  # at an end, a finite difference would step over it
    assert torch.autograd.gradcheck(between, (*tops, f.requires_grad_(inside)))
    slope = torch.autograd.grad(between(*tops, f.detach().requires_grad_()).sum(), tops)
    assert all(part.isfinite().all() for part in slope)


def test_the_speed_at_the_ends_is_the_speed_between() -> None:
    a, b = some_poses(1, 1), some_poses(1, 2)

    def speed(fraction: float) -> torch.Tensor:
        f = torch.tensor([fraction], dtype=torch.float64)
        return torch.autograd.functional.jacobian(lambda f: interpolate_poses(a, b, f)[0, :3, 3], f)[:, 0]

    for fraction in (0.0, 0.5, 1.0):
        torch.testing.assert_close(speed(fraction), b[0, :3, 3] - a[0, :3, 3])


def test_gradients_reach_times_and_poses_of_a_path() -> None:
    top = some_poses(4)[:, :3].requires_grad_()
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).expand(4, 1, 4)
    times = torch.tensor([0.0, 0.5, 0.7, 2.0], dtype=torch.float64, requires_grad=True)
    at = torch.tensor([0.1, 0.6, 1.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda times, top, at: interpolate_path(times, torch.cat([top, last], dim=1), at), (times, top, at)
    )


A, TIMES, AT = torch.eye(4).repeat(3, 1, 1), torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.5])
F = torch.full((3,), 0.5)
SCALED, MIRROR = (torch.diag(torch.tensor(v)).repeat(3, 1, 1) for v in ([2.0, 2, 2, 1], [-1.0, 1, 1, 1]))

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "fraction beyond the end": (lambda: interpolate_poses(A, A, F + 1), r"0\.\.1, got values from 1\.5 to 1\.5"),
    "fraction before the start": (lambda: interpolate_poses(A, A, F - 1), r"fraction must lie in 0\.\.1"),
    "fraction of NaN": (lambda: interpolate_poses(A, A, F * torch.nan), r"fraction holds NaN"),
    "one fraction for all": (lambda: interpolate_poses(A, A, F[0]), r"list of numbers, got \[\].*fraction\[None\]"),
    "fraction of integers": (lambda: interpolate_poses(A, A, F.long()), r"floating point, got torch\.int64"),
    "fractions of another length": (lambda: interpolate_poses(A, A, F[:2]), r"one batch size, got 2 and 3"),
    "fractions in another dtype": (lambda: interpolate_poses(A, A, F.double()), r"must have one dtype"),
    "a scaled pose": (lambda: interpolate_poses(A, SCALED, F), r"T_world_b is no rigid motion"),
    "a path with a mirror": (lambda: interpolate_path(TIMES, MIRROR, AT), r"T_world_camera is no rigid motion"),
    "a path with a lost pose": (lambda: interpolate_path(TIMES, A * -torch.inf, AT), r"T_world_camera holds NaN"),
    "poses of another length": (lambda: interpolate_path(TIMES[:2], A, AT), r"one length, 2 or more, got 2 and 3"),
    "a single pose": (lambda: interpolate_path(TIMES[:1], A[:1], AT), r"one length, 2 or more, got 1 and 1"),
    "times that stand still": (
        lambda: interpolate_path(torch.tensor([0.0, 1.0, 1.0]), A, AT),
        r"times must rise strictly, got 1\.0 s then 1\.0 s \(entries 1 and 2\).*float64",
    ),
    "times in 1970 seconds and float32": (
        lambda: interpolate_path(TIMES / 30 + 1.3e9, A, AT + 1.3e9),
        r"times must rise strictly.*since 1970 in float32",
    ),
    "a time after the last": (
        lambda: interpolate_path(TIMES, A, AT + 2),
        r"within the path's 0\.0\.\.2\.0 s.*to 2\.5 s",
    ),
    "a time before the first": (lambda: interpolate_path(TIMES, A, AT - 1), r"from -0\.5 to -0\.5 s.*leave them out"),
    "a time of NaN": (lambda: interpolate_path(TIMES, A, AT * torch.nan), r"at holds NaN"),
    "times in two dtypes": (lambda: interpolate_path(TIMES, A, AT.double()), r"times and at must have one dtype"),
    "times of integers": (lambda: interpolate_path(TIMES.long(), A, AT), r"times must be 32- or 64-bit floating point"),
    "times elsewhere": (lambda: interpolate_path(TIMES, A, AT.to("meta")), r"one device, got cpu, meta and cpu"),
    "a path without its batch": (
        lambda: interpolate_path(TIMES[:2], A[0, :2], AT),
        r"T_world_camera must be \[b, 4, 4\]",
    ),
    "nowhere": (lambda: interpolate_path(TIMES, A, AT[:0]), r"at must be a list of numbers, got \[0\]"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_a_helpful_message(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(InputError) as error:
        call()
    assert re.search(message, str(error.value)), str(error.value)
