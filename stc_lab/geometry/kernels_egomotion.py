"""The loops of egomotion, compiled for the CPU: what each pixel adds to a motion's equations, and to its own depth's.

Shapes: depth [p, n], flow [p, 2, n], usable [p, n], K [1 or p, 3, 3], T [p, 4, 4]; n pixels of rows of `width`.
`landing` says the same in tensors, and what the terms mean. Sums are kept in double precision. `limits` is
(MIN_DEPTH, UNKNOWN_FLOW), given and not imported: compiled code is kept on disk, and only an edit of its own file
renews it.
"""

from typing import no_type_check

import numba
import numpy as np

# Neither "nnan" nor "ninf" among these: unknown depth and flow may be no numbers.
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc", "arcp"})


@_compiled
@no_type_check
def add_equations(depth, flow, usable, K, width, T, limits, backward, flow_deviation, doubt, scale, H):
    """Add each pair's equations [p, 7, 8]: of turn, shift and log focal length, with the error as the last column."""
    rows, point, landed = np.empty((2, 8)), np.empty(3), np.empty(3)
    by_point, slide = np.zeros((2, 3)), np.empty(2)
    ratio = (doubt / flow_deviation) ** 2
    for pair in range(len(depth)):
        k = K[pair if len(K) > 1 else 0]
        R = T[pair]
        for i in range(depth.shape[1]):
            if not usable[pair, i]:
                continue
            if not _land(
                depth[pair, i],
                flow[pair, 0, i],
                flow[pair, 1, i],
                i,
                width,
                k,
                R,
                limits,
                point,
                landed,
                by_point,
                slide,
                rows,
            ):
                continue
            for c in range(2):
                stretch = 0.0
                for j in range(3):
                    stretch -= by_point[c, j] * (R[j, 0] * point[0] + R[j, 1] * point[1])
                rows[c, 6] += stretch
                if backward:
                    p0, p1, p2 = by_point[c, 0], by_point[c, 1], by_point[c, 2]
                    x = -(p0 * R[0, 0] + p1 * R[1, 0] + p2 * R[2, 0])
                    y = -(p0 * R[0, 1] + p1 * R[1, 1] + p2 * R[2, 1])
                    z = -(p0 * R[0, 2] + p1 * R[1, 2] + p2 * R[2, 2])
                    about = point
                else:
                    x, y, z = by_point[c, 0], by_point[c, 1], by_point[c, 2]
                    about = landed
                rows[c, 0] = about[1] * z - about[2] * y
                rows[c, 1] = about[2] * x - about[0] * z
                rows[c, 2] = about[0] * y - about[1] * x
                rows[c, 3], rows[c, 4], rows[c, 5] = x, y, z
            squared = slide[0] ** 2 + slide[1] ** 2
            if ratio > 0 and squared > 0:
                cut = (1 - 1 / np.sqrt(1 + squared * ratio)) / squared
                for j in range(8):
                    less = cut * (slide[0] * rows[0, j] + slide[1] * rows[1, j])
                    rows[0, j] -= less * slide[0]
                    rows[1, j] -= less * slide[1]
            weight = 1 / (1 + (rows[0, 7] ** 2 + rows[1, 7] ** 2) / scale**2) ** 2
            for j in range(7):
                first, second = weight * rows[0, j], weight * rows[1, j]
                for m in range(8):  # half would do, but eight go at once
                    H[pair, j, m] += first * rows[0, m] + second * rows[1, m]


@_compiled
@no_type_check
def weigh_depths(depth, flow, usable, K, width, T, limits, flow_deviation, along, across, information, pull):
    """Fill what each match says of the log depth at its pixel: how much, and which way."""
    rows, point, landed = np.empty((2, 8)), np.empty(3), np.empty(3)
    by_point, slide = np.zeros((2, 3)), np.empty(2)
    for pair in range(len(depth)):
        k = K[pair if len(K) > 1 else 0]
        for i in range(depth.shape[1]):
            information[pair, i] = 0
            pull[pair, i] = 0
            if not usable[pair, i]:
                continue
            if not _land(
                depth[pair, i],
                flow[pair, 0, i],
                flow[pair, 1, i],
                i,
                width,
                k,
                T[pair],
                limits,
                point,
                landed,
                by_point,
                slide,
                rows,
            ):
                continue
            squared = slide[0] ** 2 + slide[1] ** 2
            if squared == 0:
                continue
            product = slide[0] * rows[0, 7] + slide[1] * rows[1, 7]
            error_along = product**2 / squared
            error_across = max(0.0, rows[0, 7] ** 2 + rows[1, 7] ** 2 - error_along)
            weight = 1 / (flow_deviation * (1 + error_along / along**2) * (1 + error_across / across**2)) ** 2
            information[pair, i] = weight * squared
            pull[pair, i] = -weight * product


@_compiled
@no_type_check
def _land(d, flow_x, flow_y, i, width, K, T, limits, point, landed, by_point, slide, rows):
    """One pixel: its point, where that lands, the derivatives by it and by log depth, the error; False if unknown."""
    if not (d > 0 and d < np.inf and abs(flow_x) < limits[1] and abs(flow_y) < limits[1]):
        return False
    fx, skew, fy = K[0, 0], K[0, 1], K[1, 1]
    ray_y = (i // width - K[1, 2]) / fy
    ray_x = (i % width - K[0, 2] - skew * ray_y) / fx
    point[0], point[1], point[2] = ray_x * d, ray_y * d, d
    for j in range(3):
        landed[j] = T[j, 0] * point[0] + T[j, 1] * point[1] + T[j, 2] * point[2] + T[j, 3]
    z = landed[2]
    if not z > limits[0]:
        return False
    u = (fx * landed[0] + skew * landed[1]) / z
    v = fy * landed[1] / z
    by_point[0, 0], by_point[0, 1], by_point[0, 2] = fx / z, skew / z, -u / z
    by_point[1, 1], by_point[1, 2] = fy / z, -v / z
    for c in range(2):
        slide[c] = 0.0
        for j in range(3):
            slide[c] += by_point[c, j] * (landed[j] - T[j, 3])
    rows[0, 6], rows[1, 6] = u, v
    rows[0, 7] = u - (ray_x * fx + ray_y * skew) - flow_x
    rows[1, 7] = v - ray_y * fy - flow_y
    return True
