"""The depth net that comes with the package, and the study it is from: several seeds, judged on rooms never seen."""

import hashlib
import json
import math
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import torch

import stc_lab
import stc_lab.models
from stc_lab.data.cache import build_once, cache_root
from stc_lab.experiments.depth_rooms import DEPTH_ROOMS, depth_rooms
from stc_lab.metrics import row_mean
from stc_lab.models import DepthFPN, load_model, save_model
from stc_lab.training.depth import train_depth
from stc_lab.training.depth_evaluate import evaluate_depth
from stc_lab.training.depth_recipe import DepthRecipe

NAME = "rooms_depth"
COMMAND = "stc-lab train-depth"
SEEDS = (0, 1, 2)
_SOURCES = (  # what determines the result
    *(f"training/depth{part}.py" for part in ("", "_joint", "_matches", "_recipe", "_evaluate")),
    *(f"geometry/{part}.py" for part in ("egomotion", "kernels_egomotion", "reconstruct")),
)


def depth_study(
    *,
    preset: str = "full",
    seeds: Sequence[int] = SEEDS,
    cache: Path | str | None = None,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train and judge one net per seed; mean and sample deviation of every number over the seeds, and each seed's own.

    A seed that is done is found in the cache folder, not repeated. The best on validation rooms is named `shipped`.
    """
    results = [
        json.loads((study_seed(s, preset=preset, cache=cache, log=log) / "result.json").read_text()) for s in seeds
    ]
    best = min(results, key=lambda result: result["val"]["depth"]["learned depth, fitted motion"]["abs_rel"])
    return {
        "command": COMMAND,
        "preset": preset,
        "seeds": list(seeds),
        "shipped": best["seed"],
        "test": summary([result["test"] for result in results]),
        "val": summary([result["val"] for result in results]),
        "focal_ratio": [result["focal_ratio"] for result in results],
        "seconds": [result["seconds"] for result in results],
        "recipe": results[0]["recipe"],
        "rooms": DEPTH_ROOMS[preset].digest(),
        "history": best["history"],
        "versions": best["versions"],
    }


def study_seed(
    seed: int, *, preset: str = "full", cache: Path | str | None = None, log: Callable[[str], None] = print
) -> Path:
    """Folder of one seed's net and `result.json`, made if it is not there; seeds may run in processes of their own."""
    recipe = DepthRecipe.preset(preset, seed=seed)
    root = cache_root() if cache is None else Path(cache).expanduser()

    def build(partial: Path) -> None:
        rooms = {split: depth_rooms(split, preset, cache) for split in ("train", "val", "test")}
        trained = train_depth(rooms["train"], recipe, cache=cache, log=_every(100, seed, log), say=log)
        depths = [rooms["train"].clip(name, step=8).depth for name in rooms["train"].names]
        rows = row_mean(torch.cat([depth for depth in depths if depth is not None]))
        path = save_model(partial / "net.safetensors", trained.net, {}, dtype=torch.float16)
        stored = load_model(path, DepthFPN).model
        result: dict[str, Any] = {
            "seed": seed,
            "focal_ratio": trained.focal_ratio,
            "recipe": recipe.to_dict(),
            "seconds": trained.seconds,
            "history": thinned(trained.history),
            "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in ("stc_lab", "torch")}},
        }
        for split in ("val", "test"):
            scores = evaluate_depth(stored, trained.focal_ratio, rooms[split], recipe, row_mean=rows, cache=cache)
            result[split] = scores.to_dict()
        (partial / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    return build_once(root / "depth_study" / f"{preset}-{seed}-{_digest(recipe, preset)}", build)


def ship_depth(
    out: Path | str | None = None,
    *,
    preset: str = "full",
    seeds: Sequence[int] = SEEDS,
    cache: Path | str | None = None,
    log: Callable[[str], None] = print,
) -> Path:
    """Write `rooms_depth.safetensors` and `.json` to the folder `out`, by default the package's own."""
    folder = Path(stc_lab.models.__file__).parent / "weights" if out is None else Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    study = depth_study(preset=preset, seeds=seeds, cache=cache, log=log)
    chosen = study_seed(study["shipped"], preset=preset, cache=cache, log=log)
    net = load_model(chosen / "net.safetensors", DepthFPN).model
    focal = study["focal_ratio"][study["seeds"].index(study["shipped"])]
    notes = {"command": COMMAND, "recipe": {**study["recipe"], "seed": study["shipped"]}, "focal_ratio": focal}
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{NAME}.") as partial:
        weights = save_model(Path(partial) / f"{NAME}.safetensors", net, notes, dtype=torch.float16)
        text = Path(partial) / f"{NAME}.json"
        text.write_text(json.dumps(study, indent=1) + "\n", encoding="utf-8")
        os.replace(text, folder / text.name)
        os.replace(weights, folder / weights.name)
    return folder / f"{NAME}.safetensors"


def kept_study() -> dict[str, Any]:
    """The study that the shipped net is from."""
    text = (resources.files("stc_lab.models") / "weights" / f"{NAME}.json").read_text(encoding="utf-8")
    kept: dict[str, Any] = json.loads(text)
    return kept


def summary(results: Sequence[Any]) -> Any:
    """The same nested dictionary; its leaves are `mean`, `spread` (sample deviation; None: one seed) and `each`."""
    if isinstance(results[0], dict):
        return {key: summary([result[key] for result in results]) for key in results[0]}
    values = [float(value) for value in results]
    known = [value for value in values if not math.isnan(value)]
    return {
        "mean": statistics.fmean(known) if known else None,
        "spread": statistics.stdev(known) if len(known) > 1 else None,
        "each": [None if math.isnan(value) else value for value in values],
    }


def thinned(history: Sequence[dict[str, Any]], *, most: int = 120) -> list[dict[str, Any]]:
    """At most so many entries, evenly taken, the last one among them."""
    every = max(1, -(-len(history) // most))
    return [entry for entry in history if entry["step"] % every == 0 or entry["step"] == len(history)]


def _every(steps: int, seed: int, log: Callable[[str], None]) -> Callable[[dict[str, Any]], None]:
    def write(entry: dict[str, Any]) -> None:
        if entry["step"] % steps == 0:
            log(
                f"seed {seed}: step {entry['step']}/{entry['steps']} ({entry['stage']}), loss {entry['loss']:.3f}, "
                f"focal length {entry['focal_ratio']:.3f} of the width"
            )

    return write


def _digest(recipe: DepthRecipe, preset: str) -> str:
    package = Path(stc_lab.__file__).parent
    text = json.dumps(recipe.to_dict(), sort_keys=True) + DEPTH_ROOMS[preset].digest()
    text += json.dumps([DEPTH_ROOMS[preset].scenes(split) for split in ("train", "val", "test")])
    text += "".join((package / source).read_text(encoding="utf-8") for source in _SOURCES)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
