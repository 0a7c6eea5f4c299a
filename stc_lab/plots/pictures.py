"""Tensors to pictures: uint8 RGB arrays, and the PNG bytes that figures and widgets show."""

import base64
import io

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.colours import rgb_of_hex
from stc_lab.plots.palette import UNKNOWN_COLOUR, Scale

HATCH_COLOURS = ("#e6e8ec", "#9aa3b0")  # ground and stripe of what could not be seen
_STRIPES = 36  # periods of the hatch across a picture


def image_rgb(image: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """An RGB image in [0, 1], clipped."""
    pixels = (image.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return pixels.permute(1, 2, 0).cpu().numpy()


def depth_rgb(depth: Float[Tensor, "h w"], scale: Scale) -> UInt8[np.ndarray, "h w 3"]:
    """Depth (m) in the colours of `scale`; unknown depth (zero or not finite) is grey."""
    rgb = value_rgb(depth, scale)
    known = torch.isfinite(depth) & (depth > 0)
    rgb[~known.cpu().numpy()] = rgb_of_hex((UNKNOWN_COLOUR,))[0]
    return rgb


def value_rgb(value: Float[Tensor, "h w"], scale: Scale) -> UInt8[np.ndarray, "h w 3"]:
    """Any measured value in the colours of `scale`."""
    return scale.rgb(value.detach().double().cpu().numpy())


def tint(
    rgb: UInt8[np.ndarray, "h w 3"], mask: Bool[Tensor, "h w"], colour: str, strength: float = 0.6
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with `colour` laid over it where `mask` is True."""
    where = mask.cpu().numpy()
    over = rgb.copy()
    over[where] = (rgb[where] * (1 - strength) + rgb_of_hex((colour,))[0] * strength).round().astype(np.uint8)
    return over


def faded(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture in light greys, as a ground for colours."""
    grey = rgb.astype(np.float64) @ (0.299, 0.587, 0.114)  # luma, ITU-R BT.601
    return np.repeat((127 + grey[..., None] / 2).round().astype(np.uint8), 3, axis=2)


def enlarge(rgb: UInt8[np.ndarray, "h w 3"], factor: int) -> UInt8[np.ndarray, "H W 3"]:
    """Every pixel as a block of `factor` x `factor`, so that no viewer blurs a small picture."""
    if factor < 1:
        raise InputError(f"factor must be at least 1, got {factor}")
    return rgb.repeat(factor, axis=0).repeat(factor, axis=1)


def hatch(
    rgb: UInt8[np.ndarray, "h w 3"], hidden: Bool[np.ndarray, "h w"], *, factor: int = 1
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture enlarged by `factor`, with diagonal stripes over the `hidden` pixels: nothing was seen there."""
    large = enlarge(rgb, factor)
    where = hidden.repeat(factor, axis=0).repeat(factor, axis=1)
    y, x = np.nonzero(where)
    period = max(6, large.shape[1] // _STRIPES)
    stripe = ((x + y) % period < period // 3).astype(np.int64)
    large[where] = rgb_of_hex(HATCH_COLOURS)[stripe]
    return large


def encode(rgb: UInt8[np.ndarray, "h w 3"], *, photo: bool = False, quick: bool = False) -> bytes:
    """PNG bytes; a `photo` of more than 40,000 pixels is JPEG, which is a tenth of the size and looks the same.

    `quick`, for pictures that follow a slider: JPEG for every photo, and PNG that is compressed in half the time.
    """
    target = io.BytesIO()
    if photo and (quick or rgb.shape[0] * rgb.shape[1] > 40_000):
        Image.fromarray(rgb).save(target, "JPEG", quality=92, subsampling=0)
    else:
        Image.fromarray(rgb).save(target, "PNG", compress_level=1 if quick else 4)
    return target.getvalue()


def data_uri(encoded: bytes) -> str:
    """`encoded` PNG or JPEG bytes as the source of an image."""
    kind = "png" if encoded.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"
