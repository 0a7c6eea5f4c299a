"""Gains by class: relative ones, rare classes, classes without any, and correlations that SciPy knows."""

import math
from pathlib import Path

import numpy as np
import pytest
from made_up_pasad import CLASSES, CONTINUED, FREQUENCY, IDENTITY, METHOD, made_up_study, result
from scipy import stats
from small_rooms import small_rooms

from stc_lab.errors import InputError
from stc_lab.experiments.class_gains import class_gains, frequencies, rare_classes, seed_correlation
from stc_lab.experiments.confusions import confusion_changes
from stc_lab.experiments.relative_gains import even_gain
from stc_lab.models import load_shipped

GAIN = {"wall": 0.0, "floor": 0.01, "door": 0.02, "lamp": 0.03, "plant": 0.04}


def by_class(seeds: tuple[int, ...] = (0, 1, 2), base: float = 0.2) -> list[dict[str, object]]:
    """The rarer, the more it gains, seed by seed a little differently."""
    return [
        result(row, 50, seed, 0.2, iou={name: base + 0.01 * seed + lift * GAIN[name] for name in CLASSES})
        for seed in seeds
        for row, lift in ((CONTINUED, 0), (METHOD, 1))
    ]


def test_the_rarer_the_more() -> None:
    found = class_gains(by_class(), 50)
    assert [one.name for one in found.classes] == list(CLASSES) and found.left_out == ()
    plant = found.classes[-1]
    assert plant.gain.mean == pytest.approx(0.04) and plant.base == pytest.approx(0.21)
    assert plant.relative == pytest.approx(0.04 / 0.21) and plant.frequency == 0.01
    assert found.relative is not None and found.relative.value == -1 and found.relative.support == 5


def test_the_correlation_is_scipys() -> None:
    generator = np.random.default_rng(1)
    study = by_class()
    for one in study:
        one["iou"] = {name: float(generator.uniform(0.1, 0.4)) for name in CLASSES}
    found = class_gains(study, 50)
    expected = stats.spearmanr([c.frequency for c in found.classes], [c.relative for c in found.classes])
    assert found.relative is not None
    assert (found.relative.value, found.relative.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_the_lowest_count_is_the_default() -> None:
    study = [*made_up_study({METHOD: 0.03}), *made_up_study({IDENTITY: 0.01})[:0]]
    assert class_gains(study).count == 50
    assert class_gains(study, 200).classes[0].gain.mean == pytest.approx(0.03)


def test_classes_that_are_not_there() -> None:
    study = by_class()
    for one in study:
        one["iou"] = {**one["iou"], "plant": None, "lamp": float("nan"), "door": 0.001}  # type: ignore[dict-item]
    found = class_gains(study, 50)
    assert [one.name for one in found.classes] == ["wall", "floor", "door"]
    assert set(found.left_out) == {"plant", "lamp", "door"}  # a door of which the base knows nothing has no ratio
    assert math.isnan(found.classes[-1].relative) and found.relative is None  # two classes rank nothing
    half = by_class()
    half[0]["iou"] = {**half[0]["iou"], "plant": None}  # type: ignore[dict-item]
    assert next(one for one in class_gains(half, 50).classes if one.name == "plant").gain.n == 2


def test_equal_gains_have_no_correlation_and_one_seed_no_error() -> None:
    study = [result(row, 50, 0, 0.2 + 0.1 * (row == METHOD)) for row in (CONTINUED, METHOD)]
    found = class_gains(study, 50)
    assert found.relative is None and math.isnan(found.classes[0].error)
    assert found.classes[0].relative == pytest.approx(0.5)


def test_gains_beside_another_number_of_each_class() -> None:
    found = class_gains(by_class(), 50)
    with_rank = found.correlation_with({name: i for i, name in enumerate(CLASSES)} | {"dragon": 9})
    assert with_rank is not None and with_rank.value == pytest.approx(1) and with_rank.support == 5
    assert found.correlation_with({"wall": 1.0, "lamp": 2.0}) is None


def test_bands_and_rare_classes() -> None:
    study = by_class()
    bands = class_gains(study, 50).bands()
    assert {title: mean.n for title, mean in bands.items()} == {"5 % and more": 3, "1 to 5 %": 2, "under 1 %": 0}
    assert bands["1 to 5 %"].value == pytest.approx(0.035)
    assert rare_classes(study, 50) == ("plant", "lamp") and rare_classes(study, 50, below=0.015) == ("plant",)
    without = [{k: v for k, v in one.items() if k != "train_frequency"} for one in study]
    assert frequencies(without) == pytest.approx(FREQUENCY)


def test_one_seed_has_a_correlation_of_its_own() -> None:
    study = by_class(seeds=(0,))
    assert seed_correlation(study[0], study[1]) == pytest.approx(-1)
    assert seed_correlation(study[0], study[0]) is None


def test_confusion_before_and_after() -> None:
    before, after = [[8, 2], [4, 4]], [[9, 1], [0, 8]]
    study = [
        result(row, 50, seed, 0.2, iou={"a": 0.1, "b": 0.1}, confusion=confusion)
        for seed in (0, 1)
        for row, confusion in ((CONTINUED, before), (METHOD, after))
    ]
    study.append(result(IDENTITY, 50, 7, 0.2, confusion=before))  # no such seed of the base
    changes, names = confusion_changes(study)
    assert names == ["a", "b"] and set(changes) == {METHOD}
    assert changes[METHOD] == pytest.approx(np.array([[0.1, -0.1], [-0.5, 0.5]]))
    assert np.allclose(changes[METHOD].sum(axis=1), 0)
    study[0]["confusion"] = None
    assert confusion_changes(study)[0][METHOD] == pytest.approx(np.array([[0.1, -0.1], [-0.5, 0.5]]))
    assert confusion_changes([]) == ({}, [])


def test_a_gain_that_is_the_same_for_all_looks_like_figure_2(tmp_path: Path) -> None:
    found = even_gain(load_shipped("rooms_fpn").model, small_rooms(tmp_path), points=1.0)
    assert all(one.gain.mean == pytest.approx(0.01) for one in found.classes)
    assert found.absolute is None  # equal gains have no order, whatever their last bits say
    rated = [one for one in found.classes if not math.isnan(one.relative)]
    assert [one.relative * one.base for one in rated] == pytest.approx([0.01] * len(rated))


@pytest.mark.bad_input
def test_no_seed_in_common() -> None:
    with pytest.raises(InputError, match="no seed has both"):
        class_gains([result(CONTINUED, 50, 0, 0.2), result(METHOD, 50, 1, 0.2)], 50)
    with pytest.raises(InputError, match="no results"):
        class_gains([])
