"""Rigid motions against SciPy, matrix inverses and finite differences."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from stc_lab.geometry import check_pose, invert_pose, pose_from, relative_pose, so3_exp, transform


def some_poses(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return pose_from(
        torch.randn(count, 3, generator=generator, dtype=torch.float64),
        torch.randn(count, 3, generator=generator, dtype=torch.float64),
    )


def test_so3_exp_is_scipys_rotation() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 3)) * np.geomspace(1e-9, 3, 20)[:, None]
    expected = Rotation.from_rotvec(vectors).as_matrix()
    torch.testing.assert_close(so3_exp(torch.from_numpy(vectors)), torch.from_numpy(expected))


def test_so3_exp_has_its_derivative_at_zero() -> None:
    vectors = torch.stack([torch.zeros(3), torch.tensor([1e-5, 0, 0]), torch.tensor([0.3, -0.2, 0.1])]).double()
    assert torch.autograd.gradcheck(so3_exp, (vectors.requires_grad_(),))


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
