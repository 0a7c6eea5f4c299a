"""7-Scenes and the ICL sequence in their true layouts, and what their adapters refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import pose, write_icl, write_sevenscenes
from PIL import Image

from stc_lab.data import load
from stc_lab.data.pose_files import read_named_poses
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_sevenscenes(tmp_path / "kitchen", 2)


@pytest.fixture
def icl(tmp_path: Path) -> Path:
    return write_icl(tmp_path / "living", 4, first=7)


def test_sevenscenes_true_layout(tmp_path: Path) -> None:
    for i in (1, 2):
        write_sevenscenes(tmp_path / f"seq-{i:02d}", i)
    (tmp_path / "TrainSplit.txt").write_text("sequence2\n")
    (tmp_path / "TestSplit.txt").write_text("sequence1\n")
    train, test = (load("sevenscenes", root=tmp_path, split=split) for split in ("train", "test"))
    assert (train.names, len(train)) == (("seq-02",), 2)
    assert (test.names, len(test)) == (("seq-01",), 1)
    clip = train.clip("seq-02")
    assert clip.depth is not None
    assert (clip.depth[..., 0] == 0).all()  # 65535 is unknown
    torch.testing.assert_close(clip.depth[0, 0, 0, 1:4], torch.tensor([1.001, 1.002, 1.003]))
    assert clip.camera is not None
    assert clip.camera.K[0].tolist() == [[585, 0, 320], [0, 585, 240], [0, 0, 1]]
    assert clip.T_world_camera is not None
    assert np.allclose(clip.T_world_camera[1], pose(1))
    torch.testing.assert_close(clip.time, torch.tensor([0, 1 / 30]))


def test_sevenscenes_registered_depth_is_the_colour_cameras(tmp_path: Path) -> None:
    clip = load("sevenscenes", root=write_sevenscenes(tmp_path / "r", 2, registered=True)).clip("r")
    assert clip.depth is not None
    assert float(clip.depth[0, 0, 0, 1]) == pytest.approx(1.501)
    assert clip.camera is not None
    assert clip.camera.K[0].tolist() == [[525, 0, 320], [0, 525, 240], [0, 0, 1]]
    E = np.eye(4)
    E[0, 3] = -0.025
    assert clip.T_world_camera is not None
    assert np.allclose(clip.T_world_camera[1], pose(1) @ np.linalg.inv(E))


@pytest.mark.parametrize("log", [False, True])
def test_icl_layout(tmp_path: Path, log: bool) -> None:
    videos = load("icl", root=write_icl(tmp_path / "living", 4, first=7, log=log))
    clip = videos.clip("living")
    assert clip.depth is not None
    torch.testing.assert_close(clip.depth.amax(dim=(1, 2, 3)), torch.tensor([2.007, 2.008, 2.009, 2.010]))
    assert clip.T_world_camera is not None
    assert np.allclose(clip.T_world_camera[2], pose(9), atol=1e-6)
    assert clip.camera is not None
    torch.testing.assert_close(
        clip.camera.K[0], Camera.from_parameters(52.5, 52.5, 31.55, 23.55, height=48, width=64).K[0]
    )


def test_resized_with_its_camera(icl: Path) -> None:
    clip = load("icl", root=icl, size=(24, 32)).clip("living")
    assert clip.camera is not None
    torch.testing.assert_close(clip.camera.K[0], Camera(clip.camera.K, 24, 32).K[0])
    assert clip.camera.size == (24, 32)
    assert float(clip.camera.K[0, 0, 2]) == pytest.approx((31.55 + 0.5) / 2 - 0.5)


def test_missing_frames_cut_the_video(icl: Path) -> None:
    (icl / "image" / "00008.jpg").unlink()
    videos = load("icl", root=icl)
    assert {name: videos.frame_count(name) for name in videos.names} == {"living-1": 1, "living-2": 2}


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no frames, frame-\*\.color\.png"):
        load("sevenscenes", root=tmp_path)
    with pytest.raises(InputError, match=r"folder .*image is missing.*data card"):
        load("icl", root=tmp_path)
    (tmp_path / "image").mkdir()
    (tmp_path / "depth").mkdir()
    with pytest.raises(InputError, match="no pictures named by numbers"):
        load("icl", root=tmp_path)


def test_missing_depth(icl: Path, scene: Path) -> None:
    (icl / "depth" / "00008.png").unlink()
    with pytest.raises(InputError, match=r"depth map .*00008\.png of image .*00008\.jpg is missing"):
        load("icl", root=icl)
    (scene / "frame-000001.depth.png").unlink()
    with pytest.raises(InputError, match=r"depth map .*frame-000001\.depth\.png of image .* is missing"):
        load("sevenscenes", root=scene)


def test_depth_of_another_size(icl: Path) -> None:
    Image.fromarray(np.ones((24, 32), np.uint16)).save(icl / "depth" / "00008.png")
    with pytest.raises(InputError, match=r"00008\.png is 24 x 32 px, but its image .*00008\.jpg is 48 x 64 px"):
        load("icl", root=icl).clip("living")


def test_depth_of_8_bits(icl: Path) -> None:
    Image.fromarray(np.ones((48, 64), np.uint8)).save(icl / "depth" / "00008.png")
    with pytest.raises(InputError, match=r"00008\.png must have one 16-bit channel, got mode L"):
        load("icl", root=icl).clip("living")


def test_truncated_depth(icl: Path) -> None:
    path = icl / "depth" / "00008.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"00008\.png .* cannot be decoded"):
        load("icl", root=icl).clip("living")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda T: T * np.nan, "holds NaN or infinite"),
        (lambda T: T * -np.inf, "holds NaN or infinite"),
        (lambda T: T @ np.diag([2, 1, 1, 1]), "is no rigid motion"),
        (lambda T: T @ np.diag([-1, 1, 1, 1]), "is no rigid motion"),
        (lambda T: T.T, "is no rigid motion"),
        (lambda T: T[:3], "rows of 4 numbers"),
        (lambda T: T[:, :3], "rows of 4 numbers"),
    ],
)
def test_bad_pose_names_its_file(scene: Path, change, message: str) -> None:
    with np.errstate(invalid="ignore"):
        np.savetxt(scene / "frame-000001.pose.txt", change(pose(1)))
    with pytest.raises(InputError, match=rf"frame-000001\.pose\.txt.*{message}"):
        load("sevenscenes", root=scene)


def test_bad_pose_names_its_line(icl: Path) -> None:
    path = icl / "poses_c2w.txt"
    whole = path.read_text()
    path.write_text(whole.replace("00008 ", "00008 nan "))
    with pytest.raises(InputError, match=r"poses_c2w\.txt, line 2 must hold 1 rows of 16 numbers, got rows of 17"):
        load("icl", root=icl)
    path.write_text(whole.replace("00008 ", "00008 x"))
    with pytest.raises(InputError, match=r"poses_c2w\.txt, line 2 must hold 1 x 16 numbers: could not convert"):
        load("icl", root=icl)
    path.write_text(whole.replace("00008 ", "00018 "))
    with pytest.raises(InputError, match=r"poses_c2w\.txt has no pose of frame 00008"):
        load("icl", root=icl)
    path.write_text(whole + whole.splitlines()[0])
    with pytest.raises(InputError, match=r"line 5 gives a second pose of 00007"):
        load("icl", root=icl)
    path.write_text("")
    with pytest.raises(InputError, match=r"poses_c2w\.txt is empty"):
        load("icl", root=icl)
    path.unlink()
    with pytest.raises(InputError, match=r"has neither poses_c2w\.txt nor trajectory\.log"):
        load("icl", root=icl)


def test_short_trajectory(tmp_path: Path) -> None:
    root = write_icl(tmp_path / "l", 3, log=True)
    lines = (root / "trajectory.log").read_text().splitlines()
    (root / "trajectory.log").write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match=r"trajectory\.log must have 5 lines for each frame"):
        load("icl", root=root)
    (root / "trajectory.log").write_text("\n".join(lines[:-5]))
    with pytest.raises(InputError, match="a pose for each of the 3 images, got 2"):
        load("icl", root=root)


def test_camera_of_another_size(icl: Path) -> None:
    path = icl / "camera_primesense.json"
    path.write_text(path.read_text().replace('"width": 64', '"width": 640'))
    with pytest.raises(InputError, match=r"00007\.jpg is 48 x 64 px, but its camera's K belongs to 48 x 640 px"):
        load("icl", root=icl)


def test_sevenscenes_of_another_size(scene: Path) -> None:
    for name in ("color", "depth"):
        path = scene / f"frame-000000.{name}.png"
        with Image.open(path) as picture:
            picture.resize((320, 240)).save(path)
    with pytest.raises(InputError, match=r"color\.png is 240 x 320 px, but its camera's K belongs to 480 x 640 px"):
        load("sevenscenes", root=scene)


def test_bad_camera_file(icl: Path) -> None:
    path = icl / "camera_primesense.json"
    for text in ("{", "[]", json.dumps({"width": 64, "height": 48, "intrinsic_matrix": [1, 2]})):
        path.write_text(text)
        with pytest.raises(InputError, match=r"camera_primesense\.json must give width, height"):
            load("icl", root=icl)
    path.unlink()
    with pytest.raises(InputError, match=r"must hold one \.json file, the camera's, got none"):
        load("icl", root=icl)


def test_sevenscenes_split_files(scene: Path) -> None:
    with pytest.raises(InputError, match=r"has no TestSplit\.txt, so its frames are the split 'train'"):
        load("sevenscenes", root=scene, split="test")
    (scene / "TrainSplit.txt").write_text("sequence3\n")
    with pytest.raises(InputError, match="seq-03 is missing"):
        load("sevenscenes", root=scene)
    (scene / "TrainSplit.txt").write_text("third\n")
    with pytest.raises(InputError, match=r"TrainSplit\.txt, line 1 must be like 'sequence1', got 'third'"):
        load("sevenscenes", root=scene)
    (scene / "TrainSplit.txt").write_text("\n")
    with pytest.raises(InputError, match="names no sequences"):
        load("sevenscenes", root=scene)


@pytest.mark.real_data
def test_real_icl(real_data: Path) -> None:
    root = real_data / "icl_livingroom1"
    videos = load("icl", root=root, size=(120, 160))
    assert len(videos) == 90
    clip = videos.clip(videos.names[0], step=20)
    assert clip.depth is not None
    known = clip.depth[clip.depth > 0]
    assert len(known) > 0.95 * clip.depth.numel()
    assert 0.5 < float(known.min()) < float(known.max()) < 10
    lines = (root / "trajectory.log").read_text().splitlines()
    logged = np.loadtxt([line for i, line in enumerate(lines) if i % 5], max_rows=360)
    named = np.stack(list(read_named_poses(root / "poses_c2w.txt").values()))
    assert np.allclose(logged.reshape(-1, 4, 4)[:90], named)


@pytest.mark.real_data
def test_real_sevenscenes(real_data: Path) -> None:
    videos = load("sevenscenes", root=real_data / "sevenscenes_redkitchen")
    assert len(videos) == 50
    clip = videos.clip(videos.names[0], step=25)
    assert clip.depth is not None
    known = clip.depth[clip.depth > 0]
    assert 0.6 < len(known) / clip.depth.numel() < 0.85  # the colour camera sees more than the depth camera
    assert 0.4 < float(known.min()) < float(known.max()) < 6
