"""The jobs of the shipped study: their order, their notebooks, and what is refused."""

import ast
import dataclasses
import shutil
import time
from pathlib import Path

import nbformat
import pytest
import toy_study
from click.testing import CliRunner

from stc_lab.cli import main
from stc_lab.errors import InputError
from stc_lab.experiments import batch
from stc_lab.experiments.batch import reproduce
from stc_lab.experiments.jobs import STUDIES, Job, check_jobs, identities, pasad_jobs, without
from stc_lab.experiments.progress import Pace, Watch, in_words, time_left
from stc_lab.experiments.report import write_json
from stc_lab.experiments.store import Store, finished, finished_among

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks" / "jobs").glob("*.ipynb"))


@pytest.mark.parametrize("profile", STUDIES["pasad"].profiles)
def test_jobs_of_the_paper(profile: str) -> None:
    jobs = pasad_jobs(profile)
    check_jobs(jobs)
    known = {job.name: job for job in jobs}
    assert len(set(identities(jobs).values())) == len(jobs), "no recipe is run twice"
    assert {job.kind for job in jobs} <= {path.stem for path in NOTEBOOKS}
    for job in jobs:
        if job.kind == "row":
            begin = known[str(job.parameters["start"])]
            assert begin.kind == "baseline" and begin.name in job.needs
            assert all(begin.parameters[name] == job.parameters[name] for name in ("count", "seed", "profile"))
            assert ("geometry" in job.needs) == ("learned" in str(job.parameters["row"]))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_of_jobs_are_thin(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (parameters,) = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    for line in ast.parse(parameters.source).body:
        assert isinstance(line, ast.Assign)
        ast.literal_eval(line.value)
    assert len(code) == 3 and all(len(cell.source.splitlines()) < 15 for cell in code)
    assert not any(cell.outputs for cell in code)


def test_what_can_be_done_when_a_job_failed() -> None:
    jobs = toy_study.toy_jobs("quick")
    left = {job.name: job for job in without(jobs, {"walk-1"})}
    assert list(left) == ["root", "walk-0", "sum"] and left["sum"].needs == ("walk-0",)
    assert [job.name for job in without(jobs, {"root"})] == ["sum"]


def job(name: str, *needs: str, seconds: float = 1.0, kind: str = "row") -> Job:
    return Job(name, kind, {}, needs, seconds)


def test_time_left_follows_the_needs() -> None:
    jobs = [job("a"), job("b", "a"), job("c", "a"), job("d", "b", "c")]
    seconds = {"a": 3.0, "b": 5.0, "c": 2.0, "d": 1.0}
    assert time_left(jobs, seconds, workers=2) == 9  # a, then b beside c, then d
    assert time_left(jobs, seconds, workers=1) == 11
    assert time_left(jobs[1:], seconds, workers=2) == 6  # a is done
    assert time_left([], {}, workers=1) == 0
    many = [job(f"n{i}") for i in range(7)]
    assert time_left(many, {one.name: 2.0 for one in many}, workers=3) == 6


def test_pace_goes_by_what_was_measured() -> None:
    pace = Pace()
    assert pace.expected(job("a", seconds=10)) == 10 and pace.measured("row") == 0
    for seconds in (20, 30, 100):
        pace.learn(job("a", seconds=10), seconds)
    assert pace.expected(job("b", seconds=4)) == 12  # three times its estimate, by the median
    assert pace.expected(job("c", seconds=4, kind="sum")) == 4


def finish(store: Store, name: str, identity: str, seconds: float = 4.0) -> None:
    """What a finished job leaves."""
    store.job(name).mkdir(parents=True)
    write_json(store.job(name) / "recipe.json", {"identity": identity})
    write_json(store.job(name) / "environment.json", {"seconds": seconds, "resumed": False})


def test_progress_is_told_once_for_each_event(tmp_path: Path) -> None:
    store, jobs = Store(tmp_path / "toy-quick"), toy_study.toy_jobs("quick")
    known = store.write_plan("toy", "quick", jobs)
    finish(store, "root", known["root"])

    def say(name: str, state: str, attempt: int = 1, **more: object) -> None:
        store.state(name).parent.mkdir(exist_ok=True)
        write_json(store.state(name), {"state": state, "attempt": attempt, "at": time.time(), **more})

    watch = Watch(store, jobs, known, workers=2)
    assert watch.news() == []
    assert watch.standing() == "0 running, 0 failed, about 5 s left"  # two walks of 2 s at once, then a sum of 3 s
    say("walk-0", "running")
    say("walk-1", "running")
    assert watch.news() == [] and watch.standing().startswith("2 running, 0 failed")
    say("walk-0", "done", seconds=20.0, resumed=False)
    say("walk-1", "failed", error="a stone")
    done, failed = watch.news()
    assert done.startswith("[2/4] walk-0 done in 20 s; 1 running, 0 failed")
    assert failed.startswith("[2/4] walk-1 failed, is tried once more; 0 running, 0 failed")
    assert watch.pace.expected(jobs[2]) == 20  # as the other walk took
    assert watch.news() == []
    say("walk-1", "running", 2)
    assert watch.news() == [] and not watch.failed
    say("walk-1", "failed", 2, error="a stone")
    (again,) = watch.news()
    assert again.startswith("[2/4] walk-1 FAILED; 0 running, 1 failed") and watch.failed == {"walk-1": "a stone"}
    assert again.endswith("about 3 s left")  # of the sum, which makes do without it


def test_what_a_resumed_job_took_teaches_nothing(tmp_path: Path) -> None:
    store, jobs = Store(tmp_path / "toy-quick"), toy_study.toy_jobs("quick")
    watch = Watch(store, jobs, store.write_plan("toy", "quick", jobs), workers=2)
    store.state("walk-0").parent.mkdir(exist_ok=True)
    write_json(store.state("walk-0"), {"state": "done", "attempt": 1, "at": 0.0, "seconds": 0.2, "resumed": True})
    assert len(watch.news()) == 1 and watch.pace.measured("row") == 0


@pytest.mark.parametrize("seen", [True, False])
def test_a_failure_between_two_looks_is_told_too(tmp_path: Path, seen: bool) -> None:
    store, jobs = Store(tmp_path / "toy-quick"), toy_study.toy_jobs("quick")
    known = store.write_plan("toy", "quick", jobs)
    store.state("root").parent.mkdir(exist_ok=True)
    watch = Watch(store, jobs, known, workers=2)
    if seen:
        write_json(store.state("root"), {"state": "running", "attempt": 1, "at": time.time()})
        assert watch.news() == []
    write_json(store.state("root"), {"state": "running", "attempt": 2, "at": time.time()})
    (told,) = watch.news()
    assert told.startswith("[0/4] root failed, is tried once more")
    write_json(store.state("root"), {"state": "failed", "attempt": 2, "at": time.time(), "error": "a stone"})
    (told,) = watch.news()
    assert told.startswith("[0/4] root FAILED; 0 running, 1 failed")


def test_a_new_recipe_and_again_forget_what_was_done(tmp_path: Path) -> None:
    store, jobs = Store(tmp_path / "toy-quick"), toy_study.toy_jobs("quick")
    known = store.write_plan("toy", "quick", jobs)
    for one in jobs:
        finish(store, one.name, known[one.name])
    store.write_plan("toy", "quick", jobs)
    stamps = {path.name for path in (store.batch / "done").glob("*/*")}
    assert stamps == {f"{name}.{identity}" for name, identity in known.items()}
    changed = [dataclasses.replace(one, recipe={"pace": 2}) if one.name == "walk-0" else one for one in jobs]
    store.write_plan("toy", "quick", changed)
    assert {path.name.split(".")[0] for path in (store.batch / "done").glob("*/*")} == {"root", "walk-1"}
    store.working("walk-0", known["walk-0"]).mkdir(parents=True)
    store.write_plan("toy", "quick", jobs[:1])  # the last plan may have been one of less
    store.forget(one.name for one in jobs)
    assert [path.name for path in store.folder.iterdir() if path.name != ".batch"] == ["plan.json"]
    assert not store.working("walk-0", known["walk-0"]).exists()


def test_what_is_half_forgotten_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, jobs = Store(tmp_path / "toy-quick"), toy_study.toy_jobs("quick")
    known = store.write_plan("toy", "quick", jobs)
    finish(store, "root", known["root"])
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # killed before anything else is removed
    store.forget([])
    assert store.job("root").is_dir() and not store.is_done("root", known["root"])


def test_only_what_the_plan_has_done_can_be_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, jobs = Store(tmp_path / "toy-quick"), toy_study.toy_jobs("quick")
    known = store.write_plan("toy", "quick", jobs)
    monkeypatch.setenv("STC_LAB_STUDY_DIR", str(store.folder))
    finish(store, "root", known["root"])
    finish(store, "walk-0", "of another recipe")
    assert finished("root") == store.job("root")
    with pytest.raises(InputError, match="is not done"):
        finished("walk-0")
    assert finished_among("root", "walk-0", "nothing") == [store.job("root")]


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (89, "89 s"), (200, "3 min"), (3 * 3600 + 240, "3 h 04 min")]
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "no study is called 'nobody'; there are pasad"),
        (["pasad", "--profile", "huge"], "study pasad has no profile 'huge'; it has tiny, quick, full, paper"),
        (["pasad", "--jobs", "0"], "jobs must be at least 1 at a time, got 0"),
        (["pasad", "--cluster", "moon"], "cluster must be slurm, got 'moon'"),
    ],
)
def test_what_the_command_refuses(arguments: list[str], said: str) -> None:
    answer = CliRunner().invoke(main, ["reproduce", *arguments])
    assert answer.exit_code == 2 and said in answer.output


@pytest.mark.bad_input
def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toy_study.write_toy(tmp_path)
    for name in ("PROJECT", "RUNS"):
        monkeypatch.setenv(f"STC_LAB_{name}", str(tmp_path))
    monkeypatch.setitem(STUDIES, "toy", toy_study.TOY)
    monkeypatch.setattr(batch.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="there is no sbatch on this machine"):
        reproduce("toy", "quick", cluster="slurm", write=lambda line: None)
    monkeypatch.setattr(batch, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="snakemake is not installed"):
        reproduce("toy", "quick", write=lambda line: None)


@pytest.mark.bad_input
@pytest.mark.parametrize("variable", ["STC_LAB_RUNS", "STC_LAB_FIGURES"])
def test_folders_that_cannot_be_written_are_named_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv("STC_LAB_PROJECT", str(toy_study.write_toy(tmp_path / "project")))
    for name in ("RUNS", "FIGURES"):
        monkeypatch.setenv(f"STC_LAB_{name}", str(tmp_path / name))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    monkeypatch.setitem(STUDIES, "toy", toy_study.TOY)
    monkeypatch.setattr(batch, "_run", None)
    with pytest.raises(InputError, match=r"nothing can be written into .*file") as caught:
        reproduce("toy", "quick", write=lambda line: None)
    assert variable in str(caught.value)


@pytest.mark.bad_input
def test_a_damaged_file_of_the_store_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path / "toy-quick")
    store.job("root").mkdir(parents=True)
    (store.job("root") / "recipe.json").write_text('{"identity": "tr')
    with pytest.raises(InputError, match=r"root/recipe\.json is not JSON"):
        store.is_done("root", "anything")


@pytest.mark.bad_input
def test_plans_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STC_LAB_PROJECT", str(toy_study.write_toy(tmp_path)))
    root, walk, *_ = toy_study.toy_jobs("quick")
    check_jobs([root, walk])
    for jobs, said in (
        ([root, root], "'root' is no name for a job"),
        ([dataclasses.replace(root, name="a/b")], "'a/b' is no name for a job"),
        ([walk], "needs root, which do not stand before it"),
        (
            [dataclasses.replace(root, parameters={"begin": 1})],
            "has parameters begin, but its notebook root takes start",
        ),
        ([dataclasses.replace(root, kind="nothing")], "no notebook"),
    ):
        with pytest.raises(InputError, match=said):
            check_jobs(jobs)


@pytest.mark.bad_input
def test_a_job_on_its_own_has_nothing_to_go_on_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STC_LAB_STUDY_DIR", raising=False)
    with pytest.raises(InputError, match="no study is running"):
        finished("baseline-32-0")
    monkeypatch.setenv("STC_LAB_STUDY_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"'baseline-32-0' of the study in .* is not done"):
        finished("baseline-32-0")
