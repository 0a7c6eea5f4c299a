"""A compact feature-pyramid segmenter (after Lin et al. 2017), small enough to train on a laptop CPU in two minutes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.models.segmenter import upsample_strided

SMALLEST = 16  # px: the stride of the deepest level


class ConvNormRelu(nn.Sequential):
    """3x3 convolution, BatchNorm, ReLU. With stride 2, output pixel i is centred on input pixel 2i."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """relu(x + two convolutions of x), He et al. 2016."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNormRelu(channels, channels)
        self.second = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return F.relu(x + self.norm(self.second(self.first(x))))


class FPNSegmenter(nn.Module):
    """Encoder at strides 2, 4, 8, 16, summed top-down to stride 2, with a global-average branch for context.

    Any image of at least 16 x 16 px. BatchNorm rather than GroupNorm: at equal length it gained 6 mIoU on rooms.
    """

    coarse_stride: int = 2

    def __init__(
        self,
        num_classes: int = 21,
        widths: Sequence[int] = (16, 32, 64, 96),
        channels: int = 32,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """`generator` makes the initial weights repeatable; without it torch's global one draws them."""
        super().__init__()
        if num_classes < 2 or channels < 1 or len(widths) != 4 or min(widths) < 1:
            raise InputError(
                "FPNSegmenter needs num_classes >= 2, four positive widths (strides 2, 4, 8, 16) and channels >= 1, "
                f"got num_classes={num_classes}, widths={tuple(widths)}, channels={channels}"
            )
        self.num_classes, self.widths, self.channels = num_classes, tuple(widths), channels
        self.levels = nn.ModuleList(
            nn.Sequential(ConvNormRelu(c_in, c_out, stride=2), ResidualBlock(c_out))
            for c_in, c_out in zip((3, *widths[:-1]), widths, strict=True)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, kernel_size=1) for width in widths)
        self.context = nn.Linear(widths[-1], channels)
        self.smooth = ConvNormRelu(channels, channels)
        self.classify = nn.Conv2d(channels, num_classes, kernel_size=1)
        if generator is not None:
            self._draw_weights(generator)

    def _draw_weights(self, generator: torch.Generator) -> None:
        """Torch's default initialisation (uniform, +-1 / sqrt(fan in)), from an explicit generator."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                bound = module.weight[0].numel() ** -0.5
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
                if module.bias is not None:
                    nn.init.uniform_(module.bias, -bound, bound, generator=generator)

    @property
    def architecture(self) -> dict[str, object]:
        """What rebuilds this network without its weights, in JSON's types."""
        return {
            "name": "FPNSegmenter",
            "num_classes": self.num_classes,
            "widths": list(self.widths),
            "channels": self.channels,
        }

    def coarse(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k hs ws"]:
        """Logits of the pixels of `images[..., ::2, ::2]`."""
        check_images(images)
        features, pyramid = (images - 0.45) * 4, []  # roughly zero mean and unit variance for indoor photographs
        for level in self.levels:
            features = level(features)
            pyramid.append(features)
        merged = self.laterals[-1](features) + self.context(features.mean(dim=(2, 3)))[:, :, None, None]
        for features, lateral in zip(pyramid[-2::-1], list(self.laterals)[-2::-1], strict=True):
            merged = upsample_strided(merged, *features.shape[-2:]) + lateral(features)
        return self.classify(self.smooth(merged))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        """Logits of every pixel; images are RGB in [0, 1] and are normalised inside."""
        return upsample_strided(self.coarse(images), *images.shape[-2:])


def check_images(images: Float[Tensor, "b 3 h w"]) -> None:
    """Raise unless `images` are float RGB in [0, 1], at least 16 x 16 px."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise InputError(
            f"images must be [b, 3, h, w], got {list(images.shape)}",
            hint="add a batch axis, image[None], or move the colours first, image.permute(2, 0, 1)",
        )
    if not images.is_floating_point():
        raise InputError(f"images must be floating point in [0, 1], got {images.dtype}", hint="image.float() / 255")
    if len(images) == 0 or min(images.shape[-2:]) < SMALLEST:
        raise InputError(f"images must be one or more of at least {SMALLEST} x {SMALLEST} px, got {list(images.shape)}")
    low, high = (float(value) for value in images.detach().aminmax())
    if not (low >= -1 and high <= 2):  # generous to augmentations; also refuses NaN
        raise InputError(
            f"images must hold values in [0, 1], got {low:.3g} to {high:.3g}",
            hint="8-bit values that were not divided by 255, or normalised twice",
        )
