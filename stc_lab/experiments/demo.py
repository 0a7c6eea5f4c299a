"""The walk-through that `make demo` runs, and what it says while it does."""

import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from stc_lab.data.load import load
from stc_lab.errors import InputError
from stc_lab.experiments.execution import RunFailed
from stc_lab.experiments.places import figures_folder, real_data_root, runs_folder
from stc_lab.experiments.recipes import Data, GeometryAndWarping, LogitsConsistency, RealVideo, Recipe, StartHere
from stc_lab.experiments.runs import Run, execute, publish_figures
from stc_lab.experiments.summary import Failure, write_summary

WALK_THROUGH: tuple[Recipe, ...] = (StartHere(), Data(), GeometryAndWarping(), LogitsConsistency())
REAL_VIDEOS: tuple[Recipe, ...] = (
    GeometryAndWarping(source="sevenscenes"),
    GeometryAndWarping(source="icl"),
    RealVideo(source="camvid"),
    Data(source="camvid"),
    Data(source="sevenscenes"),
)


def plan() -> list[Recipe]:
    """The walk-through, and with STC_LAB_DATA the real videos that lie there; the others are named and left out."""
    root = real_data_root()
    if root is None:
        return list(WALK_THROUGH)
    missing = {recipe: [name for name in recipe.slices() if not (root / name).is_dir()] for recipe in REAL_VIDEOS}
    for recipe, names in missing.items():
        if names:
            print(f"Left out: {recipe.title}{_variant(recipe)}: no {' and no '.join(names)} in {root}")
    return [*WALK_THROUGH, *(recipe for recipe, names in missing.items() if not names)]


def run_all(recipes: Sequence[Recipe], *, again: bool = False) -> list[Run | Failure]:
    """Run the recipes one after another with a line each; one that fails does not stop the others."""
    outcomes: list[Run | Failure] = []
    for number, recipe in enumerate(recipes, start=1):
        name = f"{recipe.notebook[:2]} {recipe.title}{_variant(recipe)}"
        print(f"[{number}/{len(recipes)}] {name} ... ", end="", flush=True)
        start = time.monotonic()
        try:
            run = execute(recipe, again=again)
            publish_figures(run)
        except InputError:
            print("not started", flush=True)
            raise
        except RunFailed as error:
            print(f"FAILED after {time.monotonic() - start:.0f} s\n{error}", flush=True)
            outcomes.append(Failure(recipe, str(error)))
        else:
            took = f"done before, {run.seconds:.0f} s" if run.reused else f"{time.monotonic() - start:.0f} s"
            print(took, flush=True)
            outcomes.append(run)
    return outcomes


def render_rooms(recipes: Sequence[Recipe]) -> None:
    """Render the videos that the recipes will open, with a line for each split; the next time they are there."""
    presets = sorted({preset for preset in (getattr(recipe, "preset", None) for recipe in recipes) if preset})
    for preset, split in product(presets, ("train", "test")):
        print(f"rooms, {split} videos ... ", end="", flush=True)
        start = time.monotonic()
        videos = load("rooms", split=split, preset=preset)
        print(f"{len(videos.names)} x {len(videos) // len(videos.names)} frames, {time.monotonic() - start:.0f} s")


def demo(*, again: bool = False) -> bool:
    """Run the walk-through and say where everything lies; False when a notebook failed."""
    recipes = plan()
    render_rooms(recipes)
    outcomes = run_all(recipes, again=again)
    summary = write_summary(outcomes, runs_folder() / "summary.html")
    places: list[tuple[str, Path]] = [
        ("Executed notebooks", runs_folder()),
        ("Figures", figures_folder()),
        ("Summary, one page", summary),
    ]
    print()
    for what, path in places:
        if path.exists():  # no figures when nothing ran
            print(f"{what + ':':20} {path}")
    return not any(isinstance(outcome, Failure) for outcome in outcomes)


def _variant(recipe: Recipe) -> str:
    changed = recipe.changed()
    return f" ({', '.join(f'{name} {value}' for name, value in changed.items())})" if changed else ""
