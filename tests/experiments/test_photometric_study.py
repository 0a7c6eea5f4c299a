"""The study of photometric training: that its probes see what is known, and that its rows say what was run."""

import json
from dataclasses import replace

import pytest

from stc_lab.data.rooms import RoomsConfig, rooms_videos
from stc_lab.errors import InputError
from stc_lab.experiments import photometric_study
from stc_lab.experiments.photometric_probes import error_levels, focal_pull
from stc_lab.experiments.photometric_study import SETTINGS, photometric_row

CONFIG = RoomsConfig(
    train_scenes=4, val_scenes=1, test_scenes=1, frames=9, height=64, width=96, motion="tracking", clutter=2
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def train(folder):
    return rooms_videos("train", CONFIG, folder)


def test_the_error_prefers_the_true_depth_to_a_flat_one_and_any_warp_to_none(train, folder):
    (level,) = error_levels(train, strides=(2,), gaps=(2,), cache=folder)
    assert level.true_depth < level.flat_fitted < level.identity
    assert level.true_depth_fitted < level.flat_fitted
    assert 0 < level.contrast < 1


def test_a_far_too_long_lens_is_pulled_shorter_when_the_motion_follows(train, folder):
    """The fourth clip turns: with the true depth, a focal length twice too long explains it worse."""
    short, long = focal_pull(train, factors=(0.5, 2.0), cache=folder)
    assert short.followed < 0 < long.followed
    assert (short.factor, long.factor) == (0.5, 2.0)


def test_a_row_says_what_was_run(train, folder):
    val = rooms_videos("val", CONFIG, folder)
    row = photometric_row("true motion", train, val, steps=1, cache=folder)
    assert row.recipe["pose"] == "true"
    assert row.recipe["steps"] == row.steps == 1
    assert row.focal_error == pytest.approx(0, abs=1e-6)  # it was given
    assert 0 < row.constant < 1 and row.abs_rel > 0
    json.dumps(vars(row))


def test_every_setting_is_a_legal_recipe_of_its_own():
    recipes = {name: setting.recipe(10) for name, setting in SETTINGS.items() if not setting.start}
    assert len({str(recipe.to_dict()) for recipe in recipes.values()}) == len(recipes)
    assert recipes["gordon, published"].focal == "learned"
    assert recipes["monodepth2, published"].pose == "net"


def test_rows_that_are_there_are_not_run_again(tmp_path, monkeypatch):
    from click.testing import CliRunner

    out, ran = tmp_path / "study.json", []
    rows = {"rows": {"unit free, 7 steps, seed 0": {}}, "error_levels": [], "focal_pull": {}, "shipped": {}}
    out.write_text(json.dumps(rows))
    row = photometric_study.PhotometricRow("true motion", 7, 0.2, 0.6, 0.4, 0.0, 1.0, {})

    def instead(name, *args, **options):
        ran.append((name, options["seed"]))
        return replace(row, name=name)

    monkeypatch.setattr(photometric_study, "depth_rooms", lambda *args: None)
    monkeypatch.setattr(photometric_study, "photometric_row", instead)
    options = ["--out", str(out), "--steps", "7", "--setting", "unit free", "--setting", "true motion"]
    result = CliRunner().invoke(photometric_study.main, options)
    assert result.exit_code == 0, result.output
    assert ran == [("true motion", 0)]
    assert set(json.loads(out.read_text())["rows"]) == {"unit free, 7 steps, seed 0", "true motion, 7 steps, seed 0"}
    result = CliRunner().invoke(photometric_study.main, [*options, "--seed", "0", "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert ran[1:] == [("unit free", 3), ("true motion", 3)]


@pytest.mark.bad_input
def test_bad_input_is_refused(train, folder):
    with pytest.raises(InputError, match="settings are fitted motion"):
        photometric_row("luck", train, train, steps=1, cache=folder)
    with pytest.raises(InputError, match="no clip turns by more than 90"):
        focal_pull(train, turning=90.0, cache=folder)
