"""Where label edges have a depth edge, and the reverse: the observation that L_p and L_h rest on, counted.

An edge lies on the border between two neighbouring pixels. It is a label edge where their classes differ, and a depth
edge where the depth jumps: where it changes by more than a threshold, as a share of the nearer depth, and neither of
the two surfaces, continued as a plane by a pixel, comes nearer than that to the other. A slanted floor, whose depth
changes from pixel to pixel without an edge, is none by the second condition; where a wall meets the floor the depth
bends but does not jump.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_labels, expect_map
from stc_lab.models import Segmenter
from stc_lab.training import predict

IGNORE = 255
THRESHOLD = 0.05  # of the nearer depth
RADIUS = 1  # px from an edge of the one kind to one of the other

# What a pixel borders on, as a map.
NOTHING, BOTH, LABEL_ONLY, DEPTH_ONLY = range(4)
KINDS = ("nothing", "label edge with a depth edge", "label edge without a depth edge", "depth edge inside a class")


@dataclass(frozen=True)
class Borders:
    """The borders between neighbouring pixels of a picture: True where something lies on one."""

    across: Bool[Tensor, "b h v"]  # between a pixel and the one to its right; v = w - 1
    down: Bool[Tensor, "b u w"]  # between a pixel and the one below; u = h - 1

    def __and__(self, other: "Borders") -> "Borders":
        return Borders(self.across & other.across, self.down & other.down)

    def __or__(self, other: "Borders") -> "Borders":
        return Borders(self.across | other.across, self.down | other.down)

    def __invert__(self) -> "Borders":
        return Borders(~self.across, ~self.down)

    def count(self) -> int:
        return int(self.across.sum() + self.down.sum())

    def pixels(self) -> Bool[Tensor, "b h w"]:
        """The pixels on both sides of the borders."""
        right, below = F.pad(self.across, (0, 1)), F.pad(self.down, (0, 0, 0, 1))
        return right | F.pad(self.across, (1, 0)) | below | F.pad(self.down, (0, 0, 1, 0))

    def near(self, pixels: Bool[Tensor, "b h w"], radius: int) -> "Borders":
        """These borders as far as one of their two pixels is within `radius` px of one of `pixels`, square distance."""
        wide = widened(pixels, radius)
        return self & Borders(wide[:, :, 1:] | wide[:, :, :-1], wide[:, 1:] | wide[:, :-1])


def widened(pixels: Bool[Tensor, "b h w"], radius: int) -> Bool[Tensor, "b h w"]:
    """All pixels within `radius` px of these, square distance."""
    if radius < 0:
        raise InputError(f"radius must be 0 px or more, got {radius}")
    return F.max_pool2d(pixels[:, None].float(), 2 * radius + 1, 1, radius)[:, 0] > 0


def label_edges(labels: Int64[Tensor, "b h w"]) -> Borders:
    """The borders between different classes; those of ignored pixels (255) are none."""
    expect_labels("labels", labels)

    def differ(before: Tensor, after: Tensor) -> Tensor:
        return (before != after) & (before != IGNORE) & (after != IGNORE)

    return Borders(differ(labels[:, :, :-1], labels[:, :, 1:]), differ(labels[:, :-1], labels[:, 1:]))


def depth_edges(depth: Float[Tensor, "b 1 h w"], *, threshold: float = THRESHOLD) -> Borders:
    """The borders where the depth jumps by more than `threshold` of the nearer depth (the module says how it is told).

    The unit of depth does not matter. Unknown depth (0 or not finite) borders on no edge.
    """
    expect_map("depth", depth, channels=1)
    if not threshold > 0:
        raise InputError(f"threshold must be a positive share of the depth, got {threshold}")
    known = depth[:, 0].isfinite() & (depth[:, 0] > 0)
    # Over a picture of a plane the inverse of depth is linear, so that its differences are constant there.
    near = torch.where(known, 1 / torch.where(known, depth[:, 0], 1), torch.nan)
    return Borders(_jumps(near, threshold), _jumps(near.transpose(1, 2), threshold).transpose(1, 2))


def plain_depth_edges(depth: Float[Tensor, "b 1 h w"], *, threshold: float = THRESHOLD) -> Borders:
    """The borders where the depth changes by more than `threshold` of the nearer depth, slanted surfaces included."""
    expect_map("depth", depth, channels=1)
    known = torch.where(depth.isfinite() & (depth > 0), depth, torch.nan)[:, 0]

    def change(before: Tensor, after: Tensor) -> Tensor:
        return (after - before).abs() > threshold * torch.minimum(before, after)

    return Borders(change(known[:, :, :-1], known[:, :, 1:]), change(known[:, :-1], known[:, 1:]))


def edge_kinds(
    labels: Int64[Tensor, "b h w"],
    depth: Float[Tensor, "b 1 h w"],
    *,
    radius: int = RADIUS,
    threshold: float = THRESHOLD,
) -> Int64[Tensor, "b h w"]:
    """What each pixel borders on, by its place in `KINDS`; a label edge with a depth edge goes before one without."""
    by_label, by_depth = label_edges(labels), depth_edges(depth, threshold=threshold)
    both = by_label.near(by_depth.pixels(), radius)
    kinds = torch.full_like(labels, NOTHING)
    kinds[(by_depth & ~by_depth.near(by_label.pixels(), radius)).pixels()] = DEPTH_ONLY
    kinds[(by_label & ~both).pixels()] = LABEL_ONLY
    kinds[both.pixels()] = BOTH
    return kinds


def telling_frame(videos: Videos, *, step: int = 4, model: Segmenter | None = None, right: float = 0.8) -> Clip:
    """Of every `step`-th frame the one with most of both kinds of label edges: the rarer kind is largest there.

    With a model, of those frames alone of which it labels at least the share `right` of the pixels right.
    """
    best, found = -1, None
    for video in videos.names:
        clip = videos.clip(video, step=step)
        clip.require("label", "depth")
        assert clip.label is not None and clip.depth is not None
        kinds = edge_kinds(clip.label, clip.depth).flatten(1)
        rarer = torch.minimum((kinds == BOTH).sum(dim=1), (kinds == LABEL_ONLY).sum(dim=1))
        if model is not None:
            correct = (predict(model, clip.image) == clip.label).float().mean(dim=(1, 2))
            rarer = torch.where(correct >= right, rarer, -1)
        if int(rarer.max()) > best:
            best, found = int(rarer.max()), clip[int(rarer.argmax())]
    if found is None:
        raise InputError(
            f"the net labels none of these frames right at {right:.0%} of the pixels", hint="a lower share"
        )
    return found


@dataclass(frozen=True)
class PairRow:
    """All borders between two classes, or inside one (twice the same name)."""

    classes: tuple[str, str]
    label_edges: int  # 0 inside a class
    with_depth: int  # of them, those with a depth edge within the radius
    depth_edges: int
    with_label: int  # of them, those with a label edge within the radius

    @property
    def name(self) -> str:
        return " | ".join(self.classes) if len(set(self.classes)) == 2 else f"inside {self.classes[0]}"

    @property
    def share_with_depth(self) -> float:
        """Of the label edges; NaN where there is none."""
        return self.with_depth / self.label_edges if self.label_edges else float("nan")


@dataclass(frozen=True)
class EdgeStudy:
    """Label edges and depth edges of many frames, by the two classes that they lie between."""

    rows: tuple[PairRow, ...]  # those with most label edges first
    frames: int
    radius: int  # px
    threshold: float  # of the nearer depth
    chance_depth: float  # share of all borders, edges or not, with a depth edge within the radius
    chance_label: float  # share of all borders with a label edge within the radius
    slant_share: float  # of the borders where depth changes by more than the threshold: no jump, but a slanted surface

    @property
    def label_edges(self) -> int:
        return sum(row.label_edges for row in self.rows)

    @property
    def depth_edges(self) -> int:
        return sum(row.depth_edges for row in self.rows)

    @property
    def with_depth(self) -> float:
        """Share of the label edges that have a depth edge."""
        return sum(row.with_depth for row in self.rows) / max(1, self.label_edges)

    @property
    def with_label(self) -> float:
        """Share of the depth edges that have a label edge."""
        return sum(row.with_label for row in self.rows) / max(1, self.depth_edges)

    def row(self, *classes: str) -> PairRow:
        """The row of two classes, in any order, or of one."""
        wanted = sorted(classes if len(classes) == 2 else classes * 2)
        for row in self.rows:
            if sorted(row.classes) == wanted:
                return row
        raise InputError(f"no border between {' and '.join(classes)} in these frames")

    def flat(self, *, at_most: float = 0.2) -> tuple[PairRow, ...]:
        """The pairs of classes of which at most such a share of the label edges has a depth edge."""
        return tuple(row for row in self.rows if row.label_edges and row.share_with_depth <= at_most)


@dataclass
class _Tally:
    """Counts by pair of classes, and over all borders."""

    classes: int
    pairs: Tensor = field(init=False)  # [4, k * k]: label edges, with depth; depth edges, with label
    everywhere: int = 0
    near_depth: int = 0
    near_label: int = 0
    plain: int = 0
    slanted: int = 0

    def __post_init__(self) -> None:
        self.pairs = torch.zeros(4, self.classes**2, dtype=torch.int64)

    def add(self, labels: Tensor, depth: Tensor, radius: int, threshold: float) -> None:
        by_label, by_depth = label_edges(labels), depth_edges(depth, threshold=threshold)
        with_depth = by_label.near(by_depth.pixels(), radius)
        with_label = by_depth.near(by_label.pixels(), radius)
        for place, chosen in enumerate((by_label, with_depth, by_depth, with_label)):
            self.pairs[place] += self._by_pair(labels, chosen)
        every = by_label | ~by_label
        self.everywhere += every.count()
        self.near_depth += every.near(by_depth.pixels(), radius).count()
        self.near_label += every.near(by_label.pixels(), radius).count()
        plain = plain_depth_edges(depth, threshold=threshold)
        self.plain += plain.count()
        self.slanted += (plain & ~by_depth).count()

    def _by_pair(self, labels: Tensor, chosen: Borders) -> Tensor:
        sides = (
            (labels[:, :, :-1][chosen.across], labels[:, :, 1:][chosen.across]),
            (labels[:, :-1][chosen.down], labels[:, 1:][chosen.down]),
        )
        one, other = (torch.cat(side) for side in zip(*sides, strict=True))
        known = (one != IGNORE) & (other != IGNORE)
        low, high = torch.minimum(one, other)[known], torch.maximum(one, other)[known]
        return torch.bincount(low * self.classes + high, minlength=self.classes**2)


def depth_edge_study(videos: Videos, *, radius: int = RADIUS, threshold: float = THRESHOLD, step: int = 1) -> EdgeStudy:
    """Count the edges of every `step`-th frame of videos with labels and depth, by pairs of classes."""
    missing = sorted({"label", "depth"} - videos.has)
    if missing:
        raise InputError(
            f"the study needs labels and depth, {videos.info.name!r} has no {', '.join(missing)}",
            hint="rooms has both",
        )
    names = videos.info.classes
    tally, frames = _Tally(len(names)), 0
    for video in videos.names:
        clip = videos.clip(video, step=step)
        assert clip.label is not None and clip.depth is not None
        tally.add(clip.label, clip.depth, radius, threshold)
        frames += len(clip)
    return EdgeStudy(
        rows=_rows(tally.pairs, names),
        frames=frames,
        radius=radius,
        threshold=threshold,
        chance_depth=tally.near_depth / tally.everywhere,
        chance_label=tally.near_label / tally.everywhere,
        slant_share=tally.slanted / max(1, tally.plain),
    )


def _rows(pairs: Int64[Tensor, "4 kk"], names: Sequence[str]) -> tuple[PairRow, ...]:
    found = [int(i) for i in (pairs.sum(dim=0) > 0).nonzero()]
    rows = [PairRow((names[i // len(names)], names[i % len(names)]), *map(int, pairs[:, i])) for i in found]
    return tuple(sorted(rows, key=lambda row: (-row.label_edges, -row.depth_edges, row.classes)))


def _jumps(near: Float[Tensor, "b h w"], threshold: float) -> Bool[Tensor, "b h v"]:
    """Jumps of the inverse depth along the last axis; NaN is unknown, and no jump."""
    change = near.diff(dim=-1)
    # The change that the surface before a border would bring if it went on, and the one behind it; where the picture
    # ends, or the depth is unknown, no such change speaks against a jump.
    before = F.pad(change[..., :-1], (1, 0), value=torch.nan)
    after = F.pad(change[..., 1:], (0, 1), value=torch.nan)
    unexplained = [torch.where(other.isnan(), torch.inf, (change - other).abs()) for other in (before, after)]
    least = torch.minimum(change.abs(), torch.minimum(*unexplained))
    return least > threshold * torch.minimum(near[..., :-1], near[..., 1:])
