"""How far the labels of a study reach, over its seeds: means, and the frames that taught the rarest classes."""

import dataclasses
import math

import pytest

from stc_lab.data import supervised_rows
from stc_lab.experiments import study_reach as module
from stc_lab.experiments.label_reach import ClassReach, Teacher, label_reach
from stc_lab.experiments.pasad_rows import PROFILES, training_videos
from stc_lab.experiments.study_reach import mean_factors, study_reach, taught


def reach(name: str, share: float, labelled: int, reached: int, *teachers: Teacher) -> ClassReach:
    return ClassReach(name, share, labelled, reached, reached, teachers)


BY_SEED = [
    [reach("wall", 0.9, 100, 200), reach("lamp", 0.02, 10, 40, Teacher(3, "one", 1, 10, 40)), reach("plant", 0, 0, 0)],
    [reach("wall", 0.8, 100, 400), reach("lamp", 0.01, 5, 50, Teacher(9, "two", 4, 5, 50)), reach("plant", 0, 0, 0)],
]


def test_means_are_over_the_seeds_that_show_a_class() -> None:
    assert mean_factors(BY_SEED) == pytest.approx({"wall": 3, "lamp": 7})  # no label shows a plant
    half = [BY_SEED[0], [reach("wall", 1, 1, 1), reach("lamp", 0, 0, 0), reach("plant", 0, 0, 0)]]
    assert mean_factors(half)["lamp"] == 4
    assert mean_factors([]) == {} and taught([]) == []


def test_the_frames_that_taught_the_rarest() -> None:
    plant, lamp = taught(BY_SEED, 2)
    assert plant.split() == ["plant", "0.00", "%:", "in", "no", "labelled", "frame"]
    assert lamp.startswith("lamp") and lamp.endswith(
        "1.50 %: two frame 4 (5 to 50 px, seed 1), one frame 1 (10 to 40 px, seed 0)"
    )


def test_of_a_study_it_is_that_of_the_frames_its_baselines_learn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = dataclasses.replace(PROFILES["tiny"], seeds=(0, 1))
    monkeypatch.setattr(module, "profile_of", lambda name: tiny)
    videos = training_videos(tiny)
    rows = [supervised_rows(videos, tiny.counts[0], seed=seed) for seed in (0, 1)]
    assert rows[0] != rows[1]
    found = study_reach("tiny")
    assert found == [label_reach(videos, one, gaps=(1, 2)) for one in rows]
    assert all(math.isnan(one.factor) == (one.labelled == 0) for one in found[0])
