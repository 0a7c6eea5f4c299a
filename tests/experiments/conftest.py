from pathlib import Path

import pytest
from tiny_notebooks import Tiny

from stc_lab.experiments import runs
from stc_lab.experiments.recipes import RECIPES


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder whose one recipe is the tiny one's."""
    monkeypatch.setenv("STC_LAB_PROJECT", str(tmp_path))
    monkeypatch.setenv("STC_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("STC_LAB_FIGURES", str(tmp_path / "figures"))
    monkeypatch.delenv("STC_LAB_DATA", raising=False)
    monkeypatch.setattr(runs, "PACKAGE", tmp_path / "package")  # stays as it is while somebody edits the real one
    monkeypatch.setitem(RECIPES, Tiny.notebook, Tiny)
    (tmp_path / "package").mkdir()
    return tmp_path
