"""Surroundings of every pytest run, of the unit tests and of the notebooks alike."""

import os
import shutil
import signal
import tempfile

import pytest

# Set before torch is imported: libgomp's spinning threads slow a busy machine down a hundredfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A run that was started in the background ignores Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

made_here = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("nbval_output_timeout", "seconds that a notebook's output may lag behind its cell", default="120")


def pytest_configure(config: pytest.Config) -> None:
    """Point cache, figures and runs to one temporary folder, shared by all workers of this run, unless they are set.

    The notebooks keep the user's cache, as they would in the lab.
    """
    places = ["STC_LAB_FIGURES", "STC_LAB_RUNS"] + ([] if config.option.nbval_lax else ["STC_LAB_CACHE"])
    unset = [name for name in places if name not in os.environ]
    if unset and not hasattr(config, "workerinput"):
        config.stash[made_here] = tempfile.mkdtemp(prefix="stc_lab_tests_")
        for name in unset:
            os.environ[name] = os.path.join(config.stash[made_here], name.removeprefix("STC_LAB_").lower())


def pytest_unconfigure(config: pytest.Config) -> None:
    if made_here in config.stash:
        shutil.rmtree(config.stash[made_here], ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Raise nbval's fixed limit of 5 s of silence between a cell's end and its outputs (nbval issue 151)."""
    for item in items:
        if type(item).__name__ == "IPyNbCell":
            item.output_timeout = float(config.getini("nbval_output_timeout"))
