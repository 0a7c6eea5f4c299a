"""MPI Sintel as videos: renders, depth and cameras where they are, on a miniature in the true layout."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from cards import card
from mini_sintel import SIZE, TAG, write_camera, write_sintel
from miniatures import pose
from PIL import Image

from stc_lab.data import load
from stc_lab.data.load import open_source
from stc_lab.data.sintel import INFO, read_sintel_pair
from stc_lab.errors import InputError


def test_true_layout(tmp_path: Path) -> None:
    videos = load("sintel", root=write_sintel(tmp_path, ["alley_1", "cave_2"]))
    assert (videos.names, videos.size, len(videos)) == (("alley_1", "cave_2"), SIZE, 6)
    clip = videos.clip("cave_2")
    torch.testing.assert_close(clip.time, torch.arange(3) / 24)
    assert (clip.image[:, :, 4, 4] * 255).round().tolist() == [[n, 0, 200] for n in (1, 2, 3)]
    assert clip.depth is not None
    assert clip.depth[:, 0, 5, 7].tolist() == [3.5, 4.5, 5.5]
    assert (clip.depth[:, 0, 0, :2] == 0).all()  # infinite or negative: unknown
    assert clip.camera is not None
    assert clip.camera.K[:, 0, 0].tolist() == [31, 32, 33]  # a camera for each frame
    assert clip.T_world_camera is not None  # the files have the inverse
    assert np.allclose(clip.T_world_camera, [pose(n) for n in (1, 2, 3)], atol=1e-6)


def test_renders(tmp_path: Path) -> None:
    root = write_sintel(tmp_path)
    clean, final = (load("sintel", root=root, render=render).frames([0]).image for render in ("clean", "final"))
    torch.testing.assert_close((clean - final)[0, :, 0, 0], torch.tensor([0, 0, 50 / 255]))


def test_frames_alone(tmp_path: Path) -> None:
    write_sintel(tmp_path, extra=False)
    write_sintel(tmp_path, ["market_3"], split="test", extra=False)
    train, test = (load("sintel", root=tmp_path, split=split) for split in ("train", "test"))
    assert (train.names, test.names) == (("alley_1",), ("market_3",))
    assert train.has == test.has == frozenset()
    clip = train.frames([0])
    assert clip.depth is None and clip.camera is None and clip.T_world_camera is None


def test_flow_pair_reads_the_same_frames(tmp_path: Path) -> None:
    """The truth of a pair lies outside of Clip; its frames are those of the videos."""
    root = write_sintel(tmp_path)
    for kind in ("flow", "occlusions", "invalid"):
        (root / "training" / kind / "alley_1").mkdir(parents=True)
    flow = np.tile(np.array([1.0, 0.5], "<f4"), (*SIZE, 1))
    (root / "training/flow/alley_1/frame_0002.flo").write_bytes(TAG + struct.pack("<ii", *SIZE[::-1]) + flow.tobytes())
    for kind in ("occlusions", "invalid"):
        Image.new("L", SIZE[::-1]).save(root / "training" / kind / "alley_1/frame_0002.png")
    pair = read_sintel_pair(root / "training", "final", "alley_1", 2)
    clip = load("sintel", root=root, render="final").clip("alley_1", start=1)
    assert torch.equal(pair.a.image, clip[0].image) and torch.equal(pair.b.image, clip[1].image)


@pytest.mark.bad_input
class TestBadInput:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return write_sintel(tmp_path / "sintel")

    def test_options(self, root: Path) -> None:
        with pytest.raises(InputError, match="render of 'sintel' must be one of clean, final, got 'albedo'"):
            load("sintel", root=root, render="albedo")

    def test_wrong_root(self, root: Path) -> None:
        for wrong, split in ((root / "training", "train"), (root, "test")):
            with pytest.raises(InputError, match="root must be the folder that holds training/ and test/"):
                load("sintel", root=wrong, split=split)

    def test_empty_folders(self, root: Path) -> None:
        for path in (root / "training/clean/alley_1").iterdir():
            path.unlink()
        with pytest.raises(InputError, match=r"alley_1 has no frames, like frame_0001\.png"):
            load("sintel", root=root)
        (root / "training/clean/alley_1").rmdir()
        with pytest.raises(InputError, match="has no scenes"):
            load("sintel", root=root)

    def test_missing_depth_and_camera(self, root: Path) -> None:
        (root / "training/depth/alley_1/frame_0002.dpt").unlink()
        with pytest.raises(InputError, match=r"depth map .*frame_0002\.dpt of image .*frame_0002\.png is missing"):
            load("sintel", root=root)
        (root / "training/camdata_left/alley_1/frame_0003.cam").unlink()
        videos = open_source("sintel", root=root)
        assert "frame_0003.cam is missing" in str(videos.problems[0])
        assert videos.has == {"depth"}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda data: data[:6], "must begin with the tag 202021.25"),
            (lambda data: b"\0" + data[1:], "must begin with the tag 202021.25"),
            (lambda data: data[:4] + struct.pack("<ii", 1 << 20, 1 << 20) + data[12:], "1 to 50000000 pixels"),
            (lambda data: data[:-4], r"must hold 960 bytes for its 10 x 24 px, got 956"),
            (lambda data: data + b"more", r"must hold 960 bytes .* got 961 or more"),
            (lambda data: data[:4] + struct.pack("<ii", 12, 20) + data[12:], "is 20 x 12 px, but its image"),
        ],
    )
    def test_odd_depth(self, root: Path, change, message: str) -> None:
        path = root / "training/depth/alley_1/frame_0002.dpt"
        path.write_bytes(change(path.read_bytes()))
        with pytest.raises(InputError, match=rf"frame_0002\.dpt.*{message}"):
            load("sintel", root=root).clip("alley_1")

    def test_odd_camera(self, root: Path) -> None:
        path = root / "training/camdata_left/alley_1/frame_0002.cam"
        whole = path.read_bytes()
        path.write_bytes(whole[:-8])
        with pytest.raises(InputError, match=r"frame_0002\.cam must be 172 bytes"):
            load("sintel", root=root)
        write_camera(path, np.eye(3) * [30, 30, 1], 2 * np.eye(4))
        with pytest.raises(InputError, match=r"frame_0002\.cam: .*no rigid motion"):
            load("sintel", root=root)

    def test_truncated_image(self, root: Path) -> None:
        path = root / "training/clean/alley_1/frame_0001.png"
        path.write_bytes(path.read_bytes()[:20])
        with pytest.raises(InputError, match=r"frame_0001\.png .* cannot be decoded"):
            load("sintel", root=root)


@pytest.mark.real_data
def test_real_slice(real_data: Path, tmp_path: Path) -> None:
    clean, final = (load("sintel", root=real_data / INFO.folders["train"], render=r) for r in ("clean", "final"))
    assert {name: clean.frame_count(name) for name in clean.names} == {"alley_1": 2}
    assert {name: final.frame_count(name) for name in final.names} == {"cave_2": 4}
    own = card("sintel")["camera"]
    assert clean.size == final.size == (own["height"], own["width"])
    pair = read_sintel_pair(real_data / "sintel/training", "final", "cave_2", 2)
    assert torch.equal(pair.a.image, final.clip("cave_2", start=1, stop=2).image)
    shutil.copytree(real_data / "sintel", tmp_path / "copy")  # with a camera of the true size beside it
    folder = tmp_path / "copy/training/camdata_left/alley_1"
    folder.mkdir(parents=True)
    for n in (2, 3):
        write_camera(
            folder / f"frame_{n:04d}.cam", np.array([[1120.0, 0, 511.5], [0, 1120, 217.5], [0, 0, 1]]), pose(n)
        )
    clip = load("sintel", root=tmp_path / "copy").clip("alley_1")
    assert clip.T_world_camera is not None
    assert np.allclose(clip.T_world_camera[1], np.linalg.inv(pose(3)), atol=1e-6)
