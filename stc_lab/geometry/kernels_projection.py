"""The loops of the projection, compiled for the CPU: where pixels lie in the other camera, and the way back.

Shapes: depth [b, h, w], motion [b, 3, 4] and change [b, 5] (`reproject.PixelMotion`), all of one dtype, float32 or
float64. `work` [jobs, 4] has a row for each job: the item of the batch, the range of its rows, and the job's number.
`reach` is (MIN_DEPTH, FARTHEST), given and not imported: compiled code is kept on disk, and only an edit of its own
file renews it. `kernels_sampling` compiles `locate_rows` into its own: after an edit here, touch that file too.
"""

from typing import no_type_check

import numba
import numpy as np

from stc_lab.geometry.team import run_on_team

BEHIND, UNKNOWN, SEEN = 0, 1, 2  # the camera does not see the point; the depth says nothing; there is a place

# Neither "nnan" nor "ninf" among these: comparisons with NaN decide what is visible.
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})


@_compiled
@no_type_check
def locate_rows(work, size, depth, motion, change, reach, depth_source, relative, absolute, pixels, found, visible):
    """Fill rows [start, stop) of items: positions in a source of `size`, whether there is one, and whether it is seen.

    An empty `depth_source` tests no occlusion.
    """
    z = np.empty(depth.shape[2], depth.dtype)
    for job in range(len(work)):
        item, u, v = work[job, 0], pixels[work[job, 0], 0], pixels[work[job, 0], 1]
        for y in range(work[job, 1], work[job, 2]):
            _locate(y, depth[item, y], motion[item], change[item], reach, u[y], v[y], z, found[item, y])
            _see(u[y], v[y], z, found[item, y], size, depth_source[item], relative, absolute, visible[item, y])


@_compiled
@no_type_check
def locate_back(work, depth, motion, change, found, d_pixels, d_depth, sums):
    """Gradients of the positions: of the depth of rows [start, stop) of items, and each row's part of the others.

    `sums` [b, h, 17] holds, in double precision, what a row adds to motion (by rows, 12) and to change (5): whoever
    computes a row, their sum is the same.
    """
    for job in range(len(work)):
        item, du, dv = work[job, 0], d_pixels[work[job, 0], 0], d_pixels[work[job, 0], 1]
        for y in range(work[job, 1], work[job, 2]):
            row = depth[item, y], found[item, y], du[y], dv[y]
            _chain(y, *row, motion[item], change[item], d_depth[item, y], sums[item, y])


@_compiled
@no_type_check
def locate_back_on_team(parallel, threads, work, arguments):
    return run_on_team(parallel, threads, locate_back, work, arguments)


@_compiled
@no_type_check
def _locate(y, depth, motion, change, reach, u, v, z, found):
    """Where the pixels of row y lie in the source, (u, v), their z there, and whether they are found at all.

    A pixel that is not, for its depth is unknown or it falls behind the camera, is given its own position.
    """
    T = depth.dtype.type
    one, fy, (nearest, farthest) = T(1), T(y), reach
    for x in range(len(depth)):
        fx, d = T(x), depth[x]
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
        u[x] = px if real else fx
        v[x] = py if real else fy
        z[x] = here
        found[x] = SEEN if real else (BEHIND if known else UNKNOWN)


@_compiled
@no_type_check
def _see(u, v, z, found, size, depth_source, relative, absolute, visible):
    """Which pixels the source sees: found, inside, and no other surface at the nearest pixel of the source's depth."""
    height, width = size
    for k in range(len(u)):
        seen = (found[k] == SEEN) & (u[k] >= 0) & (u[k] <= width - 1) & (v[k] >= 0) & (v[k] <= height - 1)
        if seen and depth_source.size > 0:
            other = depth_source[int(np.rint(v[k])), int(np.rint(u[k]))]
            seen = (other > 0) & (abs(z[k] - other) < relative * z[k] + absolute)
        visible[k] = seen


@_compiled
@no_type_check
def _chain(y, depth, found, du, dv, motion, change, d_depth, sums):
    """From positions of row y back to depth, motion and change of intrinsics: the derivative of `_locate`."""
    T = depth.dtype.type
    zero, one, fy = T(0), T(1), T(y)
    x_x, x_1, x_t, y_x, y_1, y_t, z_x, z_1, z_t = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    u_x, v_y, u_y, u_1, v_1 = 0.0, 0.0, 0.0, 0.0, 0.0
    for x in range(len(depth)):
        seen = found[x] == SEEN  # no branch: where it is not, everything is finite and has no gradient
        fx, d, gu, gv = T(x), depth[x] if seen else one, du[x] if seen else zero, dv[x] if seen else zero
        along = motion[2, 0] * fx + motion[2, 1] * fy + motion[2, 2]
        here = (along + one) * d + motion[2, 3]
        over = one / (here if seen else one)
        turned_x = motion[0, 0] * fx + motion[0, 1] * fy + motion[0, 2] - fx * along
        turned_y = motion[1, 0] * fx + motion[1, 1] * fy + motion[1, 2] - fy * along
        dx = (turned_x * d + (motion[0, 3] - fx * motion[2, 3])) * over
        dy = (turned_y * d + (motion[1, 3] - fy * motion[2, 3])) * over
        u_x, u_y, v_y = u_x + gu * (dx + fx), u_y + gu * (dy + fy), v_y + gv * (dy + fy)
        u_1, v_1 = u_1 + gu, v_1 + gv
        gx, gy = gu * change[0] * over, (gu * change[2] + gv * change[1]) * over
        gz = -(gx * dx + gy * dy)
        d_depth[x] = gx * turned_x + gy * turned_y + gz * (along + one)
        gz -= gx * fx + gy * fy
        x_x, x_1, x_t = x_x + gx * d * fx, x_1 + gx * d, x_t + gx
        y_x, y_1, y_t = y_x + gy * d * fx, y_1 + gy * d, y_t + gy
        z_x, z_1, z_t = z_x + gz * d * fx, z_1 + gz * d, z_t + gz
    sums[0], sums[1], sums[2], sums[3] = x_x, x_1 * y, x_1, x_t
    sums[4], sums[5], sums[6], sums[7] = y_x, y_1 * y, y_1, y_t
    sums[8], sums[9], sums[10], sums[11] = z_x, z_1 * y, z_1, z_t
    sums[12], sums[13], sums[14], sums[15], sums[16] = u_x, v_y, u_y, u_1, v_1
