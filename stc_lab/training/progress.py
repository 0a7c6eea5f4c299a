"""One printed line every so many steps, for batch runs; in the notebook the same log draws curves."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from stc_lab.losses import TERMS

SHOWN = ("loss", "ce", "uniform", "label_prior", "pixel_prior", *TERMS, "visible")


def print_progress(
    every: int = 100, *, label: str = "", write: Callable[[str], None] = print
) -> Callable[[dict[str, Any]], None]:
    """A `log` for a training that writes the means over each `every` steps, and the time they took, as one line."""
    sums: dict[str, float] = defaultdict(float)
    seen = 0
    began = time.perf_counter()

    def log(entry: dict[str, Any]) -> None:
        nonlocal seen, began
        seen += 1
        for name in SHOWN:
            if name in entry:
                sums[name] += entry[name]
        if entry["step"] % every and entry["step"] != entry["steps"]:
            return
        now = time.perf_counter()
        means = "  ".join(f"{name.replace('_', ' ')} {total / seen:.3f}" for name, total in sums.items())
        head = f"{label} " if label else ""
        write(f"{head}step {entry['step']}/{entry['steps']}  {means}  ({now - began:.1f} s)")
        sums.clear()
        seen, began = 0, now

    return log
