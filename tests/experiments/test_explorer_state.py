"""The state of the explorer: saved and restored without loss, and nothing illegal gets into it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stc_lab.errors import InputError
from stc_lab.experiments.disturb import Disturbance
from stc_lab.experiments.explorer_state import ExplorerState
from stc_lab.experiments.pair_places import GEOMETRIES, OCCLUSIONS
from stc_lab.experiments.pair_ranking import MEASURES

FIELDS = st.fixed_dictionaries(
    {
        "video": st.text(min_size=1),
        "frame": st.integers(0, 1000),
        "gap": st.integers(1, 8),
        "direction": st.sampled_from(["backward", "forward"]),
        "geometry": st.sampled_from(GEOMETRIES),
        "occlusion": st.sampled_from(["", *OCCLUSIONS]),
        "measure": st.sampled_from(list(MEASURES)),
        "opacity": st.floats(0, 1),
        "hidden": st.lists(st.integers(0, 20), unique=True),
        "yaw": st.floats(-90, 90),
        "depth_scale": st.floats(0.001, 1000),
    }
)


@given(FIELDS)
def test_a_saved_state_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    state = ExplorerState(**{**fields, "hidden": tuple(fields["hidden"])})
    assert ExplorerState.from_json(state.to_json()) == state


def test_what_a_saved_state_lacks_is_at_its_default() -> None:
    assert ExplorerState.from_json('{"video": "a", "gap": 3, "yaw": 2}') == ExplorerState("a", gap=3, yaw=2.0)


def test_disturbances_are_taken_back_and_nothing_else() -> None:
    state = ExplorerState("a", frame=4, yaw=3.0, exposure=-1.0, opacity=0.5, x=3, y=2)
    assert state.disturbance == Disturbance(yaw=3.0, exposure=-1.0)
    assert state.undisturbed() == replace(state, yaw=0.0, exposure=0.0)
    assert state.pixel == (3, 2) and ExplorerState("a").pixel is None


def test_the_legend_toggles() -> None:
    state = ExplorerState("a").toggled(7).toggled(2)
    assert state.hidden == (2, 7) and state.toggled(7).hidden == (2,)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "wrong",
    [
        {"gap": 0},
        {"gap": 9},
        {"gap": 1.5},
        {"frame": -1},
        {"frame": True},
        {"opacity": 1.5},
        {"opacity": "1"},
        {"direction": "sideways"},
        {"geometry": "guessed"},
        {"occlusion": "by eye"},
        {"measure": "mood"},
        {"hidden": ("wall",)},
        {"depth_scale": 0.0},
        {"yaw": 120.0},
        {"video": 3},
    ],
)
def test_illegal_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        ExplorerState(**{"video": "a", **wrong})


@pytest.mark.bad_input
@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"frame": 2}', json.dumps({"video": "a", "colour": "red"})])
def test_what_is_no_saved_state_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no saved state"):
        ExplorerState.from_json(text)
