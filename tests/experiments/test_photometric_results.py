"""The table of the photometric study: seeds together, best first, and where learning nothing stands."""

from typing import Any

import pytest

from stc_lab.errors import InputError
from stc_lab.experiments.photometric_results import (
    best_constant_of,
    contrast_of,
    photometric_table,
    pulls,
    result_of,
    setting_results,
)
from stc_lab.experiments.photometric_study import SETTINGS


def row(name: str, abs_rel: float, *, steps: int = 300, seed: int = 0, focal_error: float = 0.02) -> dict[str, Any]:
    recipe = SETTINGS[name].recipe(steps, seed).to_dict()
    return {
        "name": name,
        "steps": steps,
        "abs_rel": abs_rel,
        "constant": 0.4,
        "focal_error": focal_error,
        "recipe": recipe,
    }


@pytest.fixture
def kept() -> dict[str, Any]:
    rows = [
        row("monodepth2, published", 0.41, focal_error=0.0),
        row("fitted motion", 0.27, seed=2, focal_error=-0.01),
        row("fitted motion", 0.23, seed=1),
        row("gordon, published", 0.39, focal_error=0.5),
        row("fitted motion", 0.24, steps=1000),
    ]
    levels = [{"stride": stride, "gap": gap, "contrast": stride / 10 + gap} for stride in (1, 2) for gap in (1, 2)]
    focal_pull = {"true": [{"factor": 0.8, "held": 0.5, "followed": -1.0}]}
    return {"rows": {str(i): one for i, one in enumerate(rows)}, "error_levels": levels, "focal_pull": focal_pull}


def test_seeds_of_a_setting_come_together_best_first(kept: dict[str, Any]) -> None:
    found = setting_results(kept)
    assert [(one.name, one.steps) for one in found] == [
        ("fitted motion", 1000),
        ("fitted motion", 300),
        ("gordon, published", 300),
        ("monodepth2, published", 300),
    ]
    assert result_of(kept, "fitted motion").abs_rel == (0.23, 0.27)  # in the order of their seeds
    assert result_of(kept, "fitted motion").focal_error == (0.02, -0.01)


def test_the_table_says_what_is_known_and_what_learned_nothing(kept: dict[str, Any]) -> None:
    lines = photometric_table(kept).splitlines()
    assert all(line.count("|") == 5 for line in lines)
    assert lines[3].startswith("| fitted motion |") and lines[3].endswith("| 0.250 ± 0.028 | +0.5 ± 2.1 % |")
    assert lines[2] == "| fitted motion, 1000 steps | 3.3 times the steps | 0.240 | +2.0 % |"
    assert "best constant" in lines[5] and "*0.400*" in lines[5] and best_constant_of(kept) == 0.4
    assert lines[4].endswith("| 0.390 | +50.0 % |") and lines[6].endswith("| 0.410 | known |")


def test_probes_are_found_by_what_they_are_of(kept: dict[str, Any]) -> None:
    assert contrast_of(kept, stride=2, gap=1) == pytest.approx(1.2)
    assert pulls(kept) == {0.8: (0.5, -1.0)}


@pytest.mark.bad_input
def test_a_row_that_is_not_there_is_named_with_those_that_are(kept: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no 'unit free' of 300 steps"):
        result_of(kept, "unit free")
