"""Which pixels of a label map enter a loss on features: on a coarser grid, one row per pixel, balanced over classes."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError


def labels_on_grid(
    labels: Int64[Tensor, "b h w"], size: tuple[int, int], *, pick: Literal["first", "centre"] = "first"
) -> Int64[Tensor, "b hs ws"]:
    """Labels at the resolution `size` (height, width) of a feature map, one pixel picked for each; ids never mix.

    "first" takes pixel floor(i n / m): the top-left one of each cell, as `F.interpolate(mode="nearest")` does and with
    it the public code of pixel contrast. It fits features whose pixel i is centred on image pixel s i, as strided
    convolutions with padding make them, and is `labels[..., ::s, ::s]` where s divides the size; for `Segmenter.coarse`
    take that itself. "centre" takes floor((i + 1/2) n / m), for features that average their cell (pooling, patches,
    resizing with `align_corners=False`). The wrong one shifts all labels by about half a cell.
    """
    if pick not in ("first", "centre"):
        raise InputError(f"pick must be 'first' or 'centre', got {pick!r}")
    h, w = labels.shape[-2:]
    if len(size) != 2 or not (1 <= size[0] <= h and 1 <= size[1] <= w):
        raise InputError(
            f"size must be (height, width) from 1 x 1 to the {h} x {w} px of the labels, got {tuple(size)}",
            hint="labels are picked for a coarser grid, never stretched to a finer one",
        )
    rows, columns = (
        # in integers: no rounding error decides
        torch.div((2 * torch.arange(m, device=labels.device) + (pick == "centre")) * n, 2 * m, rounding_mode="floor")
        for n, m in ((h, size[0]), (w, size[1]))
    )
    return labels[..., rows[:, None], columns]


def class_balanced_sample(
    labels: Int64[Tensor, "*pixels"], count: int, generator: torch.Generator, *, ignore_index: int = 255
) -> Int64[Tensor, " m"]:
    """Indices, into `labels.flatten()`, of `count` pixels spread over the classes as evenly as their sizes allow.

    Every class gets the same number; one that has fewer gives all it has, and the others share what it leaves. Pixels
    of `ignore_index` are never drawn; if fewer than `count` others exist, all of them are. The order is random.
    Raises InputError if all pixels are ignored.
    """
    if count < 1:
        raise InputError(f"count must be at least 1 pixel, got {count}")
    flat = labels.flatten()
    usable = (flat != ignore_index).nonzero()[:, 0]
    if len(usable) == 0:
        raise InputError(
            f"no pixel to draw: all {len(flat)} labels are {ignore_index}",
            hint="an unlabelled frame, or pseudo-labels whose threshold keeps nothing",
        )
    drawn = torch.randperm(len(usable), generator=generator, device=generator.device).to(labels.device)
    shuffled = usable[drawn]
    # The pixels of a class in random order: its k-th one is drawn before any k+1-th of another class.
    by_class = torch.sort(flat[shuffled], stable=True)
    _, sizes = torch.unique_consecutive(by_class.values, return_counts=True)
    starts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    turn = torch.empty_like(usable)
    turn[by_class.indices] = torch.arange(len(usable), device=labels.device) - starts
    last = _last_turn(sizes, min(count, len(usable)))
    certain = shuffled[turn < last]
    chance = shuffled[turn == last]  # in random order: which classes get one more is left to chance
    return torch.cat([certain, chance[: count - len(certain)]])


def _last_turn(sizes: Tensor, count: int) -> int:
    """The number of whole turns, one pixel of each class that still has one, that fit into `count`."""
    ordered = sizes.sort().values.tolist()
    given, turns = 0, 0
    for position, size in enumerate(ordered):
        classes = len(ordered) - position
        whole = min(size - turns, (count - given) // classes)
        given, turns = given + whole * classes, turns + whole
        if turns < size:
            break
    return turns


def pixel_rows(
    name: str,
    features: Float[Tensor, "b d h w"] | Float[Tensor, "n d"],
    labels_name: str,
    labels: Int64[Tensor, "b h w"] | Int64[Tensor, " n"],
) -> tuple[Float[Tensor, "b n d"], Int64[Tensor, "b n"]]:
    """Features and labels with one row per pixel; a list of pixels is a batch of one.

    Raises InputError unless each pixel has one feature and one label.
    """
    fits = (
        (features.ndim == 2 and labels.shape == features.shape[:1])
        or (features.ndim == 4 and labels.shape == (len(features), *features.shape[2:]))
    ) and features.numel() > 0
    if not fits or not features.is_floating_point() or labels.dtype != torch.int64:
        raise InputError(
            f"{name} must be floating point [b, d, h, w] with {labels_name} int64 [b, h, w], or [n, d] with [n], "
            f"got {features.dtype} {list(features.shape)} with {labels.dtype} {list(labels.shape)}",
            hint="labels of the full image beside coarse features: labels_on_grid(labels, features.shape[-2:])",
        )
    if features.device != labels.device:
        raise InputError(f"{name} and {labels_name} must lie on one device, got {features.device} and {labels.device}")
    if features.ndim == 2:
        return features[None], labels[None]
    return features.flatten(2).transpose(1, 2), labels.flatten(1)
