"""Stability of a clip: E_pair of Azulay et al. 2021 made differentiable, and the term that ties it to a teacher."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_map
from stc_lab.geometry.estimators import FlowEstimator, View, forward_backward
from stc_lab.geometry.flow import warp_by_flow
from stc_lab.geometry.occlusion import ruder_visible
from stc_lab.geometry.precision import working_dtype
from stc_lab.losses.consistency import Gradient, PixelLoss, expect_gradient
from stc_lab.losses.depth_edges import expect_probabilities

Distance = Literal["overlap", "cross_entropy", "l1"]
IGNORE = 255
LEAST_PROBABILITY = 1e-7  # below it the logarithm of the cross-entropy stands still
FlowCheck = Callable[[Tensor, Tensor], Tensor]  # flow_ab, flow_ba -> which pixels of a are seen in b


class Frames(View, Protocol):
    """Frames of one video that can be picked by number, as `stc_lab.data.Clip`."""

    def __len__(self) -> int: ...

    def __getitem__(self, frames: Sequence[int], /) -> View: ...


@dataclass(frozen=True)
class PairFlows:
    """Flow between pairs of frames, both ways: computed once, used in every step."""

    pairs: tuple[tuple[int, int], ...]  # the frames (p, q) of each of the n pairs
    flow_pq: Float[Tensor, "n 2 h w"]  # px; on p's grid: where its pixels lie in q
    flow_qp: Float[Tensor, "n 2 h w"]  # px; on q's grid
    visible_p: Bool[Tensor, "n h w"]  # on p's grid: what q sees, the paper's M_{q -> p}
    visible_q: Bool[Tensor, "n h w"]  # on q's grid: what p sees, M_{p -> q}

    def __post_init__(self) -> None:
        expect_map("flow_pq", self.flow_pq, channels=2)
        n, _, h, w = self.flow_pq.shape
        expected = {"flow_qp": (n, 2, h, w), "visible_p": (n, h, w), "visible_q": (n, h, w)}
        for name, shape in expected.items():
            if tuple(getattr(self, name).shape) != shape:
                raise InputError(f"{name} must be {list(shape)} to fit flow_pq, got {list(getattr(self, name).shape)}")
        if len(self.pairs) != n:
            raise InputError(f"each pair needs its flow, got {len(self.pairs)} pairs and {n} flows")


def all_pairs(frames: int, *, farthest: int | None = None) -> tuple[tuple[int, int], ...]:
    """Pairs (p, q), p < q, of a clip, not more than `farthest` frames apart: 7 frames have 21."""
    if frames < 2:
        raise InputError(f"pairs need at least 2 frames, got {frames}")
    reach = frames if farthest is None else farthest
    if reach < 1:
        raise InputError(f"farthest must be at least 1 frame, got {farthest}")
    return tuple((p, q) for p in range(frames) for q in range(p + 1, min(frames, p + reach + 1)))


def pair_flows(
    clip: Frames,
    estimator: FlowEstimator,
    *,
    pairs: Sequence[tuple[int, int]] | None = None,
    check: FlowCheck | None = ruder_visible,
) -> PairFlows:
    """Estimate the flow between all pairs of a clip (or the given ones), both ways, and what is seen.

    `check` compares the two flows of a pair, by default as the paper does after Ruder et al.; with None the estimator's
    own `visible` stands alone, as it should where the flow is exact.
    """
    pairs = all_pairs(len(clip)) if pairs is None else tuple(pairs)
    there, back = forward_backward(estimator, clip[[p for p, _ in pairs]], clip[[q for _, q in pairs]])
    seen_p, seen_q = there.visible, back.visible
    if check is not None:
        seen_p, seen_q = seen_p & check(there.flow, back.flow), seen_q & check(back.flow, there.flow)
    return PairFlows(tuple(pairs), there.flow, back.flow, seen_p, seen_q)


def join_flows(tables: Sequence[PairFlows], frames: Sequence[int]) -> PairFlows:
    """One table for several clips whose frames lie one after the other; `frames` says how many each has."""
    if not tables or len(tables) != len(frames):
        raise InputError(f"each table needs its number of frames, got {len(tables)} tables and {len(frames)} numbers")
    first = [sum(frames[:i]) for i in range(len(frames))]
    pairs = tuple((p + start, q + start) for start, table in zip(first, tables, strict=True) for p, q in table.pairs)
    names = ("flow_pq", "flow_qp", "visible_p", "visible_q")
    return PairFlows(pairs, *(torch.cat([getattr(table, name) for table in tables]) for name in names))


@dataclass(frozen=True)
class PairStability:
    """The mean of E_pair over the pairs of a clip, and what it is made of."""

    total: Float[Tensor, ""]  # 0..2 for `overlap` and `l1`
    fractions: Float[Tensor, "n 2"]  # the two fractions of Eq. 3, on q's and on p's grid; NaN: nothing visible
    support: Int64[Tensor, "n 2"]  # visible pixels of each
    map: Float[Tensor, "t h w"]  # mean distance at each pixel to the frames that see it; NaN where none does


def pair_stability_loss(
    probabilities: Float[Tensor, "t k h w"],
    flows: PairFlows,
    *,
    distance: Distance = "overlap",
    gradient: Gradient = "both",
) -> PairStability:
    """Mean of E_pair (Azulay et al. 2021, Eq. 3) over the pairs of a clip, with a differentiable distance.

    E_pair is the sum of two fractions: on q's grid, the mean distance of q's own prediction to p's, sampled along the
    flow q -> p, over the pixels of q that p sees; and the same on p's grid. So it lies between 0 and 2.

    The paper trains on Eq. 3, whose d_cat compares labels and has no gradient, and does not say by what it is replaced;
    and it prints d_cat as 1 for equal labels, though lower is to be better. Here d is, for distributions a (own) and
    w (warped): `overlap` 1 - <a, w>; `cross_entropy` -<w, log a>; `l1` half of |a - w|_1. For one-hot a and w the first
    and the last are d_cat, 0 for equal labels and 1 for different ones. `overlap` is not 0 for equal distributions
    unless they are certain: it also sharpens.

    `gradient` says which side of each comparison learns: "warped" w, "target" a. A direction in which nothing is
    visible is left out, and the total stays twice the mean of the other fractions.
    Raises InputError if nothing is visible in any pair.
    """
    if distance not in get_args(Distance):
        raise InputError(f"distance must be one of {', '.join(get_args(Distance))}, got {distance!r}")
    expect_gradient(gradient)
    expect_probabilities("probabilities", probabilities)
    t, _, h, w = probabilities.shape
    if flows.flow_pq.shape[-2:] != (h, w):
        raise InputError(
            f"flows must be of the probabilities' size {[h, w]}, got {list(flows.flow_pq.shape[-2:])}",
            hint="flow of the full images beside coarse predictions: estimate it on clip.strided(model.coarse_stride)",
        )
    outside = [pair for pair in flows.pairs if not all(0 <= frame < t for frame in pair)]
    if outside:
        raise InputError(
            f"flows hold the pair {outside[0]}, but the clip has frames 0 to {t - 1}",
            hint="several clips in one batch: join_flows",
        )
    probabilities = probabilities.to(working_dtype(probabilities))
    sums = probabilities.new_zeros(t, h, w)
    counts = probabilities.new_zeros(t, h, w)
    totals, support = [], []
    for i, (p, q) in enumerate(flows.pairs):
        ways = ((p, q, flows.flow_qp, flows.visible_q), (q, p, flows.flow_pq, flows.visible_p))
        for source, target, flow, visible in ways:
            warped = warp_by_flow(probabilities[source, None], flow[i, None])
            seen = visible[i, None] & warped.visible
            drawn = torch.where(seen, _distance(warped.image, probabilities[target, None], distance, gradient), 0)
            totals.append(drawn.sum())
            support.append(seen.sum())
            sums[target] += drawn[0].detach()
            counts[target] += seen[0]
    count = torch.stack(support)
    known = count > 0
    if not bool(known.any()):
        raise InputError(
            "no usable pixel: nothing is visible in any pair",
            hint="flow in other units than px, a check that is too strict, or frames too far apart",
        )
    fractions = torch.stack(totals) / count.clamp(min=1)
    shown = torch.where(known, fractions.detach(), torch.nan).reshape(-1, 2)
    return PairStability(2 * fractions.sum() / known.sum(), shown, count.reshape(-1, 2), sums / counts)


def teacher_loss(
    logits: Float[Tensor, "b k h w"],
    teacher: Int64[Tensor, "b h w"] | Float[Tensor, "b k h w"],
    *,
    usable: Bool[Tensor, "b h w"] | None = None,
    weight: Float[Tensor, "b h w"] | None = None,
) -> PixelLoss:
    """Keep to a teacher: cross-entropy with its labels (Azulay et al. 2021, section 5.1), or KL to its probabilities.

    Labels (int64; 255 = ignore) are the paper's data term. Probabilities (the teacher's softmax) give
    KL(teacher || student), which is 0 where the two agree. Mean over the usable pixels, by their `weight` if there is
    one (none below 0; a pixel of weight 0 is not usable); the teacher learns nothing.
    The paper's decoder gives a residual: `logits` is that plus the teacher's.
    Raises InputError if no pixel is usable.
    """
    expect_map("logits", logits)
    b, k, h, w = logits.shape
    by_labels = teacher.dtype == torch.int64
    if tuple(teacher.shape) != ((b, h, w) if by_labels else (b, k, h, w)):
        raise InputError(
            f"teacher must be labels int64 {[b, h, w]} or probabilities {[b, k, h, w]} to fit the logits, "
            f"got {teacher.dtype} {list(teacher.shape)}"
        )
    seen = torch.ones(b, h, w, dtype=torch.bool, device=logits.device) if usable is None else usable
    if seen.shape != (b, h, w):
        raise InputError(f"usable must be {[b, h, w]}, one for each pixel, got {list(seen.shape)}")
    seen = seen & (teacher != IGNORE) if by_labels else seen
    if weight is not None:
        if weight.shape != (b, h, w) or not bool(((weight >= 0) & (weight < torch.inf)).all()):
            raise InputError(f"weight must be {[b, h, w]}, finite and not negative, got {list(weight.shape)}")
        seen = seen & (weight > 0)
    support = seen.sum()
    if int(support) == 0:
        raise InputError("no usable pixel: the mask leaves none, or the teacher labels none")
    dtype = working_dtype(logits)
    # Masked before the softmax, so that not even a non-finite value where nothing counts reaches the gradient.
    own = torch.where(seen[:, None], logits.to(dtype), 0).log_softmax(dim=1)
    if by_labels:
        labels = torch.where(seen, teacher, 0)
        if not bool(((labels >= 0) & (labels < k)).all()):
            raise InputError(
                f"the teacher's labels must be classes 0 to {k - 1} or {IGNORE}, "
                f"got {int(labels.min())} to {int(labels.max())}"
            )
        drawn = F.nll_loss(own, labels, reduction="none")
    else:
        expect_probabilities("teacher", teacher)
        told = torch.where(seen[:, None], teacher.detach().to(dtype), 0)
        drawn = (torch.special.xlogy(told, told) - told * own).sum(dim=1)
    drawn = torch.where(seen, drawn, 0)
    if weight is not None:
        share = torch.where(seen, weight.detach().to(dtype), 0)
        drawn = drawn * share * (support / share.sum())
    return PixelLoss(drawn.sum() / support, support, drawn.detach())


def _distance(warped: Tensor, own: Tensor, distance: str, gradient: str) -> Float[Tensor, "b h w"]:
    warped = warped.detach() if gradient == "target" else warped
    own = own.detach() if gradient == "warped" else own
    if distance == "overlap":
        return 1 - (warped * own).sum(dim=1)
    if distance == "l1":
        return (warped - own).abs().sum(dim=1) / 2
    return -(warped * own.clamp(min=LEAST_PROBABILITY).log()).sum(dim=1)
