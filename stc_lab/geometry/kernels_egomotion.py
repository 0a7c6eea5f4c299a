"""The loops of egomotion, compiled for the CPU: what each pixel adds to a motion's equations, and to its own depth's.

Shapes: depth [p, n], flow [p, 2, n], usable [p, n], K [1 or p, 3, 3], T [p, 4, 4]; n pixels of rows of `width`.
`landing` says the same in tensors, and what the terms mean. Arithmetic is in double precision. `limits` is
(MIN_DEPTH, UNKNOWN_FLOW), given and not imported: compiled code is kept on disk, and only an edit of its own file
renews it.

The numbers of a pixel go from function to function by value, for small arrays would be written to memory and read
again. The rows of the equations are gathered strip by strip, so that what is done to each is done to eight at once.
"""

from typing import no_type_check

import numba
import numpy as np

_STRIP = 128  # pixels, whose rows stay in the first-level cache

# Neither "nnan" nor "ninf" among these: unknown depth and flow may be no numbers.
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc", "arcp"})


@_compiled
@no_type_check
def add_equations(depth, flow, usable, K, width, T, limits, backward, flow_deviation, doubt, scale, H):
    """Add each pair's equations [p, 7, 8]: of turn, shift and log focal length, with the error as the last column."""
    rows, slides, weights = np.empty((2, 8, _STRIP)), np.empty((2, _STRIP)), np.empty(_STRIP)
    for pair in range(len(depth)):
        lens, R, t = _lens(K[pair if len(K) > 1 else 0]), _turn(T[pair]), _shift(T[pair])
        n = 0
        for y in range(depth.shape[1] // width):
            for x in range(width):
                i = y * width + x
                d, u, v = _known(depth[pair, i], flow[pair, 0, i], flow[pair, 1, i], limits)
                if not (usable[pair, i] and d > 0):
                    continue
                point, turned, landed, over = _land(x, y, d, lens, R, t)
                if not landed[2] > limits[0]:
                    continue
                by_x, by_y = _slopes(landed, over, lens)
                error = _error(point, landed, over, lens, (u, v))
                for c in range(2):
                    by = by_x if c == 0 else by_y
                    slides[c, n] = _dot(by, turned)
                    stretched = _dot(by, _times(R, (-point[0], -point[1], 0.0)))  # a longer lens narrows the rays
                    rows[c, 6, n] = stretched - by[2] * landed[2]
                    rows[c, 7, n] = error[c]
                    about = landed
                    if backward:
                        by, about = _times_transposed(R, (-by[0], -by[1], -by[2])), point
                    rows[c, 0, n] = about[1] * by[2] - about[2] * by[1]
                    rows[c, 1, n] = about[2] * by[0] - about[0] * by[2]
                    rows[c, 2, n] = about[0] * by[1] - about[1] * by[0]
                    rows[c, 3, n], rows[c, 4, n], rows[c, 5, n] = by
                n += 1
                if n == _STRIP:
                    _add_strip(n, rows, slides, weights, (doubt / flow_deviation) ** 2, scale, H[pair])
                    n = 0
        _add_strip(n, rows, slides, weights, (doubt / flow_deviation) ** 2, scale, H[pair])


@_compiled
@no_type_check
def weigh_depths(depth, flow, usable, K, width, T, limits, flow_deviation, along, across, information, pull):
    """Fill what each match says of the log depth at its pixel: how much, and which way."""
    for pair in range(len(depth)):
        lens, R, t = _lens(K[pair if len(K) > 1 else 0]), _turn(T[pair]), _shift(T[pair])
        for y in range(depth.shape[1] // width):
            for x in range(width):
                i = y * width + x
                information[pair, i] = 0
                pull[pair, i] = 0
                d, u, v = _known(depth[pair, i], flow[pair, 0, i], flow[pair, 1, i], limits)
                if not (usable[pair, i] and d > 0):
                    continue
                point, turned, landed, over = _land(x, y, d, lens, R, t)
                if not landed[2] > limits[0]:
                    continue
                by_x, by_y = _slopes(landed, over, lens)
                error = _error(point, landed, over, lens, (u, v))
                slide_x, slide_y = _dot(by_x, turned), _dot(by_y, turned)
                squared = slide_x**2 + slide_y**2
                if squared == 0:
                    continue
                product = slide_x * error[0] + slide_y * error[1]
                error_along = product**2 / squared
                error_across = max(0.0, error[0] ** 2 + error[1] ** 2 - error_along)
                weight = 1 / (flow_deviation * (1 + error_along / along**2) * (1 + error_across / across**2)) ** 2
                information[pair, i] = weight * squared
                pull[pair, i] = -weight * product


@_compiled
@no_type_check
def _add_strip(n, rows, slides, weights, ratio, scale, H):
    """Add n pixels' rows to the equations: whitened by the doubt of their depth, and weighted by their error."""
    first, second, slide_x, slide_y = rows[0], rows[1], slides[0], slides[1]
    for k in range(n):
        squared = slide_x[k] ** 2 + slide_y[k] ** 2
        doubted = squared * ratio > 0
        weights[k] = (1 - 1 / np.sqrt(1 + squared * ratio)) / (squared if doubted else 1.0)
    for j in range(8):
        for k in range(n):
            less = weights[k] * (slide_x[k] * first[j, k] + slide_y[k] * second[j, k])
            first[j, k] -= less * slide_x[k]
            second[j, k] -= less * slide_y[k]
    for k in range(n):
        off = 1 + (first[7, k] ** 2 + second[7, k] ** 2) / scale**2
        weights[k] = 1 / (off * off)
    for j in range(7):
        for k in range(n):  # as the slides, which are used up
            slide_x[k], slide_y[k] = weights[k] * first[j, k], weights[k] * second[j, k]
        for m in range(j, 8):
            total = 0.0
            for k in range(n):
                total += slide_x[k] * first[m, k] + slide_y[k] * second[m, k]
            H[j, m] += total
            if j < m < 7:
                H[m, j] += total


@_compiled
@no_type_check
def _known(d, u, v, limits):
    """Depth and flow of a pixel in double precision; a depth of 0 where one of them is unknown."""
    known = d > 0 and d < np.inf and abs(u) < limits[1] and abs(v) < limits[1]
    return np.float64(d) if known else 0.0, np.float64(u), np.float64(v)


@_compiled
@no_type_check
def _lens(K):
    """fx, skew, fy, cx, cy."""
    return np.float64(K[0, 0]), np.float64(K[0, 1]), np.float64(K[1, 1]), np.float64(K[0, 2]), np.float64(K[1, 2])


@_compiled
@no_type_check
def _turn(T):
    return (
        (np.float64(T[0, 0]), np.float64(T[0, 1]), np.float64(T[0, 2])),
        (np.float64(T[1, 0]), np.float64(T[1, 1]), np.float64(T[1, 2])),
        (np.float64(T[2, 0]), np.float64(T[2, 1]), np.float64(T[2, 2])),
    )


@_compiled
@no_type_check
def _shift(T):
    return np.float64(T[0, 3]), np.float64(T[1, 3]), np.float64(T[2, 3])


@_compiled
@no_type_check
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_compiled
@no_type_check
def _times(R, p):
    return _dot(R[0], p), _dot(R[1], p), _dot(R[2], p)


@_compiled
@no_type_check
def _times_transposed(R, p):
    return (
        R[0][0] * p[0] + R[1][0] * p[1] + R[2][0] * p[2],
        R[0][1] * p[0] + R[1][1] * p[1] + R[2][1] * p[2],
        R[0][2] * p[0] + R[1][2] * p[1] + R[2][2] * p[2],
    )


@_compiled
@no_type_check
def _land(x, y, d, lens, R, t):
    """The point of a pixel, turned, and landed in the other camera, with 1 over its depth there."""
    fx, skew, fy, cx, cy = lens
    ray_y = (y - cy) / fy
    ray_x = (x - cx - skew * ray_y) / fx
    point = ray_x * d, ray_y * d, d
    turned = _times(R, point)
    landed = turned[0] + t[0], turned[1] + t[1], turned[2] + t[2]
    return point, turned, landed, 1 / landed[2]


@_compiled
@no_type_check
def _slopes(landed, over, lens):
    """Derivatives of the two coordinates of an image point by the point in space."""
    fx, skew, fy, _, _ = lens
    u, v = (fx * landed[0] + skew * landed[1]) * over, fy * landed[1] * over
    return (fx * over, skew * over, -u * over), (0.0, fy * over, -v * over)


@_compiled
@no_type_check
def _error(point, landed, over, lens, flow):
    """Where the point lands, minus where the flow says, in both coordinates."""
    fx, skew, fy, _, _ = lens
    start_x, start_y = (fx * point[0] + skew * point[1]) / point[2], fy * point[1] / point[2]
    u, v = (fx * landed[0] + skew * landed[1]) * over, fy * landed[1] * over
    return u - start_x - flow[0], v - start_y - flow[1]
