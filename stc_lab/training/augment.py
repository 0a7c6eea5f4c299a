"""Random changes of labelled frames: mirror, zoom, light. Batched, and drawn from an explicit generator."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor


def augment(
    images: Float[Tensor, "b 3 h w"],
    labels: Int64[Tensor, "b h w"],
    generator: torch.Generator,
    *,
    flip: bool = True,
    zoom: float = 1.3,
    jitter: float = 0.6,
) -> tuple[Float[Tensor, "b 3 h w"], Int64[Tensor, "b h w"]]:
    """Mirror half of the frames, zoom into each by 1..`zoom` at a random place, and change its light.

    Images are sampled bilinearly, labels at the nearest pixel. A window stays inside its frame: nothing is invented.
    `generator` lives on the CPU, so that every device draws the same.
    """
    b, _, height, width = images.shape
    scale = 1 / (1 + (zoom - 1) * torch.rand(b, generator=generator))
    x_of, y_of = (_window(scale, size, generator, like=images) for size in (width, height))
    mirrored = (torch.rand(b, generator=generator) < 0.5 * flip).to(images.device)
    x_of = torch.where(mirrored[:, None], width - 1 - x_of, x_of)
    grid = torch.stack(
        [
            (x_of * (2 / max(width - 1, 1)) - 1)[:, None, :].expand(b, height, width),
            (y_of * (2 / max(height - 1, 1)) - 1)[:, :, None].expand(b, height, width),
        ],
        dim=-1,
    )
    zoomed = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)
    frame = torch.arange(b, device=labels.device)[:, None, None]
    nearest = labels[frame, y_of.round().long()[:, :, None], x_of.round().long()[:, None, :]]
    return jitter_light(zoomed, generator, strength=jitter), nearest


def jitter_light(
    images: Float[Tensor, "b 3 h w"], generator: torch.Generator, *, strength: float = 0.6
) -> Float[Tensor, "b 3 h w"]:
    """Change contrast (+-25 %), brightness (+-0.12) and colour balance (+-12 %) of each image, times `strength`."""
    if strength == 0:
        return images

    def draw(channels: int) -> Tensor:
        random = 2 * torch.rand(len(images), channels, 1, 1, generator=generator) - 1
        return (strength * random).to(images)

    changed = (images - 0.45) * (1 + 0.25 * draw(1)) + 0.45 + 0.12 * draw(1)
    return (changed * (1 + 0.12 * draw(3))).clamp(0, 1)


def _window(
    scale: Float[Tensor, " b"], size: int, generator: torch.Generator, *, like: Tensor
) -> Float[Tensor, "b size"]:
    """Pixel positions, along one axis, of windows of `scale` of the image at random places inside it."""
    margin = (size - 1) * (1 - scale)
    start = margin * torch.rand(len(scale), generator=generator)
    return (start[:, None] + scale[:, None] * torch.arange(size)).to(like).clamp(0, size - 1)
