"""Converted videos are the same videos, and never those of files that have changed since."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import write_camvid, write_icl
from PIL import Image

from stc_lab.data import Videos, convert, load
from stc_lab.data.camvid import INFO
from stc_lab.data.convert import converted
from stc_lab.data.frame_files import file_videos
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.errors import InputError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STC_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(convert, "_FRAMES_AT_ONCE", 2)
    return write_camvid(tmp_path / "CamVid", {"0001TP": [30, 60, 90], "0016E5": [1, 2]})


def kept(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.parent.rglob("cache/converted/*/frames.arrow"))


def same(a: Videos, b: Videos) -> None:
    assert a.names == b.names and a.size == b.size and a.has == b.has and a.skipped == b.skipped
    for row in range(len(a)):
        one, other = a.frames([row]), b.frames([row])
        assert torch.equal((one.image * 255).round(), (other.image * 255).round())
        assert one.video == other.video and torch.equal(one.time, other.time) and torch.equal(one.index, other.index)
        for name in ("label", "depth", "T_world_camera"):
            mine, theirs = getattr(one, name), getattr(other, name)
            assert (mine is None) == (theirs is None) and (mine is None or torch.equal(mine, theirs))
        assert (one.camera is None) == (other.camera is None)
        if one.camera is not None and other.camera is not None:
            assert torch.equal(one.camera.K, other.camera.K) and one.camera.size == other.camera.size


def test_labelled_files(root: Path) -> None:
    videos, done = load("camvid", root=root, size=(6, 8)), []
    arrays = converted(videos, progress=lambda *counts: done.append(counts))
    assert done == [(2, 5), (4, 5), (5, 5)]
    same(arrays, videos)
    assert arrays.rows_with("label").tolist() == list(range(5))
    converted(load("camvid", root=root, size=(6, 8)), progress=lambda *_: pytest.fail("converted twice"))
    assert len(kept(root)) == 1


def test_depth_cameras_and_poses(root: Path) -> None:
    videos = load("icl", root=write_icl(root / "living", 3), size=(24, 32))
    same(converted(videos), videos)


def test_what_some_frames_lack(root: Path) -> None:
    videos = file_videos(replace(INFO, has=frozenset({"label", "pose"})), root, partly)
    arrays = converted(videos)
    same(arrays, videos)
    assert arrays.rows_with("label").tolist() == videos.rows_with("label").tolist() == [1]
    assert arrays.rows_with("pose").tolist() == videos.rows_with("pose").tolist() == [0]
    assert arrays.frames([0, 1]).T_world_camera is None
    assert arrays.resized((3, 4)).rows_with("label").tolist() == [1]
    bare = replace(INFO, has=frozenset({"label"}))
    nothing = converted(file_videos(bare, root, unlabelled))
    assert nothing.has == frozenset() and nothing.frames([0]).label is None


def partly(tree: Tree) -> Iterator[FileSequence]:
    names = [f"train/0001TP_{n:06d}.png" for n in (30, 60)]
    poses = np.stack([np.eye(4), np.full((4, 4), np.nan)])
    yield FileSequence(
        "a", [0, 1], names, label=[None, "trainannot/0001TP_000060.png"], pose=poses, skipped={"dark": 3}
    )


def unlabelled(tree: Tree) -> Iterator[FileSequence]:
    yield FileSequence("a", [0], ["train/0001TP_000030.png"])


def test_what_changed_is_converted_again(root: Path) -> None:
    converted(load("camvid", root=root))
    converted(load("camvid", root=root, size=(6, 8)))
    assert len(kept(root)) == 2
    image = root / "train" / "0001TP_000030.png"
    Image.fromarray(np.full((12, 16, 3), 9, np.uint8)).save(image)
    os.utime(image, (1, 1))
    assert float(converted(load("camvid", root=root)).frames([0]).image.max()) == pytest.approx(9 / 255)
    assert len(kept(root)) == 3


def test_a_file_that_cannot_be_read_leaves_nothing(root: Path) -> None:
    videos = load("camvid", root=root)
    (root / "train" / "0016E5_000002.png").write_text("no picture")
    with pytest.raises(InputError, match=r"0016E5_000002\.png .*cannot be decoded"):
        converted(videos)
    assert not kept(root)
    assert not [path for path in root.parent.rglob("cache/converted/*") if path.suffix != ".lock"]


def test_interruption_leaves_nothing(root: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converted(load("camvid", root=root), progress=interrupt)
    assert not kept(root)
    assert len(converted(load("camvid", root=root))) == 5


def test_a_full_disk_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"disk or your quota is full; nothing half-written.*STC_LAB_CACHE"):
        converted(load("camvid", root=root))
    assert not kept(root)


def test_arrays_are_not_converted(root: Path) -> None:
    with pytest.raises(InputError, match="are arrays already"):
        converted(converted(load("camvid", root=root)))
