"""What a filter changed: pixels mended, spoilt, and wrong both times, over the faded image."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.palette import Palette
from stc_lab.plots.panels import Panel, verdict_panel

CHANGES = Palette(
    ("unchanged", "mended", "spoilt", "changed, wrong both times"), ("#ffffff", "#0072b2", "#d55e00", "#f0e442")
)


def change_map(
    before: Int64[Tensor, "*b h w"],
    after: Int64[Tensor, "*b h w"],
    truth: Int64[Tensor, "*b h w"],
    *,
    ignore_index: int = 255,
) -> Int64[Tensor, "*b h w"]:
    """0 where labels stay (or the truth ignores), 1 wrong to right, 2 right to wrong, 3 wrong to wrong."""
    if not before.shape == after.shape == truth.shape:
        raise InputError(
            f"before, after and truth must have one shape, got {list(before.shape)}, {list(after.shape)} "
            f"and {list(truth.shape)}"
        )
    kind = torch.full_like(before, 3)
    kind[after == truth] = 1
    kind[before == truth] = 2
    kind[(before == after) | (truth == ignore_index)] = 0
    return kind


def change_panel(
    before: Int64[Tensor, "h w"],
    after: Int64[Tensor, "h w"],
    truth: Int64[Tensor, "h w"],
    image: Float[Tensor, "3 h w"],
    title: str = "what changed",
) -> Panel:
    """The changes in colours over the image, with the numbers of pixels mended and spoilt."""
    kind = change_map(before, after, truth)
    mended, spoilt, other = (int((kind == i).sum()) for i in (1, 2, 3))
    caption = f"blue: {mended} px mended, orange: {spoilt} spoilt; yellow: {other} wrong both times"
    drawn = verdict_panel(kind, CHANGES, title, caption, over=image)
    # Its colours stand in the caption: in a legend they would mingle with the classes.
    return replace(drawn, palette=None, classes=())
