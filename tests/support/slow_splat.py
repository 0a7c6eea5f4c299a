"""The forward splat as its definition reads: every point thrown one by one, every target pixel settled one by one."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Point:
    """A source pixel in the target image."""

    x: float  # px
    y: float
    z: float  # m
    importance: float  # Z of the softmax
    value: np.ndarray  # c


def points_of(
    source: np.ndarray,
    depth: np.ndarray,
    K: np.ndarray,
    T: np.ndarray,
    K_target: np.ndarray,
    *,
    sharpness: float = 0.0,
    importance: np.ndarray | None = None,
) -> list[Point]:
    """The points of a source [c, h, w] whose depth [h, w] is known and that lie before the target camera."""
    points = []
    for y, x in np.ndindex(depth.shape):
        d = depth[y, x]
        if not (np.isfinite(d) and d > 0):
            continue
        X = T[:3, :3] @ (np.linalg.inv(K) @ np.array([x, y, 1.0]) * d) + T[:3, 3]
        if X[2] > 1e-3:
            u, v, _ = K_target @ (X / X[2])
            Z = -sharpness * math.log(X[2]) if importance is None else importance[y, x]
            points.append(Point(u, v, X[2], Z, source[:, y, x]))
    return points


def slow_splat(points: list[Point], channels: int, size: tuple[int, int], mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Image [c, h, w] and visibility [h, w]."""
    landed: dict[tuple[int, int], list[tuple[float, Point]]] = {}
    for point in points:
        for row in (math.floor(point.y), math.floor(point.y) + 1):
            for column in (math.floor(point.x), math.floor(point.x) + 1):
                if 0 <= row < size[0] and 0 <= column < size[1]:
                    share = (1 - abs(point.x - column)) * (1 - abs(point.y - row))
                    landed.setdefault((row, column), []).append((share, point))
    image, visible = np.zeros((channels, *size)), np.zeros(size, dtype=bool)
    for (row, column), there in landed.items():
        weights = {
            "sum": plain,
            "average": plain,
            "zbuffer": only_the_nearest_surface,
            "softmax": by_importance,
        }[mode](there)
        total = sum(weights)
        value = sum(weight * point.value for weight, (_, point) in zip(weights, there, strict=True))
        visible[row, column] = total >= 1e-3
        if mode == "sum":
            image[:, row, column] = value
        elif visible[row, column]:
            image[:, row, column] = value / total
    return image, visible


def plain(there: list[tuple[float, Point]]) -> list[float]:
    return [share for share, _ in there]


def only_the_nearest_surface(there: list[tuple[float, Point]]) -> list[float]:
    """Within 4 % and 2 cm of the nearest point that has a quarter of the pixel or, if none has, a thousandth."""
    covering = [point.z for share, point in there if share >= 0.25]
    covering = covering or [point.z for share, point in there if share >= 1e-3]
    if not covering:
        return [0.0 for _ in there]
    nearest = min(covering)
    return [share * (abs(point.z - nearest) < 0.04 * nearest + 0.02) for share, point in there]


def by_importance(there: list[tuple[float, Point]]) -> list[float]:
    """Share times e^Z, over its largest value; a share under a thousandth counts as no more important than the rest."""
    largest = max((point.importance for share, point in there if share >= 1e-3), default=math.inf)
    if largest == math.inf:
        return plain(there)
    return [share * math.exp(min(point.importance, largest) - largest) for share, point in there]


def nearest_labels(points: list[Point], size: tuple[int, int]) -> np.ndarray:
    """Label of the nearest point in each pixel, 255 where there is none; labels are the points' only channel."""
    label, depth = np.full(size, 255), np.full(size, np.inf)
    for point in points:
        row, column = round(point.y), round(point.x)  # to even, as NumPy and PyTorch round
        if 0 <= row < size[0] and 0 <= column < size[1] and point.z < depth[row, column]:
            label[row, column], depth[row, column] = point.value[0], point.z
    return label
