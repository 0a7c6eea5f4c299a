"""The colours of the project: classes, series and measured values, the same in every figure.

The class colours were found by a random search that maximised the smallest CIEDE2000 distance under normal vision,
protanopia and deuteranopia, with twice the weight on pairs of frequent classes; `tests/plots/test_palette.py` holds
them to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.colours import Vision, lab, rgb_of_hex

IGNORE_COLOUR = "#000000"  # label 255: the truth says nothing here
UNKNOWN_COLOUR = "#c3c8d0"  # depth that no sensor knows
SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")  # Okabe-Ito

_ROOMS = {
    "background": "#443d35",
    "wall": "#dde6d7",
    "floor": "#6b3800",
    "ceiling": "#e7e9ff",
    "bed": "#010178",
    "sofa": "#ce734d",
    "chair": "#e49400",
    "table": "#8d6700",
    "desk": "#ab9982",
    "cabinet": "#045de0",
    "bookshelf": "#3f5c5e",
    "door": "#ffd100",
    "window": "#6cc9fd",
    "curtain": "#6e90f0",
    "picture": "#ec62a2",
    "lamp": "#f5ff92",
    "tv": "#440b34",
    "fridge": "#17abb3",
    "rug": "#3f1002",
    "plant": "#116f48",
    "pillow": "#fbb58d",
}
_CAMVID = {
    "sky": "#a2edff",
    "building": "#650300",
    "pole": "#d5fecf",
    "road": "#534559",
    "pavement": "#9592f4",
    "tree": "#3d8569",
    "sign": "#fff90e",
    "fence": "#e89739",
    "car": "#1139e7",
    "pedestrian": "#de1f00",
    "bicyclist": "#ff80a7",
}
_SYNONYMS = {"sidewalk": "pavement", "signsymbol": "sign", "sign symbol": "sign", "sign_symbol": "sign"}


@dataclass(frozen=True)
class Palette:
    """One colour for each class id, and one for what the truth ignores."""

    names: tuple[str, ...]
    colours: tuple[str, ...]  # '#rrggbb', by class id
    ignore_index: int = 255

    def __post_init__(self) -> None:
        if len(self.names) != len(self.colours):
            raise InputError(f"{len(self.names)} classes need as many colours, got {len(self.colours)}")

    def __len__(self) -> int:
        return len(self.names)

    def table(self) -> UInt8[np.ndarray, "256 3"]:
        """RGB by label id; ids that are neither a class nor ignored have the ignore colour too."""
        table = np.broadcast_to(rgb_of_hex((IGNORE_COLOUR,)), (256, 3)).copy()
        table[: len(self)] = rgb_of_hex(self.colours)
        table[self.ignore_index] = rgb_of_hex((IGNORE_COLOUR,))[0]
        return table

    def rgb(self, label: Int64[Tensor, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
        """The label map in colours."""
        self.present(label)
        return self.table()[label.detach().cpu().numpy()]

    def present(self, label: Int64[Tensor, "h w"]) -> tuple[int, ...]:
        """Class ids that occur in `label`, in the order of the classes; raises on ids that no class has."""
        ids = [int(i) for i in label.unique().tolist()]
        wrong = [i for i in ids if not (0 <= i < len(self) or i == self.ignore_index)]
        if wrong:
            raise InputError(
                f"label ids must lie in 0..{len(self) - 1} or be {self.ignore_index} (ignore), got {wrong}",
                hint="a palette of another data set, or label ids that were interpolated",
            )
        return tuple(i for i in ids if i < len(self))


@dataclass(frozen=True)
class Scale:
    """A range of measured values and the colours that stand for it: what a colour bar shows."""

    title: str  # quantity and unit, e.g. 'depth (m)'
    low: float
    high: float
    name: str = "viridis"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise InputError(f"{self.title}: a colour scale needs finite low < high, got {self.low}..{self.high}")

    @property
    def colours(self) -> tuple[str, ...]:
        return _sequential(self.name)

    def rgb(self, value: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
        """Colours of `value`, clipped to the range; NaN has the colour of the lowest value."""
        stops = rgb_of_hex(self.colours).astype(np.float64)
        share = np.nan_to_num((value - self.low) / (self.high - self.low), nan=0.0).clip(0, 1) * (len(stops) - 1)
        return np.stack(
            [np.interp(share, np.arange(len(stops)), stops[:, c]).round().astype(np.uint8) for c in range(3)], axis=-1
        )


@lru_cache
def _sequential(name: str) -> tuple[str, ...]:
    from plotly import colors

    stops = colors.get_colorscale(name)
    rgb = [colors.unlabel_rgb(c) if c.startswith("rgb") else colors.hex_to_rgb(c) for _, c in stops]
    return tuple("#{:02x}{:02x}{:02x}".format(*(int(v) for v in c)) for c in rgb)


def class_palette(names: Sequence[str], *, ignore_index: int = 255) -> Palette:
    """The palette of a data set by its class names: those of `rooms` and CamVid are fixed, others are spread apart."""
    known = [_SYNONYMS.get(n.lower(), n.lower()) for n in names]
    for table in (_ROOMS, _CAMVID):
        if len(set(known)) == len(known) and all(n in table for n in known):
            return Palette(tuple(names), tuple(table[n] for n in known), ignore_index)
    return Palette(tuple(names), spread_colours(len(names)), ignore_index)


@lru_cache
def spread_colours(count: int) -> tuple[str, ...]:
    """`count` colours, each as far as can be from those before it for normal, protanope and deuteranope eyes."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    views = np.stack([lab(candidates, vision) for vision in get_args(Vision)])
    ignore = np.stack([lab(rgb_of_hex((IGNORE_COLOUR,)), vision) for vision in get_args(Vision)])
    nearest = np.linalg.norm(views - ignore, axis=-1).min(axis=0)
    chosen = []
    for _ in range(count):
        best = int(nearest.argmax())
        chosen.append(best)
        nearest = np.minimum(nearest, np.linalg.norm(views - views[:, best, None], axis=-1).min(axis=0))
    return tuple("#{:02x}{:02x}{:02x}".format(*candidates[i]) for i in chosen)
