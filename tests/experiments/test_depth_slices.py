"""Learning from a real clip: it runs on each slice, uses no truth, and says what the slice does not know."""

import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from stc_lab.data.rooms import RoomsConfig, rooms_videos
from stc_lab.errors import InputError
from stc_lab.experiments import depth_slices
from stc_lab.experiments.depth_slice_results import CLIPS, UNKNOWN, slices_table
from stc_lab.experiments.depth_slices import (
    RECIPE,
    ROWS,
    SLICE_SIZES,
    SliceResult,
    ground_start,
    kept_slices,
    learn_slice,
    open_slice,
)
from stc_lab.training.depth_matches import matched_clips

SHORT = replace(RECIPE, joint_steps=4, distil_steps=4, sets=1)
CONFIG = RoomsConfig(
    train_scenes=1, val_scenes=1, test_scenes=1, frames=9, height=64, width=96, motion="tracking", clutter=2
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SliceResult:
    """A rendered clip in place of a real one."""
    folder = tmp_path_factory.mktemp("cache")
    return learn_slice("room", rooms_videos("train", CONFIG, folder), SHORT, cache=folder)


def test_a_ground_start_is_near_below_and_far_above(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("ground")
    clips = matched_clips(rooms_videos("train", CONFIG, folder), cache=folder)
    net = ground_start(clips, SHORT).eval()
    with torch.no_grad():
        depth = net(clips[0].images())
    rows = depth.median(dim=3).values.mean(dim=(0, 1))
    assert 3 < float(rows[0] / rows[-1]) < 5
    assert bool((rows.unfold(0, 8, 8).mean(dim=1).diff() < 0).all())
    assert float(depth.log().mean().exp()) == pytest.approx(2.5, rel=0.1)


def test_every_row_is_judged_on_the_same_pixels(result: SliceResult) -> None:
    assert set(result.photometric) == set(ROWS)
    errors = [result.photometric[row] for row in ("true", "constant depth", "identity")]
    assert errors == sorted(errors)
    assert result.photometric["whole clip"] < result.photometric["identity"]


def test_parallax_is_what_a_flat_world_lacks(result: SliceResult) -> None:
    """By pixel positions, written out: where a point lands at its own depth and at the clip's median depth."""
    clip, found = result.clip, result.parallax
    assert found is not None
    here = clip.depth[range(0, len(clip) - 2, 2)]
    median = float(here.median())
    far = []
    for number, i in enumerate(range(0, len(clip) - 2, 2)):
        T = torch.linalg.inv(clip.T_world_camera[i + 2]) @ clip.T_world_camera[i]
        K = clip.camera.K[i]
        y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
        rays = torch.linalg.inv(K) @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)
        landed = []
        for z in (here[number, 0].flatten(), torch.tensor(median)):
            points = K @ (T[:3, :3] @ (rays * z) + T[:3, 3:])
            landed.append(points[:2] / points[2])
        far.append((landed[0] - landed[1]).norm(dim=0))
    assert found["by depth"] == pytest.approx(float(torch.cat(far).median()), rel=1e-2)
    assert found["median depth"] == pytest.approx(median)
    assert 0 < found["flow off"] < 1


def test_a_row_is_json_and_a_table_says_what_is_unknown(result: SliceResult) -> None:
    row = json.loads(json.dumps(result.row()))
    assert row["frames"] == 9 and row["recipe"] == SHORT.to_dict() and row["abs_rel"].keys() == result.abs_rel.keys()
    blind = row | {"abs_rel": None, "motion": None, "focal_error": None, "parallax": None}
    blind["photometric"] = {name: value for name, value in row["photometric"].items() if name != "true"}
    lines = slices_table({"rows": {"camvid": blind, "icl": row}}).splitlines()
    assert lines[0] == f"| | {CLIPS['icl']} | {CLIPS['camvid']} |"
    assert all(line.count("|") == 4 for line in lines)
    columns = [line.split(" | ") for line in lines[2:]]
    assert not any(UNKNOWN in here for _, here, _ in columns)
    assert sum(UNKNOWN in there for _, _, there in columns) == 9
    assert f"{100 * row['photometric']['identity']:.2f}" in {here for _, here, _ in columns}


def test_slices_that_are_there_are_not_learned_again(
    result: SliceResult, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "slices.json"
    out.write_text(json.dumps({"rows": {"kitti": {}}}))
    learned = []

    def instead(source: str, videos: object, **options: object) -> SliceResult:
        learned.append(source)
        return result

    monkeypatch.setattr(depth_slices, "open_slice", lambda source: None)
    monkeypatch.setattr(depth_slices, "learn_slice", instead)
    answer = CliRunner().invoke(depth_slices.main, ["--out", str(out), "--trial", "kitti", "--trial", "icl"])
    assert answer.exit_code == 0, answer.output
    assert learned == ["icl"]
    assert set(kept_slices(out)["rows"]) == {"kitti", "icl"}


@pytest.mark.bad_input
def test_an_unknown_slice_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="kitti, icl, sevenscenes, camvid"):
        open_slice("scannet")
    with pytest.raises(InputError, match="start must be flat or ground, got 'sky'"):
        learn_slice("kitti", None, start="sky")  # type: ignore[arg-type]  # refused before anything is opened


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("source", ["icl", "kitti"])
def test_a_slice_is_learned_and_judged_by_what_it_knows(real_data, tmp_path, source):
    videos = open_slice(source)
    assert videos.size == SLICE_SIZES[source]
    result = learn_slice(source, videos, SHORT, cache=tmp_path)
    assert result.depth.shape == result.whole.shape == (len(result.clip.image), 1, *SLICE_SIZES[source])
    assert bool((result.whole > 0).all()) and bool(torch.isfinite(result.whole).all())
    assert result.motion is not None and result.focal_error is not None
    assert (result.abs_rel is None) == (source == "kitti") == ("true" not in result.photometric)
    # The flow finds a motion even where the depth is hardly learned: better than no motion at all.
    assert result.photometric["learned depth"] < result.photometric["identity"]
