"""How far a depth, a motion and a camera miss a flow, pixel by pixel, and how each of them would change that."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.geometry.camera import MIN_DEPTH, Camera
from stc_lab.geometry.flow import known_flow
from stc_lab.geometry.precision import product


@dataclass(frozen=True)
class Landing:
    """Errors of n pixels in two coordinates, px, and their derivatives."""

    error: Float[Tensor, "p 2 n"]  # where depth and motion put the pixel, minus where the flow puts it
    by_motion: Float[Tensor, "p 2 6 n"]  # by a small turn (rad), then a small shift (m), applied after T_b_a
    by_log_depth: Float[Tensor, "p 2 n"]  # how the pixel slides along its epipolar line as it recedes
    by_log_focal: Float[Tensor, "p 2 n"]  # by the logarithm of a factor on both focal lengths of both cameras
    real: Bool[Tensor, "p n"]  # depth and flow known, and the point in front of the other camera


def landing_errors(
    depth: Float[Tensor, "p 1 h w"],
    flow: Float[Tensor, "p 2 h w"],
    camera: Camera,
    T_to_from: Float[Tensor, "p 4 4"],
    *,
    backward: bool = False,
) -> Landing:
    """The errors of the pixels of one frame, which `T_to_from` takes to the other.

    `backward` gives the derivatives by a change of the motion the other way, of inverse(T_to_from): so the flows of
    both directions bear on one motion.
    """
    depth = depth.flatten(1)
    real = torch.isfinite(depth) & (depth > 0) & known_flow(flow).flatten(1)
    depth = torch.where(real, depth, torch.ones_like(depth))
    rays = camera.rays().flatten(2)
    points = rays * depth[:, None]
    R, t = T_to_from[:, :3, :3], T_to_from[:, :3, 3:]
    turned = product(R, points)
    landed = turned + t
    real = real & (landed[:, 2] > MIN_DEPTH)
    z = torch.where(real, landed[:, 2], torch.ones_like(depth))
    x, y = landed[:, 0] / z, landed[:, 1] / z
    fx, skew, fy = camera.K[:, 0, 0, None], camera.K[:, 0, 1, None], camera.K[:, 1, 1, None]
    # From the centre of projection, for the principal point falls out of the difference.
    u, v = fx * x + skew * y, fy * y
    start = rays[:, 0] * fx + rays[:, 1] * skew, rays[:, 1] * fy
    moved = torch.where(known_flow(flow)[:, None], flow, torch.zeros_like(flow)).flatten(2)
    error = torch.stack([u - start[0] - moved[:, 0], v - start[1] - moved[:, 1]], dim=1)

    zero = torch.zeros_like(z)
    by_point = torch.stack(
        [
            torch.stack([fx / z, skew / z + zero, -u / z], dim=1),
            torch.stack([zero, fy / z, -v / z], dim=1),
        ],
        dim=1,
    )  # p 2 3 n
    stretched = torch.stack([-points[:, 0], -points[:, 1], zero], dim=1)  # a longer lens narrows the rays
    by_log_focal = torch.stack([u, v], dim=1) + _along(by_point, product(R, stretched))
    pushed, about = by_point, landed
    if backward:
        pushed = -torch.einsum("pcin,pij->pcjn", by_point, R)
        about = points
    turn = torch.linalg.cross(about[:, None].expand_as(pushed), pushed, dim=2)  # d . (w x P) = w . (P x d)
    return Landing(error, torch.cat([turn, pushed], dim=2), _along(by_point, turned), by_log_focal, real)


def _along(by_point: Float[Tensor, "p 2 3 n"], step: Float[Tensor, "p 3 n"]) -> Float[Tensor, "p 2 n"]:
    return (by_point * step[:, None]).sum(dim=2)
