"""Depth, egomotion and focal length learned from one real clip, and held against whatever truth it has."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.data.load import load
from stc_lab.errors import InputError
from stc_lab.geometry import Camera, inverse_warp, relative_pose
from stc_lab.geometry.egomotion import Trust, fit_motion
from stc_lab.geometry.reconstruct import Reconstruction, reconstruct
from stc_lab.metrics import depth_scores, rotation_error, translation_direction_error
from stc_lab.models import DepthNet
from stc_lab.training.depth import DepthTraining, predict_depth, train_depth
from stc_lab.training.depth_joint import FocalLength
from stc_lab.training.depth_matches import MatchedClip, matched_clips
from stc_lab.training.depth_recipe import DepthRecipe

# Size (px) that each slice is learned at: its own shape, about 200 px wide.
SLICE_SIZES = {"kitti": (96, 320), "icl": (144, 192), "sevenscenes": (144, 192), "camvid": (144, 192)}
SLICE_SPLITS = {"camvid": "val"}  # the film of 15 Hz; at 1 Hz hardly anything of a frame is left in the next
RECIPE = DepthRecipe(joint_steps=150, rounds=1, distil_steps=150, sets=3)


@dataclass(frozen=True)
class SliceResult:
    """One clip: what was learned from it, and how it compares; what the data set does not know is None."""

    source: str
    clip: Clip
    training: DepthTraining
    depth: Float[Tensor, "t 1 h w"]  # of the net, frame by frame
    whole: Float[Tensor, "t 1 h w"]  # of the clip's reconstruction
    abs_rel: dict[str, float] | None  # by row: learned depth, whole clip, best constant
    motion: dict[str, float] | None  # degrees, medians over pairs 2 frames apart: rotation, of, direction
    focal_error: float | None  # learned over true focal length, minus 1
    photometric: dict[str, float]  # mean |difference| of frames 2 apart: identity, learned, true


def open_slice(source: str, *, root: Path | str | None = None) -> Videos:
    """The videos of a real slice at the size it is learned at; `root` defaults to its folder in STC_LAB_DATA."""
    if source not in SLICE_SIZES:
        raise InputError(f"source must be one of {', '.join(SLICE_SIZES)}, got {source!r}")
    return load(source, root=root, split=SLICE_SPLITS.get(source, "train"), size=SLICE_SIZES[source])


def learn_slice(
    source: str,
    videos: Videos,
    recipe: DepthRecipe = RECIPE,
    *,
    net: DepthNet | None = None,
    cache: Path | str | None = None,
    say: Callable[[str], None] | None = None,
) -> SliceResult:
    """Learn from the images of `videos` (from `net`, or from scratch), and judge the first of them.

    There is no test split: this asks what a clip tells of itself, not what a net knows of others.
    """
    trained = train_depth(videos, recipe, net=net, cache=cache, say=say)
    (matched, *_) = matched_clips(videos, flow_stride=recipe.flow_stride, net_stride=recipe.net_stride, cache=cache)
    clip = videos.clip(matched.video)
    single = predict_depth(trained.net, clip.image, net_stride=recipe.net_stride)
    camera = FocalLength(trained.focal_ratio, learned=False).camera(*clip.image.shape[-2:])
    grid = camera.resized(*matched.matches().forward.flow.shape[-2:])
    trust = Trust(recipe.flow_deviation / recipe.flow_stride, recipe.least_doubt)
    found = reconstruct(matched.matches(), _resized(single, *grid.size), grid, trust=trust)
    whole = _resized(found.depth, *camera.size)
    return SliceResult(
        source,
        clip,
        trained,
        single,
        whole,
        None if clip.depth is None else _abs_rel({"learned depth": single, "whole clip": whole}, clip.depth),
        None if clip.T_world_camera is None else _motion(matched, found, clip.T_world_camera),
        None if clip.camera is None else trained.focal_ratio * camera.width / float(clip.camera.K[0, 0, 0]) - 1,
        _photometric(clip, matched, single, camera, trust),
    )


def _abs_rel(depths: dict[str, Tensor], truth: Tensor) -> dict[str, float]:
    rows = {**depths, "best constant": torch.ones_like(truth)}
    return {row: depth_scores(depth, truth).abs_rel for row, depth in rows.items()}


def _motion(matched: MatchedClip, found: Reconstruction, poses: Tensor) -> dict[str, float]:
    rows = [row for (i, j), row in matched.pairs.items() if j == i + 2]
    pairs = torch.tensor([pair for pair in matched.pairs if pair[1] == pair[0] + 2])
    true = relative_pose(poses[pairs[:, 0]], poses[pairs[:, 1]])
    T = found.T_j_i[rows]
    still = torch.eye(4).expand_as(true)
    direction = translation_direction_error(T, true).median
    return {
        "rotation": rotation_error(T, true).median or 0.0,
        "of": rotation_error(still, true).median or 0.0,
        "direction": float("nan") if direction is None else direction,
    }


@torch.no_grad()
def _photometric(
    clip: Clip, matched: MatchedClip, depth: Tensor, camera: Camera, trust: Trust, *, gap: int = 2
) -> dict[str, float]:
    pairs = [(i, i + gap) for i in range(0, len(clip.image) - gap, 2)]
    target, source = (torch.tensor(frames) for frames in zip(*pairs, strict=True))
    grid = camera.resized(*matched.matches(pairs).forward.flow.shape[-2:])
    small = _resized(depth, *grid.size)
    own = matched.matches(pairs)
    T = fit_motion(own.sight(small, grid), trust=trust)
    images = clip.image[target], clip.image[source]
    warped = inverse_warp(images[1], depth[target], camera, T)
    errors = {"identity": _difference(images[1], images[0], warped.visible)}
    errors["learned"] = _difference(warped.image, images[0], warped.visible)
    if clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None:
        true = relative_pose(clip.T_world_camera[target], clip.T_world_camera[source])
        K = Camera(clip.camera.K[:1], *clip.camera.size)
        exact = inverse_warp(images[1], clip.depth[target], K, true, depth_source=clip.depth[source])
        errors["true"] = _difference(exact.image, images[0], exact.visible)
    return errors


def _difference(a: Tensor, b: Tensor, visible: Tensor) -> float:
    return float((a - b).abs().mean(dim=1)[visible].mean())


def _resized(depth: Float[Tensor, "t 1 _ _"], height: int, width: int) -> Float[Tensor, "t 1 height width"]:
    return 1 / F.interpolate(1 / depth, size=(height, width), mode="bilinear", align_corners=False)
