"""The recipe: presets, JSON and messages that list what is legal."""

import json

import pytest

from stc_lab.errors import InputError
from stc_lab.training import PRESETS, SegmentationRecipe


def test_the_two_phases_differ_only_where_they_say():
    baseline, continuation = SegmentationRecipe.baseline(), SegmentationRecipe.continuation()
    assert baseline == SegmentationRecipe() and not baseline.uses_pairs
    assert continuation.uses_pairs and continuation.freeze_batch_norm
    assert (continuation.batch, continuation.pairs, continuation.weight, continuation.anchored) == (4, 4, 0.3, 0.2)
    assert continuation.gaps == (1, 2, 4, 8) and continuation.learning_rate == 1.5e-3
    assert (baseline.steps, baseline.batch, baseline.learning_rate) == (1500, 8, 3e-3)


@pytest.mark.parametrize("phase", ["baseline", "continuation"])
def test_quick_is_shorter(phase):
    make = getattr(SegmentationRecipe, phase)
    assert set(PRESETS[phase]) == {"quick", "full"}
    assert make("quick").steps < make("full").steps and make("quick").labelled < make("full").labelled


def test_changes_go_over_the_preset_and_json_brings_a_recipe_back():
    recipe = SegmentationRecipe.continuation("quick", warp="identity", weight=1, gaps=[2, 4])
    assert recipe.warp == "identity" and recipe.weight == 1.0 and isinstance(recipe.weight, float)
    assert SegmentationRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_controls_without_loss_use_no_pairs():
    assert not SegmentationRecipe.continuation(warp="none").uses_pairs
    assert not SegmentationRecipe.continuation(weight=0.0).uses_pairs
    assert SegmentationRecipe.continuation(warp="identity").uses_pairs


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warp": "no"}, "warp must be one of geometry, identity, none, got 'no'"),
        ({"gradient": "all"}, "gradient must be one of both, warped, target"),
        ({"steps": 0}, "steps must be a whole number of 1 or more, got 0"),
        ({"steps": 10.5}, "steps must be a whole number"),
        ({"batch": True}, "batch must be a whole number"),
        ({"flip": 1}, "flip must be true or false, got 1"),
        ({"anchored": 1.5}, "anchored must be a number from 0 to 1, got 1.5"),
        ({"weight": float("nan")}, "weight must be a number of 0 or more, got nan"),
        ({"weight": "0.3"}, "weight must be a number of 0 or more, got '0.3'"),
        ({"gaps": []}, r"gaps must be whole numbers of 1 or more, got \(\)"),
        ({"gaps": (1, -2)}, "gaps must be whole numbers of 1 or more"),
        ({"zoom": 0.5}, "zoom must be a number from 1 to 4"),
        ({"lamda": 0.3}, "a recipe has no lamda; it has labelled, batch, steps, .*weight"),
        ({"uniform": 0, "label_prior": 0, "pixel_prior": 0}, "are all 0.*warp='none'"),
    ],
)
def test_illegal_values_are_refused_with_the_legal_ones(changes, message):
    with pytest.raises(InputError, match=message):
        SegmentationRecipe.continuation(**changes)


@pytest.mark.bad_input
def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(InputError, match="preset must be one of full, quick, got 'paper'"):
        SegmentationRecipe.baseline("paper")
