"""Committed notebooks are small, clean and of one form, so that papermill, nbval and the lab all run them."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
CHECKED = "# NBVAL_CHECK_OUTPUT"
OPENING = ("**Claim.**", "**You will**", "**Before this:**", "**Time:**")
SECTIONS = (
    "## Look",
    "## Predict",
    "## Measure",
    "## Break",
    "## Fix",
    "**What you should have seen",
    "## Exercise",
    "**Words:**",
)

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@each_notebook
def test_valid_small_and_for_any_python3_kernel(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < 200_000
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata


@each_notebook
def test_one_parameters_cell_of_literals(path: Path) -> None:
    (cell,) = [cell for cell in read(path).cells if "parameters" in cell.metadata.get("tags", [])]
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.Assign), f"only `name = literal` lines: {ast.unparse(statement)}"
        ast.literal_eval(statement.value)


@each_notebook
def test_only_checked_cells_keep_outputs_and_only_text(path: Path) -> None:
    for cell in code_cells(path):
        checked = CHECKED in cell.source.splitlines()
        assert checked == ("keep_output" in cell.metadata.get("tags", [])), (
            f"{CHECKED} and the tag go together:\n{cell.source}"
        )
        assert bool(cell.outputs) == checked, f"make notebooks keeps the outputs of checked cells only:\n{cell.source}"
        for output in cell.outputs:
            assert output.output_type == "stream" and output.name == "stdout", "a checked cell only prints"
        # papermill takes the error output of such a cell for a failure of the notebook
        assert "raises-exception" not in cell.metadata.get("tags", [])


@each_notebook
def test_cells_are_short_and_know_no_machine(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) < 25, f"a longer cell belongs into the package:\n{cell.source}"
            assert not cell.source.lstrip().startswith(("!", "%")), f"no shell or magic commands:\n{cell.source}"
        assert not re.search(r"(?<![\w.:/<])(/(?:home|root|usr|tmp|work|Users|mnt)/|[A-Z]:\\)", cell.source), (
            cell.source
        )


@each_notebook
def test_the_skeleton(path: Path) -> None:
    cells = read(path).cells
    opening = cells[0].source
    assert re.match(rf"# {path.stem[:2]}\b", opening), "the title begins with the notebook's number"
    assert [part for part in OPENING if part in opening] == list(OPENING)
    lines = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown").splitlines()
    missing = [section for section in SECTIONS if not any(line.startswith(section) for line in lines)]
    assert not missing
    assert "**Next:**" in cells[-1].source or "**Back to:**" in cells[-1].source


@each_notebook
def test_links_lead_somewhere(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", cell.source):
                if "://" not in target:
                    assert (path.parent / target).exists(), f"{path.name} links to {target}"
