"""Where everything lies: the one place that resolves paths, for the lab, papermill, nbval and the command line alike.

Kernels run in the folder of their notebook, batch runs anywhere: nothing in the project may rely on the working folder.
"""

import os
from pathlib import Path

from stc_lab.errors import InputError

RUN_FOLDER = "STC_LAB_RUN_DIR"  # set for the kernel of a batch run
DATA_FOLDER = "STC_LAB_DATA"


def _chosen(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None


def project_root() -> Path:
    """The checkout: `STC_LAB_PROJECT`, or the folder that the package was installed from."""
    root = _chosen("STC_LAB_PROJECT") or Path(__file__).resolve().parents[2]
    if not (root / "notebooks").is_dir():
        raise InputError(
            f"no folder notebooks in {root}",
            hint="stc_lab was installed without its checkout: set STC_LAB_PROJECT to a clone of the project",
        )
    return root


def notebooks_folder() -> Path:
    return project_root() / "notebooks"


def runs_folder() -> Path:
    """Finished runs and their summary: `STC_LAB_RUNS`, or runs/ of the project. Not created here."""
    return _chosen("STC_LAB_RUNS") or project_root() / "runs"


def run_folder() -> Path | None:
    """Folder of the batch run that this kernel belongs to; None in the lab."""
    return _chosen(RUN_FOLDER)


def figures_folder(notebook: str = "") -> Path:
    """Where a notebook's figures go: into its run in batch, else into a folder of its own under figures/.

    `STC_LAB_FIGURES` stands in for figures/. Not created here.
    """
    run = run_folder()
    if run is not None:
        return run / "figures"
    return (_chosen("STC_LAB_FIGURES") or project_root() / "figures") / notebook


def real_data_root() -> Path | None:
    """Folder of the real videos, `STC_LAB_DATA`; None when it is not set."""
    root = _chosen(DATA_FOLDER)
    if root is not None and not root.is_dir():
        raise InputError(
            f"{DATA_FOLDER} is {os.environ[DATA_FOLDER]!r}, which is no folder",
            hint="a typing error, or a relative path seen from another folder: give the whole path",
        )
    return root
