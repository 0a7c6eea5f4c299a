"""The command that opens the explorer: this machine alone, the right server, and clear words where one is missing."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from stc_lab.cli import main
from stc_lab.errors import InputError
from stc_lab.experiments import explorer_server
from stc_lab.experiments.explorer_server import explorer_command, serve


@pytest.mark.parametrize(("voila", "module", "address"), [(False, "jupyterlab", "--ip"), (True, "voila", "--Voila.ip")])
def test_the_notebook_is_served_to_this_machine(voila: bool, module: str, address: str) -> None:
    command = explorer_command(voila=voila, port=8123, browser=False)
    assert command[:3] == [sys.executable, "-m", module]
    assert Path(command[3]).name == "11_consistency_explorer.ipynb" and Path(command[3]).is_file()
    assert f"{address}=127.0.0.1" in command and {"--port=8123", "--no-browser"} <= set(command)
    assert not {"--port=8123", "--no-browser"} & set(explorer_command(voila=voila))


def test_the_exit_code_is_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert serve([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    told: list[list[str]] = []
    monkeypatch.setattr(explorer_server, "serve", lambda command: told.append(command) or 0)
    assert CliRunner().invoke(main, ["explore", "--voila", "--no-browser"]).exit_code == 0
    assert told[0][2] == "voila" and "--no-browser" in told[0]


@pytest.mark.bad_input
def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(explorer_server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="voila is not installed"):
        explorer_command(voila=True)
    monkeypatch.undo()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("STC_LAB_PROJECT", str(tmp_path))
    with pytest.raises(InputError, match="no notebook 11_consistency"):
        explorer_command()
