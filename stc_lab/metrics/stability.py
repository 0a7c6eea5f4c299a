"""How steady labels are in time: E_smooth, E_pair and E_cons of Azulay et al. 2021. Lower is steadier."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_labels
from stc_lab.geometry.compiled import compilable
from stc_lab.geometry.flow import UNKNOWN_FLOW, lifted, warp_labels_by_flow
from stc_lab.geometry.threads import divided, run_jobs, threads_for
from stc_lab.losses.stability import PairFlows, all_pairs
from stc_lab.metrics.boundaries import BoundaryMode, boundary_counts
from stc_lab.metrics.streaming import MeanTally, NothingToMeasure
from stc_lab.metrics.votes import distance_over_time, vote_over_time

Normalisation = Literal["none", "sqrt_object", "boundary"]
Form = Literal["labels", "shares"]
FlowsOfPair = Callable[[int, int], PairFlows]  # frames p < q -> their flows, both ways


@dataclass(frozen=True)
class StabilityScore:
    """A measure of unsteadiness, what it rests on, and where it comes from."""

    value: float  # lower is steadier
    support: int  # comparisons of a pixel
    map: Float32[Tensor, "t h w"]  # share of a pixel's comparisons that found another label; NaN: not compared
    terms: Float64[Tensor, " n"]  # what is summed or averaged, before N: of each frame, direction or pair
    normaliser: float  # N, 1 if none
    pairs: tuple[tuple[int, int], ...] = ()  # E_cons: of the terms, without those that have no visible pixel

    @property
    def tally(self) -> MeanTally:
        """Its part in the score of several videos: each counts once."""
        return MeanTally(self.value, 1, self.support)


def object_sizes(
    labels: Int64[Tensor, "t h w"],
    normalise: Normalisation = "boundary",
    *,
    boundary: BoundaryMode = "thick",
    background: int = 0,
    ignore_index: int = 255,
) -> Float64[Tensor, " t"]:
    """The size N of each frame's objects: 1, the square root of their pixels, or the pixels on their boundaries.

    "Boundary pixels" have no definition in the paper, and N with them differs by a factor of two: `label_boundaries`.
    """
    expect_labels("labels", labels)
    if normalise == "none":
        return torch.ones(len(labels), dtype=torch.float64, device=labels.device)
    if normalise == "boundary":
        return boundary_counts(labels, boundary, background=background, ignore_index=ignore_index).double()
    if normalise == "sqrt_object":
        return ((labels != background) & (labels != ignore_index)).flatten(1).sum(dim=1).double().sqrt()
    raise InputError(f"normalise must be one of {', '.join(get_args(Normalisation))}, got {normalise!r}")


def e_smooth(
    labels: Int64[Tensor, "t h w"],
    *,
    sigma: float = 1.0,
    form: Form = "labels",
    normalise: Normalisation = "boundary",
    per_frame: bool = False,
    boundary: BoundaryMode = "thick",
    background: int = 0,
    ignore_index: int = 255,
    official: bool = False,
) -> StabilityScore:
    """E_smooth (Eq. 2): how much a Gaussian over time changes the labels, |O_t - G_sigma(O_t)|_2 / N, mean over t.

    The norm is per frame, the square root of a sum over pixels. As `labels`, the paper's form for several classes, each
    class's map is smoothed by itself and the largest wins (`vote_over_time`): the sum is the number of pixels that
    change, and only what is outvoted counts. At sigma 1 that is a flicker of one frame, not of two. As `shares`, the
    smoothed maps stay what they are, and the map holds `distance_over_time`: of two classes, the norm of the masks'
    difference, which is Eilertsen et al.'s. `sigma` is in frames: 0.15 s in the paper, 4.5 frames at 30 fps and about 1
    at the 6 fps of YouTube-VOS. The clip is mirrored at its ends, which matters where it is short. `ignore_index` does
    not count.
    N is the median of `object_sizes` over the clip; with `per_frame` each frame has its own, and one without objects
    does not count (the paper does not say which). `official=True` sums over t as printed: twice as long, twice the
    value.
    Raises NothingToMeasure for a single frame, or if N is 0.
    """
    sizes = object_sizes(labels, normalise, boundary=boundary, background=background, ignore_index=ignore_index)
    _expect_frames(labels)
    compared = labels != ignore_index
    if form == "labels":
        changed = (compared & (vote_over_time(labels, sigma, ignore_index=ignore_index) != labels)).float()
    elif form == "shares":
        changed = distance_over_time(labels, sigma, ignore_index=ignore_index)
    else:
        raise InputError(f"form must be one of {', '.join(get_args(Form))}, got {form!r}")
    terms = changed.flatten(1).sum(dim=1, dtype=torch.float64).sqrt()
    N = _median(sizes)
    if per_frame:
        counted = sizes > 0
        _expect_size(float(counted.sum()), normalise)
        scaled = terms[counted] / sizes[counted]
    else:
        _expect_size(N, normalise)
        scaled = terms / N
    value = float(scaled.sum() if official else scaled.mean())
    share = changed.masked_fill(~compared, torch.nan)
    return StabilityScore(value, int(compared.sum()), share, terms, N)


def e_pair(
    labels: Int64[Tensor, "2 h w"],
    flows: PairFlows,
    *,
    ignore_index: int = 255,
    printed_distance: bool = False,
) -> StabilityScore:
    """E_pair (Eq. 3): the share of visible pixels with another label in the other frame, both directions summed, 0..2.

    W_{p->q}(O_p) lies on q's grid, so it is read with the flow q -> p, at the nearest pixel: `flows` holds one pair,
    both ways, with what is visible. Pixels with `ignore_index` on either side do not count. The text says that d_cat is
    1 where labels are the same, but the measure is one of discrepancy: `printed_distance=True` takes the text
    literally, and two identical frames score 2.
    Raises NothingToMeasure where a direction has no visible pixel (0 / 0).
    """
    expect_labels("labels", labels)
    if len(labels) != 2 or len(flows.pairs) != 1:
        raise InputError(f"E_pair is of 2 frames and the flows of 1 pair, got {len(labels)} and {len(flows.pairs)}")
    maps = _Maps(labels)
    fractions, support = maps.compare(labels, flows, 0, (0, 1), ignore_index)
    if fractions is None:
        raise NothingToMeasure(
            "no usable pixel: in one direction every pixel is occluded, outside the image or ignored",
            hint="frames too far apart, or a flow of another size or unit than px",
        )
    terms = torch.tensor(fractions, dtype=torch.float64, device=labels.device)
    terms = 1 - terms if printed_distance else terms
    return StabilityScore(float(terms.sum()), support, maps.share(), terms, 1.0)


def e_cons(
    labels: Int64[Tensor, "t h w"],
    flows: PairFlows | FlowsOfPair,
    *,
    K: int = 3,
    normalise: Normalisation = "boundary",
    boundary: BoundaryMode = "thick",
    background: int = 0,
    ignore_index: int = 255,
    official: bool = False,
    printed_distance: bool = False,
) -> StabilityScore:
    """E_cons (Eq. 4): E_pair of all pairs of frames not more than K apart, their mean divided by N.

    `flows` is a table, or gives the flows of a pair (p < q) when it is asked, once for each: for a long video
    `lambda p, q: pair_flows(clip, DisFlow(), pairs=[(p, q)])`, which keeps none of them. Pairs in which a direction has
    no visible pixel are left out. N is the median over the clip of `object_sizes`: background is easy to be consistent
    on, so that without it large objects score worse.

    `official=True` is the sum as printed, over ordered pairs and divided by T K: each pair counts twice, while there
    are only T K - K (K + 1) / 2 of them, so it is about twice as large (less where pairs are left out, for T K stays).
    The published values (0.075 to 0.245) cannot come from the printed equation with a boundary of hundreds of pixels:
    compare the order of methods only.
    `printed_distance` as in `e_pair`; with `official` every frame then also adds 2 for the pair of it with itself.
    Raises NothingToMeasure for a single frame, if N is 0, or if no pair has visible pixels both ways.
    """
    sizes = object_sizes(labels, normalise, boundary=boundary, background=background, ignore_index=ignore_index)
    if K < 1:
        raise InputError(f"K must be at least 1 frame, got {K}")
    _expect_frames(labels)
    N = _median(sizes)
    _expect_size(N, normalise)
    maps, terms, counted, support = _Maps(labels), [], [], 0
    for pair in all_pairs(len(labels), farthest=K):
        found = flows if isinstance(flows, PairFlows) else flows(*pair)
        if pair not in found.pairs:
            raise InputError(f"flows must hold every pair up to {K} frames apart, but have no {pair}")
        place = found.pairs.index(pair)
        fractions, seen = maps.compare(labels, found, place, pair, ignore_index)
        support += seen
        if fractions is not None:
            terms.append(2 - sum(fractions) if printed_distance else sum(fractions))
            counted.append(pair)
    if not terms:
        raise NothingToMeasure(
            "no usable pixel: in every pair one direction has none that is visible",
            hint="a flow of another size or unit than px, or labels that are all ignored",
        )
    total = math.fsum(terms)
    if official:
        itself = 2 * len(labels) if printed_distance else 0
        value = (2 * total + itself) / (len(labels) * K * N)
    else:
        value = total / (len(terms) * N)
    each = torch.tensor(terms, dtype=torch.float64, device=labels.device)
    return StabilityScore(value, support, maps.share(), each, N, tuple(counted))


class _Maps:
    """Comparisons of each pixel of a clip, and those that found another label."""

    def __init__(self, labels: Tensor) -> None:
        self.seen, self.changed = (torch.zeros(labels.shape, dtype=torch.int16, device=labels.device) for _ in range(2))

    def compare(
        self, labels: Tensor, flows: PairFlows, place: int, pair: tuple[int, int], ignore: int
    ) -> tuple[tuple[float, float] | None, int]:
        """The fractions of both directions, None if one has no visible pixel, and the pixels compared."""
        p, q = pair
        ways = (
            (p, q, flows.flow_pq[place], flows.visible_p[place]),
            (q, p, flows.flow_qp[place], flows.visible_q[place]),
        )
        found = []
        for a, b, flow, visible in ways:
            if flow.shape[1:] != labels.shape[1:] or flow.device != labels.device:
                raise InputError(
                    f"flows and labels must have one size and device, got {list(flow.shape[1:])} px on {flow.device} "
                    f"and {list(labels.shape[1:])} px on {labels.device}"
                )
            found.append(
                _differences(labels[a], labels[b], lifted(flow), visible, ignore, self.seen[a], self.changed[a])
            )
        (seen_p, changed_p), (seen_q, changed_q) = found
        if seen_p == 0 or seen_q == 0:
            return None, seen_p + seen_q
        return (changed_p / seen_p, changed_q / seen_q), seen_p + seen_q

    def share(self) -> Float32[Tensor, "t h w"]:
        return self.changed.float() / self.seen


def _differences(
    labels_a: Tensor, labels_b: Tensor, flow: Tensor, visible: Tensor, ignore: int, seen: Tensor, changed: Tensor
) -> tuple[int, int]:
    """Pixels compared, and those with another label; adds both to the maps of frame a."""
    if not compilable(labels_a, flow):
        return _differences_plain(labels_a, labels_b, flow, visible, ignore, seen, changed)
    from stc_lab.metrics.kernels import count_differences

    threads = threads_for(labels_a.numel())
    work = divided(1, len(labels_a), threads)
    totals = torch.zeros(len(work), 2, dtype=torch.int64)
    arrays = [value.contiguous().numpy() for value in (labels_a, labels_b, flow.detach(), visible)]
    results = [value.numpy() for value in (seen, changed, totals)]
    beyond = arrays[2].dtype.type(UNKNOWN_FLOW)
    run_jobs(lambda part: count_differences(part, *arrays, ignore, beyond, *results), work, threads)
    compared, differ = totals.sum(dim=0).tolist()
    return compared, differ


def _differences_plain(
    labels_a: Tensor, labels_b: Tensor, flow: Tensor, visible: Tensor, ignore: int, seen: Tensor, changed: Tensor
) -> tuple[int, int]:
    warped = warp_labels_by_flow(labels_b[None], flow[None])
    label = warped.label[0]
    compared = visible & warped.visible[0] & (label != ignore) & (labels_a != ignore)
    differ = compared & (label != labels_a)
    seen += compared
    changed += differ
    return int(compared.sum()), int(differ.sum())


def _median(sizes: Float64[Tensor, " t"]) -> float:
    """The mean of the middle two where the number is even, as NumPy has it."""
    return float(sizes.quantile(0.5))


def _expect_frames(labels: Tensor) -> None:
    if len(labels) < 2:
        raise NothingToMeasure(f"stability needs at least 2 frames, got {len(labels)}")


def _expect_size(size: float, normalise: str) -> None:
    if size == 0:
        raise NothingToMeasure(
            f"no object to normalise by: N ({normalise}) is 0",
            hint='labels of one class alone; normalise="none" needs no object',
        )
