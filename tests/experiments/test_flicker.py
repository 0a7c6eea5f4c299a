"""Runs of labels, the pixels that show flicker, and what smoothing takes from short runs."""

from itertools import groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stc_lab.data import Videos, load
from stc_lab.errors import InputError
from stc_lab.experiments.flicker import (
    RUNS,
    accuracy_by_run,
    open_flicker,
    ribbons_at,
    run_lengths,
    smoothed_truth,
    telling_pixels,
)
from stc_lab.experiments.smoothing_front import Smoothing
from stc_lab.models import load_shipped
from stc_lab.training import evaluate


@pytest.fixture(scope="module")
def tiny() -> Videos:
    return load("rooms", split="test", preset="tiny")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), frames=st.integers(1, 9), classes=st.integers(1, 3))
def test_runs_are_those_of_groupby(seed: int, frames: int, classes: int) -> None:
    labels = torch.randint(0, classes, (frames, 2, 3), generator=torch.Generator().manual_seed(seed))
    lengths = run_lengths(labels)
    for y in range(2):
        for x in range(3):
            expected = [n for _, run in groupby(labels[:, y, x].tolist()) for n in [len(list(run))] for _ in range(n)]
            assert lengths[:, y, x].tolist() == expected


def clip_of(ribbons: dict[tuple[int, int], list[int]], frames: int, fill: int) -> Tensor:
    labels = torch.full((frames, 8, 16), fill)
    for (x, y), ribbon in ribbons.items():
        labels[:, y, x] = torch.tensor(ribbon)
    return labels


def test_telling_pixels_are_found_by_their_rules() -> None:
    truth = clip_of({(5, 3): [1] * 4 + [2] * 3 + [1] * 5, (6, 3): [2, 2] + [1] * 10}, 12, fill=1)
    wrong = {
        (5, 3): truth[:, 3, 5].tolist(),
        (6, 3): [1] * 12,
        (9, 4): [1, 3, 1, 1, 3, 1, 1, 1, 1, 1, 1, 1],
        (10, 4): [1, 3, 3, 3, 3, 3, 3, 3, 3, 1, 3, 1],  # changes its mind often, but is mostly wrong
        (11, 4): [4] * 12,
        (0, 0): [1, 3] * 6,  # at the rim of the picture
    }
    found = telling_pixels(truth, clip_of(wrong, 12, fill=1))
    assert found == {"it flickers": (9, 4), "something passes by": (5, 3), "steadily wrong": (11, 4)}
    ribbons = ribbons_at({"truth": truth}, found)
    assert ribbons["something passes by (x 5, y 3)"]["truth"].tolist() == [1] * 4 + [2] * 3 + [1] * 5


def test_what_a_clip_does_not_have_is_left_out() -> None:
    still = torch.ones(10, 8, 16, dtype=torch.int64)
    assert telling_pixels(still, still) == {}


def test_a_run_at_the_end_of_the_clip_passes_nobody_by() -> None:
    truth = clip_of({(5, 3): [2, 2] + [1] * 8, (6, 3): [1] * 7 + [2] * 3}, 10, fill=1)
    assert "something passes by" not in telling_pixels(truth, truth)


def test_groups_of_runs_add_up_to_all_pixels(tiny: Videos) -> None:
    model = load_shipped("rooms_fpn").model
    smoothings = (Smoothing("none"), Smoothing("labels over time", sigma=3.0))
    plain, smoothed = accuracy_by_run(model, tiny, smoothings).values()
    scores = evaluate(model, tiny).scores
    assert sum(group.pixels for group in plain) == scores.support and len(plain) == len(RUNS)
    right = sum(group.pixels * group.after for group in plain if group.pixels)
    assert right == pytest.approx(scores.accuracy * scores.support)
    assert all(group.before == group.after for group in plain if group.pixels)
    assert [group.before for group in smoothed if group.pixels] == [group.before for group in plain if group.pixels]
    assert [group.name for group in plain] == ["1", "2", "3", "4-5", "6-8", "9-15", "16+"]


def test_smoothing_harms_the_truth_where_things_move(tiny: Videos) -> None:
    found = smoothed_truth(tiny, (0.0, 1.0, 3.0))
    same, along = found["same pixel"], found["along the flow"]
    assert same[0] == along[0] == 1.0
    assert same[0] > same[1] > same[2]
    assert along[2] > 0.9 > same[2]


def test_a_clip_through_the_eyes_of_the_net() -> None:
    flicker = open_flicker(load_shipped("rooms_fpn").model, preset="tiny", seed=1)
    frames, _, height, width = flicker.probabilities.shape
    assert flicker.labels.shape == flicker.truth.shape == (frames, height, width)
    torch.testing.assert_close(flicker.probabilities.sum(dim=1), torch.ones(frames, height, width))
    assert max(q - p for p, q in flicker.flows.pairs) == 3


@pytest.mark.bad_input
def test_sigmas_are_asked_for(tiny: Videos) -> None:
    with pytest.raises(InputError, match="at least one"):
        smoothed_truth(tiny, ())
