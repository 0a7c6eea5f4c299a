"""Explorers: pure pictures first, then the shell around them, all without a browser."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import CLASS_NAMES, RoomsConfig, render_video
from stc_lab.errors import InputError
from stc_lab.plots import class_palette
from stc_lab.widgets import (
    Explorer,
    LiveCurves,
    Picture,
    Table,
    WarpState,
    explorer,
    live_lab,
    prediction_explorer,
    prediction_picture,
    warp_explorer,
    warp_numbers_and_image,
    warp_picture,
)

ERRORS = {"depth_error": 30.0, "yaw": 3.0, "pitch": -3.0}


@pytest.fixture(scope="module")
def clip() -> Clip:
    return render_video("rooms-test-0000", RoomsConfig(frames=9, height=48, width=64, motion="handheld", dial=0.0))


@pytest.fixture
def in_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "live_lab", lambda: True)


def with_fields(clip: Clip, **changed: Any) -> Clip:
    return Clip(**{name: changed.get(name, getattr(clip, name)) for name in clip.__dataclass_fields__})


def test_the_true_warp_beats_no_warp_and_every_wrong_one(clip: Clip) -> None:
    right, _, _ = warp_numbers_and_image(clip, WarpState(frame=4, gap=2))
    assert right.photometric < 0.7 * right.photometric_identity
    assert right.agreement is not None and right.agreement_identity is not None
    assert right.agreement > 0.98 > right.agreement_identity and right.visible > 0.5
    for name, size in ERRORS.items():
        wrong, _, _ = warp_numbers_and_image(clip, WarpState(frame=4, gap=2, **{name: size}))
        assert wrong.agreement is not None and wrong.agreement < right.agreement, name


def test_the_splat_lands_where_the_inverse_warp_looks(clip: Clip) -> None:
    inverse, looked, _ = warp_numbers_and_image(clip, WarpState(frame=4, gap=1))
    splat, landed, _ = warp_numbers_and_image(clip, WarpState(frame=4, gap=1, warp="forward splat"))
    assert splat.agreement is not None and splat.agreement > 0.97
    both = looked.visible & landed.visible
    difference = (looked.image - landed.image).abs().mean(dim=1)[both]
    assert both.float().mean() > 0.6 and difference.mean() < 0.05
    assert splat.photometric < inverse.photometric_identity


def test_the_identity_shows_the_source_untouched(clip: Clip) -> None:
    numbers, warped, _ = warp_numbers_and_image(clip, WarpState(frame=4, gap=1, warp="identity"))
    assert torch.equal(warped.image[0], clip.image[3])
    assert numbers.photometric == numbers.photometric_identity and numbers.agreement == numbers.agreement_identity


def test_early_frames_look_forward(clip: Clip) -> None:
    assert [WarpState(frame, gap=3).source(9) for frame in (0, 2, 3, 8)] == [3, 5, 0, 5]
    assert "frame 3" in warp_picture(clip, WarpState(0, gap=3)).panels[1].title


def test_a_picture_hatches_what_is_not_seen(clip: Clip) -> None:
    state = WarpState(frame=6, gap=4)
    _, warped, _ = warp_numbers_and_image(clip, state)
    picture = warp_picture(clip, state)
    for panel in picture.panels[1:]:
        assert panel is not None and panel.hidden is not None
        assert (panel.hidden == ~warped.visible[0].numpy()).all()
    assert "hatched" in picture.note


def test_nothing_visible_is_shown_and_said(clip: Clip) -> None:
    shown = warp_picture(clip, WarpState(frame=4, gap=1, yaw=170.0))
    assert shown.table.rows["inverse warp"] == ("unknown", "unknown") and shown.note.startswith("0.0 %")


def test_a_clip_without_labels_can_be_explored(clip: Clip) -> None:
    for warp in ("inverse warp", "identity", "forward splat"):
        numbers, _, _ = warp_numbers_and_image(with_fields(clip, label=None), WarpState(4, warp=warp))
        assert numbers.agreement is None and numbers.photometric < 1


@pytest.mark.parametrize(
    ("field", "frames", "message"),
    [("depth", 9, "has no depth"), ("T_world_camera", 9, "has no T_world"), (None, 2, "at least 3 frames")],
)
def test_a_clip_that_cannot_be_warped_is_refused(clip: Clip, field: str | None, frames: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        warp_explorer((clip if field is None else with_fields(clip, **{field: None}))[:frames])


def test_the_warp_explorer_answers_at_once() -> None:
    large = render_video("rooms-test-0000", RoomsConfig(frames=3, height=120, width=160, motion="handheld"))
    shown = warp_explorer(large)
    shown.widget  # noqa: B018
    times = []
    for warp in ("inverse warp", "identity", "forward splat", "inverse warp"):
        began = time.perf_counter()
        shown.widget.children[1].children[3].value = warp
        times.append(time.perf_counter() - began)
    assert min(times[:-1]) < 0.15  # s; the best of three: other work may share the machine


def test_predictions_are_shown_beside_the_truth(clip: Clip) -> None:
    assert clip.label is not None
    palette = class_palette(CLASS_NAMES)
    wrong = torch.where(clip.label == 1, torch.full_like(clip.label, 2), clip.label)
    predictions = {"right": clip.label, "wrong": wrong, "again": wrong}
    picture = prediction_picture(clip, predictions, palette, 3)
    titles = [None if panel is None else panel.title for panel in picture.panels]
    assert titles == ["image: frame 3", "truth", None, "right", "wrong", "again"]
    assert picture.table.rows["right"] == ("100.0 %", "100.0 %") != picture.table.rows["wrong"]
    mistakes = prediction_picture(clip, predictions, palette, 3, "mistakes").panels[4]
    assert mistakes is not None and f"{100 * float((clip.label[3] == 1).float().mean()):.1f} %" in mistakes.caption


def test_predictions_must_fit_the_clip(clip: Clip) -> None:
    assert clip.label is not None
    with pytest.raises(InputError, match="at least one prediction"):
        prediction_explorer(clip, {}, CLASS_NAMES)
    with pytest.raises(InputError, match=r"'half' must be int64"):
        prediction_explorer(clip, {"half": clip.label[:, ::2]}, CLASS_NAMES)


def test_without_a_lab_the_default_state_is_a_static_figure(clip: Clip) -> None:
    bundle = warp_explorer(clip, frame=4)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert bundle["text/plain"].startswith("Warp explorer\ninverse warp: photometric error 0.0")
    assert {"image/png", "application/vnd.plotly.v1+json"} <= set(bundle)


@pytest.mark.usefixtures("in_the_lab")
def test_in_the_lab_readers_without_a_kernel_still_get_a_picture(clip: Clip) -> None:
    bundle = warp_explorer(clip)._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} == set(bundle)


def test_moving_a_slider_changes_pictures_and_numbers(clip: Clip) -> None:
    shown = warp_explorer(clip, frame=4)
    heading, knobs, row, _, table, note, error = shown.widget.children
    images = [cell.children[1] for cell in row.children]
    before, numbers = [image.value for image in images], table.value
    knobs.children[1].value += 1
    assert [image.value != old for image, old in zip(images, before, strict=True)] == [False, True, True]
    assert table.value != numbers and "visible" in note.value and error.value == ""
    assert "Warp explorer" in heading.value


def test_every_control_is_labelled(clip: Clip) -> None:
    assert clip.label is not None
    for shown in (warp_explorer(clip), prediction_explorer(clip, {"a": clip.label}, CLASS_NAMES)):
        assert all(control.description for control in shown.widget.children[1].children)


def test_an_exception_is_shown_under_the_widget_and_the_rest_goes_on() -> None:
    import ipywidgets

    def picture(number: int) -> Picture:
        if number == 1:
            raise ValueError("cannot show <1>")
        return Picture((), Table(("number",), {"row": (str(number),)}))

    shown = Explorer("test", lambda: {"number": ipywidgets.IntSlider(0, 0, 2, description="n")}, picture, {"number": 0})
    knob, table, error = shown.widget.children[1].children[0], shown.widget.children[3], shown.widget.children[5]
    knob.value = 1
    assert "ValueError: cannot show &lt;1&gt;" in error.value and "role='alert'" in error.value
    knob.value = 2
    assert error.value == "" and ">2<" in table.value


def test_slow_pictures_wait_until_the_slider_is_let_go() -> None:
    import ipywidgets

    for pause, follows in ((0.0, True), (2 * explorer.FAST, False)):

        def picture(number: int, pause: float = pause) -> Picture:
            time.sleep(pause)
            return Picture((), Table((), {}))

        knobs = {"number": ipywidgets.IntSlider(0, 0, 2, description="n")}
        Explorer("test", lambda knobs=knobs: knobs, picture, {"number": 0}).widget  # noqa: B018
        assert knobs["number"].continuous_update is follows


def test_curves_are_silent_in_batch(capsys: pytest.CaptureFixture[str]) -> None:
    curves = LiveCurves(title="Training")
    for step in range(5):
        curves({"step": step + 1, "loss": 1.0 / (step + 1)})
    assert capsys.readouterr().out == ""
    figure = curves.figure()
    assert figure.layout.title.text == "Training" and len(figure.data[0].x) == 5


def test_a_batch_run_prints_a_line_for_each_quarter(capsys: pytest.CaptureFixture[str]) -> None:
    curves = LiveCurves(title="geometry")
    for step in range(8):
        curves({"step": step + 1, "steps": 8, "loss": 1.0})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"geometry step {step}/8" for step in (2, 4, 6, 8)]


def test_curves_grow_in_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    from stc_lab.widgets import curves as module

    shown: list[Any] = []
    monkeypatch.setattr(module, "live_lab", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.append)
    curves = LiveCurves(per_second=1e9)
    for step in range(4):
        curves({"step": step + 1, "loss": 1.0, **({"ce": 0.5} if step > 1 else {})})
    assert len(shown) == 2  # a new one when a new part of the loss appears
    assert list(shown[-1].data[0].x) == [1, 2, 3, 4] and len(shown[-1].data) == 2
    assert [t.name for t in curves.figure().data] == ["total", "cross-entropy"]


def test_a_batch_run_is_no_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    monkeypatch.delenv("STC_LAB_RUN_DIR", raising=False)
    import IPython  # noqa: F401

    assert live_lab()
    monkeypatch.setenv("STC_LAB_RUN_DIR", str(tmp_path))
    assert not live_lab()
    monkeypatch.delenv("STC_LAB_RUN_DIR")
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert not live_lab()
