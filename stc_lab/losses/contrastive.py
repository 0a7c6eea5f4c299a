"""The spatial-temporal consistency loss STCL, a contrast of pixels by class (He et al. 2021, Eq. 1 to 3)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.precision import working_dtype
from stc_lab.losses.contrastive_blocks import ContrastiveSum, class_segments
from stc_lab.losses.contrastive_pools import Frames, Pool

Learning = Literal["both", "t", "other"]


@dataclass(frozen=True)
class ContrastiveLoss:
    """Eq. 2 and what it rests on."""

    total: Float[Tensor, ""]  # mean of L(i) over the anchors: what to minimise
    anchors: int  # pixels of frame t that are averaged
    skipped: int  # labelled pixels of frame t without any positive, left out of the mean
    map: Float[Tensor, "*pixels"]  # L(i) at each pixel of frame t, without gradient; NaN: no anchor


def contrastive_loss(
    features_t: Float[Tensor, "b d h w"] | Float[Tensor, "n d"],
    labels_t: Int64[Tensor, "b h w"] | Int64[Tensor, " n"],
    features_other: Float[Tensor, "b d h2 w2"] | Float[Tensor, "m d"] | None = None,
    labels_other: Int64[Tensor, "b h2 w2"] | Int64[Tensor, " m"] | None = None,
    *,
    temperature: float = 0.07,
    normalise: bool = True,
    gradient: Learning = "both",
    together: bool = False,
    ignore_index: int = 255,
    block: int | None = None,
) -> ContrastiveLoss:
    """STCL of frame t with frame t+k, all pairs of pixels (He et al. 2021, Eq. 1 and 2).

    L(i) = 1/|P_i| sum over p in P_i of -log(exp(i.p/tau) / (exp(i.p/tau) + sum over n in N_i of exp(i.n/tau)))

    Anchors i are the pixels of frame t alone. Positives (same label, without i itself) and negatives (another label)
    come from both frames. The denominator holds this one positive and all negatives; the other positives are not in it,
    as they are in the loss of SupCon (Khosla et al. 2020). Pixels of `ignore_index` are neither. An anchor without a
    positive is skipped, one without a negative has loss 0. Without a second frame, both come from frame t.

    The features are those of the projection head. The paper does not say whether they have unit length; we make it so
    (`normalise`), as the code it builds on does, and a feature of length 0 stays 0. Any scores are safe, also those of
    features left as they are. Half precision is computed in float32, also under autocast.

    Each pair of a batch is contrasted by itself, and the mean is over the anchors of all; `together` contrasts the
    pixels of all pairs with each other. `gradient` says which frames' features learn. `block` is the number of anchors
    worked on at once: time and memory depend on it, the value does not. Memory is that of the block and of a few copies
    of the features; time grows with the square of the pixels (see `sampled_contrastive_loss`). There is no second
    derivative.

    Raises InputError if no pixel of frame t has a positive.
    """
    frames = Frames.of(features_t, labels_t, features_other, labels_other, gradient=gradient, together=together)
    pools = (frames.pool(item) for item in range(len(frames)))
    return _mean_over_anchors(pools, frames, labels_t.shape, temperature, normalise, ignore_index, block)


def sampled_contrastive_loss(
    features_t: Float[Tensor, "b d h w"] | Float[Tensor, "n d"],
    labels_t: Int64[Tensor, "b h w"] | Int64[Tensor, " n"],
    features_other: Float[Tensor, "b d h2 w2"] | Float[Tensor, "m d"] | None = None,
    labels_other: Int64[Tensor, "b h2 w2"] | Int64[Tensor, " m"] | None = None,
    *,
    count: int,
    generator: torch.Generator,
    temperature: float = 0.07,
    normalise: bool = True,
    gradient: Learning = "both",
    together: bool = False,
    ignore_index: int = 255,
) -> ContrastiveLoss:
    """STCL on `count` pixels of each pair, half of them from either frame, balanced over the classes of each frame.

    The pixels come from `class_balanced_sample`, the loss of them is `contrastive_loss`; there stands what the other
    arguments mean. Fewer pixels are drawn from a frame that has fewer labels. Balancing changes what is estimated:
    classes weigh alike, not pixels. With `together` the pixels are drawn from the whole batch at once.

    Raises InputError if no drawn pixel of frame t has a positive.
    """
    if count < 2:
        raise InputError(f"count must be at least 2 pixels, an anchor and its positive, got {count}")
    frames = Frames.of(features_t, labels_t, features_other, labels_other, gradient=gradient, together=together)
    pools = (frames.sampled_pool(item, count, generator, ignore_index) for item in range(len(frames)))
    return _mean_over_anchors(pools, frames, labels_t.shape, temperature, normalise, ignore_index, None)


def _mean_over_anchors(
    pools: Iterable[Pool],
    frames: Frames,
    shape: torch.Size,
    temperature: float,
    normalise: bool,
    ignore_index: int,
    block: int | None,
) -> ContrastiveLoss:
    """Eq. 2 over the anchors of all pools."""
    if not temperature > 0:
        raise InputError(f"temperature must be positive, got {temperature}")
    if block is not None and block < 1:
        raise InputError(f"block must be at least 1 anchor, got {block}")
    dtype = working_dtype(frames.features_t, frames.features_other)
    losses = torch.full_like(frames.labels_t, torch.nan, dtype=dtype)
    sums, anchors, skipped = [], 0, 0
    for pool, row in zip(pools, losses, strict=True):
        order, classes, alone = class_segments(pool.labels, len(pool.places), ignore_index)
        skipped += alone
        if not classes:
            continue
        with torch.autocast(pool.features.device.type, enabled=False):
            features = pool.features.index_select(0, order).to(dtype)
            features = _unit_length(features) if normalise else features
            total, each = ContrastiveSum.apply(features, classes, temperature, block)
        row[pool.places[torch.cat([order[first:stop] for first, stop, _ in classes])]] = each
        sums.append(total)
        anchors += len(each)
    if not sums:
        raise InputError(
            f"no anchor: {skipped} pixels of frame t have a label, but none of them shares it with another pixel",
            hint=f"labels that are all {ignore_index}, or so few pixels that each class has only one",
        )
    return ContrastiveLoss(torch.stack(sums).sum() / anchors, anchors, skipped, losses.reshape(shape))


def _unit_length(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Features of length 1; one of length 0 stays as it is, and its gradient finite."""
    length = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / torch.where(length > 0, length, torch.ones_like(length))
