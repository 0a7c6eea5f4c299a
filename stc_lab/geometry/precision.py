"""What geometry is computed in: float32 at least, also where mixed-precision training surrounds it."""

import torch
from torch import Tensor


def working_dtype(*values: Tensor) -> torch.dtype:
    """The dtype to compute in: float64 where the values have it, else float32.

    Half precision cannot hold pixel coordinates (in float16 the step between two numbers at 600 px is half a pixel).
    """
    return torch.float64 if any(value.dtype == torch.float64 for value in values) else torch.float32


def product(*factors: Tensor) -> Tensor:
    """Product of small matrices, in their own dtype.

    Written out, for autocast would run a matrix product, or its backward pass, in half precision.
    """
    result = factors[0]
    for factor in factors[1:]:
        result = (result[..., :, :, None] * factor[..., None, :, :]).sum(dim=-2)
    return result
