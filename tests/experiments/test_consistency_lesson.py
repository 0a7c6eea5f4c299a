"""Eq. 1 beyond its priors: directions, who learns, what a loss spends itself on, and a net that collapses."""

import pytest
import torch

from stc_lab.data import Videos, load
from stc_lab.errors import InputError
from stc_lab.experiments.consistency_lesson import (
    BASE,
    EQ1,
    IDENTITY,
    START,
    both_ways,
    collapse_rows,
    collapse_study,
    gradient_maps,
    lesson_rows,
    on_agreeing_pixels,
    paper_table,
)
from stc_lab.experiments.consistency_study import ExamplePair, example_pair
from stc_lab.experiments.method_study import method_table
from stc_lab.losses import consistency_map, logits_consistency
from stc_lab.models import load_shipped


@pytest.fixture(scope="module")
def train() -> Videos:
    return load("rooms", split="train", preset="tiny")


@pytest.fixture(scope="module")
def test_videos() -> Videos:
    return load("rooms", split="test", preset="tiny")


@pytest.fixture(scope="module")
def pair(test_videos: Videos) -> ExamplePair:
    return example_pair(load_shipped("rooms_fpn").model, test_videos, gap=2, classes=2, visible=0.2)


def test_the_way_there_is_the_pair_and_the_way_back_shows_the_other_frame(pair: ExamplePair) -> None:
    there, back = both_ways(pair).values()
    assert torch.equal(there.warped.image, pair.warped.image) and torch.equal(there.logits_target, pair.logits_target)
    assert torch.equal(back.logits_target, pair.logits_source) and torch.equal(back.edges_target, pair.edges_source)
    assert int(there.warped.visible.sum()) != int(back.warped.visible.sum())


def test_who_learns(pair: ExamplePair) -> None:
    found = gradient_maps(pair)
    (here, there), (held, warped), (target, still) = found["both"], found["warped"], found["target"]
    assert not held.any() and not still.any()
    assert torch.equal(here, target) and torch.equal(there, warped)
    assert not here[~pair.warped.visible[0]].any() and here[pair.warped.visible[0]].all()
    # Bilinear weights add up to one: what the warped frame gets is what the target frame gets, but for what cancels.
    assert 0.5 * here.sum() < there.sum() <= here.sum() * 1.0001


def test_shares_on_agreeing_pixels_are_those_of_the_maps(pair: ExamplePair) -> None:
    shares = on_agreeing_pixels(pair)
    seen = pair.warped.visible[0]
    same = (pair.logits_target.argmax(1) == pair.warped.image.argmax(1))[0]
    assert shares["visible pixels"] == pytest.approx(float(same[seen].double().mean()))
    own = consistency_map(pair.warped, pair.logits_target, pair.edges)["label_prior"][0]
    assert shares["Eq. 1, label prior"] == pytest.approx(float(own[seen & same].sum() / own[seen].sum()), rel=1e-5)
    assert list(shares)[1:] == ["Eq. 1, uniform", "Eq. 1, label prior", "Eq. 1, pixel prior", "pseudo-label CE"]
    assert shares["pseudo-label CE"] < shares["visible pixels"]  # where labels differ a cross-entropy is over log 2


def test_rows_differ_in_what_they_say(train: Videos) -> None:
    rows = lesson_rows(train, steps=3)
    assert next(iter(rows)) == START and rows[START] is None
    recipes = {name: recipe for name, recipe in rows.items() if recipe is not None}
    assert len({str(recipe.to_dict()) for recipe in recipes.values()}) == len(recipes) == 7
    assert {recipe.labelled for recipe in recipes.values()} == {len(train.names)}
    assert recipes[EQ1].to_dict() == {**recipes[IDENTITY].to_dict(), "warp": "geometry"}
    one_sided = recipes["Eq. 1, only the warped frame learns"].terms
    assert one_sided[1][2] == {"gradient": "warped"} and one_sided[0] == recipes[EQ1].terms[0]


def test_pressing_too_hard_without_labels_flattens_the_net(train: Videos, test_videos: Videos) -> None:
    sane, hard, blind = collapse_study(train, test_videos, steps=24, looks=2)
    assert sane.steps == hard.steps == blind.steps == (0, 12, 24)
    assert sane.miou[0] == hard.miou[0] == blind.miou[0]
    assert blind.miou[-1] < 0.5 * blind.miou[0] and blind.agreement[-1] > blind.agreement[0] + 0.2
    images = test_videos.clip(test_videos.names[0]).image
    assert sane.labels(images).shape == images[:, 0].shape
    said = load_shipped("rooms_fpn").model(images).argmax(1)
    assert len(blind.labels(images).unique()) < len(said.unique())


def test_the_rows_of_a_collapse(train: Videos) -> None:
    sane, hard, blind = collapse_rows(train, steps=5).values()
    assert hard.terms[0] == sane.terms[0] and hard.terms[1][1] > 30 * sane.terms[1][1]
    assert blind.terms == hard.terms[1:] and blind.labelled == 0


@pytest.mark.bad_input
def test_looks_must_fit_into_the_steps(train: Videos, test_videos: Videos) -> None:
    with pytest.raises(InputError, match="looks must be from 1 to the 3 steps"):
        collapse_study(train, test_videos, steps=3, looks=4)


def test_the_loss_on_a_pair_is_its_way_there(pair: ExamplePair) -> None:
    there = both_ways(pair)["t + 2 into t"]
    loss = logits_consistency(there.warped, there.logits_target, pair.edges)
    assert float(loss.total) == pytest.approx(
        float(logits_consistency(pair.warped, pair.logits_target, pair.edges).total)
    )


class _Row:
    def __init__(self, name: str, seed: int, miou: float) -> None:
        self.name, self.seed, self.miou = name, seed, miou

    def measures(self) -> dict[str, float]:
        return {"mIoU": self.miou, "accuracy": 0.5, "temporal agreement": 0.6, "VC8": 0.7}


def test_the_papers_table_has_gains_and_published_numbers() -> None:
    rows = [_Row(START, 0, 0.3)]
    rows += [_Row(BASE, s, 0.25 + 0.01 * s) for s in (0, 1)]
    rows += [_Row(EQ1, s, 0.26 + 0.02 * s) for s in (0, 1)]
    columns, table = paper_table(method_table(rows))
    assert columns[0] == "mIoU" and columns[-1] == "mIoU published"
    assert table[BASE][0] == "25.5 ± 0.7" and table[BASE][-1] == "39.8"
    assert table[EQ1][0] == "+1.5 ± 0.7" and table[EQ1][-1] == "+3.5"
    assert table[START][0] == "30.0" and table[START][-1] == ""
