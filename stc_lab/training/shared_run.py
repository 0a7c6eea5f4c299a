"""One training from a recipe in a file, by this process alone or by all that torchrun started."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import torch

from stc_lab.data import load
from stc_lab.errors import InputError
from stc_lab.models import FPNSegmenter, save_model
from stc_lab.training.devices import Devices
from stc_lab.training.loop import train
from stc_lab.training.progress import print_progress
from stc_lab.training.recipe import SegmentationRecipe


def train_file(
    recipe: Path | str,
    out: Path | str,
    *,
    preset: str = "full",
    start: Path | str | None = None,
    cpu: bool = False,
    write: Callable[[str], None] = print,
) -> Path:
    """Train the default net on rooms by the `SegmentationRecipe` in a JSON file; write `out`, all or nothing.

    Each process of a torchrun calls this; the first one writes. A checkpoint beside `out` takes up an interrupted run,
    by any number of processes. `start` is a trained model to go on from, `cpu` leaves accelerators alone.
    """
    try:
        values = json.loads(Path(recipe).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read a recipe from {recipe}: {error}", hint="a JSON object of names and values"
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"{recipe} must hold a JSON object, got {type(values).__name__}")
    settings, out = SegmentationRecipe.from_dict(values), Path(out)
    videos = load("rooms", split="train", preset=preset)
    devices = Devices(cpu=cpu) if "WORLD_SIZE" in os.environ else None
    device = _device(cpu) if devices is None else devices.device
    generator = torch.Generator().manual_seed(settings.seed)
    model = FPNSegmenter(len(videos.info.classes), generator=generator).to(device)
    count = 1 if devices is None else devices.count
    kept = out.with_name(f".{out.stem}.checkpoint.safetensors")
    train(
        model,
        videos,
        settings,
        start_from=start,
        checkpoint=kept,
        log=print_progress(100, label=f"{count} x {device.type}", write=write),
        devices=devices,
    )
    if devices is None or devices.first:
        save_model(out, model, {"recipe": settings.to_dict(), "processes": count})
        kept.unlink(missing_ok=True)
        write(str(out))
    if devices is not None:
        devices.close()
    return out


def _device(cpu: bool) -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
