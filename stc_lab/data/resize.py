"""Frames resized with their cameras: `align_corners=False`, c' = (c + 0.5) s - 0.5 (CONVENTIONS.md, pixels)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError


def resize_image(image: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
    """Resize to `size` (height, width) bilinearly, averaging over the area of the new pixel where it shrinks."""
    check_size(size)
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)


def resize_nearest(values: Shaped[Tensor, "*b h w"], size: tuple[int, int]) -> Shaped[Tensor, "*b h2 w2"]:
    """Resize to `size` (height, width) by the nearest pixel, for label ids and depth; never mixes two values.

    Where two pixels are equally near, the one to the right and below is taken.
    """
    check_size(size)
    h, w = values.shape[-2:]
    if (h, w) == tuple(size):
        return values
    rows, columns = (
        # nearest to (i + 0.5) n / m - 0.5, in integers: no rounding error decides
        torch.div((2 * torch.arange(m, device=values.device) + 1) * n, 2 * m, rounding_mode="floor")
        for n, m in ((h, size[0]), (w, size[1]))
    )
    return values[..., rows[:, None], columns]


def resize_clip(clip: Clip, size: tuple[int, int]) -> Clip:
    """Resize image, label, depth and camera of a clip alike to `size` (height, width)."""
    check_size(size)
    if tuple(clip.image.shape[-2:]) == tuple(size):
        return clip
    return Clip(
        video=clip.video,
        index=clip.index,
        time=clip.time,
        image=resize_image(clip.image, size),
        label=None if clip.label is None else resize_nearest(clip.label, size),
        depth=None if clip.depth is None else resize_nearest(clip.depth, size),
        camera=None if clip.camera is None else clip.camera.resized(*size),
        T_world_camera=clip.T_world_camera,
    )


def check_size(size: tuple[int, int]) -> None:
    """Raise unless `size` is a (height, width) of at least one pixel each."""
    if len(size) != 2 or not all(isinstance(n, int) and n >= 1 for n in size):
        raise InputError(f"size must be (height, width) in pixels, at least 1 x 1, got {size!r}")
