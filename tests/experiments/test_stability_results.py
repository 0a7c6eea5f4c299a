"""The closing table of chapter 09 holds the numbers that are kept, each in its place."""

import pytest

from stc_lab.experiments.rater_panel import PUBLISHED
from stc_lab.experiments.stability_results import COMMAND, about, kept_run, paper_table


def test_every_row_has_its_numbers() -> None:
    names = [f"{m}, {law}" for m in (*PUBLISHED, "what raters felt") for law in ("displacement", "area")]
    names += [f"{m}, {law}" for m in ("E_cons / boundary, DIS", "E_cons, DIS") for law in ("displacement", "area")]
    names += [f"E_smooth, shares, {law}" for law in ("displacement", "area")]
    names += [
        f"{m}, {law}, without low agreement"
        for m in ("E_cons / boundary", "E_smooth")
        for law in ("displacement", "area")
    ]
    found = {f"{name}{end}": 0.01 * i for i, name in enumerate(names) for end in ("", ", spread")}
    found |= {f"{m}, Spearman with size": 0.5 for m in ("E_cons", "E_cons / sqrt(object)", "E_cons / boundary")}
    found |= {f"{m} prefers jitter, share": 0.5 for m in ("E_smooth", "E_smooth, shares", "E_cons")}
    table = paper_table({"metrics": found, "objects": 5, "contrasts": 4}).splitlines()
    assert len(table) == 2 + 8 and {line.count("|") for line in table} == {5}
    assert table[2] == (
        "| ratings and E_cons / boundary | 0.00 ± 0.00 (DIS: 0.08 ± 0.08) | 0.01 ± 0.01 (DIS: 0.09 ± 0.09) "
        "| 0.569 (GMA flow) |"
    )
    assert "E_smooth 2, E_smooth, shares 2, E_cons 2 of 4 objects" in table[-1]


def test_what_the_notebook_says_of_the_kept_run_holds() -> None:
    kept = kept_run()
    found = kept["metrics"]
    assert kept["command"] == COMMAND and COMMAND in about(kept)
    for law in ("displacement", "area"):
        for measure in ("E_cons / boundary", "E_cons"):  # the order of E_cons and E_smooth
            assert found[f"{measure}, {law}"] > found[f"E_smooth, {law}"]
        assert found[f"what raters felt, {law}"] > 0.85  # "about 0.9"
    assert found["E_cons / boundary, displacement"] > found["E_cons, displacement"]
    assert found["E_cons / boundary, area"] < found["E_cons, area"]
    # What each normalisation does to size: the root turns it round, the boundary does least harm.
    assert found["E_cons, Spearman with size"] > 0.5 and found["E_cons / sqrt(object), Spearman with size"] < -0.3
    assert abs(found["E_cons / boundary, Spearman with size"]) < 0.3
    assert found["E_smooth, shares prefers jitter, share"] == 1 and found["E_cons prefers jitter, share"] == 0
    assert found["E_smooth prefers jitter, share"] == pytest.approx(0.5, abs=0.1)  # "in half of the cases"
