"""Structure and motion of one clip from its flows, started from a depth per frame: poses and depths in turns.

Each frame's depth is triangulated from all of its matches at once, which says far more than one pair does; where the
matches say nothing, the depth it started from stays.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.checks import expect_camera, expect_depth
from stc_lab.geometry.egomotion import Sight, Trust, depth_steps, fit_motion
from stc_lab.geometry.flow import Flow, lifted

MOST_STEP = 0.4  # of log depth in one step: the derivatives hold near by only
_TELLING = 25.0  # information (1 / variance of log depth, 20 %) at which a depth counts half


@dataclass(frozen=True)
class Matches:
    """Flow between pairs of frames of one clip, both ways, on one grid; `Flow.visible` is what to believe."""

    pairs: Int64[Tensor, "p 2"]  # frames (i, j) of the clip
    forward: Flow  # flow_ij, px of the grid
    backward: Flow  # flow_ji

    def sight(self, depth: Float[Tensor, "t 1 h w"], camera: Camera) -> Sight:
        """All pairs, with a depth for each frame of the clip."""
        first, second = self.pairs.unbind(dim=1)
        return Sight(depth[first], depth[second], self.forward, self.backward, camera)


@dataclass(frozen=True)
class Reconstruction:
    """What the matches of a clip come to, in the unit of the depth that it started from."""

    depth: Float[Tensor, "t 1 h w"]
    certainty: Float[Tensor, "t 1 h w"]  # 0..1: how far the depth stands on matches rather than on its start
    T_j_i: Float[Tensor, "p 4 4"]  # the motion of each pair


@torch.no_grad()
def reconstruct(
    matches: Matches,
    depth: Float[Tensor, "t 1 h w"],
    camera: Camera,
    *,
    trust: Trust = Trust(),
    doubt: float = 0.4,
    sweeps: int = 4,
) -> Reconstruction:
    """Depth of each frame and motion of each pair, alternating `sweeps` times.

    `depth` is the start and a prior whose logarithm has the standard deviation `doubt`; `trust` is that of the first
    sweep's motions, and its doubt in the depth shrinks by 0.7 from sweep to sweep. Motion and depth share one unit,
    which no image tells: that of the start. Raises InputError for pairs of frames that the clip does not have.
    """
    expect_depth("depth", depth)
    expect_camera("depth", depth, "camera", camera)
    if sweeps < 1 or not 0 < doubt < math.inf:
        raise InputError(f"sweeps must be at least 1 and doubt above 0 and finite, got {sweeps} and {doubt}")
    if len(matches.pairs) == 0 or int(matches.pairs.min()) < 0 or int(matches.pairs.max()) >= len(depth):
        raise InputError(f"matches.pairs must name frames 0 to {len(depth) - 1}, at least one pair of them")
    start = log_depth = lifted(depth).log()
    T: Tensor | None = None
    information = torch.zeros_like(depth)
    for sweep in range(sweeps):
        less = Trust(trust.flow, trust.log_depth * 0.7**sweep)
        T = fit_motion(matches.sight(log_depth.exp(), camera), start=T, trust=less, iterations=10 if T is None else 5)
        for _ in range(2):
            information, pull = gathered(matches, log_depth.exp(), camera, T, trust=trust)
            step = (pull + (start - log_depth) / doubt**2) / (information + 1 / doubt**2)
            log_depth = log_depth + step.clamp(-MOST_STEP, MOST_STEP)
    assert T is not None
    return Reconstruction(log_depth.exp(), information / (information + _TELLING), T)


def gathered(
    matches: Matches, depth: Float[Tensor, "t 1 h w"], camera: Camera, T_j_i: Float[Tensor, "p 4 4"], *, trust: Trust
) -> tuple[Float[Tensor, "t 1 h w"], Float[Tensor, "t 1 h w"]]:
    """Information and pull (`depth_steps`) of all matches on the depth of each frame."""
    (information_i, pull_i), (information_j, pull_j) = depth_steps(matches.sight(depth, camera), T_j_i, trust=trust)
    first, second = matches.pairs.unbind(dim=1)
    none = torch.zeros_like(depth)
    return (
        none.index_add(0, first, information_i).index_add(0, second, information_j),
        none.index_add(0, first, pull_i).index_add(0, second, pull_j),
    )
