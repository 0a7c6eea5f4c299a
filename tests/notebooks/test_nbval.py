"""nbval as this project runs it: late outputs are waited for, changed outputs are noticed."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

pytestmark = pytest.mark.notebooks

ROOT = Path(__file__).parents[2]
# The cell answers at once, but the thread that sends its outputs is busy for longer than nbval's own 5 s.
LATE = """import time
kernel = get_ipython().kernel
publish = kernel._publish_status
def late(status, *args, **kwargs):
    if status == "idle":
        kernel.iopub_thread.schedule(lambda: time.sleep(7))
    publish(status, *args, **kwargs)
kernel._publish_status = late
print("late")
"""


def nbval(folder: Path, source: str, printed: str, *options: str) -> subprocess.CompletedProcess[str]:
    cell = new_code_cell(f"# NBVAL_CHECK_OUTPUT\n{source}", execution_count=1)
    cell.outputs = [new_output("stream", name="stdout", text=printed)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[cell], metadata=kernel), folder / "n.ipynb")
    shutil.copy(ROOT / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", *options, "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_an_output_may_be_late(tmp_path: Path) -> None:
    answer = nbval(tmp_path, LATE, "late\n")
    assert answer.returncode == 0, answer.stdout


def test_without_the_longer_limit_it_fails(tmp_path: Path) -> None:
    answer = nbval(tmp_path, LATE, "late\n", "-o", "nbval_output_timeout=5")
    assert answer.returncode == 1
    assert "Timeout of 5 seconds exceeded waiting for output" in answer.stdout


def test_a_changed_output_is_noticed(tmp_path: Path) -> None:
    answer = nbval(tmp_path, "print(2 + 2)", "5\n")
    assert answer.returncode == 1
    assert "Cell outputs differ" in answer.stdout
