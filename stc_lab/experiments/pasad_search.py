"""The search for more of what the views hold: ways to go on with a baseline, each beside its own controls.

Everything here is trained on training rooms and judged on validation rooms; no test room is opened. All settings that
were ever tried are listed, and their results are kept: `python -m stc_lab.experiments.pasad_search` repeats them.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from stc_lab.data.cache import cache_root
from stc_lab.errors import InputError
from stc_lab.experiments.pasad_rows import (
    MODEL,
    PROFILES,
    Profile,
    baseline_recipe,
    evaluate_model,
    row_recipe,
    train_baseline,
    train_recipe,
)
from stc_lab.experiments.report import write_json
from stc_lab.training import ObjectiveRecipe

KEPT = "pasad_search.json"
BEFORE = replace(PROFILES["full"], baseline_steps=1500)  # the baselines were trained for longer after the search
_IDENTITY = {"warp": "identity"}
_PAPER = (("logits_consistency", 0.3),)
_TEACHER = (("teacher", 2.0),)


@dataclass(frozen=True)
class Setting:
    """A way to go on: the terms beside the cross-entropy, and what it changes in the recipe."""

    terms: tuple[tuple[Any, ...], ...]
    changes: dict[str, Any] = field(default_factory=dict)
    steps: int = 500
    geometry: str = "exact"


def _with_controls(name: str, setting: Setting, *controls: str) -> dict[str, Setting]:
    """A setting and those that differ from it in nothing but what a control takes away."""
    changed: dict[str, dict[str, Any]] = {
        "identity": _IDENTITY,
        "another room": {"partner": "another"},
        "self-distillation": {"targets": "probabilities", "label_votes": 0.0},
    }
    rows = {name: setting}
    for control in controls:
        rows[f"{name} | {control}"] = replace(setting, changes={**setting.changes, **changed[control]})
    return rows


_FUSED = {"targets": "fused"}
_VOTES = {**_FUSED, "label_votes": 4.0}
_AUGMENTED = {**_VOTES, "augmented": True}
_LABELS = "fused with labels"
SETTINGS: dict[str, Setting] = {
    "baseline continued": Setting(()),
    "baseline continued, 1500 steps": Setting((), steps=1500),
    **_with_controls("Eq. 1", Setting(_PAPER), "identity", "another room"),
    **_with_controls("Eq. 1, 1500 steps", Setting(_PAPER, steps=1500), "identity"),
    **_with_controls("fused targets", Setting(_TEACHER, _FUSED), "identity", "self-distillation"),
    **_with_controls(_LABELS, Setting(_TEACHER, _VOTES), "identity"),
    "labels alone": Setting(_TEACHER, {**_VOTES, "targets": "probabilities"}),
    f"{_LABELS}, augmented": Setting(_TEACHER, _AUGMENTED),
    **_with_controls(
        f"{_LABELS}, augmented, 1500 steps", Setting(_TEACHER, _AUGMENTED, steps=1500), "identity", "self-distillation"
    ),
    "baseline continued, 300 steps": Setting((), steps=300),
    **_with_controls(f"{_LABELS}, 300 steps", Setting(_TEACHER, _VOTES, steps=300), "identity"),
    f"{_LABELS}, weight 4": Setting((("teacher", 4.0),), _VOTES),
    f"{_LABELS}, 20 votes": Setting(_TEACHER, {**_VOTES, "label_votes": 20.0}),
    f"{_LABELS}, balanced": Setting(_TEACHER, {**_VOTES, "balanced": True}),
    f"{_LABELS}, confidence": Setting(_TEACHER, {**_VOTES, "confidence": 2.0}),
    f"{_LABELS}, sharper": Setting(_TEACHER, {**_VOTES, "sharpness": 2.0}),
    f"{_LABELS}, 16 frames": Setting(_TEACHER, {**_VOTES, "frames": 16}),
    f"{_LABELS}, more views": Setting(_TEACHER, {**_VOTES, "views": (1, 2, 3, 4, 6, 8)}),
    f"{_LABELS}, renewed teacher": Setting(_TEACHER, {**_VOTES, "renew": 250, "momentum": 0.5}),
    f"{_LABELS}, Eq. 1 beside": Setting((*_TEACHER, *_PAPER), _VOTES),
}


def search_recipe(name: str, profile: Profile, count: int, seed: int) -> ObjectiveRecipe:
    """The recipe of a setting."""
    if name not in SETTINGS:
        raise InputError(f"no setting is called {name!r}; there are {', '.join(SETTINGS)}")
    setting = SETTINGS[name]
    base = row_recipe(replace(profile, steps=setting.steps), "baseline continued", count, seed)
    return replace(base, terms=(*base.terms, *setting.terms), **setting.changes)


def search(
    names: Sequence[str],
    count: int,
    seeds: Sequence[int],
    results: Path,
    *,
    profile: Profile = BEFORE,
    limit: float = float("inf"),
    log: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Train and judge each setting with each seed; add what is not there yet to the JSON file `results`.

    After `limit` seconds nothing new is begun. Baselines, and where a training stands, are kept in the cache folder.
    """
    root, began = cache_root() / "pasad_search" / profile.name, time.perf_counter()
    for seed in seeds:
        baseline = root / f"baseline-{count}-{seed}-{profile.baseline_steps}"
        train_baseline(profile, count, seed, folder=baseline)
        for name in ("baseline", *names):
            done = _read(results)
            if any((one["setting"], one["count"], one["seed"]) == (name, count, seed) for one in done):
                continue
            if time.perf_counter() - began > limit:
                return done
            scores = _scores(name, profile, count, seed, baseline, root / "working" / f"{name}-{count}-{seed}")
            log(f"{name}, {count} labels, seed {seed}: mIoU {100 * scores['miou']:.2f}, {scores['seconds']:.0f} s")
            write_json(results, [*_read(results), {"setting": name, **scores}])
    return _read(results)


def kept_search() -> list[dict[str, Any]]:
    """The results that come with the package."""
    text = (resources.files("stc_lab.experiments") / "results" / KEPT).read_text(encoding="utf-8")
    kept: list[dict[str, Any]] = json.loads(text)
    return kept


def tried(results: Sequence[dict[str, Any]]) -> int:
    """How many settings were compared; controls and the baseline count as none."""
    return len({one["setting"] for one in results if "|" not in one["setting"] and "baseline" not in one["setting"]})


def _scores(name: str, profile: Profile, count: int, seed: int, baseline: Path, folder: Path) -> dict[str, Any]:
    if name == "baseline":
        model, recipe = baseline / MODEL, baseline_recipe(profile, count, seed).to_dict()
    else:
        wanted = search_recipe(name, profile, count, seed)
        model, recipe = folder / MODEL, wanted.to_dict()
        train_recipe(profile, wanted, start=baseline / MODEL, folder=folder, geometry=SETTINGS[name].geometry)
    scores = evaluate_model(profile, model, split="validation")
    kept = ("count", "seed", "miou", "accuracy", "temporal_agreement", "vc8", "iou", "seconds", "steps")
    if name != "baseline":
        model.unlink()
    return {**{key: scores[key] for key in kept}, "recipe": recipe}


def _read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def main() -> None:
    """Search on, from where the results file stands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", help="all of them if none is named")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / KEPT)
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds after which nothing new is begun")
    chosen = parser.parse_args()
    search(chosen.settings or list(SETTINGS), chosen.count, chosen.seeds, chosen.results, limit=chosen.limit)


if __name__ == "__main__":
    main()
