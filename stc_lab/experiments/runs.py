"""Runs: one recipe executed by papermill and kept as a folder, whole or not at all.

A finished run is found again by the digest of all that decides its outcome, and is not run twice. A folder holds
`recipe.json`, `metrics.json` (what the notebook reported), `executed.ipynb`, `environment.json` and `figures/`.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import stc_lab
from stc_lab.errors import InputError
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
VERSIONS_OF = ("stc_lab", "torch", "kornia", "datasets", "numpy", "plotly", "papermill", "ipykernel")


class RunFailed(RuntimeError):
    """A notebook that did not run to its end; the message names notebook and cell, and ends like the error did."""


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
        seconds = _papermill(recipe, notebook, partial)
        write_json(partial / "environment.json", _environment(recipe, seconds))
        _replace(partial, folder)
    except RunFailed as error:
        failed = folder.with_name(f"{folder.name}.failed")
        _replace(partial, failed)
        raise RunFailed(f"{error}\nWhat it did until then: {failed / 'executed.ipynb'}") from error.__cause__
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Run(recipe, folder, reused=False)


def publish_figures(run: Run) -> None:
    """Put the figures of a run into figures/, in place of those of an earlier one."""
    drawn = run.folder / "figures"
    if not drawn.is_dir():
        return
    partial = run.published.with_name(f".{run.published.name}.{os.getpid()}.partial")
    try:
        shutil.copytree(drawn, partial, copy_function=_link_or_copy)
        _replace(partial, run.published)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _link_or_copy(source: str, target: str) -> None:
    """Each folder holds plotly.js, 5 MB: a link will do, since a figure is never changed in place."""
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def _papermill(recipe: Recipe, notebook: Path, folder: Path) -> float:
    """Execute the notebook into `folder`, in a fresh kernel; return the seconds it took."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    output = folder / "executed.ipynb"
    start = time.monotonic()
    with _surroundings({RUN_FOLDER: str(folder), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}):
        try:
            papermill.execute_notebook(
                notebook,
                output,
                parameters=asdict(recipe),
                kernel_name="python3",
                cwd=notebook.parent,
                progress_bar=False,
                execution_timeout=CELL_TIMEOUT,
                store_widget_state=False,  # each FigureWidget would store a copy of plotly.js
                extra_arguments=["--log-level=CRITICAL"],  # or it warns about loopback, and moans when interrupted
            )
        except papermill.PapermillExecutionError as error:
            lines = _plain_lines(error.traceback) or [f"{error.ename}: {error.evalue}"]
            first_line = next(iter(error.source.strip().splitlines()), "")
            raise RunFailed(
                f"{recipe.notebook} failed in cell In [{error.exec_count}] ({first_line!r}):\n  "
                + "\n  ".join(lines[-6:])
            ) from error
        except CellTimeoutError as error:
            raise RunFailed(f"{recipe.notebook}: a cell took more than {CELL_TIMEOUT} s") from error
        except DeadKernelError as error:
            raise RunFailed(f"{recipe.notebook}: the kernel died, usually for lack of memory") from error
    return time.monotonic() - start


def _plain_lines(traceback: Iterable[str]) -> list[str]:
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback))
    return [line for line in text.splitlines() if line.strip()]


@contextmanager
def _surroundings(variables: dict[str, str]) -> Iterator[None]:
    """Environment of the kernel: papermill has no other way to pass it on."""
    root = real_data_root()
    if root is not None:
        variables = variables | {DATA_FOLDER: str(root)}  # the kernel's working folder is another one
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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
    for path in sorted(p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix != ".pyc"):
        digest.update(str(path.relative_to(PACKAGE)).encode())
        digest.update(path.read_bytes())
    for folder in data:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            state = path.stat()
            digest.update(f"{path.relative_to(folder)} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:12]


def _environment(recipe: Recipe, seconds: float) -> dict[str, Any]:
    import torch

    return {
        "seconds": round(seconds, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": getattr(recipe, "seed", None),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "versions": {name: _version(name) for name in VERSIONS_OF},
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout, with a + when files differ from it; None without git."""
    root = notebooks_folder().parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def _replace(source: Path, target: Path) -> None:
    """Put a folder in the place of an older one of the same name."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    try:
        source.rename(target)
    finally:
        shutil.rmtree(old, ignore_errors=True)


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
