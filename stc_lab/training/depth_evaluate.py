"""How good learned geometry is, beside what needs no learning and what knows the truth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.errors import InputError
from stc_lab.geometry import Camera, correspond, inverse_warp_labels, relative_pose, rigid_flow
from stc_lab.geometry.egomotion import Trust, fit_motion
from stc_lab.geometry.reconstruct import Matches, reconstruct
from stc_lab.metrics import depth_scores, rotation_error, translation_direction_error
from stc_lab.models import DepthNet
from stc_lab.training.depth import predict_depth
from stc_lab.training.depth_joint import FocalLength
from stc_lab.training.depth_matches import MatchedClip, matched_clips
from stc_lab.training.depth_recipe import DepthRecipe

GAPS = (1, 2, 4)
TURNING = 1.0  # degrees per frame: a clip that turns faster, in the median, counts among those that turn
_LEAST_SEEN = 0.02  # share of the pixels that two frames must see both

EXACT, TRUE_DEPTH, CLIP, NET = "exact", "true depth, fitted motion", "whole clip", "learned depth, fitted motion"
CONSTANT, TRUE_POSE, IDENTITY = "constant depth, fitted motion", "constant depth, true motion", "identity"


@dataclass(frozen=True)
class PairGeometry:
    """A geometry under trial: depth of the target frames, camera, and the motion from each target to its source."""

    depth: Float[Tensor, "n 1 h w"]
    camera: Camera
    T_source_target: Float[Tensor, "n 4 4"]


@dataclass(frozen=True)
class DepthEvaluation:
    """Numbers in JSON's types; measures of pairs are means over clips of the clip's median pair."""

    depth: dict[str, dict[str, float]]  # by row: the Eigen set
    pairs: dict[str, dict[int, dict[str, float]]]  # by row and gap: see `pair_measures`
    turning: dict[str, dict[int, dict[str, float]]]  # the same over the clips that turn alone
    focal_error: float  # learned over true focal length, minus 1
    clips: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@torch.no_grad()
def evaluate_depth(
    net: DepthNet,
    focal_ratio: float,
    videos: Videos,
    recipe: DepthRecipe = DepthRecipe(),
    *,
    row_mean: Float[Tensor, "1 1 h w"] | None = None,
    cache: Path | str | None = None,
) -> DepthEvaluation:
    """Depth, motion and labels carried along both, over all clips of `videos`, whose truth must be known.

    Motions are fitted to the same flow for all rows but those that are given the true one. `row_mean` adds a row for
    the mean depth of each image row of training frames.
    """
    clips = matched_clips(videos, flow_stride=recipe.flow_stride, net_stride=recipe.net_stride, cache=cache)
    of_depth: dict[str, list[dict[str, float]]] = {}
    of_pairs: dict[str, dict[int, list[dict[str, float]]]] = {}
    of_turning: dict[str, dict[int, list[dict[str, float]]]] = {}
    focal_errors = []
    for matched in clips:
        clip = videos.clip(matched.video)
        if clip.depth is None or clip.camera is None or clip.T_world_camera is None or clip.label is None:
            raise InputError(f"video {matched.video!r} lacks depth, camera, poses or labels to compare with")
        depths = learned_depths(net, focal_ratio, matched, clip, recipe)
        guesses = {**depths, "best constant": torch.ones_like(clip.depth)}
        if row_mean is not None:
            guesses["row mean"] = row_mean.expand_as(clip.depth)
        for row, depth in guesses.items():
            of_depth.setdefault(row, []).append(depth_scores(depth, clip.depth).values)
        width = clip.image.shape[-1]
        focal_errors.append(focal_ratio * width / float(clip.camera.K[0, 0, 0]) - 1)
        for gap in GAPS:
            for row, measures in _pairs_of(clip, matched, depths, focal_ratio, recipe, gap).items():
                of_pairs.setdefault(row, {}).setdefault(gap, []).append(measures)
                if measures["turn"] > TURNING * gap:
                    of_turning.setdefault(row, {}).setdefault(gap, []).append(measures)
    return DepthEvaluation(
        {row: _means(scores) for row, scores in of_depth.items()},
        _by_row(of_pairs),
        _by_row(of_turning),
        sum(focal_errors) / len(focal_errors),
        len(clips),
    )


@torch.no_grad()
def learned_depths(
    net: DepthNet, focal_ratio: float, matched: MatchedClip, clip: Clip, recipe: DepthRecipe
) -> dict[str, Float[Tensor, "t 1 h w"]]:
    """What the net says of each frame alone, and what the whole clip comes to when started from that."""
    single = predict_depth(net, clip.image, net_stride=recipe.net_stride)
    matches = matched.matches()
    camera = FocalLength(focal_ratio, learned=False).camera(*matches.forward.flow.shape[-2:])
    start = _resized(single, *camera.size)
    whole = reconstruct(matches, start, camera, trust=_trust(recipe))
    return {NET: single, CLIP: _resized(whole.depth, *clip.image.shape[-2:])}


def pair_measures(
    tried: PairGeometry,
    exact: PairGeometry,
    labels: tuple[Tensor, Tensor],
    visible: Bool[Tensor, "n h w"],
) -> dict[str, float]:
    """What a geometry does to pairs of frames, where the exact one sees the pixel in both; medians over the pairs.

    agreement: share of the pixels, also in view under `tried`, whose label (nearest) is that of the pixel they come
    from; epe: px, median over the pixels; rotation and direction: degrees from the true motion; turn: degrees of it.
    """
    target, source = labels
    warped = inverse_warp_labels(source, tried.depth, tried.camera, tried.T_source_target)
    counted = visible & warped.visible & (target != 255)
    same = (warped.label == target) & counted
    found = rigid_flow(tried.depth, tried.camera, tried.T_source_target).flow
    true = rigid_flow(exact.depth, exact.camera, exact.T_source_target).flow
    missed = torch.where(visible, (found - true).norm(dim=1), torch.nan).flatten(1).nanmedian(dim=1).values
    rotation = rotation_error(tried.T_source_target, exact.T_source_target)
    direction = translation_direction_error(tried.T_source_target, exact.T_source_target)
    still = torch.eye(4).expand_as(exact.T_source_target)
    return {
        "agreement": float((same.flatten(1).sum(dim=1) / counted.flatten(1).sum(dim=1).clamp(min=1)).mean()),
        "epe": float(missed.nanmedian()),
        "rotation": math.nan if rotation.median is None else rotation.median,
        "direction": math.nan if direction.median is None else direction.median,
        "turn": rotation_error(still, exact.T_source_target).median or 0.0,
    }


def _pairs_of(
    clip: Clip,
    matched: MatchedClip,
    depths: Mapping[str, Tensor],
    focal_ratio: float,
    recipe: DepthRecipe,
    gap: int,
) -> dict[str, dict[str, float]]:
    """Measures of each row over the pairs of one clip, target i and source i + gap."""
    assert clip.depth is not None and clip.T_world_camera is not None and clip.label is not None
    assert clip.camera is not None
    pairs = [(i, i + gap) for i in range(0, len(clip.image) - gap, 2)]
    true_camera = Camera(clip.camera.K[:1], *clip.camera.size)
    of_target, of_source = (torch.tensor(frames) for frames in zip(*pairs, strict=True))
    poses = clip.T_world_camera
    T = relative_pose(poses[of_target], poses[of_source])
    truth = clip.depth
    visible = correspond(truth[of_target], true_camera, T, depth_source=truth[of_source]).visible
    kept = visible.flatten(1).float().mean(dim=1) >= _LEAST_SEEN
    of_target, of_source, T, visible = of_target[kept], of_source[kept], T[kept], visible[kept]
    if len(T) == 0:
        return {}
    matches = matched.matches([pair for pair, keep in zip(pairs, kept.tolist(), strict=True) if keep])
    learned_camera = FocalLength(focal_ratio, learned=False).camera(*true_camera.size)
    constant = torch.full_like(truth, float(truth.median()))
    sure = Trust(_trust(recipe).flow, 0.0)

    def fitted(depth: Tensor, camera: Camera, trust: Trust) -> PairGeometry:
        grid = camera.resized(*matches.forward.flow.shape[-2:])
        small = _resized(depth, *grid.size)
        own = Matches(torch.stack([of_target, of_source], dim=1), matches.forward, matches.backward)
        return PairGeometry(depth[of_target], camera, fit_motion(own.sight(small, grid), trust=trust))

    exact = PairGeometry(truth[of_target], true_camera, T)
    rows = {
        EXACT: exact,
        TRUE_DEPTH: fitted(truth, true_camera, sure),
        CLIP: fitted(depths[CLIP], learned_camera, sure),
        NET: fitted(depths[NET], learned_camera, _trust(recipe)),
        CONSTANT: fitted(constant, true_camera, sure),
        TRUE_POSE: PairGeometry(constant[of_target], true_camera, T),
        IDENTITY: PairGeometry(constant[of_target], true_camera, torch.eye(4).expand_as(T)),
    }
    labels = clip.label[of_target], clip.label[of_source]
    return {row: pair_measures(tried, exact, labels, visible) for row, tried in rows.items()}


def _trust(recipe: DepthRecipe) -> Trust:
    return Trust(recipe.flow_deviation / recipe.flow_stride, recipe.least_doubt)


def _resized(depth: Float[Tensor, "t 1 _ _"], height: int, width: int) -> Float[Tensor, "t 1 height width"]:
    """By disparity, as depth maps are interpolated everywhere here."""
    size = (height, width)
    if height < depth.shape[-2]:
        return 1 / F.interpolate(1 / depth, size=size, mode="area")
    return 1 / F.interpolate(1 / depth, size=size, mode="bilinear", align_corners=False)


def _by_row(found: Mapping[str, Mapping[int, list[dict[str, float]]]]) -> dict[str, dict[int, dict[str, float]]]:
    return {row: {gap: _means(measures) for gap, measures in by_gap.items()} for row, by_gap in found.items()}


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each measure over clips, those left out where it is not defined."""
    found = {name: [row[name] for row in rows if not math.isnan(row[name])] for name in rows[0]}
    return {name: sum(values) / len(values) if values else math.nan for name, values in found.items()}
