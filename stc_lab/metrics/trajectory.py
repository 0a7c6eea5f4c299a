"""Egomotion against its truth: angles and lengths of single motions, and whole trajectories after alignment."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry import Camera, check_pose, compose_poses, relative_pose, so3_log
from stc_lab.geometry.checks import expect_alike
from stc_lab.metrics.alignment import Alignment, fit_alignment

STILL = 1e-3  # m: a shorter motion has no direction, for poses are seldom known better


@dataclass(frozen=True)
class PairErrors:
    """An error of each pair of frames, and of all of them where it is defined."""

    each: Float64[Tensor, " b"]  # NaN: not defined for this pair
    support: int  # pairs for which it is defined
    undefined: int  # pairs that are left out

    @property
    def mean(self) -> float | None:
        """Mean over the pairs; None if it is defined for none."""
        return float(self.each.nanmean()) if self.support else None

    @property
    def median(self) -> float | None:
        """Median over the pairs (of an even count the mean of the two middle values); None if defined for none."""
        return float(self.each.nanquantile(0.5)) if self.support else None

    @property
    def rmse(self) -> float | None:
        """Root of the mean square over the pairs; None if it is defined for none."""
        return float((self.each**2).nanmean().sqrt()) if self.support else None


def rotation_error(T_estimated: Float[Tensor, "b 4 4"], T_true: Float[Tensor, "b 4 4"]) -> PairErrors:
    """Angle of the rotation that is left between two motions (degrees, 0..180), precise near 0 and near 180 alike."""
    estimated, true = _motions(T_estimated, T_true)
    return _pairs(so3_log(relative_pose(estimated, true)[:, :3, :3]).norm(dim=1).rad2deg())


def translation_direction_error(
    T_estimated: Float[Tensor, "b 4 4"], T_true: Float[Tensor, "b 4 4"], *, still: float = STILL
) -> PairErrors:
    """Angle between two translations (degrees, 0..180): what is left to compare where no scale is known.

    A true motion shorter than `still` (m) has no direction, and an estimate of no motion at all has none either: such
    pairs are NaN, left out and counted.
    """
    estimated, true = (T[:, :3, 3] for T in _motions(T_estimated, T_true))
    angle = torch.atan2(torch.linalg.cross(estimated, true).norm(dim=1), (estimated * true).sum(dim=1)).rad2deg()
    return _pairs(torch.where(_moving(estimated, true, still), angle, torch.nan))


@dataclass(frozen=True)
class ScaleDrift:
    """How long estimated translations are beside the true ones, and how that changes over time."""

    ratio: Float64[Tensor, " b"]  # estimated / true length; NaN: one of the two did not move
    slope: (
        float | None
    )  # of log(ratio) over time, by least squares: 0.01 grows by 1 % in a unit of time; None: one pair
    spread: float  # standard deviation of log(ratio)
    support: int  # pairs with a ratio
    undefined: int  # pairs without


def scale_drift(
    T_estimated: Float[Tensor, "b 4 4"],
    T_true: Float[Tensor, "b 4 4"],
    *,
    time: Float[Tensor, " b"] | None = None,
    still: float = STILL,
) -> ScaleDrift:
    """Ratio of estimated to true translation length of the motions of one video, in their order.

    `time` is that of each pair in any unit, by default its number, so the slope is per pair. Pairs whose true motion is
    shorter than `still` (m), or whose estimate does not move, are left out and counted. Raises InputError if all are.
    """
    estimated, true = (T[:, :3, 3] for T in _motions(T_estimated, T_true))
    if time is None:
        time = torch.arange(len(true), device=true.device)
    elif time.shape != (len(true),) or time.device != true.device or not bool(torch.isfinite(time).all()):
        raise InputError(f"time must be {len(true)} finite numbers on {true.device}, got {list(time.shape)}")
    moving = _moving(estimated, true, still)
    support = int(moving.sum())
    if support == 0:
        raise InputError(
            f"no pair has a scale: none of {len(true)} moves by {still:g} m in truth and at all in the estimate",
            hint="a static camera, or an estimate of no motion, which has no scale",
        )
    ratio = torch.where(moving, estimated.norm(dim=1) / true.norm(dim=1), torch.nan)
    logs, times = ratio[moving].log(), time.double()[moving]
    times = times - times.mean()
    variance = float((times**2).mean())
    slope = float((times * (logs - logs.mean())).mean()) / variance if variance > 0 else None
    return ScaleDrift(ratio, slope, float(logs.std(correction=0)), support, len(true) - support)


def chain_poses(T_a_b: Float[Tensor, "n 4 4"], start: Float[Tensor, "4 4"] | None = None) -> Float[Tensor, "m 4 4"]:
    """`T_world_camera` of n + 1 frames from the motions between neighbours; the first is `start`, or the origin.

    `T_a_b[i]` maps points of frame i + 1 into frame i, as `MotionNet` gives it for (frame i, frame i + 1). Chained in
    float64, given back in the dtype of the motions.
    """
    check_pose(T_a_b, "T_a_b")
    first = torch.eye(4, dtype=T_a_b.dtype, device=T_a_b.device) if start is None else start
    if start is not None:
        check_pose(start[None], "start")
        expect_alike("start", start[None], "T_a_b", T_a_b[:1])
    poses = [first[None].double()]
    for motion in T_a_b.double():
        poses.append(compose_poses(poses[-1], motion[None]))
    return torch.cat(poses).to(T_a_b.dtype)


@dataclass(frozen=True)
class TrajectoryError:
    """ATE: how far the camera is from where it truly was, once the two trajectories are aligned."""

    rmse: float  # m: root of the mean square of `each`
    each: Float64[Tensor, " t"]  # m, for each frame
    aligned: Float64[Tensor, "t 4 4"]  # the estimate in the world of the truth: what to draw beside it
    alignment: Alignment
    support: int  # frames


def absolute_trajectory_error(
    T_world_estimated: Float[Tensor, "t 4 4"], T_world_true: Float[Tensor, "t 4 4"], *, with_scale: bool = True
) -> TrajectoryError:
    """Absolute trajectory error of camera positions (Sturm et al. 2012) after alignment by Umeyama (1991).

    With scale the alignment is a similarity (Sim(3), for what was learned without a unit), else a rigid motion (SE(3)).
    On a straight line of cameras the turn about the line stays open; the error does not depend on it. Raises InputError
    for fewer than 3 frames, and with scale where the estimate does not move.
    """
    estimated, true = _motions(T_world_estimated, T_world_true, "T_world_estimated", "T_world_true")
    alignment = fit_alignment(estimated[:, :3, 3], true[:, :3, 3], with_scale=with_scale)
    aligned = estimated.clone()
    aligned[:, :3, :3] = alignment.rotation @ estimated[:, :3, :3]
    aligned[:, :3, 3] = alignment.apply(estimated[:, :3, 3])
    each = (aligned[:, :3, 3] - true[:, :3, 3]).norm(dim=1)
    return TrajectoryError(float((each**2).mean().sqrt()), each, aligned, alignment, len(each))


@dataclass(frozen=True)
class RelativeErrors:
    """RPE: errors of the motions between frames some gap apart."""

    rotation: PairErrors  # degrees
    translation: PairErrors  # m: length of the translation that is left between the two motions
    direction: PairErrors  # degrees


def relative_pose_errors(
    T_world_estimated: Float[Tensor, "t 4 4"],
    T_world_true: Float[Tensor, "t 4 4"],
    *,
    gaps: Sequence[int] = (1, 2, 4),
    scale: float = 1.0,
    still: float = STILL,
) -> dict[int, RelativeErrors]:
    """Relative pose error by gap (Sturm et al. 2012): of (Q_i^-1 Q_i+gap)^-1 (P_i^-1 P_i+gap), truth Q, estimate P.

    Estimated translations are multiplied by `scale` first; for an estimate without a unit take that of the alignment,
    `absolute_trajectory_error(...).alignment.scale`. Nothing else is aligned.
    """
    estimated, true = _motions(T_world_estimated, T_world_true, "T_world_estimated", "T_world_true")
    if not gaps or not all(0 < gap < len(true) for gap in gaps):
        raise InputError(f"gaps must lie between 1 and {len(true) - 1} for {len(true)} frames, got {list(gaps)}")
    if not 0 < scale < float("inf"):
        raise InputError(f"scale must be positive, got {scale}")
    estimated = estimated.clone()
    estimated[:, :3, 3] *= scale
    errors = {}
    for gap in gaps:
        P, Q = (relative_pose(T[gap:], T[:-gap]) for T in (estimated, true))
        left = relative_pose(P, Q)
        errors[gap] = RelativeErrors(
            rotation_error(P, Q),
            _pairs(left[:, :3, 3].norm(dim=1)),
            translation_direction_error(P, Q, still=still),
        )
    return errors


@dataclass(frozen=True)
class FocalError:
    """How far estimated intrinsics are from the true ones."""

    value: float  # mean over cameras and both axes of |f / f_true - 1|
    focal: Float64[Tensor, "b 2"]  # f / f_true - 1 along x and y: positive is too long
    principal_point: Float64[Tensor, "b 2"]  # c - c_true, px
    support: int  # cameras


def focal_error(estimated: Camera, true: Camera) -> FocalError:
    """Relative error of the focal lengths; one true camera may serve all estimates."""
    estimated.expect_size("the true camera's image", *true.size)
    if len(true.K) not in (1, len(estimated.K)):
        raise InputError(f"true must hold one K or one for each of {len(estimated.K)} estimates, got {len(true.K)}")
    if estimated.K.device != true.K.device:
        raise InputError(f"both cameras must lie on one device, got {estimated.K.device} and {true.K.device}")
    said, truth = estimated.K.detach().double(), true.K.detach().double()
    focal = said[:, (0, 1), (0, 1)] / truth[:, (0, 1), (0, 1)] - 1
    return FocalError(float(focal.abs().mean()), focal, said[:, :2, 2] - truth[:, :2, 2], len(focal))


def _motions(
    estimated: Tensor, true: Tensor, estimated_name: str = "T_estimated", true_name: str = "T_true"
) -> tuple[Tensor, Tensor]:
    """Both in float64, once they are found to be rigid motions that go together."""
    check_pose(estimated, estimated_name)
    check_pose(true, true_name)
    expect_alike(estimated_name, estimated, true_name, true)
    return estimated.detach().double(), true.detach().double()


def _moving(estimated: Float64[Tensor, "b 3"], true: Float64[Tensor, "b 3"], still: float) -> Tensor:
    if not still > 0:
        raise InputError(f"still must be a positive length (m), got {still}", hint="no motion has no direction")
    return (true.norm(dim=1) >= still) & (estimated.norm(dim=1) > 0)


def _pairs(each: Float64[Tensor, " b"]) -> PairErrors:
    support = int((~torch.isnan(each)).sum())
    return PairErrors(each, support, len(each) - support)
