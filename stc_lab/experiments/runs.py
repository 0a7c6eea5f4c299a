"""Runs: one recipe executed by papermill and kept as a folder, whole or not at all.

A finished run is found again by the digest of all that decides its outcome, and is not run twice. A folder holds
`recipe.json`, `metrics.json` (what the notebook reported), `executed.ipynb`, `environment.json` and `figures/`.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import stc_lab
from stc_lab.errors import InputError
from stc_lab.experiments.execution import (
    RunFailed,
    device_name,
    environment,
    papermill_notebook,
    publish_folder,
    replace_folder,
)
from stc_lab.experiments.places import (
    DATA_FOLDER,
    RUN_FOLDER,
    figures_folder,
    notebooks_folder,
    real_data_root,
    runs_folder,
)
from stc_lab.experiments.recipes import Recipe, as_json
from stc_lab.experiments.report import read_json, write_json

CELL_TIMEOUT = 3600  # s
PACKAGE = Path(stc_lab.__file__).parent  # any change of it makes another run


@dataclass(frozen=True)
class Run:
    """A finished run on disk."""

    recipe: Recipe
    folder: Path
    reused: bool  # found, not executed

    @property
    def seconds(self) -> float:
        return float(read_json(self.folder / "environment.json")["seconds"] or 0)

    @property
    def published(self) -> Path:
        """Its folder under figures/: the notebook's name and the parameters that were changed."""
        variant = "".join(f"-{name}-{value}" for name, value in self.recipe.changed().items())
        return figures_folder(self.recipe.notebook + variant)

    @property
    def metrics(self) -> dict[str, Any]:
        return read_json(self.folder / "metrics.json")


def execute(recipe: Recipe, *, again: bool = False) -> Run:
    """The finished run of a recipe: found when there is one, else (or when `again`) executed.

    Raises InputError before anything starts when the notebook or the data is missing, RunFailed when the notebook
    fails: what it did until then is kept in a folder that ends in `.failed`. An interrupted run leaves nothing.
    """
    notebook = notebooks_folder() / f"{recipe.notebook}.ipynb"
    if not notebook.is_file():
        raise InputError(f"no notebook {notebook}", hint="an incomplete checkout")
    data = _data_of(recipe)
    folder = runs_folder() / f"{recipe.notebook}-{_digest(recipe, notebook, data)}"
    if folder.is_dir() and not again:
        return Run(recipe, folder, reused=True)

    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        write_json(partial / "metrics.json", {})
        write_json(partial / "recipe.json", as_json(recipe))
        seconds = papermill_notebook(
            notebook,
            partial / "executed.ipynb",
            asdict(recipe),
            name=recipe.notebook,
            variables={RUN_FOLDER: str(partial)},
            cell_timeout=CELL_TIMEOUT,
        )
        made_with = environment(seconds, seed=getattr(recipe, "seed", None), device=device_name())
        write_json(partial / "environment.json", made_with)
        replace_folder(partial, folder)
    except RunFailed as error:
        failed = folder.with_name(f"{folder.name}.failed")
        replace_folder(partial, failed)
        raise RunFailed(f"{error}\nWhat it did until then: {failed / 'executed.ipynb'}") from error.__cause__
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Run(recipe, folder, reused=False)


def publish_figures(run: Run) -> None:
    """Put the figures of a run into figures/, in place of those of an earlier one."""
    drawn = run.folder / "figures"
    if drawn.is_dir():
        publish_folder([drawn], run.published)


def package_digest() -> str:
    """Names the package's sources as they are now."""
    digest = hashlib.sha256()
    # Compiled files come and go by themselves.
    for path in sorted(p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        digest.update(str(path.relative_to(PACKAGE)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _data_of(recipe: Recipe) -> list[Path]:
    """The folders of real data that a recipe reads."""
    root = real_data_root()
    if not recipe.slices():
        return []
    if root is None:
        raise InputError(
            f"{recipe.notebook} reads real videos ({', '.join(recipe.slices())}), but {DATA_FOLDER} is not set",
            hint=f"{DATA_FOLDER}=<folder> in front of the command, with these folders in it",
        )
    folders = [root / name for name in recipe.slices()]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"{recipe.notebook} reads {folder}, which is no folder", hint=f"what {DATA_FOLDER} points to"
            )
    return folders


def _digest(recipe: Recipe, notebook: Path, data: Iterable[Path]) -> str:
    """Twelve hex digits of all that decides a run: recipe, notebook, package sources and the data's files."""
    digest = hashlib.sha256(json.dumps(as_json(recipe), sort_keys=True).encode())
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    digest.update(json.dumps([(cell["cell_type"], cell["source"]) for cell in cells]).encode())
    digest.update(package_digest().encode())
    for folder in data:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            state = path.stat()
            digest.update(f"{path.relative_to(folder)} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:12]


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left behind."""
    for path in folder.glob(".*.partial"):
        owner = path.name.removesuffix(".partial").rsplit(".", 1)[-1]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
