"""Panels: one picture with its title, caption, legend and colour bar each, built from tensors of a single frame."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.marks import Mark, draw_marks
from stc_lab.plots.palette import Palette, Scale
from stc_lab.plots.pictures import depth_rgb, encode, faded, hatch, image_rgb, tint, value_rgb

MARK_COLOUR = "#d55e00"  # what a mask points at


@dataclass(frozen=True)
class Panel:
    """A picture and everything that must stand beside it."""

    rgb: UInt8[np.ndarray, "h w 3"]
    title: str
    caption: str = ""
    hidden: Bool[np.ndarray, "h w"] | None = None  # True: hatched, nothing was seen there
    palette: Palette | None = None
    classes: tuple[int, ...] = ()  # class ids that occur, for the legend
    scale: Scale | None = None  # for the colour bar
    photo: bool = False
    marks: tuple[Mark, ...] = ()  # drawn over everything

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the data, not of the screen."""
        return self.rgb.shape[0], self.rgb.shape[1]

    def enlargement(self, width: int) -> int:
        """The integer factor that brings the picture to at least `width` screen pixels."""
        return max(1, math.ceil(width / self.rgb.shape[1]))

    def drawn(self, factor: int) -> UInt8[np.ndarray, "H W 3"]:
        """The pixels as shown, each a block of `factor` x `factor`."""
        hidden = np.zeros(self.size, dtype=bool) if self.hidden is None else self.hidden
        return draw_marks(hatch(self.rgb, hidden, factor=factor), self.marks, factor)

    def encoded(self, factor: int) -> bytes:
        """PNG (or JPEG, for large photographs) of `drawn`."""
        return encode(self.drawn(factor), photo=self.photo and self.hidden is None)


def image_panel(
    image: Float[Tensor, "3 h w"], title: str, caption: str = "", *, visible: Bool[Tensor, "h w"] | None = None
) -> Panel:
    """An RGB image in [0, 1]; pixels that are not `visible` are hatched."""
    return Panel(image_rgb(image), title, caption, hidden=_hidden(visible), photo=True)


def grey_panel(image: Float[Tensor, "3 h w"], title: str = "", caption: str = "") -> Panel:
    """An RGB image in light greys: a ground on which colours stand out."""
    return Panel(faded(image_rgb(image)), title, caption)


def label_panel(
    label: Int64[Tensor, "h w"],
    palette: Palette,
    title: str,
    caption: str = "",
    *,
    visible: Bool[Tensor, "h w"] | None = None,
) -> Panel:
    """A label map in class colours; pixels that are not `visible` are hatched and not in the legend."""
    shown = label if visible is None else torch.where(visible, label, torch.full_like(label, palette.ignore_index))
    return Panel(
        palette.rgb(shown), title, caption, hidden=_hidden(visible), palette=palette, classes=palette.present(shown)
    )


def verdict_panel(
    verdict: Int64[Tensor, "h w"],
    palette: Palette,
    title: str,
    caption: str = "",
    *,
    over: Float[Tensor, "3 h w"],
) -> Panel:
    """What was found at each pixel, in colours over a faded image; class 0, where nothing is to be said, shows it."""
    rgb = np.where((verdict > 0).cpu().numpy()[..., None], palette.rgb(verdict), grey_panel(over).rgb)
    found = tuple(i for i in palette.present(verdict) if i > 0)
    return Panel(rgb, title, caption, palette=palette, classes=found)


def depth_panel(
    depth: Float[Tensor, "h w"],
    title: str,
    caption: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    visible: Bool[Tensor, "h w"] | None = None,
) -> Panel:
    """z-depth (m); unknown depth is grey. Give the same `low` and `high` to panels that are to be compared."""
    known = depth[torch.isfinite(depth) & (depth > 0)]
    if len(known) == 0:
        raise InputError("depth is nowhere known, so there is nothing to draw", hint="0 and non-finite mean unknown")
    low = float(known.min()) if low is None else low
    high = float(known.max()) if high is None else high
    scale = Scale("depth (m)", low, high if high > low else low + 1.0)
    return Panel(depth_rgb(depth, scale), title, caption, hidden=_hidden(visible), scale=scale)


def value_panel(
    value: Float[Tensor, "h w"],
    quantity: str,
    title: str,
    caption: str = "",
    *,
    low: float = 0.0,
    high: float | None = None,
    visible: Bool[Tensor, "h w"] | None = None,
    colours: str = "cividis",
) -> Panel:
    """An error or another measured value; `quantity` names it with its unit on the colour bar."""
    usable = torch.isfinite(value) if visible is None else visible & torch.isfinite(value)
    if high is None:
        high = float(value[usable].max()) if bool(usable.any()) else low + 1.0
    scale = Scale(quantity, low, high if high > low else low + 1.0, colours)
    return Panel(value_rgb(value, scale), title, caption, hidden=_hidden(usable), scale=scale)


def mask_panel(
    mask: Bool[Tensor, "h w"],
    title: str,
    caption: str = "",
    *,
    over: Panel | None = None,
    visible: Bool[Tensor, "h w"] | None = None,
    colour: str = MARK_COLOUR,
) -> Panel:
    """Pixels where `mask` is True in `colour`, laid over the picture of another panel or over light grey."""
    if over is None:
        ground = np.full((*mask.shape, 3), 238, dtype=np.uint8)
        return Panel(tint(ground, mask, colour, 1.0), title, caption, hidden=_hidden(visible))
    if over.size != tuple(mask.shape):
        raise InputError(f"mask is {list(mask.shape)} px, but the picture under it is {list(over.size)} px")
    return Panel(tint(over.rgb, mask, colour), title, caption, hidden=_hidden(visible))


def _hidden(visible: Bool[Tensor, "h w"] | None) -> Bool[np.ndarray, "h w"] | None:
    if visible is None or bool(visible.all()):
        return None
    return ~visible.cpu().numpy()
