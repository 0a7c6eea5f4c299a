"""Poses between poses: where the camera was at a time that nobody recorded."""

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike
from stc_lab.geometry.pose import check_pose, relative_pose, so3_exp, so3_log
from stc_lab.geometry.precision import product


def interpolate_poses(
    T_world_a: Float[Tensor, "b 4 4"], T_world_b: Float[Tensor, "b 4 4"], fraction: Float[Tensor, " b"]
) -> Float[Tensor, "b 4 4"]:
    """Poses at `fraction` (0..1) of the way from a to b: the shortest turn at a constant rate, on a straight line.

    The rotation is the slerp R_a exp(fraction log(R_a^T R_b)) (Shoemake: Animating rotation with quaternion curves,
    1985). 0 and 1 give a and b exactly: the nearer end is where the turn starts. Of the two ways to make half a turn it
    takes the one of `so3_log`.
    """
    check_pose(T_world_a, "T_world_a")
    check_pose(T_world_b, "T_world_b")
    T_a_b = relative_pose(T_world_b, T_world_a)
    _expect_times("fraction", fraction)
    expect_alike("fraction", fraction, "T_world_a", T_world_a)
    if not bool(((fraction >= 0) & (fraction <= 1)).all()):
        raise InputError(
            f"fraction must lie in 0..1, got values from {float(fraction.min()):g} to {float(fraction.max()):g}",
            hint="a motion is not continued beyond its ends: give the poses on both sides",
        )
    nearer_a = fraction < 0.5
    step = torch.where(nearer_a, fraction, fraction - 1)[:, None]
    start = torch.where(nearer_a[:, None, None], T_world_a, T_world_b)
    R = product(start[:, :3, :3], so3_exp(step * so3_log(T_a_b[:, :3, :3])))
    t = start[:, :3, 3] + step * (T_world_b[:, :3, 3] - T_world_a[:, :3, 3])
    return torch.cat([torch.cat([R, t[:, :, None]], dim=2), start[:, 3:]], dim=1)


def interpolate_path(
    times: Float[Tensor, " t"], T_world_camera: Float[Tensor, "t 4 4"], at: Float[Tensor, " n"]
) -> Float[Tensor, "n 4 4"]:
    """Poses of a camera at the times `at`, from its poses at `times` (s, strictly rising); exact at those times.

    A time outside of them is an error, not an extrapolation. Times may be float64 beside float32 poses: seconds since
    1970, as TUM RGB-D and ROS count them, need it.
    """
    check_pose(T_world_camera, "T_world_camera")
    if not times.device == at.device == T_world_camera.device:
        raise InputError(
            f"times, at and T_world_camera must lie on one device, got {times.device}, {at.device} and "
            f"{T_world_camera.device}"
        )
    _expect_times("times", times)
    _expect_times("at", at)
    if len(times) < 2 or len(times) != len(T_world_camera):
        raise InputError(
            f"times and T_world_camera must be of one length, 2 or more, got {len(times)} and {len(T_world_camera)}"
        )
    if times.dtype != at.dtype:
        raise InputError(f"times and at must have one dtype, got {times.dtype} and {at.dtype}", hint="at.to(times)")
    if not bool((times[1:] > times[:-1]).all()):
        first = int((times[1:] <= times[:-1]).nonzero()[0])
        raise InputError(
            f"times must rise strictly, got {float(times[first])!r} s then {float(times[first + 1])!r} s "
            f"(entries {first} and {first + 1})",
            hint="seconds since 1970 in float32, whose steps are two minutes: use float64; or lines out of order",
        )
    if bool((at < times[0]).any() or (at > times[-1]).any()):
        raise InputError(
            f"at must lie within the path's {float(times[0])!r}..{float(times[-1])!r} s, got values from "
            f"{float(at.min())!r} to {float(at.max())!r} s",
            hint="frames before the first or after the last pose: leave them out",
        )
    before = (torch.searchsorted(times.detach(), at.detach(), right=True) - 1).clamp(0, len(times) - 2)
    fraction = (at - times[before]) / (times[before + 1] - times[before])
    return interpolate_poses(T_world_camera[before], T_world_camera[before + 1], fraction.to(T_world_camera.dtype))


def _expect_times(name: str, value: Tensor) -> None:
    """Raise unless `value` is a list of finite numbers in float32 or float64."""
    if value.ndim != 1 or len(value) == 0:
        hint = f"{name}[None]" if value.ndim == 0 else None
        raise InputError(f"{name} must be a list of numbers, got {list(value.shape)}", hint=hint)
    if value.dtype not in (torch.float32, torch.float64):
        raise InputError(f"{name} must be 32- or 64-bit floating point, got {value.dtype}", hint=f"{name}.double()")
    if not bool(torch.isfinite(value).all()):
        raise InputError(f"{name} holds NaN or infinite values")
