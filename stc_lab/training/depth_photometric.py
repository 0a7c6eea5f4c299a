"""Learn depth, egomotion and focal length from the photometric error, as published and as it works at this size.

The losses are those of Godard et al. 2019 (monodepth2) and Gordon et al. 2019, see `depth_photometric_loss`. Where the
motion comes from, and what moves the focal length, are switches of the recipe: what each of them does is measured in
`experiments.photometric_study`. The idea that the motion is best solved for, and the depth kept at one unit, is that
of Wang et al. 2018 (Learning depth from monocular videos using direct methods); here it is solved for from flow.
"""

import copy
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.data import Videos
from stc_lab.errors import InputError
from stc_lab.geometry import Camera, so3_log
from stc_lab.geometry.egomotion import Trust, fit_motion
from stc_lab.models import DepthFPN, DepthNet, PairMotionNet, both_ways, load_model
from stc_lab.models.intrinsics import SharedIntrinsics
from stc_lab.training.augment import jitter_light
from stc_lab.training.checkpoint import Checkpoint, digest_of_weights
from stc_lab.training.depth_joint import FocalLength
from stc_lab.training.depth_matches import small_frames
from stc_lab.training.depth_photometric_loss import PairMotions, gordon_loss, monodepth2_loss, there_and_back
from stc_lab.training.depth_photometric_recipe import PhotometricRecipe
from stc_lab.training.depth_photometric_shots import Film, Shots, draw_shots, films_of
from stc_lab.training.depth_recipe import DepthRecipe
from stc_lab.training.schedule import one_cycle

_CLIP = 1.0  # largest norm of a net's gradient; of each net alone, for a shared one starves the depth
_BETAS = (0.9, 0.99)
_FIT_ITERATIONS = 6
_FOCAL = DepthRecipe()  # how a fitted focal length moves: as in the flow-supervised training
Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class PhotometricTraining:
    """What learning came to; the nets are in evaluation mode and take frames `net_stride` times smaller."""

    net: DepthNet
    motion: PairMotionNet | None  # with pose="net"
    focal_ratio: float  # focal length over the frame's width
    recipe: PhotometricRecipe
    history: tuple[dict[str, Any], ...]  # of each step of this call: step, stage, loss and its parts, focal_ratio
    first_step: int  # 0, or where a checkpoint was taken up


def train_photometric(
    videos: Videos,
    recipe: PhotometricRecipe,
    *,
    log: Log | None = None,
    start: DepthNet | Path | str | None = None,
    cache: Path | str | None = None,
    checkpoint: Path | str | None = None,
    checkpoint_every: int = 100,
) -> PhotometricTraining:
    """Train a depth net, and with pose="net" a motion net, on the images of all videos, which must have one size.

    `start` is a depth net, or its file, to go on from; it is copied. Poses and camera of the videos are read only
    where the recipe says "true" or "given". Flows, where the recipe needs them, are kept in the cache folder. `log`
    gets an entry after each step. With `checkpoint` (a file) a run that was interrupted goes on as if it had not been.
    Raises InputError for videos that do not fit, FloatingPointError if the loss leaves the numbers.
    """
    films = films_of(videos, recipe, cache=cache)
    nets = _Nets(recipe, start)
    focal = FocalLength(recipe.first_focal, learned=recipe.focal == "fitted")
    groups = [list(net.parameters()) for net in (nets.depth, nets.motion, nets.lens) if isinstance(net, nn.Module)]
    optimiser = torch.optim.Adam([{"params": group} for group in groups], lr=recipe.learning_rate, betas=_BETAS)
    generator = torch.Generator().manual_seed(recipe.seed)
    keeper, first = None, 0
    if checkpoint is not None:
        keeper = Checkpoint(Path(checkpoint), _identity(recipe, nets, films), checkpoint_every)
        first, _ = keeper.resume(nets, optimiser, {"draws": generator})
        nets.restore(focal)
    history = []
    nets.train()
    for step in range(first, recipe.steps):
        rate = one_cycle(step, recipe.steps, peak=recipe.learning_rate, warm_up=0.1)
        shots = draw_shots(films, recipe, generator)
        alone = step < recipe.first_steps
        found = _motion_alone(nets, shots, focal) if alone else _joint(nets, shots, focal, recipe, step, generator)
        value = float(found.loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {step}: lower the learning rate ({rate:g})")
        optimiser.zero_grad()
        found.loss.backward()
        for group, options in zip(groups, optimiser.param_groups, strict=True):
            nn.utils.clip_grad_norm_(group, _CLIP)
            options["lr"] = rate
        optimiser.step()
        stage = "motion" if alone else f"joint 1/{recipe.loss_stride(step)}"
        entry = {"step": step + 1, "steps": recipe.steps, "stage": stage, "loss": value, **found.parts}
        entry["focal_ratio"] = found.focal_ratio
        nets.keep(focal, found.focal_ratio)
        history.append(entry)
        if keeper is not None:
            keeper.after(step, nets, optimiser, {"draws": generator}, 0, last=step + 1 == recipe.steps)
        if log is not None:
            log(entry)
    nets.eval()
    return PhotometricTraining(nets.depth, nets.motion, float(nets.focal[4]), recipe, tuple(history), first)


class _Nets(nn.Module):
    """All that learns."""

    def __init__(self, recipe: PhotometricRecipe, start: DepthNet | Path | str | None) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(recipe.seed)
        depth = _copied(start) if start is not None else DepthFPN(generator=generator)
        self.depth: DepthNet = depth
        self.unit = float(str(depth.architecture.get("initial_depth", 2.5)))  # the depth that keep_unit keeps
        self.motion: PairMotionNet | None = None
        self.lens: SharedIntrinsics | None = None
        shape = {"initial_focal": recipe.first_focal, "square_pixels": True, "learn_centre": False}
        learned = recipe.focal == "learned"
        if recipe.pose == "net":
            self.motion = PairMotionNet(
                matching=recipe.matching,  # type: ignore[arg-type]  # the recipe has checked its plain strings
                intrinsics=recipe.intrinsics if learned else "given",  # type: ignore[arg-type]  # as above
                residual=recipe.residual,
                generator=generator,
                **shape,  # type: ignore[arg-type]  # as above
            )
        elif learned:
            self.lens = SharedIntrinsics(1, **shape)  # type: ignore[arg-type]  # as above
        self.focal: Tensor
        # A fitted focal length's ratio and running sums, and the last ratio used.
        self.register_buffer("focal", torch.tensor([0, 0, 0, 0, recipe.first_focal], dtype=torch.float64))

    @property
    def architecture(self) -> dict[str, object]:
        return {"depth": self.depth.architecture, "motion": None if self.motion is None else self.motion.architecture}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        return super().load_state_dict(state_dict, strict, assign)

    def keep(self, focal: FocalLength, used: float) -> None:
        self.focal.copy_(torch.tensor([focal.ratio, focal.curvature, focal.slope, focal.seen, used]))

    def restore(self, focal: FocalLength) -> None:
        if float(self.focal[0]) > 0:
            focal.ratio, focal.curvature, focal.slope = (float(value) for value in self.focal[:3])
            focal.seen = int(self.focal[3])


class _Found(NamedTuple):
    loss: Tensor
    parts: dict[str, float]
    focal_ratio: float


def _joint(
    nets: _Nets, shots: Shots, focal: FocalLength, recipe: PhotometricRecipe, step: int, generator: torch.Generator
) -> _Found:
    """The photometric loss of depth and motion together."""
    b, _, _, height, width = shots.images.shape
    lit = jitter_light(shots.images.flatten(0, 1), generator, strength=recipe.light)
    if recipe.loss == "gordon":
        everything = nets.depth.disparities(lit)[:1]
        asked, targets = everything, tuple(maps[1::3] for maps in everything)
    else:
        targets = asked = nets.depth.disparities(lit[1::3])[: recipe.scales]
    factor = 1 / (nets.unit * targets[0].log().mean().exp()) if recipe.keep_unit else asked[0].new_ones(())
    asked = tuple(maps * factor for maps in asked)
    if recipe.pose == "fit":
        motions = _fitted(nets, shots, lit, asked, factor, focal, recipe)
    elif recipe.pose == "net":
        motions = _guessed(nets, shots, lit, both=recipe.loss == "gordon")
    else:
        assert shots.T_b_a is not None
        motions = there_and_back(shots.T_b_a, _camera(nets, shots, focal, height, width))
    shrink = recipe.loss_stride(step) // recipe.net_stride
    seen = small_frames(shots.images.flatten(0, 1), shrink) if shrink > 1 else shots.images.flatten(0, 1)
    frames = seen.unflatten(0, (b, 3))
    if recipe.loss == "gordon":
        loss = gordon_loss(frames, asked[0], motions, recipe)
    else:
        loss = monodepth2_loss(frames, asked, motions, recipe, generator=generator)
    return _Found(loss.total, loss.parts, _ratio(motions.camera))


def _fitted(
    nets: _Nets,
    shots: Shots,
    lit: Float[Tensor, "n 3 h w"],
    asked: tuple[Tensor, ...],
    factor: Tensor,
    focal: FocalLength,
    recipe: PhotometricRecipe,
) -> PairMotions:
    """The motions that the flow and the depth at hand come to; no gradient reaches depth or focal length through them.

    Moves a fitted focal length on. Only a learned one hears of the loss, by the camera alone.
    """
    assert shots.matches is not None
    size = shots.matches.forward.flow.shape[-2:]
    with torch.no_grad():
        if len(asked[0]) == len(lit):
            disparity = asked[0]
        else:
            others = nets.depth.disparities(lit.unflatten(0, (-1, 3))[:, ::2].flatten(0, 1))[0] * factor
            disparity = torch.stack([others[0::2], asked[0], others[1::2]], dim=1).flatten(0, 1)
        depth = 1 / F.interpolate(disparity, size=size, mode="area")
        camera = _camera(nets, shots, focal, *size)
        sight = shots.matches.sight(depth, camera)
        trust = Trust(recipe.flow_deviation / recipe.flow_stride, recipe.doubt)
        T_b_a = fit_motion(sight, trust=trust, iterations=_FIT_ITERATIONS)
        focal.follow(sight, T_b_a, trust, _FOCAL)
    return there_and_back(T_b_a, _camera(nets, shots, focal, *size))


def _guessed(nets: _Nets, shots: Shots, lit: Float[Tensor, "n 3 h w"], *, both: bool) -> PairMotions:
    """The motion net's; with `both` each way is asked of it, else the way back is the inverse."""
    assert nets.motion is not None
    a, b = shots.pairs(lit)
    camera = shots.camera(*lit.shape[-2:]) if nets.motion.camera is None else None
    if both:
        ba, ab = both_ways(nets.motion, b, a, camera=camera)
        return PairMotions(ba.T_a_b, ab.T_a_b, ba.camera, ba.residual, ab.residual)
    motion = nets.motion(b, a, camera=camera)
    return there_and_back(motion.T_a_b, motion.camera)


def _motion_alone(nets: _Nets, shots: Shots, focal: FocalLength) -> _Found:
    """How far the motion net is from what the flow says of a world that is equally far everywhere."""
    assert nets.motion is not None and shots.matches is not None
    size = shots.matches.forward.flow.shape[-2:]
    images = shots.images.flatten(0, 1)
    flat = images.new_full((len(images), 1, *size), nets.unit)
    camera = focal.camera(*size) if nets.motion.camera is not None else shots.camera(*size)
    T_b_a = fit_motion(shots.matches.sight(flat, camera), iterations=_FIT_ITERATIONS)
    a, b = shots.pairs(images)
    guess = nets.motion(b, a, camera=shots.camera(*images.shape[-2:]) if nets.motion.camera is None else None)
    turn = (guess.rotation - so3_log(T_b_a[:, :3, :3])).abs().mean()
    shift = (guess.translation - T_b_a[:, :3, 3]).abs().mean() / nets.unit
    return _Found(turn + shift, {"turn": float(turn.detach()), "shift": float(shift.detach())}, _ratio(camera))


def _camera(nets: _Nets, shots: Shots, focal: FocalLength, height: int, width: int) -> Camera:
    if nets.lens is not None:
        return nets.lens(torch.zeros(1, dtype=torch.int64), height, width)
    return focal.camera(height, width) if focal.learned else shots.camera(height, width)


def _ratio(camera: Camera) -> float:
    return float(camera.K[:, 0, 0].detach().mean()) / camera.width


def _copied(start: DepthNet | Path | str) -> DepthNet:
    net = load_model(start).model if isinstance(start, Path | str) else copy.deepcopy(start)
    if not isinstance(net, DepthNet) or not isinstance(net, nn.Module):
        raise InputError(f"start must be a depth net or its file, got {type(net).__name__}")
    return net


def _identity(recipe: PhotometricRecipe, nets: _Nets, films: Sequence[Film]) -> dict[str, Any]:
    """What must be equal for one run to go on with the state of another."""
    digest = hashlib.sha256()
    for film in films:
        digest.update(film.clip.video.encode() + film.clip.image.numpy().tobytes())
    return {
        "recipe": recipe.to_dict(),
        "architecture": nets.architecture,
        "first weights": digest_of_weights(nets),
        "data": digest.hexdigest()[:16],
    }
