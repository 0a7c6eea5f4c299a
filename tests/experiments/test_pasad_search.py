"""The search: resumable, on validation rooms alone, its kept results of settings that still are what they were."""

import json

import pytest

from stc_lab.errors import InputError
from stc_lab.experiments import pasad_rows, pasad_search
from stc_lab.experiments.pasad_profiles import BEST, PROFILES, ROWS, TRIED_IN_SEARCH
from stc_lab.experiments.pasad_search import SETTINGS, Setting, kept_search, search, search_recipe, tried
from stc_lab.training import ObjectiveRecipe

TINY = PROFILES["tiny"]
SMALL = {
    "baseline continued": Setting((), steps=2),
    "fused": Setting((("teacher", 2.0),), {"targets": "fused", "label_votes": 4.0}, steps=2),
    "fused | identity": Setting((("teacher", 2.0),), {"targets": "fused", "warp": "identity"}, steps=2),
}


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(pasad_search, "SETTINGS", SMALL)
    return tmp_path / "results.json"


def test_a_search_goes_on_where_it_stopped_and_opens_no_test_room(small, monkeypatch):
    opened: list[str] = []
    judge = pasad_rows.judging_videos
    monkeypatch.setattr(
        pasad_rows, "judging_videos", lambda profile, split: (opened.append(split), judge(profile, split))[1]
    )
    said: list[str] = []
    first = search(["fused"], 3, [0], small, profile=TINY, log=said.append)
    assert [one["setting"] for one in first] == ["baseline", "fused"] and len(said) == 2
    whole = search(list(SMALL), 3, [0], small, profile=TINY, log=said.append)
    assert [one["setting"] for one in whole] == ["baseline", "fused", "baseline continued", "fused | identity"]
    assert whole[:2] == first and json.loads(small.read_text()) == whole and len(said) == 4
    assert set(opened) == {"validation"}
    assert tried(whole) == 1
    assert ObjectiveRecipe.from_dict(whole[1]["recipe"]) == search_recipe("fused", TINY, 3, 0)


def test_nothing_is_begun_after_the_limit(small):
    assert search(list(SMALL), 3, [0], small, profile=TINY, limit=0) == []


def test_a_control_differs_from_its_setting_in_one_thing():
    for name in SETTINGS:
        if "|" not in name:
            continue
        method, control = (
            search_recipe(each, PROFILES["full"], 200, 0).to_dict() for each in (name.split(" | ")[0], name)
        )
        changed = {key for key in method if method[key] != control[key]}
        assert changed <= {"warp", "partner", "targets", "label_votes"} and changed


def test_kept_results_are_of_these_settings():
    kept = kept_search()
    assert len({(one["setting"], one["count"], one["seed"]) for one in kept}) == len(kept)
    for one in kept:
        if one["setting"] != "baseline":
            now = search_recipe(one["setting"], PROFILES["full"], one["count"], one["seed"]).to_dict()
            assert {key: now[key] for key in one["recipe"]} == one["recipe"]
    assert tried(kept) == TRIED_IN_SEARCH == ROWS[BEST].tried - ROWS["consistency"].tried


def test_the_best_row_is_a_setting_of_the_search():
    found = search_recipe("fused with labels", PROFILES["full"], 200, 0).to_dict()
    row = pasad_rows.row_recipe(PROFILES["full"], BEST, 200, 0).to_dict()
    assert {key for key in found if found[key] != row[key]} <= {"steps"}


@pytest.mark.bad_input
def test_an_unknown_setting_is_refused():
    with pytest.raises(InputError, match="no setting is called 'luck'"):
        search_recipe("luck", TINY, 3, 0)
