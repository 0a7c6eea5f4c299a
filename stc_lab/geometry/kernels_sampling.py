"""The loops of bilinear sampling, compiled for the CPU, and of its gradients.

They go through the target strip by strip, and in each channel by channel, while places and weights are still in the
cache. The backward pass scatters whole planes: no two threads ever write to one.

Shapes: source [b, c, hs, ws], pixels [b, 2, h, w], all of one dtype, float32 or float64; `found` uint8 [b, h, w] as the
projection leaves it. `work` [jobs, 4] has a row for each job: the item of the batch, the range of its rows or channels,
and the job's number. The functions below the first two see one item; a strip is a range of the target's pixels, and
buffers hold a value for each of them. Indices are unsigned, which spares the check for negative ones.
"""

from typing import no_type_check

import numba
import numpy as np

from stc_lab.geometry.kernels_projection import BEHIND, SEEN, locate_rows
from stc_lab.geometry.team import run_on_team

_STRIP = 2048  # px: their places and weights fill less than the second-level cache

# Neither "nnan" nor "ninf" among these: positions and values may be no numbers.
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})


@_compiled
@no_type_check
def warp_rows(work, source, where, pixels, found, visible, image):
    """Fill rows [start, stop) of items: their pixels are located, by what `where` holds, and sampled."""
    locate_rows(work, source.shape[2:], *where, pixels, found, visible)
    sample_rows(work, source, pixels, found, image)


@_compiled
@no_type_check
def sample_rows(work, source, pixels, found, image):
    """Fill rows [start, stop) of items of `image`."""
    width, (hs, ws) = pixels.shape[3], source.shape[2:]
    values, places, exact = _buffers(pixels)
    for job in range(len(work)):
        item, end = work[job, 0], work[job, 2] * width
        u, v, states = pixels[item, 0].reshape(-1), pixels[item, 1].reshape(-1), found[item].reshape(-1)
        for first in range(work[job, 1] * width, end, _STRIP):
            last = min(first + _STRIP, end)
            ax, ay, place = values[0, : last - first], values[1, : last - first], places[: last - first]
            whole = _weigh(u[first:last], v[first:last], hs, ws, place, ax, ay, exact)
            _sample(source[item], (place, ax, ay, states[first:last]), whole, image[item], first)


@_compiled
@no_type_check
def sample_back(work, source, pixels, found, grad, wanted, d_source, d_pixels):
    """Gradients of `sample_rows` from channels [start, stop) of items; `wanted`: of the source, of the positions.

    `d_pixels` has an entry for each job. Neither need come zeroed; what is not wanted is left as it is.
    """
    hs, ws = source.shape[2:]
    values, places, exact = _buffers(pixels)
    for job in range(len(work)):
        item, channels, part = work[job, 0], (work[job, 1], work[job, 2]), work[job, 3]
        u, v, states = pixels[item, 0].reshape(-1), pixels[item, 1].reshape(-1), found[item].reshape(-1)
        all_du, all_dv = d_pixels[part, 0].reshape(-1), d_pixels[part, 1].reshape(-1)
        zeroed = 0  # so far, of each plane of `d_source`
        for first in range(0, len(u), _STRIP):
            last = min(first + _STRIP, len(u))
            ax, ay, place = values[0, : last - first], values[1, : last - first], places[: last - first]
            du, dv, cells = all_du[first:last], all_dv[first:last], (place, ax, ay, states[first:last])
            _weigh(u[first:last], v[first:last], hs, ws, place, ax, ay, exact)
            if wanted[0]:
                zeroed = _zero(channels, d_source[item], zeroed, _reached(place, source[item])[1])
            if wanted[1]:
                du[:], dv[:] = 0, 0
            _gather_back(channels, source[item], grad[item], first, wanted, cells, d_source[item], du, dv, values[2])
            if wanted[1]:
                _hold(u[first:last], v[first:last], hs, ws, states[first:last], du, dv)
        if wanted[0]:
            _zero(channels, d_source[item], zeroed, hs * ws)


@_compiled
@no_type_check
def warp_rows_on_team(parallel, threads, work, arguments):
    return run_on_team(parallel, threads, warp_rows, work, arguments)


@_compiled
@no_type_check
def sample_rows_on_team(parallel, threads, work, arguments):
    return run_on_team(parallel, threads, sample_rows, work, arguments)


@_compiled
@no_type_check
def sample_back_on_team(parallel, threads, work, arguments):
    return run_on_team(parallel, threads, sample_back, work, arguments)


@_compiled
@no_type_check
def _zero(channels, planes, start, stop):
    """Zero planes up to `stop`, just before they are scattered to, for then they are in the cache."""
    for c in range(channels[0], channels[1]):
        plane = planes[c].reshape(-1)
        for i in range(start, stop):
            plane[i] = 0
    return max(start, stop)


@_compiled
@no_type_check
def _buffers(like):
    """Three values, a place, and a place in a list for each pixel of a strip."""
    return np.empty((3, _STRIP), like.dtype), np.empty(_STRIP, np.uint32), np.empty(_STRIP + 1, np.uint32)


@_compiled
@no_type_check
def _weigh(u, v, height, width, place, ax, ay, exact):
    """Cell and weights of each position, at the border for those outside; returns those that are exactly a pixel.

    A position on the last column ends the cell before it, which has a derivative there.
    """
    T = u.dtype.type
    zero, one, end_x, end_y = T(0), T(1), T(width - 1), T(height - 1)
    cell_x, cell_y = np.int32(max(width - 2, 0)), np.int32(max(height - 2, 0))
    n = 0
    for k in range(len(u)):
        a = u[k] if u[k] > zero else zero  # also for NaN
        b = v[k] if v[k] > zero else zero
        a, b = min(a, end_x), min(b, end_y)
        left, top = min(np.int32(a), cell_x), min(np.int32(b), cell_y)
        place[k] = top * width + left
        x, y = a - T(left), b - T(top)
        ax[k], ay[k] = x, y
        exact[n] = k  # no branch: the next one overwrites it unless it counts
        n += ((x == zero) | (x == one)) & ((y == zero) | (y == one))
    return exact[:n]


@_compiled
@no_type_check
def _sample(source, cells, whole, image, first):
    """Bilinear values of all channels for a strip, from pixel `first`; of whole-numbered positions bit by bit.

    What falls behind the camera shows 0.
    """
    place, ax, ay, found = cells
    lost = (found == BEHIND).any()
    right, below = _neighbours(source)
    low, high = _reached(place, source)
    last, end = source.shape[0] - 1, first + len(place)
    for c in range(0, last + 1, 2):  # two channels at a time, for one reading of places and weights
        one, two = source[c].reshape(-1), source[min(c + 1, last)].reshape(-1)
        strip_one, strip_two = image[c].reshape(-1)[first:end], image[min(c + 1, last)].reshape(-1)[first:end]
        strip_one[0], strip_two[0] = _touch(one, low, high), _touch(two, low, high)
        for k in range(len(place)):
            i, x, y = place[k], ax[k], ay[k]
            strip_one[k] = between(one, i, right, below, x, y)
            strip_two[k] = between(two, i, right, below, x, y)
        for k in whole:  # infinite neighbours of weight 0 must not show
            i = place[k] + right * np.uint32(ax[k]) + below * np.uint32(ay[k])
            strip_one[k], strip_two[k] = one[i], two[i]
        if lost:
            for k in range(len(place)):
                if found[k] == BEHIND:
                    strip_one[k], strip_two[k] = 0, 0


@_compiled
@no_type_check
def between(plane, i, right, below, x, y):
    """The value between four pixels of a flat plane: shares x, y of the way to those to the right and below."""
    top = plane[i] + x * (plane[i + right] - plane[i])
    bottom = plane[i + below] + x * (plane[i + below + right] - plane[i + below])
    return top + y * (bottom - top)


@_compiled
@no_type_check
def _gather_back(channels, source, grad, first, wanted, cells, d_source, du, dv, scratch):
    """Gradients of the pixels that a strip was sampled from and, added to du and dv, of the positions."""
    place, ax, ay, found = cells
    zero = ax.dtype.type(0)
    right, below = _neighbours(source)
    low, high = _reached(place, source)
    end = first + len(place)
    for c in range(channels[0], channels[1], 3):  # three channels at a time; of an incomplete three, zeros go along
        more, most = c + 1 < channels[1], c + 2 < channels[1]
        three_of = c, c + 1 if more else c, c + 2 if most else c
        g_one, g_two, g_three = _planes(grad, three_of)
        g_one, g_two, g_three = g_one[first:end], g_two[first:end], g_three[first:end]
        if wanted[0]:
            one, two, three = _planes(d_source, three_of)
            scratch[0] = _touch(one, low, high) + _touch(two, low, high) + _touch(three, low, high)
            for k in range(len(place)):
                i, x, y, lost = place[k], ax[k], ay[k], found[k] == BEHIND
                _scatter(zero if lost else g_one[k], one, i, right, below, x, y)
                _scatter(g_two[k] if more and not lost else zero, two, i, right, below, x, y)
                _scatter(g_three[k] if most and not lost else zero, three, i, right, below, x, y)
        if wanted[1]:
            one, two, three = _planes(source, three_of)
            scratch[0] = _touch(one, low, high) + _touch(two, low, high) + _touch(three, low, high)
            for k in range(len(place)):
                i, x, y = place[k], ax[k], ay[k]
                du_one, dv_one = _slopes(g_one[k], one, i, right, below, x, y)
                du_two, dv_two = _slopes(g_two[k] if more else zero, two, i, right, below, x, y)
                du_three, dv_three = _slopes(g_three[k] if most else zero, three, i, right, below, x, y)
                du[k] += du_one + du_two + du_three
                dv[k] += dv_one + dv_two + dv_three


@_compiled
@no_type_check
def _planes(images, channels):
    c, d, e = channels
    return images[c].reshape(-1), images[d].reshape(-1), images[e].reshape(-1)


@_compiled
@no_type_check
def _scatter(g, plane, i, right, below, x, y):
    lower = g * y
    lower_right, upper_right = lower * x, (g - lower) * x
    plane[i] += g - lower - upper_right
    plane[i + right] += upper_right
    plane[i + below] += lower - lower_right
    plane[i + below + right] += lower_right


@_compiled
@no_type_check
def _slopes(g, plane, i, right, below, x, y):
    if g == 0:  # what a mask took out of the loss must not come back as 0 times NaN
        return g, g
    top = plane[i + right] - plane[i]
    bottom = plane[i + below + right] - plane[i + below]
    return g * (top + y * (bottom - top)), g * (plane[i + below] - plane[i] + x * (bottom - top))


@_compiled
@no_type_check
def _hold(u, v, height, width, found, du, dv):
    """No gradient where the border goes on, and none where nothing was found."""
    zero = u.dtype.type(0)
    for k in range(len(u)):
        du[k] = du[k] if (found[k] == SEEN) & (u[k] >= 0) & (u[k] <= width - 1) else zero
        dv[k] = dv[k] if (found[k] == SEEN) & (v[k] >= 0) & (v[k] <= height - 1) else zero


@_compiled
@no_type_check
def _neighbours(source):
    """Steps to the pixel on the right and to the one below; an image of one column has no right."""
    height, width = source.shape[1:]
    return np.uint32(1 if width > 1 else 0), np.uint32(width if height > 1 else 0)


@_compiled
@no_type_check
def _reached(place, source):
    """The range of a plane that a strip reads from."""
    height, width = source.shape[1:]
    return place.min(), min(place.max() + width + 2, height * width)


@_compiled
@no_type_check
def _touch(plane, low, high):
    """Read a cache line after the other, to be stored somewhere lest it be left out.

    Where the camera rolls, a row of the target climbs through the rows of the source, and the processor does not
    foresee what it needs next. Read in order before, a rolled image takes as long as an upright one, else twice that.
    """
    total = plane.dtype.type(0)
    for i in range(low, high, 16):
        total += plane[i]
    return total
