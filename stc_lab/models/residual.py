"""A translation of its own for each pixel, where things move: refined from the whole image down to its pixels."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.models.segmenter import upsample_strided


class Refine(nn.Module):
    """Correct a coarser field by what finer features show: two convolutions, and their outputs' mix is added."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels + 3, hidden, kernel_size=3, padding=1)
        self.second = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1)
        self.mix = nn.Conv2d(2 * hidden, 3, kernel_size=1, bias=False)

    def forward(self, field: Float[Tensor, "b 3 h w"], features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
        first = self.first(torch.cat([field, features], dim=1)).relu()
        return field + self.mix(torch.cat([first, self.second(first).relu()], dim=1))


class ResidualField(nn.Module):
    """Residual translation field of Gordon et al. (2019), section 3.1, on frame b's grid.

    It begins as one vector for the image and is refined at every level of the encoder, and by the images themselves.
    """

    def __init__(self, bottleneck: int, channels: Sequence[int], *, hidden: int = 24) -> None:
        super().__init__()
        self.start = nn.Linear(bottleneck, 3)
        self.levels = nn.ModuleList(Refine(c, min(c, hidden)) for c in channels)
        self.images = Refine(6, 8)

    def forward(
        self,
        bottleneck: Float[Tensor, "b c"],
        pyramid: Sequence[Float[Tensor, "b _ _ _"]],
        images: Float[Tensor, "b 6 h w"],
    ) -> Float[Tensor, "b 3 h w"]:
        """Field before its scale; `pyramid` runs from stride 2 to the coarsest."""
        field = self.start(bottleneck)[:, :, None, None].expand(-1, -1, *pyramid[-1].shape[-2:])
        for number in range(len(pyramid) - 1, -1, -1):
            field = self.levels[number](field, pyramid[number])
            field = upsample_strided(field, *(pyramid[number - 1] if number else images).shape[-2:])
        return self.images(field, images)
