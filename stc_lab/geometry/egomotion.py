"""Egomotion and focal length from flow and a depth that is not quite trusted: robust Gauss-Newton, batched.

Where the flow says a pixel landed, and where depth and motion put it, differ for two reasons: the flow is off by some
tenths of a pixel in any direction, and the depth is off by some share, which moves the landing along the epipolar line
only. So the error along that line counts less, the more the doubt in the depth would move it: with no doubt this is
plain reprojection, with much it tends to the epipolar geometry that needs no depth at all.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import MIN_DEPTH, Camera
from stc_lab.geometry.checks import expect_alike, expect_camera, expect_depth, expect_map
from stc_lab.geometry.compiled import compilable
from stc_lab.geometry.flow import UNKNOWN_FLOW, Flow, lifted
from stc_lab.geometry.landing import Landing, landing_errors
from stc_lab.geometry.pose import check_pose, compose_poses, invert_pose, pose_from

DAMPING = 1e-4  # share of the diagonal added to it, so that a motion that nothing tells stays where it is


@dataclass(frozen=True)
class Trust:
    """Standard deviations of what a motion is found from."""

    flow: float = 0.1  # px of the flow's own grid
    log_depth: float = 0.3  # about the share by which a depth may be off; 0 takes the depth as it is

    def __post_init__(self) -> None:
        if not self.flow > 0 or not self.log_depth >= 0:
            raise InputError(f"Trust needs flow > 0 px and log_depth >= 0, got {self.flow} and {self.log_depth}")


@dataclass(frozen=True)
class Sight:
    """What is known of pairs of frames a, b: the depth of each, the flow both ways, and the camera of both.

    Depth and flow lie on one grid, that of `camera`. Flow that is not `visible` is left out. Half precision is lifted
    to float32, so that every motion found from a sight is of the camera's dtype.
    """

    depth_a: Float[Tensor, "p 1 h w"]
    depth_b: Float[Tensor, "p 1 h w"]
    flow_ab: Flow
    flow_ba: Flow
    camera: Camera

    def __post_init__(self) -> None:
        for name, depth, flow in (("a", self.depth_a, self.flow_ab), ("b", self.depth_b, self.flow_ba)):
            expect_depth(f"depth_{name}", depth)
            expect_map("flow", flow.flow, channels=2)
            expect_alike("flow", flow.flow, f"depth_{name}", depth)
            if flow.flow.shape[-2:] != depth.shape[-2:]:
                raise InputError(
                    f"flow and depth_{name} must lie on one grid, got {list(flow.flow.shape[-2:])} and "
                    f"{list(depth.shape[-2:])} px",
                    hint="a resized flow must also be scaled, its unit is the pixel",
                )
            expected = [len(flow.flow), *flow.flow.shape[-2:]]
            if list(flow.visible.shape) != expected or flow.visible.dtype != torch.bool:
                raise InputError(
                    f"the flow's visible must be bool {expected}, got {flow.visible.dtype} {list(flow.visible.shape)}"
                )
            expect_camera(f"depth_{name}", depth, "camera", self.camera)
        expect_alike("depth_a", self.depth_a, "depth_b", self.depth_b)
        for name in ("depth_a", "depth_b"):
            object.__setattr__(self, name, lifted(getattr(self, name)))
        for name in ("flow_ab", "flow_ba"):
            flow = getattr(self, name)
            if flow.flow.dtype != lifted(flow.flow).dtype:
                object.__setattr__(self, name, Flow(lifted(flow.flow), flow.visible))

    def __getitem__(self, pairs: Bool[Tensor, " p"]) -> "Sight":
        K = self.camera.K
        camera = self.camera if len(K) == 1 else replace(self.camera, K=K[pairs])
        ab, ba = (Flow(flow.flow[pairs], flow.visible[pairs]) for flow in (self.flow_ab, self.flow_ba))
        return Sight(self.depth_a[pairs], self.depth_b[pairs], ab, ba, camera)


@torch.no_grad()
def fit_motion(
    sight: Sight,
    *,
    start: Float[Tensor, "p 4 4"] | None = None,
    trust: Trust = Trust(),
    iterations: int = 10,
) -> Float[Tensor, "p 4 4"]:
    """The motions T_b_a that make depth reproduce the flow of both directions best, in the unit of the depth.

    Gauss-Newton from `start` (no motion), with the weights of Geman and McClure, whose scale shrinks from 25 to 2
    standard deviations of the flow: so far-off matches first pull and then drop out. Carries no gradient. A pair with
    hardly any usable flow stays near its start.
    """
    if iterations < 1:
        raise InputError(f"iterations must be at least 1, got {iterations}")
    T = torch.eye(4, dtype=sight.depth_a.dtype, device=sight.depth_a.device).repeat(len(sight.depth_a), 1, 1)
    if start is not None:
        T = _checked("start", start, sight)
    for number in range(iterations):
        share = number / max(1, iterations - 1)
        scale = trust.flow * 25 ** (1 - share) * 2**share
        H, g = _normal_equations(sight, T, trust, scale)
        step = -torch.linalg.solve(_damped(H[:, :6, :6]), g[:, :6])
        T = compose_poses(pose_from(step[:, :3], step[:, 3:]), T)
    return T


@torch.no_grad()
def focal_step(
    sight: Sight, T_b_a: Float[Tensor, "p 4 4"], *, trust: Trust = Trust()
) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
    """Curvature and slope of each pair's squared error in the logarithm of the focal length, the motion following.

    Each pair's motion is marginalised (Schur complement), so that a change that a motion could take back counts for
    nothing. Sum both over pairs: the Gauss-Newton step of one shared log f is -slope / curvature. Only pairs that turn
    tell much.
    """
    T_b_a = _checked("T_b_a", T_b_a, sight)
    H, g = _normal_equations(sight, T_b_a, trust, 2 * trust.flow)
    cross, own = H[:, :6, 6:], H[:, 6, 6]
    solved = torch.linalg.solve(_damped(H[:, :6, :6]), torch.cat([cross, g[:, :6, None]], dim=2))
    curvature = own - (cross * solved[:, :, :1]).sum(dim=(1, 2))
    slope = g[:, 6] - (cross * solved[:, :, 1:]).sum(dim=(1, 2))
    return curvature, slope


@torch.no_grad()
def depth_steps(
    sight: Sight, T_b_a: Float[Tensor, "p 4 4"], *, trust: Trust = Trust(), along: float = 20.0, across: float = 4.0
) -> tuple[tuple[Float[Tensor, "p 1 h w"], Float[Tensor, "p 1 h w"]], ...]:
    """What each flow says of each depth: information and pull, for a's pixels and for b's.

    In units of the flow's deviation: over several pairs both add up, and the step of log depth is
    pull / (information + 1 / doubt^2) where the depth at hand is doubted by `doubt`. This is triangulation with a
    prior. A match further than `across` deviations from its epipolar line counts for little, as one does that is
    further than `along` from where the depth puts it.
    """
    T_b_a = _checked("T_b_a", T_b_a, sight)
    found = []
    for depth, flow, T in (
        (sight.depth_a, sight.flow_ab, T_b_a),
        (sight.depth_b, sight.flow_ba, invert_pose(T_b_a)),
    ):
        if compilable(depth):
            found.append(_weighed(depth, flow, sight.camera, T, trust, along * trust.flow, across * trust.flow))
            continue
        landing = landing_errors(depth, flow.flow, sight.camera, T)
        slide = landing.by_log_depth
        squared = (slide**2).sum(dim=1)
        product_along = (slide * landing.error).sum(dim=1)
        safe = squared.clamp(min=torch.finfo(squared.dtype).tiny)
        error_along = product_along**2 / safe
        error_across = ((landing.error**2).sum(dim=1) - error_along).clamp(min=0)
        weight = _usable(flow, landing) / trust.flow**2
        weight = weight * _falling(error_along, along * trust.flow) * _falling(error_across, across * trust.flow)
        found.append(((weight * squared).reshape(depth.shape), (-weight * product_along).reshape(depth.shape)))
    return tuple(found)


def _checked(name: str, T: Tensor, sight: Sight) -> Float[Tensor, "p 4 4"]:
    """A motion for each pair of the sight, in its dtype."""
    check_pose(T, name)
    expect_alike(name, T, "depth_a", sight.depth_a)
    return lifted(T)


def _normal_equations(
    sight: Sight, T_b_a: Tensor, trust: Trust, scale: float
) -> tuple[Float[Tensor, "p 7 7"], Float[Tensor, "p 7"]]:
    """Of motion (6) and log focal length, both directions summed."""
    H, g = T_b_a.new_zeros(len(T_b_a), 7, 7), T_b_a.new_zeros(len(T_b_a), 7)
    for depth, flow, T, backward in (
        (sight.depth_a, sight.flow_ab, T_b_a, False),
        (sight.depth_b, sight.flow_ba, invert_pose(T_b_a), True),
    ):
        if compilable(depth):
            both = _added(depth, flow, sight.camera, T, trust, scale, backward=backward)
            H, g = H + both[:, :, :7], g + both[:, :, 7]
            continue
        landing = landing_errors(depth, flow.flow, sight.camera, T, backward=backward)
        rows = torch.cat([landing.by_motion, landing.by_log_focal[:, :, None], landing.error[:, :, None]], dim=2)
        rows = _whitened(rows, landing.by_log_depth, trust)
        error = rows[:, :, 7]
        weight = _usable(flow, landing) * _falling((error**2).sum(dim=1), scale)
        weighted = (rows[:, :, :7] * weight[:, None, None]).transpose(1, 2).flatten(2)
        both = weighted @ rows.transpose(1, 2).flatten(2).transpose(1, 2)  # p 7 8
        H, g = H + both[:, :, :7], g + both[:, :, 7]
    return H, g


def _added(
    depth: Tensor, flow: Flow, camera: Camera, T: Tensor, trust: Trust, scale: float, *, backward: bool
) -> Float[Tensor, "p 7 8"]:
    from stc_lab.geometry.kernels_egomotion import add_equations

    equations = np.zeros((len(depth), 7, 8))
    add_equations(*_arrays(depth, flow, camera, T), backward, trust.flow, trust.log_depth, scale, equations)
    return torch.from_numpy(equations).to(T.dtype)


def _weighed(
    depth: Tensor, flow: Flow, camera: Camera, T: Tensor, trust: Trust, along: float, across: float
) -> tuple[Float[Tensor, "p 1 h w"], Float[Tensor, "p 1 h w"]]:
    from stc_lab.geometry.kernels_egomotion import weigh_depths

    information, pull = torch.empty_like(depth), torch.empty_like(depth)
    into = (value.flatten(1).numpy() for value in (information, pull))
    weigh_depths(*_arrays(depth, flow, camera, T), trust.flow, along, across, *into)
    return information, pull


def _arrays(depth: Tensor, flow: Flow, camera: Camera, T: Tensor) -> tuple[Any, ...]:
    """What both loops are given."""
    return (
        depth.detach().flatten(1).numpy(),
        flow.flow.detach().flatten(2).numpy(),
        flow.visible.flatten(1).numpy(),
        camera.K.detach().numpy(),
        camera.width,
        T.detach().contiguous().numpy(),
        (MIN_DEPTH, UNKNOWN_FLOW),
    )


def _whitened(rows: Float[Tensor, "p 2 k n"], slide: Float[Tensor, "p 2 n"], trust: Trust) -> Float[Tensor, "p 2 k n"]:
    """Rows in units of their deviation over the flow's: shortened along the line on which a doubted depth slides."""
    if trust.log_depth == 0:
        return rows
    squared = (slide**2).sum(dim=1)
    doubt = squared * trust.log_depth**2 / trust.flow**2
    cut = (1 - (1 + doubt).rsqrt()) / squared.clamp(min=torch.finfo(squared.dtype).tiny)
    return rows - slide[:, :, None] * (cut[:, None] * (slide[:, :, None] * rows).sum(dim=1))[:, None]


def _usable(flow: Flow, landing: Landing) -> Float[Tensor, "p n"]:
    return (flow.visible.flatten(1) & landing.real).to(landing.error.dtype)


def _falling(squared_error: Tensor, scale: float) -> Tensor:
    """Weight of Geman and McClure (1987): 1 for no error, 1/4 at the scale, and little beyond."""
    return (1 + squared_error / scale**2) ** -2


def _damped(H: Float[Tensor, "p 6 6"]) -> Float[Tensor, "p 6 6"]:
    diagonal = H.diagonal(dim1=1, dim2=2)
    least = torch.finfo(H.dtype).eps * diagonal.amax(dim=1, keepdim=True) + torch.finfo(H.dtype).tiny
    return H + torch.diag_embed(DAMPING * diagonal + least)
