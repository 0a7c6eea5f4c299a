"""The weighted guided filter as its authors wrote it: on a coarse grid, its lines brought back to the picture's size.

Liba et al. 2020 (Sky optimization), on which Azulay et al. 2021, Section 5.4 build: no window slides. The moments of
guide and signal are weighted by confidence and averaged down by a factor, the lines solved there, and slopes and
offsets brought up again. So the paper's kernels of 8 px and 4 frames are such factors, as far as can be told.
"""

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.filters.guided import check_filter_inputs, usable_weights

_TIME, _ROWS, _COLUMNS = -3, -2, -1


def weighted_guided_upsample(
    guide: Float[Tensor, "t c h w"],
    signal: Float[Tensor, "t k h w"],
    *,
    factor: int = 8,
    temporal_factor: int = 1,
    eps: float = 1e-4,
    weights: Float[Tensor, "t kw h w"] | Bool[Tensor, "t kw h w"] | None = None,
    clip: bool = True,
) -> Float[Tensor, "t k h w"]:
    """Fit lines from guide to signal on a grid coarser by `factor`, and draw them at the guide's size.

    Averages are halvings by [1 3 3 1] / 8 in rows and columns (in time by `temporal_factor`: the frames of one clip;
    1: each frame for itself), of what is weighted, so that what lies outside the clip does not count. Slopes and
    offsets come back by doublings with the same kernel, (3/4, 1/4). Both factors are powers of 2. `eps` is in the
    squared unit of the guide; the authors have 1e-4, written as 0.01 squared, and a guide in YUV. `weights` as in
    `guided_filter`: where all that reach a pixel are 0, it keeps its value. `clip` cuts the result to [0, 1], as
    theirs is. Computed in float64, differentiable; the result has the signal's dtype.

    A factor averages about as much as a radius of the same number of px, at a cost that hardly grows with it, but its
    grid is fixed: the result changes a little when the picture moves by a pixel.
    """
    check_filter_inputs(guide, signal, weights, eps)
    halvings = _halvings("factor", factor), _halvings("temporal_factor", temporal_factor)
    shares = usable_weights(weights, signal).double()
    volume = guide.double().transpose(0, 1)
    volume = volume - volume.detach().mean(dim=(1, 2, 3), keepdim=True)
    drawn = []
    for k, own in enumerate(signal.unbind(dim=1)):
        share = shares[:, k if shares.shape[1] > 1 else 0]
        known = torch.where(share > 0, own, torch.zeros_like(own)).double()
        lines, sizes = _coarse_lines(volume, known, share, halvings, eps)
        *slopes, offset, counted = _brought_up(lines, sizes)
        value = sum((slope * channel for slope, channel in zip(slopes, volume, strict=True)), offset)
        found = counted > 1e-9
        value = torch.where(found, value / torch.where(found, counted, torch.ones_like(counted)), own.double())
        drawn.append(value)
    result = torch.stack(drawn, dim=1)
    return (result.clamp(0, 1) if clip else result).to(signal.dtype)


Steps = list[tuple[int, int]]  # (dim, its size before) of each halving


def _coarse_lines(
    guide: Float64[Tensor, "c t h w"], signal: Tensor, share: Tensor, halvings: tuple[int, int], eps: float
) -> tuple[Float64[Tensor, "c2 T H W"], Steps]:
    """Slopes, offset, and 1 where any pixel counts (all three 0 elsewhere), on the coarse grid."""
    channels = len(guide)
    pairs = [(i, j) for i in range(channels) for j in range(channels)]
    moments = [share, share * signal, *(share * g for g in guide), *(share * g * signal for g in guide)]
    moments += [share * guide[i] * guide[j] for i, j in pairs]
    coarse, sizes = _averaged(torch.stack(moments), halvings)
    total, rest = coarse[0], coarse[1:]
    counted = total > 0
    means = rest / torch.where(counted, total, torch.ones_like(total))
    mean, guides, crossed, squares = means.split([1, channels, channels, channels**2])
    covariance = squares.unflatten(0, (channels, channels)) - guides[:, None] * guides[None]
    left = covariance.permute(2, 3, 4, 0, 1) + eps * torch.eye(channels, dtype=guide.dtype, device=guide.device)
    right = (crossed - guides * mean).permute(1, 2, 3, 0)
    slopes = torch.linalg.solve(left, right).permute(3, 0, 1, 2)
    offset = mean - (slopes * guides).sum(dim=0, keepdim=True)
    usable = counted[None].double()
    return torch.cat([slopes * usable, offset * usable, usable]), sizes


def _averaged(values: Float64[Tensor, "n t h w"], halvings: tuple[int, int]) -> tuple[Tensor, Steps]:
    in_space, in_time = halvings
    steps: Steps = []
    for dim in [_ROWS, _COLUMNS] * in_space + [_TIME] * in_time:
        steps.append((dim, values.shape[dim]))
        values = _halved(values, dim)
    return values, steps


def _brought_up(values: Float64[Tensor, "n T H W"], steps: Steps) -> Float64[Tensor, "n t h w"]:
    for dim, size in reversed(steps):
        values = _doubled(values, dim).narrow(dim, 0, size)
    return values


def _halved(values: Tensor, dim: int) -> Tensor:
    """[1 3 3 1] / 8 around each pair of neighbours; zeros lie beyond the ends, and in place of the last of an odd n."""
    n = values.shape[dim]
    rim = torch.zeros_like(values.narrow(dim, 0, 1))
    padded = torch.cat([rim, values, *[rim] * (1 + n % 2)], dim=dim).movedim(dim, 0)
    half = (n + 1) // 2
    outer, inner = padded[0 : 2 * half : 2] + padded[3::2], padded[1 : 2 * half : 2] + padded[2::2][:half]
    return ((outer + 3 * inner) / 8).movedim(0, dim)


def _doubled(values: Tensor, dim: int) -> Tensor:
    """Each place twice, a quarter of the nearer neighbour in each; the ends go on."""
    first, last = values.narrow(dim, 0, 1), values.narrow(dim, values.shape[dim] - 1, 1)
    before = torch.cat([first, values.narrow(dim, 0, values.shape[dim] - 1)], dim=dim)
    after = torch.cat([values.narrow(dim, 1, values.shape[dim] - 1), last], dim=dim)
    both = torch.stack([0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after], dim=values.ndim)
    return both.movedim(-1, values.ndim + dim + 1).flatten(values.ndim + dim, values.ndim + dim + 1)


def _halvings(name: str, factor: int) -> int:
    if isinstance(factor, bool) or factor < 1 or factor != int(factor) or int(factor) & (int(factor) - 1):
        raise InputError(f"{name} must be a power of 2 (1, 2, 4, 8, ...), got {factor}")
    return int(factor).bit_length() - 1
