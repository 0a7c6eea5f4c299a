"""Two axes of a feature space on which a picture of it is drawn: PCA, or linear discriminants."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError

Method = Literal["pca", "lda"]


@dataclass(frozen=True)
class Projection2D:
    """A linear map of features to the plane; `apply` draws others, say those of another frame, on the same axes."""

    centre: Float[Tensor, " d"]
    axes: Float[Tensor, "d 2"]
    shares: Float[Tensor, " 2"]  # PCA: of the variance; LDA: of the separation (between over within)

    def apply(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
        """Places of the features in the plane."""
        if features.ndim != 2 or features.shape[1] != len(self.centre):
            raise InputError(f"features must be [n, {len(self.centre)}], got {list(features.shape)}")
        return (features.detach().to(self.centre) - self.centre) @ self.axes


def project_2d(
    features: Float[Tensor, "n d"], labels: Int64[Tensor, " n"] | None = None, *, method: Method = "pca"
) -> Projection2D:
    """Find the two axes along which features differ most ("pca"), or their classes do ("lda").

    PCA does not know the labels: where it shows clusters, there are some. LDA (Fisher's) maximises the variance between
    class means over that within classes, to which 0.1 % of its mean is added in every direction: it looks for the best
    view of the classes there is. So fit both pictures, before and after a training, in the same way, and LDA on pixels
    other than those shown if it is to prove anything.

    Axes have a fixed sign: their largest component is positive. Raises InputError for fewer than three features, or
    two for LDA's classes.
    """
    if method not in ("pca", "lda"):
        raise InputError(f"method must be 'pca' or 'lda', got {method!r}")
    if features.ndim != 2 or len(features) < 3 or features.shape[1] < 2 or not features.is_floating_point():
        raise InputError(
            f"features must be floating point [n, d], at least 3 x 2, got {features.dtype} {list(features.shape)}"
        )
    values = features.detach().double()
    centre = values.mean(dim=0)
    centred = values - centre
    if method == "pca":
        strength, axes = torch.linalg.eigh(centred.T @ centred)
    else:
        strength, axes = _discriminants(values, centred, labels)
    strength, axes = strength.clamp(min=0), axes[:, -2:].flip(1)
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    total = strength.sum()
    shares = torch.where(total > 0, strength[-2:].flip(0) / total, 0.0)
    return Projection2D(centre, axes * largest.sign(), shares)


def _discriminants(values: Tensor, centred: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Separations, rising, and directions (columns, not perpendicular) of Fisher's discriminants."""
    if labels is None or labels.shape != values.shape[:1]:
        raise InputError(f"lda needs labels, one for each of {len(values)} features")
    classes, place, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise InputError(f"lda needs at least two classes, got {len(classes)}")
    d = values.shape[1]
    means = values.new_zeros(len(classes), d).index_add_(0, place, values) / counts[:, None]
    deviation = values - means[place]
    within = deviation.T @ deviation
    between = centred.T @ centred - within
    # A little of the other scatter, for classes without any of their own; and of nothing, for features all alike.
    mean = within.diagonal().mean() + 1e-9 * between.diagonal().mean()
    within += torch.eye(d, dtype=values.dtype, device=values.device) * (1e-3 * mean).clamp(min=1e-100)
    root = torch.linalg.cholesky(within)
    half = torch.linalg.solve_triangular(root, between, upper=False)
    strength, rotated = torch.linalg.eigh(torch.linalg.solve_triangular(root, half.T, upper=False))
    directions = torch.linalg.solve_triangular(root.T, rotated, upper=True)
    return strength, directions / torch.linalg.vector_norm(directions, dim=0)
