"""The same study on Slurm: the cluster of one node that `make slurm` sets up, or any other."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import toy_study

from stc_lab.experiments.store import Store

SCRIPT = Path(__file__).parents[2] / "scripts" / "install-slurm"


def why_not() -> str:
    """Why there is no Slurm to give jobs to; empty when there is."""
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        return "no Slurm here; `make slurm` sets one up (Debian or Ubuntu, as root)"
    answer = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, timeout=30)
    idle = set(answer.stdout.split()) & {"idle", "mix", "alloc"}
    return "" if idle else f"Slurm does not run; `make slurm` starts it ({answer.stderr.strip() or 'no node answers'})"


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_study_runs_on_slurm_within_its_time(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    project = toy_study.write_toy(tmp_path)
    places = {"PROJECT": project, "RUNS": project / "runs", "FIGURES": project / "figures"}
    surroundings = os.environ | {f"STC_LAB_{name}": str(path) for name, path in places.items()}
    command = [sys.executable, toy_study.__file__, "reproduce", "toy", "--cluster", "slurm", "--jobs", "4"]
    answer = subprocess.run(
        command,
        env=surroundings | {"TOY_STEPS": str(project / "steps")},
        capture_output=True,
        text=True,
        timeout=400,
    )
    store = Store(project / "runs" / "toy-quick")
    log = (store.batch / "snakemake.log").read_text()
    assert answer.returncode == 0, answer.stdout + log
    assert json.loads((store.job("sum") / "metrics.json").read_text())["walks"] == 2
    assert log.count("has been submitted with SLURM jobid") == 4  # and nothing ran beside Slurm
    assert "runtime=6" in log  # minutes: the limit that each job got


def test_the_script_keeps_to_loopback() -> None:
    text = SCRIPT.read_text()
    assert os.access(SCRIPT, os.X_OK)
    assert "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny" in text and "NodeAddr=127.0.0.1" in text
