"""From what a depth net computes to inverse depth, and the head that computes it."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.geometry.precision import working_dtype


@dataclass(frozen=True)
class DepthRange:
    """How a raw number becomes an inverse depth (1/m), and where an untrained net starts.

    `sigmoid`: 1/max_depth + (1/min_depth - 1/max_depth) sigmoid(raw), monodepth2 (Godard et al. 2019).
    `softplus`: depth = min_depth + softplus(raw), after Gordon et al. (2019); it has no far end, `max_depth` is unused.
    """

    min_depth: float = 0.1  # m
    max_depth: float = 100.0  # m
    initial_depth: float = 2.5  # m
    output: Literal["sigmoid", "softplus"] = "sigmoid"

    def __post_init__(self) -> None:
        if self.output not in ("sigmoid", "softplus"):
            raise InputError(f"output must be 'sigmoid' or 'softplus', got {self.output!r}")
        if not 0 < self.min_depth < self.initial_depth < self.max_depth < math.inf:
            raise InputError(
                "depths must be 0 < min_depth < initial_depth < max_depth in m, "
                f"got {self.min_depth}, {self.initial_depth}, {self.max_depth}"
            )

    def disparity(self, raw: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Inverse depth (1/m) of raw values; half precision is lifted to float32."""
        raw = raw.to(working_dtype(raw))
        if self.output == "softplus":
            return 1 / (self.min_depth + F.softplus(raw))
        far, near = 1 / self.max_depth, 1 / self.min_depth
        return far + (near - far) * raw.sigmoid()

    @property
    def initial_raw(self) -> float:
        """The raw value of `initial_depth`."""
        if self.output == "softplus":
            return math.log(math.expm1(self.initial_depth - self.min_depth))
        far, near = 1 / self.max_depth, 1 / self.min_depth
        share = (1 / self.initial_depth - far) / (near - far)
        return math.log(share / (1 - share))


class DisparityHead(nn.Conv2d):
    """3x3 convolution to one raw value per pixel, near the range's initial depth at the start.

    A depth that starts far off, or noisy, gives pose and photometric error nothing to hold on to.
    """

    def __init__(self, channels: int, depth_range: DepthRange) -> None:
        super().__init__(channels, 1, kernel_size=3, padding=1)
        self.initial_raw = depth_range.initial_raw
        self.calm()

    def calm(self) -> None:
        """Shrink the weights to a tenth and centre on the initial depth; again after drawing weights anew."""
        assert self.bias is not None
        with torch.no_grad():
            self.weight.mul_(0.1)
            self.bias.fill_(self.initial_raw)


def full_size(maps: Float[Tensor, "b c h w"], height: int, width: int) -> Float[Tensor, "b c hf wf"]:
    """A disparity map at the image's size: both cover the image's extent, so `align_corners=False`.

    Disparity, not depth, is what is interpolated: it is linear in the pixel on a plane.
    """
    return F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
