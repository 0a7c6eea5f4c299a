"""TUM RGB-D: association by time, cameras, units and poses, on a miniature in the true layout."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mini_tum import START, times, write_tum
from miniatures import pose

from stc_lab.data import load
from stc_lab.data.camera_files import TUM_INTRINSICS
from stc_lab.data.load import open_source
from stc_lab.data.trajectory_files import read_timed_poses
from stc_lab.data.tum import associate
from stc_lab.errors import InputError

DESK = "rgbd_dataset_freiburg1_desk"


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    return write_tum(tmp_path / DESK)


def slow_association(a: list[float], b: list[float], tolerance: float) -> dict[int, int]:
    """All pairs near enough, nearest first, each time once: the way the data set's authors tell it."""
    near = sorted((abs(x - y), i, j) for i, x in enumerate(a) for j, y in enumerate(b) if abs(x - y) < tolerance)
    found: dict[int, int] = {}
    for _, i, j in near:
        if i not in found and j not in found.values():
            found[i] = j
    return found


@given(*(st.lists(st.integers(0, 300), max_size=25, unique=True) for _ in range(2)))
def test_association_is_that_of_the_slow_loop(a: list[int], b: list[int]) -> None:
    first, second = sorted(a), sorted(b)  # whole milliseconds, so that ties and the limit itself come up
    found = associate(np.array(first, dtype=np.float64), np.array(second, dtype=np.float64), 20.0)
    expected = slow_association(list(map(float, first)), list(map(float, second)), 20.0)
    assert {i: j for i, j in enumerate(found.tolist()) if j >= 0} == expected


def test_true_layout(desk: Path) -> None:
    videos = load("tum", root=desk)
    assert (videos.names, videos.size, videos.skipped) == ((DESK,), (480, 640), {})
    clip = videos.clip(DESK)
    torch.testing.assert_close(clip.time, torch.tensor([0, 1 / 30, 2 / 30]), atol=2e-6, rtol=0)
    assert (clip.image[:, 0, 0, 0] * 255).tolist() == [0, 1, 2]
    assert clip.depth is not None
    torch.testing.assert_close(clip.depth[:, 0, 5, 7], torch.tensor([1.0, 1.02, 1.04]))  # 5000 units to the metre
    assert (clip.depth[..., 0] == 0).all()
    assert clip.camera is not None
    fx, fy, cx, cy = TUM_INTRINSICS[1]
    torch.testing.assert_close(clip.camera.K[0], torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]))
    assert clip.T_world_camera is not None
    assert np.allclose(clip.T_world_camera, [pose(i) for i in range(3)], atol=1e-5)  # camera-to-world, w last


def test_nearest_in_time_and_skipped(tmp_path: Path) -> None:
    rgb = times(8)
    depth = [t + 0.004 for i, t in enumerate(rgb) if i != 2]
    truth = [t + d for i, t in enumerate(rgb) for d in (-0.007, 0.003) if i != 5]
    videos = load("tum", root=write_tum(tmp_path / DESK, rgb, depth, truth))
    assert videos.skipped == {"no depth map within 0.02 s": 1, "no pose within 0.02 s": 1}
    assert [videos.frame_count(name) for name in videos.names] == [2, 2, 2]  # cut where frames are left out
    first, middle, last = (videos.clip(name) for name in videos.names)
    assert (first.image[:, 0, 0, 0] * 255).tolist() == [0, 1]
    assert (middle.image[:, 0, 0, 0] * 255).tolist() == [3, 4]
    assert (last.image[:, 0, 0, 0] * 255).tolist() == [6, 7]
    assert middle.depth is not None and middle.T_world_camera is not None
    torch.testing.assert_close(middle.depth[:, 0, 5, 7], torch.tensor([1.04, 1.06]))  # the third and fourth map
    assert np.allclose(middle.T_world_camera[0], pose(2 * 3 + 1), atol=1e-5)  # 3 ms later beats 7 ms before


def test_dropped_and_jittered_frames(tmp_path: Path) -> None:
    """The camera's times jitter by some ms and drift; where an image was dropped, the video ends."""
    jitter = [0.0, 0.003, -0.003, 0.002, 0.004, -0.002]
    rgb = [START + i / 29.97 + d for i, d in zip((0, 1, 2, 4, 5, 6), jitter, strict=True)]
    videos = load("tum", root=write_tum(tmp_path / DESK, rgb))
    assert [videos.frame_count(name) for name in videos.names] == [3, 3]
    clip = videos.clip(f"{DESK}-2")
    torch.testing.assert_close(clip.time, torch.tensor(np.array(rgb[3:]) - rgb[3]).float(), atol=1e-6, rtol=0)


def test_several_sequences_and_cameras(tmp_path: Path) -> None:
    for name in ("rgbd_dataset_freiburg3_office", DESK):
        write_tum(tmp_path / name, times(2))
    (tmp_path / "notes").mkdir()
    videos = load("tum", root=tmp_path)
    assert videos.names == (DESK, "rgbd_dataset_freiburg3_office")
    focal = [float(videos.clip(name).camera.K[0, 0, 0]) for name in videos.names]  # type: ignore[union-attr]
    assert focal == pytest.approx([TUM_INTRINSICS[1][0], TUM_INTRINSICS[3][0]])


def test_freiburg2_has_another_unit(tmp_path: Path) -> None:
    write_tum(tmp_path / "rgbd_dataset_freiburg2_xyz", times(2))
    clip = load("tum", root=tmp_path).frames([0])
    assert clip.depth is not None and float(clip.depth[0, 0, 5, 7]) == pytest.approx(5000 / 5208)
    clip = load("tum", root=tmp_path, depth_per_metre=5000).frames([0])
    assert clip.depth is not None and float(clip.depth[0, 0, 5, 7]) == pytest.approx(1)


def test_validation_sequences_have_no_poses(desk: Path) -> None:
    (desk / "groundtruth.txt").unlink()
    videos = load("tum", root=desk)
    assert videos.has == {"depth", "intrinsics"}
    assert videos.frames([0]).T_world_camera is None


def test_camera_by_option(tmp_path: Path) -> None:
    root = write_tum(tmp_path / "my_desk", times(2))
    camera = load("tum", root=root, camera="freiburg3").frames([0]).camera
    assert camera is not None and float(camera.K[0, 0, 0]) == pytest.approx(535.4)


@pytest.mark.bad_input
class TestBadInput:
    def test_options(self, desk: Path) -> None:
        with pytest.raises(
            InputError, match="camera of 'tum' must be one of freiburg1, freiburg2, freiburg3, got 'fr1'"
        ):
            load("tum", root=desk, camera="fr1")
        with pytest.raises(InputError, match="depth_per_metre must be positive, got 0"):
            load("tum", root=desk, depth_per_metre=0)
        with pytest.raises(InputError, match="legal: train"):
            load("tum", root=desk, split="test")

    def test_name_without_camera(self, tmp_path: Path) -> None:
        for name in ("my_desk", "freiburg17_desk"):
            root = write_tum(tmp_path / name, times(2))
            with pytest.raises(InputError, match=rf"{name}' must tell its camera.*camera='freiburg1'"):
                load("tum", root=root)

    def test_two_units_in_one_root(self, tmp_path: Path) -> None:
        for name in ("rgbd_dataset_freiburg2_xyz", DESK):
            write_tum(tmp_path / name, times(2))
        with pytest.raises(InputError, match=r"two units of depth.*freiburg2 5208.*others 5000"):
            load("tum", root=tmp_path)
        assert len(load("tum", root=tmp_path, depth_per_metre=5000)) == 4

    def test_wrong_root(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"has no rgb\.txt, nor has a folder in it.*freiburg1_desk"):
            load("tum", root=tmp_path)

    @pytest.mark.parametrize("name", ["rgb.txt", "depth.txt", "groundtruth.txt"])
    def test_empty_list(self, desk: Path, name: str) -> None:
        (desk / name).write_text("# timestamp\n")
        with pytest.raises(InputError, match=rf"{re.escape(name)} has no lines"):
            load("tum", root=desk)

    @pytest.mark.parametrize(
        "line",
        ["1305031102.2", "rgb/1.png 1305031102.2", "nan rgb/1.png", "1 rgb/1.png 2", "9e9 /etc/x.png", "9e9 ../x.png"],
    )
    def test_odd_line_of_a_list(self, desk: Path, line: str) -> None:
        with (desk / "rgb.txt").open("a") as file:
            file.write(line + "\n")
        with pytest.raises(InputError, match=r"rgb\.txt, line 7 must be like '1305031102"):
            load("tum", root=desk)

    def test_times_that_fall(self, desk: Path) -> None:
        lines = (desk / "depth.txt").read_text().splitlines()
        (desk / "depth.txt").write_text("\n".join([*lines, lines[-1]]))
        with pytest.raises(InputError, match=r"times of .*depth\.txt must rise, got .* in line 7"):
            load("tum", root=desk)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("1305031102.9 0 0 0 0 0 0", "8 finite numbers .* got 7 numbers"),
            ("1305031102.9 0 0 0 0 0 0 0", "unit quaternion, got one of length 0"),
            ("1305031102.9 0 0 0 0 0 0 1.2", "unit quaternion, got one of length 1.2"),
            ("1305031102.9 0 0 nan 0 0 0 1", "got NaN or infinite ones"),
            ("1305031102.9 0 0 a 0 0 0 1", "must hold numbers"),
            ("1.0 0 0 0 0 0 0 1", "must rise"),
        ],
    )
    def test_odd_pose(self, desk: Path, line: str, message: str) -> None:
        with (desk / "groundtruth.txt").open("a") as file:
            file.write(line + "\n")
        with pytest.raises(InputError, match=rf"groundtruth\.txt.*{message}.*|{message}.*line 7"):
            load("tum", root=desk)

    def test_missing_files(self, desk: Path) -> None:
        next((desk / "depth").iterdir()).unlink()
        with pytest.raises(InputError, match=r"depth map .* is missing"):
            load("tum", root=desk)
        (desk / "depth.txt").unlink()
        with pytest.raises(InputError, match=r"depth\.txt is missing"):
            load("tum", root=desk)

    def test_truncated_image(self, desk: Path) -> None:
        path = sorted((desk / "rgb").iterdir())[1]
        path.write_bytes(path.read_bytes()[:80])
        with pytest.raises(InputError, match=rf"{path.name} .* cannot be decoded"):
            load("tum", root=desk).clip(DESK)

    def test_nothing_belongs_together(self, tmp_path: Path) -> None:
        root = write_tum(tmp_path / DESK, times(3), times(3, shift=5.0))
        with pytest.raises(InputError, match=r"no frames; skipped: 3 x no depth map within 0\.02 s"):
            open_source("tum", root=root)


@pytest.mark.real_data
def test_real_frame(real_data: Path, tmp_path: Path) -> None:
    """The one frame at hand, put into the layout; it comes without time and pose, which are made up here."""
    root = write_tum(tmp_path / DESK, [START], [START + 0.01])
    for kind, stamp in (("color", START), ("depth", START + 0.01)):
        folder = "rgb" if kind == "color" else "depth"
        shutil.copy(real_data / "tum_single" / f"TUM_{kind}.png", root / folder / f"{stamp:.6f}.png")
    clip = load("tum", root=root).frames([0])
    assert clip.depth is not None
    known = clip.depth[clip.depth > 0]
    assert len(known) / clip.depth.numel() == pytest.approx(0.81, abs=0.01)  # the slice's own notes: 19 % unknown
    assert float(known.max()) == pytest.approx(9.33, abs=0.01)


def test_poses_agree_with_rotation_by_hand(tmp_path: Path) -> None:
    """A quarter turn about z: x axis onto y; in x, y, z, w."""
    path = tmp_path / "groundtruth.txt"
    path.write_text("# time tx ty tz qx qy qz qw\n1.5 1 2 3 0 0 0.7071 0.7071\n")
    stamps, poses = read_timed_poses(path)
    assert stamps.tolist() == [1.5]
    assert np.allclose(poses[0], [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
