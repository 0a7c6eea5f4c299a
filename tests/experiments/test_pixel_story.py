"""A pixel's story and its track, against exact flow and against a slow way of looking each thing up."""

from itertools import pairwise

import pytest
import torch
from explored_rooms import CONFIG, net, rooms
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.data.rooms import ExactRoomsFlow, scene_of
from stc_lab.errors import InputError
from stc_lab.experiments.explored_frames import ExploredFrames
from stc_lab.experiments.label_maps import LabelMaps
from stc_lab.experiments.pair_view import pair_view
from stc_lab.experiments.pixel_story import pixel_story, pixel_track


@pytest.fixture(scope="module")
def memory() -> ExploredFrames:
    return ExploredFrames(rooms(), net())


@settings(max_examples=40, deadline=None)
@given(x=st.integers(0, 47), y=st.integers(0, 31), gap=st.integers(1, 4), way=st.sampled_from(["backward", "forward"]))
def test_a_story_says_what_the_maps_of_the_view_say(x: int, y: int, gap: int, way: str) -> None:
    view = pair_view(rooms(), net(), 1, 1 + gap, direction=way)  # type: ignore[arg-type]  # given above
    story = pixel_story(view, x, y)
    u, v = view.places.pixels[0, :, y, x].tolist()
    assert story.place == (u, v) and story.motion == (u - x, v - y)
    assert story.visible == bool(view.visible[0, y, x]) == (story.reason == "visible")
    assert view.depth_target is not None and story.depth == float(view.depth_target[0, 0, y, x])
    assert story.label == int(view.logits_target[0, :, y, x].argmax())
    assert sum(story.shares) == pytest.approx(1, abs=1e-5)
    assert view.target.label is not None and story.true_label == int(view.target.label[0, y, x])
    inside = 0 <= u <= 47 and 0 <= v <= 31
    assert (story.label_there is not None) == (story.shares_there is not None) == inside == (story.back is not None)
    if inside:
        assert story.label_there == int(view.logits_source[0, :, round(v), round(u)].argmax())
        assert story.agrees == (story.label == story.label_there)
        assert view.depth_source is not None
        assert story.depth_seen == float(view.depth_source[0, 0, round(v), round(u)])
        there = bilinear(view.logits_source[0], u, v).softmax(dim=0)
        assert story.shares_there == pytest.approx(there.tolist(), abs=1e-4)
    else:
        assert story.agrees is None and story.reason == "outside the source's image"
    top = story.top(3)
    assert len(top) == 3 and top[0][1] + (top[0][2] or 0) > 0


def bilinear(values: torch.Tensor, u: float, v: float) -> torch.Tensor:
    """Read between four pixels, written out."""
    x, y = min(int(u), values.shape[2] - 2), min(int(v), values.shape[1] - 2)
    a, b = u - x, v - y
    upper = (1 - a) * values[:, y, x] + a * values[:, y, x + 1]
    return (1 - b) * upper + b * ((1 - a) * values[:, y + 1, x] + a * values[:, y + 1, x + 1])


def test_there_and_back_is_nothing_where_the_surface_is_seen(memory: ExploredFrames) -> None:
    view = pair_view(rooms(), net(), 0, 1, memory=memory)
    errors = [pixel_story(view, x, y) for x in range(4, 44, 5) for y in range(4, 28, 5)]
    seen = sorted(story.back for story in errors if story.visible and story.back is not None)
    assert len(seen) > 20 and seen[len(seen) // 2] < 0.1


def test_a_rule_that_hides_what_the_depths_agree_on_says_so(memory: ExploredFrames) -> None:
    view = pair_view(rooms(), net(), 1, 3, occlusion="gordon", memory=memory)
    only_rule = view.places.visible("depth test")[0] & ~view.visible[0]
    y, x = only_rule.nonzero()[0].tolist()
    story = pixel_story(view, x, y)
    assert not story.visible and story.reason == "hidden by the rule, though the depths agree"


@pytest.mark.parametrize("geometry", ["learned", "estimated"])
def test_stories_of_other_geometries(memory: ExploredFrames, geometry: str) -> None:
    view = pair_view(rooms(), net(), 1, 2, geometry=geometry, memory=memory)  # type: ignore[arg-type]
    story = pixel_story(view, 24, 16)
    assert (story.depth is None) == (geometry == "estimated") == (story.depth_seen is None)
    assert story.place is not None


def test_exact_tracks_follow_the_exact_flow(memory: ExploredFrames) -> None:
    videos, row = rooms(), 10
    name = videos.videos_of([row])[0]
    truth = ExactRoomsFlow(scene_of(name, CONFIG))
    generator = torch.Generator().manual_seed(0)
    judged = 0
    for _ in range(6):
        x, y = int(torch.randint(48, (), generator=generator)), int(torch.randint(32, (), generator=generator))
        track = pixel_track(videos, net(), row, x, y, memory=memory)
        assert [s.row for s in track.stations] == list(range(8, 16)) and [s.index for s in track.stations] == [
            *range(8)
        ]
        own = track.stations[2]
        assert own.state == "visible" and own.place == (x, y)
        assert own.label == int(memory.labels([row])[0, y, x])
        for station in track.stations:
            if station.row == row:
                continue
            exact = truth(videos.frames([row]), videos.frames([station.row]))
            assert station.place is not None
            if station.state == "outside":
                assert station.label is None
                continue
            u, v = (exact.flow[0, :, y, x] + torch.tensor([float(x), float(y)])).tolist()
            assert station.place == pytest.approx((u, v), abs=0.02)
            judged += 1
            assert station.label == int(
                memory.labels([station.row])[0, round(station.place[1]), round(station.place[0])]
            )
            assert station.confidence is not None and 0 < station.confidence <= 1
    assert judged > 10


def test_occluded_stations_are_mostly_occluded_in_truth(memory: ExploredFrames) -> None:
    videos, row = rooms(), 8
    truth = ExactRoomsFlow(scene_of(videos.videos_of([row])[0], CONFIG))
    same = total = 0
    for x in range(2, 48, 6):
        for y in range(2, 32, 6):
            station = pixel_track(videos, net(), row, x, y, reach=3, memory=memory).stations[-1]
            exact = bool(truth(videos.frames([row]), videos.frames([row + 3])).visible[0, y, x]) if total < 12 else None
            if exact is not None:
                total, same = total + 1, same + (exact == (station.state == "visible"))
    assert same >= total - 1


@pytest.mark.parametrize("geometry", ["learned", "estimated"])
def test_other_tracks_are_handed_on_and_can_be_lost(memory: ExploredFrames, geometry: str) -> None:
    tracks = [
        pixel_track(rooms(), net(), 3, x, y, geometry=geometry, memory=memory)  # type: ignore[arg-type]
        for x, y in ((24, 16), (2, 2), (45, 29))
    ]
    for track in tracks:
        states = [station.state for station in track.stations]
        assert states[3] == "visible"
        for side in (states[4:], states[2::-1]):
            broken = next((i for i, state in enumerate(side) if state != "visible"), len(side))
            assert all(state == "lost" for state in side[broken + 1 :])
            assert all(state != "lost" for state in side[:broken])
        lost = [station for station in track.stations if station.state == "lost"]
        assert all(s.place is None and s.label is None and s.confidence is None for s in lost)
    assert any(station.state == "lost" for track in tracks for station in track.stations)


def test_changes_are_counted_between_frames_that_see_the_pixel() -> None:
    flip = torch.zeros(16, 32, 48, dtype=torch.int64)
    flip[1::2] = 3
    maps = LabelMaps(lambda rows: flip[list(rows)], 21, "flips")
    frames = ExploredFrames(rooms(), maps)
    track = pixel_track(rooms(), maps, 3, 24, 16, memory=frames)
    seen = [station for station in track.stations if station.state == "visible"]
    assert len(seen) > 2
    assert track.changes == sum((b.row - a.row) % 2 for a, b in pairwise(seen))


@pytest.mark.bad_input
@pytest.mark.parametrize(("x", "y"), [(48, 0), (-1, 0), (0, 32)])
def test_pixels_outside(x: int, y: int) -> None:
    with pytest.raises(InputError, match="48 x 32"):
        pixel_story(pair_view(rooms(), net(), 0, 1), x, y)
    with pytest.raises(InputError, match="48 x 32"):
        pixel_track(rooms(), net(), 0, x, y)


@pytest.mark.bad_input
def test_tracks_that_cannot_be_followed() -> None:
    with pytest.raises(InputError, match="rows"):
        pixel_track(rooms(), net(), 99, 0, 0)
    with pytest.raises(InputError, match="reach"):
        pixel_track(rooms(), net(), 0, 0, 0, reach=0)
