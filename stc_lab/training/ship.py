"""The small net that comes with the package: how it was made, so that it can be made again."""

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import stc_lab.models
from stc_lab.data import Videos
from stc_lab.data.rooms import PRESETS, RoomsConfig, rooms_videos
from stc_lab.models import FPNSegmenter, load_model, save_model
from stc_lab.training.checkpoint import data_digest
from stc_lab.training.evaluate import ROWS, evaluate
from stc_lab.training.loop import train
from stc_lab.training.memory import FrameMemory
from stc_lab.training.progress import print_progress
from stc_lab.training.recipe import SegmentationRecipe

NAME = "rooms_fpn"
COMMAND = "stc-lab train-shipped"
# Twice as long as the study's baseline: chosen on validation videos, 29.8 against 23.4 mIoU (seed 0).
RECIPE = SegmentationRecipe.baseline("full", steps=3000)


def train_shipped(
    out: Path | str | None = None,
    *,
    cache: Path | str | None = None,
    log: Callable[[str], None] = print,
    recipe: SegmentationRecipe = RECIPE,
    rooms: RoomsConfig = PRESETS["full"],
) -> Path:
    """Train on rooms (full, dolly), 200 frames labelled; write `rooms_fpn.safetensors` and `.json` to the folder `out`.

    Without `out` they replace the package's own. Frames are rendered into `cache` first if need be (minutes). The JSON
    holds recipe, command, data digest, scores on validation and test videos with the fusion ceiling, time and versions.
    The scores are those of the weights as stored, in half precision. Both files are written at the end or not at all.
    """
    folder = Path(stc_lab.models.__file__).parent / "weights" if out is None else Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    videos = {split: _rooms(split, rooms, cache, log) for split in ("train", "val", "test")}
    model = FPNSegmenter(len(videos["train"].info.classes), generator=torch.Generator().manual_seed(recipe.seed))
    memory = FrameMemory(videos["train"])
    result = train(model, videos["train"], recipe, memory=memory, log=print_progress(100, write=log))
    notes: dict[str, Any] = {
        "command": COMMAND,
        "data": {"name": "rooms", "digest": rooms.digest(), **asdict(rooms)},
        "labelled": {"rows": list(result.labelled_rows), "digest": data_digest(memory, result.labelled_rows)},
        "recipe": recipe.to_dict(),
        "architecture": model.architecture,
        "training seconds": round(result.seconds, 1),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in ("stc_lab", "torch")}},
    }
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{NAME}.") as partial:
        weights = save_model(Path(partial) / f"{NAME}.safetensors", model, notes, dtype=torch.float16)
        stored = load_model(weights, FPNSegmenter).model
        for split in ("val", "test"):
            scores = evaluate(stored, videos[split], fusion=True).to_dict()
            notes[split] = {"videos": len(videos[split].names), **scores}
            rows = ", ".join(f"{row} {100 * scores['fusion'][row]['miou']:.1f}" for row in ROWS)
            log(f"mIoU, {split}: {rows}")
        summary = Path(partial) / f"{NAME}.json"
        summary.write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
        os.replace(summary, folder / summary.name)
        os.replace(weights, folder / weights.name)
    return folder / weights.name


def _rooms(split: str, rooms: RoomsConfig, cache: Path | str | None, log: Callable[[str], None]) -> Videos:
    began = time.perf_counter()

    def progress(done: int, total: int) -> None:
        if done % 20 == 0 or done == total:
            log(f"rooms {split}: rendered {done}/{total} videos ({time.perf_counter() - began:.0f} s)")

    videos = rooms_videos(split, rooms, cache, progress=progress)
    log(f"rooms {split}: {len(videos.names)} videos, {len(videos)} frames ({time.perf_counter() - began:.0f} s)")
    return videos
