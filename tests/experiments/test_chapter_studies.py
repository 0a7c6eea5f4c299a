"""Studies that are kept: run by seed, found again, and read as they were written."""

import json
import math
import statistics
from pathlib import Path

import pytest

from stc_lab.errors import InputError
from stc_lab.experiments import chapter_studies
from stc_lab.experiments.chapter_studies import (
    STUDIES,
    ChapterStudy,
    KeptRow,
    about,
    keep_study,
    kept_changes,
    kept_rows,
    kept_study,
    origin,
    run_study,
    settings,
)
from stc_lab.experiments.method_study import method_table


def test_a_study_trains_each_seed_once_and_is_read_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def one(study: ChapterStudy, seed: int) -> list[KeptRow]:
        trained.append(seed)
        return [KeptRow(name, seed, {"mIoU": 0.1 * seed + 0.123456789, "VC16": math.nan}) for name in ("a", "b")]

    monkeypatch.setattr(chapter_studies, "_ONE_SEED", {"07": one})
    monkeypatch.setattr(chapter_studies, "STUDIES", {"07": ChapterStudy("07", preset="tiny", steps=1, seeds=(0, 2))})
    path = keep_study("07", tmp_path / "out", cache=tmp_path / "cache", log=lambda _: None)
    assert keep_study("07", tmp_path / "out", cache=tmp_path / "cache", log=lambda _: None) == path
    assert trained == [0, 2] and [p.name for p in path.parent.iterdir()] == ["chapter_07.json"]
    kept = json.loads(path.read_text())
    assert kept["command"] == "stc-lab study 07" and kept["seeds"] == [0, 2]
    rows = kept_rows(kept)
    assert [(row.name, row.seed) for row in rows] == [("a", 0), ("b", 0), ("a", 2), ("b", 2)]
    assert rows[2].measures()["mIoU"] == 0.32346 and math.isnan(rows[2].measures()["VC16"])
    (entry, _) = method_table(rows, base="a")
    assert entry["mIoU"] == pytest.approx(0.22346) and entry["seeds"] == 2
    keep_study("07", tmp_path / "out", seeds=1, cache=tmp_path / "cache", log=lambda _: None)
    first = json.loads(path.read_text())
    assert first["seeds"] == [0] and first["command"] == "stc-lab study 07 --seeds 1" and trained == [0, 2]
    assert about(kept) == "`stc-lab study 07`: 2 seeds, 1 steps for each row, judged on 12 test rooms."


def test_other_settings_are_other_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    monkeypatch.setattr(chapter_studies, "_ONE_SEED", {"08": lambda study, seed: trained.append(study.steps) or []})
    for steps in (1, 2, 1):
        run_study(ChapterStudy("08", "tiny", steps, (0,)), cache=tmp_path, log=lambda _: None)
    assert trained == [1, 2]


@pytest.mark.bad_input
def test_there_are_studies_of_some_chapters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study of chapter '01'; there are 04, 07, 08, 10"):
        keep_study("01", tmp_path)
    with pytest.raises(InputError, match="no study of chapter"):
        kept_study("99")


@pytest.mark.parametrize("chapter", STUDIES)
def test_what_is_kept_is_of_these_settings_these_rooms_and_this_net(chapter: str) -> None:
    kept, study = kept_study(chapter), STUDIES[chapter]
    assert kept["settings"] == settings(chapter), f"run {study.command} again"
    assert {name: kept[name] for name in ("rooms", "net")} == origin(study), f"run {study.command} again"
    assert (kept["preset"], kept["steps"]) == (study.preset, study.steps)
    seeds = tuple(kept["seeds"])
    assert seeds == study.seeds[: len(seeds)] and seeds
    assert kept["command"] == study.command + ("" if seeds == study.seeds else f" --seeds {len(seeds)}")
    rows = kept_rows(kept)
    trained = {row.name for row in rows} - {"the net as it was"}
    assert {(row.name, row.seed) for row in rows} >= {(name, seed) for name in trained for seed in seeds}
    assert len(rows[0].measures()) == len(rows[-1].measures())


def gains(chapter: str, measure: str) -> dict[str, tuple[float, float]]:
    """Mean gain over the row without an extra loss, and its spread, by row."""
    table = method_table(kept_rows(kept_study(chapter)))
    return {str(e["method"]): (float(e[f"{measure} gain"]), float(e[f"{measure} gain spread"])) for e in table}


def test_what_chapter_04_says_of_its_study_holds() -> None:
    rows = kept_rows(kept_study("04"))
    base = {row.seed: row.measures() for row in rows if row.name == "no extra loss"}
    between = statistics.stdev(one["mIoU"] for one in base.values())
    found = gains("04", "mIoU")
    trained = {name: gain for name, (gain, _) in found.items() if name.startswith("Eq. 1")}
    assert len(trained) == 4
    for name, gain in trained.items():
        assert abs(gain) <= between, f"{name}: no larger than what another seed does"
    assert abs(found["pseudo-label CE"][0] - found["Eq. 1, along the geometry"][0]) <= between
    agreement = "temporal agreement"
    for name, rises in {"Eq. 1, along the geometry": True, "Eq. 1, identity warp": False}.items():
        own = [row for row in rows if row.name == name]
        assert all(row.measures()[agreement] > base[row.seed][agreement] for row in own) == rises


def test_what_chapter_07_says_of_its_study_holds() -> None:
    miou, vc, context = (gains("07", measure) for measure in ("mIoU", "official VC8", "within / between"))
    assert miou["STCL"][0] > 0
    assert abs(vc["STCL"][0]) <= 2 * vc["STCL"][1], "not clear of its spread"
    assert vc["pseudo-labels"][0] >= vc["STCL"][0]
    assert vc["STCL + pseudo-labels"][0] <= vc["pseudo-labels"][0]
    kept = kept_rows(kept_study("07"))
    base = {row.seed: row.measures()["within / between"] for row in kept if row.name == "no extra loss"}
    assert all(row.measures()["within / between"] < base[row.seed] for row in kept if row.name == "STCL")
    assert context["STCL"][0] < 0


def test_what_chapter_08_says_of_its_study_holds() -> None:
    found = gains("08", "mIoU")
    control, _ = found["L_h, flat depth (control)"]
    for name in ("L_h, metres", "L_h, a net's depth"):
        gain, spread = found[name]
        assert gain < 0.001 and abs(gain) <= 2 * spread and abs(gain - control) < 0.001
    assert abs(found["Chen et al.'s regulariser"][0]) < 0.001


def test_what_chapter_10_says_of_its_study_holds() -> None:
    hand_held, dolly = kept_changes(kept_study("10")).values()
    gaussian = "Gaussian over time, sigma 3"
    assert dolly[gaussian].miou < hand_held[gaussian].miou < 0 and dolly[gaussian].e_cons < 0
    for found in (hand_held, dolly):
        assert found["3-D guided filter"].e_cons < found["2-D guided filter"].e_cons < 0
        assert found["3-D guided filter"].miou > 0
        trained, control, other = (
            found[name] for name in ("E_pair loss", "E_pair loss, identity warp", "transform invariance")
        )
        assert trained.e_cons < -0.1 and abs(trained.e_cons - control.e_cons) < 0.02
        assert trained.miou > 0 and abs(trained.miou - control.miou) < trained.miou_spread
        assert trained.e_cons < other.e_cons and abs(other.miou) < 0.005


def test_the_kept_changes_of_chapter_10_have_filters_and_trainings() -> None:
    changes = kept_changes(kept_study("10"))
    assert list(changes) == ["hand-held", "dolly"]
    for found in changes.values():
        assert {"3-D guided filter", "E_pair loss", "E_pair loss, identity warp"} <= set(found)
        assert all(math.isfinite(change.miou) and change.miou_spread > 0 for change in found.values())
