"""What truly lies behind a pixel that is not the same in two frames, where the maker of the room knows everything."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64
from torch import Tensor

from stc_lab.experiments.cause_clues import occurs_near, thin_regions
from stc_lab.experiments.likely_cause import (
    BOUNDARY,
    CAUSES,
    FLICKER,
    GEOMETRY,
    HIDDEN,
    LEFT,
    NO_CAUSE,
    THIN,
    cause_map,
)
from stc_lab.experiments.pair_view import PairView
from stc_lab.geometry import MIN_DEPTH, DepthTolerance, FlowEstimator, correspond, inside_visible, sample_labels
from stc_lab.geometry.flow import landing
from stc_lab.geometry.reproject import pixel_grid

OFF = 1.0  # px by which a place must be wrong before the geometry is the cause


def true_causes(view: PairView, truth: FlowEstimator) -> Int64[Tensor, "h w"]:
    """Index into CAUSES of every pixel that the view's rule hides or that disagrees in it; NO_CAUSE for the others.

    `truth` is exact (`ExactRoomsFlow`). The first that holds:
    - left the image, occluded: so the ray from the other camera says;
    - geometry error: the place is more than 1 px off, and read at the true place the labels agree; or the rule hides
      what is seen, with a place that is off or without a step of the true depth next to it;
    - thin structure: one of the two labels is the true one of a region no wider than THIN_WIDTH;
    - boundary pixel: both labels truly stand within REACH px, or the rule was upset by a step of the depth;
    - genuine flicker: the same surface, and the net calls it differently.
    """
    target, source = view.target, view.source
    for clip in (target, source):
        clip.require("label", "depth", "camera", "T_world_camera")
    assert target.label is not None and source.label is not None
    assert target.depth is not None and source.depth is not None and target.camera is not None
    label, label_there, depth, depth_there = target.label, source.label, target.depth, source.depth
    exact = truth(target, source)
    true_place = landing(exact.flow)
    behind = correspond(depth, target.camera, target.motion_to(source), camera_source=source.camera).depth <= MIN_DEPTH
    inside = inside_visible(exact.flow) & ~behind[:, 0]
    off = torch.hypot(*(view.places.pixels - true_place).unbind(dim=1)) > OFF
    agrees = sample_labels(view.labels_source, true_place) == view.labels_target
    read = sample_labels(view.labels_source, view.places.pixels)
    grid = pixel_grid(true_place).expand_as(true_place)

    def stands(wanted: Tensor) -> Tensor:
        """Whether a label is truly there within reach, in either frame."""
        return occurs_near(label, wanted, grid) | occurs_near(label_there, wanted, true_place)

    step = _steps(depth) | _there(_steps(depth_there), true_place)
    thin = torch.zeros_like(off)
    for narrow, own in (
        (thin_regions(label), label),
        (_there(thin_regions(label_there), true_place), sample_labels(label_there, true_place)),
    ):
        thin |= narrow & ((own == view.labels_target) | (own == read))
    edge = stands(view.labels_target) & stands(read)
    cause = torch.full_like(label, FLICKER)
    cause = cause.masked_fill(edge, BOUNDARY).masked_fill(thin, THIN)
    cause = cause.masked_fill(off & agrees, GEOMETRY)
    hidden_in_vain = ~view.visible & (off | ~step)
    cause = cause.masked_fill(~view.visible, BOUNDARY).masked_fill(hidden_in_vain, GEOMETRY)
    cause = cause.masked_fill(~exact.visible, HIDDEN).masked_fill(~inside, LEFT)
    return cause.masked_fill(view.visible & ~view.disagreement, NO_CAUSE)[0]


@dataclass(frozen=True)
class CauseConfusion:
    """How often each true cause was taken for which; pixels of any number of pairs."""

    counts: Int64[Tensor, "6 6"]  # rows: true, columns: computed

    def __add__(self, other: "CauseConfusion") -> "CauseConfusion":
        return CauseConfusion(self.counts + other.counts)

    @property
    def pixels(self) -> int:
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float | None:
        """Share of the pixels whose cause is found; None without any."""
        return int(self.counts.trace()) / self.pixels if self.pixels else None

    @property
    def recall(self) -> dict[str, float | None]:
        """By true cause: the share that is found."""
        return _shares(self.counts.diagonal(), self.counts.sum(dim=1))

    @property
    def precision(self) -> dict[str, float | None]:
        """By computed cause: the share that is right."""
        return _shares(self.counts.diagonal(), self.counts.sum(dim=0))


def cause_confusion(views: Iterable[PairView], truth: FlowEstimator) -> CauseConfusion:
    """Computed against true causes over pairs of one room; every pixel that has both counts."""
    total = CauseConfusion(torch.zeros(len(CAUSES), len(CAUSES), dtype=torch.int64))
    for view in views:
        total = total + confusion_of(cause_map(view), true_causes(view, truth))
    return total


def confusion_of(computed: Int64[Tensor, "h w"], true: Int64[Tensor, "h w"]) -> CauseConfusion:
    """Count the pairs of causes of one view."""
    both = (computed != NO_CAUSE) & (true != NO_CAUSE)
    n = len(CAUSES)
    counts = torch.bincount(true[both] * n + computed[both], minlength=n * n).reshape(n, n)
    return CauseConfusion(counts.cpu())


def _there(mask: Bool[Tensor, "1 h w"], places: Tensor) -> Bool[Tensor, "1 h w"]:
    return sample_labels(mask.long(), places) == 1


def _steps(depth: Tensor) -> Bool[Tensor, "1 h w"]:
    """Pixels with another surface within the 3 x 3 around them."""
    far, near = F.max_pool2d(depth, 3, 1, 1), -F.max_pool2d(-depth, 3, 1, 1)
    return ~DepthTolerance().same_surface(far, near)[:, 0]


def _shares(parts: Tensor, wholes: Tensor) -> dict[str, float | None]:
    return {
        name: part / whole if whole else None
        for name, part, whole in zip(CAUSES, parts.tolist(), wholes.tolist(), strict=True)
    }
