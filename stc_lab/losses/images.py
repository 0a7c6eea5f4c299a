"""What the losses ask of the images they compare."""

import torch
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike, expect_map

_SLACK = 1e-3  # beyond [0, 1], for what resampling and half precision round


def expect_pair(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    """Raise unless both are maps [b, c, h, w] of one shape, device and dtype."""
    expect_map(name, value)
    expect_map(other_name, other)
    if value.shape != other.shape:
        raise InputError(
            f"{name} and {other_name} must have one shape, got {list(value.shape)} and {list(other.shape)}",
            hint="images of two scales, or grey beside RGB",
        )
    expect_alike(name, value, other_name, other)


def expect_unit_range(name: str, images: Tensor) -> None:
    """Raise unless the images lie in [0, 1], as the constants of these losses take for granted."""
    low, high = images.detach().aminmax()
    if not bool((low >= -_SLACK) & (high <= 1 + _SLACK)):
        raise InputError(
            f"{name} must lie in [0, 1], got values from {float(low):.3g} to {float(high):.3g}",
            hint="8-bit images not divided by 255, or images normalised for a network",
        )


def expect_mask(name: str, mask: Tensor, images: Tensor) -> None:
    """Raise unless `mask` is bool [b, h, w], on the pixels of the images [b, c, h, w]."""
    expected = [len(images), *images.shape[-2:]]
    if mask.dtype != torch.bool or list(mask.shape) != expected:
        raise InputError(f"{name} must be bool {expected} to fit the images, got {mask.dtype} {list(mask.shape)}")
