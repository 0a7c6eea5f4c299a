"""What a depth net knows while it learns: depth of one frame, camera path of its clip, focal length, now and then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.depth_lesson import MOTION_TRUST, camera_of_ratio, grid_flows, grid_sight
from stc_lab.geometry import Camera, Flow, invert_pose
from stc_lab.geometry.egomotion import fit_motion
from stc_lab.metrics import absolute_trajectory_error, chain_poses, depth_scores
from stc_lab.models import DepthNet
from stc_lab.training.depth import predict_depth


@dataclass
class DepthGrowth:
    """A `watch` for `train_depth`: looks at the net after some of the steps, on a clip that it does not learn from.

    Depth has no unit of its own: it is drawn times the one factor that fits the median of the clip's true depth best.
    """

    clip: Clip
    frame: int  # whose depth is kept
    at: Sequence[int]  # steps after which to look
    hop: int = 2  # frames between two poses of the path
    steps: list[int] = field(default_factory=list, init=False)
    depths: list[Float[Tensor, "h w"]] = field(default_factory=list, init=False)
    paths: list[Float64[Tensor, "t 4 4"]] = field(default_factory=list, init=False)  # in the world of the truth
    abs_rel: list[float] = field(default_factory=list, init=False)  # mean over the frames of the path
    path_error: list[float] = field(default_factory=list, init=False)  # m, root mean square after alignment
    focal: list[float] = field(default_factory=list, init=False)  # px

    def __post_init__(self) -> None:
        self.clip.require("depth", "camera", "T_world_camera")
        if not 0 <= self.frame < len(self.clip) or len(self._frames) < 3:
            raise InputError(f"growth needs frame < {len(self.clip)} and 3 frames {self.hop} apart, got {self.frame}")
        seen = self.clip[self._frames]
        self._flows: tuple[Flow, Flow] = grid_flows(seen[:-1], seen[1:])

    @property
    def truth(self) -> Float[Tensor, "t 4 4"]:
        """The true poses at the frames of the path."""
        assert self.clip.T_world_camera is not None
        return self.clip.T_world_camera[self._frames]

    def __call__(self, step: int, net: DepthNet, focal_ratio: float) -> None:
        if step not in self.at:
            return
        if isinstance(net, torch.nn.Module):
            net.eval()  # the next step of training turns this back
        seen = self.clip[self._frames]
        assert self.clip.depth is not None and seen.depth is not None
        depth = predict_depth(net, seen.image)
        camera = camera_of_ratio(focal_ratio, *seen.image.shape[-2:])
        path = camera_path(depth, self._flows, camera)
        error = absolute_trajectory_error(path, self.truth)
        scores = depth_scores(depth, seen.depth)
        shown = predict_depth(net, self.clip.image[self.frame, None])[0, 0]
        self.steps.append(step)
        self.depths.append(shown * float(seen.depth.median() / depth.median()))
        self.paths.append(error.aligned)
        self.abs_rel.append(scores.abs_rel)
        self.path_error.append(error.rmse)
        self.focal.append(float(camera.K[0, 0, 0]))

    @property
    def _frames(self) -> list[int]:
        return list(range(0, len(self.clip), self.hop))


def camera_path(depth: Float[Tensor, "t 1 h w"], flows: tuple[Flow, Flow], camera: Camera) -> Float[Tensor, "t 4 4"]:
    """`T_world_camera` of frames from their depth and the flow between neighbours, motion by motion from the first."""
    T_b_a = fit_motion(grid_sight(flows, depth[:-1], depth[1:], camera), trust=MOTION_TRUST)
    return chain_poses(invert_pose(T_b_a))


def growth_steps(total: int, count: int = 12) -> tuple[int, ...]:
    """Steps to look at, close together first, when most happens: from the first to the last."""
    if total < 2 or count < 2:
        raise InputError(f"growth needs at least 2 steps and 2 looks, got {total} and {count}")
    return tuple(sorted({1, total, *(round(total * (i / (count - 1)) ** 2) for i in range(1, count))} - {0}))


def focal_records(history: Sequence[Mapping[str, Any]], width: int) -> list[dict[str, float]]:
    """The focal length (px) over the share of the training that is done, from the records of `train_depth`."""
    if not history:
        raise InputError("there are no training records to read a focal length from")
    last = history[-1]["step"]
    return [{"share": one["step"] / last, "focal": one["focal_ratio"] * width} for one in history]
