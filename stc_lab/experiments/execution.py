"""One notebook executed by papermill in a fresh kernel, and what is kept beside it: surroundings, and whole folders."""

import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stc_lab.experiments.places import DATA_FOLDER, project_root, real_data_root

VERSIONS_OF = ("stc_lab", "torch", "kornia", "datasets", "numpy", "plotly", "papermill", "ipykernel")


class RunFailed(RuntimeError):
    """A notebook that did not run to its end; the message names notebook and cell, and ends like the error did."""


def papermill_notebook(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    name: str,
    variables: Mapping[str, str],
    cell_timeout: int | None,
    held: Sequence[int] = (),
) -> float:
    """Execute the notebook into `output`, in a fresh kernel of one thread; return the seconds it took.

    `name` stands in messages, `variables` in the kernel's environment. `cell_timeout` in seconds. `held` are open file
    descriptors that the kernel gets too: a lock on one of them lasts until the kernel is gone, whoever started it.
    Raises RunFailed.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    start = time.monotonic()
    with _surroundings({**variables, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}):
        try:
            papermill.execute_notebook(
                notebook,
                output,
                parameters=dict(parameters),
                kernel_name="python3",
                cwd=notebook.parent,
                progress_bar=False,
                execution_timeout=cell_timeout,
                start_timeout=180,  # on a busy machine a kernel takes its time
                store_widget_state=False,  # each FigureWidget would store a copy of plotly.js
                extra_arguments=["--log-level=CRITICAL"],  # or it warns about loopback, and moans when interrupted
                **({"kernel_manager_class": _manager_that_hands_on(held)} if held else {}),
            )
        except papermill.PapermillExecutionError as error:
            lines = _plain_lines(error.traceback) or [f"{error.ename}: {error.evalue}"]
            first_line = next(iter(error.source.strip().splitlines()), "")
            raise RunFailed(
                f"{name} failed in cell In [{error.exec_count}] ({first_line!r}):\n  " + "\n  ".join(lines[-6:])
            ) from error
        except CellTimeoutError as error:
            raise RunFailed(f"{name}: a cell took more than {cell_timeout} s") from error
        except DeadKernelError as error:
            cell = last_cell(output)
            raise RunFailed(f"{name}: the kernel died{cell and f' in {cell}'}, usually for lack of memory") from error
    return time.monotonic() - start


def last_cell(executed: Path) -> str:
    """The last cell that was begun by an execution that ended without a word; empty where that is not known."""
    try:
        cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError):
        return ""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    began = [i for i, cell in enumerate(code) if cell["metadata"].get("papermill", {}).get("start_time")]
    if not began:
        return ""
    first_line = next(iter("".join(code[began[-1]]["source"]).strip().splitlines()), "")
    return f"cell In [{began[-1] + 1}] ({first_line!r})"


def environment(seconds: float, *, seed: object, device: str | None) -> dict[str, Any]:
    """What a run was made with, as its environment.json says it."""
    return {
        "seconds": round(seconds, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": seed,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "versions": {name: _version(name) for name in VERSIONS_OF},
        "commit": _commit(),
    }


def device_name() -> str:
    """The device that torch would take."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def replace_folder(source: Path, target: Path) -> None:
    """Put a folder in the place of an older one of the same name."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    try:
        source.rename(target)
    finally:
        shutil.rmtree(old, ignore_errors=True)


def publish_folder(drawn: Sequence[Path], published: Path) -> None:
    """Put the files of some folders into one, in place of what an earlier run put there."""
    partial = published.with_name(f".{published.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        for folder in drawn:
            shutil.copytree(folder, partial, copy_function=_link_or_copy, dirs_exist_ok=True)
        replace_folder(partial, published)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _link_or_copy(source: str, target: str) -> None:
    """Each folder holds plotly.js, 5 MB: a link will do, since a figure is never changed in place.

    A file of the same name goes first: it may be a link to this very file, or to one that must not be written into.
    """
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def _manager_that_hands_on(held: Sequence[int]) -> type:
    """A kernel manager whose kernels inherit the open file descriptors."""
    from jupyter_client.manager import AsyncKernelManager

    class Manager(AsyncKernelManager):
        def start_kernel(self, **options: Any) -> Any:
            return super().start_kernel(**options, pass_fds=tuple(held))

    return Manager


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


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout, with a + when files differ from it; None without git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
            cwd=project_root(),
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None
