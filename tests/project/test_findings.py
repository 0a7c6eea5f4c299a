"""The numbers that README shows are those of the kept study, not of a memory of it."""

import re
from pathlib import Path

from stc_lab.experiments.depth_results import findings_table, verdict
from stc_lab.experiments.depth_study import COMMAND, kept_study

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.split(r"^## ", README.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_depth_table_is_that_of_the_kept_study() -> None:
    study, text = kept_study(), section("What it finds")
    assert findings_table(study) in text
    assert " ".join(verdict(study).split()) in " ".join(text.split())
    assert f"`{COMMAND}`" in text and f"{len(study['seeds'])} seeds" in text
    assert f"{study['test']['clips']['mean']:.0f} rooms" in text
    minutes = sum(study["seconds"]) / 60
    stated = float(re.search(r"\((\d+) minutes of one core", text)[1])  # type: ignore[index]  # None fails the test too
    assert abs(stated - minutes) < 2
