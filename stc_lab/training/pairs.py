"""Pairs of frames of one video: which are drawn, and how consistent a net is on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.errors import InputError
from stc_lab.geometry import Warped, correspond, identity_warp, sample
from stc_lab.geometry.warp import DepthTolerance
from stc_lab.losses import Direction, LogitsConsistency, logits_consistency
from stc_lab.training.recipe import SegmentationRecipe


class PairSampler:
    """Draws pairs of rows of one video; a share of them, the anchored ones, contain a labelled frame."""

    def __init__(self, videos: Videos, labelled: Sequence[int], *, gaps: Sequence[int], anchored: float) -> None:
        known = set(labelled)
        self.anchored = anchored
        self.pairs = {gap: videos.pairs(gap) for gap in gaps}
        self.anchored_pairs = {
            gap: [pair for pair in pairs if not known.isdisjoint(pair)] for gap, pairs in self.pairs.items()
        }
        without = [gap for gap, pairs in self.anchored_pairs.items() if not pairs]
        if anchored > 0 and without:
            raise InputError(
                f"no labelled frame has a partner {without[0]} frames away, but anchored is {anchored}",
                hint="more labelled frames, smaller gaps, or anchored=0",
            )

    def draw(self, count: int, generator: torch.Generator) -> tuple[list[int], list[int]]:
        """Rows of the earlier and of the later frames of `count` pairs, all of one randomly drawn gap."""
        gaps = sorted(self.pairs)
        gap = gaps[_pick(len(gaps), generator)]
        with_label = (torch.rand(count, generator=generator) < self.anchored).tolist()
        sets = [self.anchored_pairs[gap] if anchored else self.pairs[gap] for anchored in with_label]
        drawn = [pairs[_pick(len(pairs), generator)] for pairs in sets]
        return [pair[0] for pair in drawn], [pair[1] for pair in drawn]


def _pick(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


@dataclass(frozen=True)
class PairLoss:
    """Eq. 1 averaged over both directions, and what it rests on."""

    total: Float[Tensor, ""]  # weighted sum of the three parts, without lambda; 0 if nothing was visible
    uniform: float
    label_prior: float
    pixel_prior: float
    visible: float  # share of the pixels that were compared
    skipped: int  # directions of a pair in which no pixel was visible, so that nothing was compared


def pair_consistency(
    logits: tuple[Float[Tensor, "b k h w"], Float[Tensor, "b k h w"]],
    frames: tuple[Clip, Clip],
    edges: tuple[Bool[Tensor, "b h w"], Bool[Tensor, "b h w"]],
    recipe: SegmentationRecipe,
) -> PairLoss:
    """Warp each frame's logits into the other and compare (Pasad et al. 2020, Eq. 1), in both directions.

    Logits, frames and edges share one grid: frames are `clip.strided(model.coarse_stride)`. With `recipe.warp`
    "identity" the logits are compared pixel by pixel, on the same pixels that the true warp would compare.
    """
    weights = LogitsConsistency(recipe.uniform, recipe.label_prior, recipe.pixel_prior)
    losses, visible, skipped = [], [], 0
    for way in pair_directions(logits, frames, edges, warp=recipe.warp):
        seen = way.warped.visible.flatten(1)
        visible.append(float(seen.float().mean()))
        skipped += int((~seen.any(dim=1)).sum())
        if bool(seen.any()):
            assert way.edges_target is not None
            both = way.warped, way.logits_target, way.edges_target, weights
            # The recipe has checked its `gradient`, which is a plain string.
            losses.append(logits_consistency(*both, gradient=recipe.gradient))  # type: ignore[arg-type]
    total = torch.stack([loss.total for loss in losses]).mean() if losses else logits[0].new_zeros(())

    def mean(part: str) -> float:
        return sum(float(getattr(loss, part).detach()) for loss in losses) / max(1, len(losses))

    return PairLoss(
        total, mean("uniform"), mean("label_prior"), mean("pixel_prior"), visible=sum(visible) / 2, skipped=skipped
    )


def pair_directions(
    logits: tuple[Float[Tensor, "b k h w"], Float[Tensor, "b k h w"]],
    frames: tuple[Clip, Clip],
    edges: tuple[Bool[Tensor, "b h w"], Bool[Tensor, "b h w"]] | None,
    *,
    warp: str,
    tolerance: DepthTolerance = DepthTolerance(),
) -> tuple[Direction, Direction]:
    """Each frame's logits warped into the other, beside that one's own: earlier into later, then back."""
    there, back = (
        Direction(
            warp_logits(logits[source], frames[source], frames[target], warp=warp, tolerance=tolerance),
            logits[target],
            None if edges is None else edges[target],
        )
        for source, target in ((0, 1), (1, 0))
    )
    return there, back


def warp_logits(
    logits: Float[Tensor, "b k h w"],
    source: Clip,
    target: Clip,
    *,
    warp: str,
    tolerance: DepthTolerance = DepthTolerance(),
) -> Warped:
    """The source's logits as the target's camera would see them; `warp="identity"` leaves them where they are.

    What counts as visible follows from depth and pose in either case, so that the two differ in nothing but the warp.
    """
    target.require("depth", "camera", "T_world_camera")
    source.require("depth", "camera", "T_world_camera")
    assert target.depth is not None and target.camera is not None
    where = correspond(
        target.depth,
        target.camera,
        target.motion_to(source),
        camera_source=source.camera,
        depth_source=source.depth,
        tolerance=tolerance,
    )
    if warp == "identity":
        return identity_warp(logits, where.visible)
    return Warped(sample(logits, where), where.visible)
