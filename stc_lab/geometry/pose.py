"""Rigid motions as 4x4 matrices: `T_b_a` maps points of a's frame into b's (CONVENTIONS.md, poses)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError


def check_pose(T: Float[Tensor, "b 4 4"], name: str) -> None:
    """Raise unless `T` is a finite rigid motion: orthonormal rotation, determinant +1, last row (0, 0, 0, 1)."""
    if T.ndim != 3 or T.shape[1:] != (4, 4) or len(T) == 0:
        raise InputError(f"{name} must be [b, 4, 4], got {list(T.shape)}", hint="add a batch axis, T[None]")
    if not T.is_floating_point():
        raise InputError(f"{name} must be floating point, got {T.dtype}")
    values = T.detach().to("cpu", torch.float64).numpy()  # one transfer, and NumPy is quicker on matrices this small
    if not np.isfinite(values).all():
        raise InputError(
            f"{name} holds NaN or infinite values",
            hint="lost tracking, which ScanNet marks with -inf: skip such frames",
        )
    R = values[:, :3, :3]
    off = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max()
    if off > 1e-2 or np.linalg.det(R).min() < 0 or (values[:, 3] != (0, 0, 0, 1)).any():
        raise InputError(
            f"{name} is no rigid motion: R R^T differs from the identity by {off:.2g} "
            f"(limit 0.01), det(R) must be +1 and the last row (0, 0, 0, 1)",
            hint="a 3x4 or transposed matrix, a scale in the rotation, or quaternion elements in the wrong order",
        )


def invert_pose(T_b_a: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """`T_a_b`, by the transpose of the rotation: exact where a matrix inverse only comes near."""
    R, t = T_b_a[:, :3, :3], T_b_a[:, :3, 3:]
    R_inverse = R.transpose(1, 2)
    return torch.cat([torch.cat([R_inverse, -R_inverse @ t], dim=2), T_b_a[:, 3:]], dim=1)


def relative_pose(T_world_a: Float[Tensor, "b 4 4"], T_world_b: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """`T_b_a`: maps points of camera a into camera b.

    The translation is subtracted before it is rotated, so that map coordinates of kilometres keep their precision. The
    rotation is computed as 1 + R_b^T (R_a - R_b), so that two equal poses have exactly no motion between them.
    """
    R_b = T_world_b[:, :3, :3].transpose(1, 2)
    turn = R_b @ (T_world_a[:, :3, :3] - T_world_b[:, :3, :3])
    R = turn + torch.eye(3, dtype=turn.dtype, device=turn.device)
    t = R_b @ (T_world_a[:, :3, 3:] - T_world_b[:, :3, 3:])
    return torch.cat([torch.cat([R, t], dim=2), T_world_a[:, 3:]], dim=1)


def transform(T_b_a: Float[Tensor, "b 4 4"], points: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Points of a's frame, in b's frame."""
    R, t = T_b_a[:, :3, :3], T_b_a[:, :3, 3]
    return torch.einsum("bij,bjhw->bihw", R, points) + t[:, :, None, None]


def so3_exp(axis_angle: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Rotation matrix of an axis-angle vector (rad), by Rodrigues' formula; differentiable at zero."""
    squared = (axis_angle**2).sum(dim=1)[:, None, None]
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    x, y, z = axis_angle.unbind(dim=1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=1).reshape(-1, 3, 3)
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + sine * cross + cosine * (cross @ cross)


def pose_from(rotation: Float[Tensor, "b 3"], translation: Float[Tensor, "b 3"]) -> Float[Tensor, "b 4 4"]:
    """Rigid motion from an axis-angle vector (rad) and a translation (m): X -> R X + t."""
    top = torch.cat([so3_exp(rotation), translation[:, :, None]], dim=2)
    last = top.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(top), 1, 4)
    return torch.cat([top, last], dim=1)
