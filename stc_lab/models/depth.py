"""What every depth net of the kit must offer, and a compact one for a laptop CPU."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.geometry.precision import working_dtype
from stc_lab.models.blocks import SMALLEST, ConvNormRelu, Norm, ResidualBlock, check_images, draw_weights
from stc_lab.models.depth_range import DepthRange, DisparityHead, full_size
from stc_lab.models.network import Network


@runtime_checkable
class DepthNet(Network, Protocol):
    """Images to depth: any `nn.Module` that has these is accepted wherever the kit asks for a depth net."""

    def __call__(self, images: Float[Tensor, "b 3 h w"], /) -> Float[Tensor, "b 1 h w"]:
        """Depth (m, or an unknown unit; > 0) of every pixel; images are RGB in [0, 1]."""
        ...

    def disparities(self, images: Float[Tensor, "b 3 h w"], /) -> tuple[Float[Tensor, "b 1 hs ws"], ...]:
        """Inverse depth at one or more scales, finest first; each map covers the image's whole extent.

        A map of any size is thus the image's grid resized with `align_corners=False` (`Camera.resized`).
        """
        ...


class DepthFPN(nn.Module):
    """Encoder at strides 2, 4, 8, 16, summed top-down, with a disparity at each stride (after Lin et al. 2017).

    Any image of at least 16 x 16 px; inside, it is enlarged to the next multiple of 16. Down by 4x4 kernels of stride 2
    and up bilinearly with `align_corners=False`, so that every map covers the image's extent: a disparity pixel of
    stride s is centred on the s x s pixels it stands for. A global-average branch sees the whole image.
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64, 96),
        channels: int = 32,
        *,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
        initial_depth: float = 2.5,
        output: Literal["sigmoid", "softplus"] = "sigmoid",
        norm: Norm = "batch",
        generator: torch.Generator | None = None,
    ) -> None:
        """Depths in m, see `DepthRange`; `generator` makes the initial weights repeatable."""
        super().__init__()
        if channels < 1 or len(widths) != 4 or min(widths) < 1:
            raise InputError(
                "DepthFPN needs four positive widths (strides 2, 4, 8, 16) and channels >= 1, "
                f"got widths={tuple(widths)}, channels={channels}"
            )
        self.widths, self.channels, self.norm = tuple(widths), channels, norm
        self.range = DepthRange(min_depth, max_depth, initial_depth, output)
        self.levels = nn.ModuleList(
            nn.Sequential(
                ConvNormRelu(c_in, c_out, stride=2, kernel_size=4, norm=norm), ResidualBlock(c_out, norm=norm)
            )
            for c_in, c_out in zip((3, *widths[:-1]), widths, strict=True)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, kernel_size=1) for width in widths)
        self.context = nn.Linear(widths[-1], channels)
        self.smooth = nn.ModuleList(ConvNormRelu(channels, channels, norm=norm) for _ in widths)
        self.heads = nn.ModuleList(DisparityHead(channels, self.range) for _ in widths)
        if generator is not None:
            draw_weights(self, generator)

    @property
    def architecture(self) -> dict[str, object]:
        """What rebuilds this network without its weights, in JSON's types."""
        return {
            "name": "DepthFPN",
            "widths": list(self.widths),
            "channels": self.channels,
            "norm": self.norm,
            **asdict(self.range),
        }

    def _merged(self, images: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b c hs ws"]]:
        """Features of the four strides after the top-down sums, finest first."""
        check_images(images)
        images = images.to(working_dtype(images))
        size = [-(-side // SMALLEST) * SMALLEST for side in images.shape[-2:]]
        if size != list(images.shape[-2:]):
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        features, pyramid = (images - 0.45) * 4, []  # roughly zero mean and unit variance for indoor photographs
        for level in self.levels:
            features = level(features)
            pyramid.append(features)
        merged = [self.laterals[-1](features) + self.context(features.mean(dim=(2, 3)))[:, :, None, None]]
        for features, lateral in zip(pyramid[-2::-1], list(self.laterals)[-2::-1], strict=True):
            merged.append(full_size(merged[-1], *features.shape[-2:]) + lateral(features))
        return merged[::-1]

    def _disparity(self, scale: int, features: Float[Tensor, "b c hs ws"]) -> Float[Tensor, "b 1 hs ws"]:
        return self.range.disparity(self.heads[scale](self.smooth[scale](features)))

    def disparities(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 1 hs ws"], ...]:
        """Inverse depth (1/m) at strides 2, 4, 8, 16, finest first; each map covers the image's whole extent.

        Its size is that of the next multiple of 16 over the stride: 120 x 160 gives 64 x 80, 32 x 40, 16 x 20, 8 x 10.
        """
        return tuple(self._disparity(scale, features) for scale, features in enumerate(self._merged(images)))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Depth (m) of every pixel, from the finest disparity; images are RGB in [0, 1] and are normalised inside."""
        return 1 / full_size(self._disparity(0, self._merged(images)[0]), *images.shape[-2:])
