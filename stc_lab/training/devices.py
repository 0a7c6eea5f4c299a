"""One training on several devices: each runs the net on its share of a step's frames, and all take the same step.

Started by `torchrun`, every process draws the same frames from the same generators, and gets the logits of the others'
frames. So the loss is that of the whole step, also where it does not split: a mean weighted by classes, or a pair whose
frames lie on two devices. Summed over the processes, the gradients are those of one process with the whole batch.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.models import Segmenter

BatchNorm = nn.modules.batchnorm._BatchNorm


class Alone:
    """This process and no other."""

    first = True  # the process that writes and logs

    def coarse(self, model: Segmenter, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k hs ws"]:
        return model.coarse(images)

    def sum_gradients(self, model: Segmenter) -> None:
        """There is nothing to add."""


class Devices:
    """The processes of a `torchrun`, each with its device."""

    def __init__(self, *, cpu: bool = False) -> None:
        """`cpu`: leave accelerators alone.

        Raises InputError where accelerate is missing, or sees another number of processes than torchrun started.
        """
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise InputError(
                "accelerate is not installed", hint="make setup, or pip install 'stc_lab[devices]'"
            ) from error
        self._accelerator = Accelerator(cpu=cpu)
        started = int(os.environ.get("WORLD_SIZE", "1"))
        if self.count != started:
            raise InputError(
                f"torchrun started {started} processes, but accelerate sees {self.count}",
                hint="start it as `torchrun --standalone --nproc-per-node N ...`, not by accelerate launch",
            )

    @property
    def count(self) -> int:
        return int(self._accelerator.num_processes)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and logs."""
        return bool(self._accelerator.is_main_process)

    @property
    def device(self) -> torch.device:
        return torch.device(self._accelerator.device)

    def coarse(self, model: Segmenter, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k hs ws"]:
        """The model's logits of all images, of which this process computes its share.

        A gradient passes to this share alone. BatchNorm in training mode takes the statistics of all images.
        """
        if len(images) < self.count:
            raise InputError(f"{len(images)} frames in a step cannot be shared by {self.count} processes")
        shares = images.tensor_split(self.count)
        rank = int(self._accelerator.process_index)
        with _joint_batch_norm(model, self._sum):
            own = model.coarse(shares[rank])
        most = max(len(share) for share in shares)
        padded = own.new_zeros(most, *own.shape[1:])
        padded[: len(own)] = own.detach()
        gathered = self._accelerator.gather(padded).split(most)
        parts = [part[: len(share)] for part, share in zip(gathered, shares, strict=True)]
        return torch.cat([*parts[:rank], own, *parts[rank + 1 :]])

    def sum_gradients(self, model: Segmenter) -> None:
        """After backward: give every process the gradient of the whole step."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        whole = self._sum(torch.cat([grad.flatten() for grad in grads]))
        for parameter, grad in zip(parameters, whole.split([grad.numel() for grad in grads]), strict=True):
            parameter.grad = grad.view_as(parameter)

    def close(self) -> None:
        """Say goodbye to the other processes."""
        self._accelerator.end_training()

    def _sum(self, values: Tensor) -> Tensor:
        summed: Tensor = self._accelerator.reduce(values, reduction="sum")
        return summed


class _Summed(torch.autograd.Function):
    """The sum over the processes; each one's gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, add: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.add = add
        return add(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.add(grads[0]), None


@contextmanager
def _joint_batch_norm(model: Segmenter, add: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """BatchNorm layers in training mode normalise by mean and variance over all processes (torch's own needs CUDA)."""
    layers = [layer for layer in model.modules() if isinstance(layer, BatchNorm) and layer.training]
    for layer in layers:
        vars(layer)["forward"] = partial(_normalised, layer, add=add)  # before the class's own
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


def _normalised(layer: nn.Module, images: Tensor, *, add: Callable[[Tensor], Tensor]) -> Tensor:
    assert isinstance(layer, BatchNorm)
    axes = [axis for axis in range(images.ndim) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(images.ndim)]
    count = add(images.new_tensor(float(images.numel() / images.shape[1])))
    mean = _Summed.apply(images.sum(axes), add) / count
    centred = images - mean.view(shape)
    variance = _Summed.apply(centred.square().sum(axes), add) / count
    if layer.track_running_stats and layer.running_mean is not None and layer.running_var is not None:
        with torch.no_grad():
            assert layer.num_batches_tracked is not None
            layer.num_batches_tracked += 1
            share = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
            layer.running_mean.lerp_(mean, share)
            layer.running_var.lerp_(variance * count / (count - 1), share)
    normal = centred * (variance + layer.eps).rsqrt().view(shape)
    return normal * layer.weight.view(shape) + layer.bias.view(shape) if layer.affine else normal
