"""The knobs of learning depth: their presets, their way through JSON, and what they refuse."""

import json

import pytest

from stc_lab.errors import InputError
from stc_lab.training.depth_recipe import PRESETS, DepthRecipe


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_recipes_survive_json(preset: str) -> None:
    recipe = DepthRecipe.preset(preset, seed=7)
    assert DepthRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.seed == 7


def test_presets_are_differences_from_the_study_that_get_shorter() -> None:
    full, quick, tiny = (DepthRecipe.preset(name) for name in ("full", "quick", "tiny"))
    assert full == DepthRecipe() and full.focal == 0
    steps = [recipe.joint_steps + recipe.rounds * recipe.distil_steps for recipe in (full, quick, tiny)]
    assert steps == sorted(steps, reverse=True) and len(set(steps)) == 3


BAD = {
    "steps below one": ({"joint_steps": 0}, "joint_steps must be a whole number from 1 to 1e.06, got 0"),
    "half a step": ({"distil_steps": 1.5}, "distil_steps must be a whole number"),
    "steps that are words": ({"joint_steps": "400"}, "got '400'"),
    "truth for a number": ({"sets": True}, "sets must be a whole number"),
    "a rate of NaN": ({"learning_rate": float("nan")}, "learning_rate must be a number"),
    "an infinite weight": ({"smoothness": float("inf")}, "smoothness must be a number"),
    "a doubt below zero": ({"doubt": -0.1}, "doubt must be a number from 0 to 10, got -0.1"),
    "no deviation": ({"flow_deviation": 0.0}, "flow_deviation must be a number from 0.001"),
    "no start": ({"first_focal": 0.0}, "first_focal must be a number from 0.1"),
    "strides that do not fit": ({"flow_stride": 3}, "flow_stride must be a multiple of net_stride, got 3 and 2"),
    "a seed below zero": ({"seed": -1}, "seed must be a whole number from 0"),
    "nothing": ({"turning": None}, "turning must be a number from 0 to 180, got None"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused(case: str) -> None:
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message):
        DepthRecipe.preset("tiny", **changes)


@pytest.mark.bad_input
def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="preset must be one of full, quick, tiny, got 'paper'"):
        DepthRecipe.preset("paper")
    with pytest.raises(InputError, match="a depth recipe has no speed, steps; it has joint_steps, rounds"):
        DepthRecipe.from_dict({"steps": 1, "speed": 2, "seed": 3})
