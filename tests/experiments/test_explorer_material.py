"""The explorer's material: which pair comes next, what the filters let through, and what is kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from stc_lab.data import Videos, load
from stc_lab.errors import InputError
from stc_lab.experiments.explorer_causes import cause_shares
from stc_lab.experiments.explorer_material import ExplorerMaterial
from stc_lab.experiments.likely_cause import CAUSES, FLICKER, LEFT
from stc_lab.models import FPNSegmenter, load_shipped


@pytest.fixture(scope="module")
def videos() -> Videos:
    return load("rooms", split="test", preset="tiny")


@pytest.fixture(scope="module")
def material(videos: Videos, tmp_path_factory: pytest.TempPathFactory) -> ExplorerMaterial:
    return ExplorerMaterial(videos, {"net": load_shipped("rooms_fpn").model}, cache=tmp_path_factory.mktemp("cache"))


def test_it_opens_at_the_worst_pair_and_goes_down_the_list(material: ExplorerMaterial) -> None:
    state = material.worst()
    values = []
    for _ in range(5):
        place = material.place(state)
        assert place == len(values)
        values.append(material.passing(state)[place].value)
        state = material.beside(state, 1)
    assert values == sorted(values, reverse=True)
    assert material.place(material.beside(material.beside(state, -1), -1)) == 3
    last = material.at(state, 10_000)
    assert material.beside(last, 1) == last  # the end is where it stops


def test_filters_leave_out_and_keep_the_order(material: ExplorerMaterial) -> None:
    state = material.worst()
    everything = material.ranking(state)
    middle = sorted(score.visible for score in everything)[len(everything) // 2]
    slow = sorted(score.motion for score in everything)[len(everything) // 2]
    some = replace(state, least_visible=middle, most_motion=slow)
    expected = [s for s in everything if s.visible >= middle and s.motion <= slow]
    assert material.passing(some) == expected and 0 < len(expected) < len(everything)
    hidden_pair = next(s for s in everything if s not in expected)
    outside = material.at_pair(some, hidden_pair)
    assert material.place(outside) is None
    assert material.beside(outside, 1) == material.at(some, 0)


def test_a_class_ranks_by_its_own_pixels(material: ExplorerMaterial) -> None:
    state = material.worst()
    score = material.ranking(state)[0]
    class_id = max(score.per_class, key=lambda c: score.per_class[c])
    of_class = {(s.earlier): s.value for s in material.ranking(replace(state, of_class=class_id))}
    assert of_class[score.earlier] == pytest.approx(score.per_class[class_id])


def test_views_are_those_of_the_state(material: ExplorerMaterial) -> None:
    state = replace(material.worst(gap=2), direction="forward", yaw=1.0)
    view = material.view(state)
    assert (view.earlier, view.later - view.earlier) == (material.row(state), 2)
    assert view.direction == "forward" and view.disturbance == state.disturbance
    assert material.view(replace(state, opacity=0.5, hidden=(3,))) is view  # nothing to compute anew
    assert material.view(state.undisturbed()) is not view


def test_causes_of_what_disagrees_are_shares(material: ExplorerMaterial) -> None:
    state = material.worst()
    shares = cause_shares(material, state, material.passing(state)[:4])
    assert sum(shares.values()) == pytest.approx(1.0)
    assert set(shares) <= set(CAUSES) and CAUSES[LEFT] not in shares and CAUSES[FLICKER] in shares


def test_rankings_are_kept_on_disk(videos: Videos, tmp_path: Path) -> None:
    net = load_shipped("rooms_fpn").model
    first = ExplorerMaterial(videos, {"net": net}, cache=tmp_path)
    again = ExplorerMaterial(videos, {"net": net}, cache=tmp_path)
    assert first.ranking(first.opening()) == again.ranking(again.opening())
    assert not again.frames["net"]._kept  # no frame was read, no net was run


@pytest.mark.bad_input
def test_what_cannot_be_explored_is_refused(videos: Videos, material: ExplorerMaterial) -> None:
    with pytest.raises(InputError, match="at least one model"):
        ExplorerMaterial(videos, {})
    with pytest.raises(InputError, match="same classes"):
        ExplorerMaterial(videos, {"a": FPNSegmenter(3), "b": FPNSegmenter(4)})
    state = material.opening()
    with pytest.raises(InputError, match="model must be one of net"):
        material.view(replace(state, model="other"))
    with pytest.raises(InputError, match="none lies 8 after frame 5"):
        material.view(replace(state, frame=5, gap=8))
    with pytest.raises(InputError, match="no pair passes"):
        material.at(replace(state, least_motion=5e5, most_motion=6e5), 0)
