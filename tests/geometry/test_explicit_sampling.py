"""No resampler leaves its conventions to a default that has changed before (pytorch pull request 23923)."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ["stc_lab", "tests", "benchmarks", "notebooks", "scripts"]

ALWAYS = {"grid_sample": {"mode", "padding_mode", "align_corners"}, "affine_grid": {"align_corners"}}
IF_SMOOTH = {"interpolate": 3, "upsample": 3, "Upsample": 2}  # the place of `mode` among the positional arguments
SHARP = {"nearest", "nearest-exact", "area"}  # modes that know no corners to align
NEVER = {"grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "upsample_bilinear", "UpsamplingBilinear2d"}
WATCHED = set(ALWAYS) | NEVER | {"interpolate", "Upsample"}  # names that may not be passed around, only called


def implicit_calls(code: str) -> list[tuple[int, str]]:
    """Line and name of each resampling call that leaves a convention unsaid, or of a name that hides such calls."""
    tree = ast.parse(code)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if (name := _name(node.func)) and _unsaid(name, node):
                found.add((node.lineno, name))
            if _name(node.func) == "getattr":
                named = {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
                found |= {(node.lineno, str(name)) for name in named & WATCHED}
        elif isinstance(node, ast.ImportFrom):
            hidden = [alias.name for alias in node.names if alias.name in WATCHED and alias.asname]
            found |= {(node.lineno, name) for name in hidden}
        elif isinstance(node, ast.Attribute) and node.attr in WATCHED and id(node) not in called:
            found.add((node.lineno, node.attr))  # a partial, a table of functions, another name
        elif isinstance(node, ast.Name) and node.id in set(ALWAYS) | NEVER and id(node) not in called:
            found.add((node.lineno, node.id))
    return sorted(found)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _unsaid(name: str, call: ast.Call) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}  # a splat says nothing here
    if name in NEVER:
        return True
    if name in ALWAYS:
        return bool(ALWAYS[name] - set(given))
    if name not in IF_SMOOTH or "align_corners" in given:
        return False
    place = IF_SMOOTH[name]
    mode = given.get("mode", call.args[place] if len(call.args) > place else None)
    if mode is None:  # nearest, unless a splat says otherwise
        return any(keyword.arg is None for keyword in call.keywords)
    return not (isinstance(mode, ast.Constant) and mode.value in SHARP)


def sources() -> Iterator[tuple[str, str]]:
    """Name and code of each module and of each notebook, whose cells follow each other; magics are left out."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        for path in sorted((ROOT / folder).rglob("*.ipynb")):
            if ".ipynb_checkpoints" in path.parts:
                continue
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            lines = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code").splitlines()
            code = "\n".join("pass" if line.lstrip().startswith(("%", "!", "?")) else line for line in lines)
            yield str(path.relative_to(ROOT)), code


@pytest.mark.parametrize(
    "code",
    [
        "F.grid_sample(a, b)",
        "F.grid_sample(a, b, mode='nearest', align_corners=True)",
        "F.grid_sample(a, b, 'bilinear', 'zeros', True)",  # said, but nobody can read it
        "torch.nn.functional.grid_sample(a, b, mode='bilinear', padding_mode='border')",
        "grid_sample(a, b, **how)",
        "F.grid_sample(a, b, mode='bilinear', padding_mode='border', **how)",
        "F.affine_grid(theta, size)",
        "F.affine_grid(theta, size, True)",
        "F.interpolate(a, size=s, mode='bilinear')",
        "F.interpolate(a, s, None, 'bilinear')",
        "F.interpolate(a, size=s, mode='bicubic', antialias=True)",
        "F.interpolate(a, size=s, mode=mode)",
        "F.interpolate(a, **how)",
        "nn.Upsample(None, 2, 'bilinear')",
        "nn.Upsample(scale_factor=2, mode='trilinear')",
        "nn.UpsamplingBilinear2d(scale_factor=2)",
        "torch.grid_sampler(a, b, 0, 0, False)",
        "torch.ops.aten.grid_sampler_2d(a, b, 0, 0, False)",
        "from torch.nn.functional import grid_sample as read",
        "from torch.nn.functional import interpolate as resize",
        "read = F.grid_sample",
        "read = partial(F.grid_sample, mode='bilinear')",
        "table = {'read': grid_sample}",
        "map(F.interpolate, images)",
        "getattr(F, 'grid_sample')(a, b)",
        "def f():\n    return [F.grid_sample(a, b) for a in c]",
        "image = lambda a: F.affine_grid(a, s)",
    ],
)
def test_a_call_that_leaves_something_unsaid_is_found(code: str) -> None:
    assert implicit_calls(code)


@pytest.mark.parametrize(
    "code",
    [
        "grid_sample(a, b, mode='nearest', padding_mode='border', align_corners=True)",
        "F.grid_sample(a, b, mode=mode, padding_mode=padding, align_corners=False)",
        "from torch.nn.functional import grid_sample",
        "F.affine_grid(theta, size, align_corners=False)",
        "F.interpolate(a, size=s)",
        "F.interpolate(a, size=s, mode='nearest')",
        "F.interpolate(a, size=s, mode='nearest-exact')",
        "F.interpolate(a, size=s, mode='bilinear', align_corners=False)",
        "F.interpolate(a, size=s, mode=mode, align_corners=False if smooth else None)",
        "nn.Upsample(scale_factor=2)",
        "interpolate_poses(a, b, 0.5)",
        "interpolate = 3",
    ],
)
def test_a_call_that_says_all_is_let_through(code: str) -> None:
    assert implicit_calls(code) == []


def test_the_line_is_the_calls_own() -> None:
    assert implicit_calls("a = 1\n\nb = F.grid_sample(a,\n    a)") == [(3, "grid_sample")]


def test_every_resampler_names_its_conventions() -> None:
    checked = dict(sources())
    assert {name.split("/")[0] for name in checked} >= {"stc_lab", "tests", "benchmarks", "notebooks"}
    assert sum("grid_sample(" in code for code in checked.values()) >= 3  # there is something to see
    calls = {f"{name}:{line}": call for name, code in checked.items() for line, call in implicit_calls(code)}
    assert not calls, calls
