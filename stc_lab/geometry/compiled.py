"""The compiled inverse warp as differentiable functions of tensors on the CPU, spread over torch's number of threads.

The plain tensor operations of `reproject` and `sampling` say the same and serve every other device; on the CPU most of
their time goes to `grid_sample`, and most of that to its backward pass.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from stc_lab.geometry.camera import MIN_DEPTH
from stc_lab.geometry.reproject import FARTHEST

_WORTH_A_THREAD = 200_000  # values: about 0.3 ms of work; a thread takes 0.1 ms to start


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
        from stc_lab.geometry.kernels import warp_rows

        b, c = source.shape[:2]
        height, width = depth.shape[-2:]
        depth = depth[:, 0]
        source, depth, motion, change = (value.detach().contiguous() for value in (source, depth, motion, change))
        ctx.save_for_backward(source, depth, motion, change)
        image = source.new_empty(b, c, height, width)
        visible = torch.empty(b, height, width, dtype=torch.bool)
        other = depth.new_empty(b, 1, 0, 0) if depth_source is None else depth_source.detach().contiguous()
        scalar = depth.numpy().dtype.type
        inputs = _arrays(source, depth, motion, change)
        threads = _threads(image.numel())
        work = _work(b, height, threads)
        tolerance = other[:, 0].numpy(), scalar(relative), scalar(absolute)
        _run(warp_rows, work, threads, *inputs, _reach(depth), *tolerance, *_arrays(image, visible))
        ctx.mark_non_differentiable(visible)
        return image, visible

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        from stc_lab.geometry.kernels import warp_back

        source, depth, motion, change = ctx.saved_tensors
        b, c = source.shape[:2]
        wanted = (ctx.needs_input_grad[0], any(ctx.needs_input_grad[1:4]))
        d_source = torch.zeros_like(source) if wanted[0] else source.new_empty(b, 0, 1, 1)
        threads = _threads(grad.numel())
        work = _work(b, c, threads)
        d_depth = torch.empty(len(work), *depth.shape[1:], dtype=depth.dtype)
        d_motion = torch.zeros(len(work), 3, 4, dtype=torch.float64)
        d_change = torch.zeros(len(work), 5, dtype=torch.float64)
        inputs = *_arrays(source, depth, motion, change), _reach(depth), grad.contiguous().numpy()
        _run(warp_back, work, threads, *inputs, wanted, *_arrays(d_source, d_depth, d_motion, d_change))
        return (
            d_source if wanted[0] else None,
            _summed(d_depth, b)[:, None] if ctx.needs_input_grad[1] else None,
            _summed(d_motion, b).to(motion.dtype) if ctx.needs_input_grad[2] else None,
            _summed(d_change, b).to(change.dtype) if ctx.needs_input_grad[3] else None,
            None,
            None,
            None,
        )


class Sample(torch.autograd.Function):
    """From (source, pixels) to the image."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, source: Float[Tensor, "b c hs ws"], pixels: Float[Tensor, "b 2 h w"]
    ) -> Float[Tensor, "b c h w"]:
        from stc_lab.geometry.kernels import sample_rows

        b, c = source.shape[:2]
        source, pixels = source.detach().contiguous(), pixels.detach().contiguous()
        ctx.save_for_backward(source, pixels)
        image = source.new_empty(b, c, *pixels.shape[-2:])
        threads = _threads(image.numel())
        _run(sample_rows, _work(b, pixels.shape[-2], threads), threads, *_arrays(source, pixels, image))
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        from stc_lab.geometry.kernels import sample_back

        source, pixels = ctx.saved_tensors
        b, c = source.shape[:2]
        wanted = ctx.needs_input_grad
        d_source = torch.zeros_like(source) if wanted[0] else source.new_empty(b, 0, 1, 1)
        threads = _threads(grad.numel())
        work = _work(b, c, threads)
        d_pixels = pixels.new_zeros(len(work), *pixels.shape[1:])
        inputs = _arrays(source, pixels, grad.contiguous())
        _run(sample_back, work, threads, *inputs, wanted, *_arrays(d_source, d_pixels))
        return d_source if wanted[0] else None, _summed(d_pixels, b) if wanted[1] else None


def _reach(depth: Tensor) -> tuple[np.floating, np.floating]:
    scalar = depth.numpy().dtype.type
    return scalar(MIN_DEPTH), scalar(FARTHEST)


def _arrays(*values: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(value.numpy() for value in values)


def _threads(values: int) -> int:
    """Threads worth starting for work on this many values, of those that torch may use."""
    return min(torch.get_num_threads(), max(1, values // _WORTH_A_THREAD))


def _work(batch: int, length: int, threads: int) -> np.ndarray:
    """Jobs (item, start, stop, number): even ranges, as many for each item as keep all threads busy, by item."""
    pieces = min(length, -(-threads // batch))
    edges = [length * k // pieces for k in range(pieces + 1)]
    return np.array([(i, edges[k], edges[k + 1], i * pieces + k) for i in range(batch) for k in range(pieces)])


def _run(kernel: Callable[..., None], work: np.ndarray, threads: int, *arguments: object) -> None:
    if threads == 1:
        kernel(work, *arguments)
        return
    with ThreadPoolExecutor(threads) as pool:  # the loops let go of the interpreter's lock
        list(pool.map(lambda k: kernel(np.ascontiguousarray(work[k::threads]), *arguments), range(threads)))


def _summed(parts: Tensor, batch: int) -> Tensor:
    """Sum over the jobs of each item."""
    return parts if len(parts) == batch else parts.unflatten(0, (batch, -1)).sum(dim=1)
