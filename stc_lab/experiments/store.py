"""The store of a study: one folder for each finished job, whole or absent, and what is known of those under way.

`runs/<study>-<profile>/<job>/` holds `recipe.json` (with the job's identity), `metrics.json`, `executed.ipynb`,
`environment.json` and what the notebook wrote, say `model.safetensors`. `published/` is what is copied into figures/,
`failed/` holds the notebooks of jobs that failed, `.batch/` all that belongs to the machinery.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stc_lab.errors import InputError
from stc_lab.experiments.jobs import Job, identities
from stc_lab.experiments.places import run_folder, runs_folder
from stc_lab.experiments.report import read_json, write_json

STUDY_FOLDER = "STC_LAB_STUDY_DIR"  # set for the kernel of a job
EVALUATIONS = ("baseline", "row")  # kinds of jobs whose metrics are scores


@dataclass(frozen=True)
class Store:
    """The folder of one profile of a study."""

    folder: Path

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def batch(self) -> Path:
        """Of the machinery: stamps, locks, states, jobs under way."""
        return self.folder / ".batch"

    def job(self, name: str) -> Path:
        return self.folder / name

    def working(self, name: str, identity: str) -> Path:
        """Where a job works until it is done. It stays when the job is stopped, and the next try goes on there."""
        return self.batch / "working" / f"{name}.{identity}"

    def stamp(self, kind: str, name: str, identity: str) -> Path:
        """The file that stands for the finished job; the Snakefile names it as well."""
        return self.batch / "done" / kind / f"{name}.{identity}"

    def state(self, name: str) -> Path:
        return self.batch / "states" / f"{name}.json"

    def failed(self, name: str) -> Path:
        return self.folder / "failed" / f"{name}.ipynb"

    def is_done(self, name: str, identity: str) -> bool:
        recipe = self.job(name) / "recipe.json"
        return recipe.is_file() and read_json(recipe).get("identity") == identity

    def planned(self) -> dict[str, Any]:
        """The jobs of the plan, by name; none when nothing was planned yet."""
        plan: dict[str, Any] = dict(read_json(self.plan)) if self.plan.is_file() else {"jobs": {}}
        return dict(plan["jobs"])

    def write_plan(self, study: str, profile: str, jobs: Sequence[Job]) -> dict[str, str]:
        """Write down what is to be done, and stamp what is done already; return the identities."""
        known = identities(jobs)
        entries = {
            job.name: {
                "kind": job.kind,
                "identity": known[job.name],
                "needs": list(job.needs),
                "seconds": job.seconds,
                "parameters": dict(job.parameters),
                "recipe": dict(job.recipe),
            }
            for job in jobs
        }
        self.batch.mkdir(parents=True, exist_ok=True)
        write_json(self.plan, {"study": study, "profile": profile, "jobs": entries})
        shutil.rmtree(self.batch / "done", ignore_errors=True)
        for job in jobs:
            if self.is_done(job.name, known[job.name]):
                stamp = self.stamp(job.kind, job.name, known[job.name])
                stamp.parent.mkdir(parents=True, exist_ok=True)
                stamp.touch()
        return known

    def keep_failed(self, name: str, executed: Path) -> None:
        """Keep the notebook of a job that failed, as far as it came, if the disk allows."""
        with suppress(OSError):
            self.failed(name).parent.mkdir(exist_ok=True)
            shutil.copy2(executed, self.failed(name))

    def forget(self, names: Iterable[str]) -> None:
        """Remove the results of these jobs and of those planned last, and all half-done work."""
        for name in {*self.planned(), *names}:
            (self.job(name) / "recipe.json").unlink(missing_ok=True)  # first: what is half removed is not done
            shutil.rmtree(self.job(name), ignore_errors=True)
        for folder in (self.batch / "working", self.folder / "failed"):
            shutil.rmtree(folder, ignore_errors=True)


def store_of(study: str, profile: str, root: Path | None = None) -> Store:
    return Store((root or runs_folder()) / f"{study}-{profile}")


def results(profile: str, root: Path | None = None, *, study: str = "pasad") -> list[dict[str, Any]]:
    """The metrics of all finished evaluations of a study, in the order of its plan.

    Each with the `job` it is of. Folders of another recipe than the last one planned are left out.
    """
    store = store_of(study, profile, root)
    return [
        {"job": name, **read_json(store.job(name) / "metrics.json")}
        for name, job in store.planned().items()
        if job["kind"] in EVALUATIONS and store.is_done(name, job["identity"])
    ]


def job_seconds(profile: str, root: Path | None = None, *, study: str = "pasad") -> float:
    """What all finished jobs of a study took together; of one that was stopped and resumed, its last part."""
    store = store_of(study, profile, root)
    done = [name for name, job in store.planned().items() if store.is_done(name, job["identity"])]
    made_with: list[Mapping[str, Any]] = [read_json(store.job(name) / "environment.json") for name in done]
    return float(sum(one["seconds"] for one in made_with))


def keep(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what a job found, in JSON's types, as its metrics; in the lab there is no job, so only return it."""
    folder = run_folder()
    if folder is not None:
        write_json(folder / "metrics.json", metrics)
        torch = sys.modules.get("torch")
        if torch is not None:  # the process that writes environment.json has none
            device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
            write_json(folder / "device.json", {"device": device})
    return dict(metrics)


def working_folder() -> Path:
    """Where a job's notebook writes; what begins with `checkpoint` there is gone when the job is done.

    In the lab, a new temporary folder.
    """
    return run_folder() or Path(tempfile.mkdtemp(prefix="stc_lab_job_"))


def finished(name: str) -> Path:
    """The folder of a finished job of the same study, for the notebook of a job that needs it."""
    study = os.environ.get(STUDY_FOLDER)
    if not study:
        raise InputError(
            f"no study is running, so there is no job {name!r} to go on from",
            hint="this notebook is one job of a study: stc-lab reproduce runs it",
        )
    store = Store(Path(study))
    known = store.planned().get(name)
    if known is None or not store.is_done(name, known["identity"]):
        raise InputError(
            f"job {name!r} of the study in {study} is not done", hint="it is missing among the job's needs"
        )
    return store.job(name)


def finished_among(*names: str) -> list[Path]:
    """The folders of those of these jobs that are finished: for a job that makes do with less."""
    found = []
    for name in names:
        with suppress(InputError):
            found.append(finished(name))
    return found


@contextmanager
def exclusive(path: Path, *, wait: bool) -> Iterator[int | None]:
    """Hold a lock on the file; gives its descriptor, or None if it is held elsewhere and we do not `wait`.

    The lock goes with the descriptor: it lasts until the last process that inherited it is gone, however it ends.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


def read_state(path: Path) -> dict[str, Any]:
    """The state of a job; empty when it has none."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
