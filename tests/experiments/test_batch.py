"""A study as a batch: done once, whole or absent, through failures and kills, told in plain lines."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import toy_study
from click.testing import CliRunner

from stc_lab.cli import main
from stc_lab.experiments import batch, one_job
from stc_lab.experiments.jobs import STUDIES, identities
from stc_lab.experiments.one_job import run_job
from stc_lab.experiments.store import Store, read_state, results, store_of

TOY = Path(toy_study.__file__)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the toy study, which the tests of this module share: each with a profile of its own."""
    return toy_study.write_toy(tmp_path_factory.mktemp("toy"))


def environment(project: Path, **more: str) -> dict[str, str]:
    places = {"PROJECT": project, "RUNS": project / "runs", "FIGURES": project / "figures"}
    return {
        **{name: value for name, value in os.environ.items() if name != "STC_LAB_DATA"},
        **{f"STC_LAB_{name}": str(path) for name, path in places.items()},
        "TOY_STEPS": str(project / "steps"),
        **more,
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(TOY), "reproduce", "toy", *arguments]


def reproduce(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), env=environment(project), capture_output=True, text=True, timeout=200)


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.glob("*/executed.ipynb"))}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def walked(seed: int, steps: int) -> int:
    """What the walk of the toy comes to."""
    value = seed + 7
    for _ in range(steps):
        value = (value * 1103515245 + 12345) % 2**31
    return value


def test_a_study_is_done_once_and_told_in_lines(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = reproduce(toy, "--dry-run")
    assert told.returncode == 0 and not (toy / "runs").exists()
    lines = told.stdout.splitlines()
    assert lines[0] == "toy, quick: 4 jobs, 0 done before, 4 to run"
    assert lines[1] == "  root: 2 s (an estimate)"
    assert lines[-1] == "About 7 s, 2 at a time; 9 s of computing"

    first = reproduce(toy, "--jobs", "2")
    assert first.returncode == 0, first.stdout + first.stderr
    store = Store(toy / "runs" / "toy-quick")
    for name in ("root", "walk-0", "walk-1", "sum"):
        assert {"environment.json", "executed.ipynb", "metrics.json", "recipe.json"} <= set(names(store.job(name)))
    assert names(store.job("walk-0")) == [
        "environment.json",
        "executed.ipynb",
        "metrics.json",
        "model.safetensors",
        "recipe.json",
    ], "no checkpoint is left"
    total = json.loads((store.job("sum") / "metrics.json").read_text())
    assert total == {"walks": 2, "total": 200 + walked(0, 40) + walked(1, 40)}
    recipe = json.loads((store.job("walk-1") / "recipe.json").read_text())
    assert recipe["parameters"] == {"seed": 1, "steps": 40, "mood": "glad"}
    assert recipe["needs"] == {"root": json.loads((store.job("root") / "recipe.json").read_text())["identity"]}
    for folder in (store.folder / "published", toy / "figures" / "toy-quick"):
        assert (folder / "report.html").read_text() == "2 walks"
    events = [line for line in first.stdout.splitlines() if line.startswith("[")]
    assert [line.split()[0] for line in events] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert "root done in" in events[0] and "0 failed, about" in events[0] and events[0].endswith(" left")
    assert "\r" not in first.stdout

    before = times(store.folder)
    second = reproduce(toy)
    assert second.returncode == 0 and "4 done before, 0 to run" in second.stdout
    assert times(store.folder) == before
    monkeypatch.setitem(STUDIES, "toy", toy_study.TOY)
    found = results("quick", toy / "runs", study="toy")
    assert [one["job"] for one in found] == ["walk-0", "walk-1"]
    assert [one["seed"] for one in found] == [0, 1]

    # A folder that is deleted is made again, with what gathers from it left alone: its identity is the same.
    kept = (store.job("walk-1") / "metrics.json").read_text()
    subprocess.run(["rm", "-r", store.job("walk-1")], check=True)
    third = reproduce(toy, "--dry-run").stdout
    assert "1 to run" in third and "walk-1" in third and "measured on 1 of its kind" in third
    assert reproduce(toy).returncode == 0
    assert (store.job("walk-1") / "metrics.json").read_text() == kept
    after = times(store.folder)
    changed = {path for path in after if after[path] != before[path]}
    assert {Path(path).parent.name for path in changed} == {"walk-1"}


def test_what_fails_twice_is_named_with_its_cell_and_the_rest_goes_on(toy: Path) -> None:
    answer = reproduce(toy, "--profile", "stony")
    assert answer.returncode == 1
    store = Store(toy / "runs" / "toy-stony")
    assert "walk-1 failed, is tried once more" in answer.stdout and "walk-1 FAILED" in answer.stdout
    assert "FAILED: job walk-1, notebook jobs/row.ipynb failed in cell In [3]" in answer.stdout
    assert "ValueError: a stone in the way" in answer.stdout
    assert str(store.failed("walk-1")) in answer.stdout and store.failed("walk-1").is_file()
    assert not store.job("walk-1").exists()
    assert (store.job("walk-0") / "model.safetensors").is_file()
    assert json.loads((store.job("sum") / "metrics.json").read_text())["walks"] == 1  # of two, and it says so

    # Once more: it fails again, and what was gathered is published, although nothing of it had to be done.
    shutil.rmtree(toy / "figures" / "toy-stony")
    again = reproduce(toy, "--profile", "stony")
    assert again.returncode == 1 and "FAILED: job walk-1" in again.stdout
    assert (toy / "figures" / "toy-stony" / "report.html").read_text() == "1 walks"


def test_a_kernel_that_dies_is_named_with_its_cell(toy: Path) -> None:
    answer = reproduce(toy, "--profile", "fallen")
    assert answer.returncode == 1
    assert "FAILED: job walk-1, notebook jobs/row.ipynb: the kernel died in cell In [3] ('import json" in answer.stdout
    assert Store(toy / "runs" / "toy-fallen").failed("walk-1").is_file()


def in_process(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the lines go that `reproduce` writes when it is called here, with the toy among the studies."""
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(STUDIES, "toy", toy_study.TOY)
    return []


def shell(*commands: str) -> list[str]:
    """A program in the place of Snakemake."""
    return [sys.executable, "-c", "\n".join(commands)]


def test_jobs_that_were_never_begun_are_a_failure(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = in_process(toy, monkeypatch)
    monkeypatch.setenv("STC_LAB_RUNS", str(toy / "runs-refused"))
    store = Store(toy / "runs-refused" / "toy-quick")
    root = (
        "import sys; sys.path.insert(0, '.'); from pathlib import Path; from stc_lab.experiments.one_job import run_job"
    )
    one = shell(
        root, f"run_job(Path({str(store.plan)!r}), 'root')", "print('sbatch: error: no such partition')", "sys.exit(1)"
    )
    monkeypatch.setattr(batch, "_command", lambda *_: one)
    assert not batch.reproduce("toy", "quick", write=said.append)
    (line,) = [line for line in said if line.startswith("FAILED")]
    assert line.startswith("FAILED: never begun: walk-0, walk-1") and "no such partition" in line
    assert store.job("root").is_dir()


def test_a_job_that_was_killed_is_named_with_its_cell(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = in_process(toy, monkeypatch)
    monkeypatch.setenv("STC_LAB_RUNS", str(toy / "runs-killed"))
    store = Store(toy / "runs-killed" / "toy-quick")
    identity = identities(toy_study.toy_jobs("quick"))["root"]
    cells = [{"cell_type": "code", "source": ["begin()\n", "end()"], "metadata": {"papermill": {"start_time": "now"}}}]
    working = store.working("root", identity)
    working.mkdir(parents=True)
    (working / "executed.ipynb").write_text(json.dumps({"cells": cells}))
    store.state("root").parent.mkdir(parents=True)
    state = {"state": "running", "attempt": 2, "pid": 0, "at": 0}
    write = f"from pathlib import Path; p = Path({str(store.state('root'))!r}); p.parent.mkdir(exist_ok=True)"
    monkeypatch.setattr(batch, "_command", lambda *_: shell(write, f"p.write_text({json.dumps(json.dumps(state))})"))
    assert not batch.reproduce("toy", "quick", write=said.append)
    assert any("FAILED: job root, notebook jobs/root.ipynb, in cell In [1] ('begin()'): its process" in x for x in said)
    assert store.failed("root").is_file()


def test_half_done_work_from_other_beginnings_is_not_gone_on_with(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_process(toy, monkeypatch)
    store, jobs = Store(toy / "runs-other" / "toy-quick"), toy_study.toy_jobs("quick")
    monkeypatch.setenv("STC_LAB_RUNS", str(store.folder.parent))
    known = store.write_plan("toy", "quick", jobs)
    assert run_job(store.plan, "root")
    working = store.working("walk-0", known["walk-0"])
    for needs, first in (({"root": "another day"}, 1), (None, 31)):
        steps = toy / f"steps-{first}"
        monkeypatch.setenv("TOY_STEPS", str(steps))
        shutil.rmtree(store.job("walk-0"), ignore_errors=True)
        working.mkdir(parents=True)
        (working / "checkpoint.json").write_text(json.dumps({"step": 30, "value": walked(0, 30)}))
        now = {"root": json.loads((store.job("root") / "environment.json").read_text())["finished"]}
        (working / "checkpoint.needs.json").write_text(json.dumps(needs or now))
        assert run_job(store.plan, "walk-0")
        assert steps.read_text().splitlines()[0] == f"0 {first}"
        assert json.loads((store.job("walk-0") / "metrics.json").read_text())["value"] == 100 + walked(0, 40)
        assert json.loads((store.job("walk-0") / "environment.json").read_text())["resumed"] is (needs is None)


def test_a_full_disk_is_told_as_what_it_is(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_process(toy, monkeypatch)
    store = Store(toy / "runs-full" / "toy-quick")
    monkeypatch.setenv("STC_LAB_RUNS", str(store.folder.parent))
    store.write_plan("toy", "quick", toy_study.toy_jobs("quick"))

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(one_job, "replace_folder", no_space)
    with pytest.raises(OSError, match="No space"):
        run_job(store.plan, "root")
    state = read_state(store.state("root"))
    assert state["state"] == "failed" and "No space left on device" in state["error"]


def count_lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_little_and_corrupts_nothing(toy: Path) -> None:
    """Equal to the walk computed here, which nothing interrupted; and no step is walked over and over."""
    chance = random.Random(5)
    steps = toy / "steps-long"
    store = Store(toy / "runs" / "toy-long")
    surroundings = environment(toy, TOY_STEPS=str(steps))
    for walked_before_kill in (None, chance.randint(1, 60), chance.randint(61, 120)):
        before = count_lines(steps)
        process = subprocess.Popen(
            command("--profile", "long", "--jobs", "2"),
            env=surroundings,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        if walked_before_kill is None:
            time.sleep(chance.uniform(1, 4))  # somewhere in the beginnings
        else:
            deadline = time.monotonic() + 100
            while count_lines(steps) < before + walked_before_kill:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert process.poll() is None, "ended before it was killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for folder in store.folder.glob("[!.]*/"):
            if folder.name not in ("failed", "published"):  # whole, whenever it is looked at
                assert {"recipe.json", "metrics.json", "environment.json", "executed.ipynb"} <= set(names(folder))
    last = subprocess.run(
        command("--profile", "long", "--jobs", "2"), env=surroundings, capture_output=True, text=True, timeout=200
    )
    assert last.returncode == 0, last.stdout
    for seed in range(2):
        metrics = json.loads((store.job(f"walk-{seed}") / "metrics.json").read_text())
        assert metrics["value"] == 100 + walked(seed, 250)
    walks = [tuple(map(int, line.split())) for line in steps.read_text().splitlines()]
    for seed in range(2):
        own = [step for one, step in walks if one == seed]
        again = len(own) - 250
        assert sorted(set(own)) == list(range(1, 251))
        assert again <= 3 * 10  # the steps since the last checkpoint, for each kill
    assert names(store.batch / "working") == []


@pytest.mark.slow
def test_sigterm_ends_all_processes_and_the_same_command_is_refused_meanwhile(toy: Path) -> None:
    surroundings = environment(toy, STC_LAB_RUNS=str(toy / "runs-stopped"))
    process = subprocess.Popen(
        command("--profile", "long", "--jobs", "1"), env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    store = Store(toy / "runs-stopped" / "toy-long")
    deadline = time.monotonic() + 60
    while not store.state("root").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    other = subprocess.run(command("--profile", "long"), env=surroundings, capture_output=True, text=True)
    assert other.returncode == 2 and "another process is at work" in other.stderr
    below = tree(process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and b"the same command goes on" in said and b"Traceback" not in said
    _, alive = psutil.wait_procs(below, timeout=20)
    assert not alive


def test_a_recipe_decides_the_identity_and_names_do_not() -> None:
    jobs = toy_study.toy_jobs("quick")
    known = identities(jobs)
    assert len(set(known.values())) == 4
    changed = [
        type(job)(**{**vars(job), "recipe": {"learning_rate": 0.1}}) if job.name == "walk-0" else job for job in jobs
    ]
    now = identities(changed)
    assert {name for name in known if known[name] != now[name]} == {"walk-0", "sum"}
    renamed = [type(job)(**{**vars(job), "seconds": 99.0}) for job in jobs]
    assert identities(renamed) == known


def test_store_of_a_study_lies_among_the_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STC_LAB_RUNS", str(tmp_path))
    assert store_of("pasad", "quick").folder == tmp_path / "pasad-quick"
    assert results("quick") == []


def test_help_names_the_command() -> None:
    assert "reproduce" in CliRunner().invoke(main, ["--help"]).output
