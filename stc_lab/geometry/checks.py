"""Arguments of the geometry functions: one place that says what was expected, what came and the usual cause."""

import math

import torch
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera

_SHORT = (torch.float16, torch.bfloat16)


def expect_map(name: str, value: Tensor, channels: int | None = None) -> None:
    """Raise unless `value` is a floating-point map [b, c, h, w] of at least one pixel."""
    c = "c" if channels is None else channels
    if value.ndim != 4 or (channels is not None and value.shape[1] != channels):
        hint = None
        if value.ndim == 3:
            hint = (
                f"add a channel axis, {name}[:, None]" if channels == 1 else f"add a batch axis, {name}[None]"
            )  # a stack of depth maps without its channel is the likelier slip than one map without its batch
        raise InputError(f"{name} must be [b, {c}, h, w], got {list(value.shape)}", hint=hint)
    if value.dtype not in (*_SHORT, torch.float32, torch.float64):
        hint = f"{name}.float() / 255" if value.dtype == torch.uint8 else f"{name}.float()"
        raise InputError(f"{name} must be float16, bfloat16, float32 or float64, got {value.dtype}", hint=hint)
    if value.numel() == 0:
        raise InputError(f"{name} must hold at least one pixel, got {list(value.shape)}")


def expect_depth(name: str, value: Tensor) -> None:
    """Raise unless `value` is a depth map [b, 1, h, w].

    A measured depth marks unknown pixels by 0 or by what is not finite, though hardly all of them by the latter. A
    depth that asks for a gradient comes from a net: what is not finite there has diverged, and a mask would hide it.
    """
    expect_map(name, value, channels=1)
    if math.isfinite(value.detach().sum()):  # one reading of the map, where asking each value takes four
        return
    finite = torch.isfinite(value.detach())
    if not bool(finite.all() if value.requires_grad else finite.any()):
        asks = "asks for a gradient, but " if value.requires_grad else ""
        raise InputError(
            f"{name} must be finite: {asks}{int((~finite).sum())} of its {value.numel()} values are NaN or infinite",
            hint="a depth net that diverged, or a division by a disparity of 0; unknown pixels are marked by 0",
        )


def expect_labels(name: str, value: Tensor) -> None:
    """Raise unless `value` is a label map, int64 [b, h, w]."""
    if value.ndim != 3 or value.dtype != torch.int64:
        raise InputError(
            f"{name} must be int64 [b, h, w], got {value.dtype} {list(value.shape)}",
            hint="class ids, not logits: argmax(dim=1) first" if value.ndim == 4 else f"{name}.long(), {name}[None]",
        )
    if value.numel() == 0:
        raise InputError(f"{name} must hold at least one pixel, got {list(value.shape)}")


def expect_alike(name: str, value: Tensor, other_name: str, other: Tensor, *, dtype: bool = True) -> None:
    """Raise unless both have one batch size, one device and, where asked, dtypes that go together.

    Half precision goes with float32, as mixed-precision training gives it; float64 only with itself.
    """
    if len(value) != len(other):
        raise InputError(f"{name} and {other_name} must have one batch size, got {len(value)} and {len(other)}")
    if value.device != other.device:
        raise InputError(f"{name} and {other_name} must lie on one device, got {value.device} and {other.device}")
    if dtype and not _together(value.dtype, other.dtype):
        raise InputError(
            f"{name} and {other_name} must have one dtype, got {value.dtype} and {other.dtype}",
            hint=f"{name}.to({other_name}.dtype)",
        )


def expect_camera(
    name: str, value: Tensor, camera_name: str, camera: Camera, *, dtype: bool = True, size: bool = True
) -> None:
    """Raise unless `camera` goes with `value`: one size, one device, one dtype, one K for all or for each."""
    if size:
        camera.expect_size(name, value.shape[-2], value.shape[-1])
    if len(camera.K) not in (1, len(value)):
        raise InputError(f"{camera_name} must hold one K or one for each of {len(value)} maps, got {len(camera.K)}")
    if camera.K.device != value.device or (dtype and not _together(camera.K.dtype, value.dtype)):
        raise InputError(
            f"{camera_name}.K and {name} must have one dtype and device, got {camera.K.dtype} on {camera.K.device} "
            f"and {value.dtype} on {value.device}",
            hint=f"{camera_name}.to({name}.device, {name}.dtype)",
        )


def _together(a: torch.dtype, b: torch.dtype) -> bool:
    return a == b or torch.float64 not in (a, b)
