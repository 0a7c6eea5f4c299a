"""The journey explorer: its picture shows the numbers of the journey, and its knobs move one pixel."""

import time
from dataclasses import replace

import pytest
import torch
from planar_clips import SIZE, planar_clip

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import RoomsConfig, render_video
from stc_lab.errors import InputError
from stc_lab.experiments.journey import follow_pixel
from stc_lab.widgets import JourneyState, explorer, journey_picture, pixel_journey

HEIGHT, WIDTH = SIZE


@pytest.fixture(scope="module")
def clip() -> Clip:
    return planar_clip([[0.0, 0.0, 0.0], [0.2, 0.05, 0.1], [0.0, 0.0, 3.0]])


def marks(clip: Clip, **changed: float) -> dict[str, tuple[tuple[float, float], ...]]:
    state = JourneyState(**{"x": 20, "y": 15, "target": 0, "source": 1, **changed})  # type: ignore[arg-type]
    source = journey_picture(clip, state).panels[1]
    assert source is not None
    return {mark.kind: mark.places for mark in source.marks}


def test_the_table_holds_the_stations(clip: Clip) -> None:
    journey = follow_pixel(clip[0], clip[1], 20, 15)
    picture = journey_picture(clip, JourneyState(20, 15, 0, 1))
    rows = list(picture.table.rows.values())
    assert rows[0] == ("20", "15", "") and journey.in_source is not None and journey.lands is not None
    assert [tuple(map(float, row)) for row in rows[1:4]] == [
        pytest.approx(values, abs=1e-3) for values in (journey.ray, journey.in_target, journey.in_source)
    ]
    assert rows[4] == (f"{journey.lands[0]:.1f}", f"{journey.lands[1]:.1f}", "")
    assert journey.verdict in picture.note and "in equal steps of 1 / depth" in picture.note


def test_the_pixel_its_line_and_its_place_are_marked(clip: Clip) -> None:
    journey = follow_pixel(clip[0], clip[1], 20, 15)
    found = marks(clip)
    assert found["ring"] == (journey.lands,) and "cross" not in found
    assert found["line"] == found["dots"] == tuple((c.x, c.y) for c in journey.candidates)
    target = journey_picture(clip, JourneyState(20, 15, 0, 1)).panels[0]
    assert target is not None and target.marks[0].places == ((20.0, 15.0),)


def test_another_depth_adds_a_cross_and_leaves_the_ring(clip: Clip) -> None:
    true, wrong = marks(clip), marks(clip, depth=150.0)
    assert wrong["ring"] == true["ring"] and wrong["line"] == true["line"]
    assert wrong["cross"] == (follow_pixel(clip[0], clip[1], 20, 15, depth_factor=1.5).lands,)


def test_a_pixel_that_goes_nowhere_is_shown_where_it_starts(clip: Clip) -> None:
    behind = journey_picture(clip, JourneyState(WIDTH // 2, HEIGHT // 2, 0, 2))
    assert "behind the source's camera" in behind.note and behind.table.rows[list(behind.table.rows)[4]] == ("", "", "")
    assert clip.depth is not None
    blind = replace(clip, depth=torch.cat([torch.zeros_like(clip.depth[:1]), clip.depth[1:]]))
    unknown = journey_picture(blind, JourneyState(20, 15, 0, 1))
    assert unknown.note == "Verdict: not visible: depth unknown."
    assert unknown.panels[1] is not None and all(mark.places == () for mark in unknown.panels[1].marks)
    unknown.panels[1].encoded(3)  # a line without points can be drawn


def test_without_a_lab_the_opening_state_is_a_static_figure(clip: Clip) -> None:
    bundle = pixel_journey(clip, target=0, source=1)._repr_mimebundle_()
    assert {"image/png", "application/vnd.plotly.v1+json", "text/plain"} == set(bundle)
    assert bundle["text/plain"].startswith(f"A pixel's journey\n1. pixel of the target (px): x {WIDTH // 2}")


def test_a_click_moves_both_sliders_at_once(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = pixel_journey(clip, target=0, source=1)
    box = shown.widget
    knobs, row, table = box.children[1].children, box.children[2], box.children[4]
    picture = row.children[0].children[1]
    drawn = []
    monkeypatch.setattr(explorer, "_caption", lambda panel, room: drawn.append(panel.title) or "")
    picture.clicked = [0.25, 0.5, 1]
    assert (knobs[0].value, knobs[1].value) == (WIDTH // 4, HEIGHT // 2)
    assert len(drawn) == 3  # one update for both
    assert f">{WIDTH // 4}<" in table.value and box.children[6].value == ""
    picture.clicked = [1.0, 1.0, 2]  # the last column's edge is still the last column
    assert (knobs[0].value, knobs[1].value) == (WIDTH - 1, HEIGHT - 1)


def test_sliders_move_the_pixel(clip: Clip) -> None:
    box = pixel_journey(clip, target=0, source=1).widget
    x, _, source, depth = box.children[1].children
    images = [cell.children[1] for cell in box.children[2].children]
    before = [image.value for image in images]
    x.value += 5
    assert all(image.value != old for image, old in zip(images, before, strict=True))
    before, table = images[1].value, box.children[4].value
    depth.value = 150.0
    assert images[1].value != before and box.children[4].value != table  # the cross appears
    source.value = 0
    assert box.children[2].children[1].children[0].value.count("frame 0") == 1
    assert box.children[6].value == "" and all(control.description for control in box.children[1].children)


def test_the_journey_answers_at_once() -> None:
    large = render_video("rooms-test-0000", RoomsConfig(frames=2, height=120, width=160, motion="handheld"))
    shown = pixel_journey(large, target=0, source=1)
    times = []
    for x in (20, 40, 60):
        began = time.process_time()
        shown.picture(x=x)
        times.append(time.process_time() - began)
    assert min(times) < 0.1  # s of this process; 4 ms on an idle machine


@pytest.mark.bad_input
def test_frames_that_are_not_there_are_refused(clip: Clip) -> None:
    with pytest.raises(InputError, match=r"source frame must lie in 0\.\.2, got 3"):
        pixel_journey(clip, target=0, source=3)
    with pytest.raises(InputError, match="has no T_world_camera"):
        pixel_journey(replace(clip, T_world_camera=None), target=0, source=1)
