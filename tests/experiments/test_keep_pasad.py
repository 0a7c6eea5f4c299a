"""The full study goes into the repository and the README by one command, or not at all."""

import json
from pathlib import Path

import pytest
from made_up_pasad import METHOD, made_up_study

from stc_lab.errors import InputError
from stc_lab.experiments import keep_pasad, pasad_results
from stc_lab.experiments.jobs import Job
from stc_lab.experiments.keep_pasad import BEGIN, END, keep_study, with_table
from stc_lab.experiments.label_reach import ClassReach, Teacher
from stc_lab.experiments.pasad_tables import readme_table
from stc_lab.experiments.store import store_of
from stc_lab.experiments.study_reach import TEACHERS, keep_reach, kept_reach

STUDY = made_up_study({METHOD: 0.02}, seeds=(0, 1))


def test_the_table_takes_the_place_of_the_old_one() -> None:
    page = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    new = with_table(page, STUDY, "all runs")
    assert readme_table(STUDY) in new and "old" not in new and "2 seeds" in new and "(all runs)" in new
    assert new.startswith("above\n") and new.endswith("\nbelow\n")
    assert with_table(new, STUDY, "all runs") == new


def test_a_store_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept" / "study.json"
    monkeypatch.setattr(keep_pasad, "KEPT", kept)
    monkeypatch.setattr(keep_pasad, "KEPT_GALLERY", kept.with_suffix(".npz"))
    monkeypatch.setattr(keep_pasad, "kept_study", lambda: pasad_results.kept_study(kept))
    reach = [[ClassReach("lamp", 0.02, 10, 30, 29, (Teacher(7, "room", 3, 10, 30),) * 5)]]
    monkeypatch.setattr(keep_pasad, "study_reach", lambda profile: reach)
    monkeypatch.setattr(keep_pasad, "keep_reach", lambda found: keep_reach(found, kept.with_name("reach.json")))
    monkeypatch.setattr(keep_pasad, "figures_folder", lambda: tmp_path)
    store = store_of("pasad", "full", tmp_path)
    (store.folder / "published").mkdir(parents=True)
    (store.folder / "published" / "gains.png").write_bytes(b"picture")
    jobs = [Job(f"job-{i}", "row", {}, (), 1.0, {"number": i}) for i in range(len(STUDY))]
    known = store.write_plan("pasad", "full", jobs)
    for job, result in zip(jobs, STUDY, strict=True):
        store.job(job.name).mkdir(parents=True)
        (store.job(job.name) / "recipe.json").write_text(json.dumps({"identity": known[job.name]}))
        (store.job(job.name) / "metrics.json").write_text(json.dumps(result))
        (store.job(job.name) / "environment.json").write_text(json.dumps({"seconds": 90.0}))
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}{END}")
    pictures = [tmp_path / "pasad_gains.png"]
    # no nets, no gallery
    assert keep_study(tmp_path, readme=readme) == [kept, kept.with_name("reach.json"), *pictures, readme]
    assert pictures[0].read_bytes() == b"picture"
    assert f"jobs of one thread that took {len(STUDY) * 90 / 3600:.1f} hours in all" in readme.read_text()
    assert "](figures/pasad_gains.png)" in readme.read_text()
    (one,) = kept_reach(kept.with_name("reach.json"))[0]
    assert len(one.teachers) == TEACHERS and one.teachers[0] == Teacher(7, "room", 3, 10, 30) and one.factor == 3
    back = pasad_results.kept_results(kept)
    assert len(back) == len(STUDY) and readme_table(back) in readme.read_text()


@pytest.mark.bad_input
def test_figures_without_pictures_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    with pytest.raises(InputError, match="no picture in"):
        keep_pasad.keep_pictures(tmp_path / "published", tmp_path)


@pytest.mark.bad_input
def test_nothing_is_written_without_results_or_marks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no results"):
        keep_study(tmp_path)
    with pytest.raises(InputError, match="pasad: begin"):
        with_table("no marks", STUDY, "")
