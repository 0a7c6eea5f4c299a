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
from stc_lab.geometry.threads import divided, run_loops, threads_for


def compilable(*values: Tensor) -> bool:
    """Whether the compiled loops take these: on the CPU, and not under a tracer that must see plain operations."""
    return all(value.device.type == "cpu" for value in values) and not torch.compiler.is_compiling()


class InverseWarp(torch.autograd.Function):
    """From (source, depth, T_source_target, K, K_source, depth_source, relative, absolute) to (image, visible).

    `K_source` is None where it is K, and `depth_source` where no occlusion is tested.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        source: Float[Tensor, "b c hs ws"],
        depth: Float[Tensor, "b 1 h w"],
        T_source_target: Float[Tensor, "b 4 4"],
        K: Float[Tensor, "k 3 3"],
        K_source: Float[Tensor, "ks 3 3"] | None,
        depth_source: Float[Tensor, "b 1 hs ws"] | None,
        relative: float,
        absolute: float,
    ) -> tuple[Float[Tensor, "b c h w"], Bool[Tensor, "b h w"]]:
        from stc_lab.geometry.kernels_motion import move_pixels
        from stc_lab.geometry.kernels_sampling import warp_rows, warp_rows_on_team

        b, _, height, width = depth.shape
        cameras = _together(T_source_target, K, K_source)
        source, depth = source.detach().contiguous(), depth.detach()[:, 0].contiguous()
        image = source.new_empty(b, source.shape[1], height, width)
        motion, change, pixels = (depth.new_empty(b, *shape) for shape in ((3, 4), (5,), (2, height, width)))
        found, visible = (torch.empty(b, height, width, dtype=dtype) for dtype in (torch.uint8, torch.bool))
        other = depth.new_empty(b, 0, 0) if depth_source is None else depth_source.detach()[:, 0].contiguous()
        scalar = depth.numpy().dtype.type
        move_pixels(*_arrays(*cameras, motion, change))
        threads = threads_for(image.numel())
        reach, tolerance = (scalar(MIN_DEPTH), scalar(FARTHEST)), (scalar(relative), scalar(absolute))
        where = *_arrays(depth, motion, change), reach, other.numpy(), *tolerance
        work = divided(b, height, 4 * threads)  # finer than needed, for a thread may come late
        out = _arrays(pixels, found, visible, image)
        run_loops(warp_rows, warp_rows_on_team, work, threads, source.numpy(), where, *out)
        ctx.save_for_backward(source, depth, *cameras, motion, change, pixels, found)
        ctx.mark_non_differentiable(visible)
        return image, visible

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        source, depth, *cameras, motion, change, pixels, found = ctx.saved_tensors
        asked = ctx.needs_input_grad[:5]
        d_source, d_pixels = _sample_back(source, pixels, found, grad, (asked[0], any(asked[1:])))
        gradients: list[Tensor | None] = [d_source]
        if any(asked[1:]):
            gradients += _locate_back(depth, cameras, motion, change, found, d_pixels, threads_for(grad.numel()))
        gradients += [None] * (5 - len(gradients))
        return *(value if a else None for value, a in zip(gradients, asked, strict=True)), None, None, None


class Sample(torch.autograd.Function):
    """From (source, pixels) to the image."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, source: Float[Tensor, "b c hs ws"], pixels: Float[Tensor, "b 2 h w"]
    ) -> Float[Tensor, "b c h w"]:
        from stc_lab.geometry.kernels_projection import SEEN
        from stc_lab.geometry.kernels_sampling import sample_rows, sample_rows_on_team

        b, _, height, width = pixels.shape
        source, pixels = source.detach().contiguous(), pixels.detach().contiguous()
        found = torch.full((b, height, width), SEEN, dtype=torch.uint8)
        image = source.new_empty(b, source.shape[1], height, width)
        threads = threads_for(image.numel())
        arrays, work = _arrays(source, pixels, found, image), divided(b, height, 4 * threads)
        run_loops(sample_rows, sample_rows_on_team, work, threads, *arrays)
        ctx.save_for_backward(source, pixels, found)
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        wanted = ctx.needs_input_grad
        source, pixels, found = ctx.saved_tensors
        d_source, d_pixels = _sample_back(source, pixels, found, grad, wanted)
        return d_source if wanted[0] else None, d_pixels if wanted[1] else None


def _together(T: Tensor, K: Tensor, K_source: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Pose and intrinsics as arrays; no K of the source is an array of none."""
    return (
        K.detach().contiguous(),
        T.detach().contiguous(),
        (K[:0] if K_source is None else K_source).detach().contiguous(),
    )


def _locate_back(
    depth: Tensor,
    cameras: Sequence[Tensor],
    motion: Tensor,
    change: Tensor,
    found: Tensor,
    d_pixels: Tensor,
    threads: int,
) -> list[Tensor]:
    """Gradients of depth, pose, K and K of the source."""
    from stc_lab.geometry.kernels_motion import move_pixels_back
    from stc_lab.geometry.kernels_projection import locate_back, locate_back_on_team

    b, height, _ = depth.shape
    d_depth, sums = torch.empty_like(depth), np.empty((b, height, 17))
    arrays = _arrays(depth, motion, change, found, d_pixels, d_depth)
    run_loops(locate_back, locate_back_on_team, divided(b, height, 4 * threads), threads, *arrays, sums)
    total = sums.sum(axis=1)
    K, T, K_source = _arrays(*cameras)
    d_K, d_T, d_K_source = np.zeros(K.shape), np.empty(T.shape), np.zeros(K_source.shape)
    move_pixels_back(K, T, K_source, total[:, :12].reshape(b, 3, 4), total[:, 12:], d_K, d_T, d_K_source)
    return [d_depth[:, None], *(torch.from_numpy(value).to(motion.dtype) for value in (d_T, d_K, d_K_source))]


def _sample_back(
    source: Tensor, pixels: Tensor, found: Tensor, grad: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor, Tensor]:
    """Gradients of the source and of the positions; of what is not wanted, something empty or unset."""
    from stc_lab.geometry.kernels_sampling import sample_back, sample_back_on_team

    b, c = source.shape[:2]
    wanted = (wanted[0], wanted[1])
    d_source = torch.empty_like(source) if wanted[0] else source.new_empty(b, 0, 1, 1)
    threads = threads_for(grad.numel())
    work = divided(b, c, threads)
    d_pixels = pixels.new_empty(len(work), *pixels.shape[1:])
    inputs, results = _arrays(source, pixels, found, grad.contiguous()), _arrays(d_source, d_pixels)
    run_loops(sample_back, sample_back_on_team, work, threads, *inputs, wanted, *results)
    return d_source, d_pixels if len(work) == b else d_pixels.unflatten(0, (b, -1)).sum(dim=1)


def _arrays(*values: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(value.numpy() for value in values)
