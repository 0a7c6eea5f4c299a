"""The repository itself: sizes, commands, links, and nothing that only one machine knows."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGE_ON_PURPOSE = {f"stc_lab/models/weights/{net}.safetensors" for net in ("rooms_fpn", "rooms_depth")}
PLACE_OF_A_MACHINE = re.compile(r"(?<![\w.:/}*<-])/(?:home|mnt|root|tmp|work|Users)/\w")


COMMAND = re.compile(r"^ *(?:make|stc-lab) .*$|`(?:[A-Z_]+=\S+ )?(?:make|stc-lab) [^`\n]*`", re.MULTILINE)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def package_sources() -> list[Path]:
    return sorted((ROOT / "stc_lab").rglob("*.py"))


def test_files_are_small() -> None:
    large = {str(path.relative_to(ROOT)) for path in tracked() if path.stat().st_size > 500_000}
    assert large <= LARGE_ON_PURPOSE


def test_no_place_of_a_machine_is_named() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked()
        for match in PLACE_OF_A_MACHINE.finditer(text_of(path))
    ]
    assert not found


def test_commands_of_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = set(re.findall(r'@main\.command\("([a-z-]+)"\)', (ROOT / "stc_lab" / "cli.py").read_text()))
    commands |= set(re.findall(r"@main\.command\(\)\n(?:@.*\n)*def (\w+)", (ROOT / "stc_lab" / "cli.py").read_text()))
    commands |= set(re.findall(r"@main\.group\(\)\ndef (\w+)", (ROOT / "stc_lab" / "cli.py").read_text()))
    texts = [*ROOT.glob("*.md"), *(ROOT / "data_cards").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    for path in texts:
        in_code = " ".join(COMMAND.findall(text_of(path)))
        assert set(re.findall(r"\bmake ([a-z-]+)", in_code)) <= targets, path.name
        assert set(re.findall(r"\bstc-lab ([a-z][a-z-]+)", in_code)) <= commands, path.name


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")), ids=lambda path: path.name)
def test_links_of_the_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (ROOT / target).exists(), f"{path.name} links to {target}"


def test_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text


def test_modules_are_short() -> None:
    long = {path.name: count for path in package_sources() if (count := len(path.read_text().splitlines())) > 320}
    assert not long


def test_ci_runs_make_test() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()
