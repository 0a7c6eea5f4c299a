"""Pairs for training: each once in a pass, in disjoint parts for workers and nodes, repeatable by seed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets.distributed import split_dataset_by_node
from hypothesis import given, settings
from hypothesis import strategies as st
from miniatures import write_camvid, write_table
from torch.utils.data import DataLoader

from stc_lab.data import Clip, PairStream, SourceInfo, Videos, array_videos, load
from stc_lab.data.pairs import Pairs
from stc_lab.errors import InputError

COUNTS = {"b": 5, "a": 1, "c": 7}
GAPS = (1, 2, -3)
HAS = frozenset({"label", "depth", "intrinsics", "pose"})
INFO = SourceInfo("drawn", frame_rate=10.0, has=HAS, licence="none", reference="none", classes=("x", "y", "z"))
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
Drawn = list[tuple[str, int, int]]  # video and the indices of the two frames


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    from datasets import load_from_disk

    return array_videos(INFO, load_from_disk(write_table(tmp_path_factory.mktemp("table") / "t", COUNTS)))


def names(batches: list[tuple[Clip, Clip]]) -> Drawn:
    found = []
    for earlier, later in batches:
        assert earlier.video == later.video
        found += list(zip(earlier.video, earlier.index.tolist(), later.index.tolist(), strict=True))
    return found


def all_pairs(gaps: tuple[int, ...] = GAPS) -> Counter[tuple[str, int, int]]:
    """By the definition, one by one."""
    return Counter(
        (name, i, i + gap)
        for gap in gaps
        for name, frames in COUNTS.items()
        for i in range(frames)
        if 0 <= i + gap < frames
    )


def loaded(stream: PairStream, workers: int, context: str | None = "fork") -> Drawn:
    loader = DataLoader(
        stream, batch_size=None, num_workers=workers, multiprocessing_context=context if workers else None
    )
    return names(list(loader))


def test_one_pass_gives_every_pair_once(videos: Videos) -> None:
    stream = PairStream(videos, GAPS, batch=4)
    found = names(list(stream))
    assert Counter(found) == all_pairs()
    assert stream.count == len(found)
    assert found != sorted(found)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32), parts=st.integers(1, 5), number=st.integers(0, 3))
def test_parts_are_disjoint_and_whole(videos: Videos, seed: int, parts: int, number: int) -> None:
    stream = PairStream(videos, GAPS, batch=3, seed=seed)
    rows = [stream.rows(part, parts, number=number).tolist() for part in range(parts)]
    assert max(map(len, rows)) - min(map(len, rows)) <= 1
    together = Counter(tuple(pair) for part in rows for pair in part)
    assert together == Counter(tuple(pair) for pair in stream.rows().tolist())
    assert set(together.values()) == {1}


def test_seeds_and_passes_have_orders_of_their_own(videos: Videos) -> None:
    first, second = (
        names(list(PairStream(videos, (1,), passes=2)))[:10],
        names(list(PairStream(videos, (1,), passes=2))),
    )
    assert first == second[:10]
    assert Counter(second[:10]) == Counter(second[10:]) and second[:10] != second[10:]
    assert names(list(PairStream(videos, (1,), seed=1))) != second[:10]
    endless = iter(PairStream(videos, (1,), batch=5, passes=None))
    assert len(names([next(endless) for _ in range(9)])) == 45


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_workers_share_a_pass(videos: Videos, workers: int) -> None:
    stream = PairStream(videos, GAPS, batch=2, seed=5)
    found = loaded(stream, workers)
    assert Counter(found) == all_pairs()
    assert found == loaded(PairStream(videos, GAPS, batch=2, seed=5), workers)  # repeats


def test_workers_that_are_started_afresh_read_the_same(tmp_path: Path) -> None:
    videos = load("camvid", root=write_camvid(tmp_path, {"0001TP": [1, 2, 3], "0016E5": [1, 2]}), size=(6, 8))
    stream = PairStream(videos, (1,), batch=1)
    assert loaded(stream, 1, "spawn") == loaded(stream, 1, "fork")


@pytest.mark.parametrize(("nodes", "workers"), [(2, 0), (2, 2), (3, 1)])
def test_nodes_share_a_pass(videos: Videos, nodes: int, workers: int) -> None:
    parts = [loaded(PairStream(videos, GAPS, batch=2, node=node, nodes=nodes), workers) for node in range(nodes)]
    assert Counter(pair for part in parts for pair in part) == all_pairs()


@pytest.mark.parametrize("workers", [0, 2])
def test_streams_of_datasets_are_split_by_node_and_worker(videos: Videos, workers: int) -> None:
    streamed = PairStream(videos, GAPS, batch=2, seed=3).streamed(4)
    assert streamed.num_shards == 4
    parts = []
    for node in range(2):
        loader = DataLoader(split_dataset_by_node(streamed, node, 2), batch_size=None, num_workers=workers)
        parts.append(names([(example["earlier"], example["later"]) for example in loader]))
    assert all(parts)
    assert Counter(pair for part in parts for pair in part) == all_pairs()


def test_clips_of_a_pair_are_the_frames_themselves(videos: Videos) -> None:
    stream = PairStream(videos, (2,), batch=3)
    earlier, later = next(iter(stream))
    rows = stream.rows()[:3]
    for clip, own in ((earlier, rows[:, 0]), (later, rows[:, 1])):
        expected = videos.frames(own.tolist())
        for name in ("image", "label", "depth", "T_world_camera"):
            assert torch.equal(getattr(clip, name), getattr(expected, name))


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=5), gap=st.integers(-9, 9).filter(lambda gap: gap != 0))
def test_pairs_are_counted_as_if_listed(counts: list[int], gap: int) -> None:
    ends = np.cumsum(counts).tolist()
    ranges = [range(end - count, end) for count, end in zip(counts, ends, strict=True)]
    listed = [(row, row + gap) for rows in ranges for row in rows if row + gap in rows]
    pairs = Pairs(ranges, gap)
    assert list(pairs) == listed == pairs[:]
    assert len(pairs) == len(listed)
    assert pairs.rows(np.arange(len(pairs))).tolist() == [list(pair) for pair in listed]
    if listed:
        assert pairs[-1] == listed[-1] and pairs[::2] == listed[::2] and listed[0] in pairs
    with pytest.raises(IndexError):
        pairs[len(listed)]


def test_bad_requests(videos: Videos) -> None:
    for wrong in ({"batch": 0}, {"passes": 0}, {"gaps": ()}):
        with pytest.raises(InputError, match="must be at least 1"):
            PairStream(videos, **{"gaps": (1,), **wrong})
    with pytest.raises(InputError, match="node must lie between 0 and 1, got 2"):
        PairStream(videos, (1,), node=2, nodes=2)
    with pytest.raises(InputError, match="two frames 7 apart"):
        PairStream(videos, (1, 7))
    with pytest.raises(InputError, match="cannot be split by node again"):
        PairStream(videos, (1,), nodes=2).streamed(2)
    with pytest.raises(InputError, match="shards must be at least 1"):
        PairStream(videos, (1,)).streamed(0)
