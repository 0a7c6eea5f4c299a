"""Results of a study: found, paired, kept small, and read back."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_up_pasad import CONTINUED, IDENTITY, METHOD, made_up_study, result

from stc_lab.errors import InputError
from stc_lab.experiments.pasad_profiles import PROFILES
from stc_lab.experiments.pasad_results import (
    KEPT,
    ablation_count,
    counts_of,
    keep_results,
    kept_results,
    kept_study,
    paired,
    planned_runs,
    progress_of,
    row_shares,
    seeds_of,
    values_of,
)


def test_a_row_is_found_by_its_name_count_strength_and_split() -> None:
    study = [
        result(METHOD, 50, 1, 0.3),
        result(METHOD, 50, 0, 0.2),
        result(METHOD, 100, 0, 0.5),
        result(METHOD, 50, 0, 0.9, split="validation"),
        result("uniform", 50, 0, 0.6, strength="equalised"),
        result("baseline", 50, 0, 0.1),
    ]
    assert list(seeds_of(study, METHOD, 50)) == [0, 1]
    assert values_of(study, METHOD, 50) == {0: 0.2, 1: 0.3}
    assert values_of(study, METHOD, 50, split="validation") == {0: 0.9}
    assert values_of(study, "uniform", 50) == {} != values_of(study, "uniform", 50, strength="equalised")
    assert values_of(study, "baseline", 50) == {0: 0.1}


def test_one_run_stands_in_both_tables() -> None:
    study = [result(METHOD, 50, 0, 0.2), result(CONTINUED, 50, 0, 0.1)]
    assert values_of(study, "all three", 50) == {0: 0.2}
    assert values_of(study, CONTINUED, 50, strength="equalised") == {0: 0.1}
    assert values_of(study, "all three", 50, strength="equalised") == {}


def test_what_is_not_known_is_left_out() -> None:
    study = [result(METHOD, 50, 0, 0.2), result(METHOD, 50, 1, 0.3, vc8=0.5), result(METHOD, 50, 2, float("nan"))]
    assert values_of(study, METHOD, 50, "vc8") == {1: 0.5}
    assert values_of(study, METHOD, 50) == {0: 0.2, 1: 0.3}
    assert values_of(study, METHOD, 50, lambda one: one["iou"].get("sofa")) == {}
    assert paired({0: 1.0, 1: 2.0}, {1: 3.0, 2: 4.0}) == ([2.0], [3.0])


def test_counts_are_those_of_the_profile_or_those_there_are() -> None:
    assert counts_of([result(METHOD, 400, 0, 0.2), result(METHOD, 50, 0, 0.2)]) == (50, 400)
    assert counts_of([result(METHOD, 100, 0, 0.2, profile="full")]) == PROFILES["full"].counts
    assert ablation_count([result(METHOD, 50, 0, 0.2, profile="full")]) == PROFILES["full"].ablation_count
    assert ablation_count(made_up_study({METHOD: 0.1}, ablation={"uniform": 0.1})) == 50


@pytest.mark.parametrize("profile", list(PROFILES))
def test_progress_counts_what_the_profile_plans(profile: str) -> None:
    from stc_lab.experiments.jobs import pasad_jobs

    trained = [job for job in pasad_jobs(profile) if job.kind in ("baseline", "row")]
    assert planned_runs(profile) == len(trained)
    progress = progress_of([result(METHOD, 50, 0, 0.2)], profile)
    assert not progress.complete and f"1 of {len(trained)} runs" in str(progress)
    assert f"stc-lab reproduce pasad --profile {profile}" in str(progress)


def test_kept_results_come_back(tmp_path: Path) -> None:
    study = made_up_study({METHOD: 0.02, IDENTITY: 0.0}, ablation={"uniform": 0.01}, noise=0.01)
    study[0]["iou"]["door"] = None
    study[0]["confusion"] = (np.arange(25).reshape(5, 5) ** 2).tolist()
    for one in study:
        one |= {"recipe": {"long": "x" * 1000}, "job": "some", "scales": {}}
    path = keep_results(study, tmp_path / "kept.json")
    back = kept_results(path)
    assert len(back) == len(study) and path.stat().st_size < 800 * len(study)
    for one, kept in zip(study, back, strict=True):
        assert {k: kept[k] for k in ("row", "count", "seed", "split", "kind", "strength")} == {
            k: one[k] for k in ("row", "count", "seed", "split", "kind", "strength")
        }
        assert kept["miou"] == pytest.approx(one["miou"], abs=1e-5)
        assert kept["iou"] == {n: v if v is None else pytest.approx(v, abs=1e-5) for n, v in one["iou"].items()}
    assert back[0]["iou"]["door"] is None
    with_confusion = {(one["row"], one["count"]) for one in back if "confusion" in one}
    assert with_confusion == {(row, 50) for row in (CONTINUED, METHOD, IDENTITY)}
    kept = next(one for one in back if one["row"] == CONTINUED and one["seed"] == 0 and one["count"] == 50)
    original = next(one for one in study if one["row"] == CONTINUED and one["seed"] == 0 and one["count"] == 50)
    assert np.allclose(row_shares(kept["confusion"]), row_shares(original["confusion"]), atol=2e-3)


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "none.json")
    assert study.results == [] and study.progress.done == 0
    assert str(study.progress).startswith("0 of ") and "--profile full" in str(study.progress)


@pytest.mark.skipif(not KEPT.is_file(), reason="the full study has not been kept yet")
def test_the_kept_study_is_of_test_rooms_and_small() -> None:
    assert KEPT.stat().st_size < 450_000
    kept = kept_results()
    assert {one["split"] for one in kept} == {"test"} and {one["profile"] for one in kept} == {"full"}
    assert len({(one["row"], one["strength"], one["count"], one["seed"]) for one in kept}) == len(kept)
    json.dumps(kept, allow_nan=False)


def test_shares_of_each_true_class() -> None:
    shares = row_shares([[8, 2, 0], [0, 0, 0], [1, 1, 2]])
    assert shares.tolist() == [[0.8, 0.2, 0.0], [0.0, 0.0, 0.0], [0.25, 0.25, 0.5]]


@pytest.mark.bad_input
def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two results"):
        seeds_of([result(METHOD, 50, 0, 0.2), result(METHOD, 50, 0, 0.3)], METHOD, 50)
    with pytest.raises(InputError, match="no results to keep"):
        keep_results([], tmp_path / "kept.json")
    with pytest.raises(InputError, match="no label count"):
        ablation_count([])
    with pytest.raises(InputError, match="no profile"):
        planned_runs("huge")
    with pytest.raises(InputError, match="square"):
        row_shares([[1, 2]])
