"""The small net that comes with the package: how it was made, so that it can be made again."""

import json
import os
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import stc_lab.models
from stc_lab.data import Videos
from stc_lab.data.rooms import PRESETS, rooms_videos
from stc_lab.models import FPNSegmenter, load_model, save_model
from stc_lab.training.checkpoint import run_identity
from stc_lab.training.evaluate import evaluate
from stc_lab.training.loop import train
from stc_lab.training.memory import FrameMemory
from stc_lab.training.progress import print_progress
from stc_lab.training.recipe import SegmentationRecipe

NAME = "rooms_fpn"
COMMAND = "stc-lab train-shipped"
RECIPE = SegmentationRecipe.baseline("full")


def train_shipped(
    out: Path | str | None = None, *, cache: Path | str | None = None, log: Callable[[str], None] = print
) -> Path:
    """Train on rooms (full, dolly), 200 frames labelled; write `rooms_fpn.safetensors` and `.json` to the folder `out`.

    Without `out` they replace the package's own. Frames are rendered into `cache` first if need be (minutes). The JSON
    holds recipe, command, data digest, scores on validation and test videos with the fusion ceiling, time and versions.
    The scores are those of the weights as stored, in half precision.
    """
    folder = Path(stc_lab.models.__file__).parent / "weights" if out is None else Path(out)
    rooms = PRESETS["full"]
    videos = {split: _rooms(split, cache, log) for split in ("train", "val", "test")}
    model = FPNSegmenter(len(videos["train"].info.classes), generator=torch.Generator().manual_seed(RECIPE.seed))
    memory = FrameMemory(videos["train"])
    result = train(model, videos["train"], RECIPE, memory=memory, log=print_progress(100, write=log))
    identity = run_identity(model, RECIPE, memory, result.labelled_rows)
    notes: dict[str, Any] = {
        "command": COMMAND,
        "data": {
            "name": "rooms",
            "preset": "full",
            "motion": PRESETS["full"].motion,
            "digest": PRESETS["full"].digest(),
        },
        "labelled frames": {"rows": list(result.labelled_rows), "digest": identity["data"]},
        "recipe": RECIPE.to_dict(),
        "architecture": model.architecture,
        "training seconds": round(result.seconds, 1),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in ("stc_lab", "torch")}},
    }
    path = save_model(folder / f"{NAME}.safetensors", model, notes, dtype=torch.float16)
    stored = load_model(path).model
    for split in ("val", "test"):
        began = time.perf_counter()
        scores = evaluate(stored, videos[split], fusion=True).to_dict()
        notes[split] = {"videos": len(videos[split].names), **scores}
        row = {name: f"{100 * scores['fusion'][name]['miou']:.1f}" for name in ("single", "fused", "identity")}
        log(f"{split} mIoU: {row} ({time.perf_counter() - began:.0f} s)")
    summary = folder / f"{NAME}.json"
    partial = summary.with_suffix(".json.partial")
    partial.write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, summary)
    return path


def _rooms(split: str, cache: Path | str | None, log: Callable[[str], None]) -> Videos:
    began = time.perf_counter()

    def progress(done: int, total: int) -> None:
        if done % 20 == 0 or done == total:
            log(f"rooms {split}: rendered {done}/{total} videos ({time.perf_counter() - began:.0f} s)")

    videos = rooms_videos(split, PRESETS["full"], cache, progress=progress)
    log(f"rooms {split}: {len(videos.names)} videos, {len(videos)} frames ({time.perf_counter() - began:.0f} s)")
    return videos
