"""Temporal smoothing of labels and probabilities: a Gaussian over a clip's frames, pixel by pixel or along flow."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike, expect_map
from stc_lab.geometry.flow import known_flow, landing, lifted
from stc_lab.geometry.occlusion import ruder_visible
from stc_lab.geometry.precision import working_dtype
from stc_lab.geometry.reproject import inside
from stc_lab.geometry.sampling import sample_at
from stc_lab.metrics.votes import TRUNCATE, vote_over_time


def smooth_labels_over_time(
    labels: Int64[Tensor, "t h w"], sigma: float, *, ignore_index: int = 255, truncate: float = TRUNCATE
) -> Int64[Tensor, "t h w"]:
    """Smooth each class's one-hot map over time by a Gaussian of `sigma` frames, and take the class with most of it.

    Azulay et al. 2021, Section 5.3: cheap, and bound to lose what moves. It is the G_sigma of their E_smooth
    (`metrics.vote_over_time`), and equals SciPy's `gaussian_filter1d` of the one-hot maps and argmax: cut off at
    `truncate` standard deviations, the clip mirrored at its ends, the end frames doubled; of equal classes the lowest.
    A pixel with `ignore_index` has no vote and stays what it is. Memory does not grow with the number of classes.
    """
    return vote_over_time(labels, sigma, ignore_index=ignore_index, truncate=truncate)


def smooth_over_time(
    values: Float[Tensor, "t k h w"], sigma: float, *, truncate: float = TRUNCATE
) -> Float[Tensor, "t k h w"]:
    """Smooth probabilities, or anything else, over time by a Gaussian of `sigma` frames at each pixel.

    The same as SciPy's `gaussian_filter1d(axis=0, mode="reflect")`. Differentiable; half precision is computed in
    float32. Probabilities remain probabilities. `sigma=0` changes nothing.
    """
    expect_map("values", values)
    source = values.to(working_dtype(values))
    total = torch.zeros_like(source)
    for weight, frames in _taps(len(values), sigma, truncate, values.device):
        total = total + weight * source[frames]
    return total.to(values.dtype)


def smooth_along_flow(
    values: Float[Tensor, "t k h w"],
    flow_forward: Float[Tensor, "s 2 h w"],
    flow_backward: Float[Tensor, "s 2 h w"],
    sigma: float,
    *,
    truncate: float = TRUNCATE,
) -> Float[Tensor, "t k h w"]:
    """Smooth over time by a Gaussian of `sigma` frames, each pixel followed along the flow through its neighbours.

    `flow_forward[i]` (px) leads from frame i to i + 1, `flow_backward[i]` back again: s = t - 1. Flows are chained
    frame by frame. A pixel is followed as long as every pair's forward-backward check (`ruder_visible` without motion
    boundaries) sees all the pixels that its flow is read from; beyond that, and beyond the ends of the clip, nothing
    counts, and the rest of the Gaussian is scaled up. A frame's own value always counts. Differentiable in the values.
    """
    expect_map("values", values)
    frames = len(values)
    for name, flow in (("flow_forward", flow_forward), ("flow_backward", flow_backward)):
        expected = [frames - 1, 2, *values.shape[-2:]]
        if list(flow.shape) != expected:
            raise InputError(
                f"{name} must be {expected} to fit {frames} frames, got {list(flow.shape)}",
                hint="one flow for each pair of neighbouring frames",
            )
    reach = _reach(sigma, truncate)
    if frames == 1 or reach == 0:
        return values
    expect_alike("flow_backward", flow_backward, "flow_forward", flow_forward)
    expect_alike("values", values[1:], "flow_forward", flow_forward)
    dtype = working_dtype(values)
    forward, backward = lifted(flow_forward).detach(), lifted(flow_backward).detach()
    seen_forward = ruder_visible(forward, backward, motion_boundaries=False)
    seen_backward = ruder_visible(backward, forward, motion_boundaries=False)
    source = values.to(dtype)
    later = _followed(source, forward, seen_forward, sigma, reach)
    earlier = _followed(source.flip(0), backward.flip(0), seen_backward.flip(0), sigma, reach)
    total, weight = (a + b.flip(0) for a, b in zip(later, earlier, strict=True))
    return ((source + total) / (1 + weight)).to(values.dtype)


def _followed(
    values: Float[Tensor, "t k h w"],
    flow: Float[Tensor, "s 2 h w"],
    seen: Bool[Tensor, "s h w"],
    sigma: float,
    reach: int,
) -> tuple[Tensor, Tensor]:
    """Weighted sum over the frames after each one, and the sum of the weights; a frame's own would be 1."""
    total, weight = torch.zeros_like(values), torch.zeros_like(values[:, :1])
    known = torch.where(known_flow(flow)[:, None], flow, torch.zeros_like(flow))  # what is unknown is not seen either
    flow_and_seen = torch.cat([known, seen[:, None].to(flow.dtype)], dim=1)
    pixels, visible = landing(flow), seen  # of frame i, in frame i + 1; then in i + 2, ...
    for step in range(1, min(reach, len(values) - 1) + 1):
        if step > 1:
            moved = sample_at(flow_and_seen[step - 1 :], pixels[:-1])
            pixels = pixels[:-1] + moved[:, :2]
            visible = visible[:-1] & (moved[:, 2] > 0.999) & inside(pixels, *values.shape[-2:])
        share = math.exp(-0.5 * (step / sigma) ** 2) * visible[:, None].to(values.dtype)
        total[:-step] += share * sample_at(values[step:], pixels)
        weight[:-step] += share
    return total, weight


def _taps(frames: int, sigma: float, truncate: float, device: torch.device) -> list[tuple[float, Tensor]]:
    """Weights of the Gaussian, each with the frame that every frame reads for it; the mirrored clip repeats itself."""
    reach = _reach(sigma, truncate)
    offset = torch.arange(-reach, reach + 1)
    gaussian = torch.exp(-0.5 * (offset.double() / (sigma or 1)) ** 2)
    weights = torch.bincount(offset % (2 * frames), gaussian / gaussian.sum(), minlength=2 * frames)
    taps = []
    for shift in weights.nonzero()[:, 0].tolist():
        place = (torch.arange(frames, device=device) + shift) % (2 * frames)
        taps.append((float(weights[shift]), torch.minimum(place, 2 * frames - 1 - place)))
    return taps


def _reach(sigma: float, truncate: float) -> int:
    """How many frames a Gaussian reaches to both sides, rounded as SciPy does."""
    if not (0 <= sigma < math.inf and 0 < truncate < math.inf):
        raise InputError(
            f"sigma must not be negative and truncate be positive, got {sigma} and {truncate}",
            hint="sigma is in frames: seconds times the frame rate",
        )
    return int(truncate * sigma + 0.5)
