"""The notebooks of the jobs, run for real on tiny rooms: from rendering to the report."""

from pathlib import Path

import pytest

from stc_lab.experiments import batch
from stc_lab.experiments.jobs import STUDIES, Study, pasad_jobs, without
from stc_lab.experiments.store import results, store_of

SOME = {
    *("render", "geometry", "baseline-3-0", "baseline-6-0", "tables", "figures", "report"),
    *("baseline-continued-3-0", "baseline-continued-6-0", "consistency-3-0", "consistency-learned-geometry-3-0"),
    *("identity-warp-3-0", "another-room-3-0", "pixel-prior-equalised-3-0"),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_rendering_to_the_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STC_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("STC_LAB_FIGURES", str(tmp_path / "figures"))
    every = pasad_jobs("tiny")
    some = without(every, {job.name for job in every} - SOME)
    assert {job.name for job in some} == SOME
    monkeypatch.setitem(STUDIES, "pasad", Study("pasad", ("tiny",), lambda _: some))
    said: list[str] = []
    assert batch.reproduce("pasad", "tiny", jobs=2, write=said.append), said
    assert len([line for line in said if " done in " in line]) == len(some)

    found = {one["job"]: one for one in results("tiny")}
    assert len(found) == 9 and all(0 <= one["miou"] <= 1 and one["split"] == "test" for one in found.values())
    assert found["pixel-prior-equalised-3-0"]["scales"]
    published = tmp_path / "figures" / "pasad-tiny"
    report = (published / "report.html").read_text()
    for text in ("consistency, learned geometry", "another room", "label_efficiency.html", "inconclusive"):
        assert text in report, text
    assert ("gallery.html" in report) == (published / "gallery.html").is_file()
    assert (published / "tables" / "table_1.csv").read_text().count("\n") == 1 + 8  # Table 2's row is not in it
    assert not list(store_of("pasad", "tiny").folder.rglob("checkpoint*"))

    said.clear()
    assert batch.reproduce("pasad", "tiny", jobs=2, write=said.append)
    assert "14 done before, 0 to run" in said[0]
