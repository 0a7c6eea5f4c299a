"""What L_p and L_h press on: where their value lies, how it grows with the classes, and what the depth tells them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.depth_edge_study import RADIUS, THRESHOLD, depth_edges, label_edges, widened
from stc_lab.losses import edge_loss_h, edge_loss_p
from stc_lab.models import DepthNet

NOISE = 0.02  # of the depth, standard deviation
BLUR = 2.0  # px, of a Gaussian

# The three places that a depth-edge loss should tell apart: it is meant to spare the first and to press on the last.
WITH, WITHOUT, INSIDE = PLACES = ("label edge, depth edge", "label edge, no depth edge", "inside a class")


@dataclass(frozen=True)
class DepthSteps:
    """|dD| (in the unit of the depth) of every border between pixels, by what the truth has there."""

    by_place: Mapping[str, Float[Tensor, " n"]]  # by `PLACES`
    mean: float  # depth, of all frames

    def weights(self, scale: float = 1.0) -> dict[str, float]:
        """The mean of e^-|dD| at each place, with the depth multiplied by `scale`, as another unit would."""
        return {place: float((-scale * steps).exp().mean()) for place, steps in self.by_place.items()}

    def told_apart(self, place: str = WITHOUT) -> float:
        """How often |dD| is larger at a label edge with a depth edge than at `place`: 1 always, 0.5 by chance.

        The area under the ROC curve, ties counted half. No unit changes it.
        """
        here, there = self.by_place[WITH], self.by_place[place].sort().values
        below, upto = torch.searchsorted(there, here), torch.searchsorted(there, here, right=True)
        return float((below + upto).double().mean() / 2 / len(there))


def depth_steps(
    labels: Int64[Tensor, "b h w"],
    depth: Float[Tensor, "b 1 h w"],
    *,
    truth: Float[Tensor, "b 1 h w"] | None = None,
    radius: int = RADIUS,
    threshold: float = THRESHOLD,
) -> DepthSteps:
    """|dD| of `depth` at the three places, which true labels and true depth tell (by default `depth` itself).

    A border inside a class with a depth edge within the radius is at none of them.
    """
    exact = depth if truth is None else truth
    if exact.shape != depth.shape:
        raise InputError(f"truth must have the shape of depth, {list(depth.shape)}, got {list(exact.shape)}")
    by_label, near_depth = label_edges(labels), depth_edges(exact, threshold=threshold).pixels()
    close = (by_label | ~by_label).near(near_depth, radius)
    places = {WITH: by_label & close, WITHOUT: by_label & ~close, INSIDE: ~by_label & ~close}
    steps = depth[:, 0].diff(dim=2).abs(), depth[:, 0].diff(dim=1).abs()
    found = {name: torch.cat([steps[0][b.across], steps[1][b.down]]) for name, b in places.items()}
    empty = [name for name, values in found.items() if not len(values)]
    if empty:
        raise InputError(f"these frames have no border of the kind {empty[0]!r}", hint="more frames, or other ones")
    return DepthSteps(found, float(depth.mean()))


def loss_shares(
    loss_map: Float[Tensor, "b h w"],
    labels: Int64[Tensor, "b h w"],
    depth: Float[Tensor, "b 1 h w"],
    *,
    radius: int = RADIUS,
    threshold: float = THRESHOLD,
) -> dict[str, float]:
    """Which share of a loss lies at each of `PLACES`; each pixel belongs to the first that is within `radius` px.

    The truth tells the places. What lies inside a class is what a right prediction would not pay.
    """
    by_label, by_depth = label_edges(labels), depth_edges(depth, threshold=threshold)
    both = by_label.near(by_depth.pixels(), radius)
    left = torch.ones_like(labels, dtype=torch.bool)
    shares, total = {}, float(loss_map.sum())
    for name, edges in ((WITH, both), (WITHOUT, by_label & ~both)):
        here = widened(edges.pixels(), radius) & left
        shares[name] = float(loss_map[here].sum()) / total
        left = left & ~here
    return {**shares, INSIDE: float(loss_map[left].sum()) / total}


@dataclass(frozen=True)
class ClassGrowth:
    """L_p and L_h over the number of classes."""

    classes: tuple[int, ...]
    per_class: tuple[float, ...]  # L_p, means over draws
    holistic: tuple[float, ...]  # L_h

    @property
    def ratio(self) -> tuple[float, ...]:
        """L_p / L_h: 2 where probability only passes from one class to another, and never more than the classes."""
        return tuple(p / h for p, h in zip(self.per_class, self.holistic, strict=True))


def growth_with_classes(
    probabilities: Float[Tensor, "b k h w"],
    depth: Float[Tensor, "b 1 h w"],
    counts: Sequence[int] = (2, 4, 7, 11, 16, 21),
    *,
    draws: int = 8,
    seed: int = 0,
) -> ClassGrowth:
    """The losses of one prediction whose classes are merged at random into so many groups of nearly equal size."""
    k = probabilities.shape[1]
    if not counts or min(counts) < 2 or max(counts) > k:
        raise InputError(f"counts must lie between 2 and the {k} classes of the prediction, got {list(counts)}")
    generator = torch.Generator().manual_seed(seed)
    found = []
    for count in counts:
        losses = []
        for _ in range(1 if count == k else draws):
            merged = merge_classes(probabilities, count, generator)
            losses.append((float(edge_loss_p(merged, depth).total), float(edge_loss_h(merged, depth).total)))
        found.append(torch.tensor(losses, dtype=torch.float64).mean(dim=0).tolist())
    return ClassGrowth(tuple(counts), *(tuple(values) for values in zip(*found, strict=True)))


def merge_classes(
    probabilities: Float[Tensor, "b k h w"], groups: int, generator: torch.Generator
) -> Float[Tensor, "b g h w"]:
    """The probabilities of random groups of classes, each of k / groups, rounded."""
    b, k, h, w = probabilities.shape
    group = torch.empty(k, dtype=torch.int64)
    group[torch.randperm(k, generator=generator)] = torch.arange(k) % groups
    merged = torch.zeros(b, groups, h, w, dtype=probabilities.dtype, device=probabilities.device)
    return merged.index_add(1, group.to(probabilities.device), probabilities)


def depth_variants(
    clip: Clip, *, noise: float = NOISE, blur: float = BLUR, net: DepthNet | None = None, seed: int = 0
) -> dict[str, Float[Tensor, "t 1 h w"]]:
    """The clip's exact depth and what one has in its place: noisy, blurred, and that of a net, by name.

    The noise is a share of the depth; that of the net is `net_depth`.
    """
    from kornia.filters import gaussian_blur2d  # takes seconds to import

    clip.require("depth")
    depth = clip.depth
    assert depth is not None
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(depth.shape, generator=generator, dtype=depth.dtype).to(depth.device)
    side = 2 * int(2 * blur + 0.5) + 1
    variants = {
        "exact": depth,
        f"noise {100 * noise:g} %": depth * (1 + noise * draws).clamp(min=0.1),
        f"blur {blur:g} px": gaussian_blur2d(depth, (side, side), (blur, blur)),
    }
    if net is not None:
        variants["a net's"] = net_depth(net, clip)
    return variants


def net_depth(net: DepthNet, clip: Clip) -> Float[Tensor, "t 1 h w"]:
    """A net's depth of the frames, its unknown unit made metres: the median of each frame is the true one."""
    clip.require("depth")
    assert clip.depth is not None
    with torch.no_grad():
        found = net(clip.image)
    factor = clip.depth.flatten(1).median(dim=1).values / found.flatten(1).median(dim=1).values
    return found * factor[:, None, None, None]
