"""The loops of structural similarity over 3x3 windows, compiled for the CPU, and of its gradients.

With s = a + b and d = a - b, of window means Ms, Md and variances Vs, Vd, SSIM is (1 - u) (1 - v), where
u = Md^2 / ((Ms^2 + Md^2) / 2 + c1) and v = Vd / ((Vs + Vd) / 2 + c2). Two moments of two images do, and the difference
of equal images is exactly zero. A variance is taken relative to the window's middle, so that it is as precise as the
differences it is made of: E[x^2] - E[x]^2 would lose it on flat patches, and may turn negative there.

They go row by row, in loops short enough to be vectorised, over buffers that stay in the cache: three rows of s, d and
weights, and of what their windows give back.

Shapes: images a, b [n, c, h, w], weight of the pixels [n, h, w] or empty, which weighs all alike, all of one dtype,
float32 or float64; h and w at least 2. Beyond its border an image is mirrored, without repeating it. `work` [jobs, 4]
has a row for each job: the item, the range of its rows, and the job's number. `constants` are (c1, c2), either may be
infinite; `shares` are those of (1 - SSIM) / 2 and of |a - b|.
"""

from typing import no_type_check

import numba
import numpy as np

# Neither "nnan" nor "ninf" among these: the constants may be infinite.
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})


@_compiled
@no_type_check
def dissimilarity_rows(work, a, b, weight, constants, shares, out):
    """Fill rows [start, stop) of items of `out` [n, h, w] with the sum over channels of both shares."""
    height = out.shape[1]
    images, moments = _buffers(a)
    for job in range(len(work)):
        item, first, last = work[job, 0], work[job, 1], work[job, 2]
        out[item, first:last] = 0
        for c in range(a.shape[1]):
            for y in range(first - 1, last + 1):
                _enter(_mirrored(y, height), a[item, c], b[item, c], weight, item, images[(y + 1) % 3])
                if y > first:
                    middle = images[y % 3]
                    _moments_of_both(images[(y - 1) % 3], middle, images[(y + 1) % 3], moments)
                    _score(moments, middle[1], constants, shares, out[item, y - 1])


@_compiled
@no_type_check
def dissimilarity_back(work, a, b, weight, constants, shares, grad, wanted, d_a, d_b):
    """Gradients of `dissimilarity_rows` in rows [start, stop) of items; `wanted`: of a, of b."""
    height, width = grad.shape[1:]
    images, moments = _buffers(a)
    fields = np.zeros((3, 6, width + 2), a.dtype)  # of three rows of windows; there are none beyond the border
    sums = np.empty((2, width), a.dtype)
    for job in range(len(work)):
        item, first, last = work[job, 0], work[job, 1], work[job, 2]
        start, end = max(first - 1, 0), min(last + 1, height)  # the windows that hold these rows
        for c in range(a.shape[1]):
            for y in range(start - 1, end + 1):
                _enter(_mirrored(y, height), a[item, c], b[item, c], weight, item, images[(y + 1) % 3])
                if y > start:
                    _moments_of_both(images[(y - 1) % 3], images[y % 3], images[(y + 1) % 3], moments)
                    _slopes(moments, grad[item, y - 1], constants, shares[0], fields[(y - 1) % 3])
                for k in range(max(y - 2, first), min(y - 1 if y < height else y, last)):  # their windows are complete
                    image = images[(k + 1) % 3]
                    _gather_rows(k, height, fields, image, sums)
                    if wanted[0]:
                        _give(image, sums, 1, shares[1], grad[item, k], d_a[item, c, k])
                    if wanted[1]:
                        _give(image, sums, -1, shares[1], grad[item, k], d_b[item, c, k])


@_compiled
@no_type_check
def _buffers(like):
    """Three rows of (s, d, weight), with their mirrored neighbours, and one of (Ms, Md, Vs, Vd, 1 / weight)."""
    width = like.shape[3]
    return np.empty((3, 3, width + 2), like.dtype), np.empty((5, width), like.dtype)


@_compiled
@no_type_check
def _mirrored(y, length):
    y = abs(y)
    return y if y < length else 2 * length - 2 - y


@_compiled
@no_type_check
def _enter(y, a, b, weight, item, rows):
    """Row y of both images as s, d and weight."""
    a, b, s, d, w = a[y], b[y], rows[0, 1:-1], rows[1, 1:-1], rows[2, 1:-1]
    for x in range(len(a)):
        s[x] = a[x] + b[x]
        d[x] = a[x] - b[x]
    if len(weight) == 0:
        w[:] = 1
    else:
        w[:] = weight[item, y]
    rows[:, 0] = rows[:, 2]
    rows[:, -1] = rows[:, -3]


@_compiled
@no_type_check
def _moments_of_both(above, middle, below, moments):
    weights = above[2], middle[2], below[2]
    _moments(above[0], middle[0], below[0], weights, moments[0], moments[2], moments[4])
    _moments(above[1], middle[1], below[1], weights, moments[1], moments[3], moments[4])


@_compiled
@no_type_check
def _moments(above, middle, below, weights, mean, variance, over):
    """Mean and variance of each window of a row, and 1 over its weight."""
    w_above, w_middle, w_below = weights
    T = mean.dtype.type
    for x in range(len(mean)):
        here = middle[x + 1]
        n, t, tt = w_middle[x + 1], T(0), T(0)
        n, t, tt = _add(above[x] - here, w_above[x], n, t, tt)
        n, t, tt = _add(above[x + 1] - here, w_above[x + 1], n, t, tt)
        n, t, tt = _add(above[x + 2] - here, w_above[x + 2], n, t, tt)
        n, t, tt = _add(middle[x] - here, w_middle[x], n, t, tt)
        n, t, tt = _add(middle[x + 2] - here, w_middle[x + 2], n, t, tt)
        n, t, tt = _add(below[x] - here, w_below[x], n, t, tt)
        n, t, tt = _add(below[x + 1] - here, w_below[x + 1], n, t, tt)
        n, t, tt = _add(below[x + 2] - here, w_below[x + 2], n, t, tt)
        share = T(1) / n if n > T(0) else T(0)  # where nothing has a weight, nothing is unlike either
        t *= share
        v = tt * share - t * t
        mean[x] = here + t if n > T(0) else T(0)
        variance[x] = v if v > T(0) else T(0)  # max() would keep this loop from being vectorised
        over[x] = share


@_compiled
@no_type_check
def _add(difference, w, n, t, tt):
    return n + w, t + w * difference, tt + w * (difference * difference)


@_compiled
@no_type_check
def _unlike(mean_s, mean_d, variance_s, variance_d, constants):
    """How unlike the means and the patterns are, u and v, and 1 over their denominators."""
    T = type(mean_s)
    over_p = T(1) / (T(0.5) * (mean_s * mean_s + mean_d * mean_d) + constants[0])
    over_q = T(1) / (T(0.5) * (variance_s + variance_d) + constants[1])
    return mean_d * mean_d * over_p, variance_d * over_q, over_p, over_q


@_compiled
@no_type_check
def _score(moments, d, constants, shares, out):
    """Add one channel's shares to a row of the result."""
    half = out.dtype.type(0.5) * shares[0]
    mean_s, mean_d, variance_s, variance_d = moments[0], moments[1], moments[2], moments[3]
    for x in range(len(out)):
        u, v, _, _ = _unlike(mean_s[x], mean_d[x], variance_s[x], variance_d[x], constants)
        out[x] += half * (u + v - u * v) + shares[1] * abs(d[x + 1])


@_compiled
@no_type_check
def _slopes(moments, grad, constants, share, fields):
    """What the windows of a row give back to each of their pixels: constant + slope (value - mean), of s and of d."""
    T = grad.dtype.type
    mean_s, mean_d, variance_s, variance_d, over = moments[0], moments[1], moments[2], moments[3], moments[4]
    constant_s, slope_s, constant_d, slope_d = fields[0, 1:-1], fields[1, 1:-1], fields[3, 1:-1], fields[4, 1:-1]
    for x in range(len(grad)):
        u, v, over_p, over_q = _unlike(mean_s[x], mean_d[x], variance_s[x], variance_d[x], constants)
        g = share * grad[x] * over[x]
        by_u, by_v = T(0.5) * g * (T(1) - v) * over_p, g * (T(1) - u) * over_q
        constant_s[x] = -by_u * u * mean_s[x]
        slope_s[x] = -by_v * T(0.5) * v
        constant_d[x] = by_u * (T(2) - u) * mean_d[x]
        slope_d[x] = by_v * (T(1) - T(0.5) * v)
    fields[2, 1:-1] = mean_s
    fields[5, 1:-1] = mean_d


@_compiled
@no_type_check
def _gather_rows(y, height, fields, image, sums):
    """What row y gets back from the windows that hold it, by s and by d."""
    sums[:] = 0
    for row in range(max(y - 1, 0), min(y + 2, height)):
        # A window on the border holds its neighbours twice: as themselves and as their mirror images.
        twice = (row == 0 and y == 1) + (row == height - 1 and y == height - 2)
        times = sums.dtype.type(1 + twice)
        for k in range(2):
            field = fields[row % 3, 3 * k], fields[row % 3, 3 * k + 1], fields[row % 3, 3 * k + 2]
            _gather(field, image[k, 1:-1], times, sums[k])


@_compiled
@no_type_check
def _gather(field, values, times, total):
    constant, slope, mean = field
    for x in range(len(total)):
        left = constant[x] + slope[x] * (values[x] - mean[x])
        middle = constant[x + 1] + slope[x + 1] * (values[x] - mean[x + 1])
        right = constant[x + 2] + slope[x + 2] * (values[x] - mean[x + 2])
        total[x] += times * (left + middle + right)
    last = len(total) - 1
    total[1] += times * (constant[1] + slope[1] * (values[1] - mean[1]))
    total[last - 1] += times * (constant[last + 1] + slope[last + 1] * (values[last - 1] - mean[last + 1]))


@_compiled
@no_type_check
def _give(image, sums, sign, share, grad, out):
    """Gradient of a row of a (sign 1) or of b (sign -1)."""
    T = out.dtype.type
    sign = T(sign)
    sum_s, sum_d, d, w = sums[0], sums[1], image[1, 1:-1], image[2, 1:-1]
    for x in range(len(out)):
        direction = T(d[x] > 0) - T(d[x] < 0)
        out[x] = w[x] * (sum_s[x] + sign * sum_d[x]) + sign * share * grad[x] * direction
