"""A short training, by one process or shared by several: `torchrun ... shared_training.py CACHE OUT`."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from small_rooms import small_rooms

from stc_lab.models import FPNSegmenter
from stc_lab.training import ObjectiveRecipe, SegmentationRecipe, train, train_objective
from stc_lab.training.devices import Devices

RECIPES: dict[
    str, SegmentationRecipe | ObjectiveRecipe
] = {  # an odd number of frames a step; BatchNorm learns in the first, is frozen in the second
    "baseline": SegmentationRecipe.baseline("quick", labelled=6, batch=5, steps=6),
    "continuation": SegmentationRecipe.continuation("quick", labelled=6, batch=3, pairs=2, steps=4, gaps=(1, 2)),
    "objective": ObjectiveRecipe(
        terms=(("cross_entropy", 1.0), ("logits_consistency", 0.3)), labelled=6, batch=3, pairs=2, steps=4, gaps=(1, 2)
    ),
}


def short_trainings(cache: Path, folder: Path, devices: Devices | None = None) -> dict[str, Any]:
    """The losses of each step, and the last weights; of all recipes in turn."""
    videos = small_rooms(cache)
    found: dict[str, Any] = {}
    for name, recipe in RECIPES.items():
        model = FPNSegmenter(len(videos.info.classes), (8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(0))
        losses: list[float] = []
        options: dict[str, Any] = {
            "checkpoint": folder / f"{name}.safetensors",
            "checkpoint_every": 2,
            "devices": devices,
            "log": lambda entry, losses=losses: losses.append(entry["loss"]),
        }
        if isinstance(recipe, SegmentationRecipe):
            train(model, videos, recipe, **options)
        else:
            train_objective(model, videos, recipe, **options)
        weights = torch.cat([value.flatten().double() for value in model.state_dict().values()])
        found[name] = {"losses": losses, "weights": weights.tolist()}
    return found


if __name__ == "__main__":
    cache, folder = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    shared = Devices(cpu=True)
    found = short_trainings(cache, folder, shared)
    rank = torch.distributed.get_rank()
    (folder / f"{rank}.json").write_text(json.dumps(found | {"count": shared.count, "first": shared.first}))
    shared.close()
