"""The loops of the measures, compiled for the CPU: labels are read once, and nothing of their size is written."""

from typing import no_type_check

import numba
import numpy as np

_STRIP = 4096  # px: what is kept of each fills less than the second-level cache
_BLOCK = 64  # px: with 60 frames each, about 30 kB

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@_compiled
@no_type_check
def count_pairs(truth, prediction, k, ignore, counts):
    """Add the pairs (truth, prediction) of flat label maps to `counts` [k * k]; returns how many ids are no class."""
    classes, wrong = np.uint64(k), 0
    for i in range(len(truth)):
        t, p, counted = np.uint64(truth[i]), np.uint64(prediction[i]), truth[i] != ignore
        if (t < classes) & (p < classes) & counted:  # negative ids are large ones here
            counts[t * classes + p] += 1
        elif counted:
            wrong += 1
    return wrong


@_compiled
@no_type_check
def count_windows(work, truth, prediction, lengths, windows, official, ignore, seen, kept, seen_at, kept_at):
    """Windows in which the truth keeps its class, and in which the prediction does so too, for each of `lengths`.

    truth, prediction [t, pixels]; `windows` how many there are of each length; seen, kept [jobs, lengths, t] sums over
    the pixels of a job, seen_at, kept_at [lengths, pixels] sums over the windows. A pixel's run is the number of frames
    up to this one in which nothing changed: a window of n frames is steady where the run is at least n.
    Works in 32 bits, of which a vector holds twice as many. Returns False, and nothing of use, if an id has more.
    """
    fits = True
    runs, rows = np.empty((2, _STRIP), np.int32), np.zeros((2, 2, _STRIP), np.int32)
    for job in range(len(work)):
        part = work[job, 3]
        for first in range(work[job, 1], work[job, 2], _STRIP):
            last = min(first + _STRIP, work[job, 2])
            n = last - first
            run_truth, run_kept = runs[0, :n], runs[1, :n]
            run_truth[:], run_kept[:] = 0, 0
            for j in range(len(truth)):
                t, t_before, p, p_before = (
                    rows[0, j & 1, :n],
                    rows[0, ~j & 1, :n],
                    rows[1, j & 1, :n],
                    rows[1, ~j & 1, :n],
                )
                fits &= _narrowed(truth[j, first:last], t)
                fits &= _narrowed(prediction[j, first:last], p)
                if official:
                    _lengthen_each(t, t_before, run_truth)
                    _lengthen_each(p, p_before, run_kept)
                else:
                    _lengthen(t, t_before, p, np.int32(ignore), run_truth, run_kept)
                for k in range(len(lengths)):
                    window = j - lengths[k] + 1
                    if 0 <= window < windows[k]:
                        a, b = _reach(
                            run_truth, run_kept, np.int32(lengths[k]), seen_at[k, first:last], kept_at[k, first:last]
                        )
                        seen[part, k, window] += a
                        kept[part, k, window] += b
    return fits


@_compiled
@no_type_check
def _narrowed(row, out):
    lost = 0
    for x in range(len(row)):
        out[x] = np.int32(row[x])
        lost |= row[x] ^ out[x]
    return lost == 0


@_compiled
@no_type_check
def _lengthen(t, t_before, p, ignore, run_truth, run_kept):
    for x in range(len(t)):
        same, usable = t[x] == t_before[x], t[x] != ignore
        run_truth[x] = (run_truth[x] * same + 1) * usable
        run_kept[x] = (run_kept[x] * same + 1) * (usable & (p[x] == t[x]))


@_compiled
@no_type_check
def _lengthen_each(row, before, run):
    for x in range(len(row)):
        run[x] = run[x] * (row[x] == before[x]) + 1


@_compiled
@no_type_check
def _reach(run_truth, run_kept, length, seen_at, kept_at):
    seen, kept = 0, 0
    for x in range(len(run_truth)):
        is_seen = run_truth[x] >= length
        is_kept = is_seen & (run_kept[x] >= length)
        seen_at[x] += is_seen
        kept_at[x] += is_kept
        seen += is_seen
        kept += is_kept
    return seen, kept


@_compiled
@no_type_check
def count_differences(work, labels_a, labels_b, flow, visible, ignore, beyond, seen, changed, totals):
    """Where the label of a and the one that its pixel meets in b differ: adds to maps `seen`, `changed` [h, w].

    flow [2, h, w], px from a to b; the nearest pixel is met, as by `sample_labels`. `beyond` is the least flow that
    means unknown. totals [jobs, 2]: pixels seen, and changed.
    """
    height, width = labels_b.shape
    T = flow.dtype.type
    zero, end_x, end_y = T(0), T(width - 1), T(height - 1)
    for job in range(len(work)):
        all_seen, all_changed = 0, 0
        for y in range(work[job, 1], work[job, 2]):
            for x in range(labels_a.shape[1]):
                u, v = flow[0, y, x], flow[1, y, x]
                if not (visible[y, x] and abs(u) < beyond and abs(v) < beyond):
                    continue
                u, v = T(x) + u, T(y) + v
                if not (u >= zero and u <= end_x and v >= zero and v <= end_y):
                    continue
                here, there = labels_a[y, x], labels_b[np.int64(np.rint(v)), np.int64(np.rint(u))]
                if here == ignore or there == ignore:
                    continue
                differ = here != there
                seen[y, x] += 1
                changed[y, x] += differ
                all_seen += 1
                all_changed += differ
        totals[work[job, 3], 0] += all_seen
        totals[work[job, 3], 1] += all_changed


@_compiled
@no_type_check
def elect_over_time(work, labels, until, ranges, classes, ignore, tie, elected, distance):
    """The label with most votes at each pixel: labels, elected, distance [t, pixels], ids below `classes`.

    until [t, t + 1]: of each election (row), the votes of all frames before this one (column), which grow within
    `ranges` [t, 2] alone. Votes within `tie` of the most are even, and the lowest label has it. Where a label is
    `ignore`, it stays, and has no vote. Runs of frames with one label vote together. `distance`: half the squared
    distance between the shares of the votes and the own label's one-hot.
    """
    frames = len(labels)
    votes, block = np.zeros(classes), np.empty((_BLOCK, frames), labels.dtype)
    starts, run_of = np.empty(frames + 1, np.int64), np.empty(frames, np.int64)
    for job in range(len(work)):
        for first in range(work[job, 1], work[job, 2], _BLOCK):
            last = min(first + _BLOCK, work[job, 2])
            for t in range(frames):  # a pixel's frames lie far apart: they are brought together for some pixels
                for x in range(first, last):
                    block[x - first, t] = labels[t, x]
            for x in range(first, last):
                own, runs = block[x - first], 0
                for t in range(frames):
                    if t == 0 or own[t] != own[t - 1]:
                        starts[runs] = t
                        runs += 1
                    run_of[t] = runs - 1
                starts[runs] = frames
                for t in range(frames):
                    start, stop = run_of[ranges[t, 0]], run_of[ranges[t, 1] - 1] + 1
                    if own[t] != ignore and stop - start > 1:  # else `elected` holds the label already
                        run = starts[start : stop + 1]
                        elected[t, x], distance[t, x] = _elect(own, own[t], run, until[t], ignore, tie, votes)


@_compiled
@no_type_check
def _elect(labels, own, starts, until, ignore, tie, votes):
    """The winner of one election among runs, and the distance; `votes` is all zero before and after it."""
    most, total, winner, distance = 0.0, 0.0, len(votes), 0.0
    for run in range(len(starts) - 1):
        label = labels[starts[run]]
        if label != ignore:
            share = until[starts[run + 1]] - until[starts[run]]
            votes[label] += share
            total += share
            most = max(most, votes[label])
    for run in range(len(starts) - 1):
        label = labels[starts[run]]
        if label != ignore and label < winner and votes[label] >= most - tie:
            winner = label
    for run in range(len(starts) - 1):
        label = labels[starts[run]]
        if label != ignore and votes[label] > 0:
            distance += (votes[label] / total - (label == own)) ** 2 / 2
            votes[label] = 0.0
    return winner, distance
