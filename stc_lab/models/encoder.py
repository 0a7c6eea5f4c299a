"""What a motion net looks at a pair of images with: features of the pair at strides 2 to 32."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.models.blocks import ConvNormRelu, Norm
from stc_lab.models.correlation import correlation_volume

LEVELS = 5  # strides 2, 4, 8, 16, 32; pixel i of stride s is centred on image pixel s i


def with_coordinates(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
    """Two more channels: where in the image the pixel lies, x and y from -1 to 1.

    A turn moves all pixels alike and a translation does not: an average over the image can tell them apart only if
    the features know where they are.
    """
    height, width = features.shape[-2:]
    x = torch.linspace(-1, 1, width, device=features.device, dtype=features.dtype)
    y = torch.linspace(-1, 1, height, device=features.device, dtype=features.dtype)
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
    return torch.cat([features, grid.expand(len(features), -1, -1, -1)], dim=1)


def _step(c_in: int, c_out: int, norm: Norm) -> nn.Sequential:
    """One stride of two, and a convolution at its new resolution."""
    return nn.Sequential(ConvNormRelu(c_in, c_out, stride=2, norm=norm), ConvNormRelu(c_out, c_out, norm=norm))


class ConcatEncoder(nn.Module):
    """Both images in one stack of six channels, as in SfMLearner (Zhou et al. 2017) and Gordon et al. (2019)."""

    def __init__(self, widths: Sequence[int], *, norm: Norm = "batch") -> None:
        super().__init__()
        self.channels = tuple(widths)
        self.levels = nn.ModuleList(
            _step(c_in, c_out, norm)
            for c_in, c_out in zip((6, *widths[:2], widths[2] + 2, widths[3]), widths, strict=True)
        )

    def forward(
        self, image_a: Float[Tensor, "b 3 h w"], image_b: Float[Tensor, "b 3 h w"]
    ) -> list[Float[Tensor, "b c hs ws"]]:
        """Features at strides 2, 4, 8, 16, 32 of two images in [0, 1]."""
        features, pyramid = (torch.cat([image_a, image_b], dim=1) - 0.45) * 4, []
        for number, level in enumerate(self.levels):
            features = level(with_coordinates(features) if number == 3 else features)
            pyramid.append(features)
        return pyramid


class CorrelationEncoder(nn.Module):
    """Each image's own features at stride 4, matched: for each pixel of b, how alike a's pixels around it are.

    The finer two levels see b alone, on whose grid the motion lives; the matches reach 4 `radius` px of the image.
    """

    def __init__(self, widths: Sequence[int], *, radius: int = 4, matched: int = 32, norm: Norm = "batch") -> None:
        super().__init__()
        self.channels, self.radius = tuple(widths), radius
        self.own = nn.ModuleList([ConvNormRelu(3, widths[0], stride=2, norm=norm), _step(widths[0], widths[1], norm)])
        self.features = nn.Conv2d(widths[1], matched, kernel_size=1)
        seen = (2 * radius + 1) ** 2 + widths[1] + 2  # matches, b's features, coordinates
        self.levels = nn.ModuleList(
            _step(c_in, c_out, norm) for c_in, c_out in zip((seen, *widths[2:4]), widths[2:], strict=True)
        )

    def forward(
        self, image_a: Float[Tensor, "b 3 h w"], image_b: Float[Tensor, "b 3 h w"]
    ) -> list[Float[Tensor, "b c hs ws"]]:
        """Features at strides 2, 4, 8, 16, 32 of two images in [0, 1]."""
        both = (torch.cat([image_a, image_b]) - 0.45) * 4
        half = self.own[0](both)
        quarter = self.own[1](half)
        unit = F.normalize(self.features(quarter), dim=1)
        volume = correlation_volume(*unit.chunk(2)[::-1], radius=self.radius)
        pyramid = [half.chunk(2)[1], quarter.chunk(2)[1]]
        features = with_coordinates(torch.cat([volume, pyramid[1]], dim=1))
        for level in self.levels:
            features = level(features)
            pyramid.append(features)
        return pyramid


def check_widths(widths: Sequence[int]) -> None:
    """Raise unless there is a positive number of channels for each level."""
    if len(widths) != LEVELS or min(widths) < 1:
        raise InputError(f"a motion net needs five positive widths (strides 2, 4, 8, 16, 32), got {tuple(widths)}")
