"""Illegal parameters are refused with the legal ones, before anything starts."""

import pytest
from tiny_notebooks import Tiny

from stc_lab.errors import InputError
from stc_lab.experiments.recipes import parse, recipe_of
from stc_lab.experiments.report import report

pytestmark = pytest.mark.bad_input


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mode", "fancy", "mode .* must be one of plain, broken, got 'fancy'"),
        ("count", "11", "count .* must be a whole number from 0 to 10, got 11"),
        ("count", "2.5", "whole number from 0 to 10, got '2.5'"),
        ("count", "", "whole number"),
        ("scale", "wide", "scale .* must be a number, got 'wide'"),
        ("scale", "nan", "must be a number, got nan"),
        ("loud", "perhaps", "true or false, got 'perhaps'"),
        ("colour", "red", r"has no parameter 'colour'; it has\s+mode: one of plain, broken \(default plain\)"),
    ],
)
def test_illegal_values_list_the_legal_ones(name: str, value: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(Tiny, [(name, value)])


@pytest.mark.parametrize("value", [True, 2.0, "2", None])
def test_a_value_must_have_the_exact_type(value: object) -> None:
    with pytest.raises(InputError, match="whole number"):
        Tiny(count=value)


@pytest.mark.parametrize("wanted", ["", "7", "geometry", "0"])
def test_unknown_or_ambiguous_notebooks_list_the_known(wanted: str) -> None:
    with pytest.raises(InputError, match="there are 00_start_here, 01_data, 02_geometry_and_warping"):
        recipe_of(wanted)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, object()])
def test_a_metric_is_one_number(value: object) -> None:
    with pytest.raises(InputError, match="metric 'error' must be one number"):
        report({"error": value})
