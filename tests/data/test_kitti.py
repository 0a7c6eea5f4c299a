"""KITTI odometry: cameras, moved poses, splits and times, on a miniature in the true layout and on a real slice."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from cards import card
from mini_kitti import CX, CY, FOCAL, SHIFTS, SIZE, write_kitti
from miniatures import pose
from PIL import Image

from stc_lab.data import load
from stc_lab.data.kitti import CAMERAS
from stc_lab.data.load import open_source
from stc_lab.errors import InputError


def test_true_layout(tmp_path: Path) -> None:
    videos = load("kitti", root=write_kitti(tmp_path, ["00", "06"]))
    assert (videos.names, videos.size, len(videos)) == (("00", "06"), SIZE, 8)
    clip = videos.clip("06")
    torch.testing.assert_close(clip.time, 0.1037 * torch.arange(4.0))  # of times.txt, not 10 Hz
    assert (clip.image[:, 0, 3, 3] * 255).round().tolist() == [0, 10, 20, 30]
    assert (clip.image[:, 0] == clip.image[:, 2]).all()  # grey
    assert clip.camera is not None
    assert clip.camera.K[0].tolist() == [[FOCAL, 0, CX], [0, FOCAL, CY], [0, 0, 1]]
    assert clip.T_world_camera is not None
    assert np.allclose(clip.T_world_camera, [pose(n) for n in range(4)], atol=1e-6)


@pytest.mark.parametrize("camera", CAMERAS)
def test_each_camera_stands_where_its_calibration_says(tmp_path: Path, camera: str) -> None:
    """A point of the world lands where the published P_i, applied to left grey coordinates, puts it."""
    clip = load("kitti", root=write_kitti(tmp_path), camera=camera).clip("06")
    assert clip.camera is not None and clip.T_world_camera is not None
    n, point = 3, np.array([1.3, -0.4, 7.0, 1.0])
    in_left = np.linalg.inv(pose(n)) @ point
    shift = SHIFTS[CAMERAS[camera]]
    P = np.array([[FOCAL, 0, CX, -FOCAL * shift], [0, FOCAL, CY, 0], [0, 0, 1, 0]])
    expected = P @ in_left
    own = clip.camera.K[n].double().numpy() @ (np.linalg.inv(clip.T_world_camera[n].double().numpy()) @ point)[:3]
    assert own[:2] / own[2] == pytest.approx(expected[:2] / expected[2], abs=1e-4)
    red = 10 * n + CAMERAS[camera] if CAMERAS[camera] < 2 else n
    assert round(float(clip.image[n, 0, 0, 0]) * 255) == red


def test_splits(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, ["09", "10", "11", "21"], 2)
    train, test = (load("kitti", root=root, split=split) for split in ("train", "test"))
    assert (train.names, test.names) == (("09", "10"), ("11", "21"))
    assert (train.has, test.has) == ({"intrinsics", "pose"}, {"intrinsics"})
    assert test.frames([0]).T_world_camera is None
    assert load("kitti", root=root, sequences=["10"]).names == ("10",)


def test_part_of_a_sequence_keeps_its_poses(tmp_path: Path) -> None:
    clip = load("kitti", root=write_kitti(tmp_path, frames=3, first=5)).clip("06")
    assert clip.T_world_camera is not None
    assert np.allclose(clip.T_world_camera[0], pose(5), atol=1e-6)
    assert clip.time.tolist() == pytest.approx([0, 0.1037, 0.2074])


def test_a_missing_frame_cuts_the_video(tmp_path: Path) -> None:
    root = write_kitti(tmp_path, frames=6)
    (root / "sequences/06/image_0/000003.png").unlink()
    assert load("kitti", root=root).names == ("06-1", "06-2")


def test_without_times_and_poses(tmp_path: Path) -> None:
    root = write_kitti(tmp_path)
    (root / "sequences/06/times.txt").unlink()
    (root / "poses/06.txt").unlink()
    (root / "poses").rmdir()
    videos = load("kitti", root=root)
    assert videos.has == {"intrinsics"}
    torch.testing.assert_close(videos.clip("06").time, torch.arange(4) / 10)


@pytest.mark.bad_input
class TestBadInput:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return write_kitti(tmp_path / "kitti")

    def test_options(self, root: Path) -> None:
        with pytest.raises(InputError, match="must be one of left grey, right grey, left colour, right colour"):
            load("kitti", root=root, camera="image_2")
        for wrong in ("06", [], ["11"], ["6"]):
            with pytest.raises(InputError, match=r"must be a list of names from 00 to 10, got .*two digits each"):
                load("kitti", root=root, sequences=wrong)
        with pytest.raises(InputError, match=r"has no sequences/05"):
            load("kitti", root=root, sequences=["05", "06"])

    def test_wrong_root(self, root: Path) -> None:
        for wrong in (root / "sequences", root / "sequences" / "06"):
            with pytest.raises(InputError, match=r"root must be the folder that holds sequences/ and poses/"):
                load("kitti", root=wrong)
        with pytest.raises(InputError, match=r"has no sequences/11, 12"):
            load("kitti", root=root, split="test")

    def test_camera_that_was_not_downloaded(self, root: Path) -> None:
        for i in (2, 3):
            folder = root / f"sequences/06/image_{i}"
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        with pytest.raises(InputError, match="left colour camera is missing; there are: left grey, right grey"):
            load("kitti", root=root, camera="left colour")
        (root / "sequences/06/image_2").mkdir()
        with pytest.raises(InputError, match=r"image_2 has no images"):
            load("kitti", root=root, camera="left colour")

    def test_calibration(self, root: Path) -> None:
        path = root / "sequences/06/calib.txt"
        whole = path.read_text().splitlines()
        path.write_text("\n".join(whole[:2]))
        with pytest.raises(InputError, match=r"calib\.txt has no line P2: of the left colour camera"):
            load("kitti", root=root, camera="left colour")
        path.write_text(whole[0][:60])
        with pytest.raises(InputError, match=r"calib\.txt, P0 must be 12 numbers"):
            load("kitti", root=root)
        path.unlink()
        with pytest.raises(InputError, match=r"calib\.txt is missing"):
            load("kitti", root=root)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda text: text[: text.rindex(" ")], r"line 4 must hold 12 or 16 finite numbers .* got 11 numbers"),
            (lambda text: "".join(text.splitlines(keepends=True)[:3]), r"for each frame up to 000003, it has 3"),
            (lambda text: text.replace("1.000000000e+00", "2.000000000e+00", 1), r"06\.txt, line 1 is no rigid motion"),
            (lambda text: text.replace("1.000000000e+00", "nan", 1), r"06\.txt, line 1 .* got NaN"),
            (lambda text: text.replace("1.000000000e+00", "one", 1), r"06\.txt, line 1 must hold numbers"),
            (lambda _: "", r"06\.txt has no lines"),
            (None, r"06\.txt is missing"),
        ],
    )
    def test_poses(self, root: Path, change, message: str) -> None:
        path = root / "poses/06.txt"
        text = path.read_text()
        path.unlink()
        if change is not None:
            path.write_text(change(text))
        with pytest.raises(InputError, match=message):
            load("kitti", root=root)

    def test_times(self, root: Path) -> None:
        path = root / "sequences/06/times.txt"
        path.write_text("0\n0.1\n0.2\n")
        with pytest.raises(InputError, match=r"times\.txt must have a line for each frame up to 000003, it has 3"):
            load("kitti", root=root)
        path.write_text("0\n0.1\n0.1\n0.3\n")
        with pytest.raises(InputError, match=r"times\.txt must rise, got 0\.1.* in line 3"):
            load("kitti", root=root)

    def test_images(self, root: Path) -> None:
        paths = sorted((root / "sequences/06/image_0").iterdir())
        Image.new("L", (SIZE[1], SIZE[0] + 1)).save(paths[2])
        with pytest.raises(InputError, match=r"000002\.png is 13 x 40 px, but the first image of 06 is 12 x 40 px"):
            load("kitti", root=root).clip("06")
        paths[0].write_bytes(paths[0].read_bytes()[:20])
        with pytest.raises(InputError, match=r"000000\.png .* cannot be decoded"):
            load("kitti", root=root)

    def test_every_problem_is_noted(self, root: Path) -> None:
        (root / "poses/06.txt").write_text("1 2 3\n")
        (root / "sequences/06/times.txt").write_text("zero\n")
        assert len(open_source("kitti", root=root).problems) == 2


@pytest.mark.real_data
def test_real_slice(real_data: Path) -> None:
    videos = load("kitti", root=real_data / "kitti_odometry_06")
    assert (videos.names, len(videos)) == (("06",), 51)
    own, clip = card("kitti")["camera"], videos.clip("06", start=10, stop=16)
    assert clip.camera is not None and clip.T_world_camera is not None
    assert clip.camera.size == (own["height"], own["width"])
    K = clip.camera.K[0].double().numpy()
    assert K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist() == pytest.approx([own[n] for n in ("fx", "fy", "cx", "cy")])
    step = clip.T_world_camera[1:, :3, 3] - clip.T_world_camera[:-1, :3, 3]
    assert float(step.norm(dim=1).mean()) == pytest.approx(1.2, abs=0.02)  # m a frame
    right, wrong, inverted = (_epipolar_error(clip, K, change) for change in (None, _yaw(1.0), np.linalg.inv))
    assert right < 0.4
    assert right < inverted < wrong  # almost pure forward motion: yaw tells more than direction


def _yaw(degrees: float):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return lambda T: np.array([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]]) @ T


def _epipolar_error(clip, K: np.ndarray, change) -> float:
    """Median Sampson distance (px) of tracked corners from one frame to the next."""
    grey = [(image[0].numpy() * 255).astype(np.uint8) for image in clip.image]
    errors = []
    for i in range(len(grey) - 1):
        a = cv2.goodFeaturesToTrack(grey[i], 400, 0.01, 8)
        b, found, _ = cv2.calcOpticalFlowPyrLK(grey[i], grey[i + 1], a, None)  # type: ignore[call-overload]
        a, b = a[found[:, 0] == 1, 0], b[found[:, 0] == 1, 0]
        T_b_a = np.linalg.inv(clip.T_world_camera[i + 1].double().numpy()) @ clip.T_world_camera[i].double().numpy()
        T_b_a = T_b_a if change is None else change(T_b_a)
        x, y, z = T_b_a[:3, 3]
        E = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ T_b_a[:3, :3]
        F = np.linalg.inv(K).T @ E @ np.linalg.inv(K)
        a1, b1 = (np.column_stack([p, np.ones(len(p))]) for p in (a, b))
        Fa, Fb = a1 @ F.T, b1 @ F
        errors.append(np.abs((b1 * Fa).sum(1)) / np.sqrt((Fa[:, :2] ** 2).sum(1) + (Fb[:, :2] ** 2).sum(1)))
    return float(np.median(np.concatenate(errors)))
