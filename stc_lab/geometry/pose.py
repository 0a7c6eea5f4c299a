"""Rigid motions as 4x4 matrices: `T_b_a` maps points of a's frame into b's (CONVENTIONS.md, poses)."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike, expect_map
from stc_lab.geometry.precision import product, working_dtype

_LIMIT = 0.01  # of R R^T - 1: text files of poses keep as few as three digits


def check_pose(T: Float[Tensor, "b 4 4"], name: str) -> None:
    """Raise unless `T` is a finite rigid motion: orthonormal rotation, determinant +1, last row (0, 0, 0, 1)."""
    _expect_shape(T, name, (4, 4))
    values = _finite(T, name, "lost tracking, which ScanNet marks with -inf: skip such frames")
    off = _distance_from_rotation(values[:, :3, :3])
    if off > _LIMIT or (values[:, 3] != (0, 0, 0, 1)).any():
        raise InputError(
            f"{name} is no rigid motion: R R^T differs from the identity by {off:.2g} "
            f"(limit {_LIMIT}), det(R) must be +1 and the last row (0, 0, 0, 1)",
            hint="a 3x4 or transposed matrix, a scale in the rotation, or quaternion elements in the wrong order",
        )


def invert_pose(T_b_a: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """`T_a_b`, by the transpose of the rotation: exact where a matrix inverse only comes near."""
    check_pose(T_b_a, "T_b_a")
    R_inverse = T_b_a[:, :3, :3].transpose(1, 2)
    return _rigid(R_inverse, product(-R_inverse, T_b_a[:, :3, 3:]))


def compose_poses(T_c_b: Float[Tensor, "b 4 4"], T_b_a: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """`T_c_a`, first a -> b, then b -> c: the indices in the middle meet.

    Through a world of kilometres, in float32, this loses millimetres: `relative_pose` does not.
    """
    _expect_pair("T_c_b", T_c_b, "T_b_a", T_b_a)
    R_c = T_c_b[:, :3, :3]
    return _rigid(product(R_c, T_b_a[:, :3, :3]), product(R_c, T_b_a[:, :3, 3:]) + T_c_b[:, :3, 3:])


def relative_pose(T_world_a: Float[Tensor, "b 4 4"], T_world_b: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """`T_b_a`: maps points of camera a into camera b.

    The translation is subtracted before it is rotated, so that map coordinates of kilometres keep their precision. The
    rotation is computed as 1 + R_b^T (R_a - R_b), so that two equal poses have exactly no motion between them.
    """
    _expect_pair("T_world_a", T_world_a, "T_world_b", T_world_b)
    R_b = T_world_b[:, :3, :3].transpose(1, 2)
    turn = product(R_b, T_world_a[:, :3, :3] - T_world_b[:, :3, :3])
    R = turn + torch.eye(3, dtype=turn.dtype, device=turn.device)
    return _rigid(R, product(R_b, T_world_a[:, :3, 3:] - T_world_b[:, :3, 3:]))


def transform(T_b_a: Float[Tensor, "b 4 4"], points: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Points of a's frame, in b's frame; half precision is lifted to float32."""
    check_pose(T_b_a, "T_b_a")
    expect_map("points", points, channels=3)
    expect_alike("T_b_a", T_b_a, "points", points)
    turned = product(T_b_a[:, :3, :3], points.to(working_dtype(points)).flatten(2)) + T_b_a[:, :3, 3:]
    return turned.reshape(points.shape)


def so3_exp(axis_angle: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Rotation matrix of an axis-angle vector (rad), by Rodrigues' formula; differentiable at zero."""
    _expect_vector(axis_angle, "axis_angle", 3)
    squared = (axis_angle**2).sum(dim=1)[:, None, None]
    sine = _sinc(squared)
    cosine = 0.5 * _sinc(squared / 4) ** 2  # (1 - cos) / angle^2 without its cancellation
    x, y, z = axis_angle.unbind(dim=1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=1).reshape(-1, 3, 3)
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + sine * cross + cosine * product(cross, cross)


def so3_log(rotation: Float[Tensor, "b 3 3"]) -> Float[Tensor, "b 3"]:
    """Axis-angle vector (rad) of a rotation matrix, of length pi at most; differentiable at zero.

    A half turn has two such vectors, v and -v. Within rounding of it the one is taken whose largest component is
    positive. By way of the quaternion: 4 q_i q is linear in R, and with the largest q_i nothing cancels (Shepperd:
    Quaternion from rotation matrix, 1978); atan2 then keeps its precision near zero and near pi alike.
    """
    _expect_shape(rotation, "rotation", (3, 3))
    off = _distance_from_rotation(_finite(rotation, "rotation", "a pose of lost tracking"))
    if off > _LIMIT:
        raise InputError(
            f"rotation must be orthonormal with determinant +1, R R^T differs from the identity by {off:.2g} "
            f"(limit {_LIMIT})",
            hint="a scale in the rotation, or a mirrored axis",
        )
    xx, xy, xz, yx, yy, yz, zx, zy, zz = rotation.flatten(1).unbind(dim=1)
    wx, wy, wz = zy - yz, xz - zx, yx - xy
    outer = [
        [1 + xx + yy + zz, wx, wy, wz],
        [wx, 1 + xx - yy - zz, yx + xy, xz + zx],
        [wy, yx + xy, 1 - xx + yy - zz, zy + yz],
        [wz, xz + zx, zy + yz, 1 - xx - yy + zz],
    ]
    rows = torch.stack([torch.stack(row, dim=1) for row in outer], dim=1)
    largest = rows.diagonal(dim1=1, dim2=2).argmax(dim=1)
    q = rows[torch.arange(len(rows), device=rows.device), largest]
    q = torch.where(q[:, :1] < -8 * torch.finfo(q.dtype).eps, -q, q)
    w, axis = q[:, :1], q[:, 1:]
    squared = (axis**2).sum(dim=1, keepdim=True)
    small = squared < 5e-4 * w**2
    safe_w, safe_norm = torch.where(small, w, 1), torch.where(small, 1, squared).sqrt()
    x = squared / safe_w**2
    series = (2 / safe_w) * (1 - x / 3 + x**2 / 5 - x**3 / 7 + x**4 / 9)
    return axis * torch.where(small, series, 2 * torch.atan2(safe_norm, w) / safe_norm)


def pose_from(rotation: Float[Tensor, "b 3"], translation: Float[Tensor, "b 3"]) -> Float[Tensor, "b 4 4"]:
    """Rigid motion from an axis-angle vector (rad) and a translation (m): X -> R X + t."""
    _expect_vector(rotation, "rotation", 3)
    _expect_vector(translation, "translation", 3)
    expect_alike("rotation", rotation, "translation", translation)
    return _rigid(so3_exp(rotation), translation[:, :, None])


def pose_from_vector(
    vector: Float[Tensor, "b 6"], *, rotation: Literal["axis_angle", "euler"] = "axis_angle"
) -> Float[Tensor, "b 4 4"]:
    """Rigid motion of (tx, ty, tz, rx, ry, rz), metres and radians, in the order of SfMLearner (Zhou et al. 2017).

    `euler` means R = Rx Ry Rz, as in SfMLearner and in Gordon et al. (2019); `axis_angle` is monodepth2's.
    """
    if rotation not in ("axis_angle", "euler"):
        raise InputError(f"rotation must be 'axis_angle' or 'euler', got {rotation!r}")
    _expect_vector(vector, "vector", 6)
    turn = so3_exp if rotation == "axis_angle" else _euler
    return _rigid(turn(vector[:, 3:]), vector[:, :3, None])


def pose_to_vector(T_b_a: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 6"]:
    """(tx, ty, tz, rx, ry, rz) of a rigid motion, the rotation as axis-angle: metres and radians."""
    check_pose(T_b_a, "T_b_a")
    return torch.cat([T_b_a[:, :3, 3], so3_log(T_b_a[:, :3, :3])], dim=1)


def _finite(value: Tensor, name: str, hint: str) -> np.ndarray:
    """The values in float64 on the CPU: one transfer, and NumPy is quicker on matrices this small."""
    values = value.detach().to("cpu", torch.float64).numpy()
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds NaN or infinite values", hint=hint)
    return values


def _distance_from_rotation(R: np.ndarray) -> float:
    """Largest entry of R R^T - 1; infinite for a mirror."""
    if (np.linalg.det(R) <= 0).any():
        return float("inf")
    return float(np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max())


def _expect_shape(value: Tensor, name: str, shape: tuple[int, ...]) -> None:
    if value.ndim != len(shape) + 1 or value.shape[1:] != shape or len(value) == 0:
        hint = f"add a batch axis, {name}[None]" if value.shape == shape else None
        raise InputError(f"{name} must be [b, {', '.join(map(str, shape))}], got {list(value.shape)}", hint=hint)
    if value.dtype not in (torch.float32, torch.float64):
        raise InputError(f"{name} must be 32- or 64-bit floating point, got {value.dtype}", hint=f"{name}.float()")


def _expect_vector(value: Tensor, name: str, size: int) -> None:
    _expect_shape(value, name, (size,))
    if not bool(torch.isfinite(value).all()):
        raise InputError(f"{name} holds NaN or infinite values", hint="a motion net that diverged")


def _expect_pair(a_name: str, T_a: Tensor, b_name: str, T_b: Tensor) -> None:
    check_pose(T_a, a_name)
    check_pose(T_b, b_name)
    expect_alike(a_name, T_a, b_name, T_b)


def _rigid(R: Float[Tensor, "b 3 3"], t: Float[Tensor, "b 3 1"]) -> Float[Tensor, "b 4 4"]:
    last = R.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(R), 1, 4)
    return torch.cat([torch.cat([R, t], dim=2), last], dim=1)


def _sinc(squared: Float[Tensor, "b 1 1"]) -> Float[Tensor, "b 1 1"]:
    """sin(a) / a from a^2, with all its derivatives at zero."""
    small = squared < 1e-3
    series = 1 - squared / 6 + squared**2 / 120 - squared**3 / 5040
    angle = torch.where(small, 1, squared).sqrt()
    return torch.where(small, series, angle.sin() / angle)


def _euler(angles: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Rx Ry Rz of three angles (rad)."""
    axes = torch.eye(3, dtype=angles.dtype, device=angles.device)
    R_x, R_y, R_z = (so3_exp(angles[:, i, None] * axes[i]) for i in range(3))
    return product(R_x, R_y, R_z)
