"""A check reads a whole copy and names all that is wrong with it, not the first."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import CAMVID_SIZE, pose, write_camvid, write_icl, write_sevenscenes, write_table
from PIL import Image

from stc_lab.data import SourceInfo, array_videos, load
from stc_lab.data.check import CheckReport, check
from stc_lab.data.frame_files import file_videos
from stc_lab.data.load import open_source
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_camvid(tmp_path / "CamVid", {"0001TP": [30, 60, 90, 120, 150], "0016E5": [1, 2]})


def checked(root: Path) -> CheckReport:
    return check(open_source("camvid", root=root))


def test_a_sound_copy(root: Path) -> None:
    report = checked(root)
    assert report.sound
    assert (report.videos, report.frames, report.known) == (2, 7, {"label": 7})
    assert report.sizes == {CAMVID_SIZE: 2}
    assert report.disk == sum(path.stat().st_size for path in root.rglob("*.png"))
    assert report.memory == 7 * 12 * 16 * 5  # colour and label
    assert report.filmed == pytest.approx(120 / 30 + 1 / 30)
    assert report.seconds > 0


def test_class_shares_are_those_of_the_pixels(root: Path) -> None:
    report = checked(root)
    label = load("camvid", root=root).frames(range(7)).label
    assert label is not None
    known = label[label < 255]
    expected = torch.bincount(known, minlength=11) / len(known)
    assert list(report.class_share.values()) == pytest.approx(expected.tolist())
    assert report.class_share["Road"] > report.class_share["Sky"] > 0
    assert report.ignored_share == pytest.approx(float((label == 255).float().mean()))
    assert sum(report.class_share.values()) == pytest.approx(1)


def test_every_problem_of_a_copy_is_named(root: Path) -> None:
    images, labels = root / "train", root / "trainannot"
    (images / "0001TP_000030.png").unlink()
    (images / "0001TP_000060.png").write_bytes((images / "0001TP_000060.png").read_bytes()[:40])
    Image.fromarray(np.full(CAMVID_SIZE, 77, np.uint8)).save(labels / "0001TP_000060.png")
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(labels / "0001TP_000090.png")
    shutil.copy(images / "0001TP_000120.png", labels / "0001TP_000120.png")
    (labels / "0016E5_000001.png").write_bytes(b"")
    Image.fromarray(np.zeros(CAMVID_SIZE, np.uint16)).save(images / "0016E5_000002.png")
    report = checked(root)
    assert not report.sound
    expected = (
        r"train/0001TP_000030.png is missing",
        r"train/0001TP_000060.png (",
        r"annot/0001TP_000060.png holds id 77 at 192 pixels",
        r"annot/0001TP_000090.png is 6 x 8 px",
        r"annot/0001TP_000120.png must have one 8-bit channel",
        r"annot/0016E5_000001.png (0 bytes) cannot be decoded",
        r"train/0016E5_000002.png must be a colour or grey picture",
    )
    assert len(report.problems) == len(expected)
    for problem, words in zip(report.problems, expected, strict=True):
        assert words in problem
    assert report.frames == 7
    with pytest.raises(InputError, match=r"000030\.png is missing"):
        load("camvid", root=root)


def test_load_refuses_with_the_first_problem_and_counts_the_others(root: Path) -> None:
    for n in (30, 60, 90):
        (root / "train" / f"0001TP_{n:06d}.png").unlink()
    with pytest.raises(InputError, match=r"000030\.png is missing.* 2 other problems: stc-lab data check"):
        load("camvid", root=root)


def test_a_video_without_any_readable_image_is_named(root: Path) -> None:
    for path in (root / "train").glob("0016E5*"):
        path.write_text("no picture")
    report = checked(root)
    assert [problem.count("cannot be decoded") for problem in report.problems] == [1, 1]
    assert report.sizes == {CAMVID_SIZE: 1, (0, 0): 1}
    with pytest.raises(InputError, match=r"0016E5.* cannot be decoded"):
        load("camvid", root=root)


def test_bad_poses_are_all_named(tmp_path: Path) -> None:
    scene = write_sevenscenes(tmp_path / "seq", 4)
    for n in (1, 3):
        np.savetxt(scene / f"frame-{n:06d}.pose.txt", pose(n) @ np.diag([2, 1, 1, 1]))
    report = check(open_source("sevenscenes", root=scene))
    assert ["frame-000001.pose.txt" in report.problems[0], "frame-000003.pose.txt" in report.problems[1]] == [True] * 2
    assert report.known["pose"] == 2
    with pytest.raises(InputError, match=r"frame-000001\.pose\.txt.*no rigid motion.* 1 other"):
        load("sevenscenes", root=scene)


def test_odd_depth_is_named(tmp_path: Path) -> None:
    root = write_icl(tmp_path / "living", 3)
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(root / "depth" / "00001.png")
    report = check(open_source("icl", root=root))
    assert len(report.problems) == 1
    assert "depth/00001.png is unknown at every pixel" in report.problems[0]


INFO = SourceInfo(
    "odd",
    frame_rate=1.0,
    has=frozenset({"depth", "intrinsics", "pose"}),
    licence="none",
    reference="none",
    depth_per_metre=1.0,
)


def odd(tree: Tree) -> Iterator[FileSequence]:
    poses = np.stack([pose(0), np.diag([1.0, 1, 2, 1]), np.full((4, 4), np.nan)])
    camera = Camera.from_parameters(50, 50, 320, 24, height=48, width=64, dtype=torch.float64)
    images, depths = ([f"{kind}/{n:05d}.{end}" for n in range(3)] for kind, end in (("image", "jpg"), ("depth", "png")))
    times = np.array([0.0, 2.0, 1.5])
    yield FileSequence("a", range(3), images, depth=depths, camera=camera, pose=poses, time=times)


def test_odd_units_cameras_and_poses_are_named(tmp_path: Path) -> None:
    report = check(file_videos(INFO, write_icl(tmp_path, 3), odd), threads=1)
    text = "\n".join(report.problems)
    assert text.count("reaches 200") == 3  # millimetres taken for metres
    assert text.count("principal point (320.0, 24.0) outside the 48 x 64 image") == 2  # of frames with good poses
    assert text.count("no rigid motion") == 1 and "00001.jpg" in text
    assert text.count("'a' goes back in time") == 1
    assert len(report.problems) == 7


def test_frames_in_arrays_are_checked_too(tmp_path: Path) -> None:
    from datasets import load_from_disk

    info = SourceInfo(
        "drawn",
        frame_rate=10.0,
        has=frozenset({"label", "depth", "intrinsics", "pose"}),
        licence="none",
        reference="none",
        classes=("x", "y", "z"),
    )
    videos = array_videos(info, load_from_disk(write_table(tmp_path / "t", {"a": 3, "b": 2})))
    done: list[int] = []
    report = check(videos, progress=lambda frames, total: done.append(frames))
    assert report.sound and report.disk > 0 and done == [5]
    assert sum(report.class_share.values()) == pytest.approx(1)


def test_threads(root: Path) -> None:
    with pytest.raises(InputError, match="threads must be at least 1, got 0"):
        check(open_source("camvid", root=root), threads=0)
