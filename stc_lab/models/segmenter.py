"""What every segmentation network of the kit must offer, and the grid its coarse logits live on."""

from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.models.network import Network


@runtime_checkable
class Segmenter(Network, Protocol):
    """Images to class logits: any `nn.Module` that has these is accepted wherever the kit asks for a segmenter.

    `coarse` gives the logits of every `coarse_stride`-th pixel from the first: those of `images[..., ::s, ::s]`.
    Losses are taken there, where they cost a fraction and where labels, depth and camera are only sub-sampled.
    """

    num_classes: int
    coarse_stride: int

    def __call__(self, images: Float[Tensor, "b 3 h w"], /) -> Float[Tensor, "b k h w"]:
        """Logits of every pixel; images are RGB in [0, 1]."""
        ...

    def coarse(self, images: Float[Tensor, "b 3 h w"], /) -> Float[Tensor, "b k hs ws"]:
        """Logits of every `coarse_stride`-th pixel; hs, ws = ceil(h / stride), ceil(w / stride)."""
        ...


def upsample_strided(
    coarse: Float[Tensor, "b c hs ws"], height: int, width: int, *, stride: int = 2
) -> Float[Tensor, "b c h w"]:
    """Values between every `stride`-th pixel, linearly interpolated: the inverse of `[..., ::stride, ::stride]`.

    Pixels 0, s, 2s, ... keep their values; the up to s - 1 rows and columns after the last of them repeat it.
    An `align_corners=False` resize would shift the picture by (s - 1) / 2 pixels.
    """
    expected = -(-height // stride), -(-width // stride)
    if tuple(coarse.shape[-2:]) != expected:
        raise InputError(
            f"a {height} x {width} image sub-sampled by {stride} is {expected[0]} x {expected[1]} px, "
            f"got a map of {coarse.shape[-2]} x {coarse.shape[-1]}",
            hint="height and width are those of the image that the map was computed from",
        )
    spanned = stride * (expected[0] - 1) + 1, stride * (expected[1] - 1) + 1
    fine = F.interpolate(coarse, size=spanned, mode="bilinear", align_corners=True)
    return F.pad(fine, (0, width - spanned[1], 0, height - spanned[0]), mode="replicate")
