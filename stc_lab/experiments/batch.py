"""A study as a batch: Snakemake runs its jobs, here or on a cluster; this starts it, watches it, says how it went."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from types import FrameType

from stc_lab.errors import InputError
from stc_lab.experiments.execution import RunFailed, last_cell, publish_folder
from stc_lab.experiments.jobs import Job, check_jobs, identities, study_of, without
from stc_lab.experiments.places import figures_folder
from stc_lab.experiments.progress import Watch, in_words, pace_of, time_left
from stc_lab.experiments.store import Store, exclusive, read_state, store_of

SNAKEFILE = Path(__file__).with_name("Snakefile")
NEVER_BEGAN = "never begun"
KILLED = "its process ended without a word: killed, usually for lack of memory or time"
Say = Callable[[str], None]


def reproduce(
    study: str,
    profile: str,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    again: bool = False,
    write: Say = print,
    status: Say | None = None,
) -> bool:
    """Do all jobs of a study that are not done, `jobs` at a time; False when one failed twice.

    `cluster="slurm"` gives each to Slurm. `dry_run` only says what would run; `again` forgets what is done first.
    `write` gets a line for each event, `status` (of a terminal) the present standing a few times a second.
    Raises InputError before anything starts, RunFailed when what was done cannot be published.
    """
    planned = study_of(study, profile).jobs(profile)
    workers = _workers(jobs, cluster)
    check_jobs(planned)
    store, title = store_of(study, profile), f"{study}-{profile}"
    for line in _announcement(store, f"{study}, {profile}", planned, workers, again=again, details=dry_run):
        write(line)
    if dry_run:
        return True
    _expect_engine(cluster)
    _expect_writable(store.folder, "STC_LAB_RUNS")
    _expect_writable(figures_folder(), "STC_LAB_FIGURES")
    with exclusive(store.batch / "lock", wait=False) as lock:
        if lock is None:
            raise InputError(
                f"another process is at work on {store.folder}",
                hint="one at a time; after a kill it takes a few seconds to end",
            )
        if again:
            store.forget(job.name for job in planned)
        _log(store).unlink(missing_ok=True)
        call = partial(_run, store, study, profile, workers, cluster, lock, write, status)
        watch, failed = call(planned)
        drawn = watch.done
        if failed:
            rest = without(planned, set(failed))
            if {job.gathers for job in rest} == {True, False}:  # something to gather, and some that gathers
                write("Going on with what can be gathered from the jobs that were done")
                watch, of_rest = call(rest)
                drawn, failed = watch.done, failed | of_rest
        for line in _complaints(store, failed):
            write(line)
        _publish(store, title, [job for job in planned if job.name in drawn], write)
    return not failed


def _workers(jobs: int | None, cluster: str | None) -> int:
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs must be at least 1 at a time, got {jobs}")
    if cluster not in (None, "slurm"):
        raise InputError(f"cluster must be slurm, got {cluster!r}", hint="without it the jobs run on this machine")
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return jobs or (100 if cluster else here)


def _expect_engine(cluster: str | None) -> None:
    if find_spec("snakemake") is None:
        raise InputError("snakemake is not installed", hint="make setup, or pip install 'stc_lab[batch]'")
    if cluster == "slurm":
        if find_spec("snakemake_executor_plugin_slurm") is None:
            raise InputError("snakemake's slurm executor is not installed", hint="pip install 'stc_lab[slurm]'")
        if shutil.which("sbatch") is None:
            raise InputError(
                "there is no sbatch on this machine",
                hint="run this on a login node of the cluster; scripts/install-slurm sets up a cluster of one node",
            )


def _expect_writable(folder: Path, variable: str) -> None:
    """Better now than after hours."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"nothing can be written into {folder}: {error.strerror}", hint=f"{variable} may name another place"
        ) from error


def _announcement(
    store: Store, title: str, jobs: Sequence[Job], workers: int, *, again: bool, details: bool
) -> Iterator[str]:
    known = identities(jobs)
    there = {job.name for job in jobs if store.is_done(job.name, known[job.name])}
    pace, done = pace_of(store, jobs, there), set() if again else there
    left = [job for job in jobs if job.name not in done]
    expected = {job.name: pace.expected(job) for job in left}
    yield f"{title}: {len(jobs)} jobs, {len(done)} done before, {len(left)} to run"
    if details:
        for job in left:
            count = pace.measured(job.kind)
            source = f"measured on {count} of its kind" if count else "an estimate"
            yield f"  {job.name}: {in_words(expected[job.name])} ({source})"
    if left:
        total, computing = time_left(left, expected, workers=workers), sum(expected.values())
        yield f"About {in_words(total)}, {workers} at a time; {in_words(computing)} of computing"


def _run(
    store: Store,
    study: str,
    profile: str,
    workers: int,
    cluster: str | None,
    lock: int,
    write: Say,
    status: Say | None,
    jobs: Sequence[Job],
) -> tuple[Watch, dict[str, str]]:
    """One call of Snakemake, watched to its end; and why each job is not done that could have been."""
    known = store.write_plan(study, profile, jobs)
    shutil.rmtree(store.batch / "states", ignore_errors=True)
    watch = Watch(store, jobs, known, workers=workers)
    if all(job.name in watch.done for job in jobs):
        return watch, {}
    with _log(store).open("a", encoding="utf-8") as said, _terminated_like_interrupted():
        process = subprocess.Popen(
            _command(workers, cluster, store.batch),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],  # should this process be killed alone, the lock stays until Snakemake has ended as well
        )
        try:
            ended = False
            while not ended:
                try:
                    process.wait(timeout=0.3)
                    ended = True
                except subprocess.TimeoutExpired:
                    pass
                for line in watch.news():
                    write(line)
                if status is not None:
                    status(f"{len(watch.done)} of {len(jobs)} done, {watch.standing()}")
        except BaseException:
            _stop(process, store, jobs, cluster)
            raise
    return watch, _not_done(watch)


def _command(workers: int, cluster: str | None, folder: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--directory", str(folder)),
        *("--keep-going", "--retries", "1", "--scheduler", "greedy", "--nocolor"),
        # What is done is what the stamps say, which were written from the store just now. We hold a lock of our own,
        # since Snakemake's outlives a killed process.
        *("--nolock", "--rerun-incomplete", "--drop-metadata", "--rerun-triggers", "input"),
        *(_slurm(workers) if cluster == "slurm" else ["--cores", str(workers)]),
    ]


def _slurm(workers: int) -> list[str]:
    """Snakemake's arguments for Slurm. Account and partition are the cluster's defaults, or SNAKEMAKE_PROFILE's."""
    try:
        accounting = subprocess.run(["sacct", "--noheader"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        accounting = False
    # Without accounting the executor would ask sacct for states all the same, and never see a job end.
    states = [] if accounting else ["--slurm-status-command", "squeue", "--slurm-no-account"]
    return [
        *("--executor", "slurm", "--jobs", str(workers), "--latency-wait", "20", "--default-resources", "mem_mb=4000"),
        *("--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3", *states),
    ]


def _not_done(watch: Watch) -> dict[str, str]:
    """Why each job is not done that could have been, now that Snakemake has ended; what needs one of them is left out.

    What is done is what the store has: states of jobs elsewhere may be late.
    """
    store = watch.store
    watch.done |= {job.name for job in watch.jobs if store.is_done(job.name, watch.known[job.name])}
    reasons = dict(watch.failed)
    for job in watch.jobs:
        if job.name in watch.done or job.name in reasons:
            continue
        if job.name in watch.running:
            executed = store.working(job.name, watch.known[job.name]) / "executed.ipynb"
            store.keep_failed(job.name, executed)
            cell = last_cell(executed)
            reasons[job.name] = f"job {job.name}, notebook jobs/{job.kind}.ipynb{cell and f', in {cell}'}: {KILLED}"
        elif set(job.needs) <= watch.done:
            reasons[job.name] = NEVER_BEGAN
    return reasons


def _complaints(store: Store, failed: Mapping[str, str]) -> Iterator[str]:
    """What failed, in lines."""
    for name, reason in failed.items():
        if reason != NEVER_BEGAN:
            yield f"FAILED: {reason}"
            if store.failed(name).exists():
                yield f"  As far as it came: {store.failed(name)}"
    never = [name for name, reason in failed.items() if reason == NEVER_BEGAN]
    if never:
        some = ", ".join(never[:5]) + (f" and {len(never) - 5} more" if len(never) > 5 else "")
        yield f"FAILED: {NEVER_BEGAN}: {some}. The end of {_log(store)}:{_tail(store)}"


def _log(store: Store) -> Path:
    return store.batch / "snakemake.log"


def _tail(store: Store) -> str:
    """The last lines that Snakemake said, each on a line of its own."""
    lines = _log(store).read_text(encoding="utf-8", errors="replace").splitlines()
    return "".join(f"\n  {line}" for line in lines[-12:])


def _stop(process: subprocess.Popen[bytes], store: Store, jobs: Sequence[Job], cluster: str | None) -> None:
    """End Snakemake and its jobs, which keep their checkpoints."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    for job in jobs if cluster is None else ():
        state = read_state(store.state(job.name))
        if state.get("state") == "running":
            try:
                os.kill(state["pid"], signal.SIGTERM)
            except OSError:
                continue
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM, as of a batch system or a shutdown, ends things as orderly as Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _publish(store: Store, name: str, done: Sequence[Job], write: Say) -> None:
    """Collect what the gathering jobs drew and wrote, in the study's folder and under figures/."""
    write(f"Runs:      {store.folder}")
    drawn = [folder for job in done if job.gathers and (folder := store.job(job.name) / "figures").is_dir()]
    if drawn:
        try:
            publish_folder(drawn, store.folder / "published")
            publish_folder([store.folder / "published"], figures_folder(name))
        except OSError as error:
            raise RunFailed(
                f"the runs are kept, but could not be published: {error}; the same command tries again"
            ) from error
        write(f"Published: {figures_folder(name)}")
