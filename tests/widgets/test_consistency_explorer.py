"""The consistency explorer's shell, without a browser: what a hand does to it, and what it shows then."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stc_lab.data import load
from stc_lab.errors import InputError
from stc_lab.experiments.explorer_material import ExplorerMaterial
from stc_lab.experiments.explorer_recording import record_video
from stc_lab.experiments.explorer_state import ExplorerState
from stc_lab.models import load_shipped
from stc_lab.widgets import ConsistencyExplorer, consistency_explorer, explorer_desk
from stc_lab.widgets.explorer_desk import Desk
from stc_lab.widgets.explorer_knobs import DISTURBANCES


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> ExplorerMaterial:
    net = load_shipped("rooms_fpn").model
    videos = load("rooms", split="test", preset="tiny")
    return ExplorerMaterial(videos, {"net": net, "twin": net}, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def explorer(material: ExplorerMaterial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConsistencyExplorer:
    monkeypatch.setenv("STC_LAB_FIGURES", str(tmp_path / "figures"))
    return ConsistencyExplorer(material)


def desk_of(explorer: ConsistencyExplorer) -> Desk:
    assert explorer.widget is not None and explorer._desk is not None
    return explorer._desk


def titles(desk: Desk) -> list[str]:
    return [panel["title"] for panel in desk.board.panels]


def test_a_headless_run_shows_the_opening_state(explorer: ConsistencyExplorer) -> None:
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert {"image/png", "application/vnd.plotly.v1+json"} <= set(bundle)
    state = explorer.state
    assert f"frame {state.later} warped into {state.frame}" in bundle["text/plain"]
    assert "disagreement visible Eq. 1" in bundle["text/plain"]


def test_in_the_lab_it_is_a_widget(explorer: ConsistencyExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer_desk, "live_lab", lambda: True)
    assert "application/vnd.jupyter.widget-view+json" in explorer._repr_mimebundle_()


def test_it_opens_where_it_is_told(material: ExplorerMaterial) -> None:
    net = next(iter(material.frames.values())).model
    opened = consistency_explorer(
        material.videos, {"net": net}, cache=material._cache, gap=2, measure="soft disagreement"
    )
    assert (opened.state.gap, opened.state.measure) == (2, "soft disagreement")
    assert opened.material.place(opened.state) == 0


@pytest.mark.parametrize("name", list(DISTURBANCES))
def test_each_disturbance_moves_pictures_and_numbers(explorer: ConsistencyExplorer, name: str) -> None:
    desk = desk_of(explorer)
    before, numbers = [panel["picture"] for panel in desk.board.panels], desk.numbers.value
    knob = desk.knobs[name]
    knob.value += 10 * knob.step
    assert getattr(explorer.state, name) == pytest.approx(knob.value) and desk.error.value == ""
    assert [panel["picture"] for panel in desk.board.panels] != before and desk.numbers.value != numbers
    explorer.go(explorer.state.undisturbed())
    assert desk.numbers.value == numbers and knob.value == getattr(explorer.state, name)


def test_every_control_has_a_label(explorer: ConsistencyExplorer) -> None:
    desk = desk_of(explorer)
    assert all(knob.description for knob in desk.knobs.values())
    assert all(
        part.description for part in desk.keeper.parts if hasattr(part, "description") and part is not desk.keeper.said
    )


def test_pairs_are_chosen_by_buttons_keys_charts_and_list(explorer: ConsistencyExplorer) -> None:
    desk, material = desk_of(explorer), explorer.material
    opening = explorer.state
    desk.worse(1)
    assert material.place(explorer.state) == 1
    desk.board.pressed = ["n", 1]
    assert material.place(explorer.state) == 2
    desk.board.pressed = ["p", 2]
    assert material.place(explorer.state) == 1
    desk.ranked.chosen = ["0", 1]
    assert explorer.state == opening
    desk.timeline.chosen = ["5", 1]
    assert material.place(explorer.state) == 5
    frame = explorer.state.frame
    desk.board.pressed = ["ArrowLeft" if frame else "ArrowRight", 3]
    assert abs(explorer.state.frame - frame) == 1 and desk.knobs["frame"].value == explorer.state.frame


def test_gap_and_direction_have_keys_and_the_frame_stays_inside(explorer: ConsistencyExplorer) -> None:
    desk = desk_of(explorer)
    last = explorer.material.videos.frame_count(explorer.state.video) - 1
    explorer.go(replace(explorer.state, frame=last - 1))
    desk.board.pressed = ["]", 1]
    assert (explorer.state.gap, explorer.state.frame) == (2, last - 2) and desk.error.value == ""
    desk.board.pressed = ["d", 2]
    assert explorer.state.direction == "forward" and titles(desk)[0] == f"Target: frame {last}"


def test_a_click_tells_the_story_and_rings_the_pixel(explorer: ConsistencyExplorer) -> None:
    desk = desk_of(explorer)
    assert "Click a pixel" in desk.cause.value
    desk.board.clicked = [12, 9, 1]
    assert explorer.state.pixel == (12, 9) and "(12, 9) px" in desk.why.value
    assert desk.board.panels[0]["marks"] == [["ring", 12.0, 9.0, "#d55e00"]]
    assert "Click a pixel" not in desk.cause.value


def test_the_legend_switches_classes_off(explorer: ConsistencyExplorer) -> None:
    desk = desk_of(explorer)
    desk.legend.chosen = ["1", 1]
    assert explorer.state.hidden == (1,) and "aria-pressed='false'" in desk.legend.value
    desk.legend.chosen = ["1", 2]
    assert explorer.state.hidden == ()


def test_two_models_side_by_side(explorer: ConsistencyExplorer) -> None:
    desk = desk_of(explorer)
    desk.knobs["second"].value = "twin"
    assert "twin: disagreement" in titles(desk) and "now, twin" in desk.numbers.value


def test_other_geometries_bring_their_own_rules(explorer: ConsistencyExplorer) -> None:
    desk = desk_of(explorer)
    desk.knobs["occlusion"].value = "gordon"
    desk.knobs["geometry"].value = "estimated"
    assert desk.error.value == "" and explorer.state.occlusion == ""
    assert "gordon" not in dict(desk.knobs["occlusion"].options).values() and "Length of the flow" in titles(desk)


def test_an_error_is_said_and_the_rest_goes_on(explorer: ConsistencyExplorer) -> None:
    desk = desk_of(explorer)
    desk.knobs["geometry"].value = "estimated"
    desk.knobs["yaw"].value = 2.0
    assert "role='alert'" in desk.error.value and "an estimated flow has no" in desk.error.value
    assert not desk.board.busy
    desk.knobs["yaw"].value = 0.0
    assert desk.error.value == ""


def test_the_state_is_kept_and_restored(explorer: ConsistencyExplorer) -> None:
    desk = desk_of(explorer)
    desk.board.clicked = [3, 4, 1]
    desk.knobs["opacity"].value = 0.5
    text, kept = desk.keeper.text.value, explorer.state
    assert ExplorerState.from_json(text) == kept
    desk.worse(3)
    desk.keeper.text.value = text
    desk.attempt(desk.keeper.restore)
    assert explorer.state == kept and desk.knobs["opacity"].value == 0.5
    desk.keeper.text.value = json.dumps({"video": "elsewhere"})
    desk.attempt(desk.keeper.restore)
    assert "no video" in desk.error.value and explorer.state == kept


def test_buttons_write_files(explorer: ConsistencyExplorer, tmp_path: Path) -> None:
    desk = desk_of(explorer)
    desk.attempt(desk.keeper.save)
    written = sorted(path.suffix for path in (tmp_path / "figures" / "11_consistency_explorer").iterdir())
    assert written == [".html", ".json", ".png"]
    assert desk.keeper.said.value.count("download=") == 3
    desk.attempt(desk.keeper.record)
    assert "rerun-sdk, which is not installed" in desk.error.value


class Recording:
    """What the recording was told, in the place of the library."""

    def __init__(self) -> None:
        self.logged: list[tuple[int | None, str, str]] = []
        self._frame: int | None = None

    def save(self, path: str) -> None:
        Path(path).write_bytes(b"")

    def set_time(self, name: str, *, sequence: int) -> None:
        assert name == "frame"
        self._frame = sequence

    def log(self, place: str, thing: Any, *, static: bool = False) -> None:
        self.logged.append((None if static else self._frame, place, thing))

    def flush(self) -> None:
        self.logged.append((None, "flushed", ""))


def test_a_recording_has_every_frame(
    material: ExplorerMaterial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording()
    kinds = (
        "AnnotationInfo",
        "AnnotationContext",
        "Image",
        "SegmentationImage",
        "DepthImage",
        "Pinhole",
        "Transform3D",
    )
    things = {kind: (lambda *a, kind=kind, **k: kind) for kind in kinds}
    library = SimpleNamespace(RecordingStream=lambda name: recording, **things)
    monkeypatch.setitem(sys.modules, "rerun", library)
    state = material.opening()
    assert record_video(material, state, tmp_path / "v.rrd").exists()
    frames = material.videos.frame_count(state.video)
    assert sorted({frame for frame, *_ in recording.logged if frame is not None}) == list(range(frames))
    for kind in ("Image", "SegmentationImage", "DepthImage", "Pinhole", "Transform3D"):
        assert sum(thing == kind for *_, thing in recording.logged) == frames * (
            2 if kind == "SegmentationImage" else 1
        )


@pytest.mark.bad_input
def test_without_the_library_a_recording_says_so(material: ExplorerMaterial, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rerun-sdk"):
        record_video(material, material.opening(), tmp_path / "v.rrd")
