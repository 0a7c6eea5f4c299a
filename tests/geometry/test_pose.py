"""Rigid motions against SciPy, matrix exponentials and inverses, and finite differences."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from stc_lab.errors import InputError
from stc_lab.geometry import (
    check_pose,
    compose_poses,
    invert_pose,
    pose_from,
    pose_from_vector,
    pose_to_vector,
    relative_pose,
    so3_exp,
    so3_log,
    transform,
)

ANGLES = [0.0, 1e-12, 1e-9, 1e-7, 1e-5, 1e-3, 0.02, 0.0316, 0.04, 0.5, 2.0, 3.0, math.pi - 1e-3, math.pi - 1e-6]
ANGLES += [math.pi - 1e-9, math.pi - 1e-12]
VECTORS = st.lists(st.floats(-1, 1), min_size=3, max_size=3)


def turns(angle: float, count: int = 50) -> np.ndarray:
    """Axis-angle vectors of this angle, about random axes."""
    axes = np.random.default_rng(0).normal(size=(count, 3))
    return angle * axes / np.linalg.norm(axes, axis=1, keepdims=True)


def some_poses(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return pose_from(
        torch.randn(count, 3, generator=generator, dtype=torch.float64),
        torch.randn(count, 3, generator=generator, dtype=torch.float64),
    )


@pytest.mark.parametrize("angle", [*ANGLES, math.pi, 5.0])
def test_so3_exp_is_scipys_rotation_and_the_matrix_exponential(angle: float) -> None:
    vectors = turns(angle)
    found = so3_exp(torch.from_numpy(vectors))
    expected = torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)
    cross = torch.linalg.cross(torch.from_numpy(vectors)[:, None], torch.eye(3, dtype=torch.float64)[None], dim=2)
    torch.testing.assert_close(found, torch.linalg.matrix_exp(cross.transpose(1, 2)), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-15), (torch.float32, 4e-7)])
@pytest.mark.parametrize("angle", ANGLES)
def test_so3_log_is_scipys_rotation_vector(angle: float, dtype: torch.dtype, rounding: float) -> None:
    vectors = turns(angle)
    R = Rotation.from_rotvec(vectors).as_matrix()
    found = so3_log(torch.from_numpy(R).to(dtype)).double().numpy()
    if math.pi - angle < 3 * rounding:  # float32 cannot tell it from half a turn, which has two vectors
        vectors = vectors * np.sign((vectors * found).sum(axis=1, keepdims=True))
    else:
        np.testing.assert_allclose(found, Rotation.from_matrix(R).as_rotvec(), rtol=3 * rounding, atol=0)
    assert np.abs(found - vectors).max() <= 3 * rounding * max(angle, 1e-300)  # relative: exact also near zero


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_of_half_a_turn_the_axis_with_its_largest_component_positive_is_taken(dtype: torch.dtype) -> None:
    vectors = torch.from_numpy(turns(math.pi)).to(dtype)
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    expected = vectors * largest.sign()
    tight = {"rtol": 0.0, "atol": 16 * torch.finfo(dtype).eps}
    torch.testing.assert_close(so3_log(so3_exp(vectors)), expected, **tight)
    torch.testing.assert_close(so3_log(so3_exp(-vectors)), expected, **tight)
    about_axes = so3_log(torch.diag_embed(2 * torch.eye(3, dtype=dtype) - 1))  # diag(1, -1, -1), ...: exactly half
    torch.testing.assert_close(about_axes, math.pi * torch.eye(3, dtype=dtype), rtol=0, atol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 0.02, 0.0316, 0.032, 1.0, 3.0])
def test_so3_exp_and_log_have_their_derivatives(angle: float) -> None:
    vectors = torch.from_numpy(turns(angle, 3)).requires_grad_()
    assert torch.autograd.gradcheck(so3_exp, (vectors,))
    assert torch.autograd.gradgradcheck(so3_exp, (vectors,))
    assert torch.autograd.gradcheck(so3_log, (so3_exp(vectors.detach()).requires_grad_(),))
    there_and_back = torch.autograd.functional.jacobian(lambda v: so3_log(so3_exp(v)).sum(dim=0), vectors)
    torch.testing.assert_close(there_and_back, torch.eye(3, dtype=torch.float64)[:, None].expand(3, 3, 3))


@pytest.mark.parametrize("angle", [1e-4, 1e-3, 1e-2, 0.1, 3.1])
def test_float32_keeps_the_derivative_at_small_angles(angle: float) -> None:
    # (1 - cos) / angle^2 as it stands has an error of 1e-3 there.
    vectors = torch.from_numpy(turns(angle, 4))
    wide, narrow = (
        torch.autograd.functional.jacobian(lambda v: so3_exp(v).sum(dim=0), vectors.to(dtype)).double()
        for dtype in (torch.float64, torch.float32)
    )
    torch.testing.assert_close(narrow, wide, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(VECTORS, st.floats(1e-12, math.pi - 1e-12))
def test_so3_log_undoes_so3_exp(direction: list[float], angle: float) -> None:
    axis = np.array(direction)
    if np.abs(axis).max() < 1e-3:
        axis = np.array([0.0, 0.0, 1.0])
    vector = torch.from_numpy(angle * axis / np.linalg.norm(axis))[None]
    torch.testing.assert_close(so3_log(so3_exp(vector)), vector, rtol=0, atol=3e-15 * angle)


@settings(deadline=None, max_examples=50)
@given(VECTORS, VECTORS)
def test_a_vector_makes_the_pose_that_gives_it_back(translation: list[float], rotation: list[float]) -> None:
    vector = torch.tensor([[*translation, *rotation]], dtype=torch.float64)
    T = pose_from_vector(vector)
    check_pose(T, "T")
    torch.testing.assert_close(T, pose_from(vector[:, 3:], vector[:, :3]), rtol=0, atol=0)
    torch.testing.assert_close(pose_to_vector(T), vector, rtol=0, atol=1e-14)


def test_euler_angles_turn_about_z_first_and_x_last() -> None:
    # R = Rx Ry Rz, as SfMLearner and Gordon et al. have it; Rz Ry Rx is another rotation.
    vector = torch.from_numpy(np.random.default_rng(0).normal(size=(10, 6)))
    T = pose_from_vector(vector, rotation="euler").numpy()
    angles = vector[:, 3:].numpy()
    np.testing.assert_allclose(T[:, :3, :3], Rotation.from_euler("XYZ", angles).as_matrix(), rtol=0, atol=1e-14)
    assert np.abs(T[:, :3, :3] - Rotation.from_euler("ZYX", angles[:, ::-1]).as_matrix()).max() > 0.1
    np.testing.assert_array_equal(T[:, :3, 3], vector[:, :3])
    gradients = torch.autograd.gradcheck(
        lambda v: pose_from_vector(v, rotation="euler"), (torch.zeros(1, 6, dtype=torch.float64, requires_grad=True),)
    )
    assert gradients


def test_invert_pose_is_the_matrix_inverse() -> None:
    poses = some_poses(5)
    torch.testing.assert_close(invert_pose(poses), torch.linalg.inv(poses))


def test_relative_pose_maps_points_of_a_into_b() -> None:
    a, b = some_poses(4, 1), some_poses(4, 2)
    T_b_a = relative_pose(a, b)
    check_pose(T_b_a, "T_b_a")
    points = torch.randn(4, 3, 2, 5, dtype=torch.float64)
    torch.testing.assert_close(transform(b, transform(T_b_a, points)), transform(a, points))


def test_relative_pose_keeps_its_precision_far_from_the_origin() -> None:
    # ApolloScape's map coordinates are tens of kilometres; a matrix inverse in float32 would lose the decimetres.
    far = torch.tensor([-12481.0, 8000.0, 50.0])
    a, b = some_poses(1, 1).float(), some_poses(1, 2).float()
    a[:, :3, 3] = far
    b[:, :3, 3] = far + torch.tensor([0.25, 0.0, 0.5])
    expected = (torch.linalg.inv(b.double()) @ a.double()).float()
    torch.testing.assert_close(relative_pose(a, b), expected, atol=1e-4, rtol=0)


def test_equal_poses_have_exactly_no_motion_between_them() -> None:
    generator = torch.Generator().manual_seed(3)
    T = pose_from(torch.randn(8, 3, generator=generator), torch.randn(8, 3, generator=generator))
    assert torch.equal(relative_pose(T, T), torch.eye(4).expand(8, 4, 4))


def test_poses_compose_like_the_motions_they_stand_for() -> None:
    T_d_c, T_c_b, T_b_a = (some_poses(4, seed) for seed in (1, 2, 3))
    points = torch.randn(4, 3, 2, 5, dtype=torch.float64)
    T_c_a = compose_poses(T_c_b, T_b_a)
    torch.testing.assert_close(transform(T_c_a, points), transform(T_c_b, transform(T_b_a, points)))
    torch.testing.assert_close(compose_poses(T_d_c, T_c_a), compose_poses(compose_poses(T_d_c, T_c_b), T_b_a))
    torch.testing.assert_close(T_c_a, T_c_b @ T_b_a, rtol=0, atol=1e-15)
    one = torch.eye(4, dtype=torch.float64).expand(4, 4, 4)
    torch.testing.assert_close(compose_poses(T_b_a, one), T_b_a, rtol=0, atol=0)
    torch.testing.assert_close(compose_poses(invert_pose(T_b_a), T_b_a), one, rtol=0, atol=1e-15)
    torch.testing.assert_close(compose_poses(invert_pose(T_c_b), T_b_a), relative_pose(T_b_a, T_c_b))
    torch.testing.assert_close(invert_pose(T_c_a), compose_poses(invert_pose(T_b_a), invert_pose(T_c_b)))


def test_kilometres_cost_relative_pose_nothing_and_a_composition_millimetres() -> None:
    # Both are given the same float32 poses, 15 km from the origin, and judged by float64.
    a, b = some_poses(20, 1).float(), some_poses(20, 2).float()
    a[:, :3, 3] = torch.tensor([-12481.0, 8000.0, 50.0]) + 3 * torch.randn(20, 3, generator=torch.manual_seed(0))
    b[:, :3, 3] = a[:, :3, 3] + torch.randn(20, 3, generator=torch.manual_seed(1))
    exact = torch.linalg.inv(b.double()) @ a.double()

    def error(T: torch.Tensor) -> float:
        return float((T.double() - exact)[:, :3, 3].abs().max())

    assert error(relative_pose(a, b)) < 2e-6
    assert 1e-4 < error(compose_poses(invert_pose(b), a)) < 1e-2


def test_gradients_reach_every_pose() -> None:
    tops = [some_poses(2, seed)[:, :3].requires_grad_() for seed in (1, 2)]
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).expand(2, 1, 4)

    def results(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, ...]:
        T_a, T_b = (torch.cat([top, last], dim=1) for top in (a, b))
        return relative_pose(T_a, T_b), compose_poses(T_a, T_b), invert_pose(T_a), pose_to_vector(T_b)

    assert torch.autograd.gradcheck(results, tops)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_points_of_half_precision_are_moved_in_float32(dtype: torch.dtype) -> None:
    T, points = some_poses(1).float(), torch.randn(1, 3, 4, 5).to(dtype)
    torch.testing.assert_close(transform(T, points), transform(T, points.float()), rtol=0, atol=0)


V3, V6, POSE = torch.zeros(2, 3), torch.zeros(2, 6), torch.eye(4).repeat(2, 1, 1)
SCALED = torch.diag(torch.tensor([2.0, 2, 2, 1])).repeat(2, 1, 1)
MIRROR = torch.diag(torch.tensor([-1.0, 1, 1, 1])).repeat(2, 1, 1)

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "vector without batch": (lambda: so3_exp(V3[0]), r"axis_angle must be \[b, 3\], got \[3\].*axis_angle\[None\]"),
    "four numbers for three": (lambda: so3_exp(torch.zeros(2, 4)), r"\[b, 3\], got \[2, 4\]"),
    "vector of integers": (lambda: so3_exp(V3.long()), r"floating point, got torch\.int64"),
    "vector in half precision": (lambda: so3_exp(V3.half()), r"floating point, got torch\.float16.*float\(\)"),
    "vector with NaN": (lambda: so3_exp(V3 * torch.nan), r"axis_angle holds NaN.*diverged"),
    "no vectors": (lambda: so3_exp(V3[:0]), r"got \[0, 3\]"),
    "logarithm of a pose": (lambda: so3_log(POSE), r"rotation must be \[b, 3, 3\], got \[2, 4, 4\]"),
    "logarithm of a scale": (lambda: so3_log(SCALED[:, :3, :3]), r"orthonormal.*by 3 \(limit 0\.01\).*scale"),
    "logarithm of a mirror": (lambda: so3_log(MIRROR[:, :3, :3]), r"determinant \+1.*mirrored axis"),
    "logarithm of infinity": (lambda: so3_log(POSE[:, :3, :3] * -torch.inf), r"rotation holds NaN or infinite"),
    "translation with infinity": (lambda: pose_from(V3, V3 + torch.inf), r"translation holds NaN or infinite"),
    "rotation and translation of two lengths": (lambda: pose_from(V3, V3[:1]), r"one batch size, got 2 and 1"),
    "rotation and translation of two dtypes": (lambda: pose_from(V3, V3.double()), r"must have one dtype"),
    "a vector of three": (lambda: pose_from_vector(V3), r"vector must be \[b, 6\], got \[2, 3\]"),
    "unknown rotation": (lambda: pose_from_vector(V6, rotation="zyx"), r"'axis_angle' or 'euler', got 'zyx'"),  # type: ignore[arg-type]
    "vector of a scaled pose": (lambda: pose_to_vector(SCALED), r"T_b_a is no rigid motion"),
    "pose in half precision": (lambda: check_pose(POSE.half(), "T"), r"T must be 32- or 64-bit.*got torch\.float16"),
    "inverse of a scaled pose": (lambda: invert_pose(SCALED), r"T_b_a is no rigid motion"),
    "inverse of a 3 x 4 matrix": (lambda: invert_pose(POSE[:, :3]), r"T_b_a must be \[b, 4, 4\], got \[2, 3, 4\]"),
    "composition with a mirror": (lambda: compose_poses(POSE, MIRROR), r"T_b_a is no rigid motion"),
    "composition of two dtypes": (lambda: compose_poses(POSE, POSE.double()), r"T_c_b and T_b_a must have one dtype"),
    "composition of two lengths": (lambda: compose_poses(POSE, POSE[:1]), r"one batch size, got 2 and 1"),
    "motion to a lost frame": (lambda: relative_pose(POSE, POSE * -torch.inf), r"T_world_b holds NaN.*ScanNet"),
    "points without batch": (lambda: transform(POSE, torch.ones(3, 2, 2)), r"points must be \[b, 3, h, w\]"),
    "points in another dtype": (lambda: transform(POSE, torch.ones(2, 3, 2, 2).double()), r"must have one dtype"),
    "points of another length": (lambda: transform(POSE, torch.ones(3, 3, 2, 2)), r"one batch size, got 2 and 3"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_a_helpful_message(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(InputError) as error:
        call()
    assert re.search(message, str(error.value)), str(error.value)
