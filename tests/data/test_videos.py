"""Videos give any frames by row, read them when asked, and keep pairs within a video."""

import os
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from miniatures import write_table

from stc_lab.data import SourceInfo, Videos, array_videos, frame_features
from stc_lab.errors import InputError

COUNTS = {"b": 5, "a": 1, "c": 7}
HAS = frozenset({"label", "depth", "intrinsics", "pose"})
INFO = SourceInfo("drawn", frame_rate=10.0, has=HAS, licence="none", reference="none", classes=("x", "y", "z"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory):
    from datasets import load_from_disk

    return load_from_disk(write_table(tmp_path_factory.mktemp("table") / "t", COUNTS))


@pytest.fixture(scope="module")
def videos(table) -> Videos:
    return array_videos(INFO, table)


def test_says_what_it_holds(videos: Videos) -> None:
    assert videos.names == ("b", "a", "c")
    assert len(videos) == 13
    assert videos.size == (6, 8)
    assert {name: videos.frame_count(name) for name in videos.names} == COUNTS
    assert "3 videos, 13 frames of (6, 8) px" in repr(videos)


@settings(deadline=None, max_examples=25)
@given(rows=st.lists(st.integers(0, 12), min_size=1, max_size=20))
def test_any_rows_in_any_order(videos: Videos, table, rows: list[int]) -> None:
    clip = videos.frames(rows)
    expected = table.with_format("numpy")[rows]  # the slow way that needs no knowledge of memory
    assert clip.video == tuple(expected["video"])
    assert np.array_equal(clip.index.numpy(), expected["index"])
    assert np.allclose(clip.time.numpy(), expected["time"])
    assert np.array_equal((clip.image * 255).round().numpy(), expected["image"])
    assert clip.label is not None
    assert clip.label.dtype == torch.int64
    assert np.array_equal(clip.label.numpy(), expected["label"])
    assert clip.depth is not None
    assert np.array_equal(clip.depth[:, 0].numpy(), expected["depth"])
    assert clip.camera is not None
    assert clip.camera.size == (6, 8)
    assert np.allclose(clip.camera.K.numpy(), expected["intrinsics"])
    assert clip.T_world_camera is not None
    assert np.allclose(clip.T_world_camera.numpy(), expected["pose"])


def test_many_frames_are_read_in_parts(videos: Videos, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = videos.frames(range(13))
    monkeypatch.setattr("stc_lab.data.videos._PIXELS_AT_ONCE", 6 * 8 * 4)
    parts = videos.frames(range(13))
    assert torch.equal(whole.image, parts.image)
    assert whole.video == parts.video
    assert whole.camera is not None
    assert parts.camera is not None
    assert torch.equal(whole.camera.K, parts.camera.K)


def test_clip_takes_frames_of_one_video(videos: Videos) -> None:
    clip = videos.clip("c", start=1, stop=6, step=2)
    assert clip.video == ("c",) * 3
    assert clip.index.tolist() == [1, 3, 5]
    assert torch.equal(clip.image, videos.frames([videos.row("c", i) for i in (1, 3, 5)]).image)
    assert len(videos.clip("b")) == 5


@settings(deadline=None, max_examples=25)
@given(gap=st.integers(-6, 6).filter(lambda gap: gap != 0))
def test_pairs_stay_in_their_video(videos: Videos, gap: int) -> None:
    pairs = videos.pairs(gap)
    assert len(pairs) == sum(max(0, count - abs(gap)) for count in COUNTS.values())
    first, second = (videos.frames(rows) for rows in zip(*pairs, strict=True))
    assert first.video == second.video
    assert ((second.index - first.index) == gap).all()


def test_resized_and_in_memory_are_the_same_videos(videos: Videos) -> None:
    small = videos.resized((3, 4))
    assert videos.size == (6, 8)
    assert small.size == (3, 4)
    kept = small.in_memory()
    for rows in ([0], [12, 3, 3]):
        a, b = small.frames(rows), kept.frames(rows)
        assert a.image.shape[-2:] == (3, 4)
        assert a.video == b.video
        for name in ("image", "label", "depth", "time", "index", "T_world_camera"):
            assert torch.equal(getattr(a, name), getattr(b, name))
        assert a.camera is not None
        assert b.camera is not None
        assert torch.equal(a.camera.K, b.camera.K)
        assert b.camera.size == (3, 4)
    assert kept.resized((6, 4)).frames([1]).image.shape == (1, 3, 6, 4)


def test_what_is_not_known_is_none(table) -> None:
    info = SourceInfo("bare", frame_rate=10.0, has=frozenset(), licence="none", reference="none")
    clip = array_videos(info, table.select_columns(["video", "index", "time", "image"])).frames([0, 1])
    assert (clip.label, clip.depth, clip.camera, clip.T_world_camera) == (None, None, None, None)


def test_opening_loads_no_pictures(tmp_path: Path) -> None:
    from datasets import load_from_disk

    folder = write_table(tmp_path / "t", {"long": 60}, size=(120, 160))
    megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    table = load_from_disk(folder)
    before = psutil.Process(os.getpid()).memory_info().rss
    opened = array_videos(INFO, table)
    assert megabytes > 5
    assert (psutil.Process(os.getpid()).memory_info().rss - before) / 1e6 < 2
    assert len(opened.frames([59])) == 1


def test_bad_requests_say_what_is_legal(videos: Videos) -> None:
    with pytest.raises(InputError, match="no video 'd'; it has 3: b, a, c"):
        videos.clip("d")
    with pytest.raises(InputError, match="frames 0 to 4, got index 5"):
        videos.row("b", 5)
    with pytest.raises(InputError, match="0 to 12, got 13"):
        videos.frames([0, 13])
    with pytest.raises(InputError, match="got no rows"):
        videos.frames([])
    with pytest.raises(InputError, match=r"stop <= 5 .* got start 0, stop 9"):
        videos.clip("b", stop=9)
    with pytest.raises(InputError, match="two frames 7 apart; the longest has 7"):
        videos.pairs(7)
    with pytest.raises(InputError, match="gap must not be 0"):
        videos.pairs(0)


def test_bad_tables_are_refused(table) -> None:
    with pytest.raises(InputError, match="lacks the columns depth"):
        array_videos(INFO, table.remove_columns("depth"))
    bare = SourceInfo("bare", frame_rate=10.0, has=HAS - {"depth"}, licence="", reference="", classes=("x",))
    with pytest.raises(InputError, match="does not name: depth"):
        array_videos(bare, table)
    with pytest.raises(InputError, match="selection of another"):
        array_videos(INFO, table.select([3, 1, 2]))
    with pytest.raises(InputError, match="must lie together"):
        array_videos(INFO, table.select([0, 5, 1]).flatten_indices(keep_in_memory=True))
    with pytest.raises(InputError, match="numbered 0, 1, 2"):
        array_videos(INFO, table.select([0, 2]).flatten_indices(keep_in_memory=True))
    with pytest.raises(InputError, match="no frames"):
        array_videos(INFO, table.select([]).flatten_indices(keep_in_memory=True))


def test_schema_names_only_what_exists() -> None:
    assert list(frame_features({"label"})) == ["video", "index", "time", "image", "label"]
    with pytest.raises(InputError, match="has must be among"):
        SourceInfo("x", frame_rate=1.0, has=frozenset({"flow"}), licence="", reference="")
    with pytest.raises(InputError, match="must name its classes"):
        SourceInfo("x", frame_rate=1.0, has=frozenset({"label"}), licence="", reference="")
