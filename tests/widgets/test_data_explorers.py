"""The explorers of chapter 01: each state is a pure picture, and each slider moves it."""

import time
from dataclasses import replace

import pytest
import torch

from stc_lab.data import Videos, load
from stc_lab.data.frames import Clip
from stc_lab.data.rooms import RoomsConfig, render_video
from stc_lab.errors import InputError
from stc_lab.experiments.material import frame_facts
from stc_lab.experiments.sensor_faults import FAULTS
from stc_lab.experiments.world_points import Misreading, up_direction
from stc_lab.widgets import (
    Explorer,
    browser_picture,
    scene_browser,
    sensor_bench,
    sensor_picture,
    world_bench,
    world_picture,
)


@pytest.fixture(scope="module")
def videos() -> Videos:
    return load("rooms", preset="tiny")


@pytest.fixture(scope="module")
def clip() -> Clip:
    return render_video("rooms-test-0003", RoomsConfig(frames=12, height=48, width=64, motion="handheld", dial=0.0))


def images_of(explorer: Explorer) -> list[bytes]:
    return [cell.children[1].value for row in explorer.widget.children[2:-4] for cell in row.children]


def agreement(clip: Clip, **state: object) -> list[float]:
    rows = world_picture(clip, up_direction(clip), **state).table.rows  # type: ignore[arg-type]
    return [float(cells[0].removesuffix(" %")) for cells in rows.values()]


def test_the_browser_shows_the_frame_and_its_facts(videos: Videos) -> None:
    picture = browser_picture(videos, 2, 7)
    facts = frame_facts(videos.clip(videos.names[2], start=7, stop=8), videos.info)
    assert list(picture.table.rows) == [f"{field}: {words}" for field, words in facts.items()]
    assert picture.note == "rooms-train-0002: frame 7 of 0 to 9; video 2 of 3."
    assert [panel.title for panel in picture.panels if panel] == ["image", "labels", "depth"]


def test_frames_beyond_the_end_are_the_last(videos: Videos) -> None:
    assert browser_picture(videos, 0, 99).note == browser_picture(videos, 0, 9).note


def test_all_frames_of_rooms_share_one_scale_of_depth(videos: Videos) -> None:
    scales = {browser_picture(videos, video, 0).panels[2].scale for video in range(3)}  # type: ignore[union-attr]
    assert len(scales) == 1


def test_the_browser_moves(videos: Videos) -> None:
    shown = scene_browser(videos, video=1)
    video, frame = shown.widget.children[1].children
    assert (video.max, frame.max) == (2, 9)
    before = images_of(shown)
    frame.value = 5
    after = images_of(shown)
    assert before[0] != after[0]
    video.value = 2
    assert images_of(shown)[0] != after[0]
    assert shown.widget.children[-1].value == ""  # no error


def test_without_faults_the_sensor_changes_nothing(clip: Clip) -> None:
    picture = sensor_picture(clip.image[:3], {}, 0)
    rows = list(picture.table.rows.values())
    assert rows[0] == rows[1] and all(panel and panel.caption == "changed by 0.000" for panel in picture.panels)


def test_faults_tell_neighbours_apart(clip: Clip) -> None:
    still = clip.image[:1].expand(3, -1, -1, -1)
    rows = sensor_picture(still, {"exposure": 1.0}, 0).table.rows
    assert float(rows["clean"][0]) == 0 < float(rows["as recorded"][0])
    first, again, other = (sensor_picture(still, {"noise": 1.0}, draw).panels[0] for draw in (1, 1, 2))
    assert first is not None and again is not None and other is not None
    assert (first.rgb == again.rgb).all() and (first.rgb != other.rgb).any()


def test_every_fault_has_a_slider(clip: Clip) -> None:
    shown = sensor_bench(clip.image, noise=0.5)
    sliders = shown.widget.children[1].children
    assert [slider.description for slider in sliders] == [*FAULTS.values(), "another draw"]
    assert sliders[0].value == 0.5
    for slider in sliders[:-1]:
        before = images_of(shown)
        slider.value = 1.0
        assert images_of(shown) != before, slider.description


def test_the_world_bench_judges_what_it_is_given(clip: Clip) -> None:
    right = agreement(clip)
    assert max(right) < 2
    assert all(wrong > value for wrong, value in zip(agreement(clip, poses="inverted"), right, strict=True))
    assert agreement(clip, depth=1.5)[-1] > right[-1]


def test_the_riddle_has_its_answer(clip: Clip) -> None:
    riddle, up = Misreading(depth_factor=5, inverted=True).of(clip), up_direction(clip)
    solved = world_picture(riddle, up, depth=0.2, poses="inverted").table.rows
    assert solved == world_picture(clip, up).table.rows != world_picture(riddle, up).table.rows


def test_the_world_bench_moves(clip: Clip) -> None:
    shown = world_bench(clip)
    depth, focal, poses = shown.widget.children[1].children
    for knob, value in ((depth, 2.0), (focal, 1.5), (poses, "inverted")):
        before = images_of(shown)
        knob.value = value
        assert images_of(shown) != before
    assert shown.widget.children[-1].value == ""


def test_the_benches_answer_at_once(clip: Clip) -> None:
    shown = world_bench(render_video("rooms-test-0003", RoomsConfig(frames=24, height=60, width=80, motion="handheld")))
    times = []
    for depth in (0.8, 1.0, 1.2):
        began = time.process_time()
        shown.picture(depth=depth)
        times.append(time.process_time() - began)
    assert min(times) < 0.4  # s of this process; 0.1 s on an idle machine


@pytest.mark.bad_input
def test_states_that_are_not_there_are_refused(videos: Videos, clip: Clip) -> None:
    with pytest.raises(InputError, match=r"video must lie in 0\.\.2, got 3"):
        scene_browser(videos, video=3)
    with pytest.raises(InputError, match="frame must be at least 0"):
        browser_picture(videos, 0, -1)
    with pytest.raises(InputError, match="needs 3 frames, got 2"):
        sensor_bench(clip.image[:2])
    with pytest.raises(InputError, match="unknown fault 'dust'"):
        sensor_bench(clip.image, dust=1.0)
    with pytest.raises(InputError, match="at least 3 frames, got 2"):
        world_bench(clip[:2])
    with pytest.raises(InputError, match="has no depth"):
        world_bench(replace(clip, depth=None))
    with pytest.raises(InputError, match="poses must be one of as stored, inverted"):
        world_picture(clip, torch.tensor([0.0, 0, 1]), poses="sideways")  # type: ignore[arg-type]
