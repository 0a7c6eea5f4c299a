"""Learn depth, egomotion and focal length from clips alone: no depth, no pose and no camera is read.

Three things take turns: what two frames say (`depth_joint`), what a whole clip says (`geometry.reconstruct`), and what
one frame lets a net guess (`distilled` here). After Gordon et al. 2019, as used by Pasad et al. 2020, but for the two
things that did not hold at this size: motion is solved for rather than guessed by a net, and matches come from a
classical flow (Kroeger et al. 2016) rather than from the photometric error.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.data import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.egomotion import Trust, focal_step
from stc_lab.geometry.pose import so3_log
from stc_lab.geometry.reconstruct import Reconstruction, reconstruct
from stc_lab.models import DepthFPN, DepthNet
from stc_lab.training.augment import jitter_light
from stc_lab.training.depth_joint import FocalLength, draw_sets, grid_disparity, joint_loss
from stc_lab.training.depth_matches import MatchedClip, matched_clips, small_frames
from stc_lab.training.depth_recipe import DepthRecipe
from stc_lab.training.schedule import one_cycle

_CLIP = 1.0  # largest norm of a gradient
_BETAS = (0.9, 0.99)
Log = Callable[[dict[str, Any]], None]
Watch = Callable[[int, DepthNet, float], None]


@dataclass(frozen=True)
class DepthTraining:
    """What learning came to."""

    net: DepthNet  # in evaluation mode; takes frames `net_stride` times smaller than the videos'
    focal_ratio: float  # focal length over the frame's width
    recipe: DepthRecipe
    history: tuple[dict[str, Any], ...]  # of each step: step, stage, loss, focal_ratio
    seconds: float  # of processor time, flows not counted


def train_depth(
    videos: Videos,
    recipe: DepthRecipe = DepthRecipe(),
    *,
    net: DepthNet | None = None,
    cache: Path | str | None = None,
    log: Log | None = None,
    watch: Watch | None = None,
    say: Callable[[str], None] | None = None,
) -> DepthTraining:
    """Train `net` (a new `DepthFPN`) on the images of all videos, which must have one size.

    Flows are kept in the cache folder. `log` gets an entry after each step, `watch(step, net, focal_ratio)` the net
    after each, `say` a line now and then about what takes time. Depth comes in an unknown unit, near metres in rooms
    by chance of the start. The same recipe, videos and machine give the same net.
    """
    clips = matched_clips(videos, flow_stride=recipe.flow_stride, net_stride=recipe.net_stride, cache=cache, log=say)
    began = time.process_time()
    generator = torch.Generator().manual_seed(recipe.seed)
    if net is None:
        net = DepthFPN(generator=torch.Generator().manual_seed(recipe.seed))
    focal = FocalLength(recipe.focal or recipe.first_focal, learned=recipe.focal == 0)
    run = _Run(net, focal, recipe, log, watch)

    def joint(progress: float) -> Tensor:
        return joint_loss(net, draw_sets(clips, recipe.sets, generator), focal, recipe, progress=progress)

    run.stage("joint", recipe.joint_steps, recipe.learning_rate, joint)
    for number in range(recipe.rounds):
        if say is not None:
            say(f"reconstructing {len(clips)} clips, round {number + 1}/{recipe.rounds}")
        found = reconstruct_clips(net, focal, clips, recipe)

        def distil(progress: float, found: list[Reconstruction] = found) -> Tensor:
            return distil_loss(net, clips, found, 4 * recipe.sets, generator)

        run.stage(f"distil {number + 1}", recipe.distil_steps, recipe.learning_rate / 2, distil)
    return DepthTraining(_evaluating(net), focal.ratio, recipe, tuple(run.history), time.process_time() - began)


def predict_depth(net: DepthNet, images: Float[Tensor, "b 3 h w"], *, net_stride: int = 2) -> Float[Tensor, "b 1 h w"]:
    """The net's depth of frames of the videos' size; the net sees them `net_stride` times smaller."""
    with torch.no_grad():
        depth = net(small_frames(images, net_stride))
    return 1 / F.interpolate(1 / depth, size=images.shape[-2:], mode="bilinear", align_corners=False)


def reconstruct_clips(
    net: DepthNet, focal: FocalLength, clips: Sequence[MatchedClip], recipe: DepthRecipe
) -> list[Reconstruction]:
    """Each clip from all of its matches, started from the net's depth; then the focal length that suits them best."""
    _evaluating(net)
    trust = Trust(recipe.flow_deviation / recipe.flow_stride, recipe.least_doubt)
    found, curvature, slope = [], 0.0, 0.0
    for clip in clips:
        matches = clip.matches()
        camera = focal.camera(*matches.forward.flow.shape[-2:])
        with torch.no_grad():
            start = 1 / grid_disparity(net, clip.images(), matches)
        reconstruction = reconstruct(matches, start, camera, trust=trust)
        found.append(reconstruction)
        turning = so3_log(reconstruction.T_j_i[:, :3, :3]).norm(dim=1) > math.radians(recipe.turning)
        if focal.learned and bool(turning.any()):
            sight = matches.sight(reconstruction.depth, camera)[turning]
            of_pairs = focal_step(sight, reconstruction.T_j_i[turning], trust=trust)
            curvature, slope = curvature + float(of_pairs[0].sum()), slope + float(of_pairs[1].sum())
    if curvature > 0:
        focal.ratio *= math.exp(max(-0.1, min(0.1, -slope / curvature)))
    return found


def distil_loss(
    net: DepthNet,
    clips: Sequence[MatchedClip],
    found: Sequence[Reconstruction],
    frames: int,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """How far the net is from the reconstructed depths of random frames, each pixel by how certain it is."""
    images, depths, certain = [], [], []
    for _ in range(frames):
        number = int(torch.randint(len(clips), (1,), generator=generator))
        frame = int(torch.randint(len(clips[number].image), (1,), generator=generator))
        values = [clips[number].images([frame]), found[number].depth[frame], found[number].certainty[frame]]
        if int(torch.randint(2, (1,), generator=generator)):
            values = [value.flip(-1) for value in values]
        images.append(values[0])
        depths.append(values[1])
        certain.append(values[2])
    lit = jitter_light(torch.cat(images), generator)
    disparity = grid_disparity(net, lit, clips[0].matches([next(iter(clips[0].pairs))]))
    return ((disparity.log() + torch.stack(depths).log()).abs() * torch.stack(certain)).mean()


class _Run:
    """The steps of one training, stage after stage."""

    def __init__(
        self, net: DepthNet, focal: FocalLength, recipe: DepthRecipe, log: Log | None, watch: Watch | None
    ) -> None:
        self.net, self.focal, self.log, self.watch = net, focal, log, watch
        self.history: list[dict[str, Any]] = []
        self.steps = recipe.joint_steps + recipe.rounds * recipe.distil_steps

    def stage(self, name: str, steps: int, rate: float, loss_of: Callable[[float], Tensor]) -> None:
        optimiser = torch.optim.Adam(self.net.parameters(), lr=rate, betas=_BETAS)
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = one_cycle(step, steps, peak=rate, warm_up=0.1)
            self.net.train()
            loss = loss_of(step / steps)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss is {value} at step {step} of stage {name}: lower the learning rate")
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(self.net.parameters()), _CLIP)
            optimiser.step()
            entry = {
                "step": len(self.history) + 1,
                "steps": self.steps,
                "stage": name,
                "loss": value,
                "focal_ratio": self.focal.ratio,
            }
            self.history.append(entry)
            if self.log is not None:
                self.log(entry)
            if self.watch is not None:
                self.watch(len(self.history), self.net, self.focal.ratio)


def _evaluating(net: DepthNet) -> DepthNet:
    if not isinstance(net, torch.nn.Module):
        raise InputError(f"the net must be an nn.Module, got {type(net).__name__}")
    return net.eval()
