"""The projection head: turns a segmenter's features into those that a contrastive loss compares (He et al. 2021)."""

from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.models.blocks import draw_weights
from stc_lab.models.segmenter import Segmenter

Layers = Literal["fc-bn-relu", "fc-relu-fc", "fc-bn-relu-fc"]


@runtime_checkable
class FeatureSegmenter(Segmenter, Protocol):
    """A segmenter whose features can be had as well: `coarse(x)` is `classify(features(x))`.

    One pass serves both losses of Eq. 3 of He et al. 2021: `f = net.features(x)`, then `net.classify(f)` for the
    cross-entropy and `head(f)` for the contrast. The paper projects the features of the encoder; those of the kit's
    small segmenters are its merged levels, at `coarse_stride`, where labels are `labels[..., ::s, ::s]`.
    """

    channels: int  # of the features

    def features(self, images: Float[Tensor, "b 3 h w"], /) -> Float[Tensor, "b c hs ws"]:
        """What the logits are made from."""
        ...

    def classify(self, features: Float[Tensor, "b c hs ws"], /) -> Float[Tensor, "b k hs ws"]:
        """Logits of the features' pixels."""
        ...


class ProjectionHead(nn.Module):
    """Each pixel's features through the same small net; for training only, dropped afterwards.

    `layers` says what is in it:

    - "fc-bn-relu", as He et al. 2021 write theirs. It ends in a ReLU, so nothing is negative and all cosines lie in
      [0, 1]: two classes can be made perpendicular, not opposite.
    - "fc-relu-fc", the head of MoCo v2 (Chen et al. 2020), which they cite.
    - "fc-bn-relu-fc", what public code of pixel contrast builds (Wang et al. 2021), and the default.

    FC is a 1x1 convolution; hidden layers are as wide as the input. He et al. find 512 features better than 256, on a
    Swin-L; the kit's segmenters have 32, so that 128 is much already. The features do not have unit length yet: the
    loss sees to that.
    """

    def __init__(
        self,
        channels: int,
        dim: int = 128,
        *,
        layers: Layers = "fc-bn-relu-fc",
        generator: torch.Generator | None = None,
    ) -> None:
        """`generator` makes the initial weights repeatable; without it torch's global one draws them."""
        super().__init__()
        if channels < 1 or dim < 1:
            raise InputError(f"ProjectionHead needs channels >= 1 and dim >= 1, got {channels} and {dim}")
        made: dict[str, list[nn.Module]] = {
            "fc-bn-relu": [_fc(channels, dim, bias=False), nn.BatchNorm2d(dim), nn.ReLU()],
            "fc-relu-fc": [_fc(channels, channels), nn.ReLU(), _fc(channels, dim)],
            "fc-bn-relu-fc": [
                _fc(channels, channels, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                _fc(channels, dim),
            ],
        }
        if layers not in made:
            raise InputError(f"layers must be one of {', '.join(made)}, got {layers!r}")
        self.channels, self.dim, self.layers = channels, dim, layers
        self.net = nn.Sequential(*made[layers])
        if generator is not None:
            draw_weights(self, generator)

    @property
    def architecture(self) -> dict[str, object]:
        """What rebuilds this head without its weights, in JSON's types."""
        return {"name": "ProjectionHead", "channels": self.channels, "dim": self.dim, "layers": self.layers}

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """The features to contrast, on the same grid."""
        if features.ndim != 4 or features.shape[1] != self.channels:
            raise InputError(
                f"features must be [b, {self.channels}, h, w], got {list(features.shape)}",
                hint="logits or an image instead of a segmenter's features(images)",
            )
        projected: Tensor = self.net(features)
        return projected


def _fc(c_in: int, c_out: int, *, bias: bool = True) -> nn.Conv2d:
    """A layer fully connected over the channels of each pixel."""
    return nn.Conv2d(c_in, c_out, kernel_size=1, bias=bias)
