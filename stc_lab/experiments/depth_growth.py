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
from stc_lab.experiments.depth_valleys import turning_rate
from stc_lab.geometry import Camera, Flow, invert_pose, relative_pose
from stc_lab.geometry.egomotion import fit_motion
from stc_lab.metrics import absolute_trajectory_error, chain_poses, depth_scores, rotation_error
from stc_lab.models import DepthNet
from stc_lab.training.depth import predict_depth


@dataclass
class DepthGrowth:
    """A `watch` for `train_depth`: looks at the net after some of the steps, on clips that it does not learn from.

    Depth has no unit of its own: it is drawn times the one factor that fits the median of the clip's true depth best.
    """

    clip: Clip
    frame: int  # whose depth is kept
    path_clip: Clip  # whose path is kept: that of a camera that turns shows most
    at: Sequence[int]  # steps after which to look
    hop: int = 2  # frames between two that are looked at
    steps: list[int] = field(default_factory=list, init=False)
    depths: list[Float[Tensor, "h w"]] = field(default_factory=list, init=False)
    paths: list[Float64[Tensor, "t 4 4"]] = field(default_factory=list, init=False)  # in the world of the truth
    abs_rel: list[float] = field(default_factory=list, init=False)  # of the clip, mean over its frames
    path_error: list[float] = field(default_factory=list, init=False)  # m, root mean square after alignment
    turn_error: list[float] = field(default_factory=list, init=False)  # degrees from hop to hop, median
    focal: list[float] = field(default_factory=list, init=False)  # px

    def __post_init__(self) -> None:
        for clip in (self.clip, self.path_clip):
            clip.require("depth", "camera", "T_world_camera")
        if not 0 <= self.frame < len(self.clip):
            raise InputError(f"frame must lie between 0 and {len(self.clip) - 1}, got {self.frame}")
        if len(self.path_clip) <= 2 * self.hop:
            raise InputError(f"a path needs 3 frames {self.hop} apart, got a clip of {len(self.path_clip)}")
        self._seen, self._along = self.clip[:: self.hop], self.path_clip[:: self.hop]
        self._flows: tuple[Flow, Flow] = grid_flows(self._along[:-1], self._along[1:])

    @property
    def truth(self) -> Float[Tensor, "t 4 4"]:
        """The true poses of the path."""
        assert self._along.T_world_camera is not None
        return self._along.T_world_camera

    @property
    def true_turn(self) -> float:
        """Degrees that the camera of the path truly turns from hop to hop, median."""
        return turning_rate(self._along)

    def __call__(self, step: int, net: DepthNet, focal_ratio: float) -> None:
        if step not in self.at:
            return
        if isinstance(net, torch.nn.Module):
            net.eval()  # the next step of training turns this back
        true = self._seen.depth
        assert true is not None
        depth = predict_depth(net, self._seen.image)
        known = true > 0
        camera = camera_of_ratio(focal_ratio, *depth.shape[-2:])
        path = camera_path(predict_depth(net, self._along.image), self._flows, camera)
        error = absolute_trajectory_error(path, self.truth)
        turned = rotation_error(relative_pose(path[1:], path[:-1]), relative_pose(self.truth[1:], self.truth[:-1]))
        self.steps.append(step)
        self.depths.append(
            predict_depth(net, self.clip.image[self.frame, None])[0, 0] * float(true[known].median() / depth.median())
        )
        self.paths.append(error.aligned)
        self.abs_rel.append(depth_scores(depth, true).abs_rel)
        self.path_error.append(error.rmse)
        self.turn_error.append(float("nan") if turned.median is None else turned.median)
        self.focal.append(float(camera.K[0, 0, 0]))


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
