"""The loops of the inverse warp, compiled for the CPU: projection, visibility, sampling, and all of their gradients.

They go through the target strip by strip: first where the pixels of a strip of rows lie in the source and which of them
the source sees, then the sampling, channel by channel, while places and weights are still in the cache. The backward
pass finds the places again rather than keeping them. It scatters whole planes: no two threads ever write to one.

Shapes: source [b, c, hs, ws], depth [b, h, w], motion [b, 3, 4] and change [b, 5] (`reproject.PixelMotion`), all of one
dtype, float32 or float64. `work` [jobs, 4] has a row for each job: the item of the batch, the range of its rows or
channels, and the job's number. `reach` is (MIN_DEPTH, FARTHEST), given and not imported: the compiled code is kept on
disk, and only an edit of this file renews it. The functions below the first four see one item; a strip is rows
[start, stop) of its target, and buffers hold a value for each of its pixels. Indices are unsigned, which spares the
check for negative ones.
"""

from typing import no_type_check

import numba
import numpy as np

_STRIP = 2048  # px: their places and weights fill less than the second-level cache

BEHIND, UNKNOWN, SEEN = 0, 1, 2  # the camera does not see the point; the depth says nothing; there is a place

# Neither "nnan" nor "ninf" among these: comparisons with NaN decide what is visible.
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})


@_compiled
@no_type_check
def warp_rows(work, source, depth, motion, change, reach, depth_source, relative, absolute, image, visible):
    """Fill rows [start, stop) of items of `image` and `visible`; an empty `depth_source` tests no occlusion."""
    width, (hs, ws) = depth.shape[2], source.shape[2:]
    step = max(1, _STRIP // width)
    values, indices, states = _buffers(step * width, depth)
    for job in range(len(work)):
        item, end = work[job, 0], work[job, 2]
        for start in range(work[job, 1], end, step):
            stop = min(start + step, end)
            n = (stop - start) * width
            u, v, z, ax, ay = values[0, :n], values[1, :n], values[2, :n], values[3, :n], values[4, :n]
            place, right, below, found = indices[0, :n], indices[1, :n], indices[2, :n], states[:n]
            seen = visible[item].reshape(-1)[start * width : stop * width]
            _locate(start, stop, depth[item], motion[item], change[item], reach, u, v, z, found)
            _see(u, v, z, found, hs, ws, depth_source[item], relative, absolute, seen)
            whole = _weigh(u, v, hs, ws, True, place, right, below, ax, ay)
            _sample(source[item], place, right, below, ax, ay, whole, found, image[item], start * width)


@_compiled
@no_type_check
def warp_back(work, source, depth, motion, change, reach, grad, wanted, d_source, d_depth, d_motion, d_change):
    """Gradients of `warp_rows` from channels [start, stop) of items; `wanted`: of the source, of its geometry.

    The geometry's gradients have an entry for each job. All but `d_depth` must come zeroed.
    """
    (height, width), (hs, ws) = depth.shape[1:], source.shape[2:]
    step = max(1, _STRIP // width)
    values, indices, states = _buffers(step * width, depth)
    for job in range(len(work)):
        item, channels, part = work[job, 0], (work[job, 1], work[job, 2]), work[job, 3]
        for start in range(0, height, step):
            stop = min(start + step, height)
            n = (stop - start) * width
            u, v, z, ax, ay = values[0, :n], values[1, :n], values[2, :n], values[3, :n], values[4, :n]
            du, dv = values[5, :n], values[6, :n]
            place, right, below, found = indices[0, :n], indices[1, :n], indices[2, :n], states[:n]
            _locate(start, stop, depth[item], motion[item], change[item], reach, u, v, z, found)
            _weigh(u, v, hs, ws, False, place, right, below, ax, ay)
            du[:], dv[:] = 0, 0
            first, into = start * width, d_source[item]
            _gather_back(
                channels, source[item], grad[item], first, wanted, place, right, below, ax, ay, found, into, du, dv
            )
            if wanted[1]:
                _hold(u, v, hs, ws, found, du, dv)
                own = depth[item]
                _chain(
                    start,
                    stop,
                    own,
                    motion[item],
                    change[item],
                    found,
                    du,
                    dv,
                    d_depth[part],
                    d_motion[part],
                    d_change[part],
                )


@_compiled
@no_type_check
def sample_rows(work, source, pixels, image):
    """Fill rows [start, stop) of items of `image` with the source at `pixels` [b, 2, h, w]."""
    width, (hs, ws) = pixels.shape[3], source.shape[2:]
    step = max(1, _STRIP // width)
    values, indices, states = _buffers(step * width, pixels)
    states[:] = SEEN
    for job in range(len(work)):
        item, end = work[job, 0], work[job, 2]
        for start in range(work[job, 1], end, step):
            first, last = start * width, min(start + step, end) * width
            ax, ay = values[0, : last - first], values[1, : last - first]
            place, right, below = indices[0, : last - first], indices[1, : last - first], indices[2, : last - first]
            u, v = pixels[item, 0].reshape(-1)[first:last], pixels[item, 1].reshape(-1)[first:last]
            whole = _weigh(u, v, hs, ws, True, place, right, below, ax, ay)
            _sample(source[item], place, right, below, ax, ay, whole, states[: last - first], image[item], first)


@_compiled
@no_type_check
def sample_back(work, source, pixels, grad, wanted, d_source, d_pixels):
    """Gradients of `sample_rows` from channels [start, stop) of items; `wanted`: of the source, of the positions.

    `d_pixels` has an entry for each job. Both must come zeroed.
    """
    (height, width), (hs, ws) = pixels.shape[2:], source.shape[2:]
    step = max(1, _STRIP // width)
    values, indices, states = _buffers(step * width, pixels)
    states[:] = SEEN
    for job in range(len(work)):
        item, channels, part = work[job, 0], (work[job, 1], work[job, 2]), work[job, 3]
        for start in range(0, height, step):
            first, last = start * width, min(start + step, height) * width
            ax, ay, found = values[0, : last - first], values[1, : last - first], states[: last - first]
            place, right, below = indices[0, : last - first], indices[1, : last - first], indices[2, : last - first]
            u, v = pixels[item, 0].reshape(-1)[first:last], pixels[item, 1].reshape(-1)[first:last]
            du, dv = d_pixels[part, 0].reshape(-1)[first:last], d_pixels[part, 1].reshape(-1)[first:last]
            _weigh(u, v, hs, ws, False, place, right, below, ax, ay)
            into = d_source[item]
            _gather_back(
                channels, source[item], grad[item], first, wanted, place, right, below, ax, ay, found, into, du, dv
            )
            if wanted[1]:
                _hold(u, v, hs, ws, found, du, dv)


@_compiled
@no_type_check
def _buffers(pixels, like):
    return np.empty((7, pixels), like.dtype), np.empty((3, pixels), np.uint32), np.empty(pixels, np.uint8)


@_compiled
@no_type_check
def _locate(start, stop, depth, motion, change, reach, u, v, z, found):
    """Where the pixels of a strip lie in the source, (u, v), their z there, and whether they are found at all.

    A pixel that is not, for its depth is unknown or it falls behind the camera, is given its own position.
    """
    T, width = depth.dtype.type, depth.shape[1]
    one, nearest, farthest = T(1), reach[0], reach[1]
    for y in range(start, stop):
        fy, row = T(y), (y - start) * width
        for x in range(width):
            fx, d = T(x), depth[y, x]
            along = motion[2, 0] * fx + motion[2, 1] * fy + motion[2, 2]
            here = (along + one) * d + motion[2, 3]
            known = (d > 0) & (d < farthest)
            real = known & (here > nearest)
            over = one / (here if real else one)
            turned_x = motion[0, 0] * fx + motion[0, 1] * fy + motion[0, 2] - fx * along
            turned_y = motion[1, 0] * fx + motion[1, 1] * fy + motion[1, 2] - fy * along
            dx = (turned_x * d + (motion[0, 3] - fx * motion[2, 3])) * over
            dy = (turned_y * d + (motion[1, 3] - fy * motion[2, 3])) * over
            px = fx + (change[0] * dx + change[2] * dy + ((change[0] - one) * fx + change[2] * fy + change[3]))
            py = fy + (change[1] * dy + ((change[1] - one) * fy + change[4]))
            u[row + x] = px if real else fx
            v[row + x] = py if real else fy
            z[row + x] = here
            found[row + x] = SEEN if real else (BEHIND if known else UNKNOWN)


@_compiled
@no_type_check
def _see(u, v, z, found, height, width, depth_source, relative, absolute, visible):
    """Which pixels the source sees: found, inside, and no other surface at the nearest pixel of the source's depth."""
    for k in range(len(u)):
        seen = (found[k] == SEEN) & (u[k] >= 0) & (u[k] <= width - 1) & (v[k] >= 0) & (v[k] <= height - 1)
        if seen and depth_source.size > 0:
            other = depth_source[int(np.rint(v[k])), int(np.rint(u[k]))]
            seen = (other > 0) & (abs(z[k] - other) < relative * z[k] + absolute)
        visible[k] = seen


@_compiled
@no_type_check
def _weigh(u, v, height, width, last, place, right, below, ax, ay):
    """Cell and weights of each position, at the border for those outside; returns whether one is exactly a pixel.

    With `last`, a position on the last column is that column's pixel; without, the end of the cell before it, which has
    a derivative.
    """
    T = u.dtype.type
    zero, end_x, end_y = T(0), T(width - 1), T(height - 1)
    cell_x, cell_y = np.int32(width - 1), np.int32(height - 1)
    if not last:
        cell_x, cell_y = max(cell_x - 1, 0), max(cell_y - 1, 0)
    whole = False
    for k in range(len(u)):
        a = u[k] if u[k] > zero else zero  # also for NaN
        b = v[k] if v[k] > zero else zero
        a, b = min(a, end_x), min(b, end_y)
        left, top = min(np.int32(a), cell_x), min(np.int32(b), cell_y)
        place[k] = top * width + left
        right[k] = 1 if left < width - 1 else 0
        below[k] = width if top < height - 1 else 0
        ax[k], ay[k] = a - T(left), b - T(top)
        whole |= (ax[k] == zero) & (ay[k] == zero)
    return whole


@_compiled
@no_type_check
def _sample(source, place, right, below, ax, ay, whole, found, image, first):
    """Bilinear values of all channels for a strip, from pixel `first`; of whole-numbered positions bit by bit.

    What falls behind the camera shows 0.
    """
    lost = (found == BEHIND).any()
    for c in range(source.shape[0]):
        plane, strip = source[c].reshape(-1), image[c].reshape(-1)[first : first + len(place)]
        for k in range(len(strip)):
            i, j, b = place[k], place[k] + right[k], below[k]
            top = plane[i] + ax[k] * (plane[j] - plane[i])
            bottom = plane[i + b] + ax[k] * (plane[j + b] - plane[i + b])
            strip[k] = top + ay[k] * (bottom - top)
        if whole:  # infinite neighbours of weight 0 must not show
            for k in range(len(strip)):
                if ax[k] == 0 and ay[k] == 0:
                    strip[k] = plane[place[k]]
        if lost:
            for k in range(len(strip)):
                if found[k] == BEHIND:
                    strip[k] = 0


@_compiled
@no_type_check
def _gather_back(channels, source, grad, first, wanted, place, right, below, ax, ay, found, d_source, du, dv):
    """Gradients of the pixels that a strip was sampled from and, added to du and dv, of the positions."""
    zero = ax.dtype.type(0)
    for c in range(channels[0], channels[1]):
        g = grad[c].reshape(-1)[first : first + len(place)]
        if wanted[0]:
            plane = d_source[c].reshape(-1)
            for k in range(len(g)):
                i, j, b = place[k], place[k] + right[k], below[k]
                own = zero if found[k] == BEHIND else g[k]
                lower = own * ay[k]
                lower_right, upper_right = lower * ax[k], (own - lower) * ax[k]
                plane[i] += own - lower - upper_right
                plane[j] += upper_right
                plane[i + b] += lower - lower_right
                plane[j + b] += lower_right
        if wanted[1]:
            plane = source[c].reshape(-1)
            for k in range(len(g)):
                i, j, b = place[k], place[k] + right[k], below[k]
                top, bottom, left = plane[j] - plane[i], plane[j + b] - plane[i + b], plane[i + b] - plane[i]
                asked = g[k] != 0  # what a mask took out of the loss must not come back as 0 times NaN
                du[k] += g[k] * (top + ay[k] * (bottom - top)) if asked else zero
                dv[k] += g[k] * (left + ax[k] * (bottom - top)) if asked else zero


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
def _chain(start, stop, depth, motion, change, found, du, dv, d_depth, d_motion, d_change):
    """From positions back to depth, motion and change of intrinsics: the derivative of `_locate`; sums in float64."""
    T, width = depth.dtype.type, depth.shape[1]
    one = T(1)
    for y in range(start, stop):
        fy, row = T(y), (y - start) * width
        x_x, x_1, x_t, y_x, y_1, y_t, z_x, z_1, z_t = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for x in range(width):
            fx, d = T(x), depth[y, x]
            if found[row + x] != SEEN:
                d_depth[y, x] = 0
                continue
            along = motion[2, 0] * fx + motion[2, 1] * fy + motion[2, 2]
            over = one / ((along + one) * d + motion[2, 3])
            turned_x = motion[0, 0] * fx + motion[0, 1] * fy + motion[0, 2] - fx * along
            turned_y = motion[1, 0] * fx + motion[1, 1] * fy + motion[1, 2] - fy * along
            dx = (turned_x * d + (motion[0, 3] - fx * motion[2, 3])) * over
            dy = (turned_y * d + (motion[1, 3] - fy * motion[2, 3])) * over
            gu, gv = du[row + x], dv[row + x]
            d_change[0] += gu * (dx + fx)
            d_change[1] += gv * (dy + fy)
            d_change[2] += gu * (dy + fy)
            d_change[3] += gu
            d_change[4] += gv
            gx, gy = gu * change[0] * over, (gu * change[2] + gv * change[1]) * over
            gz = -(gx * dx + gy * dy)
            d_depth[y, x] = gx * turned_x + gy * turned_y + gz * (along + one)
            gz -= gx * fx + gy * fy
            x_x, x_1, x_t = x_x + gx * d * fx, x_1 + gx * d, x_t + gx
            y_x, y_1, y_t = y_x + gy * d * fx, y_1 + gy * d, y_t + gy
            z_x, z_1, z_t = z_x + gz * d * fx, z_1 + gz * d, z_t + gz
        sums = ((x_x, x_1, x_t), (y_x, y_1, y_t), (z_x, z_1, z_t))
        for i in range(3):
            d_motion[i, 0] += sums[i][0]
            d_motion[i, 1] += sums[i][1] * y
            d_motion[i, 2] += sums[i][1]
            d_motion[i, 3] += sums[i][2]
