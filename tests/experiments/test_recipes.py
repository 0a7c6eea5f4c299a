"""Recipes: typed, checked, and the same as the notebooks' parameters."""

import ast
from typing import Any

import nbformat
import pytest
from tiny_notebooks import Tiny

from stc_lab.experiments.places import notebooks_folder
from stc_lab.experiments.recipes import RECIPES, GeometryAndWarping, defaults, describe, parse, recipe_of


def test_values_come_typed() -> None:
    recipe = parse(Tiny, [("mode", "broken"), ("count", "7"), ("scale", "1e-3"), ("loud", "True")])
    assert recipe == Tiny(mode="broken", count=7, scale=1e-3, loud=True)
    assert type(recipe.scale) is float
    assert recipe.changed() == {"mode": "broken", "count": 7, "scale": 1e-3, "loud": True}


def test_nothing_said_is_the_default_and_the_last_word_wins() -> None:
    assert parse(Tiny, []) == Tiny()
    assert parse(Tiny, [("count", "1"), ("count", "3")]).count == 3


@pytest.mark.parametrize(
    "wanted", ["02", "02_geo", "02_geometry_and_warping", "notebooks/02_geometry_and_warping.ipynb"]
)
def test_the_beginning_of_a_name_is_enough(wanted: str) -> None:
    assert recipe_of(wanted) is GeometryAndWarping


def test_every_recipe_describes_its_legal_values() -> None:
    for recipe in RECIPES.values():
        assert set(describe(recipe)) == set(defaults(recipe))
        recipe()  # the defaults are legal


def parameters_of(notebook: Any) -> dict[str, object]:
    """Names and literal values of the cell tagged `parameters`; fails on anything that is not a literal."""
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    values: dict[str, object] = {}
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.Assign), f"only `name = literal` lines: {ast.unparse(statement)}"
        (target,) = statement.targets
        assert isinstance(target, ast.Name)
        values[target.id] = ast.literal_eval(statement.value)
    return values


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipe_and_parameters_cell_agree(name: str) -> None:
    notebook = nbformat.read(notebooks_folder() / f"{name}.ipynb", as_version=4)
    cell, recipe = parameters_of(notebook), defaults(RECIPES[name])
    assert cell == recipe
    assert [type(value) for value in cell.values()] == [type(recipe[key]) for key in cell]


def test_every_notebook_has_a_recipe() -> None:
    assert {path.stem for path in notebooks_folder().glob("*.ipynb")} == set(RECIPES)
