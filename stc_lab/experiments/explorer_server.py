"""The commands that show notebook 11: JupyterLab for those who work with it, Voila for those who look."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence

from stc_lab.errors import InputError
from stc_lab.experiments.places import notebooks_folder

NOTEBOOK = "11_consistency_explorer"
# Voila's page asks a distant server for a font of icons. The browser is told to ask nobody but this server.
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
_SETTINGS = {"headers": {"Content-Security-Policy": _POLICY}}
VOILA_OPTIONS = ("--Voila.ip=127.0.0.1", f"--Voila.tornado_settings={_SETTINGS!r}")


def explorer_command(*, voila: bool = False, port: int | None = None, browser: bool = True) -> list[str]:
    """What to run, with this Python; InputError if the server or the notebook is not there."""
    module = "voila" if voila else "jupyterlab"
    if importlib.util.find_spec(module) is None:
        raise InputError(f"{module} is not installed", hint="pip install -e '.[lab]'")
    path = notebooks_folder() / f"{NOTEBOOK}.ipynb"
    if not path.is_file():
        raise InputError(f"no notebook {path.name} in {path.parent}", hint="a checkout without its notebooks")
    address = VOILA_OPTIONS if voila else ("--ip=127.0.0.1",)
    options = [] if port is None else [f"--port={port}"]
    options += [] if browser else ["--no-browser"]
    return [sys.executable, "-m", module, str(path), *address, *options]


def serve(command: Sequence[str]) -> int:
    """Run it until it ends or Ctrl-C; its exit code."""
    try:
        return subprocess.run(list(command), check=False).returncode
    except KeyboardInterrupt:
        return 0
