"""Tables of the depth study: numbers are found where they stand, and a hope is reached by its own rule."""

import pytest
from depth_clips import made_up_study

from stc_lab.errors import InputError
from stc_lab.experiments.depth_results import (
    PAIR_TITLES,
    by_gap,
    closing_table,
    depth_seeds,
    findings_table,
    gap_closed,
    hopes,
    hopes_table,
    verdict,
)
from stc_lab.training.depth_evaluate import NET


def test_rows_of_depth_have_their_seeds_and_references_one() -> None:
    rows = depth_seeds(made_up_study())
    assert list(rows) == ["net, one frame", "whole clip", "row mean", "best constant"]
    assert [one["abs_rel"] for one in rows["net, one frame"]] == pytest.approx([0.19, 0.21])
    assert len(rows["best constant"]) == len(rows["row mean"]) == 1


def test_pairs_by_gap() -> None:
    found = by_gap(made_up_study(), "agreement", ("exact", "identity"))
    assert found["exact geometry"] == {1: [0.99, 0.99], 2: [0.99, 0.99], 4: [0.99, 0.99]}
    missing = by_gap(made_up_study(), "disagreement", ("identity",))
    assert missing[PAIR_TITLES["identity"]][2] == pytest.approx([20.0, 20.0])
    assert by_gap(made_up_study(), "rotation", ("exact",), turning=True)["exact geometry"][4] == [0.5, 0.5]
    with pytest.raises(InputError, match="no rows"):
        by_gap(made_up_study(), "agreement", ("sifted",))


@pytest.mark.parametrize(
    ("number", "changes", "reached"),
    [
        (0, {"net": 0.279}, True),
        (0, {"net": 0.281}, False),
        (1, {"focal": -0.049}, True),
        (1, {"focal": -0.051}, False),
        (2, {"rotation": 0.69}, True),
        (3, {"rotation": 0.71}, False),
        (4, {"whole": 0.9, "single": 0.976}, True),
        (4, {"whole": 0.99, "single": 0.974}, False),
        (5, {"whole": 0.976, "single": 0.9}, True),
        (5, {"whole": 0.974, "single": 0.99}, False),
        (6, {"single": 0.98, "fitted": 0.97, "true": 0.989}, True),
        (6, {"single": 0.979, "whole": 0.99, "fitted": 0.97, "true": 0.989}, False),
        (7, {"whole": 0.98, "fitted": 0.97, "true": 0.989}, True),
        (7, {"whole": 0.979, "single": 0.99, "fitted": 0.97, "true": 0.989}, False),
    ],
)
def test_a_hope_is_reached_by_its_rule(number: int, changes: dict[str, float], reached: bool) -> None:
    study = made_up_study(**changes)
    assert hopes(study)[number].reached == reached
    line = hopes_table(study).splitlines()[2 + number]
    assert line.endswith("| reached |" if reached else "| not reached |")


def test_one_frame_and_a_whole_clip_are_judged_apart() -> None:
    names = [hope.measure for hope in hopes(made_up_study())]
    assert len(names) == len(set(names)) == 8
    assert [name.rsplit(": ", 1)[1] for name in names[2:]] == ["net, one frame", "whole clip"] * 3


def test_findings_have_their_spread_and_references_none() -> None:
    table = findings_table(made_up_study(single=0.965))
    lines = [line.split(" | ") for line in table.splitlines()]
    assert {len(line) for line in lines[2:]} == {4}
    of_row = {line[0].removeprefix("| "): line[1:] for line in lines[2:]}
    assert of_row["learned, one frame at a time"] == ["0.200 ± 0.014", "0.50", "96.50 % |"]
    assert of_row["exact"][:2] == ["0", "0"] and of_row["no warp (identity)"][0] == "-"
    assert of_row["constant depth, fitted motion"][0].startswith("0.400")
    text = verdict(made_up_study(single=0.965))
    assert "(98.0 %, 80 % of the gap)" in text and "(96.5 %, 20 %)" in text
    assert gap_closed(made_up_study(single=0.965), NET) == pytest.approx(0.2)


def test_the_closing_table_has_both_columns() -> None:
    table = closing_table(made_up_study())
    lines = table.splitlines()
    assert all(line.count("|") == 4 for line in lines)
    assert "2 seeds" in lines[0] and "0.200 ± 0.014 (best constant 0.400)" in table
    assert "| focal length, error | 2.0 % |" in table and "(no warp 80.0 %, " in table
    assert "39.8 → 43.3" in table and "39.557 → 40.597" in table
