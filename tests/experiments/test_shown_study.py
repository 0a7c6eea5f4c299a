"""Which results a chapter shows: the kept ones, those of a store that is farther, or those made live."""

from pathlib import Path

import pytest
from made_up_pasad import METHOD, result

from stc_lab.experiments import batch, shown_study
from stc_lab.experiments.pasad_results import KeptStudy, progress_of


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, object]]]:
    """A store by profile, and one kept result."""
    store: dict[str, list[dict[str, object]]] = {}
    kept = [result(METHOD, 50, 0, 0.2)]
    monkeypatch.setattr(shown_study, "results", lambda profile: store.get(profile, []))
    monkeypatch.setattr(shown_study, "kept_study", lambda: KeptStudy(kept, progress_of(kept, "full")))
    return store


def test_the_kept_study_is_shown_at_once(stored: dict[str, list[dict[str, object]]]) -> None:
    study = shown_study.shown_study("quick", live=False)
    assert len(study.results) == 1 and "1 of " in str(study.progress) and "--profile full" in str(study.progress)


def test_a_store_that_has_come_farther_is_shown(stored: dict[str, list[dict[str, object]]]) -> None:
    stored["full"] = [result(METHOD, 50, seed, 0.2) for seed in range(3)]
    stored["quick"] = [result(METHOD, 64, seed, 0.2) for seed in range(9)]
    assert len(shown_study.shown_study("quick", live=False).results) == 3


def test_live_makes_what_is_missing(
    stored: dict[str, list[dict[str, object]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def reproduce(study: str, profile: str, *, write: object) -> bool:
        asked.append((study, profile))
        stored[profile] = [result(METHOD, 64, 0, 0.2)]
        return True

    monkeypatch.setattr(batch, "reproduce", reproduce)
    study = shown_study.shown_study("quick", live=True)
    assert asked == [("pasad", "quick")] and len(study.results) == 1 and "--profile quick" in str(study.progress)
