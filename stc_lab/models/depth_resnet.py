"""A depth net for a GPU: ResNet encoder and the decoder of monodepth2 (Godard et al. 2019, appendix B)."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.geometry.precision import working_dtype
from stc_lab.models.blocks import check_images, draw_weights
from stc_lab.models.depth_range import DepthRange, DisparityHead, full_size
from stc_lab.models.resnet import Depth, ResNetEncoder

_WIDTHS = (16, 32, 64, 128, 256)  # of the decoder, at strides 1, 2, 4, 8, 16
_STRIDE = 32


class _ConvElu(nn.Sequential):
    def __init__(self, c_in: int, c_out: int) -> None:
        # replicate: monodepth2 reflects, which one pixel alone, as in a 32 px image's deepest level, has nothing for
        super().__init__(nn.Conv2d(c_in, c_out, kernel_size=3, padding=1, padding_mode="replicate"), nn.ELU())


class DepthResNet(nn.Module):
    """ResNet-18 or -50 with skips to a decoder that doubles its size five times; disparities at strides 1, 2, 4, 8.

    Any image of at least 16 x 16 px; inside, it is enlarged to the next multiple of 32. The encoder's levels lie on the
    grid of every s-th pixel (its weights are made so), the disparities are used as maps of the image's whole extent:
    as in monodepth2, the decoder's convolutions learn the shift of up to (s - 1) / 2 px between the two.
    """

    def __init__(
        self,
        depth: Depth = 18,
        *,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
        initial_depth: float = 2.5,
        output: Literal["sigmoid", "softplus"] = "sigmoid",
        weights: Path | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Depths in m, see `DepthRange`; `weights` is a file for the encoder, see `ResNetEncoder.load`."""
        super().__init__()
        self.range = DepthRange(min_depth, max_depth, initial_depth, output)
        self.encoder = ResNetEncoder(depth)
        below = (*_WIDTHS[1:], self.encoder.channels[-1])
        skips = (0, *self.encoder.channels[:-1])
        self.before = nn.ModuleList(_ConvElu(c_in, width) for c_in, width in zip(below, _WIDTHS, strict=True))
        self.after = nn.ModuleList(_ConvElu(width + skip, width) for skip, width in zip(skips, _WIDTHS, strict=True))
        self.heads = nn.ModuleList(DisparityHead(width, self.range) for width in _WIDTHS[:4])
        if generator is not None:
            draw_weights(self, generator)
        if weights is not None:
            self.encoder.load(weights)

    @property
    def architecture(self) -> dict[str, object]:
        """What rebuilds this network without its weights, in JSON's types."""
        return {"name": "DepthResNet", "depth": self.encoder.depth, **asdict(self.range)}

    def disparities(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 1 hs ws"], ...]:
        """Inverse depth (1/m) at strides 1, 2, 4, 8 of the next multiple of 32, finest first."""
        check_images(images)
        images = images.to(working_dtype(images))
        size = [-(-side // _STRIDE) * _STRIDE for side in images.shape[-2:]]
        if size != list(images.shape[-2:]):
            images = full_size(images, *size)
        pyramid = self.encoder(images)
        features, found = pyramid.pop(), []
        for level in range(len(_WIDTHS) - 1, -1, -1):
            features = F.interpolate(self.before[level](features), scale_factor=2, mode="nearest")
            skip = [pyramid[level - 1]] if level else []
            features = self.after[level](torch.cat([features, *skip], dim=1))
            if level < len(self.heads):
                found.append(self.range.disparity(self.heads[level](features)))
        return tuple(found[::-1])

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Depth (m) of every pixel, from the finest disparity; images are RGB in [0, 1] and are normalised inside."""
        return 1 / full_size(self.disparities(images)[0], *images.shape[-2:])
