"""Guided filter in space, and in space and time: a signal smoothed so that its edges follow those of a guide.

He, Sun and Tang 2010 (Guided image filtering): in each window the signal is regressed on the guide, p ~ a . I + b with
ridge eps on a; a pixel takes the mean of what the windows around it predict. Weighted by confidence as in Liba et al.
2020 (Sky optimization), and extended to time by stacked frames as in Azulay et al. 2021, Section 5.4.
"""

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.filters.windows import Radii, filter_plain
from stc_lab.geometry.checks import expect_alike, expect_map
from stc_lab.geometry.compiled import compilable
from stc_lab.geometry.precision import working_dtype
from stc_lab.geometry.threads import run_jobs, threads_for

Border = Literal["truncated", "reflect"]
_PIXELS_AT_ONCE = 2_000_000  # of a job's frames: with a colour guide, about 180 MB of sums
_LEAST_WEIGHT = 1e-9  # of the largest: sums of weights that differ by more would be rounding


def guided_filter(
    guide: Float[Tensor, "b c h w"],
    signal: Float[Tensor, "b k h w"],
    *,
    radius: int,
    eps: float,
    weights: Float[Tensor, "b kw h w"] | Bool[Tensor, "b kw h w"] | None = None,
    border: Border = "truncated",
) -> Float[Tensor, "b k h w"]:
    """Smooth each channel of a signal within windows of 2 radius + 1 px, along the edges of a guide.

    The guide is grey, colour, or has any other channels; `eps` is in its squared unit (images in [0, 1]: 1e-4 keeps
    faint edges, 1e-2 only strong ones) and is not squared again. `weights` (not negative, or a bool mask) has one
    channel for all of the signal's, or one for each: every window's regression is weighted by them, the mean over the
    windows is not. Where a weight is 0 (or a billionth of the largest), the signal is not looked at and may be NaN; a
    window without any weight is left out; a pixel in no other windows keeps its value.

    At the border windows are truncated, as He et al. have them; `border="reflect"` mirrors the image instead (the
    border pixel twice), as OpenCV does. The two agree beyond 2 radius px. The output of probabilities need not lie in
    [0, 1] nor sum to 1; argmax does not mind.

    Differentiable in all three; where nothing asks for a gradient, the CPU runs compiled loops. Sums are float64; the
    result has the signal's dtype. Raises InputError for shapes, dtypes and ranges that do not fit.
    """
    return _filter(guide, signal, weights, (0, radius), eps, border)


def guided_filter_3d(
    guide: Float[Tensor, "t c h w"],
    signal: Float[Tensor, "t k h w"],
    *,
    radius: int,
    temporal_radius: int,
    eps: float,
    weights: Float[Tensor, "t kw h w"] | Bool[Tensor, "t kw h w"] | None = None,
    border: Border = "truncated",
) -> Float[Tensor, "t k h w"]:
    """Smooth the signal of a clip within windows of 2 temporal_radius + 1 frames by 2 radius + 1 px, along a guide.

    As `guided_filter`, with the frames of one clip stacked to a volume (Azulay et al. 2021, Section 5.4). In time
    windows are always truncated: what lies before the first frame and after the last does not exist, so a temporal
    radius may be longer than the clip. Nothing is warped: what moves further than its own width within a window is
    smoothed into its surroundings unless the guide tells them apart. `temporal_radius=0` is `guided_filter`.
    """
    return _filter(guide, signal, weights, (temporal_radius, radius), eps, border)


def _filter(guide: Tensor, signal: Tensor, weights: Tensor | None, radii: Radii, eps: float, border: Border) -> Tensor:
    _check(guide, signal, weights, radii, eps, border)
    dtype = working_dtype(signal)
    lifted = guide.to(dtype), signal.to(dtype), usable_weights(weights, signal).to(dtype)
    reach = 2 * radii[1] if border == "reflect" else 0  # a window within reach of a pixel reaches as far again
    if reach:
        rows, columns = (_mirrored(n, reach, signal.device) for n in signal.shape[-2:])
        lifted = tuple(value[..., rows[:, None], columns] for value in lifted)  # type: ignore[assignment]  # still three
    wants_gradient = torch.is_grad_enabled() and any(value.requires_grad for value in lifted)
    run = filter_plain if wants_gradient or not compilable(*lifted) else _filter_compiled
    filtered = run(*lifted, radii, eps)
    height, width = signal.shape[-2:]
    return filtered[..., reach : reach + height, reach : reach + width].to(signal.dtype)


def _filter_compiled(guide: Tensor, signal: Tensor, weights: Tensor, radii: Radii, eps: float) -> Tensor:
    from stc_lab.filters.kernels_guided import filter_jobs

    guide, signal, weights = (value.detach().contiguous() for value in (guide, signal, weights))
    known = torch.where(weights > 0, signal, torch.zeros_like(signal))
    counted = (weights > 0).sum(dim=(0, 2, 3)).clamp_min(1)
    means = guide.mean(dim=(0, 2, 3), dtype=torch.float64), known.sum(dim=(0, 2, 3), dtype=torch.float64) / counted
    result = torch.empty_like(signal)
    arrays = (value.numpy() for value in (guide, signal, weights, torch.cat(means)))
    inputs = (*arrays, radii, float(eps))
    threads = threads_for(signal.numel())
    run_jobs(lambda part: filter_jobs(part, *inputs, result.numpy()), _jobs(signal, radii[0], threads), threads)
    return result


def _jobs(signal: Tensor, radius: int, threads: int) -> np.ndarray:
    """Ranges of frames and of classes [jobs, 4]; neighbouring frames share work, so that classes are parted first."""
    frames, classes, height, width = signal.shape
    parts = -(-frames * height * width // _PIXELS_AT_ONCE)
    if radius == 0:
        of_frames = min(frames, max(threads, parts))
        of_classes = min(classes, -(-threads // of_frames))
    else:
        of_classes = min(classes, threads)
        of_frames = min(frames, max(-(-threads // of_classes), min(parts, -(-frames // (2 * radius + 1)))))
    return np.array(
        [
            (frames * i // of_frames, frames * (i + 1) // of_frames, first[j], first[j + 1])
            for first in [[classes * j // of_classes for j in range(of_classes + 1)]]
            for i in range(of_frames)
            for j in range(of_classes)
        ]
    )


def usable_weights(weights: Tensor | None, signal: Tensor) -> Tensor:
    """Weights as numbers, 0 where they are too small beside the largest to be told from rounding."""
    if weights is None:
        return torch.ones_like(signal[:, :1])
    weights = weights.to(working_dtype(signal))
    return torch.where(weights > _LEAST_WEIGHT * weights.detach().amax(), weights, torch.zeros_like(weights))


def _mirrored(n: int, reach: int, device: torch.device) -> Tensor:
    """Indices of n places and of `reach` more to both sides, mirrored with the last place doubled."""
    place = torch.arange(-reach, n + reach, device=device) % (2 * n)
    return torch.minimum(place, 2 * n - 1 - place)


def _check(guide: Tensor, signal: Tensor, weights: Tensor | None, radii: Radii, eps: float, border: Border) -> None:
    check_filter_inputs(guide, signal, weights, eps)
    if border not in get_args(Border):
        raise InputError(f"border must be one of {', '.join(get_args(Border))}, got {border!r}")
    for name, radius in zip(("temporal_radius", "radius"), radii, strict=True):
        if radius != int(radius) or radius < 0:
            raise InputError(f"{name} must be a whole number from 0, got {radius}")
    if radii[1] >= max(signal.shape[-2:]):
        raise InputError(
            f"radius {radii[1]} px is too large for {signal.shape[-2]} x {signal.shape[-1]} px: "
            "every window would be the whole image",
            hint="it is half of the window's side, in px of this image",
        )


def check_filter_inputs(guide: Tensor, signal: Tensor, weights: Tensor | None, eps: float) -> None:
    """Raise unless guide, signal and weights fit together, are numbers where they count, and eps is a ridge."""
    expect_map("guide", guide)
    expect_map("signal", signal)
    expect_alike("signal", signal, "guide", guide)
    if guide.shape[-2:] != signal.shape[-2:]:
        raise InputError(
            f"guide and signal must have one size, got {list(guide.shape[-2:])} and {list(signal.shape[-2:])} px",
            hint="logits of a coarse grid: upsample them to the image's size first",
        )
    if not 0 < eps < float("inf"):
        raise InputError(f"eps must be larger than 0, got {eps}", hint="without it, flat windows have no solution")
    if not bool(guide.isfinite().all()):
        raise InputError("guide must be finite everywhere", hint="a depth map as guide: fill its unknown pixels first")
    if weights is not None:
        _check_weights(weights, signal)
    elif not bool(signal.isfinite().all()):
        raise InputError("signal must be finite", hint="unknown pixels: pass a mask as weights")


def _check_weights(weights: Tensor, signal: Tensor) -> None:
    b, k, h, w = signal.shape
    if weights.ndim != 4 or weights.shape[0] != b or weights.shape[1] not in (1, k) or weights.shape[2:] != (h, w):
        raise InputError(
            f"weights must be {[b, 1, h, w]} or {[b, k, h, w]} to fit the signal, got {list(weights.shape)}",
            hint="a mask [b, h, w]: mask[:, None]",
        )
    if weights.dtype != torch.bool:
        expect_map("weights", weights)
        expect_alike("weights", weights, "signal", signal)
        if not bool((weights.isfinite() & (weights >= 0)).all()):
            raise InputError("weights must be finite and not negative")
    if not bool((signal.isfinite() | (weights == 0)).all()):
        raise InputError("signal must be finite where its weight is not 0")
