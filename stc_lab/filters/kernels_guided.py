"""The loops of the guided filter, compiled for the CPU.

A job is a range of frames and a range of classes. It goes through time with running sums over the frames of a window,
and in each frame through the rows with running sums over its rows and columns: the work does not grow with the window.
In front of the frames it writes it computes linear models (slopes and offset, [c + 2, h, w] with whether they count),
keeps those of one window's frames in a ring, and sums these in turn.

Shapes: guide [t, c, h, w], signal and result [t, k, h, w], weights [t, 1 or k, h, w], all float32 or all float64;
sums and models are float64, guide and signal taken around `centres` [c + k]. `work` [jobs, 4] has a row for each job:
first and last frame, first and last class. `radii` are those in time and in space. A plane [h, w] is visited as one
row of pixels where its shape does not matter.

The lower triangle of a symmetric matrix [c, c] lies row after row. `windows` [2 + c + c (c + 1) / 2, h, w] holds what
guide and weights alone say of each window: whether it has any weight, 1 over its weight, the means of the guide, and
the factors of its covariance + eps = L D L^T, with 1 / D on the diagonal.
"""

from typing import no_type_check

import numba
import numpy as np

# Neither "nnan" nor "ninf" among these: what has no weight may be no number.
_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})


@_compiled
@no_type_check
def filter_jobs(work, guide, signal, weights, centres, radii, eps, result):
    """Fill frames [start, stop) of classes [first, last) of `result`."""
    frames, c, h, w = guide.shape
    temporal, spatial = radii
    shared = weights.shape[1] == 1
    triangle = c * (c + 1) // 2
    guide_sums, signal_sums = np.empty((2 + c + triangle, h, w)), np.empty((1 + c, h, w))
    models, model_sums = np.empty((2 * temporal + 1, c + 2, h, w)), np.empty((c + 2, h, w))
    rows = np.empty((2, 2 + c + triangle, w))
    for job in range(len(work)):
        start, stop = work[job, 0], work[job, 1]
        begin, end = max(0, start - temporal), min(frames, stop + temporal)
        windows = np.empty((end - begin if shared else 1, 2 + c + triangle, h, w))
        if shared:
            for t in range(begin, end):
                _slide_guide(guide_sums, guide, weights, 0, centres, t, t == begin, temporal)
                _factorise(guide_sums, c, spatial, eps, rows, windows[t - begin])
        for k in range(work[job, 2], work[job, 3]):
            model_sums[:] = 0
            for t in range(begin, stop + temporal):
                model = models[t % len(models)]
                if t - len(models) >= begin:
                    _add(model_sums, model, -1.0)
                if t < end:
                    if not shared:
                        _slide_guide(guide_sums, guide, weights, k, centres, t, t == begin, temporal)
                        _factorise(guide_sums, c, spatial, eps, rows, windows[0])
                    channels = (k, 0 if shared else k)
                    _slide_signal(signal_sums, guide, signal, weights, channels, centres, t, t == begin, temporal)
                    _solve(signal_sums, spatial, rows, windows[t - begin if shared else 0], model)
                    _add(model_sums, model, 1.0)
                if t - temporal >= start:
                    done = t - temporal
                    _predict(
                        model_sums,
                        spatial,
                        rows,
                        guide[done],
                        signal[done, k],
                        centres,
                        centres[c + k],
                        result[done, k],
                    )


@_compiled
@no_type_check
def _slide_guide(sums, guide, weights, channel, centres, t, fresh, radius):
    """Move the sums over a window's frames to the one around frame t, by the frames that come and go."""
    first, last, gone = _moved(t, fresh, radius, len(guide))
    if fresh or radius == 0:
        sums[:] = 0
    for s in range(first, last):
        _add_guide(sums, guide[s], weights[s, channel], centres, 1.0)
    if gone >= 0:
        _add_guide(sums, guide[gone], weights[gone, channel], centres, -1.0)


@_compiled
@no_type_check
def _slide_signal(sums, guide, signal, weights, channels, centres, t, fresh, radius):
    """The same of the sums with a channel of the signal; `channels` are its own and that of its weights."""
    k, of_weights = channels
    centre = centres[guide.shape[1] + k]
    first, last, gone = _moved(t, fresh, radius, len(guide))
    if fresh or radius == 0:
        sums[:] = 0
    for s in range(first, last):
        _add_signal(sums, guide[s], signal[s, k], weights[s, of_weights], centres, centre, 1.0)
    if gone >= 0:
        _add_signal(sums, guide[gone], signal[gone, k], weights[gone, of_weights], centres, centre, -1.0)


@_compiled
@no_type_check
def _moved(t, fresh, radius, frames):
    """The range of frames that come when a window moves to frame t, and the frame that goes, or -1.

    A fresh window starts from nothing, and so does one of a single frame: that is half the work and does not round.
    """
    stop = min(frames, t + radius + 1)
    if fresh or radius == 0:
        return max(0, t - radius), stop, -1
    return t + radius, stop, t - radius - 1


@_compiled
@no_type_check
def _add_guide(sums, guide, weights, centres, sign):
    """Add one frame's pixels that count, weights, and weighted guide and products of the guide."""
    c = len(guide)
    weight = weights.reshape(-1)
    count, total = sums[0].reshape(-1), sums[1].reshape(-1)
    for p in range(len(weight)):
        count[p] += sign if weight[p] > 0 else 0.0
        total[p] += sign * weight[p]
    for i in range(c):
        one, centre = guide[i].reshape(-1), centres[i]
        first = sums[2 + i].reshape(-1)
        for p in range(len(weight)):
            first[p] += sign * weight[p] * (one[p] - centre)
        for j in range(i + 1):
            other, other_centre = guide[j].reshape(-1), centres[j]
            second = sums[2 + c + i * (i + 1) // 2 + j].reshape(-1)
            for p in range(len(weight)):
                second[p] += sign * weight[p] * (one[p] - centre) * (other[p] - other_centre)


@_compiled
@no_type_check
def _add_signal(sums, guide, signal, weights, centres, centre, sign):
    """Add one frame's weighted signal and its products with the guide; a signal without weight is not looked at."""
    weight, value = weights.reshape(-1), signal.reshape(-1)
    first = sums[0].reshape(-1)
    for p in range(len(weight)):
        first[p] += sign * weight[p] * (value[p] - centre) if weight[p] > 0 else 0.0
    for i in range(len(guide)):
        one, its_centre = guide[i].reshape(-1), centres[i]
        second = sums[1 + i].reshape(-1)
        for p in range(len(weight)):
            product = sign * weight[p] * (value[p] - centre) * (one[p] - its_centre)
            second[p] += product if weight[p] > 0 else 0.0


@_compiled
@no_type_check
def _add(sums, values, sign):
    total, value = sums.reshape(-1), values.reshape(-1)
    for p in range(len(total)):
        total[p] += sign * value[p]


@_compiled
@no_type_check
def _window_row(sums, y, radius, columns, row):
    """Sums of the windows around the pixels of row y; `columns`, over a window's rows, must come from row y - 1."""
    planes, height = sums.shape[:2]
    comes, goes = y + radius < height, y - radius - 1 >= 0
    for j in range(planes):
        column = columns[j]
        if y == 0:
            column[:] = 0
            for s in range(min(radius + 1, height)):
                _add(column, sums[j, s], 1.0)
        elif comes and goes:
            new, old = sums[j, y + radius], sums[j, y - radius - 1]
            for x in range(len(column)):
                column[x] += new[x] - old[x]
        elif comes:
            _add(column, sums[j, y + radius], 1.0)
        elif goes:
            _add(column, sums[j, y - radius - 1], -1.0)
    for j in range(0, planes, 2):
        k = min(j + 1, planes - 1)
        _window_lines(columns[j], columns[k], radius, row[j], row[k])


@_compiled
@no_type_check
def _window_lines(one, two, radius, line_one, line_two):
    """Sums of the windows of two lines.

    Two at once, for each addition waits for the one before it; in stretches, to spare a branch at each value.
    """
    width = len(one)
    a, b = 0.0, 0.0
    for x in range(min(radius, width)):
        a, b = a + one[x], b + two[x]
    filled, emptied = min(radius + 1, width), max(width - radius, 0)
    for x in range(min(filled, emptied)):
        a, b = a + one[x + radius], b + two[x + radius]
        line_one[x], line_two[x] = a, b
    for x in range(filled, emptied):
        a, b = a + (one[x + radius] - one[x - radius - 1]), b + (two[x + radius] - two[x - radius - 1])
        line_one[x], line_two[x] = a, b
    for x in range(emptied, filled):
        line_one[x], line_two[x] = a, b
    for x in range(max(filled, emptied), width):
        a, b = a - one[x - radius - 1], b - two[x - radius - 1]
        line_one[x], line_two[x] = a, b


@_compiled
@no_type_check
def _factorise(sums, c, radius, eps, rows, windows):
    """What the guide says of each window of a frame, from sums over the window's frames."""
    width = sums.shape[2]
    for y in range(sums.shape[1]):
        row = rows[1]
        _window_row(sums, y, radius, rows[0], row)
        usable, share = windows[0, y], windows[1, y]
        for x in range(width):
            usable[x] = 1.0 if row[0, x] > 0.5 else 0.0
            share[x] = 1.0 / row[1, x] if row[0, x] > 0.5 else 0.0
        for i in range(c):
            mean, total = windows[2 + i, y], row[2 + i]
            for x in range(width):
                mean[x] = total[x] * share[x]
        for i in range(c):
            for j in range(i + 1):
                place = 2 + c + i * (i + 1) // 2 + j
                left, total, mean, other = windows[place, y], row[place], windows[2 + i, y], windows[2 + j, y]
                for x in range(width):
                    left[x] = total[x] * share[x] - mean[x] * other[x]
        _decompose(windows[2 + c :, y], c, eps)


@_compiled
@no_type_check
def _decompose(left, c, eps):
    """L D L^T of a row of matrices + eps, in place."""
    for i in range(c):
        pivot = left[i * (i + 1) // 2 + i]
        for x in range(left.shape[1]):
            # Exactly, no pivot of a covariance plus eps is smaller than eps: rounding alone makes one so.
            pivot[x] = 1.0 / max(pivot[x] + eps, eps)
        for j in range(i + 1, c):
            below = left[j * (j + 1) // 2 + i]
            for m in range(i + 1, j + 1):
                other, target = left[m * (m + 1) // 2 + i], left[j * (j + 1) // 2 + m]
                for x in range(left.shape[1]):
                    target[x] -= below[x] * other[x] * pivot[x]
        for j in range(i + 1, c):
            below = left[j * (j + 1) // 2 + i]
            for x in range(left.shape[1]):
                below[x] *= pivot[x]


@_compiled
@no_type_check
def _solve(sums, radius, rows, windows, model):
    """Slopes, offset and whether it counts, of each window of a frame."""
    c, width = len(sums) - 1, sums.shape[2]
    for y in range(sums.shape[1]):
        row = rows[1]
        _window_row(sums, y, radius, rows[0], row)
        share, means, factors = windows[1, y], windows[2 : 2 + c, y], windows[2 + c :, y]
        slopes, offset = model[:c, y], model[c, y]
        for x in range(width):
            offset[x] = row[0, x] * share[x]
        for i in range(c):
            for x in range(width):
                slopes[i, x] = row[1 + i, x] * share[x] - offset[x] * means[i, x]
            for j in range(i):
                lower = factors[i * (i + 1) // 2 + j]
                for x in range(width):
                    slopes[i, x] -= lower[x] * slopes[j, x]
        for i in range(c - 1, -1, -1):
            pivot = factors[i * (i + 1) // 2 + i]
            for x in range(width):
                slopes[i, x] *= pivot[x]
            for j in range(i + 1, c):
                lower = factors[j * (j + 1) // 2 + i]
                for x in range(width):
                    slopes[i, x] -= lower[x] * slopes[j, x]
        for i in range(c):
            for x in range(width):
                offset[x] -= slopes[i, x] * means[i, x]
        model[c + 1, y] = windows[0, y]


@_compiled
@no_type_check
def _predict(sums, radius, rows, guide, signal, centres, centre, result):
    """The mean of what the windows around each pixel predict for it; its own value where there is none."""
    c, width = len(guide), sums.shape[2]
    for y in range(sums.shape[1]):
        row = rows[1]
        _window_row(sums, y, radius, rows[0], row)
        value, counted = row[c], row[c + 1]
        for i in range(c):
            for x in range(width):
                value[x] += row[i, x] * (guide[i, y, x] - centres[i])
        for x in range(width):
            result[y, x] = value[x] / counted[x] + centre if counted[x] > 0.5 else signal[y, x]
