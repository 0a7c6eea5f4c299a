"""The motion that lays one set of points over another: least squares by Umeyama 1991."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike

_FLAT = 1e-5  # of the largest extent: points that spread less than that across a line count as lying on it


@dataclass(frozen=True)
class Alignment:
    """The map X -> scale R X + t of estimated points onto true ones."""

    scale: float
    rotation: Float64[Tensor, "3 3"]
    translation: Float64[Tensor, " 3"]
    rmse: float  # what is left: root of the mean squared distance
    rank: int  # directions in which the points fix the rotation: 2 or 3 fix it, 1 (a line) leaves a turn open, 0 all

    def apply(self, points: Float[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
        return self.scale * points.double() @ self.rotation.T + self.translation


def align_umeyama(estimated: Float[Tensor, "n 3"], true: Float[Tensor, "n 3"], *, with_scale: bool = True) -> Alignment:
    """The similarity, or without scale the rigid motion, that minimises sum |true - (scale R estimated + t)|^2.

    Umeyama (1991), eqs. 40-43; never a mirror image. Computed in float64.

    Raises InputError where the points do not fix it: fewer than 3, all in one place, or on one line, about which
    they may turn freely.
    """
    alignment = fit_alignment(estimated, true, with_scale=with_scale)
    if alignment.rank < 2:
        where = "on one line" if alignment.rank == 1 else "in one place"
        raise InputError(
            f"points {where} leave the rotation of the alignment open, got {len(true)} of them",
            hint="a camera that stands still or moves straight ahead: its positions alone do not say how it is turned",
        )
    return alignment


def fit_alignment(estimated: Float[Tensor, "n 3"], true: Float[Tensor, "n 3"], *, with_scale: bool = True) -> Alignment:
    """`align_umeyama` that lets the rotation be open, and takes one that is as good as any other.

    Raises InputError for fewer than 3 points, and with scale where either set is all in one place.
    """
    x, y = _points("estimated", estimated), _points("true", true)
    expect_alike("estimated", estimated, "true", true)
    if len(x) < 3:
        raise InputError(f"an alignment needs at least 3 points, got {len(x)}")
    mean_x, mean_y = x.mean(dim=0), y.mean(dim=0)
    x, y = x - mean_x, y - mean_y
    spread_x, spread_y = (float((points**2).sum(dim=1).mean()) for points in (x, y))
    still_x, still_y = (
        spread <= (1e-7 * float(mean.abs().max())) ** 2 for spread, mean in ((spread_x, mean_x), (spread_y, mean_y))
    )  # what rounding in float32 leaves of points that are all in one place
    if with_scale and (still_x or still_y):
        raise InputError(
            f"the scale of the alignment is open: the {'estimated' if still_x else 'true'} points are all in one place",
            hint="an estimate of no motion, or a static camera: with_scale=False",
        )
    U, D, V_t = torch.linalg.svd(y.T @ x / len(x))
    sign = torch.ones_like(D)
    sign[2] = torch.linalg.det(U).sign() * torch.linalg.det(V_t).sign()
    R = (U * sign) @ V_t
    scale = float((D * sign).sum()) / spread_x if with_scale else 1.0
    t = mean_y - scale * R @ mean_x
    left = (y - scale * x @ R.T).norm(dim=1)
    rank = 0 if still_x or still_y else int((D[0] * _FLAT**2 < D).sum())
    return Alignment(scale, R, t, float((left**2).mean().sqrt()), rank)


def _points(name: str, points: Tensor) -> Float64[Tensor, "n 3"]:
    if points.ndim != 2 or points.shape[1] != 3 or not points.is_floating_point():
        raise InputError(
            f"{name} must be floating-point [n, 3], got {points.dtype} {list(points.shape)}", hint="T[:, :3, 3]"
        )
    if not bool(torch.isfinite(points).all()):
        raise InputError(f"{name} holds NaN or infinite values", hint="poses of lost tracking: leave those frames out")
    return points.detach().double()
