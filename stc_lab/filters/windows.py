"""Linear models in sliding windows, in plain tensor operations: differentiable, and for any device.

The loops of `kernels_guided` say the same for the CPU. Everything here is float64: a variance is the small difference
of two large sums.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

Radii = tuple[int, int]  # in time (frames) and in space (px); a window reaches so far to both sides


def filter_plain(
    guide: Float[Tensor, "t c h w"],
    signal: Float[Tensor, "t k h w"],
    weights: Float[Tensor, "t kw h w"],
    radii: Radii,
    eps: float,
) -> Float[Tensor, "t k h w"]:
    """The guided filter with truncated windows; `weights` has one channel for all classes, or one for each."""
    guide = _centred(guide)
    shared = _guide_models(guide, weights[:, 0].double(), radii, eps) if weights.shape[1] == 1 else None
    filtered = []
    for k, own in enumerate(signal.unbind(dim=1)):
        models = shared or _guide_models(guide, weights[:, k].double(), radii, eps)
        filtered.append(_filter_class(guide, own.double(), models, radii))
    return torch.stack(filtered, dim=1).to(signal.dtype)


def window_sum(values: Float64[Tensor, "*n t h w"], radii: Radii) -> Float64[Tensor, "*n t h w"]:
    """Sum over the window around each pixel, as much of it as lies inside the clip."""
    for dim, radius in ((-3, radii[0]), (-2, radii[1]), (-1, radii[1])):
        if radius > 0:
            values = _slide(values, dim, radius)
    return values


@dataclass(frozen=True)
class _GuideModels:
    """What the guide and the weights alone say of each window."""

    weight: Float64[Tensor, "t h w"]
    per_weight: Float64[Tensor, "t h w"]  # 1 over the weight in the window; 0 where there is none
    counts: Float64[Tensor, "t h w"]  # 1, or 0 where no pixel of the window has a weight
    mean: Float64[Tensor, "c t h w"]
    pivots: list[Tensor]  # D and L of L D L^T = covariance + eps
    lower: dict[tuple[int, int], Tensor]

    def solve(self, right: list[Tensor]) -> list[Tensor]:
        """Solve (covariance + eps) x = right."""
        n = len(right)
        x = list(right)
        for i in range(n):
            for j in range(i):
                x[i] = x[i] - self.lower[i, j] * x[j]
        x = [value / pivot for value, pivot in zip(x, self.pivots, strict=True)]
        for i in reversed(range(n)):
            for j in range(i + 1, n):
                x[i] = x[i] - self.lower[j, i] * x[j]
        return x


def _guide_models(guide: Tensor, weight: Tensor, radii: Radii, eps: float) -> _GuideModels:
    n = len(guide)
    pairs = [(i, j) for i in range(n) for j in range(i + 1)]
    moments = torch.stack(
        [weight, *(weight * guide[i] for i in range(n)), *(weight * guide[i] * guide[j] for i, j in pairs)]
    )
    counts = (window_sum((weight > 0).double(), radii) > 0.5).double()
    total, *rest = window_sum(moments, radii)
    per_weight = counts / torch.where(counts > 0, total, torch.ones_like(total))
    mean = torch.stack(rest[:n]) * per_weight
    left = {(i, j): products * per_weight - mean[i] * mean[j] for (i, j), products in zip(pairs, rest[n:], strict=True)}
    pivots: list[Tensor] = []
    for i in range(n):
        # Exactly, no pivot of a covariance plus eps is smaller than eps: rounding alone makes one so.
        pivots.append((left[i, i] + eps).clamp_min(eps))
        column = {j: left[j, i] for j in range(i + 1, n)}
        for j in range(i + 1, n):
            for m in range(i + 1, j + 1):
                left[j, m] = left[j, m] - column[j] * column[m] / pivots[i]
            left[j, i] = column[j] / pivots[i]
    return _GuideModels(weight, per_weight, counts, mean, pivots, left)


def _filter_class(guide: Tensor, signal: Tensor, models: _GuideModels, radii: Radii) -> Tensor:
    has_weight = models.weight > 0
    known = torch.where(has_weight, signal, torch.zeros_like(signal))
    centre = known.detach().sum() / has_weight.sum().clamp_min(1)
    p = torch.where(has_weight, known - centre, known)
    sums = window_sum(torch.stack([models.weight * p, *(models.weight * p * channel for channel in guide)]), radii)
    mean, *products = sums * models.per_weight
    a = models.solve([product - mean * of_guide for product, of_guide in zip(products, models.mean, strict=True)])
    b = mean - sum(slope * of_guide for slope, of_guide in zip(a, models.mean, strict=True))
    # Where nothing counts the covariances are 0, and with them a and b.
    *slopes, offset, counted = window_sum(torch.stack([*a, b, models.counts]), radii)
    value = sum((slope * channel for slope, channel in zip(slopes, guide, strict=True)), offset)
    return torch.where(counted > 0.5, value / counted.clamp_min(1) + centre, signal)


def _centred(guide: Tensor) -> Float64[Tensor, "c t h w"]:
    """The guide around its mean: the filter does not mind an offset, rounding does."""
    lifted = guide.double().transpose(0, 1)
    return lifted - lifted.detach().mean(dim=(1, 2, 3), keepdim=True)


def _slide(values: Tensor, dim: int, radius: int) -> Tensor:
    n = values.shape[dim]
    total = values.cumsum(dim)
    total = torch.cat([torch.zeros_like(total.narrow(dim, 0, 1)), total], dim=dim)
    place = torch.arange(n, device=values.device)
    last, first = (place + radius + 1).clamp_max(n), (place - radius).clamp_min(0)
    return total.index_select(dim, last) - total.index_select(dim, first)
