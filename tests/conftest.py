"""The package is imported with its shapes checked at run time, unless STC_LAB_TYPECHECK=0 asks for its own messages."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

TYPECHECK = os.environ.get("STC_LAB_TYPECHECK", "1") != "0"
if TYPECHECK:
    install_import_hook("stc_lab", "typecheck.checked")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Bad input runs without the hook, which would speak before our own messages do; everything else with it."""
    mine = [item for item in items if (item.get_closest_marker("bad_input") is None) == TYPECHECK]
    others = [item for item in items if item not in set(mine)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = mine


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real slices; a test that asks for it is skipped where there is none."""
    folder = os.environ.get("STC_LAB_DATA", "")
    if not folder:
        pytest.skip("set STC_LAB_DATA to the folder of the real slices to run this test")
    assert Path(folder).is_dir(), f"STC_LAB_DATA={folder} is no folder"
    return Path(folder)
