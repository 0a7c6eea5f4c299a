"""How far the labels of a study's lowest count reach, seed by seed; and what the repository keeps of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from stc_lab.data import supervised_rows
from stc_lab.experiments.label_reach import ClassReach, Teacher, label_reach
from stc_lab.experiments.pasad_profiles import profile_of
from stc_lab.experiments.pasad_results import KEPT
from stc_lab.experiments.report import write_json
from stc_lab.experiments.statistics import mean_of

KEPT_REACH = KEPT.with_name("pasad_full_reach.json")
TEACHERS = 3  # kept for each class


def study_reach(profile: str) -> list[list[ClassReach]]:
    """For each seed the reach of each class, from the frames that a baseline with the fewest labels learns from.

    Renders the training rooms where they are not in the cache.
    """
    from stc_lab.experiments.pasad_rows import training_videos

    plan = profile_of(profile)
    videos = training_videos(plan)
    labelled = [supervised_rows(videos, plan.counts[0], seed=seed) for seed in plan.seeds]
    return [label_reach(videos, rows, gaps=plan.gaps) for rows in labelled]


def mean_factors(by_seed: Sequence[Sequence[ClassReach]]) -> dict[str, float]:
    """Pixels reached for each labelled one by class, the mean over the seeds whose labels show the class."""
    means = {name: mean_of(one.factor for one in _seeds_of(by_seed, name)) for name in _names(by_seed)}
    return {name: mean.value for name, mean in means.items() if mean.n}


def taught(by_seed: Sequence[Sequence[ClassReach]], count: int = 4) -> list[str]:
    """For each of the rarest classes a line with the frames that carried its label farthest, of all seeds."""
    shares = {name: mean_of(one.share for one in _seeds_of(by_seed, name)) for name in _names(by_seed)}
    lines = []
    for name in sorted(shares, key=lambda one: shares[one].value)[:count]:
        frames = [(one, seed) for seed, reach in enumerate(_seeds_of(by_seed, name)) for one in reach.teachers]
        frames.sort(key=lambda pair: -pair[0].reached)
        told = ", ".join(
            f"{one.video} frame {one.index} ({one.labelled} to {one.reached} px, seed {seed})"
            for one, seed in frames[:TEACHERS]
        )
        lines.append(f"{name:11s} {100 * shares[name].value:.2f} %: {told or 'in no labelled frame'}")
    return lines


def keep_reach(by_seed: Sequence[Sequence[ClassReach]], path: Path = KEPT_REACH) -> Path:
    """Write the reach as JSON, of each class the frames that carry it farthest."""
    short = [[asdict(replace(one, teachers=one.teachers[:TEACHERS])) for one in reach] for reach in by_seed]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"seeds": short})
    return path


def kept_reach(path: Path = KEPT_REACH) -> list[list[ClassReach]]:
    """The kept reach of the full study; [] where there is none."""
    if not path.is_file():
        return []
    seeds = json.loads(path.read_text(encoding="utf-8"))["seeds"]
    return [
        [ClassReach(**{**one, "teachers": tuple(Teacher(**teacher) for teacher in one["teachers"])}) for one in reach]
        for reach in seeds
    ]


def _names(by_seed: Sequence[Sequence[ClassReach]]) -> list[str]:
    return [one.name for one in by_seed[0]] if by_seed else []


def _seeds_of(by_seed: Sequence[Sequence[ClassReach]], name: str) -> list[ClassReach]:
    return [one for reach in by_seed for one in reach if one.name == name]
