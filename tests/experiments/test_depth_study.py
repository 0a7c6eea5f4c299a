"""The study of the shipped depth net in miniature: kept seed by seed, summed up honestly, shipped whole or not."""

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_rooms import SMALL

from stc_lab.errors import InputError
from stc_lab.experiments import depth_study as module
from stc_lab.experiments.depth_rooms import DEPTH_ROOMS, depth_rooms
from stc_lab.experiments.depth_study import depth_study, ship_depth, study_seed, summary, thinned
from stc_lab.models import DepthFPN, load_model
from stc_lab.training.depth_evaluate import NET

BEST = "learned depth, fitted motion"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    """The rooms of `tiny` at a quarter of their width."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEPTH_ROOMS, "tiny", SMALL)
        yield


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture
def study(cache: Path, lines: list[str]) -> dict[str, Any]:
    return depth_study(preset="tiny", seeds=(0, 1), cache=cache, log=lines.append)


def test_it_says_all_there_is_to_say(study: dict[str, Any]) -> None:
    assert json.loads(json.dumps(study, allow_nan=False)) == study  # JSON knows no NaN
    assert study["seeds"] == [0, 1] and study["preset"] == "tiny" and study["command"] == "stc-lab train-depth"
    assert len(study["focal_ratio"]) == len(study["seconds"]) == 2
    assert study["rooms"] == SMALL.digest()
    assert {entry["stage"] for entry in study["history"]} == {"joint", "distil 1"}
    for split in ("val", "test"):
        scores = study[split]
        assert NET == BEST and set(scores["depth"]) == {NET, "whole clip", "best constant", "row mean"}
        value = scores["depth"][NET]["abs_rel"]
        assert value["mean"] == pytest.approx(np.mean(value["each"]))
        assert value["spread"] == pytest.approx(np.std(value["each"], ddof=1))
        assert set(scores["pairs"][NET]) == {"1", "2", "4"}
        assert scores["clips"]["each"] == [2, 2]
        assert scores["pairs"]["identity"]["1"]["direction"] == {"mean": None, "spread": None, "each": [None, None]}


def test_the_shipped_seed_is_the_best_on_validation_rooms(study: dict[str, Any]) -> None:
    each = study["val"]["depth"][BEST]["abs_rel"]["each"]
    assert study["shipped"] == study["seeds"][each.index(min(each))]


def test_a_seed_that_is_done_is_found_not_repeated(
    study: dict[str, Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **options: object) -> None:
        raise AssertionError("a seed that is done was trained again")

    monkeypatch.setattr(module, "train_depth", never)
    again = depth_study(preset="tiny", seeds=(1, 0), cache=cache, log=print)
    assert again["shipped"] == study["shipped"]
    assert again["test"]["depth"][BEST]["rmse"]["each"] == study["test"]["depth"][BEST]["rmse"]["each"][::-1]
    with pytest.raises(AssertionError, match="trained again"):
        study_seed(2, preset="tiny", cache=cache, log=print)


@pytest.mark.usefixtures("study")
def test_an_interrupted_seed_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    before = sorted(path.name for path in (cache / "depth_study").iterdir() if path.is_dir())
    monkeypatch.setattr(module, "evaluate_depth", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study_seed(3, preset="tiny", cache=cache, log=lambda line: None)
    assert sorted(path.name for path in (cache / "depth_study").iterdir() if path.is_dir()) == before
    assert len(before) == 2


def test_another_recipe_or_other_rooms_are_another_seed(
    study: dict[str, Any], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from stc_lab.training.depth_recipe import DepthRecipe

    assert study["recipe"] == DepthRecipe.preset("tiny", seed=0).to_dict()
    recipe = DepthRecipe.preset("tiny")
    names = {module._digest(recipe, "tiny"), module._digest(replace(recipe, sets=3), "tiny")}
    for change in ({"train_scenes": 3}, {"test_scenes": 5}, {"frames": 9}, {"dial": 0.5}):
        with monkeypatch.context() as patch:
            patch.setitem(DEPTH_ROOMS, "tiny", replace(SMALL, **change))
            names.add(module._digest(recipe, "tiny"))
    assert len(names) == 6


def test_what_is_shipped_is_the_best_seed_with_its_lens(study: dict[str, Any], cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "weights"
    path = ship_depth(out, preset="tiny", seeds=(0, 1), cache=cache, log=lambda line: None)
    assert path == out / "rooms_depth.safetensors"
    assert sorted(p.name for p in out.iterdir()) == ["rooms_depth.json", "rooms_depth.safetensors"]
    assert json.loads((out / "rooms_depth.json").read_text()) == study
    stored = load_model(path, DepthFPN)
    shipped = study["shipped"]
    assert stored.metadata["focal_ratio"] == study["focal_ratio"][study["seeds"].index(shipped)]
    assert stored.metadata["recipe"]["seed"] == shipped and stored.metadata["command"] == "stc-lab train-depth"
    net = load_model(study_seed(shipped, preset="tiny", cache=cache) / "net.safetensors", DepthFPN).model
    for name, value in net.state_dict().items():
        assert torch.equal(value, stored.model.state_dict()[name])


def test_steps_are_told_now_and_then(study: dict[str, Any], lines: list[str], cache: Path) -> None:
    assert study is not None
    assert any("reconstructing 2 clips" in line for line in lines)
    told: list[str] = []
    write = module._every(4, 7, told.append)
    for step in range(1, 10):
        write({"step": step, "steps": 9, "stage": "joint", "loss": 0.25, "focal_ratio": 0.7})
    assert told == [f"seed 7: step {step}/9 (joint), loss 0.250, focal length 0.700 of the width" for step in (4, 8)]


def test_a_summary_keeps_the_shape_and_sums_up_the_leaves() -> None:
    results = [{"a": {"b": value, "c": 1}, "d": math.nan} for value in (1.0, 2.0, 6.0)]
    found = summary(results)
    assert found["a"]["b"] == {"mean": 3.0, "spread": pytest.approx(np.std([1, 2, 6], ddof=1)), "each": [1.0, 2.0, 6.0]}
    assert found["a"]["c"] == {"mean": 1.0, "spread": 0.0, "each": [1.0, 1.0, 1.0]}
    assert found["d"] == {"mean": None, "spread": None, "each": [None, None, None]}
    assert results[0] == {"a": {"b": 1.0, "c": 1}, "d": pytest.approx(math.nan, nan_ok=True)}
    assert summary([{"a": 2}]) == {"a": {"mean": 2.0, "spread": None, "each": [2.0]}}
    some = summary([{"a": 2.0}, {"a": math.nan}, {"a": 4.0}])["a"]
    assert some == {"mean": 3.0, "spread": pytest.approx(math.sqrt(2)), "each": [2.0, None, 4.0]}


@settings(deadline=None)
@given(length=st.integers(1, 2000), most=st.integers(1, 300))
def test_a_history_is_thinned_evenly_and_keeps_its_end(length: int, most: int) -> None:
    history = [{"step": step} for step in range(1, length + 1)]
    kept = [entry["step"] for entry in thinned(history, most=most)]
    assert kept[-1] == length and len(kept) <= most
    assert kept == sorted(set(kept))
    if length <= most:
        assert len(kept) == length
    gaps = {b - a for a, b in itertools.pairwise(kept[:-1])}
    assert len(gaps) <= 1
    assert len(kept) >= min(length, most / 2)


@pytest.mark.bad_input
def test_unknown_presets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="preset must be one of tiny, quick, full, got 'paper'"):
        depth_rooms("train", "paper")
    with pytest.raises(InputError, match="preset must be one of"):
        depth_study(preset="paper", cache=tmp_path)
    with pytest.raises(InputError, match="split must be one of"):
        depth_rooms("valid", "tiny", tmp_path)
    assert not any(tmp_path.iterdir())
