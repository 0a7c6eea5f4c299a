"""How a notebook hands its numbers to the run it belongs to."""

import json
import math
import os
from pathlib import Path

from stc_lab.errors import InputError
from stc_lab.experiments.places import run_folder

Metric = float | int | str | bool | None


def report(metrics: dict[str, object]) -> dict[str, Metric]:
    """Keep named numbers (or short words) as the metrics of this run; in the lab there is none, so only return them.

    Several calls add up. A number that is not finite is kept as None: JSON has no NaN.
    """
    plain = {name: _plain(name, value) for name, value in metrics.items()}
    folder = run_folder()
    if folder is not None:
        path = folder / "metrics.json"
        write_json(path, (read_json(path) if path.exists() else {}) | plain)
    return plain


def _plain(name: str, value: object) -> Metric:
    if not isinstance(value, str | bool | int | float | None) and hasattr(value, "item"):
        try:
            value = value.item()  # a NumPy or torch scalar
        except (RuntimeError, ValueError):
            value = list(value.shape) if hasattr(value, "shape") else type(value).__name__
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str | bool | int | float | None):
        return value
    raise InputError(f"metric {name!r} must be one number or word, got {value!r}", hint="a mean or .item() is missing")


def write_json(path: Path, value: object) -> None:
    """Write the file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def read_json(path: Path) -> dict[str, Metric]:
    """The JSON object in a file; InputError when it holds something else."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path} is not JSON: {error}", hint="a damaged disk, or an edit: delete its folder, and it is made again"
        ) from error
    if not isinstance(loaded, dict):
        raise InputError(
            f"{path} must hold a JSON object, got {type(loaded).__name__}", hint="an edited or foreign file"
        )
    return loaded
