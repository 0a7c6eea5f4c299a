"""Everything about one pair of frames that an explorer shows, as plain tensors: no picture, no widget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.disturb import Disturbance
from stc_lab.experiments.explored_frames import ExploredFrames, Model, explored
from stc_lab.experiments.pair_places import Geometry, Occlusion, PairPlaces, default_occlusion, pair_places
from stc_lab.geometry import Warped, WarpedLabels, masked_labels, sample, sample_labels
from stc_lab.losses.consistency import ConsistencyLoss, LogitsConsistency, consistency_map

Way = Literal["backward", "forward"]
WAYS: tuple[Way, ...] = get_args(Way)
NOTHING = float("nan")  # of a number that no pixel says anything about


@dataclass(frozen=True, eq=False)
class PairView:
    """Target and source, what the model says of both, and how the source looks from the target.

    Everything lies on the target's grid, at the frames' size, but for what is named after the source.
    """

    earlier: int  # row
    later: int  # row
    direction: Way  # backward: the target is the earlier frame, into which the later one is warped
    occlusion: Occlusion
    classes: tuple[str, ...]
    target: Clip
    source: Clip  # as it is seen: with the exposure of the disturbance
    logits_target: Float[Tensor, "1 k h w"]
    logits_source: Float[Tensor, "1 k h w"]
    places: PairPlaces
    edges: Bool[Tensor, "1 h w"]  # of the target's image, for the pixel prior
    weights: LogitsConsistency
    frames: ExploredFrames  # where it all came from
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, init=False)

    @property
    def geometry(self) -> Geometry:
        return self.places.geometry

    @property
    def disturbance(self) -> Disturbance:
        return self.places.disturbance

    def kept(self, name: str, compute: Callable[[], Any]) -> Any:
        """What others find out about this pair, found once."""
        if name not in self._kept:
            self._kept[name] = compute()
        return self._kept[name]

    @property
    def rows(self) -> tuple[int, int]:
        """Of target and source."""
        return (self.earlier, self.later) if self.direction == "backward" else (self.later, self.earlier)

    @cached_property
    def visible(self) -> Bool[Tensor, "1 h w"]:
        """What the source sees by the chosen rule."""
        return self.places.visible(self.occlusion)

    @cached_property
    def depth_target(self) -> Float[Tensor, "1 1 h w"] | None:
        """m, or a net's unit: the depth that the geometry uses; None of a flow."""
        return None if self.places.solid is None else self.places.solid.depth_target

    @cached_property
    def depth_source(self) -> Float[Tensor, "1 1 h w"] | None:
        return None if self.places.solid is None else self.places.solid.depth_source

    @cached_property
    def warped(self) -> Warped:
        """The source's logits as the target would have them."""
        return Warped(sample(self.logits_source, self.places.pixels), self.visible)

    @cached_property
    def warped_image(self) -> Float[Tensor, "1 3 h w"]:
        return sample(self.source.image, self.places.pixels)

    @cached_property
    def labels_target(self) -> Int64[Tensor, "1 h w"]:
        return self.frames.labels([self.rows[0]])

    @cached_property
    def labels_source(self) -> Int64[Tensor, "1 h w"]:
        """On the source's grid."""
        return self.frames.labels([self.rows[1]], exposure=self.disturbance.exposure)

    @cached_property
    def warped_labels(self) -> WarpedLabels:
        """The source's labels read at the nearest pixel, as measures of agreement do; 255 where not visible."""
        return masked_labels(sample_labels(self.labels_source, self.places.pixels), self.visible)

    @cached_property
    def disagreement(self) -> Bool[Tensor, "1 h w"]:
        """Visible in both, and called differently."""
        return self.visible & (self.warped_labels.label != self.labels_target)

    @cached_property
    def soft_disagreement(self) -> Float[Tensor, "1 h w"]:
        """Half the L1 distance of the two class distributions, 0..1; 0 where not visible."""
        apart = (self.probabilities_target - self.warped.image.softmax(dim=1)).abs().sum(dim=1) / 2
        return apart.masked_fill(~self.visible, 0.0)

    @cached_property
    def probabilities_target(self) -> Float[Tensor, "1 k h w"]:
        return self.logits_target.softmax(dim=1)

    @cached_property
    def confidence(self) -> Float[Tensor, "1 h w"]:
        """Probability of the target's most likely class."""
        return self.probabilities_target.amax(dim=1)

    @cached_property
    def confidence_source(self) -> Float[Tensor, "1 h w"]:
        """The same of the source, on its own grid."""
        return self.logits_source.softmax(dim=1).amax(dim=1)

    @cached_property
    def loss_parts(self) -> Mapping[str, Float[Tensor, "1 h w"]]:
        """The unweighted parts of Eq. 1 (Pasad et al. 2020), whose means over the visible pixels are the loss's.

        `uniform`, `label_prior` and `pixel_prior`; all 0 where nothing is visible.
        """
        if not bool(self.visible.any()):
            none = torch.zeros_like(self.places.flow[:, 0])
            return dict.fromkeys(("uniform", "label_prior", "pixel_prior"), none)
        parts = consistency_map(self.warped, self.logits_target, self.edges, LogitsConsistency(1.0, 1.0, 1.0))
        return {name: part for name, part in parts.items() if name != "total"}

    @cached_property
    def loss_maps(self) -> Mapping[str, Float[Tensor, "1 h w"]]:
        """Where the loss comes from: the parts with their weights, and their sum `total`."""
        maps = {name: getattr(self.weights, name) * part for name, part in self.loss_parts.items()}
        return maps | {"total": maps["uniform"] + maps["label_prior"] + maps["pixel_prior"]}

    @cached_property
    def loss(self) -> ConsistencyLoss | None:
        """Eq. 1 at full size, as `logits_consistency` has it; None where nothing is visible."""
        support = self.visible.sum()
        if int(support) == 0:
            return None
        parts = {name: part.sum() / support for name, part in self.loss_parts.items()}
        total = torch.stack([getattr(self.weights, name) * part for name, part in parts.items()]).sum()
        return ConsistencyLoss(total, **parts, support=support, edge_support=(self.edges & self.visible).sum())

    def numbers(self) -> dict[str, float]:
        """Live numbers: Eq. 1 and its unweighted parts, the share that disagrees, what it rests on, and the motion.

        NaN where no pixel is visible.
        """
        return dict(self._numbers)

    @cached_property
    def _numbers(self) -> dict[str, float]:
        loss, seen = self.loss, self.visible
        counted = max(1, int(seen.sum()))
        found = {
            name: NOTHING if loss is None else float(getattr(loss, name))
            for name in ("total", "uniform", "label_prior", "pixel_prior")
        }
        motion = self.places.flow.square().sum(dim=1).sqrt()[seen]  # a norm along a dimension is 20 times slower
        return found | {
            "disagreement": NOTHING if loss is None else int(self.disagreement.sum()) / counted,
            "soft disagreement": NOTHING if loss is None else float(self.soft_disagreement.sum()) / counted,
            "visible": float(seen.float().mean()),
            "motion": float(motion.median()) if len(motion) else NOTHING,
        }


def pair_view(
    videos: Videos,
    model: Model,
    row: int,
    later: int,
    *,
    geometry: Geometry = "exact",
    occlusion: Occlusion | None = None,
    direction: Way = "backward",
    disturbance: Disturbance = Disturbance(),
    weights: LogitsConsistency = LogitsConsistency(),
    memory: ExploredFrames | None = None,
) -> PairView:
    """Look at the pair of rows `row` and `later` of one video; what is shown is computed when it is asked for.

    `backward` warps the later frame into the earlier, `forward` the earlier into the later. Without `occlusion` the
    rule is the geometry's own (`default_occlusion`). `memory` keeps logits, edges and flows from view to view.
    """
    frames = explored(videos, model, memory)
    if direction not in WAYS:
        raise InputError(f"direction must be one of {', '.join(WAYS)}, got {direction!r}")
    names = videos.videos_of([row, later]) if 0 <= row < len(videos) and 0 <= later < len(videos) else ["", "?"]
    if not row < later or names[0] != names[1]:
        raise InputError(
            f"a pair is of two frames of one video, the earlier row first, got rows {row} and {later}",
            hint=f"rows are 0 to {len(videos) - 1}; videos.pairs(gap) lists the pairs",
        )
    target, source = (row, later) if direction == "backward" else (later, row)
    places = pair_places(frames, [target], [source], geometry, disturbance)
    seen_source = frames.clip([source])
    return PairView(
        earlier=row,
        later=later,
        direction=direction,
        occlusion=default_occlusion(geometry) if occlusion is None else occlusion,
        classes=frames.classes,
        target=frames.clip([target]),
        source=replace(seen_source, image=disturbance.of_image(seen_source.image)),
        logits_target=frames.logits([target]),
        logits_source=frames.logits([source], exposure=disturbance.exposure),
        places=places,
        edges=frames.edges([target]),
        weights=weights,
        frames=frames,
    )
