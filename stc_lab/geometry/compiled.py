"""The compiled inverse warp as differentiable functions of tensors on the CPU, spread over torch's number of threads.

The plain tensor operations of `reproject` and `sampling` say the same and serve every other device; on the CPU most of
their time goes to `grid_sample`, and most of that to its backward pass.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from stc_lab.geometry.camera import MIN_DEPTH
from stc_lab.geometry.reproject import FARTHEST
from stc_lab.geometry.threads import divided, run_jobs, threads_for


def compilable(*values: Tensor) -> bool:
    """Whether the compiled loops take these: on the CPU, and not under a tracer that must see plain operations."""
    return all(value.device.type == "cpu" for value in values) and not torch.compiler.is_compiling()


class InverseWarp(torch.autograd.Function):
    """From (source, depth, motion, change, depth_source or None, relative, absolute) to (image, visible)."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        source: Float[Tensor, "b c hs ws"],
        depth: Float[Tensor, "b 1 h w"],
        motion: Float[Tensor, "b 3 4"],
        change: Float[Tensor, "b 5"],
        depth_source: Float[Tensor, "b 1 hs ws"] | None,
        relative: float,
        absolute: float,
    ) -> tuple[Float[Tensor, "b c h w"], Bool[Tensor, "b h w"]]:
        from stc_lab.geometry.kernels_projection import locate_rows
        from stc_lab.geometry.kernels_sampling import sample_rows

        b, _, height, width = depth.shape
        depth = depth[:, 0]
        source, depth, motion, change = (value.detach().contiguous() for value in (source, depth, motion, change))
        image = source.new_empty(b, source.shape[1], height, width)
        pixels = depth.new_empty(b, 2, height, width)
        found, visible = (
            torch.empty(b, height, width, dtype=torch.uint8),
            torch.empty(b, height, width, dtype=torch.bool),
        )
        other = depth.new_empty(b, 1, 0, 0) if depth_source is None else depth_source.detach().contiguous()
        scalar = depth.numpy().dtype.type
        tolerance = other[:, 0].numpy(), scalar(relative), scalar(absolute)
        threads = threads_for(image.numel())
        work = divided(b, height, threads)
        size = tuple(source.shape[2:])
        geometry = *_arrays(depth, motion, change), (scalar(MIN_DEPTH), scalar(FARTHEST)), *tolerance
        out = _arrays(pixels, found, visible)
        source_to_image = _arrays(source, pixels, found, image)

        def warp(part: np.ndarray) -> None:
            locate_rows(part, size, *geometry, *out)
            sample_rows(part, *source_to_image)

        run_jobs(warp, work, threads)
        ctx.save_for_backward(source, depth, motion, change, pixels, found)
        ctx.mark_non_differentiable(visible)
        return image, visible

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        from stc_lab.geometry.kernels_projection import locate_back

        source, depth, motion, change, pixels, found = ctx.saved_tensors
        wanted = (ctx.needs_input_grad[0], any(ctx.needs_input_grad[1:4]))
        d_source, d_pixels = _sample_back(source, pixels, found, grad, wanted)
        gradients: list[Tensor | None] = [None, None, None]
        if wanted[1]:
            d_depth = torch.empty_like(depth)
            d_motion, d_change = (torch.zeros_like(value, dtype=torch.float64) for value in (motion, change))
            locate_back(*_arrays(depth, motion, change, found, d_pixels, d_depth, d_motion, d_change))
            all_of_it = d_depth[:, None], d_motion.to(motion.dtype), d_change.to(change.dtype)
            gradients = [
                value if asked else None for value, asked in zip(all_of_it, ctx.needs_input_grad[1:4], strict=True)
            ]
        return d_source if wanted[0] else None, *gradients, None, None, None


class Sample(torch.autograd.Function):
    """From (source, pixels) to the image."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, source: Float[Tensor, "b c hs ws"], pixels: Float[Tensor, "b 2 h w"]
    ) -> Float[Tensor, "b c h w"]:
        from stc_lab.geometry.kernels_projection import SEEN
        from stc_lab.geometry.kernels_sampling import sample_rows

        b, _, height, width = pixels.shape
        source, pixels = source.detach().contiguous(), pixels.detach().contiguous()
        found = torch.full((b, height, width), SEEN, dtype=torch.uint8)
        image = source.new_empty(b, source.shape[1], height, width)
        threads = threads_for(image.numel())
        arrays = _arrays(source, pixels, found, image)
        run_jobs(lambda part: sample_rows(part, *arrays), divided(b, height, threads), threads)
        ctx.save_for_backward(source, pixels, found)
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        wanted = ctx.needs_input_grad
        source, pixels, found = ctx.saved_tensors
        d_source, d_pixels = _sample_back(source, pixels, found, grad, wanted)
        return d_source if wanted[0] else None, d_pixels if wanted[1] else None


def _sample_back(
    source: Tensor, pixels: Tensor, found: Tensor, grad: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor, Tensor]:
    """Gradients of the source and of the positions; of what is not wanted, something empty or zero."""
    from stc_lab.geometry.kernels_sampling import sample_back

    b, c = source.shape[:2]
    wanted = (wanted[0], wanted[1])
    d_source = torch.zeros_like(source) if wanted[0] else source.new_empty(b, 0, 1, 1)
    threads = threads_for(grad.numel())
    work = divided(b, c, threads)
    d_pixels = pixels.new_zeros(len(work), *pixels.shape[1:])
    inputs, results = _arrays(source, pixels, found, grad.contiguous()), _arrays(d_source, d_pixels)
    run_jobs(lambda part: sample_back(part, *inputs, wanted, *results), work, threads)
    return d_source, d_pixels if len(work) == b else d_pixels.unflatten(0, (b, -1)).sum(dim=1)


def _arrays(*values: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(value.numpy() for value in values)
