import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def lab() -> ModuleType:
    """`lab.py`, which opens notebooks in a real browser."""
    for name in ("playwright", "jupyterlab", "voila"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    spec = importlib.util.spec_from_file_location("browser_lab", Path(__file__).with_name("lab.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.find_chromium() is None:
        pytest.skip("no Chromium is installed: set BROWSER_PATH or install chromium")
    return module


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots are kept: STC_LAB_SCREENSHOTS, if that is set."""
    folder = os.environ.get("STC_LAB_SCREENSHOTS")
    path = Path(folder) if folder else tmp_path
    path.mkdir(parents=True, exist_ok=True)
    return path
