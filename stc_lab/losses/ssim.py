"""Structural similarity (SSIM) of two images in windows of 3x3 pixels, as self-supervised depth uses it.

Wang et al. 2004 (Image quality assessment: from error visibility to structural similarity), Eq. 13, with the uniform
3x3 window, the mirrored border and the loss (1 - SSIM) / 2 of Godard et al. 2017 and 2019 (monodepth, monodepth2).
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from stc_lab.errors import InputError
from stc_lab.geometry.compiled import compilable
from stc_lab.geometry.precision import working_dtype
from stc_lab.geometry.threads import divided, run_jobs, threads_for
from stc_lab.losses.images import expect_pair, expect_unit_range

C1, C2 = 0.01**2, 0.03**2  # for images in [0, 1]


def ssim_map(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """SSIM of two images in [0, 1] at each pixel and channel: 1 where the windows are equal, at least -1.

    Wang et al. 2004, Eq. 13: (2 Ma Mb + C1) (2 Sab + C2) / ((Ma^2 + Mb^2 + C1) (Sa^2 + Sb^2 + C2)), with C1 = 0.01^2
    and C2 = 0.03^2, of means, variances and covariance over 3x3 pixels, all alike (biased: over 9, not 8). The border
    is mirrored without being repeated. It is symmetric in a and b; differentiable once, in both.

    kornia's ssim of window 3 is another measure (its window is a Gaussian of 1.5 px). Half-precision images are lifted
    to float32. Raises InputError for images of different shapes, outside [0, 1], or less than 2 px high or wide.
    """
    return 1 - 2 * ssim_loss_map(a, b)


def ssim_loss_map(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """clamp((1 - SSIM) / 2, 0, 1) at each pixel and channel: 0 where the windows are equal (Godard et al. 2017, Eq. 2).

    monodepth2 calls this loss, not the similarity, "SSIM". SSIM never leaves [-1, 1], here not even by rounding, so
    there is nothing to clamp. Equal windows give exactly 0 and no gradient. See `ssim_map` for the rest.
    """
    _expect_images(a, b)
    n = a.shape[0] * a.shape[1]
    one, two = (value.reshape(n, 1, *value.shape[-2:]) for value in (a, b))
    return dissimilarity(one, two).reshape(a.shape)


def dissimilarity(
    a: Float[Tensor, "b c h w"],
    b: Float[Tensor, "b c h w"],
    *,
    weight: Float[Tensor, "b h w"] | None = None,
    c1: float = C1,
    c2: float = C2,
    shares: tuple[float, float] = (1.0, 0.0),
) -> Float[Tensor, "b h w"]:
    """Sum over channels of shares[0] (1 - SSIM) / 2 + shares[1] |a - b|: what the losses of images are made of.

    `weight` (no gradient) says how much each pixel counts in the windows that hold it; where a window weighs nothing,
    SSIM counts as 1. Of c1 and c2, either may be infinite, which leaves its factor out.
    """
    dtype = working_dtype(a, b)
    a, b = a.to(dtype), b.to(dtype)
    weight = None if weight is None else weight.detach().to(dtype)
    if not compilable(a, b):
        return _plain(a, b, weight, c1, c2, shares)
    result: Tensor = _Dissimilarity.apply(a, b, weight, (c1, c2), shares)
    return result


def _expect_images(a: Tensor, b: Tensor) -> None:
    expect_pair("a", a, "b", b)
    expect_windows("a", a)
    expect_unit_range("a", a)
    expect_unit_range("b", b)


def expect_windows(name: str, images: Tensor) -> None:
    """Raise unless windows of 3x3 pixels can be mirrored at the border."""
    if min(images.shape[-2:]) < 2:
        raise InputError(f"{name} must be at least 2 px high and wide, got {list(images.shape[-2:])}")


class _Dissimilarity(torch.autograd.Function):
    """From (a, b, weight or None, (c1, c2), shares) to the map, by compiled loops."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        a: Float[Tensor, "b c h w"],
        b: Float[Tensor, "b c h w"],
        weight: Float[Tensor, "b h w"] | None,
        constants: tuple[float, float],
        shares: tuple[float, float],
    ) -> Float[Tensor, "b h w"]:
        from stc_lab.losses.kernels_ssim import dissimilarity_rows

        a, b = a.detach().contiguous(), b.detach().contiguous()
        n, _, height, width = a.shape
        weight = a.new_empty(0, height, width) if weight is None else weight.contiguous()
        scalar = a.numpy().dtype.type
        ctx.numbers = tuple(tuple(scalar(value) for value in pair) for pair in (constants, shares))  # type: ignore[attr-defined]  # autograd's own place for what is no tensor
        out = a.new_empty(n, height, width)
        threads = threads_for(a.numel())
        arrays = a.numpy(), b.numpy(), weight.numpy(), *ctx.numbers, out.numpy()  # type: ignore[attr-defined]  # as above
        run_jobs(lambda part: dissimilarity_rows(part, *arrays), divided(n, height, threads), threads)
        ctx.save_for_backward(a, b, weight)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from stc_lab.losses.kernels_ssim import dissimilarity_back

        a, b, weight = ctx.saved_tensors
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        d_a, d_b = (torch.empty_like(a) if asked else a.new_empty(0, 0, 0, 0) for asked in wanted)
        threads = threads_for(a.numel())
        arrays = a.numpy(), b.numpy(), weight.numpy(), *ctx.numbers, grad.contiguous().numpy()
        results = d_a.numpy(), d_b.numpy()
        work = divided(len(a), a.shape[2], threads)
        run_jobs(lambda part: dissimilarity_back(part, *arrays, wanted, *results), work, threads)
        return d_a if wanted[0] else None, d_b if wanted[1] else None, None, None, None


def _plain(
    a: Tensor, b: Tensor, weight: Tensor | None, c1: float, c2: float, shares: tuple[float, float]
) -> Float[Tensor, "b h w"]:
    """The same in tensor operations, for every other device and for tracers; its formula is that of kernels_ssim.py."""
    weights = a.new_ones(1, 1, *a.shape[-2:]) if weight is None else weight[:, None]
    mean_s, variance_s = _moments(a + b, weights)
    mean_d, variance_d = _moments(a - b, weights)
    u = mean_d**2 / (0.5 * (mean_s**2 + mean_d**2) + c1)
    v = variance_d / (0.5 * (variance_s + variance_d) + c2)
    return (shares[0] * 0.5 * (u + v - u * v) + shares[1] * (a - b).abs()).sum(dim=1)


def _moments(values: Float[Tensor, "b c h w"], weights: Float[Tensor, "#b 1 h w"]) -> tuple[Tensor, Tensor]:
    """Mean and variance of each window: three rows pooled, then three columns of what that gives.

    The sum of squares of a pool is that of its parts and of the distances of their means (Chan et al. 1979), so it is
    a sum of squares throughout.
    """
    mean, n = (F.pad(value, (1, 1, 1, 1), mode="reflect") for value in (values, weights))
    squares = torch.zeros_like(mean)
    for axis in (-2, -1):
        means, parts, totals = (
            [value.narrow(axis, i, value.shape[axis] - 2) for i in range(3)] for value in (mean, squares, n)
        )
        n = totals[0] + totals[1] + totals[2]
        # Relative to the middle one, so that equal means stay what they are.
        shift = totals[0] * (means[0] - means[1]) + totals[2] * (means[2] - means[1])
        over = torch.where(n > 0, 1 / torch.where(n > 0, n, torch.ones_like(n)), torch.zeros_like(n))
        mean = means[1] + shift * over
        squares = sum(
            (part + total * (one - mean) ** 2 for part, total, one in zip(parts, totals, means, strict=True)),
            start=torch.zeros_like(mean),
        )
    return torch.where(n > 0, mean, torch.zeros_like(mean)), squares * over
