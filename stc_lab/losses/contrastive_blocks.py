"""The contrastive sum of Eq. 1 of He et al. 2021 and its gradient, block by block, in bounded memory."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

_SCORES_IN_BLOCK = {"cpu": 2**22, "cuda": 2**27}  # 16 MB stay in the caches; 512 MB keep a GPU busy


class ContrastiveSum(torch.autograd.Function):
    """From features sorted by class to the sum over anchors of L(i), and L(i) of each anchor (without gradient).

    `classes` has a row (first, last anchor + 1, last + 1) for each class: its pixels, the anchors leading. Each class
    has another pixel beside any anchor. With s the scores of an anchor and n = log sum exp over its negatives,

        -log(exp(s_p) / (exp(s_p) + exp(n))) = log(1 + exp(n - s_p)),

    which neither overflows nor cancels, however large the scores are. The features are held twice, one copy after the
    other, so that from the first pixel of a class on, its positives and then all negatives follow each other: a block
    of scores needs no mask. The gradient is made with the value, while a block is at hand; nothing of the size of a
    block is kept for the backward pass, which only scales it (so there is no second derivative).
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        features: Float[Tensor, "m d"],
        classes: list[tuple[int, int, int]],
        temperature: float,
        block: int | None,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " n"]]:
        count = len(features)
        learns = features.requires_grad
        twice = torch.cat([features, features]).detach()
        gradient = torch.zeros_like(twice) if learns else twice[:0]
        if block is None:
            block = max(1, _SCORES_IN_BLOCK.get(features.device.type, 2**22) // count)
        block = min(block, max(stop - first for first, stop, _ in classes))
        scores = features.new_empty(block * count)
        losses = []
        for first, stop, end in classes:
            others = twice[first : first + count]
            for start in range(first, stop, block):
                rows = slice(start, min(start + block, stop))
                anchors = twice[rows] / temperature
                part = scores[: len(anchors) * count].view(len(anchors), count)
                torch.mm(anchors, others.T, out=part)
                losses.append(_replace_by_gradient(part, end - first, start - first, learns))
                if learns:
                    gradient[first : first + count].addmm_(part.T, anchors)
                    gradient[rows].addmm_(part, others, alpha=1 / temperature)
        if learns:
            ctx.save_for_backward(gradient[:count] + gradient[count:])
        each = torch.cat(losses)
        ctx.mark_non_differentiable(each)
        return each.sum(), each

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad, None, None, None


def _replace_by_gradient(
    scores: Float[Tensor, "n m"], positives: int, itself: int, learns: bool
) -> Float[Tensor, " n"]:
    """L(i) of a block of anchors; their scores are replaced by the derivatives of its sum, if it `learns`.

    The first columns are the `positives`, among them the anchors themselves: row r is column `itself` + r.
    """
    positive, negative = scores[:, :positives], scores[:, positives:]
    others = positives - 1
    positive.diagonal(itself).fill_(torch.inf)  # so that it adds no loss and no gradient
    if negative.shape[1] == 0:  # log(1 + exp(-inf)): nothing to be told from
        scores.zero_()
        return scores.new_zeros(len(scores))
    highest = negative.amax(dim=1, keepdim=True)
    weights = negative.sub_(highest).exp_()
    total = weights.sum(dim=1, keepdim=True)
    margin = positive.neg_().add_(highest + total.log())
    loss = F.softplus(margin, threshold=40).sum(dim=1) / others
    if learns:
        pull = margin.sigmoid_()
        weights.mul_(pull.sum(dim=1, keepdim=True) / (others * total))
        pull.mul_(-1 / others)
    return loss


def class_segments(
    labels: Int64[Tensor, " n"], anchors: int, ignore_index: int
) -> tuple[Int64[Tensor, " m"], list[tuple[int, int, int]], int]:
    """The usable pixels sorted by class, the classes as ranges of them, and the anchors that have no positive.

    The first `anchors` pixels are those of frame t. A pixel that is alone in its class stays, as a negative of others.
    """
    usable = (labels != ignore_index).nonzero()[:, 0]
    ordered = torch.sort(labels[usable], stable=True)  # stable: in each class the anchors, which come first, lead
    order = usable[ordered.indices]
    ids, sizes = torch.unique_consecutive(ordered.values, return_counts=True)
    place = torch.searchsorted(ids, labels[usable[usable < anchors]])
    leading = torch.bincount(place, minlength=len(ids))
    segments, skipped, first = [], 0, 0
    for size, own in torch.stack([sizes, leading], dim=1).tolist():
        if size == 1:
            skipped += own
        elif own > 0:
            segments.append((first, first + own, first + size))
        first += size
    return order, segments, skipped
