"""Boundary refinement: labels whose edges follow those of the image, by a guided filter.

The usual other way is a dense CRF (Kraehenbuehl and Koltun 2011). It is not here: pydensecrf, the library that papers
use, does not build beside this kit's packages, and we know of no maintained one that takes its place.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.filters.confidence import confidence_weights
from stc_lab.filters.guided import guided_filter_3d
from stc_lab.geometry.checks import expect_labels


def refine_labels(
    probabilities: Float[Tensor, "t k h w"],
    guide: Float[Tensor, "t c h w"],
    *,
    radius: int = 8,
    eps: float = 1e-4,
    temporal_radius: int = 0,
    weighted: bool = True,
    within: int | None = None,
) -> Int64[Tensor, "t h w"]:
    """The most likely class after a guided filter: class boundaries drawn to the edges of the guide.

    As Azulay et al. 2021, Section 5.4: each class's probabilities are filtered alone, after softmax and before argmax,
    weighted by `confidence_weights` unless `weighted=False`; of equal classes the lowest. `temporal_radius` > 0 takes
    the frames as one clip (`guided_filter_3d`), 0 each for itself. `within` (px) keeps every label that lies further
    than so from a boundary between unrefined ones. Radius and eps have the units of `guided_filter`.
    """
    weights = confidence_weights(probabilities) if weighted else None
    filtered = guided_filter_3d(
        guide, probabilities, radius=radius, temporal_radius=temporal_radius, eps=eps, weights=weights
    )
    refined = filtered.argmax(dim=1)
    if within is None:
        return refined
    before = probabilities.argmax(dim=1)
    return torch.where(_near_boundaries(before, within), refined, before)


def _near_boundaries(labels: Int64[Tensor, "b h w"], distance: int) -> Bool[Tensor, "b h w"]:
    """Which pixels have another label than their own within a square of so many px to each side."""
    expect_labels("labels", labels)
    if distance < 1:
        raise InputError(f"the distance to a boundary must be at least 1 px, got {distance}")
    side = 2 * distance + 1
    # Ids below 2^24 are exact in float32; the border, which pads with -inf, is no boundary.
    values = labels.float()[:, None]
    highest = F.max_pool2d(F.max_pool2d(values, (side, 1), 1, (distance, 0)), (1, side), 1, (0, distance))
    lowest = -F.max_pool2d(F.max_pool2d(-values, (side, 1), 1, (distance, 0)), (1, side), 1, (0, distance))
    return (highest != lowest)[:, 0]
