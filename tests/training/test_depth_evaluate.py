"""Learned geometry beside its references: the exact row is exact, the others are what a slow count says they are."""

import copy
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_rooms import Oracle, blind, small_rooms
from torch import Tensor

from stc_lab.data import Videos
from stc_lab.errors import InputError
from stc_lab.geometry import Camera, correspond, pose_from, relative_pose
from stc_lab.metrics import row_mean
from stc_lab.models import DepthFPN
from stc_lab.training.depth_evaluate import (
    CLIP,
    CONSTANT,
    EXACT,
    GAPS,
    IDENTITY,
    NET,
    TRUE_DEPTH,
    TRUE_POSE,
    DepthEvaluation,
    PairGeometry,
    evaluate_depth,
    pair_measures,
)
from stc_lab.training.depth_matches import small_frames
from stc_lab.training.depth_recipe import DepthRecipe

TINY = DepthRecipe.preset("tiny", flow_stride=2)
ROWS = {EXACT, TRUE_DEPTH, CLIP, NET, CONSTANT, TRUE_POSE, IDENTITY}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def rooms(cache: Path) -> Videos:
    return small_rooms(cache, "test")


def ratio_of(videos: Videos) -> float:
    camera = videos.clip(videos.names[0]).camera
    return float(camera.K[0, 0, 0]) / camera.width


def knowing(videos: Videos, unit: float = 1.0) -> Oracle:
    """A net that says the true depth of all these frames, in some unit, at the size that nets see."""
    clips = [videos.clip(name) for name in videos.names]
    depth = torch.cat([clip.depth for clip in clips])
    small = 1 / torch.nn.functional.interpolate(1 / depth, scale_factor=0.5, mode="area")
    return Oracle(small_frames(torch.cat([clip.image for clip in clips]), 2), small, unit)


@pytest.fixture(scope="module")
def found(rooms: Videos, cache: Path) -> DepthEvaluation:
    return evaluate_depth(knowing(rooms), ratio_of(rooms), rooms, TINY, cache=cache)


def test_every_row_has_every_measure_of_every_gap(found: DepthEvaluation, rooms: Videos) -> None:
    assert found.clips == len(rooms.names) == 2
    assert set(found.pairs) == ROWS
    for row in ROWS:
        assert set(found.pairs[row]) == set(GAPS), row
        for measures in found.pairs[row].values():
            assert set(measures) == {"agreement", "epe", "rotation", "direction", "turn"}
            assert 0 <= measures["agreement"] <= 1
    assert set(found.depth) == {NET, CLIP, "best constant"}
    assert set(found.turning) <= ROWS


def test_the_exact_row_is_exact_and_carries_labels_best(found: DepthEvaluation) -> None:
    for gap in GAPS:
        exact = found.pairs[EXACT][gap]
        assert exact["epe"] == 0
        assert exact["rotation"] < 1e-4 and exact["direction"] < 1e-3
        assert exact["agreement"] > 0.85
        for row in (CONSTANT, TRUE_POSE, IDENTITY):
            assert found.pairs[row][gap]["agreement"] < exact["agreement"]
            assert found.pairs[row][gap]["epe"] > 0


def test_rows_that_know_the_motion_have_it_and_identity_has_none(found: DepthEvaluation) -> None:
    for gap in GAPS:
        assert found.pairs[TRUE_POSE][gap]["rotation"] < 1e-4 and found.pairs[TRUE_POSE][gap]["direction"] < 1e-3
        still = found.pairs[IDENTITY][gap]
        assert still["rotation"] == pytest.approx(still["turn"], rel=1e-4, abs=1e-4)
        assert math.isnan(still["direction"])  # no motion has no direction
        turns = {row: found.pairs[row][gap]["turn"] for row in ROWS}
        assert max(turns.values()) == pytest.approx(min(turns.values()))  # of the truth, whatever is tried


def test_a_net_that_knows_the_truth_is_judged_so(found: DepthEvaluation) -> None:
    """Up to its half resolution; and its motion is as good as that of the true depth, within doubt."""
    assert found.focal_error == pytest.approx(0, abs=1e-6)
    assert found.depth[NET]["a1"] > 0.9
    assert found.depth["best constant"]["abs_rel"] > 3 * found.depth[NET]["abs_rel"]


def test_identity_is_what_a_slow_count_says(found: DepthEvaluation, rooms: Videos) -> None:
    """Labels that stay where they are, and how far pixels move: by loops over pixels that both frames see."""
    gap = 2
    agreements, misses = [], []
    for name in rooms.names:
        clip = rooms.clip(name)
        camera = Camera(clip.camera.K[:1], *clip.camera.size)
        same, moved = [], []
        for i in range(0, 8 - gap, 2):
            T = relative_pose(clip.T_world_camera[i : i + 1], clip.T_world_camera[i + gap : i + gap + 1])
            seen = correspond(clip.depth[i : i + 1], camera, T, depth_source=clip.depth[i + gap : i + gap + 1])
            visible, pixels = seen.visible[0], seen.pixels[0]
            if float(visible.float().mean()) < 0.02:
                continue
            target, source = clip.label[i], clip.label[i + gap]
            counted = hits = 0
            ways = []
            for y in range(32):
                for x in range(48):
                    if not visible[y, x]:
                        continue
                    ways.append(math.dist((x, y), pixels[:, y, x].tolist()))
                    if target[y, x] != 255:
                        counted += 1
                        hits += int(target[y, x] == source[y, x])
            same.append(hits / counted)
            moved.append(float(torch.tensor(ways).median()))
        agreements.append(sum(same) / len(same))
        misses.append(float(torch.tensor(moved).median()))
    assert found.pairs[IDENTITY][gap]["agreement"] == pytest.approx(sum(agreements) / 2, abs=1e-6)
    assert found.pairs[IDENTITY][gap]["epe"] == pytest.approx(sum(misses) / 2, rel=1e-4)


def test_the_unit_of_a_net_is_nothing_to_it(found: DepthEvaluation, rooms: Videos, cache: Path) -> None:
    other = evaluate_depth(knowing(rooms, unit=40.0), ratio_of(rooms), rooms, TINY, cache=cache)
    for row in (NET, CLIP):
        for name, value in found.depth[row].items():
            assert other.depth[row][name] == pytest.approx(value, rel=2e-2, abs=2e-3), (row, name)
        for gap in GAPS:
            for name in ("agreement", "epe"):
                expected = found.pairs[row][gap][name]
                assert other.pairs[row][gap][name] == pytest.approx(expected, rel=5e-2, abs=1e-2), (row, gap, name)
    for row in ROWS - {NET, CLIP}:
        assert repr(other.pairs[row]) == repr(found.pairs[row])


def test_a_net_in_use_is_not_changed_and_its_wrong_lens_shows(rooms: Videos, cache: Path) -> None:
    net = DepthFPN((8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(0)).eval()
    before = copy.deepcopy(net.state_dict())
    rows = row_mean(torch.cat([rooms.clip(name).depth for name in rooms.names]))
    off = evaluate_depth(net, 1.25 * ratio_of(rooms), rooms, TINY, row_mean=rows, cache=cache)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert off.focal_error == pytest.approx(0.25, abs=1e-6)
    assert set(off.depth) == {NET, CLIP, "best constant", "row mean"}


def test_turning_clips_are_counted_apart(found: DepthEvaluation) -> None:
    for row, by_gap in found.turning.items():
        for gap, measures in by_gap.items():
            assert measures["turn"] > gap  # degrees, one a frame
            assert set(measures) == set(found.pairs[row][gap])


def test_it_goes_through_json(found: DepthEvaluation) -> None:
    text = json.dumps(found.to_dict())
    back = json.loads(text)
    assert back["clips"] == 2 and set(back["pairs"]) == ROWS
    assert set(back["pairs"][EXACT]) == {str(gap) for gap in GAPS}


def test_it_repeats_itself(found: DepthEvaluation, rooms: Videos, cache: Path) -> None:
    assert repr(evaluate_depth(knowing(rooms), ratio_of(rooms), rooms, TINY, cache=cache)) == repr(found)


# A wall 2 m away, of six columns of labels, seen from one pixel further left.
WALL = Camera.from_parameters(10.0, 10.0, 2.5, 1.5, height=4, width=6)
LABELS = torch.arange(6).expand(1, 4, 6)


def shifted(pixels: float, turn: float = 0.0) -> PairGeometry:
    T = pose_from(torch.tensor([[0.0, turn, 0.0]]), torch.tensor([[pixels * 2.0 / 10, 0.0, 0.0]]))
    return PairGeometry(torch.full((1, 1, 4, 6), 2.0), WALL, T)


def measured(tried: PairGeometry, target: Tensor = LABELS, columns: int = 5) -> dict[str, float]:
    visible = torch.zeros(1, 4, 6, dtype=torch.bool)
    visible[..., :columns] = True  # the last one has left the source's view
    source = torch.cat([torch.full((1, 4, 1), 9), LABELS[..., :-1]], dim=2)
    return pair_measures(tried, shifted(1.0), (target, source), visible)


def test_measures_of_a_pair_by_hand() -> None:
    exact = measured(shifted(1.0))
    assert exact == {
        "agreement": 1.0,
        "epe": 0.0,
        "rotation": 0.0,
        "direction": pytest.approx(0, abs=1e-4),
        "turn": 0.0,
    }
    still = measured(shifted(0.0))
    assert still["agreement"] == 0 and still["epe"] == pytest.approx(1) and math.isnan(still["direction"])
    far = measured(shifted(2.0))
    assert far["agreement"] == 0 and far["epe"] == pytest.approx(1, rel=1e-4)
    assert far["direction"] == pytest.approx(0, abs=1e-3)
    assert measured(shifted(-1.0))["direction"] == pytest.approx(180, abs=1e-3)
    assert measured(shifted(1.0, turn=math.radians(3)))["rotation"] == pytest.approx(3, abs=1e-3)


def test_labels_to_ignore_do_not_count() -> None:
    ignored = LABELS.clone()
    ignored[:, :2] = 255
    assert measured(shifted(1.0), ignored)["agreement"] == 1
    wrong = LABELS.clone()
    wrong[:, 0] = 17
    assert measured(shifted(1.0), wrong)["agreement"] == pytest.approx(0.75)
    assert measured(shifted(1.0), torch.full_like(LABELS, 255))["agreement"] == 0


def test_a_pair_that_sees_nothing_in_common_has_no_error_rather_than_a_number() -> None:
    nothing = measured(shifted(1.0), columns=0)
    assert nothing["agreement"] == 0 and math.isnan(nothing["epe"])


@pytest.mark.bad_input
@pytest.mark.parametrize("missing", ["depth", "camera", "T_world_camera", "label"])
def test_videos_without_their_truth_are_refused(rooms: Videos, cache: Path, missing: str) -> None:
    poor = copy.copy(rooms)
    read = rooms.read
    poor.read = lambda rows: replace(read(rows), **{missing: None})
    with pytest.raises(InputError, match=f"video {rooms.names[0]!r} lacks depth, camera, poses or labels"):
        evaluate_depth(knowing(rooms), 0.7, poor, TINY, cache=cache)


@pytest.mark.bad_input
def test_images_alone_are_refused(rooms: Videos, cache: Path) -> None:
    with pytest.raises(InputError, match="lacks depth"):
        evaluate_depth(knowing(rooms), 0.7, blind(rooms), TINY, cache=cache)
