"""A recipe of any objective: what it needs, what it refuses, and JSON and back."""

import json

import pytest

from stc_lab.errors import InputError
from stc_lab.losses import TERMS
from stc_lab.training import ObjectiveRecipe
from stc_lab.training.objective_recipe import NEEDS


def test_every_named_term_says_what_it_needs():
    assert set(NEEDS) == set(TERMS)


def test_a_recipe_needs_what_its_terms_need_and_no_more():
    assert ObjectiveRecipe().needs == {"labelled"}
    assert ObjectiveRecipe(terms=(("edge_loss_h", 1.0),)).needs == {"frames", "depth"}
    both = ObjectiveRecipe(terms=(("cross_entropy", 1.0), ("contrastive", 0.1)))
    assert both.needs == {"labelled", "pairs", "features", "teacher"}
    assert "teacher" not in ObjectiveRecipe(terms=both.terms, pseudo_labels=False).needs


def test_json_and_back():
    recipe = ObjectiveRecipe(
        terms=(("cross_entropy", 1), ("logits_consistency", 0.3, {"gradient": "warped"})), gaps=(1, 2), warp="identity"
    )
    assert recipe.terms == (("cross_entropy", 1.0), ("logits_consistency", 0.3, {"gradient": "warped"}))
    again = ObjectiveRecipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe and again.to_dict() == recipe.to_dict()


def test_a_recipe_may_do_without_labels():
    recipe = ObjectiveRecipe(terms=(("teacher", 1.0), ("pair_stability", 1.0)), labelled=0)
    assert recipe.needs == {"frames", "teacher", "clips", "flow"}


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terms": ()}, "at least one"),
        ({"terms": (("cross_entropy", -1.0),)}, "weight of cross_entropy must be a number from 0 up"),
        ({"terms": (("consistency", 1.0),)}, "there is no term 'consistency'; there are .*logits_consistency"),
        ({"terms": ((lambda step: step.logits.sum(), 1.0),)}, "functions cannot be written as JSON"),
        ({"terms": (("teacher", 1.0, {"temperature": 2}),)}, "the term teacher has no option temperature"),
        ({"warp": "none"}, "warp must be one of geometry, identity, got 'none'"),
        ({"flow": "exact"}, "flow must be one of rigid, dis"),
        ({"pairs_of": "all"}, "pairs_of must be one of videos, labelled"),
        ({"steps": 0}, "steps must be a whole number of 1 or more"),
        ({"clip_length": 1}, "clip_length must be a whole number of 2 or more"),
        ({"threshold": 1.0}, "threshold must be a number from 0 to 0.999"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"pseudo_labels": 1}, "pseudo_labels must be true or false"),
        ({"terms": (("logits_consistency", 1.0),), "pairs": 0}, "logits_consistency.* frames of pairs, .*pairs=0"),
        ({"terms": (("pair_stability", 1.0),), "clips": 0}, "pair_stability compare frames of clips, .*clips=0"),
        ({"terms": (("edge_loss_p", 1.0),), "frames": 0}, "frames=0"),
        ({"labelled": 0}, "labelled is 0, but labels are asked for"),
        ({"terms": (("logits_consistency", 1.0),), "labelled": 0}, "anchored=0"),
        (
            {"terms": (("contrastive", 1.0),), "labelled": 0, "anchored": 0, "pseudo_labels": False},
            "contrast without pseudo-labels",
        ),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(changes, message):
    with pytest.raises(InputError, match=message):
        ObjectiveRecipe(**changes)


@pytest.mark.bad_input
def test_a_strange_name_is_refused():
    with pytest.raises(InputError, match="a recipe has no weight; it has terms, labelled"):
        ObjectiveRecipe.from_dict({"weight": 0.3})
