"""The loop of the forward-backward check, compiled for the CPU: each pixel of a is followed to b and back, once.

Shapes: flow_ab [b, 2, h, w] and flow_ba [b, 2, h, w] of one dtype, float32 or float64; visible bool [b, h, w]. `work`
as in the other kernels. Flow of no less than `beyond` px, or NaN, is unknown.
"""

from typing import no_type_check

import numba
import numpy as np

from stc_lab.geometry.kernels_sampling import between

# Neither "nnan" nor "ninf" among these: comparisons with NaN decide what is visible.
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})


@_compiled
@no_type_check
def ruder_rows(work, flow_ab, flow_ba, filled, limits, beyond, boundaries, visible):
    """Fill rows [start, stop) of items.

    `filled` is flow_ba with 0 where it is unknown; it is empty if all of both flows is known, which spares looking.
    `limits`: relative and absolute, of the check and of the motion boundaries.
    """
    width, whole = flow_ab.shape[3], filled.size == 0
    back_u, back_v = np.empty(width, flow_ab.dtype), np.empty(width, flow_ab.dtype)
    for job in range(len(work)):
        item = work[job, 0]
        u, v, bu, bv = flow_ab[item, 0], flow_ab[item, 1], flow_ba[item, 0], flow_ba[item, 1]
        for y in range(work[job, 1], work[job, 2]):
            seen = visible[item, y]
            if whole:
                _read_back(y, u, v, bu, bv, back_u, back_v, seen)
            else:
                _read_back(y, u, v, filled[item, 0], filled[item, 1], back_u, back_v, seen)
                _leave_out_unknown(y, u, v, bu, bv, beyond, seen)
            _compare(u[y], v[y], back_u, back_v, limits[0], limits[1], seen)
            if boundaries:
                _leave_out_jumps(y, u, v, limits[2], limits[3], seen)
                if not whole:
                    _leave_out_beside_unknown(y, u, v, beyond, seen)


@_compiled
@no_type_check
def _read_back(y, u, v, bu, bv, back_u, back_v, seen):
    """The way back where the pixels of row y land, read bilinearly, and whether that is inside."""
    T = u.dtype.type
    height, width = u.shape
    zero, end_x, end_y = T(0), T(width - 1), T(height - 1)
    cell_x, cell_y = np.int32(max(width - 2, 0)), np.int32(max(height - 2, 0))
    right, below = np.uint32(1 if width > 1 else 0), np.uint32(width if height > 1 else 0)
    one, two = bu.reshape(-1), bv.reshape(-1)
    for x in range(width):
        px, py = T(x) + u[y, x], T(y) + v[y, x]
        seen[x] = (px >= zero) & (px <= end_x) & (py >= zero) & (py <= end_y)  # nor where it is NaN or huge
        px, py = px if px > zero else zero, py if py > zero else zero
        px, py = min(px, end_x), min(py, end_y)
        left, top = min(np.int32(px), cell_x), min(np.int32(py), cell_y)  # a last column ends the cell before it
        ax, ay, i = px - T(left), py - T(top), np.uint32(top * width + left)
        back_u[x] = between(one, i, right, below, ax, ay)
        back_v[x] = between(two, i, right, below, ax, ay)


@_compiled
@no_type_check
def _compare(u, v, back_u, back_v, relative, absolute, seen):
    for x in range(len(u)):
        error = (u[x] + back_u[x]) * (u[x] + back_u[x]) + (v[x] + back_v[x]) * (v[x] + back_v[x])
        lengths = u[x] * u[x] + v[x] * v[x] + (back_u[x] * back_u[x] + back_v[x] * back_v[x])
        seen[x] &= error < relative * lengths + absolute


@_compiled
@no_type_check
def _leave_out_jumps(y, u, v, relative, absolute, seen):
    """Leave out the pixels of row y where the flow jumps; the border goes on."""
    height, width = u.shape
    above, below = max(y - 1, 0), min(y + 1, height - 1)
    quarter = u.dtype.type(0.25)
    for x in range(width):
        left, right = max(x - 1, 0), min(x + 1, width - 1)
        across_u, across_v = u[y, right] - u[y, left], v[y, right] - v[y, left]
        down_u, down_v = u[below, x] - u[above, x], v[below, x] - v[above, x]
        jump = across_u * across_u + across_v * across_v + (down_u * down_u + down_v * down_v)
        seen[x] &= quarter * jump <= relative * (u[y, x] * u[y, x] + v[y, x] * v[y, x]) + absolute


@_compiled
@no_type_check
def _leave_out_unknown(y, u, v, bu, bv, beyond, seen):
    """Leave out the pixels of row y whose way back rests on a pixel where it is unknown."""
    T = u.dtype.type
    width = u.shape[1]
    for x in range(width):
        if seen[x]:
            px, py = T(x) + u[y, x], T(y) + v[y, x]
            left, top = np.int64(np.floor(px)), np.int64(np.floor(py))
            # What lies on a pixel rests on that one alone.
            for j in range(top, top + 1 + (py > T(top))):
                for i in range(left, left + 1 + (px > T(left))):
                    seen[x] &= (abs(bu[j, i]) < beyond) & (abs(bv[j, i]) < beyond)


@_compiled
@no_type_check
def _leave_out_beside_unknown(y, u, v, beyond, seen):
    height, width = u.shape
    above, below = max(y - 1, 0), min(y + 1, height - 1)
    for x in range(width):
        left, right = max(x - 1, 0), min(x + 1, width - 1)
        known = (abs(u[y, left]) < beyond) & (abs(u[y, right]) < beyond)
        known &= (abs(u[above, x]) < beyond) & (abs(u[below, x]) < beyond)
        known &= (abs(v[y, left]) < beyond) & (abs(v[y, right]) < beyond)
        seen[x] &= known & (abs(v[above, x]) < beyond) & (abs(v[below, x]) < beyond)
