"""Rankings against the library's measures pair by pair; what is kept, and when it is thrown away."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from explored_rooms import net, rooms
from hypothesis import given, settings
from hypothesis import strategies as st
from mini_film import write_film

from stc_lab.errors import InputError
from stc_lab.experiments import pair_ranking
from stc_lab.experiments.digests import digest_of_model, digest_of_videos
from stc_lab.experiments.explored_frames import ExploredFrames
from stc_lab.experiments.label_maps import LabelMaps
from stc_lab.experiments.pair_ranking import MEASURES, PairSums, pair_sums, rank_pairs
from stc_lab.experiments.pair_view import pair_view
from stc_lab.geometry import Flow, rigid_flow
from stc_lab.losses import PairFlows, logits_consistency
from stc_lab.metrics import e_pair, temporal_consistency
from stc_lab.models import FPNSegmenter


@pytest.fixture(scope="module")
def memory() -> ExploredFrames:
    return ExploredFrames(rooms(), net())


def ranked(memory: ExploredFrames, **options: object) -> list[pair_ranking.PairScore]:
    given: dict[str, object] = {"keep": False, "least_visible": 0.0, "gap": 2, **options}
    return rank_pairs(rooms(), net(), memory=memory, **given)  # type: ignore[arg-type]  # given by the tests


@pytest.mark.parametrize("direction", ["backward", "forward"])
def test_values_are_those_of_the_library_pair_by_pair(memory: ExploredFrames, direction: str) -> None:
    scores = {name: {s.earlier: s for s in ranked(memory, measure=name, direction=direction)} for name in MEASURES}
    for row in (0, 3, 9):
        view = pair_view(rooms(), net(), row, row + 2, direction=direction, memory=memory)  # type: ignore[arg-type]
        loss = logits_consistency(view.warped, view.logits_target, view.edges)
        numbers = view.numbers()
        expected = {
            "disagreement": numbers["disagreement"],
            "soft disagreement": numbers["soft disagreement"],
            "logits L1": float(loss.uniform),
            "label prior": float(loss.label_prior),
            "pixel prior": float(loss.pixel_prior),
            "Eq. 1": float(loss.total),
        }
        for name, value in expected.items():
            assert scores[name][row].value == pytest.approx(value, rel=1e-4), name
        score = scores["disagreement"][row]
        assert score.support == int(view.visible.sum())
        assert score.visible == pytest.approx(numbers["visible"])
        assert score.motion == pytest.approx(numbers["motion"], rel=1e-5)
        assert (score.video, score.later, score.gap) == (rooms().videos_of([row])[0], row + 2, 2)
        assert scores["pixel prior"][row].support == int(loss.edge_support)


def test_e_pair_and_tc_are_the_metrics(memory: ExploredFrames) -> None:
    both = {s.earlier: s.value for s in ranked(memory, measure="E_pair")}
    apart = {s.earlier: s.value for s in ranked(memory, measure="1 - TC")}
    for row in (1, 4, 8):
        here, there = (
            pair_view(rooms(), net(), row, row + 2, direction=way, memory=memory)  # type: ignore[arg-type]
            for way in ("backward", "forward")
        )
        labels = torch.cat([here.labels_target, there.labels_target])
        flows = PairFlows(((0, 1),), here.places.flow, there.places.flow, here.visible, there.visible)
        assert both[row] == pytest.approx(e_pair(labels, flows).value, abs=2e-3)  # sums of flow and grid round
        found = temporal_consistency(labels, Flow(here.places.flow, here.visible), 21)
        assert apart[row] == pytest.approx(1 - found.value, abs=5e-3)


def test_per_class_by_a_slow_loop(memory: ExploredFrames) -> None:
    score = next(s for s in ranked(memory) if s.earlier == 2)
    view = pair_view(rooms(), net(), 2, 4, memory=memory)
    seen: dict[int, list[bool]] = {}
    for y in range(32):
        for x in range(48):
            if view.visible[0, y, x]:
                seen.setdefault(int(view.labels_target[0, y, x]), []).append(bool(view.disagreement[0, y, x]))
    assert set(score.per_class) == set(seen)
    for label, changed in seen.items():
        assert score.per_class[label] == pytest.approx(sum(changed) / len(changed))
    for label, changed in seen.items():
        alone = next((s for s in ranked(memory, classes=[label]) if s.earlier == 2), None)
        assert alone is not None and alone.value == pytest.approx(sum(changed) / len(changed))
        assert alone.support == len(changed)


def test_worst_comes_first_and_every_pair_of_every_video_is_there(memory: ExploredFrames) -> None:
    scores = ranked(memory)
    assert [s.value for s in scores] == sorted((s.value for s in scores), reverse=True)
    assert {(s.earlier, s.later) for s in scores} == set(rooms().pairs(2))
    for gap in (1, 7):
        assert len(ranked(memory, gap=gap)) == len(rooms().pairs(gap))


@settings(max_examples=15, deadline=None)
@given(least=st.floats(0, 1), low=st.floats(0, 6), width=st.floats(0, 10))
def test_filters_leave_out_what_they_say_and_change_no_value(least: float, low: float, width: float) -> None:
    everything = sums()
    whole = pair_ranking._scores(rooms(), [everything], "disagreement", 2, None, 0.0, (0.0, 1e9))
    some = pair_ranking._scores(rooms(), [everything], "disagreement", 2, None, least, (low, low + width))
    assert some == [s for s in whole if s.visible >= least and low <= s.motion <= low + width]


@cache
def sums() -> PairSums:
    return pair_sums(ExploredFrames(rooms(), net()), gap=2, keep=False)


def test_pieces_and_little_memory_change_nothing(memory: ExploredFrames, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ranked(memory, measure="Eq. 1")
    monkeypatch.setattr(pair_ranking, "_VALUES_AT_ONCE", 3 * 32 * 48 * 21)
    seen: list[tuple[int, int]] = []
    small = ExploredFrames(rooms(), net(), limit=1)
    pieces = ranked(small, measure="Eq. 1", progress=lambda done, total: seen.append((done, total)))
    assert pieces == whole
    assert seen[-1] == (12, 12) and len(seen) == 4
    assert small._bytes <= 10**6


@pytest.mark.parametrize("geometry", ["learned", "estimated"])
def test_other_geometries_are_ranked_as_they_are_viewed(memory: ExploredFrames, geometry: str) -> None:
    scores = {s.earlier: s for s in ranked(memory, geometry=geometry)}
    for row in (0, 10):
        view = pair_view(rooms(), net(), row, row + 2, geometry=geometry, memory=memory)  # type: ignore[arg-type]
        assert scores[row].value == pytest.approx(view.numbers()["disagreement"])
        assert scores[row].support == int(view.visible.sum())


def test_perfect_labels_never_disagree_but_where_surfaces_meet() -> None:
    truth = LabelMaps.of_videos(rooms(), "truth")
    steady = torch.zeros(len(rooms()), 32, 48, dtype=torch.int64)
    still = LabelMaps(lambda rows: steady[list(rows)], 21, "one class")
    assert all(s.value == 0 for s in rank_pairs(rooms(), still, keep=False))
    values = [s.value for s in rank_pairs(rooms(), truth, keep=False)]
    assert max(values) < 0.1 < max(s.value for s in rank_pairs(rooms(), net(), keep=False))


def test_kept_sums_need_no_net_until_something_changes(tmp_path: Path) -> None:
    asked: list[int] = []

    class Counting(FPNSegmenter):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            asked.append(len(images))
            return super().forward(images)

    model = Counting(21, generator=torch.Generator().manual_seed(0))

    def rank(**options: object) -> list[pair_ranking.PairScore]:
        asked.clear()
        return rank_pairs(rooms(), model, cache=tmp_path, **options)  # type: ignore[arg-type]  # given by the tests

    first = rank()
    assert len(asked) == len(rooms())  # each frame once
    assert rank() == first and not asked
    rank(measure="Eq. 1", classes=[0, 1], least_visible=0.5)
    assert not asked
    for change in ({"gap": 3}, {"direction": "forward"}, {"occlusion": "gordon"}, {"geometry": "estimated"}):
        rank(**change)
        assert asked, change
        rank(**change)
        assert not asked, change
    with torch.no_grad():
        model.classify.bias[3] += 0.5
    assert rank() != first and asked


def test_videos_and_models_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    from stc_lab.data.load import load

    videos = rooms()
    assert digest_of_videos(videos) == digest_of_videos(videos)
    assert digest_of_videos(videos) != digest_of_videos(videos.resized((16, 24)))
    assert digest_of_model(net()) == digest_of_model(net())
    names = ["frame0.png", "frame1.png"]
    for name in names:
        write_png(tmp_path / name, torch.full((3, 16, 24), 100, dtype=torch.uint8))
    folder = load("folder", root=tmp_path, images="{frame}.png")
    before = digest_of_videos(folder)
    write_png(tmp_path / names[1], torch.full((3, 16, 24), 101, dtype=torch.uint8))
    assert digest_of_videos(load("folder", root=tmp_path, images="{frame}.png")) != before
    film = write_film(tmp_path / "walk.mp4", 9)
    first = digest_of_videos(load("video", root=film))
    assert digest_of_videos(load("video", root=film)) == first
    write_film(film, 9, options={"crf": "5"})
    assert digest_of_videos(load("video", root=film)) != first
    assert digest_of_model(LabelMaps.of_videos(videos, "a")) != digest_of_model(LabelMaps.of_videos(videos, "b"))


def write_png(path: Path, image: torch.Tensor) -> None:
    from PIL import Image

    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


def test_flow_of_the_places_is_the_rigid_flow(memory: ExploredFrames) -> None:
    view = pair_view(rooms(), net(), 0, 1, memory=memory)
    solid = view.places.solid
    assert solid is not None
    flow = rigid_flow(solid.depth_target, solid.camera_target, solid.T_source_target).flow
    assert torch.allclose(view.places.flow, flow, atol=1e-4)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measure": "guess"}, "measure"),
        ({"gap": 0}, "gap"),
        ({"gap": -1}, "forward"),
        ({"gap": 99}, "99 apart"),
        ({"classes": [21]}, "classes"),
        ({"classes": []}, "classes"),
        ({"least_visible": float("nan")}, "share"),
        ({"least_visible": 70}, "share"),
        ({"motion": (5.0, 1.0)}, "least and the most"),
        ({"motion": (float("nan"), 1.0)}, "least and the most"),
        ({"direction": "up"}, "direction"),
        ({"geometry": "guess"}, "geometry"),
        ({"occlusion": "guess"}, "occlusion"),
        ({"geometry": "estimated", "occlusion": "depth test"}, "depth"),
    ],
)
def test_rankings_that_cannot_be_made(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank_pairs(rooms(), net(), keep=False, **options)  # type: ignore[arg-type]  # what is wrong with it is the test


@pytest.mark.bad_input
def test_a_film_without_geometry_says_which_geometry_it_has() -> None:
    videos = rooms()

    def read(rows: list[int]):  # type: ignore[no-untyped-def]  # of a test
        return replace(videos.read(rows), depth=None, camera=None, T_world_camera=None)

    bare = copy.copy(videos)
    bare.read = read
    with pytest.raises(InputError, match="no depth"):
        rank_pairs(bare, net(), keep=False)
    assert rank_pairs(bare, net(), keep=False, geometry="estimated")
