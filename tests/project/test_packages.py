"""pyproject.toml, requirements.lock, environment.yml and what is installed say the same."""

import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ELSEWHERE = {"raft"}  # extras for an environment of one's own, whose packages do not go with the locked ones
EXTRAS: dict[str, list[str]] = {
    name: lines for name, lines in PROJECT["optional-dependencies"].items() if name not in ELSEWHERE
}
REQUIRED = [
    Requirement(line) for line in [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
]


def locked() -> dict[str, Version]:
    lines = [
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert all("==" in line and ";" not in line and "@" not in line for line in lines)
    return {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in lines)}


def test_environment_yml_leads_to_the_same_packages() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, section = environment["dependencies"]
    assert environment["name"] == "stc-lab"
    assert python.startswith("python")
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    constraint, package = section["pip"]
    assert constraint == "-c requirements.lock"
    assert package.startswith("-e .[") and package.endswith("]")
    assert package[len("-e .[") : -1].split(",") == list(EXTRAS)


def test_make_installs_by_the_same_lock_and_extras() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert f"install -c requirements.lock -e '.[{','.join(EXTRAS)}]'" in makefile


@pytest.mark.parametrize("requirement", REQUIRED, ids=str)
def test_what_is_required_is_locked_within_its_range(requirement: Requirement) -> None:
    assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)])


def test_no_package_is_required_twice() -> None:
    names = [canonicalize_name(requirement.name) for requirement in REQUIRED]
    assert len(names) == len(set(names))


def test_ranges_stand_in_pyproject_and_builds_nowhere() -> None:
    assert not [requirement for requirement in REQUIRED if "==" in str(requirement.specifier)]
    assert all(version.local is None for version in locked().values())


def test_what_is_locked_is_installed_and_nothing_else() -> None:
    installed = {canonicalize_name(found.metadata["Name"]): Version(found.version) for found in distributions()}
    ours = {name: Version(installed[name].public) for name in installed if name not in ("stc-lab", "pip", "setuptools")}
    assert ours == locked()


def test_version_is_said_once() -> None:
    from click.testing import CliRunner

    from stc_lab.cli import main

    assert PROJECT["version"] in CliRunner().invoke(main, ["--version"]).output
