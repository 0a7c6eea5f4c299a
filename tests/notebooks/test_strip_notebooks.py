"""Stripping keeps the text that nbval compares, and nothing else."""

import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SCRIPT = Path(__file__).parents[2] / "scripts" / "strip_notebooks.py"


def strip(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def dirty_notebook(path: Path) -> None:
    plain = new_code_cell("1 + 1", execution_count=7, metadata={"execution": {"iopub.status.busy": "2026"}})
    plain.outputs = [new_output("execute_result", {"text/plain": "2"}, execution_count=7)]
    checked = new_code_cell("# NBVAL_CHECK_OUTPUT\nprint(3)", execution_count=9, metadata={"tags": ["keep_output"]})
    checked.outputs = [new_output("stream", name="stdout", text="3\n")]
    metadata = {"widgets": {"state": {}}, "kernelspec": {"name": "my-kernel", "display_name": "mine"}}
    nbformat.write(new_notebook(cells=[new_markdown_cell("# T"), plain, checked], metadata=metadata), path)


def test_strip(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    dirty_notebook(path)
    before = path.read_bytes()
    answer = strip("--check", tmp_path)
    assert answer.returncode == 1 and "make format" in answer.stderr
    assert path.read_bytes() == before  # --check changes nothing

    assert strip(path).returncode == 0
    notebook = nbformat.read(path, as_version=4)
    _, plain, checked = notebook.cells
    assert plain.outputs == [] and plain.execution_count is None and plain.metadata == {}
    assert checked.outputs[0].text == "3\n" and checked.execution_count == 1
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    after = path.read_bytes()
    assert strip("--check", tmp_path).returncode == 0
    assert strip(tmp_path).returncode == 0
    assert path.read_bytes() == after


def test_execute_renews_the_checked_outputs(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    dirty_notebook(path)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source = "# NBVAL_CHECK_OUTPUT\nprint(4)"
    nbformat.write(notebook, path)
    assert strip("--execute", path).returncode == 0
    assert nbformat.read(path, as_version=4).cells[-1].outputs[0].text == "4\n"
