"""Images as a net off the shelf wants them: its size, its mean. Written for tensors, so that gradients pass."""

from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.precision import working_dtype

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
FILTERS: dict[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers


@dataclass(frozen=True)
class Preparation:
    """Resize and normalise; the resize is smoothed where it shrinks, as Pillow's is, with `align_corners=False`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None  # px, to be met by height and width; None: the image's own
    multiple: int  # px: both sides become multiples of it
    keep_aspect: bool  # of both scales that meet `size`, the one nearer to 1 is taken for both sides
    down: bool = False  # to the next smaller multiple rather than the nearest
    short_side: int | None = None  # px, instead of `size`, with the aspect kept
    filter: Literal["bilinear", "bicubic"] = "bicubic"

    def target(self, height: int, width: int) -> tuple[int, int]:
        """The size that an image of `height` x `width` px is brought to."""
        scales = [1.0, 1.0]
        if self.short_side is not None and self.keep_aspect:
            scales = [self.short_side / min(height, width)] * 2
        elif self.short_side is not None:
            scales = [self.short_side / height, self.short_side / width]
        elif self.size is not None:
            scales = [self.size[0] / height, self.size[1] / width]
            if self.keep_aspect:
                scales = [min(scales[::-1], key=lambda scale: abs(1 - scale))] * 2
        sides = [side * scale / self.multiple for side, scale in zip((height, width), scales, strict=True)]
        rows, columns = (max(1, int(side) if self.down else round(side)) * self.multiple for side in sides)
        return rows, columns

    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 hs ws"]:
        images = images.to(working_dtype(images))
        size = self.target(*images.shape[-2:])
        if size != tuple(images.shape[-2:]):
            images = F.interpolate(images, size=size, mode=self.filter, align_corners=False, antialias=True)
            images = images.clamp(0, 1)  # bicubic overshoots
        mean, std = (images.new_tensor(value)[:, None, None] for value in (self.mean, self.std))
        return (images - mean) / std


def preparation(config: Any, stored: dict[str, Any], short_side: int | None) -> Preparation:
    """What `preprocessor_config.json` says, and where it is silent what the kind of net was published with."""
    kind = config.model_type
    backbone = getattr(config, "backbone_config", None)
    patch = getattr(backbone, "patch_size", None) or getattr(config, "patch_size", None) or 32  # GLPN: coarsest stride
    if short_side is not None and short_side < patch:
        raise InputError(f"short_side must be at least {patch} px, a patch of this net, got {short_side}")
    mean, std = _HALF if kind == "dpt" else IMAGENET
    own = getattr(backbone, "image_size", None) or getattr(config, "image_size", 384)
    size = stored.get("size") or {"height": own, "width": own}
    if isinstance(size, int):
        size = {"height": size, "width": size}
    if not {"height", "width"} <= set(size):
        raise InputError(f"the size in preprocessor_config.json must have height and width, got {size}")
    multiple = stored.get("ensure_multiple_of") or (patch if kind == "depth_anything" else 1)
    if kind == "glpn":
        mean, std = (0.0,) * 3, (1.0,) * 3
        multiple = stored.get("size_divisor") or 32
    if stored.get("do_normalize", kind != "glpn"):
        mean, std = tuple(stored.get("image_mean") or mean), tuple(stored.get("image_std") or std)
    return Preparation(
        mean=mean,
        std=std,
        size=None if kind == "glpn" else (int(size["height"]), int(size["width"])),
        multiple=patch if short_side is not None else multiple,
        keep_aspect=bool(stored.get("keep_aspect_ratio", kind == "depth_anything")) or kind == "glpn",
        down=kind == "glpn",
        short_side=short_side,
        filter=FILTERS.get(stored.get("resample", 2 if kind == "glpn" else 3), "bicubic"),
    )
