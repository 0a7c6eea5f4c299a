"""Few labels: nested, spread over the videos, and the same for a part of the videos."""

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from miniatures import write_table

from stc_lab.data import SourceInfo, Videos, array_videos, supervised_rows, supervised_share
from stc_lab.errors import InputError

COUNTS = {f"room {i}": 4 for i in range(6)}


def open_table(folder: Path, counts: dict[str, int], has: frozenset[str]) -> Videos:
    from datasets import load_from_disk

    table = load_from_disk(write_table(folder, counts, size=(2, 2)))
    info = SourceInfo("t", frame_rate=1.0, has=has, licence="", reference="", classes=("a",) if "label" in has else ())
    return array_videos(info, table.select_columns(["video", "index", "time", "image", *has]))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    return open_table(tmp_path_factory.mktemp("a") / "t", COUNTS, frozenset({"label"}))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), count=st.integers(1, 24))
def test_nested_and_in_turn(videos: Videos, seed: int, count: int) -> None:
    rows = supervised_rows(videos, count, seed=seed)
    assert rows == supervised_rows(videos, 24, seed=seed)[:count]
    assert len(set(rows)) == count
    shares = [sum(row // 4 == i for row in rows) for i in range(6)]
    assert max(shares) - min(shares) <= 1


def test_seeds_differ(videos: Videos) -> None:
    assert len({tuple(supervised_rows(videos, 6, seed=seed)) for seed in range(20)}) == 20


def test_a_part_of_the_videos_keeps_its_frames(videos: Videos, tmp_path: Path) -> None:
    part = open_table(tmp_path / "t", {"room 4": 4, "room 1": 4, "room 2": 4}, frozenset({"label"}))

    def places(data: Videos, count: int) -> list[tuple[str, int]]:
        clip = data.frames(supervised_rows(data, count, seed=3))
        return list(zip(clip.video, clip.index.tolist(), strict=True))

    kept = [place for place in places(videos, 24) if place[0] in part.names]
    assert places(part, 12) == kept
    assert set(places(part, 3)) == {place for place in places(videos, 6) if place[0] in part.names}


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), shares=st.lists(st.floats(0.001, 1.0), min_size=2, max_size=4))
def test_shares_are_nested_whatever_they_are(videos: Videos, seed: int, shares: list[float]) -> None:
    drawn = [supervised_share(videos, share, seed=seed) for share in sorted(shares)]
    for share, rows in zip(sorted(shares), drawn, strict=True):
        assert abs(len(rows) - share * 24) <= 0.5 or len(rows) == 1
    for smaller, larger in pairwise(drawn):
        assert smaller == larger[: len(smaller)]
    assert sorted(supervised_share(videos, 1, seed=seed)) == list(range(24))


def test_the_papers_least_share_is_one_frame_of_a_small_set_and_a_thousandth_of_a_large_one(
    videos: Videos, tmp_path: Path
) -> None:
    assert len(supervised_share(videos, 0.001, seed=0)) == 1
    large = open_table(tmp_path / "t", {f"room {i}": 250 for i in range(8)}, frozenset({"label"}))
    rows = supervised_share(large, 0.001, seed=5)
    assert len(rows) == 2 and rows[0] // 250 != rows[1] // 250
    assert [len(supervised_share(large, share, seed=5)) for share in (0.005, 0.01, 0.1, 1.0)] == [10, 20, 200, 2000]


def test_frames_without_labels_are_never_drawn(videos: Videos) -> None:
    """As in CamVid or VSPW, where some frames of a video alone are annotated; and `room 5` has none at all."""
    sparse = copy.copy(videos)
    annotated = np.array([0, 2, 4, 9, 10, 11, 13, 16])
    sparse.rows_with = lambda *names: annotated  # type: ignore[method-assign]
    assert sorted(supervised_share(sparse, 1.0, seed=1)) == annotated.tolist()
    first = supervised_share(sparse, 0.6, seed=1)  # 4.8 of 8: one of each of the five videos
    assert sorted(row // 4 for row in first) == [0, 1, 2, 3, 4]
    assert first == supervised_rows(sparse, 5, seed=1)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.0, "share must be above 0 and at most 1, got 0.0"),
        (50, "a share, not per cent: 50 % is 0.5"),
        (-0.1, "got -0.1"),
        (float("nan"), "got nan"),
        (True, "got True"),
        ("all", "got 'all'"),
    ],
)
def test_a_share_that_is_none(videos: Videos, share: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        supervised_share(videos, share, seed=0)  # type: ignore[arg-type]


@pytest.mark.bad_input
def test_too_many_or_no_labels(videos: Videos, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="between 1 and the 24 labelled frames, got 25"):
        supervised_rows(videos, 25, seed=0)
    with pytest.raises(InputError, match="no labels"):
        supervised_rows(open_table(tmp_path / "t", {"a": 1}, frozenset()), 1, seed=0)
