"""Equalised strength: each term pulls at the net as hard as the uniform prior does, as it starts."""

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.losses import Objective
from stc_lab.training import FrameMemory, ObjectiveRecipe
from stc_lab.training.objective_step import StepMaker
from stc_lab.training.strengths import PRIORS, PSEUDO, equalised_terms, gradient_norms

CE = ("cross_entropy", 1.0)


def eq1(weight=0.3, **priors):
    return ("logits_consistency", weight, {**dict.fromkeys(PRIORS, 0.0), **priors})


def recipe_of(*terms, **changes):
    return ObjectiveRecipe(**{"terms": (CE, *terms), "gaps": (1, 2), "labelled": 6, "batch": 2, **changes})


def pull(model, memory, recipe, term, draws=3):
    """Mean gradient norm of one term over the draws of a run, by the sum of squares of each weight's own."""
    alone = ObjectiveRecipe(**{**recipe.__dict__, "terms": (term,), "anchored": 0.0})
    maker, norms = StepMaker(model, None, memory, alone, []), []
    for _ in range(draws):
        model.zero_grad()
        Objective([term])(maker.make().step).total.backward()
        norms.append(sum(float((w.grad**2).sum()) for w in model.parameters() if w.grad is not None) ** 0.5)
    return sum(norms) / draws


def test_after_equalising_all_terms_pull_alike(videos, new_model):
    model, memory = new_model().eval(), FrameMemory(videos)
    recipe = recipe_of(eq1(uniform=1.0, label_prior=1.0, pixel_prior=1.0), (PSEUDO, 0.3))
    (_, (_, weight, priors), (_, pseudo)), scales = equalised_terms(model, memory, recipe, draws=3)
    assert scales["uniform"] == 1.0
    found = {prior: pull(model, memory, recipe, eq1(weight, **{prior: priors[prior]})) for prior in PRIORS}
    found[PSEUDO] = pull(model, memory, recipe, (PSEUDO, pseudo))
    for name in ("label_prior", "pixel_prior", PSEUDO):
        assert found[name] == pytest.approx(found["uniform"], rel=1e-3)


def test_at_equal_weight_they_do_not(videos, new_model):
    norms = gradient_norms(new_model().eval(), FrameMemory(videos), recipe_of(eq1(uniform=1.0)), draws=3)
    assert max(norms.values()) > 1.5 * min(norms.values())


def test_measuring_changes_neither_the_net_nor_the_run(videos, new_model):
    model, memory = new_model().eval(), FrameMemory(videos)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = (gradient_norms(model, memory, recipe_of(eq1(uniform=1.0)), draws=3) for _ in range(2))
    assert first == again
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_known_scales_are_taken_as_they_are(videos, new_model):
    scales = {"uniform": 1.0, "label_prior": 0.5, "pixel_prior": 2.0, PSEUDO: 3.0}
    recipe = recipe_of(eq1(uniform=0.2, label_prior=0.4, pixel_prior=0.4), (PSEUDO, 0.3))
    terms, kept = equalised_terms(new_model(), FrameMemory(videos), recipe, scales=scales)
    assert kept == scales and terms[0] == CE
    assert terms[1] == ("logits_consistency", 0.3, {"uniform": 0.2, "label_prior": 0.2, "pixel_prior": 0.8})
    assert terms[2][1] == pytest.approx(0.9)


@pytest.mark.bad_input
def test_other_terms_have_no_such_strength(videos, new_model):
    with pytest.raises(InputError, match="only the terms of Pasad"):
        equalised_terms(new_model(), FrameMemory(videos), recipe_of(("teacher", 1.0)))
    with pytest.raises(InputError, match="spelled out"):
        equalised_terms(new_model(), FrameMemory(videos), recipe_of(("logits_consistency", 1.0)), scales={})
