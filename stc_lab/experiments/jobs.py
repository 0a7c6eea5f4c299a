"""Jobs: the parts of a large study, each one parameterised notebook executed in a process of its own, and their order.

A job is known by its identity: the digest of its parameters, of the recipe behind them and of the jobs that it needs.
What has been done under an identity is not done again. The package's source is not part of it, or every edit would
repeat hours: after a change that matters, `--again` or deleting its folder repeats a job. Only what gathers results,
which takes seconds, is done anew whenever the package has changed.
"""

import ast
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stc_lab.errors import InputError
from stc_lab.experiments.places import notebooks_folder
from stc_lab.experiments.recipes import Scalar


@dataclass(frozen=True)
class Job:
    """One notebook of `notebooks/jobs`, with parameters."""

    name: str  # its folder's name: letters, digits and hyphens
    kind: str  # the notebook's name
    parameters: Mapping[str, Scalar]
    needs: tuple[str, ...]  # names of jobs that stand before it
    seconds: float  # what it takes, roughly; where jobs of its kind have been measured, those count
    recipe: Mapping[str, Any] = field(default_factory=dict)  # of JSON's types: what else decides its outcome
    gathers: bool = False  # makes do with those of its needs that were finished, when others failed


@dataclass(frozen=True)
class Study:
    """A study that `stc-lab reproduce` runs."""

    name: str
    profiles: tuple[str, ...]
    jobs: Callable[[str], list[Job]]  # of a profile, each after those it needs


def pasad_jobs(profile: str) -> list[Job]:
    """Tables 1 and 2 and Figures 2 and 3 of Pasad et al. 2020 on rooms."""
    from stc_lab.data.rooms import PRESETS
    from stc_lab.experiments.pasad_profiles import baseline_recipe, planned_rows, profile_of, row_of, row_recipe
    from stc_lab.experiments.runs import package_digest

    plan = profile_of(profile)
    rooms = {"rooms": plan.rooms, "test_rooms": plan.test_rooms}
    net = {"channels": plan.channels, "widths": list(plan.widths)}
    videos = Job("render", "render", {"profile": profile}, (), 150, rooms)
    baselines = {
        (count, seed): Job(
            f"baseline-{count}-{seed}",
            "baseline",
            {"profile": profile, "count": count, "seed": seed},
            (videos.name,),
            20 + 0.035 * plan.baseline_steps,
            baseline_recipe(plan, count, seed).to_dict() | net,
        )
        for count in plan.counts
        for seed in plan.seeds
    }
    planned = planned_rows(plan)
    learned = Job("geometry", "geometry", {"profile": profile}, (videos.name,), 2 * PRESETS[plan.rooms].train_scenes)
    rows = [
        Job(
            _slug(row, *([strength] if strength == "equalised" else []), count, seed),
            "row",
            {
                "profile": profile,
                "row": row,
                "count": count,
                "seed": seed,
                "strength": strength,
                "start": baselines[count, seed].name,
            },
            (baselines[count, seed].name, *([learned.name] if row_of(row).geometry == "learned" else [])),
            20 + 0.06 * plan.steps,
            row_recipe(plan, row, count, seed, strength=strength).to_dict(),
        )
        for row, count, seed, strength in planned
    ]
    trained = [*baselines.values(), *rows]
    everything = tuple(job.name for job in trained)
    source = {"package": package_digest()}
    tables = Job("tables", "tables", {"profile": profile}, everything, 10, source, gathers=True)
    figures = Job("figures", "figures", {"profile": profile}, everything, 30, source, gathers=True)
    report = Job("report", "report", {"profile": profile}, ("tables", "figures"), 10, source, gathers=True)
    geometry = [learned] if any(learned.name in job.needs for job in rows) else []
    return [videos, *geometry, *trained, tables, figures, report]


STUDIES = {"pasad": Study("pasad", ("tiny", "quick", "full", "paper"), pasad_jobs)}


def study_of(name: str, profile: str) -> Study:
    """The study, after checking that it has the profile."""
    if name not in STUDIES:
        raise InputError(f"no study is called {name!r}; there are {', '.join(STUDIES)}")
    study = STUDIES[name]
    if profile not in study.profiles:
        raise InputError(f"study {name} has no profile {profile!r}; it has {', '.join(study.profiles)}")
    return study


def check_jobs(jobs: Sequence[Job]) -> None:
    """Raise InputError unless names are fit and single, needs stand before, and notebooks take the parameters."""
    known: set[str] = set()
    taken = {kind: notebook_parameters(notebook_of(kind)) for kind in {job.kind for job in jobs}}
    for job in jobs:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", job.name) or job.name in (*known, "published", "failed"):
            raise InputError(f"{job.name!r} is no name for a job: one of letters, digits and hyphens, and its own")
        if missing := set(job.needs) - known:
            raise InputError(f"job {job.name} needs {', '.join(sorted(missing))}, which do not stand before it")
        if set(job.parameters) != taken[job.kind]:
            raise InputError(
                f"job {job.name} has parameters {', '.join(sorted(job.parameters))}, but its notebook {job.kind} takes "
                + ", ".join(sorted(taken[job.kind]))
            )
        known.add(job.name)


def notebook_of(kind: str) -> Path:
    return notebooks_folder() / "jobs" / f"{kind}.ipynb"


def notebook_parameters(notebook: Path) -> set[str]:
    """The names that the parameters cell of a notebook sets."""
    if not notebook.is_file():
        raise InputError(f"no notebook {notebook}", hint="an incomplete checkout")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    lines = ast.parse("\n".join(sources)).body
    return {target.id for line in lines if isinstance(line, ast.Assign) for target in line.targets}  # type: ignore[attr-defined]  # plain names, which a test holds


def identities(jobs: Sequence[Job]) -> dict[str, str]:
    """The identity of each job by its name: twelve hex digits."""
    found: dict[str, str] = {}
    for job in jobs:
        decides = [job.kind, dict(job.parameters), dict(job.recipe), sorted(found[need] for need in job.needs)]
        found[job.name] = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]
    return found


def without(jobs: Sequence[Job], failed: set[str]) -> list[Job]:
    """What can still be done when some jobs failed: none that needs one of them, but those that gather do with less."""
    lost, left = set(failed), []
    for job in jobs:
        if job.name in lost or (not job.gathers and lost & set(job.needs)):
            lost.add(job.name)
            continue
        needs = tuple(need for need in job.needs if need not in lost)
        left.append(Job(**{**vars(job), "needs": needs}))
    return left


def _slug(*parts: object) -> str:
    return re.sub(r"[^a-z0-9]+", "-", " ".join(map(str, parts)).lower()).strip("-")
