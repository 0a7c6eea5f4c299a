"""Where the names of points go, so that they lie neither on each other nor on the points."""

from collections.abc import Sequence

import numpy as np

_PLACES = {  # from the point to the middle of its name, in half widths and half heights of the name, and px aside
    "top center": (0, -1, 0, -6),
    "bottom center": (0, 1, 0, 6),
    "middle right": (1, 0, 7, 0),
    "middle left": (-1, 0, -7, 0),
    "top right": (1, -1, 3, -3),
    "top left": (-1, -1, -3, -3),
    "bottom right": (1, 1, 3, 3),
    "bottom left": (-1, 1, -3, 3),
}
_POINT = 10.0  # px


def name_places(
    x: Sequence[float], y: Sequence[float], names: Sequence[str], *, size: tuple[float, float], font: float
) -> list[str]:
    """The `textposition` of each point: greedily the place that covers least, by the order of the points.

    `x` and `y` are positions on the axes as drawn (take the logarithm first), `size` is that of the panel in px.
    """
    if not len(x):
        return []
    spots = np.stack([_pixels(x, size[0]), size[1] - _pixels(y, size[1])], axis=1)
    boxes = [_box(spot, (_POINT, _POINT)) for spot in spots]
    chosen = []
    for spot, name in zip(spots, names, strict=True):
        extent = 0.56 * font * len(name), 1.15 * font
        placed = {
            place: _box(spot + np.array([sx * extent[0] / 2 + dx, sy * extent[1] / 2 + dy]), extent)
            for place, (sx, sy, dx, dy) in _PLACES.items()
        }
        best = min(placed, key=lambda place: sum(_overlap(placed[place], box) for box in boxes))
        boxes.append(placed[best])
        chosen.append(best)
    return chosen


def _pixels(values: Sequence[float], extent: float) -> np.ndarray:
    """Positions in px; the axis leaves a twentieth free at both ends."""
    v = np.asarray(values, dtype=np.float64)
    span = np.ptp(v) or 1.0
    return np.asarray((0.05 + 0.9 * (v - v.min()) / span) * extent)


def _box(middle: np.ndarray, extent: tuple[float, float]) -> np.ndarray:
    half = np.array(extent) / 2
    return np.concatenate([middle - half, middle + half])


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(sides.clip(min=0).prod())
