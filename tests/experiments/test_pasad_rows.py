"""Rows of Pasad's tables at the size that only runs: nested labels, runs that go on, scores that are of fresh rooms."""

import dataclasses
import json
from itertools import pairwise

import pytest
import torch

from stc_lab.data import supervised_rows
from stc_lab.data.rooms import PRESETS, rooms_videos
from stc_lab.errors import InputError
from stc_lab.experiments import pasad_rows
from stc_lab.experiments.pasad_profiles import FRESH
from stc_lab.experiments.pasad_rows import (
    ABLATION,
    MODEL,
    PROFILES,
    ROWS,
    baseline_recipe,
    evaluate_model,
    judging_videos,
    learn_geometry,
    planned_rows,
    profile_of,
    render,
    row_recipe,
    train_baseline,
    train_row,
    training_videos,
)
from stc_lab.models import load_model
from stc_lab.training import FrameMemory

TINY = PROFILES["tiny"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A baseline with the fewest labels, and a folder for what goes on from it."""
    folder = tmp_path_factory.mktemp("pasad")
    train_baseline(TINY, 3, 0, folder=folder / "baseline")
    return folder


def weights(file):
    return load_model(file).model.state_dict()


def same(a, b):
    a, b = weights(a), weights(b)
    return all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.parametrize("seed", [0, 3])
def test_frames_of_a_count_are_among_those_of_every_larger_one(seed):
    videos = training_videos(TINY)
    counts = (*TINY.counts, 20)
    sets = [set(supervised_rows(videos, count, seed=seed)) for count in counts]
    assert [len(rows) for rows in sets] == list(counts)
    assert all(few < more for few, more in pairwise(sets))


def test_profiles_say_all_that_is_run():
    for profile in PROFILES.values():
        assert list(profile.counts) == sorted(set(profile.counts)) and profile.ablation_count in profile.counts
        planned = planned_rows(profile)
        assert len(planned) == len(set(planned))
        assert {row for row, *_ in planned} <= {*ROWS, *ABLATION}
        for rows, counts in ((profile.rows, profile.counts), (profile.more_rows, profile.more_counts)):
            assert set(counts) <= set(profile.counts)
            for row in rows:
                found = {(count, seed) for name, count, seed, _ in planned if name == row}
                assert found >= {(count, seed) for count in counts for seed in profile.seeds}
    assert len(PROFILES["full"].counts) == 6 and len(PROFILES["full"].seeds) >= 5
    assert {*PROFILES["full"].rows, *PROFILES["full"].more_rows} == set(ROWS) and set(PROFILES["full"].ablation) == set(
        ABLATION
    )


def test_table_2_has_each_row_at_each_strength_but_for_what_it_shares_with_table_1():
    planned = planned_rows(PROFILES["full"])
    of_table_2 = {(row, strength) for row, _, _, strength in planned if row not in ROWS}
    expected = {
        (row, strength) for row in set(ABLATION) - {"baseline continued"} for strength in PROFILES["full"].strengths
    }
    assert of_table_2 == expected - {("all three", "equal weight")}
    assert row_recipe(TINY, "all three", 3, 0) == row_recipe(TINY, "consistency", 3, 0)


def test_rows_differ_from_the_baseline_continued_in_what_they_are_named_for():
    base = row_recipe(TINY, "baseline continued", 3, 0)
    for name in ROWS:
        recipe = row_recipe(TINY, name, 3, 0)
        changed = {f.name for f in dataclasses.fields(recipe) if getattr(recipe, f.name) != getattr(base, f.name)}
        assert changed <= {"terms", "tolerance", *ROWS[name].changes}
    consistency = row_recipe(TINY, "consistency", 3, 0)
    assert consistency.terms[1] == (
        "logits_consistency",
        0.3,
        {"uniform": 0.2, "label_prior": 0.4, "pixel_prior": 0.4},
    )
    assert consistency.freeze_batch_norm and consistency.anchored == 0.2
    assert baseline_recipe(PROFILES["full"], 100, 0).steps == 3000


@pytest.mark.parametrize("row", [*ROWS, *ABLATION])
def test_every_row_runs(runs, row):
    folder = runs / row
    train_row(TINY, row, 3, 0, start=runs / "baseline" / MODEL, folder=folder)
    assert not same(folder / MODEL, runs / "baseline" / MODEL)
    assert sorted(path.name for path in folder.iterdir()) == [MODEL]


def test_a_row_is_the_same_every_time(runs):
    for folder in ("first", "again"):
        train_row(TINY, "another room", 3, 0, start=runs / "baseline" / MODEL, folder=runs / folder)
    assert same(runs / "first" / MODEL, runs / "again" / MODEL)
    train_row(TINY, "another room", 3, 1, start=runs / "baseline" / MODEL, folder=runs / "other seed")
    assert not same(runs / "first" / MODEL, runs / "other seed" / MODEL)


class Killed(BaseException):
    pass


def kill(entry):
    if entry["step"] == 5:
        raise Killed


@pytest.mark.parametrize(("row", "strength"), [("consistency", "equal weight"), ("all three", "equalised")])
def test_a_killed_row_goes_on_from_its_checkpoint_bit_by_bit(runs, monkeypatch, row, strength):
    monkeypatch.setattr(pasad_rows, "CHECKPOINT_EVERY", 2)
    start, parts = runs / "baseline" / MODEL, []
    whole, killed = runs / f"{row} whole", runs / f"{row} killed"
    train_row(TINY, row, 3, 0, start=start, folder=whole, strength=strength)
    with pytest.raises(Killed):
        train_row(TINY, row, 3, 0, start=start, folder=killed, strength=strength, log=kill)
    assert not (killed / MODEL).exists()
    train_row(TINY, row, 3, 0, start=start, folder=killed, strength=strength, log=parts.append)
    assert [entry["step"] for entry in parts] == [5, 6]
    assert same(whole / MODEL, killed / MODEL)


def test_a_killed_baseline_goes_on_bit_by_bit(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(pasad_rows, "CHECKPOINT_EVERY", 2)
    with pytest.raises(Killed):
        train_baseline(TINY, 3, 0, folder=tmp_path, log=kill)
    parts: list[dict] = []
    train_baseline(TINY, 3, 0, folder=tmp_path, log=parts.append)
    assert parts[0]["step"] == 5
    assert same(tmp_path / MODEL, runs / "baseline" / MODEL)


def test_what_is_there_is_left_alone(runs):
    before = (runs / "baseline" / MODEL).stat().st_mtime_ns
    train_baseline(TINY, 3, 0, folder=runs / "baseline", log=kill)
    assert (runs / "baseline" / MODEL).stat().st_mtime_ns == before


def test_equalised_strengths_are_stated_and_kept(runs):
    folder = runs / "equalised"
    train_row(TINY, "pixel prior", 3, 0, start=runs / "baseline" / MODEL, folder=folder, strength="equalised")
    notes = load_model(folder / MODEL).metadata
    kept = json.loads((folder / pasad_rows.STRENGTHS).read_text())
    assert notes["scales"] == kept and kept["uniform"] == 1.0 and kept["pixel_prior"] != 1.0
    assert notes["recipe"]["terms"][1][2]["pixel_prior"] == kept["pixel_prior"]
    assert notes["strength"] == "equalised"


def test_scores_are_those_of_the_model_and_fit_one_another(runs):
    scores = evaluate_model(TINY, runs / "baseline" / MODEL)
    json.dumps(scores)
    confusion = torch.tensor(scores["confusion"], dtype=torch.float64)
    assert confusion.sum() == 32 * 48 * 10 * TINY.test_rooms
    assert scores["accuracy"] == pytest.approx(float(confusion.diagonal().sum() / confusion.sum()))
    true = confusion.sum(dim=1)
    for number, (name, recall) in enumerate(scores["recall"].items()):
        expected = None if true[number] == 0 else float(confusion[number, number] / true[number])
        assert recall == (None if expected is None else pytest.approx(expected, abs=1e-6))
        assert scores["frequency"][name] == pytest.approx(float(true[number] / true.sum()), abs=1e-6)
    known = [value for value in scores["iou"].values() if value is not None]
    assert scores["miou"] == pytest.approx(sum(known) / len(known), abs=1e-5)
    assert sum(scores["train_frequency"].values()) == pytest.approx(1, abs=1e-4)
    assert (scores["kind"], scores["row"], scores["count"], scores["seed"]) == ("baseline", "baseline", 3, 0)
    assert 0 <= scores["temporal_agreement"] <= 1 and scores["steps"] == TINY.baseline_steps and scores["seconds"] > 0


def test_the_full_study_has_test_rooms_of_its_own():
    videos = judging_videos(TINY, "test")
    own = judging_videos(dataclasses.replace(TINY, first_test_room=3), "test")
    assert len(videos.names) == len(own.names) == TINY.test_rooms
    whole = rooms_videos("test", dataclasses.replace(PRESETS["tiny"], test_scenes=3 + TINY.test_rooms))
    assert [*videos.names, *own.names] == [*whole.names[: TINY.test_rooms], *whole.names[3:]]
    assert torch.equal(own.frames([0]).image, whole.frames([whole.row(whole.names[3], 0)]).image)
    for profile in PROFILES.values():
        last = profile.first_test_room + profile.test_rooms
        assert last <= FRESH or profile.first_test_room == FRESH, profile.name
    assert all(name.startswith("rooms-val") for name in judging_videos(TINY, "validation").names)


def test_preparing_says_what_there_is():
    assert render(TINY) == {"training": 30, "validation": 20, "test": 10 * TINY.test_rooms}
    found = learn_geometry(TINY)
    assert found["videos"] == 3 and 0.5 < found["focal_ratio"] < 2
    learned = training_videos(TINY, geometry="learned")
    exact = training_videos(TINY)
    assert torch.equal(learned.frames([0, 12]).image, exact.frames([0, 12]).image)
    assert not torch.allclose(learned.frames([0, 12]).depth, exact.frames([0, 12]).depth)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: row_recipe(TINY, "everything", 3, 0), "no row is called 'everything'"),
        (lambda: row_recipe(TINY, "uniform", 3, 0, strength="strong"), "strength must be one of"),
        (lambda: profile_of("huge"), "no profile is called 'huge'"),
        (lambda: judging_videos(TINY, "train"), "validation or test"),
    ],
)
def test_unknown_names_are_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_kept_edges_are_those_that_training_finds(monkeypatch):
    videos = training_videos(TINY)
    memory = FrameMemory(videos)
    found = memory.edges([4, 17], memory.frames([4, 17]).image, stride=2)
    kept = pasad_rows.kept_edges(TINY, 2)
    assert kept.shape == (len(videos), 16, 24) and torch.equal(kept[[4, 17]], found)
    assert bool(found.any()) and not bool(found.all())
    told = FrameMemory(videos)
    told.know_edges(kept, stride=2)
    monkeypatch.setattr("stc_lab.training.memory.image_edges", None)
    assert torch.equal(told.edges([4, 17], memory.frames([4, 17]).image, stride=2), found)


@pytest.mark.bad_input
def test_edges_of_other_videos_are_refused():
    with pytest.raises(InputError, match="those of all 30 frames, got 3"):
        FrameMemory(training_videos(TINY)).know_edges(torch.zeros(3, 16, 24, dtype=torch.bool), stride=2)
