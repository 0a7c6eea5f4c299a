"""The studies behind the notebooks: fusion, three ways to go on training, and a film without geometry."""

import pytest
import torch

from stc_lab.data import Clip, Videos, load
from stc_lab.data.rooms import RoomsConfig, render_video
from stc_lab.experiments.consistency_study import ROWS, consistency_study, example_pair
from stc_lab.experiments.film_study import exact_agreement, flow_agreement, flow_of_pairs, open_film
from stc_lab.experiments.fusion_study import fusion_study
from stc_lab.models import load_shipped
from stc_lab.training import fusion_ceiling


@pytest.fixture(scope="module")
def tiny() -> Videos:
    return load("rooms", split="test", preset="tiny")


def test_fusion_study_is_the_fusion_ceiling_with_its_pictures(tiny: Videos) -> None:
    model = load_shipped("rooms_fpn").model
    study = fusion_study(model, tiny)
    for row in ("single", "fused", "identity"):
        assert getattr(study.ceiling, row).miou == getattr(fusion_ceiling(model, tiny), row).miou
    assert len(study.gains) == len(tiny)
    (best,), median = study.largest(classes=2), study.median(classes=2)
    assert best.gain == max(gain.gain for gain in study.gains if gain.classes >= 2)
    assert min(g.gain for g in study.gains) <= median.gain <= best.gain
    assert len({gain.video for gain in study.largest(5, classes=1)}) == len(tiny.names)
    truth = tiny.clip(best.video)[best.index].label
    views = study.views[best.video]
    single, fused, identity = (
        float((getattr(views, row)[best.index] == truth[0]).double().mean()) for row in ("single", "fused", "identity")
    )
    assert fused - max(single, identity) == pytest.approx(best.gain)


def test_the_rows_of_the_study_differ_in_the_loss_alone(tiny: Videos) -> None:
    seen: dict[str, list[dict[str, float]]] = {}
    rows = consistency_study(
        load("rooms", split="train", preset="tiny"), tiny, steps=3, log=lambda name: seen.setdefault(name, []).append
    )
    assert [row.name for row in rows] == list(ROWS)
    assert len({row.result.labelled_rows for row in rows}) == 1
    first = [seen[name][0]["ce"] for name in ROWS]
    assert first == pytest.approx([first[0]] * len(first), rel=1e-5)  # same weights, same labelled batch
    assert "consistency" not in seen["no consistency loss"][0]
    parameters = [torch.cat([p.flatten() for p in row.model.parameters()]) for row in rows]
    assert not torch.equal(parameters[0], parameters[1]) and not torch.equal(parameters[1], parameters[2])


def test_the_example_pair_is_picked_by_its_rule(tiny: Videos) -> None:
    pair = example_pair(load_shipped("rooms_fpn").model, tiny, gap=1, classes=2, visible=0.3)
    assert pair.target.video == pair.source.video
    assert int(pair.source.index[0] - pair.target.index[0]) == 1
    assert pair.logits_target.shape == pair.warped.image.shape
    assert float(pair.warped.visible.float().mean()) >= 0.3


@pytest.fixture(scope="module")
def walk() -> Clip:
    config = RoomsConfig(motion="handheld", height=96, width=128, frames=5, dial=0.0)
    return render_video("rooms-test-0001", config)


def test_true_labels_agree_along_the_flow(walk: Clip) -> None:
    assert walk.label is not None
    agreement = flow_agreement(walk.label, *flow_of_pairs(walk, 1))
    assert len(agreement.warped) == len(walk) - 1
    assert agreement.mean("warped") > 0.97 > agreement.mean("identity")
    exact = exact_agreement(walk.label, walk, 1)
    assert sum(score.value for score in exact) / len(exact) > 0.99
    worst = agreement.warped[agreement.worst].value
    assert worst == min(score.value for score in agreement.warped)


def test_a_rooms_film_needs_no_training() -> None:
    film = open_film("rooms", steps=1)
    assert film.prediction.shape == film.clip.image[:, 0].shape
    assert 0 < film.scores().accuracy < 1
