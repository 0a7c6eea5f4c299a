"""Read images, logits and labels at positions between the pixels (CONVENTIONS.md, pixels)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from stc_lab.geometry.checks import expect_alike, expect_labels, expect_map
from stc_lab.geometry.compiled import Sample, compilable
from stc_lab.geometry.precision import working_dtype
from stc_lab.geometry.reproject import inside


def sample_at(source: Float[Tensor, "b c hs ws"], pixels: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b c h w"]:
    """Sample images or logits bilinearly at positions (x, y), px; outside the image, its border goes on.

    A whole-numbered position gives that very pixel, bit by bit. Differentiable once, in both.
    """
    expect_map("source", source)
    expect_map("pixels", pixels, channels=2)
    expect_alike("source", source, "pixels", pixels)
    dtype = working_dtype(source)
    read = Sample.apply if compilable(source, pixels) else _sample_plain
    image: Tensor = read(source.to(dtype), pixels.to(dtype))
    return image.to(source.dtype)


def _sample_plain(source: Float[Tensor, "b c hs ws"], pixels: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b c h w"]:
    height, width = source.shape[-2:]
    x, y = pixels.unbind(dim=1)
    grid = torch.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], dim=3)
    sampled = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=True)
    with torch.no_grad():
        # Normalising rounds: at 160 px a position comes back 1e-5 px off. The derivative is grid_sample's.
        whole = ((x.frac() == 0) & (y.frac() == 0) & inside(pixels, height, width))[:, None]
        sampled.copy_(torch.where(whole, nearest(source, pixels), sampled))
    return sampled


def read_labels_at(labels: Int64[Tensor, "b hs ws"], pixels: Float[Tensor, "b 2 h w"]) -> Int64[Tensor, "b h w"]:
    """Read labels at the pixel nearest to each position; ids are never interpolated. Outside, the border goes on."""
    expect_labels("labels", labels)
    expect_map("pixels", pixels, channels=2)
    expect_alike("labels", labels, "pixels", pixels, dtype=False)
    return nearest(labels[:, None], pixels)[:, 0]


def nearest(values: Shaped[Tensor, "b c hs ws"], pixels: Float[Tensor, "b 2 h w"]) -> Shaped[Tensor, "b c h w"]:
    """Values of any dtype at the pixel nearest to each position, at the border for positions outside."""
    b, c, height, width = values.shape
    x = pixels[:, 0].detach().round().clamp(0, width - 1).long()
    y = pixels[:, 1].detach().round().clamp(0, height - 1).long()
    index = (y * width + x).reshape(b, 1, -1).expand(b, c, -1)
    return values.flatten(2).gather(2, index).reshape(b, c, *pixels.shape[-2:])
