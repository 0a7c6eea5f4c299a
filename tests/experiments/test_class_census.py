"""Classes counted by hand, and what labels show: more when spread, never less when there are more of them."""

import numpy as np
import pytest
import torch

from stc_lab.data import Videos, load
from stc_lab.data.supervision import supervised_share
from stc_lab.errors import InputError
from stc_lab.experiments.class_census import (
    SHARES,
    ClassCensus,
    count_classes,
    label_coverage,
    labelled_first,
    rows_as_filmed,
)


@pytest.fixture(scope="module")
def videos() -> Videos:
    return load("rooms", preset="tiny")


@pytest.fixture(scope="module")
def census(videos: Videos) -> ClassCensus:
    return count_classes(videos)


def by_hand() -> ClassCensus:
    pixels = torch.tensor([[6, 2, 0, 0], [3, 0, 1, 0]])
    return ClassCensus(("wall", "door", "lamp", "sofa"), np.array([2, 5]), pixels, torch.tensor([0, 4]))


def test_the_census_is_a_slow_count(videos: Videos, census: ClassCensus) -> None:
    assert census.rows.tolist() == list(range(len(videos)))
    for row in (0, 7, len(videos) - 1):
        label = videos.frames([row]).label
        assert label is not None
        for k in range(len(census.names)):
            assert int(census.pixels[row, k]) == sum(int(v) == k for v in label.flatten().tolist())
    height, width = videos.size
    assert (census.pixels.sum(dim=1) + census.ignored == height * width).all()


def test_shares_leave_out_what_nobody_labelled() -> None:
    census = by_hand()
    assert census.pixel_share().tolist() == pytest.approx([9 / 12, 2 / 12, 1 / 12, 0])
    assert census.frame_share().tolist() == [1.0, 0.5, 0.5, 0.0]
    assert census.ignored_share() == pytest.approx(4 / 16)


@pytest.mark.parametrize(("share", "classes"), [(0.5, 1), (0.75, 1), (0.76, 2), (11 / 12, 2), (1.0, 3)])
def test_the_fewest_classes_that_fill_a_share(share: float, classes: int) -> None:
    assert by_hand().fewest_filling(share) == classes


def test_classes_seen_in_some_frames() -> None:
    census = by_hand()
    assert [census.seen([2]), census.seen([5]), census.seen([5, 2])] == [2, 2, 3]
    assert census.seen([2, 5], at_least=2) == 1


def test_more_labels_never_show_less(videos: Videos, census: ClassCensus) -> None:
    coverage = label_coverage(videos, census, seeds=range(3))
    for seen in (coverage.once, coverage.often, coverage.as_filmed):
        assert bool((seen[1:] >= seen[:-1]).all())
    assert bool((coverage.often <= coverage.once).all())
    everything = int((census.pixels.sum(dim=0) > 0).sum())
    assert coverage.once[-1].tolist() == coverage.as_filmed[-1].tolist() == [everything] * 3
    assert coverage.frames == tuple(len(supervised_share(videos, share, seed=0)) for share in SHARES)
    assert coverage.once[3, 1] == census.seen(supervised_share(videos, SHARES[3], seed=1))


def test_as_filmed_ends_a_video_before_it_begins_the_next(videos: Videos) -> None:
    rows = rows_as_filmed(videos, 15, seed=4)
    names = videos.videos_of(rows)
    assert len(set(rows)) == 15 and len(set(names)) == 2
    assert names == sorted(names, key=names.index)  # no video is returned to
    assert rows[:10] == list(range(videos.row(names[0], 0), videos.row(names[0], 0) + 10))
    assert {videos.videos_of(rows_as_filmed(videos, 1, seed=seed))[0] for seed in range(20)} == set(videos.names)


def test_a_frame_belongs_to_the_smallest_share_that_labels_it(videos: Videos) -> None:
    first = labelled_first(videos, seed=2)
    assert first.shape == (3, 10) and not bool(first.isnan().any())
    for share in SHARES:
        rows = (first <= share).flatten().nonzero()[:, 0].tolist()
        assert rows == sorted(supervised_share(videos, share, seed=2))


@pytest.mark.bad_input
def test_what_cannot_be_counted_is_said(videos: Videos) -> None:
    with pytest.raises(InputError, match="share must be above 0"):
        by_hand().fewest_filling(0)
    with pytest.raises(InputError, match="count must lie between 1 and the 30 labelled frames, got 31"):
        rows_as_filmed(videos, 31, seed=0)


@pytest.mark.bad_input
def test_a_source_without_labels_has_no_census(videos: Videos) -> None:
    import copy

    blind = copy.copy(videos)
    blind.has = frozenset({"depth"})
    with pytest.raises(InputError, match="'rooms' has no labels to count"):
        count_classes(blind)
