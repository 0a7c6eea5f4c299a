"""What is there, what is missing, and what to do about it."""

import importlib
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stc_lab.errors import InputError
from stc_lab.experiments.places import notebooks_folder, real_data_root
from stc_lab.experiments.recipes import RECIPES, SLICES

INSTALL = "make setup (or: pip install -c requirements.lock -e '.[lab,batch,slurm,hub,devices,dev]')"
ROOM_FOR_VIDEOS = 1.0  # GB; the full rooms videos and the runs of the notebooks


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    detail: str
    advice: str = ""  # what to do when it is not ok
    essential: bool = False  # the notebooks cannot run without it


def examine() -> list[Finding]:
    """Look at everything; takes some seconds, most of them for the trial export of a figure."""
    return [
        *_python(),
        *_packages(),
        *_devices(),
        *_folders(),
        *_kernel(),
        *_widgets(),
        *_export(),
        *_real_data(),
    ]


def show(findings: list[Finding]) -> str:
    """The findings as text, one line each, with advice below what is missing."""
    width = max(len(finding.what) for finding in findings)
    lines = []
    for finding in findings:
        state = "ok     " if finding.ok else "MISSING" if finding.essential else "without"
        lines.append(f"{state}  {finding.what:{width}}  {finding.detail}")
        if not finding.ok and finding.advice:
            lines.append(f"{'':{width + 11}}-> {finding.advice}")
    missing = [finding.what for finding in findings if finding.essential and not finding.ok]
    lines.append("")
    lines.append(f"Essential and missing: {', '.join(missing)}" if missing else "Everything essential is there.")
    return "\n".join(lines)


def _python() -> Iterator[Finding]:
    right = sys.version_info[:2] == (3, 11)
    yield Finding(
        "Python", right, f"{platform.python_version()} at {sys.executable}", "the project wants Python 3.11", True
    )


def _packages() -> Iterator[Finding]:
    for name, module in {
        "torch": "torch",
        "kornia": "kornia",
        "datasets": "datasets",
        "plotly": "plotly",
        "opencv": "cv2",
        "papermill": "papermill",
    }.items():
        try:
            loaded = importlib.import_module(module)
        except Exception as error:  # a broken installation may raise anything
            yield Finding(name, False, f"{type(error).__name__}: {error}", INSTALL, True)
        else:
            yield Finding(name, True, str(getattr(loaded, "__version__", "there")), essential=True)


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except ImportError:
        return
    threads = torch.get_num_threads()
    yield Finding(
        "threads",
        threads == 1 or os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE",
        f"torch uses {threads} of {os.cpu_count()} cores",
        "OMP_NUM_THREADS=1: more threads spin, and slow a busy machine down a hundredfold",
    )
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("Apple MPS")
    yield Finding("device", True, ", ".join(names) or "CPU only, which is enough for the notebooks")


def _folders() -> Iterator[Finding]:
    from stc_lab.data.cache import cache_root

    cache = cache_root()
    writable, detail = _try_to_write(cache)
    yield Finding("cache", writable, detail, "set STC_LAB_CACHE to a folder that you may write to", True)
    if writable:
        free = shutil.disk_usage(_existing(cache)).free / 1e9
        yield Finding("disk", free > ROOM_FOR_VIDEOS, f"{free:.1f} GB free there", "make room, or set STC_LAB_CACHE")
    try:
        notebooks = notebooks_folder()
    except InputError as error:
        yield Finding("notebooks", False, str(error), "git clone the project", True)
        return
    absent = [name for name in RECIPES if not (notebooks / f"{name}.ipynb").is_file()]
    detail = f"{len(RECIPES) - len(absent)} in {notebooks}" + (f", without {', '.join(absent)}" if absent else "")
    yield Finding("notebooks", not absent, detail, "git checkout -- notebooks", True)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return folder if folder.exists() else _existing(folder.parent)


def _try_to_write(folder: Path) -> tuple[bool, str]:
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return True, str(folder)
    except OSError as error:
        return False, f"{folder}: {error.strerror}"


def _kernel() -> Iterator[Finding]:
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        yield Finding("kernel", False, "no jupyter_client", INSTALL, True)
        return
    try:
        specification = KernelSpecManager().get_kernel_spec("python3")
        importlib.import_module("ipykernel")
    except (NoSuchKernel, ImportError) as error:
        yield Finding("kernel", False, f"python3: {error}", INSTALL, True)
    else:
        yield Finding("kernel", True, f"python3 in {specification.resource_dir}", essential=True)


def _widgets() -> Iterator[Finding]:
    for name in ("jupyterlab", "ipywidgets", "anywidget"):
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, "not installed: the notebooks show still figures", INSTALL)


def _export() -> Iterator[Finding]:
    advice = "make browser (Debian, as root), or install Chromium or Chrome, or point BROWSER_PATH to one"
    try:
        from stc_lab.plots.export import exporter_problem
    except ImportError as error:
        yield Finding("export", False, str(error), INSTALL)
        return
    start = time.monotonic()
    problem = exporter_problem()
    detail = f"PNG and SVG, a trial took {time.monotonic() - start:.1f} s" if problem is None else ""
    yield Finding("export", problem is None, detail or f"figures are HTML and JSON only: {problem}", advice)


def _real_data() -> Iterator[Finding]:
    try:
        root = real_data_root()
    except InputError as error:
        yield Finding("real videos", False, str(error))
        return
    if root is None:
        yield Finding("real videos", False, "STC_LAB_DATA is not set: rooms videos only", "STC_LAB_DATA=<folder>")
        return
    for name, folder in {**SLICES, "camvid, 1 Hz": "camvid_1hz"}.items():
        found = (root / folder).is_dir()
        yield Finding(name, found, str(root / folder) if found else "not there", f"put its frames into {root / folder}")
