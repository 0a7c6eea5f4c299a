"""The guided filter on a boundary: a window to look at, what the filter changes there, and what it costs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.flicker import Flicker, flicker_of
from stc_lab.experiments.smoothing_front import Smoothing, estimated_flows, smoothed_labels
from stc_lab.filters import confidence_weights, guided_filter_3d
from stc_lab.metrics.boundaries import label_boundaries
from stc_lab.models import Segmenter

IGNORE = 255
NEAR = 3  # px: how far from a true boundary counts as near


@dataclass(frozen=True)
class Window:
    """A part of one frame."""

    frame: int
    rows: slice
    columns: slice


def near_boundaries(truth: Int64[Tensor, "t h w"], distance: int = NEAR) -> Bool[Tensor, "t h w"]:
    """Which pixels lie within so many px (rows or columns, the larger) of a boundary between true labels."""
    edges = label_boundaries(truth, ignore_index=IGNORE)[:, None].float()
    side = 2 * distance + 1
    return F.max_pool2d(edges, side, 1, distance)[:, 0] > 0


def doubtful_window(
    labels: Int64[Tensor, "t h w"], truth: Int64[Tensor, "t h w"], *, height: int = 32, width: int = 48
) -> Window:
    """The window in which the net is right away from true boundaries and wrong near them: the largest gap of the two.

    Each kind of pixel makes up a quarter of the window at least, where any window has that. It is where a filter that
    looks for edges has most to do, and none is asked.
    """
    h, w = truth.shape[1:]
    if height > h or width > w:
        raise InputError(f"a window of {height} x {width} px does not fit into {h} x {w} px")
    near, known = near_boundaries(truth), truth != IGNORE
    right = labels == truth
    masks = (near & known, ~near & known, near & known & right, ~near & known & right)
    shares = F.avg_pool2d(torch.stack(masks, dim=1).double(), (height, width), stride=1)
    near_share, far_share, near_right, far_right = shares.unbind(dim=1)
    gap = far_right / far_share - near_right / near_share
    gap = torch.where((near_share >= 0.25) & (far_share >= 0.25), gap, -2.0).nan_to_num(-2.0)
    place = int(gap.argmax())
    per_frame, across = gap[0].numel(), gap.shape[2]
    frame, top, left = place // per_frame, place % per_frame // across, place % across
    return Window(frame, slice(top, top + height), slice(left, left + width))


@dataclass(frozen=True)
class Refined:
    """A window after the filter."""

    labels: Int64[Tensor, "h w"]
    confidence: Float[Tensor, "h w"]  # 0.01..1: the filter's weight of the class that the net believes
    milliseconds: float  # that the filter took, of processor time


def refine_window(
    flicker: Flicker, window: Window, *, radius: int, temporal_radius: int, eps: float, weighted: bool = True
) -> Refined:
    """What `guided_filter_3d` of the whole clip gives in a window, from as much of the clip as that depends on."""
    frames, _, height, width = flicker.probabilities.shape
    # A pixel takes the mean of windows around it, which reach as far again.
    times = slice(max(0, window.frame - 2 * temporal_radius), min(frames, window.frame + 2 * temporal_radius + 1))
    rows, columns = _widened(window.rows, 2 * radius, height), _widened(window.columns, 2 * radius, width)
    probabilities = flicker.probabilities[times, :, rows, columns]
    confidence = confidence_weights(probabilities)
    began = time.process_time()
    filtered = guided_filter_3d(
        flicker.clip.image[times, :, rows, columns],
        probabilities,
        radius=radius,
        temporal_radius=temporal_radius,
        eps=eps,
        weights=confidence if weighted else None,
    )
    took = time.process_time() - began
    here = (window.frame - times.start, slice(None), _within(window.rows, rows), _within(window.columns, columns))
    believed = probabilities[here].argmax(dim=0, keepdim=True)
    return Refined(filtered[here].argmax(dim=0), confidence[here].gather(0, believed)[0], 1000 * took)


@dataclass(frozen=True)
class BoundaryScore:
    """Shares of right labels, 0..1."""

    near: float  # within NEAR px of a true boundary
    far: float  # elsewhere


def boundary_scores(
    model: Segmenter, videos: Videos, smoothings: Sequence[Smoothing], *, distance: int = NEAR
) -> dict[str, BoundaryScore]:
    """Is it the boundary that a filter mends? Accuracy near true boundaries and away from them, by smoothing."""
    counts = {smoothing: torch.zeros(2, 2, dtype=torch.int64) for smoothing in smoothings}
    for name in videos.names:
        flicker = flicker_of(model, videos.clip(name))
        near, known = near_boundaries(flicker.truth, distance), flicker.truth != IGNORE
        flows = {False: flicker.flows}
        if any(smoothing.estimated for smoothing in smoothings):
            flows[True] = estimated_flows(flicker.clip)
        for smoothing, count in counts.items():
            labels = smoothed_labels(flicker.probabilities, flicker.clip.image, flows[smoothing.estimated], smoothing)
            right = labels == flicker.truth
            for i, where in enumerate((known & near, known & ~near)):
                count[i] += torch.stack([(right & where).sum(), where.sum()])
    return {
        smoothing.name: BoundaryScore(*(right / max(seen, 1) for right, seen in count.tolist()))
        for smoothing, count in counts.items()
    }


def smoothing_costs(
    model: Segmenter, flicker: Flicker, smoothings: Sequence[Smoothing], *, rounds: int = 1
) -> dict[str, float]:
    """Processor time of the net and of each smoothing, ms a frame on the machine at hand: the median of some rounds.

    Along an estimated flow its estimation counts; the exact one comes for nothing and stands for no cost at all.
    """
    images, frames = flicker.clip.image, len(flicker.clip)

    def smooth(smoothing: Smoothing) -> Tensor:
        flows = estimated_flows(flicker.clip) if smoothing.estimated else flicker.flows
        return smoothed_labels(flicker.probabilities, images, flows, smoothing)

    def label() -> Tensor:
        with torch.no_grad():
            return model(images).argmax(dim=1)

    jobs: dict[str, Callable[[], Tensor]] = {"the net itself": label}
    jobs |= {smoothing.name: partial(smooth, smoothing) for smoothing in smoothings}
    for job in jobs.values():
        job()  # compiles, and brings everything into memory
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            began = time.process_time()
            job()
            spent[name].append(1000 * (time.process_time() - began) / frames)
    return {name: sorted(times)[len(times) // 2] for name, times in spent.items()}


def _widened(part: slice, by: int, size: int) -> slice:
    return slice(max(0, part.start - by), min(size, part.stop + by))


def _within(part: slice, outer: slice) -> slice:
    return slice(part.start - outer.start, part.stop - outer.start)
