"""A study on Slurm: the cluster of one node that `make slurm` sets up, or any other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stc_lab.experiments.jobs import pasad_jobs
from stc_lab.experiments.pasad_results import planned_runs
from stc_lab.experiments.store import Store, results

SCRIPT = Path(__file__).parents[2] / "scripts" / "install-slurm"


def why_not() -> str:
    """Why there is no Slurm to give jobs to; empty when there is."""
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        return "no Slurm here; `make slurm` sets one up (Debian or Ubuntu, as root)"
    answer = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, timeout=30)
    idle = set(answer.stdout.split()) & {"idle", "mix", "alloc"}
    return "" if idle else f"Slurm does not run; `make slurm` starts it ({answer.stderr.strip() or 'no node answers'})"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_quick_study_of_the_paper_runs_on_slurm_within_its_time(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    places = {"STC_LAB_RUNS": str(tmp_path / "runs"), "STC_LAB_FIGURES": str(tmp_path / "figures")}
    answer = subprocess.run(
        [Path(sys.executable).with_name("stc-lab"), "reproduce", "pasad", "--profile", "quick", "--cluster", "slurm"],
        env=os.environ | places,
        capture_output=True,
        text=True,
        timeout=1150,
    )
    store = Store(tmp_path / "runs" / "pasad-quick")
    log = (store.batch / "snakemake.log").read_text()
    assert answer.returncode == 0, answer.stdout + log
    jobs = pasad_jobs("quick")
    assert log.count("has been submitted with SLURM jobid") == len(jobs)  # and nothing ran beside Slurm
    assert "runtime=6" in log  # minutes: the limit that a short job got
    found = results("quick", tmp_path / "runs")
    assert len(found) == planned_runs("quick") and all(0 < one["miou"] < 1 for one in found)
    assert (tmp_path / "figures" / "pasad-quick" / "report.html").is_file()


def test_the_script_keeps_to_loopback() -> None:
    text = SCRIPT.read_text()
    assert os.access(SCRIPT, os.X_OK)
    assert "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny" in text and "NodeAddr=127.0.0.1" in text
