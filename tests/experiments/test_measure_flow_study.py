"""The measures with exact and with estimated flow: what must come out whatever the room."""

import pytest
import torch

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import PRESETS
from stc_lab.errors import InputError
from stc_lab.experiments.measure_flow_study import MEASURES, MeasureStudy, measure_flow_study
from stc_lab.experiments.occlusion_study import rooms_clips
from stc_lab.geometry import RigidFlow
from stc_lab.models import load_shipped


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return rooms_clips("dolly", seeds=(0, 1), preset="tiny")


@pytest.fixture(scope="module")
def study(clips: list[Clip]) -> MeasureStudy:
    return measure_flow_study(clips, load_shipped().model, config=PRESETS["tiny"])


def test_true_labels_are_consistent_along_the_exact_flow_and_less_so_along_an_estimated_one(
    study: MeasureStudy,
) -> None:
    agreement, cons = study.row("agreement", "true"), study.row("E_cons", "true")
    assert agreement.exact > 0.97
    assert cons.exact < 0.06
    assert agreement.estimated < agreement.exact
    assert cons.estimated > 2 * cons.exact
    assert study.row("agreement", "net").exact < agreement.exact
    assert study.row("E_cons", "net").exact > cons.exact


def test_the_scripts_do_not_ask_what_is_visible(study: MeasureStudy) -> None:
    for name in ("TC as VSPW's script", "TC as ETC's script"):
        for labels in ("true", "net"):
            row = study.row(name, labels)
            assert row.exact == row.checked
            assert row.exact < study.row("TC", labels).exact


def test_what_looks_at_no_flow_is_not_changed_by_one(study: MeasureStudy) -> None:
    for labels in ("true", "net"):
        row = study.row("E_smooth, no flow", labels)
        assert row.exact == row.checked == row.estimated > 0


def test_a_row_for_each_measure_and_kind_of_labels(study: MeasureStudy) -> None:
    table = study.table()
    assert [(row["measure"], row["labels"]) for row in table] == [(m, k) for k in ("true", "net") for m in MEASURES]
    for row in table:
        assert row["difference"] == row["estimated"] - row["exact"]
        assert row["support"] > 0


def test_an_estimator_that_knows_the_geometry_changes_little(clips: list[Clip]) -> None:
    found = measure_flow_study(clips[:1], config=PRESETS["tiny"], estimator=RigidFlow())
    assert {row.labels for row in found.rows} == {"true"}
    for name in ("agreement", "TC", "E_cons"):
        row = found.row(name, "true")
        assert row.estimated == pytest.approx(row.checked, abs=0.04)  # it also asks both depths what is visible


@pytest.mark.bad_input
def test_what_it_refuses(clips: list[Clip]) -> None:
    with pytest.raises(InputError, match="at least one video"):
        measure_flow_study([])
    bare = Clip(clips[0].video, clips[0].index, clips[0].time, clips[0].image)
    with pytest.raises(InputError, match="no label"):
        measure_flow_study([bare], config=PRESETS["tiny"])
    mixed = Clip(("a", "b"), torch.arange(2), torch.arange(2.0), clips[0].image[:2], clips[0].label[:2])
    with pytest.raises(InputError, match="one video, got one of 2"):
        measure_flow_study([mixed], config=PRESETS["tiny"])
    with pytest.raises(InputError, match="no row of 'VC'"):
        MeasureStudy(()).row("VC", "true")
