"""No resampler leaves its conventions to a default that has changed before (pytorch pull request 23923)."""

import ast
from pathlib import Path

import stc_lab

NEEDED = {"grid_sample": {"mode", "padding_mode", "align_corners"}, "affine_grid": {"align_corners"}}


def implicit_calls(code: str) -> list[tuple[int, str]]:
    """Line and name of each resampling call that leaves one of the needed arguments out."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {keyword.arg for keyword in node.keywords}
        missing = NEEDED.get(name, set()) - given
        smooth = {"bilinear", "bicubic"} & {k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
        if missing or (name == "interpolate" and smooth and "align_corners" not in given):
            found.append((node.lineno, name))
    return found


def test_the_check_sees_what_it_should() -> None:
    assert implicit_calls("F.grid_sample(a, b, mode='nearest', align_corners=True)") == [(1, "grid_sample")]
    assert implicit_calls("grid_sample(a, b, mode='x', padding_mode='border', align_corners=True)") == []
    assert implicit_calls("F.interpolate(a, size=s, mode='bilinear')") == [(1, "interpolate")]
    assert implicit_calls("F.interpolate(a, size=s, mode='nearest')") == []


def test_every_resampler_names_its_conventions() -> None:
    assert stc_lab.__file__ is not None
    files = sorted(Path(stc_lab.__file__).parent.rglob("*.py"))
    assert len(files) > 5
    calls = {f"{path}:{line}": name for path in files for line, name in implicit_calls(path.read_text())}
    assert not calls, calls
