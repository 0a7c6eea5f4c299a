"""One job of a study, in this process: `python -m stc_lab.experiments.one_job PLAN JOB`, as the Snakefile calls it."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from stc_lab.experiments.execution import RunFailed, environment, papermill_notebook, replace_folder
from stc_lab.experiments.jobs import notebook_of
from stc_lab.experiments.places import RUN_FOLDER
from stc_lab.experiments.report import read_json, write_json
from stc_lab.experiments.store import STUDY_FOLDER, Store, exclusive, read_state


def run_job(plan: Path, name: str) -> bool:
    """Do a job of the plan unless it is done; False when it failed, with the reason in its state.

    Of several processes with the same job one works and the others wait, then find it done.
    """
    store = Store(plan.resolve().parent)
    job = json.loads(plan.read_text(encoding="utf-8"))["jobs"][name]
    state = store.state(name)
    attempt = int(read_state(state).get("attempt", 0)) + 1
    with exclusive(store.batch / "locks" / name, wait=True) as lock:
        assert lock is not None
        if store.is_done(name, job["identity"]):
            _say(state, "done", attempt, seconds=0.0, resumed=False)
            return True
        folder = store.working(name, job["identity"])
        _say(state, "running", attempt)
        try:
            resumed = _prepare(store, name, job, folder)
            seconds = papermill_notebook(
                notebook_of(job["kind"]),
                folder / "executed.ipynb",
                job["parameters"],
                name=f"job {name}, notebook jobs/{job['kind']}.ipynb",
                variables={RUN_FOLDER: str(folder), STUDY_FOLDER: str(store.folder)},
                cell_timeout=None,
                held=[lock],
            )
            _finish(store, name, job, folder, seconds, resumed=resumed)
        except RunFailed as error:
            store.keep_failed(name, folder / "executed.ipynb")
            _say(state, "failed", attempt, error=str(error))
            return False
        except Exception as error:  # no kernel, no disk: told like all else that fails
            _say(state, "failed", attempt, error=f"job {name}: {type(error).__name__}: {error}")
            raise
        _say(state, "done", attempt, seconds=round(seconds, 1), resumed=resumed)
        return True


def _prepare(store: Store, name: str, job: dict[str, Any], folder: Path) -> bool:
    """Make the working folder; True when half-done work is in it, begun from the same needs as they are now."""
    for other in folder.parent.glob(f"{name}.*"):
        if other != folder:  # half-done work of another recipe
            shutil.rmtree(other, ignore_errors=True)
    needs = {need: read_json(store.job(need) / "environment.json")["finished"] for need in job["needs"]}
    noted = folder / "checkpoint.needs.json"
    if folder.is_dir() and read_state(noted) != needs:
        shutil.rmtree(folder)
    resumed = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(noted, needs)
    return resumed


def _finish(store: Store, name: str, job: dict[str, Any], folder: Path, seconds: float, *, resumed: bool) -> None:
    """Make the working folder the finished one, in one go."""
    needs = {need: entry["identity"] for need, entry in store.planned().items() if need in job["needs"]}
    recipe = {key: job[key] for key in ("kind", "identity", "parameters", "recipe")}
    write_json(folder / "recipe.json", {"job": name, **recipe, "needs": needs})
    if not (folder / "metrics.json").exists():
        write_json(folder / "metrics.json", {})
    noted = folder / "device.json"
    device = str(read_json(noted)["device"]) if noted.exists() else None
    made_with = environment(seconds, seed=job["parameters"].get("seed"), device=device)
    write_json(folder / "environment.json", {**made_with, "resumed": resumed})
    for leftover in [noted, *folder.glob("checkpoint*"), *folder.glob(".*")]:
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
    replace_folder(folder, store.job(name))
    store.failed(name).unlink(missing_ok=True)


def _say(path: Path, state: str, attempt: int, **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"state": state, "attempt": attempt, "pid": os.getpid(), "at": time.time(), **more})


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # which ends the kernel too


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(not run_job(Path(sys.argv[1]), sys.argv[2]))
