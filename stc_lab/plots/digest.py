"""A figure or tensors in a few rounded numbers: text that a notebook test can compare where pictures must not be."""

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor


def describe(figure: go.Figure | None = None, **tensors: Tensor) -> str:
    """One line for each trace of `figure` and each named tensor: size, range and mean, rounded to three digits."""
    lines = [] if figure is None else [_trace_line(trace) for trace in figure.data if not _is_helper(trace)]
    lines += [f"{name}: {_tensor_text(value)}" for name, value in tensors.items()]
    return "\n".join(lines)


def _is_helper(trace: object) -> bool:
    """Traces that only make a legend entry or a colour bar draw nothing."""
    return getattr(trace, "type", "") == "scatter" and list(getattr(trace, "x", None) or []) == [None]


def _trace_line(trace: object) -> str:
    kind, name = getattr(trace, "type", "trace"), getattr(trace, "name", None) or ""
    if kind == "image":
        return f"picture {name!r}"
    values = getattr(trace, "x" if getattr(trace, "orientation", None) == "h" else "y", None)
    if values is None:
        return f"{kind} {name!r}"
    numbers = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    return f"{kind} {name!r}: {_number_text(numbers)}"


def _tensor_text(value: Tensor) -> str:
    size = " x ".join(str(n) for n in value.shape)
    if value.dtype == torch.bool:
        return f"{size}, {100 * float(value.double().mean()):.1f} % true"
    if not value.is_floating_point():
        return f"{size}, {len(value.unique())} different values, {int(value.min())} to {int(value.max())}"
    return f"{size}, {_number_text(value.detach().double().cpu().numpy().ravel())}"


def _number_text(numbers: np.ndarray) -> str:
    known = numbers[np.isfinite(numbers)]
    if len(known) == 0:
        return f"{len(numbers)} values, none known"
    lost = f", {len(numbers) - len(known)} unknown" if len(known) < len(numbers) else ""
    return f"{len(numbers)} values, {known.min():.3g} to {known.max():.3g}, mean {known.mean():.3g}{lost}"
