import pytest

from stc_lab.data import Videos, load
from stc_lab.errors import InputError
from stc_lab.experiments.smoothing_front import SMOOTHINGS, FrontRow, Smoothing, smoothing_front
from stc_lab.models import load_shipped
from stc_lab.training import evaluate


@pytest.fixture(scope="module")
def tiny() -> Videos:
    return load("rooms", split="test", preset="tiny")


@pytest.fixture(scope="module")
def rows(tiny: Videos) -> list[FrontRow]:
    return smoothing_front(load_shipped("rooms_fpn").model, tiny)


def test_one_frame_at_a_time_is_what_evaluation_says(tiny: Videos, rows: list[FrontRow]) -> None:
    plain, expected = rows[0], evaluate(load_shipped("rooms_fpn").model, tiny, gap=1)
    assert plain.smoothing.family == "none"
    assert plain.miou == pytest.approx(expected.scores.miou)
    assert plain.accuracy == pytest.approx(expected.scores.accuracy)
    assert expected.temporal_agreement is not None
    assert plain.agreement == pytest.approx(expected.temporal_agreement.value)
    assert expected.video_consistency is not None
    assert plain.video_consistency == pytest.approx(expected.video_consistency.value)


def test_every_smoothing_steadies_but_along_the_flow_it_is_the_scene_that_is_steady(rows: list[FrontRow]) -> None:
    scores = {row.smoothing.name: row for row in rows}
    assert len(scores) == len(SMOOTHINGS)
    plain = scores["one frame at a time"]
    for name, row in scores.items():
        if name != "one frame at a time" and "2-D" not in name:
            assert row.e_cons < plain.e_cons and row.agreement > plain.agreement
    along, pixelwise = scores["Gaussian along the flow, sigma 2"], scores["Gaussian over time, sigma 2"]
    assert along.agreement > pixelwise.agreement + 0.1  # a dolly moves many pixels a frame
    assert along.e_cons < pixelwise.e_cons < plain.e_cons
    assert along.accuracy > plain.accuracy


def test_the_front_is_what_nothing_beats_in_both(rows: list[FrontRow]) -> None:
    for row in rows:
        beaten = [other for other in rows if other.miou > row.miou and other.e_cons < row.e_cons]
        assert row.on_front == (not beaten)
    assert any(row.on_front for row in rows)


@pytest.mark.bad_input
def test_it_needs_something_to_compare(tiny: Videos) -> None:
    with pytest.raises(InputError, match="at least one"):
        smoothing_front(load_shipped("rooms_fpn").model, tiny, smoothings=())


def test_names_tell_smoothings_apart() -> None:
    assert Smoothing("guided filter", temporal_radius=2).name == "weighted guided filter, 3-D, 5 frames"
    assert Smoothing("guided filter", weighted=False).name == "guided filter, 2-D"
