"""The failure gallery turned by hand: one knob, the same curves whatever the failure, and its numbers in words."""

import pytest

from stc_lab.errors import InputError
from stc_lab.experiments.depth_failures import FAILURES, depth_failure
from stc_lab.widgets import failure_gallery, failure_picture
from stc_lab.widgets.depth import LEAST


@pytest.mark.parametrize("failure", FAILURES)
def test_every_failure_has_the_same_places_for_its_curves(failure: str) -> None:
    shown = failure_picture(failure)
    assert len(shown.panels) == 6 and shown.chart is not None and len(shown.chart.data) == 6
    found = depth_failure(failure)
    chosen = found.failure
    assert list(shown.table.rows) == [f"off: {chosen.knob} {chosen.off:g}", f"on: {chosen.knob} {chosen.on:g}"]
    assert chosen.claim in shown.note and chosen.remedy in shown.note
    on = shown.table.rows[f"on: {chosen.knob} {chosen.on:g}"]
    assert on[-1] == f"{100 * found.auto_masked(found.on):.0f} %"
    drawn = {tuple(trace.y) for trace in shown.chart.data}
    assert found.on.landscapes["loss"].error in drawn and found.off.landscapes["loss"].error in drawn


def test_the_knob_turns_from_off_to_on() -> None:
    for share, value in ((1.0, "0.28"), (0.5, "0.14")):
        assert f"on: exposure {value}" in failure_picture("exposure changes", share).table.rows
    assert "on: moving_objects 1" in failure_picture("moving things", LEAST).table.rows


def test_the_gallery_opens_with_the_failure_it_was_given() -> None:
    gallery = failure_gallery("highlights")
    assert any("gloss 10" in row for row in gallery.picture().table.rows)
    assert len([trace for trace in gallery.figure().data if trace.type == "image"]) == 6
    assert gallery.picture(share=LEAST).table.rows != gallery.picture().table.rows


def test_the_widget_moves() -> None:
    box = failure_gallery("exposure changes").widget
    failure, share, room = box.children[1].children
    charts = [child for child in box.children if type(child).__name__ == "FigureWidget"]
    before = list(charts[0].data[1].y)
    share.value = 0.5
    assert list(charts[0].data[1].y) != before
    failure.value = "moving things"
    assert charts[0].layout.xaxis3.title.text.endswith("own motion")
    assert room.value == 0


@pytest.mark.bad_input
def test_unknown_failures_and_knobs_beyond_their_ends() -> None:
    with pytest.raises(InputError, match="failure must be one of static camera"):
        failure_gallery("rain")
    with pytest.raises(InputError, match="failure must be one of"):
        failure_picture("rain")
    for share in (0.0, 1.5):
        with pytest.raises(InputError, match="share must lie between"):
            failure_picture("highlights", share)
