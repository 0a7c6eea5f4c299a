"""How well classes lie apart in a feature space: numbers for an embedding before and after a contrastive loss."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.losses.pixel_samples import pixel_rows


@dataclass(frozen=True)
class Separation:
    """Cosines within and between classes, and what follows from them; per class, NaN where it cannot be said."""

    within: float  # mean cosine of two different pixels of one class; classes weigh alike
    between: float  # mean cosine of two pixels of different classes; classes weigh alike
    silhouette: float  # -1..1, mean over pixels: is the own class nearer (on average) than the next one?
    centroid_accuracy: float  # share of pixels nearest to the centroid of their own class, itself left out of it
    classes: Int64[Tensor, " c"]  # the ids that occur
    within_class: Float[Tensor, " c"]  # NaN: a class of one pixel
    between_class: Float[Tensor, " c"]
    support: int  # pixels

    @property
    def ratio(self) -> float:
        """Mean distance (1 - cosine) within over that between: 0 perfect, 1 nothing apart, NaN all alike.

        Compare this rather than the cosines: a part that all features share raises both, and a net is free in it.
        """
        return (1 - self.within) / (1 - self.between) if self.between < 1 - 1e-12 else math.nan


@dataclass(frozen=True)
class CentroidScore:
    """Pixels that lie nearest to the centroid of their own class."""

    value: float  # share of them
    support: int  # pixels counted
    map: Float[Tensor, "*pixels"]  # 1 right, 0 wrong, NaN not counted


def class_separation(
    features: Float[Tensor, "b d h w"] | Float[Tensor, "n d"],
    labels: Int64[Tensor, "b h w"] | Int64[Tensor, " n"],
    *,
    ignore_index: int = 255,
) -> Separation:
    """Measure how well the features, brought to unit length, separate the labelled pixels by class.

    Exact over all pairs of pixels, with the time of one pass: the mean cosine to a class is the product with the
    class's mean. The distance of the silhouette (Rousseeuw 1987) is 1 - cosine; a pixel alone in its class has
    silhouette 0, and counts in no accuracy. Neighbouring pixels look alike, so that leaving out a pixel itself hardly
    makes the accuracy one on unseen data: `centroid_accuracy` compares frames. Features of length 0 stay so.

    Raises InputError unless there are two classes, one of them with two pixels.
    """
    units, ids = _units("features", features, "labels", labels, ignore_index)
    classes, place, counts = torch.unique(ids, return_inverse=True, return_counts=True)
    if len(classes) < 2 or int(counts.max()) < 2:
        raise InputError(
            f"separation needs two classes, one of them with two pixels, got {len(ids)} labelled pixels "
            f"of {len(classes)} classes"
        )
    n = counts.to(units.dtype)
    sums = units.new_zeros(len(classes), units.shape[1]).index_add_(0, place, units)
    lengths = (units * units).sum(dim=1)  # 1, or 0
    products = sums @ sums.T
    own = (products.diagonal() - n.new_zeros(len(n)).index_add_(0, place, lengths)) / (n * (n - 1))
    others = (products.sum(dim=1) - products.diagonal()) / (n * (n.sum() - n))

    # Mean cosine of each pixel to each class; to its own, over the class's other pixels.
    to_class = units @ (sums / n[:, None]).T
    mine = place[:, None] == torch.arange(len(n), device=ids.device)
    rest = n[place] - 1
    to_own = ((to_class * n).gather(1, place[:, None])[:, 0] - lengths) / rest
    a, b = 1 - to_own, 1 - to_class.masked_fill(mine, -torch.inf).amax(dim=1)
    spread = torch.maximum(a, b)
    silhouettes = torch.where((rest > 0) & (spread > 0), (b - a) / spread, 0.0)

    # The nearest centroid by cosine: a pixel's own class without the pixel.
    to_centroid = to_class / _length(sums / n[:, None])[:, 0]
    left = sums[place] - units
    own_centroid = (left * units).sum(dim=1) / _length(left)[:, 0]
    nearest = own_centroid > to_centroid.masked_fill(mine, -torch.inf).amax(dim=1)
    return Separation(
        within=float(own[counts > 1].mean()),
        between=float(others.mean()),
        silhouette=float(silhouettes.mean()),
        centroid_accuracy=float(nearest[rest > 0].to(units.dtype).mean()),
        classes=classes,
        within_class=torch.where(counts > 1, own, torch.nan),
        between_class=others,
        support=len(ids),
    )


def centroid_accuracy(
    features: Float[Tensor, "b d h w"] | Float[Tensor, "n d"],
    labels: Int64[Tensor, "b h w"] | Int64[Tensor, " n"],
    reference: Float[Tensor, "b2 d h2 w2"] | Float[Tensor, "m d"],
    labels_reference: Int64[Tensor, "b2 h2 w2"] | Int64[Tensor, " m"],
    *,
    ignore_index: int = 255,
) -> CentroidScore:
    """Share of pixels whose nearest class centroid (by cosine) in the reference frames is that of their own class.

    With frame t as the reference and frame t+k to be judged: do the classes stay where they were, when what surrounds
    them has changed? A class that the reference lacks does not count.

    Raises InputError if no class of the reference occurs.
    """
    units, ids = _units("reference", reference, "labels_reference", labels_reference, ignore_index)
    classes, place = torch.unique(ids, return_inverse=True)
    centroids = units.new_zeros(len(classes), units.shape[1]).index_add_(0, place, units)
    rows, flat = pixel_rows("features", features, "labels", labels)
    if rows.shape[2] != units.shape[1]:
        raise InputError(f"features and reference must have as many channels, got {rows.shape[2]}, {units.shape[1]}")
    known = torch.isin(flat.flatten(), classes)
    if not bool(known.any()):
        raise InputError("no pixel counts: none of the classes of the reference occurs in labels")
    judged = rows.flatten(0, 1)[known].detach().to(units.dtype)
    nearest = classes[(judged @ (centroids / _length(centroids)).T).argmax(dim=1)]
    right = torch.full(known.shape, torch.nan, device=known.device)
    right[known] = (nearest == flat.flatten()[known]).float()
    return CentroidScore(float(right[known].double().mean()), int(known.sum()), right.reshape(labels.shape))


def _units(
    name: str, features: Tensor, labels_name: str, labels: Tensor, ignore_index: int
) -> tuple[Float[Tensor, "n d"], Int64[Tensor, " n"]]:
    """The labelled pixels' features, of length 1 and in float64 (sums over all pairs cancel), and their labels."""
    rows, ids = pixel_rows(name, features, labels_name, labels)
    usable = ids.flatten() != ignore_index
    if not bool(usable.any()):
        raise InputError(f"no labelled pixel: all {labels_name} are {ignore_index}")
    chosen = rows.flatten(0, 1)[usable].detach().double()
    return chosen / _length(chosen), ids.flatten()[usable]


def _length(features: Float[Tensor, "n d"]) -> Float[Tensor, "n 1"]:
    """Lengths to divide by: 1 where there is none."""
    length = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return torch.where(length > 0, length, torch.ones_like(length))
