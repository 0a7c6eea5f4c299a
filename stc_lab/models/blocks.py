"""What the networks of the kit are built from: convolution with norm, residual block, initial weights, image check."""

import math
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError

SMALLEST = 16  # px: the stride of the deepest level

Norm = Literal["batch", "group"]


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """BatchNorm, or GroupNorm of up to 8 groups, which knows no difference between training and evaluation."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(math.gcd(8, channels), channels)
    raise InputError(f"norm must be 'batch' or 'group', got {norm!r}")


class ConvNormRelu(nn.Sequential):
    """Convolution, norm, ReLU.

    With stride 2, output pixel i of the 3x3 kernel is centred on input pixel 2i (`image[..., ::2, ::2]`), that of the
    4x4 kernel between the input pixels 2i and 2i + 1 (an `align_corners=False` resize of an even size by 1/2).
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, kernel_size: int = 3, norm: Norm = "batch") -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel_size=kernel_size, stride=stride, padding=1, bias=False),
            norm_layer(norm, c_out),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """relu(x + two convolutions of x), He et al. 2016."""

    def __init__(self, channels: int, *, norm: Norm = "batch") -> None:
        super().__init__()
        self.first = ConvNormRelu(channels, channels, norm=norm)
        self.second = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm = norm_layer(norm, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return F.relu(x + self.norm(self.second(self.first(x))))


@runtime_checkable
class StartsCalm(Protocol):
    """A head that begins near a sane value: it shrinks its weights, and does so again when they are drawn anew."""

    def calm(self) -> None: ...


def draw_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Torch's default initialisation (uniform, +-1 / sqrt(fan in)), from an explicit generator."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)
    for module in network.modules():
        if isinstance(module, StartsCalm):
            module.calm()


def check_images(images: Float[Tensor, "b 3 h w"], *, name: str = "images") -> None:
    """Raise unless `images` are float RGB in [0, 1], at least 16 x 16 px."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise InputError(
            f"{name} must be [b, 3, h, w], got {list(images.shape)}",
            hint="add a batch axis, image[None], or move the colours first, image.permute(2, 0, 1)",
        )
    if not images.is_floating_point():
        raise InputError(f"{name} must be floating point in [0, 1], got {images.dtype}", hint="image.float() / 255")
    if len(images) == 0 or min(images.shape[-2:]) < SMALLEST:
        raise InputError(f"{name} must be one or more of at least {SMALLEST} x {SMALLEST} px, got {list(images.shape)}")
    if images.is_meta:  # has a shape and no values
        return
    low, high = (float(value) for value in images.detach().aminmax())
    if not (low >= -1 and high <= 2):  # generous to augmentations; also refuses NaN
        raise InputError(
            f"{name} must hold values in [0, 1], got {low:.3g} to {high:.3g}",
            hint="8-bit values that were not divided by 255, or normalised twice",
        )
