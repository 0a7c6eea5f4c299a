"""Consistency of label maps over time: video consistency VC_n (He et al. 2021) and agreement along a warp."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.compiled import compilable
from stc_lab.geometry.threads import divided, run_jobs, threads_for
from stc_lab.geometry.warp import WarpedLabels
from stc_lab.metrics.streaming import MeanTally, NothingToMeasure


@dataclass(frozen=True)
class VideoScore:
    """A share of pixels, what it rests on, and where it comes from."""

    value: float  # 0..1
    support: int  # pixels counted; a pixel counts once in each window
    map: Float[Tensor, "*frames h w"] | None = None  # the share at each pixel; NaN where nothing was counted
    windows: Float64[Tensor, " n"] | None = None  # VC_n only: the share in each window; NaN where nothing was counted

    @property
    def tally(self) -> MeanTally:
        """Its part in the score of several videos: a mean over the windows for VC_n, else over pixels."""
        if self.windows is None:
            return MeanTally(self.value * self.support, self.support, self.support)
        return MeanTally(float(self.windows.nansum()), int((~self.windows.isnan()).sum()), self.support)


def video_consistency(
    prediction: Int64[Tensor, "t h w"],
    truth: Int64[Tensor, "t h w"],
    n: int,
    *,
    official: bool = False,
    ignore_index: int = 255,
) -> VideoScore:
    """VC_n of one video: where the truth keeps its class for n frames, does the prediction keep it too?

    A window of n frames counts the pixels whose truth is one class throughout (and not `ignore_index`); its score is
    the share of them predicted as that class throughout. Windows start at each of the t - n + 1 first frames; the value
    is the mean over those that count a pixel.

    He et al. 2021 print no formula: VC is to "evaluate the category consistency among long-range adjacent frames" of
    VSPW (Miao et al. 2021). We take the category to be the true one, so a prediction must be right, not merely steady.
    The script of VSPW, VC_perclip.py, which gives the published numbers, does otherwise in three ways, and
    `official=True` with it: the prediction need only be constant (a constant wrong map scores 1), the last window is
    dropped (t - n remain), and void counts as a class (`ignore_index` is not looked at). Compare with published values
    only what `official` gives. VSPW pools the windows of all videos: see `Stream` and `pool_scores`.

    The map is the share of windows, of those that count the pixel, in which it is consistent.
    Raises NothingToMeasure, an InputError, if the clip is too short for one window (n frames; n + 1 with `official`),
    or no window counts a pixel. For several n, `video_consistencies` reads the labels once.
    """
    return video_consistencies(prediction, truth, (n,), official=official, ignore_index=ignore_index)[n]


def video_consistencies(
    prediction: Int64[Tensor, "t h w"],
    truth: Int64[Tensor, "t h w"],
    lengths: Sequence[int] = (8, 16),
    *,
    official: bool = False,
    ignore_index: int = 255,
) -> dict[int, VideoScore]:
    """VC_n for each n of `lengths`, in one pass over the labels; see `video_consistency`."""
    if prediction.shape != truth.shape:
        raise InputError(
            f"prediction and truth must have the same shape, got {list(prediction.shape)} and {list(truth.shape)}"
        )
    if not lengths:
        raise InputError("lengths must hold at least one n, got none")
    frames, counts = len(truth), []
    for n in lengths:
        if n < 2:
            raise InputError(f"n must be at least 2 frames, got {n}")
        if frames < n + official:
            raise NothingToMeasure(
                f"VC_{n} needs at least {n + official} frames{' (official)' if official else ''}, got {frames}",
                hint="a short clip: VSPW leaves such videos out",
            )
        counts.append(frames - n if official else frames - n + 1)
    count = _windows if compilable(prediction, truth) else _windows_plain
    found = count(prediction, truth, lengths, counts, official, ignore_index)
    return {n: _score(n, *windows, ignore_index) for n, windows in zip(lengths, found, strict=True)}


def temporal_agreement(
    prediction_target: Int64[Tensor, "b h w"], warped: WarpedLabels, *, ignore_index: int = 255
) -> VideoScore:
    """Share of the visible pixels where the prediction and the neighbour's, warped into it, have the same label.

    A pixel with `ignore_index` on either side does not count, so true labels can be compared as well.
    Raises InputError if no pixel is usable.
    """
    if prediction_target.shape != warped.label.shape:
        raise InputError(
            f"prediction_target must have the shape of the warped labels {list(warped.label.shape)}, "
            f"got {list(prediction_target.shape)}"
        )
    usable = warped.visible & (warped.label != ignore_index) & (prediction_target != ignore_index)
    support = int(usable.sum())
    if support == 0:
        raise NothingToMeasure(
            "no usable pixel: warped.visible is False (or the label is ignored) everywhere",
            hint="the pose points the wrong way (the inverse of T_source_target), or the two frames do not overlap",
        )
    same = prediction_target == warped.label
    share = torch.where(usable, same.float(), torch.full_like(same, torch.nan, dtype=torch.float32))
    return VideoScore(int((same & usable).sum()) / support, support, share)


def pool_scores(scores: Sequence[VideoScore]) -> VideoScore:
    """One score for several videos or pairs: the mean over all windows for VC_n (as VSPW does), else over all pixels.

    So a long video weighs more than a short one. The pooled score has no map.
    """
    if not scores:
        raise InputError("scores must hold at least one score, got none", hint="every video was too short")
    support = sum(score.support for score in scores)
    of_windows = [score.windows for score in scores if score.windows is not None]
    if not of_windows:
        return VideoScore(sum(score.value * score.support for score in scores) / support, support)
    if len(of_windows) < len(scores):
        raise InputError("scores of windows (VC_n) and of pixels cannot be pooled")
    windows = torch.cat(of_windows)
    return VideoScore(float(windows.nanmean()), support, windows=windows)


_Windows = tuple[Tensor, Tensor, Tensor, Tensor]  # seen, kept [windows]; seen, kept [h, w]


def _score(n: int, seen: Tensor, kept: Tensor, seen_at: Tensor, kept_at: Tensor, ignore: int) -> VideoScore:
    support = int(seen.sum())
    if support == 0:
        raise NothingToMeasure(
            f"no usable pixel: in no window of {n} frames does any pixel keep its true class",
            hint=f"fast motion, or labels that are all {ignore}",
        )
    windows = kept.double() / seen  # 0 / 0 = NaN: nothing counted
    return VideoScore(float(windows.nanmean()), support, kept_at.float() / seen_at, windows)


def _windows(
    prediction: Tensor, truth: Tensor, lengths: Sequence[int], counts: Sequence[int], official: bool, ignore: int
) -> list[_Windows]:
    from stc_lab.metrics.kernels import count_windows

    frames, height, width = truth.shape
    threads = threads_for(truth.numel())
    work = divided(1, height * width, threads)
    sums = torch.zeros(2, len(work), len(lengths), frames, dtype=torch.int64)
    maps = torch.zeros(2, len(lengths), height * width, dtype=torch.int32)
    labels = [value.flatten(1).contiguous().numpy() for value in (truth, prediction)]
    sizes = np.array(lengths), np.array(counts)
    results = [*sums.numpy(), *maps.numpy()]
    fits = [-(2**31) <= ignore < 2**31]

    def count(part: np.ndarray) -> None:
        fits.append(bool(count_windows(part, *labels, *sizes, official, ignore, *results)))

    run_jobs(count, work, threads)
    if not all(fits):
        return _windows_plain(prediction, truth, lengths, counts, official, ignore)
    seen, kept = sums.sum(dim=1)
    seen_at, kept_at = maps.unflatten(2, (height, width))
    return [(seen[k, :count], kept[k, :count], seen_at[k], kept_at[k]) for k, count in enumerate(counts)]


def _windows_plain(
    prediction: Tensor, truth: Tensor, lengths: Sequence[int], counts: Sequence[int], official: bool, ignore: int
) -> list[_Windows]:
    """The same in plain tensor operations, window by window."""
    found = []
    same_truth, same = (value[1:] == value[:-1] for value in (truth, prediction))
    for n, count in zip(lengths, counts, strict=True):
        seen, kept = (value.unfold(0, n - 1, 1).all(dim=-1)[:count] for value in (same_truth, same))
        if not official:
            seen = seen & (truth[:count] != ignore)
            kept = kept & (prediction[:count] == truth[:count])
        kept = kept & seen
        found.append((seen.flatten(1).sum(dim=1), kept.flatten(1).sum(dim=1), seen.sum(dim=0), kept.sum(dim=0)))
    return found
