"""Methods side by side: rows differ in their terms alone, and the table says what came of it."""

import copy
import math

import pytest
import torch

from stc_lab.data import Videos, load
from stc_lab.data.rooms import RoomsConfig, rooms_videos
from stc_lab.errors import InputError
from stc_lab.experiments.method_study import (
    CONTROLS,
    METHODS,
    MethodRow,
    method_recipe,
    method_study,
    method_table,
    tried_recipes,
)
from stc_lab.geometry import RigidFlow
from stc_lab.losses import all_pairs, pair_flows
from stc_lab.metrics import e_cons, video_consistency
from stc_lab.models import FPNSegmenter
from stc_lab.training import evaluate, predict


@pytest.fixture(scope="module")
def tiny() -> Videos:
    return load("rooms", split="train", preset="tiny")


@pytest.fixture(scope="module")
def long_clip() -> Videos:
    return rooms_videos("test", RoomsConfig(test_scenes=1, frames=17, height=32, width=48))


@pytest.fixture
def start() -> FPNSegmenter:
    return FPNSegmenter(21, (8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(0))


def weights_of(model: FPNSegmenter) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def test_all_methods_see_the_same_labels_and_differ_in_what_they_learn(
    tiny: Videos, long_clip: Videos, start: FPNSegmenter
) -> None:
    recipes = {name: method_recipe(name, tiny, steps=2, threshold=0.0) for name in [*METHODS, *CONTROLS]}
    before, logs = weights_of(start), {}
    rows = method_study(recipes, tiny, long_clip, start=start, log=lambda name: logs.setdefault(name, []).append)
    assert [row.name for row in rows] == list(recipes) == list(logs)
    assert torch.equal(weights_of(start), before)
    results = [row.result for row in rows]
    assert len({result.labelled_rows for result in results}) == 1 and len(results[0].labelled_rows) == 6
    first = [logs[name][0]["cross_entropy"] for name in recipes]
    assert first == pytest.approx([first[0]] * len(first), rel=1e-4)
    # Pairs of one or another length may show nothing, but no two methods end with the same net.
    assert len({float(weights_of(row.model).double().sum()) for row in rows}) == len(rows)
    assert [row.result.head is not None for row in rows] == ["STCL" in row.name for row in rows]


def test_a_control_is_its_method_without_the_warp(tiny: Videos) -> None:
    for name in CONTROLS:
        method, control = method_recipe(name.removesuffix(", identity warp"), tiny), method_recipe(name, tiny)
        assert {**method.to_dict(), "warp": "identity"} == control.to_dict() != method.to_dict()


def test_the_settings_tried_can_be_repeated_and_the_first_is_the_method(tiny: Videos) -> None:
    for name in METHODS:
        rows = tried_recipes(name, tiny, steps=7)
        assert next(iter(rows.values())) == method_recipe(name, tiny, steps=7)
        assert len(rows) == (1 if name == "no extra loss" else 3) and all(row.startswith(name) for row in rows)
    assert next(iter(tried_recipes("L_h", tiny))) == "L_h, edge_loss_h 0.3"


def test_measures_are_those_of_the_predictions(tiny: Videos, long_clip: Videos, start: FPNSegmenter) -> None:
    (row,) = method_study({"as it is": None}, tiny, long_clip, start=start)
    assert row.result is None
    clip = long_clip.clip(long_clip.names[0])
    prediction = predict(copy.deepcopy(start).eval(), clip.image)
    flows = pair_flows(clip, RigidFlow(), pairs=all_pairs(17, farthest=3), check=None)
    measures, evaluation = row.measures(), evaluate(start, long_clip)
    assert measures["E_cons"] == pytest.approx(e_cons(prediction, flows, normalise="none").value)
    assert measures["VC16"] == pytest.approx(video_consistency(prediction, clip.label, 16).value)
    assert measures["mIoU"] == evaluation.scores.miou and measures["VC8"] == evaluation.video_consistency.value


def test_what_a_short_clip_cannot_tell_is_no_number(tiny: Videos, start: FPNSegmenter) -> None:
    (row,) = method_study({"as it is": None}, tiny, load("rooms", split="test", preset="tiny"), start=start)
    assert math.isnan(row.measures()["VC16"]) and not math.isnan(row.measures()["E_cons"])


def test_the_table_means_over_seeds_and_pairs_gains_by_seed(
    tiny: Videos, long_clip: Videos, start: FPNSegmenter
) -> None:
    recipes = {name: method_recipe(name, tiny, steps=2, learning_rate=1e-2) for name in ("no extra loss", "L_h")}
    titles: list[str] = []

    def log(title: str):
        titles.append(title)
        return lambda entry: None

    rows = method_study({"start": None, **recipes}, tiny, long_clip, seeds=(0, 3), start=start, log=log)
    assert [(row.name, row.seed) for row in rows] == [
        ("start", 0), ("no extra loss", 0), ("no extra loss", 3), ("L_h", 0), ("L_h", 3),
    ]  # fmt: skip
    assert titles[:2] == ["no extra loss, seed 0", "no extra loss, seed 3"]
    of: dict[str, list[MethodRow]] = {name: [row for row in rows if row.name == name] for name in recipes}
    _, base, entry = method_table(rows)
    values = torch.tensor([row.measures()["accuracy"] for row in of["L_h"]], dtype=torch.float64)
    bases = torch.tensor([row.measures()["accuracy"] for row in of["no extra loss"]], dtype=torch.float64)
    assert entry["method"] == "L_h" and entry["seeds"] == 2
    assert entry["accuracy"] == pytest.approx(float(values.mean()))
    assert entry["accuracy spread"] == pytest.approx(float(values.std()))
    assert entry["accuracy gain"] == pytest.approx(float((values - bases).mean()))
    assert entry["accuracy gain spread"] == pytest.approx(float((values - bases).std()))
    assert base["accuracy gain"] == 0
    assert "accuracy gain" not in method_table(rows, base="none")[0]
    assert math.isnan(method_table(rows[:1])[0]["mIoU spread"])


@pytest.mark.bad_input
def test_what_is_no_method_is_refused(tiny: Videos) -> None:
    with pytest.raises(InputError, match=r"no method is called 'SCTL'; there are no extra loss, Eq\. 1"):
        method_recipe("SCTL", tiny)
    with pytest.raises(InputError, match=r"no method is called 'Eq\. 2'"):
        tried_recipes("Eq. 2", tiny)
    with pytest.raises(InputError, match="a study needs at least one row"):
        method_study({}, tiny, tiny)
