"""Smoothness of what a video does not determine: disparity away from image edges, and the motion of objects."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike, expect_map
from stc_lab.geometry.precision import working_dtype
from stc_lab.losses.images import expect_unit_range

_MEAN_EPS = 1e-7  # of monodepth2, added to the mean disparity
_NORM_EPS, _ROOT_EPS = 1e-12, 1e-24  # of Li et al.'s code, added to a squared norm and under a root


@dataclass(frozen=True)
class MotionFieldSmoothness:
    """How far a translation field is from the few rigid objects it should hold; the parts are not yet weighted."""

    total: Float[Tensor, ""]  # weighted sum of the parts: what to minimise
    group: Float[Tensor, ""]  # length of the gradient
    sparsity: Float[Tensor, ""]  # size of the field


def edge_aware_smoothness(disparity: Float[Tensor, "b 1 h w"], image: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Slope of the mean-normalised disparity, less where the image has edges (Godard et al. 2019, Eq. 3).

    mean |dx D| e^-|dx I| + mean |dy D| e^-|dy I|, with D = disparity / (its mean over the image + 1e-7), dx and dy the
    differences of neighbours (each mean is over its own), and |dx I| averaged over the channels. The normalisation
    (Wang et al. 2018) makes it blind to the scale of disparity, which without it shrinks to nothing; it is not blind
    to an offset. monodepth2 weighs scale s by 1e-3 / 2^s: the caller's affair, as is bringing the image to the
    scale's size.

    Images lie in [0, 1]: in [0, 255] every edge, even noise, would switch it off. Gradients go to both, as published;
    detach the image where it is learned. Raises InputError for disparities whose mean is not positive (depth with
    unknown pixels, logits), or maps that do not fit.
    """
    across, down = _weighted_slopes(disparity, image)
    return across.mean() + down.mean()


def edge_aware_smoothness_map(
    disparity: Float[Tensor, "b 1 h w"], image: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b h w"]:
    """Where `edge_aware_smoothness` comes from: its mean over all pixels is the loss.

    At each pixel the slopes to its right and lower neighbours, of which the last column and row have one less.
    """
    across, down = _weighted_slopes(disparity, image)
    height, width = disparity.shape[-2:]
    result = across.new_zeros(len(disparity), height, width)
    result[:, :, :-1] += across[:, 0] * (width / (width - 1))
    result[:, :-1] += down[:, 0] * (height / (height - 1))
    return result


def motion_field_smoothness(
    residual: Float[Tensor, "b 3 h w"],
    *,
    translation: Float[Tensor, "b 3 h w"] | None = None,
    group_weight: float = 1.0,
    sparsity_weight: float = 0.2,
    sparsity: Literal["half", "l1"] = "half",
    wrap: bool = False,
) -> MotionFieldSmoothness:
    """Group smoothness and sparsity of a residual translation field (Li et al. 2020).

    Unsupervised monocular depth learning in dynamic scenes, its motion regularisation. `group` is the mean of
    sqrt((dx T)^2 + (dy T)^2) over pixels and components: nothing inside a rigid object that only translates.
    `sparsity` "half" is the mean of 2 m sqrt(1 + |T| / m), m the mean of |T| over the image (for each component, held
    fixed as in their code): steep near 0 like "l1", which is the mean of |T|, but kinder to what must be large. Their
    weights are 1 and 0.2.

    `translation`, the whole field (background + residual), divides the residual by its root mean square length over
    the image, as in their code, so that neither part shrinks with the scale of the scene. With `wrap`, the first row
    and column continue the last: a field that is a gradient throughout then pays, and leaves it to the rotation. Gordon
    et al. 2019 ask only that, of the whole field: `residual` = `translation`, `wrap=True`, `sparsity_weight=0`.
    Their code turns it off where the sparsity is on, and so does the default. A zero field costs 0.

    Raises InputError for fields that are not [b, 3, h, w] of at least 2 x 2 px, or that differ in shape.
    """
    if sparsity not in ("half", "l1"):
        raise InputError(f"sparsity must be 'half' or 'l1', got {sparsity!r}")
    _expect_slopes("residual", residual, channels=3)
    field = residual.to(working_dtype(residual))
    if translation is not None:
        expect_map("translation", translation, channels=3)
        expect_alike("translation", translation, "residual", residual)
        if translation.shape != residual.shape:
            raise InputError(
                f"translation must have the shape of the residual {list(residual.shape)}, got {list(translation.shape)}"
            )
        squared = 3 * translation.to(field.dtype).square().mean(dim=(1, 2, 3), keepdim=True)
        field = field / (squared + _NORM_EPS).sqrt()
    across, down = field - field.roll(1, dims=3), field - field.roll(1, dims=2)
    if not wrap:
        across, down = across[..., 1:, 1:], down[..., 1:, 1:]
    group = (across.square() + down.square() + _ROOT_EPS).sqrt().mean()
    size = field.abs()
    if sparsity == "half":
        mean = size.detach().mean(dim=(2, 3), keepdim=True)
        size = 2 * mean * (size / (mean + _ROOT_EPS) + 1).sqrt()
    sparse = size.mean()
    return MotionFieldSmoothness(group_weight * group + sparsity_weight * sparse, group, sparse)


def _weighted_slopes(disparity: Tensor, image: Tensor) -> tuple[Float[Tensor, "b 1 h w1"], Float[Tensor, "b 1 h1 w"]]:
    _expect_slopes("disparity", disparity, channels=1)
    expect_map("image", image)
    expect_alike("image", image, "disparity", disparity)
    if image.shape[-2:] != disparity.shape[-2:]:
        raise InputError(
            f"image and disparity must have one size, got {list(image.shape[-2:])} and {list(disparity.shape[-2:])} px",
            hint="a coarse scale of the net: resize the image to it",
        )
    expect_unit_range("image", image)
    dtype = working_dtype(disparity, image)
    disparity, image = disparity.to(dtype), image.to(dtype)
    mean = disparity.mean(dim=(1, 2, 3), keepdim=True)
    if not bool(((mean > 0) & mean.isfinite()).all()):
        raise InputError(
            f"disparity must have a positive mean in each image, got {[f'{m:.3g}' for m in mean.flatten().tolist()]}",
            hint="logits without their activation, or 1 / depth of unknown pixels, which are 0",
        )
    normalised = disparity / (mean + _MEAN_EPS)
    across, down = ((normalised.diff(dim=axis)).abs() for axis in (3, 2))
    edge_x, edge_y = (image.diff(dim=axis).abs().mean(dim=1, keepdim=True) for axis in (3, 2))
    return across * torch.exp(-edge_x), down * torch.exp(-edge_y)


def _expect_slopes(name: str, value: Tensor, channels: int) -> None:
    expect_map(name, value, channels=channels)
    if min(value.shape[-2:]) < 2:
        raise InputError(f"{name} must be at least 2 px high and wide to have slopes, got {list(value.shape[-2:])}")
