"""Runs are whole or absent, are found again, and fail with the place and the reason."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from tiny_notebooks import Tiny, write_project

from stc_lab.experiments import runs
from stc_lab.experiments.execution import RunFailed
from stc_lab.experiments.runs import execute, publish_figures

WORK = """
from stc_lab.experiments import figures_folder, report
folder = figures_folder("99_tiny"); folder.mkdir(parents=True, exist_ok=True)
(folder / "index.json").write_text("[]")
report({"answer": 2 * count, "scale": scale, "ratio": float("nan")})
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_run_keeps_all_and_is_not_run_twice(project: Path) -> None:
    write_project(project, WORK, "print(mode, loud)")
    run = execute(Tiny(count=5))
    assert not run.reused
    assert names(run.folder) == ["environment.json", "executed.ipynb", "figures", "metrics.json", "recipe.json"]
    assert run.metrics == {"answer": 10, "scale": 0.5, "ratio": None}
    recipe = json.loads((run.folder / "recipe.json").read_text())
    assert recipe == {"notebook": "99_tiny", "parameters": {"mode": "plain", "count": 5, "scale": 0.5, "loud": False}}
    environment = json.loads((run.folder / "environment.json").read_text())
    assert environment["versions"]["torch"] and environment["device"] and environment["seconds"] > 0
    executed = nbformat.read(run.folder / "executed.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "plain False\n"
    assert "widgets" not in executed.metadata

    before = (run.folder / "executed.ipynb").stat().st_mtime_ns
    found = execute(Tiny(count=5))
    assert found.reused and found.folder == run.folder and found.seconds == run.seconds
    assert (run.folder / "executed.ipynb").stat().st_mtime_ns == before
    again = execute(Tiny(count=5), again=True)
    assert again.folder == run.folder and not again.reused
    assert (run.folder / "executed.ipynb").stat().st_mtime_ns > before
    assert names(project / "runs") == [run.folder.name]

    for _ in range(2):
        publish_figures(run)
    assert run.published == project / "figures" / "99_tiny-count-5"
    assert names(run.published) == ["index.json"]
    assert names(project / "figures") == ["99_tiny-count-5"]


def test_a_change_of_notebook_or_package_is_another_run_but_outputs_are_not(project: Path) -> None:
    write_project(project, "x = 1")
    first = execute(Tiny())
    path = project / "notebooks" / "99_tiny.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].execution_count = 3
    nbformat.write(notebook, path)
    assert execute(Tiny()).reused
    notebook.cells[-1].source = "x = 2"
    nbformat.write(notebook, path)
    second = execute(Tiny())
    assert not second.reused and second.folder != first.folder
    (runs.PACKAGE / "module.py").write_text("changed = True")
    assert not execute(Tiny()).reused


def test_a_failed_run_is_kept_apart_and_says_where_and_why(project: Path) -> None:
    write_project(project, "x = 1", "# the culprit\nraise ValueError('depth is [1, 2]')", "y = 2")
    with pytest.raises(
        RunFailed, match=r"(?s)failed in cell In \[4\] \('# the culprit'\).*ValueError: depth is \[1, 2\]"
    ):
        execute(Tiny())
    (failed,) = names(project / "runs")
    assert failed.endswith(".failed")
    assert {"executed.ipynb", "recipe.json"} <= set(names(project / "runs" / failed))
    with pytest.raises(RunFailed):  # it is tried again, and its folder replaced
        execute(Tiny())
    assert names(project / "runs") == [failed]


def test_a_dead_kernel_is_a_failed_run(project: Path) -> None:
    write_project(project, "import os; os._exit(9)")
    with pytest.raises(RunFailed, match="kernel died"):
        execute(Tiny())


def test_what_a_killed_process_left_is_swept(project: Path) -> None:
    write_project(project, "x = 1")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (project / "runs" / f".99_tiny-0123.{ended.pid}.partial").mkdir(parents=True)
    alive = project / "runs" / f".99_tiny-4567.{os.getpid()}.partial"
    alive.mkdir()
    run = execute(Tiny())
    assert names(project / "runs") == sorted([alive.name, run.folder.name])


def test_ctrl_c_leaves_nothing_and_ends_the_kernel(project: Path) -> None:
    write_project(
        project, "import os, pathlib, time", "pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    )
    code = "from tiny_notebooks import Tiny; from stc_lab.experiments.runs import execute; execute(Tiny())"
    support = str(Path(__file__).parents[1] / "support")
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": support}, stderr=subprocess.PIPE, text=True
    )
    marker = project / "notebooks" / "pid"
    deadline = time.monotonic() + 60
    while not (marker.exists() and marker.read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    kernel = int(marker.read_text())
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode != 0 and "KeyboardInterrupt" in said
    assert names(project / "runs") == []
    assert not psutil.pid_exists(kernel)
