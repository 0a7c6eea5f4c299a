"""What changes from step to step: rates as pure functions of the step, and the streams of chance of a seed."""

import math
import zlib

import torch


def one_cycle(step: int, steps: int, *, peak: float, warm_up: float) -> float:
    """Learning rate of Smith and Topin's one-cycle policy: from peak / 25 up to `peak`, then down to peak / 250,000.

    Both ways along half a cosine; the same numbers as torch's OneCycleLR with `pct_start=warm_up`.
    """
    turn = warm_up * steps - 1  # the step, not always whole, at which the peak is reached
    start, end = peak / 25, peak / 25e4
    if step <= turn:
        return _cosine(start, peak, step / turn) if turn > 0 else peak
    first, last = max(turn, 0), max(steps - 1, 1)
    return _cosine(peak, end, (step - first) / max(last - first, 1))


def ramp(step: int, steps: int, *, share: float) -> float:
    """A factor that rises linearly from 0 to 1 over the first `share` of the steps and stays there."""
    return min(1.0, step / (share * steps)) if share > 0 else 1.0


def stream(seed: int, name: str) -> torch.Generator:
    """A generator on the CPU, so that every device draws the same; each stream of a seed is its own."""
    return torch.Generator().manual_seed(zlib.crc32(f"{seed}/{name}".encode()))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
