"""Depth, motion and focal length learned beside one another: the first stage of `train_depth`.

The motion of each pair is not learned but solved for, from the depth at hand and the flow. Given the motion, each
match shows by how much the depth at its pixel is off and how sure that is: the net follows these Gauss-Newton steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.geometry import Camera, Flow
from stc_lab.geometry.egomotion import Sight, Trust, fit_motion, focal_step
from stc_lab.geometry.pose import so3_log
from stc_lab.geometry.reconstruct import MOST_STEP, Matches, gathered
from stc_lab.losses import edge_aware_smoothness
from stc_lab.models import DepthNet
from stc_lab.training.augment import jitter_light
from stc_lab.training.depth_matches import GAPS, MatchedClip
from stc_lab.training.depth_recipe import DepthRecipe

# Frames between four of a set; all their differences are gaps that have a flow.
_SPACINGS = ((1, 1, 1), (1, 1, 2), (2, 1, 1), (1, 2, 1), (2, 2, 2), (3, 1, 2), (2, 1, 3))
_MEMORY = 0.98  # of the running sums for the focal length: about the last 50 steps count
_FIRST_STEPS = 20  # in which depth and motion find each other before the focal length is looked at
_MOST_FOCAL_STEP = 0.02  # of its logarithm
_ANCHOR = 0.01  # weight that keeps the unit of depth, which no image tells, from drifting


@dataclass
class FocalLength:
    """The focal length over the frame's width, learned from pairs that turn; shared by all videos."""

    ratio: float
    learned: bool
    curvature: float = 0.0
    slope: float = 0.0
    seen: int = 0

    def camera(self, height: int, width: int, *, device: torch.device | str = "cpu") -> Camera:
        """Square pixels, and the principal point in the middle: what is not learned is assumed."""
        focal = self.ratio * width
        return Camera.from_parameters(
            focal, focal, (width - 1) / 2, (height - 1) / 2, height=height, width=width, device=device
        )

    def follow(self, sight: Sight, T_b_a: Float[Tensor, "p 4 4"], trust: Trust, recipe: DepthRecipe) -> None:
        """One damped step along what the turning pairs of this batch, and of those before, say."""
        self.seen += 1
        turning = so3_log(T_b_a[:, :3, :3]).norm(dim=1) > math.radians(recipe.turning)
        if not self.learned or self.seen < _FIRST_STEPS or not bool(turning.any()):
            return
        curvature, slope = focal_step(sight[turning], T_b_a[turning], trust=trust)
        self.curvature = _MEMORY * self.curvature + float(curvature.sum())
        self.slope = _MEMORY * self.slope + float(slope.sum())
        if self.seen >= 2 * _FIRST_STEPS:
            step = -recipe.focal_rate * self.slope / max(self.curvature, 1e-12)
            self.ratio *= math.exp(max(-_MOST_FOCAL_STEP, min(_MOST_FOCAL_STEP, step)))


@dataclass(frozen=True)
class FrameSets:
    """Sets of four frames of a clip each, and the flow of all pairs within a set."""

    images: Float[Tensor, "n 3 hn wn"]
    matches: Matches


def draw_sets(clips: Sequence[MatchedClip], sets: int, generator: torch.Generator) -> FrameSets:
    """`sets` runs of four frames, each of a random clip, half of them mirrored, with the light changed."""
    images, pairs, forward, backward = [], [], [], []
    for number in range(sets):
        clip = clips[_draw(len(clips), generator)]
        spacing = _SPACINGS[_draw(len(_SPACINGS), generator)]
        first = _draw(len(clip.image) - sum(spacing), generator)
        frames = [first + sum(spacing[:k]) for k in range(4)]
        matches = clip.matches(list(combinations(frames, 2)))
        image, mirrored = clip.images(frames), _draw(2, generator) == 1
        images.append(image.flip(-1) if mirrored else image)
        forward.append(_mirror(matches.forward) if mirrored else matches.forward)
        backward.append(_mirror(matches.backward) if mirrored else matches.backward)
        pairs += [(4 * number + a, 4 * number + b) for a, b in combinations(range(4), 2)]
    lit = jitter_light(torch.cat(images), generator)
    return FrameSets(lit, Matches(torch.tensor(pairs), _joined(forward), _joined(backward)))


def joint_loss(
    net: DepthNet, batch: FrameSets, focal: FocalLength, recipe: DepthRecipe, *, progress: float
) -> Float[Tensor, ""]:
    """How far the net's depth is from where its own matches pull it; also moves the focal length on."""
    disparity = grid_disparity(net, batch.images, batch.matches)
    depth = 1 / disparity
    late = min(1.0, 2 * progress)
    doubt = recipe.doubt + (recipe.least_doubt - recipe.doubt) * late
    trust = Trust(recipe.flow_deviation / recipe.flow_stride, doubt)
    camera = focal.camera(depth.shape[-2], depth.shape[-1], device=depth.device)
    sight = batch.matches.sight(depth.detach(), camera)
    T = fit_motion(sight, trust=trust, iterations=6)
    focal.follow(sight, T, trust, recipe)
    information, pull = gathered(batch.matches, depth.detach(), camera, T, trust=trust)
    step = (pull / (information + 1 / max(doubt, 0.1) ** 2)).clamp(-MOST_STEP, MOST_STEP)
    log_depth = depth.log()
    loss = F.smooth_l1_loss(log_depth, log_depth.detach() + step, beta=0.1)
    small = F.interpolate(batch.images, size=disparity.shape[-2:], mode="area")
    loss = loss + recipe.smoothness * edge_aware_smoothness(disparity, small)
    return loss + _ANCHOR * (log_depth.mean() - math.log(_unit(net))) ** 2


def grid_disparity(net: DepthNet, images: Float[Tensor, "n 3 hn wn"], matches: Matches) -> Float[Tensor, "n 1 h w"]:
    """The net's finest disparity on the grid of the matches."""
    finest = net.disparities(images)[0]
    size = matches.forward.flow.shape[-2:]
    if finest.shape[-2:] == size:
        return finest
    return F.interpolate(finest, size=size, mode="bilinear", align_corners=False)


def _unit(net: DepthNet) -> float:
    """The depth that the unit is kept near: that of the untrained net."""
    return float(str(net.architecture.get("initial_depth", 2.5)))


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))


def _mirror(flow: Flow) -> Flow:
    return Flow(flow.flow.flip(-1) * flow.flow.new_tensor([-1.0, 1.0])[:, None, None], flow.visible.flip(-1))


def _joined(flows: list[Flow]) -> Flow:
    return Flow(torch.cat([flow.flow for flow in flows]), torch.cat([flow.visible for flow in flows]))


assert all(sum(s[a:b]) in GAPS for s in _SPACINGS for a, b in combinations(range(4), 2))
