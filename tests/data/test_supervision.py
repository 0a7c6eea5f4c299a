"""Few labels: nested, spread over the videos, and the same for a part of the videos."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from miniatures import write_table

from stc_lab.data import SourceInfo, Videos, array_videos, supervised_rows
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


def test_too_many_or_no_labels(videos: Videos, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="between 1 and the 24 labelled frames, got 25"):
        supervised_rows(videos, 25, seed=0)
    with pytest.raises(InputError, match="no labels"):
        supervised_rows(open_table(tmp_path / "t", {"a": 1}, frozenset()), 1, seed=0)
