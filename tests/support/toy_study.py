"""A study of jobs of a fraction of a second, which shares all machinery with the large ones; needs no torch.

root -> walk (each from the root, some steps, kept now and then) -> sum, which gathers.
"""

import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from stc_lab.experiments.jobs import STUDIES, Job, Study

ROOT = """
from stc_lab.experiments.store import keep
print(keep({"start": start}))
"""
WALK = """
import json, os, time
from stc_lab.experiments.report import write_json
from stc_lab.experiments.store import finished, keep, working_folder
if mood == "sad": raise ValueError("a stone in the way")
if mood == "gone": os._exit(9)  # the kernel, as the kernel of an operating system ends it
folder = working_folder()
at = folder / "checkpoint.json"
state = json.loads(at.read_text()) if at.exists() else {"step": 0, "value": seed + 7}
while state["step"] < steps:
    time.sleep(0.02)
    state = {"step": state["step"] + 1, "value": (state["value"] * 1103515245 + 12345) % 2**31}
    with open(os.environ["TOY_STEPS"], "a") as log:
        log.write(f"{seed} {state['step']}\\n")
    if state["step"] % 10 == 0:
        write_json(at, state)
start = json.loads((finished("root") / "metrics.json").read_text())["start"]
(folder / "model.safetensors").write_text(str(state["value"]))
keep({"kind": "row", "seed": seed, "value": start + state["value"]})
"""
SUM = """
from stc_lab.experiments import figures_folder
from stc_lab.experiments.store import keep, results
found = results(profile, study="toy")
figures_folder().mkdir(exist_ok=True)
(figures_folder() / "report.html").write_text(f"{len(found)} walks")
print(keep({"walks": len(found), "total": sum(one["value"] for one in found)}))
"""
NOTEBOOKS = {
    "root": ("start = 0", ROOT),
    "row": ('seed = 0\nsteps = 10\nmood = "glad"', WALK),
    "sum": ('profile = "quick"', SUM),
}
PROFILES: dict[str, tuple[int, int, int | None]] = {  # seeds, steps, the seed that fails
    "quick": (2, 40, None),
    "long": (2, 250, None),
    "stony": (2, 10, 1),
    "fallen": (2, 10, 1),
}
MOODS = {"stony": "sad", "fallen": "gone"}


def toy_jobs(profile: str) -> list[Job]:
    seeds, steps, sad = PROFILES[profile]
    walks = [
        Job(
            f"walk-{i}",
            "row",
            {"seed": i, "steps": steps, "mood": MOODS[profile] if i == sad else "glad"},
            ("root",),
            2,
        )
        for i in range(seeds)
    ]
    gathered = Job("sum", "sum", {"profile": profile}, tuple(job.name for job in walks), 3, gathers=True)
    return [Job("root", "root", {"start": 100}, (), 2), *walks, gathered]


TOY = Study("toy", tuple(PROFILES), toy_jobs)


def write_toy(project: Path) -> Path:
    """A project folder with the notebooks of the study."""
    folder = project / "notebooks" / "jobs"
    folder.mkdir(parents=True)
    for name, (parameters, source) in NOTEBOOKS.items():
        cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]}), new_code_cell(source.strip())]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=cells, metadata=metadata), folder / f"{name}.ipynb")
    return project


if __name__ == "__main__":  # the command line, with the toy among the studies
    from stc_lab.cli import main

    STUDIES["toy"] = TOY
    main(sys.argv[1:])
