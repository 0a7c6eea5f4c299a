"""Cameras of each data set's own files: written here as the data sets write them, and read from the real slices."""

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from stc_lab.data.camera_files import (
    APOLLOSCAPE_INTRINSICS,
    TUM_DISTORTION,
    TUM_INTRINSICS,
    PlacedCamera,
    apolloscape_camera,
    kitti_cameras,
    kitti_raw_cameras,
    open3d_camera,
    scannet_camera,
    scannet_scene_camera,
    sevenscenes_camera,
    sintel_camera,
    tum_camera,
)
from stc_lab.errors import InputError
from stc_lab.geometry import check_pose, compose_poses, invert_pose, pose_from, transform

# The first lines are KITTI odometry's sequence 06; P2 is of the same date, with a shift along all three axes.
KITTI = """P0: 7.070912e+02 0 6.018873e+02 0 0 7.070912e+02 1.831104e+02 0 0 0 1 0
P1: 7.070912e+02 0 6.018873e+02 -3.798145e+02 0 7.070912e+02 1.831104e+02 0 0 0 1 0
P2: 7.070912e+02 0 6.018873e+02 4.688783e+01 0 7.070912e+02 1.831104e+02 1.178601e-01 0 0 1 6.203223e-03
Tr: 1 0 0 0 0 1 0 0 0 0 1 0
"""
KITTI_RAW = """calib_time: 09-Jan-2012 13:57:47
S_02: 1.392000e+03 5.120000e+02
S_rect_00: 1.242000e+03 3.750000e+02
P_rect_00: 7.2e+02 0 6.1e+02 0 0 7.2e+02 1.7e+02 0 0 0 1 0
S_rect_02: 1.241000e+03 3.760000e+02
P_rect_02: 7.215377e+02 0 6.095593e+02 4.485728e+01 0 7.215377e+02 1.728540e+02 2.163791e-01 0 0 1 2.745884e-03
"""
SCANNET = """colorHeight = 968
colorToDepthExtrinsics = 1.0 0.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 0.0 1.0
colorWidth = 1296
depthHeight = 480
depthWidth = 640
fx_color = 1170.187988
fx_depth = 571.623718
fy_color = 1170.187988
fy_depth = 571.623718
mx_color = 647.750000
mx_depth = 319.500000
my_color = 483.750000
my_depth = 239.500000
sceneType = Bedroom
"""
OPEN3D = {"width": 640, "height": 480, "intrinsic_matrix": [525.0, 0, 0, 0, 524.0, 0, 319.5, 239.5, 1]}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def sintel_bytes(*, tag: float = 202021.25, focal: float = 688.0, scale: float = 1.0) -> tuple[bytes, np.ndarray]:
    """A `.cam` file, and the motion from the world to the camera in it."""
    motion = pose_from(torch.tensor([[0.3, -1.2, 0.1]]), torch.tensor([[0.5, -2.0, 3.0]]))[0, :3].double().numpy()
    motion[:, :3] *= scale
    K = [focal, 0, 511.5, 0, focal, 217.5, 0, 0, 1]
    return struct.pack("<f21d", tag, *K, *motion.ravel()), motion


def pixel(P: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Where a projection matrix puts a point."""
    x, y, w = P @ [*X, 1]
    return np.array([x / w, y / w])


def seen(placed: PlacedCamera, X: np.ndarray) -> np.ndarray:
    """Where a camera sees a point of the reference frame."""
    point = torch.from_numpy(X).reshape(1, 3, 1, 1)
    return placed.camera.project(transform(placed.T_camera_reference, point)).flatten().numpy()


def test_kitti_cameras_project_as_their_matrices_do(tmp_path: Path) -> None:
    path = written(tmp_path, "calib.txt", KITTI)
    cameras = kitti_cameras(path, height=370, width=1226, dtype=torch.float64)
    assert list(cameras) == [0, 1, 2]
    X = np.array([2.0, -1.0, 9.0])
    for line in KITTI.splitlines()[:3]:
        P = np.array(line.split()[1:], float).reshape(3, 4)
        np.testing.assert_allclose(seen(cameras[int(line[1])], X), pixel(P, X), rtol=1e-12)
    assert cameras[1].camera.size == (370, 1226)
    # Camera 1 sits 0.54 m to the right of camera 0, where what is straight ahead of 0 lies to the left.
    T_0_1 = invert_pose(cameras[1].T_camera_reference)
    assert T_0_1[0, :3, 3].tolist() == pytest.approx([0.537150, 0, 0], abs=1e-5)
    assert kitti_cameras(path, height=370, width=1226)[2].T_camera_reference.dtype == torch.float32


def test_kitti_raw_cameras_bring_their_size(tmp_path: Path) -> None:
    cameras = kitti_raw_cameras(written(tmp_path, "calib_cam_to_cam.txt", KITTI_RAW), dtype=torch.float64)
    assert {i: placed.camera.size for i, placed in cameras.items()} == {0: (375, 1242), 2: (376, 1241)}
    P = np.array(KITTI_RAW.splitlines()[-1].split()[1:], float).reshape(3, 4)
    X = np.array([-2.0, 1.0, 6.0])
    np.testing.assert_allclose(seen(cameras[2], X), pixel(P, X), rtol=1e-12)


@pytest.mark.real_data
def test_kitti_calibration_of_sequence_06(real_data: Path) -> None:
    path = real_data / "kitti_odometry_06" / "sequences" / "06" / "calib.txt"
    cameras = kitti_cameras(path, height=370, width=1226, dtype=torch.float64)
    camera = cameras[0].camera
    assert [camera.K[0, i, j].item() for i, j in ((0, 0), (1, 1), (0, 2), (1, 2))] == [
        707.0912, 707.0912, 601.8873, 183.1104
    ]  # fmt: skip
    T_0_1 = compose_poses(cameras[0].T_camera_reference, invert_pose(cameras[1].T_camera_reference))
    assert T_0_1[0, 0, 3].item() == pytest.approx(0.537, abs=5e-4)
    assert (cv2.imread(str(path.parent / "image_0" / "000000.jpg")).shape[:2]) == camera.size


@pytest.mark.real_data
def test_other_cameras_of_the_real_slices(real_data: Path) -> None:
    K = open3d_camera(real_data / "icl_livingroom1" / "camera_primesense.json").K[0]
    assert K.tolist() == [[525, 0, 319.5], [0, 525, 239.5], [0, 0, 1]]
    K = np.loadtxt(real_data / "sevenscenes_redkitchen" / "camera-intrinsics.txt")
    assert sevenscenes_camera().K[0].tolist() == K.tolist()


def test_scannet_matrices_and_scene_file_agree(tmp_path: Path) -> None:
    scene = written(tmp_path, "scene0000_00.txt", SCANNET)
    K = np.diag([1170.187988, 1170.187988, 1, 1])
    K[:2, 2] = 647.75, 483.75
    np.savetxt(tmp_path / "intrinsic_color.txt", K)
    camera = scannet_scene_camera(scene, "color", dtype=torch.float64)
    assert camera.size == (968, 1296)
    alone = scannet_camera(tmp_path / "intrinsic_color.txt", height=968, width=1296, dtype=torch.float64)
    assert torch.equal(camera.K, alone.K)
    depth = scannet_scene_camera(scene, "depth")
    assert depth.size == (480, 640)
    torch.testing.assert_close(depth.K[0, 0], torch.tensor([571.623718, 0, 319.5]))


def test_open3d_matrices_lie_by_columns(tmp_path: Path) -> None:
    camera = open3d_camera(written(tmp_path, "camera.json", json.dumps(OPEN3D)))
    assert camera.size == (480, 640)
    assert camera.K[0].tolist() == [[525, 0, 319.5], [0, 524, 239.5], [0, 0, 1]]


def test_sintel_extrinsics_move_the_world_into_the_camera(tmp_path: Path) -> None:
    data, motion = sintel_bytes()
    placed = sintel_camera(written(tmp_path, "frame_0001.cam", data), dtype=torch.float64)
    assert placed.camera.size == (436, 1024)
    assert data[:4] == b"PIEH"
    X = motion[:, :3].T @ (np.array([0.4, -0.3, 5.0]) - motion[:, 3])  # lies 5 before the camera
    expected = 688 * np.array([0.4, -0.3]) / 5 + [511.5, 217.5]
    np.testing.assert_allclose(seen(placed, X), expected, rtol=1e-6)


def test_published_tables() -> None:
    for number, (fx, fy, cx, cy) in TUM_INTRINSICS.items():
        camera = tum_camera(number, dtype=torch.float64)
        assert camera.size == (480, 640)
        assert camera.K[0].tolist() == [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
        assert len(TUM_DISTORTION[number]) == 5
    for number, (fx, fy, cx, cy) in APOLLOSCAPE_INTRINSICS.items():
        placed = apolloscape_camera(number, dtype=torch.float64)
        assert placed.camera.size == (2710, 3384)
        assert placed.camera.K[0].tolist() == [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
        check_pose(placed.T_camera_reference, "T_camera_5")
    T_5_6 = invert_pose(apolloscape_camera(6).T_camera_reference)
    assert T_5_6[0, 0, 3] == pytest.approx(0.62, abs=0.02)  # camera 6 is the right one
    focal = 585.0
    assert sevenscenes_camera().K[0].tolist() == [[focal, 0, 320], [0, focal, 240], [0, 0, 1]]


def test_undoing_tums_distortion_moves_the_corners_by_some_pixels() -> None:
    # What it costs to leave the distortion alone: freiburg 3 is free of it.
    for number, low, high in ((1, 4, 40), (2, 4, 40), (3, 0, 1e-6)):
        K, corner = tum_camera(number, dtype=torch.float64).K[0].numpy(), np.array([[[20.0, 20.0]]])
        moved = cv2.undistortPoints(corner, K, np.array(TUM_DISTORTION[number]), P=K)
        assert low <= np.abs(moved - corner).max() <= high


def kitti(path: Path) -> object:
    return kitti_cameras(path, height=370, width=1226)


def scannet(path: Path) -> object:
    return scannet_camera(path, height=968, width=1296)


def color(path: Path) -> object:
    return scannet_scene_camera(path, "color")


def open3d(**changed: object) -> str:
    return json.dumps({**OPEN3D, **changed})


MATRIX = "1170 0 648 0\n0 1170 484 0\n0 0 1 0\n0 0 0 1\n"
SINTEL = sintel_bytes()[0]
REFUSED: dict[str, tuple[str, str | bytes, Callable[[Path], object], str]] = {
    "kitti: cut short": ("calib.txt", KITTI[:60], kitti, r"calib\.txt, P0 must be 12 numbers, got \d"),
    "kitti: words": (
        "calib.txt",
        KITTI.replace("-3.798145e+02", "x"),
        kitti,
        r"calib\.txt, P1 must be 12 numbers.*'x'",
    ),
    "kitti: NaN": ("calib.txt", KITTI.replace("-3.798145e+02", "nan"), kitti, r"calib\.txt, P1 holds NaN"),
    "kitti: empty": ("calib.txt", "", kitti, r"calib\.txt must have lines 'name: value', got none"),
    "kitti: poses": ("06.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n", kitti, r"06\.txt must have lines 'name: value'"),
    "kitti: raw's": ("calib.txt", KITTI_RAW, kitti, r"calib\.txt has no cameras, lines like 'P0: '"),
    "kitti: K is singular": (
        "calib.txt",
        KITTI.replace("P0: 7.070912e+02", "P0: 0"),
        kitti,
        r"txt, P0: focal.*singular",
    ),
    "kitti raw: odometry's": ("c.txt", KITTI, kitti_raw_cameras, r"c\.txt has no cameras, lines like 'P_rect_00: '"),
    "kitti raw: half a pixel": (
        "c.txt",
        KITTI_RAW.replace("1.242000e+03", "1242.5"),
        kitti_raw_cameras,
        r"S_rect_00 must be a whole number",
    ),
    "scannet: a pose": (
        "0.txt",
        MATRIX.replace("648 0", "648 3"),
        scannet,
        r"intrinsics .*0\.txt must be 4 x 4 with last.*pose instead",
    ),
    "scannet: 3 x 3": ("k.txt", "1 0 0\n0 1 0\n0 0 1\n", scannet, r"k\.txt must hold 4 rows of 4 numbers"),
    "scannet: NaN": ("k.txt", MATRIX.replace("648", "nan"), scannet, r"camera file .*k\.txt: K holds NaN"),
    "scannet: transposed": (
        "k.txt",
        "1170 0 0 0\n0 1170 0 0\n648 484 1 0\n0 0 0 1\n",
        scannet,
        r"k\.txt: K.*transposed",
    ),
    "scannet: normalised": (
        "k.txt",
        MATRIX.replace("1170", "0.9"),
        scannet,
        r"k\.txt: K must be in pixels.*from_normalised",
    ),
    "scene: cut short": ("s.txt", SCANNET[:200], color, r"s\.txt has no .*my_color.*cut short"),
    "scene: words": ("s.txt", SCANNET.replace("1296", "wide"), color, r"s\.txt, colorWidth must be 1 numbers.*'wide'"),
    "scene: no size": ("s.txt", SCANNET.replace("1296", "0"), color, r"s\.txt: camera image size must be at least"),
    "scene: binary": ("s.txt", bytes(range(256)), color, r"s\.txt has no fx_color"),
    "open3d: cut short": ("c.json", open3d()[:-9], open3d_camera, r"c\.json must give width, height"),
    "open3d: a list": ("c.json", "[]", open3d_camera, r"c\.json must give width, height"),
    "open3d: eight numbers": ("c.json", open3d(intrinsic_matrix=[1] * 8), open3d_camera, r"c\.json must give width"),
    "open3d: by rows": (
        "c.json",
        open3d(intrinsic_matrix=[525, 0, 319, 0, 525, 239, 0, 0, 1]),
        open3d_camera,
        r"c\.json: K.*transposed K",
    ),
    "open3d: half a pixel": ("c.json", open3d(height=480.5), open3d_camera, r"c\.json, height must be a whole number"),
    "open3d: infinite": ("c.json", open3d(width=float("inf")), open3d_camera, r"c\.json, width must be a whole number"),
    "sintel: cut short": ("f.cam", SINTEL[:-8], sintel_camera, r"f\.cam must be 172 bytes.*got 164 bytes"),
    "sintel: empty": ("f.cam", b"", sintel_camera, r"f\.cam must be 172 bytes.*got 0 bytes"),
    "sintel: big-endian": ("f.cam", SINTEL[3::-1] + SINTEL[4:], sintel_camera, r"beginning with b'HEIP'"),
    "sintel: no focal length": ("f.cam", sintel_bytes(focal=0.0)[0], sintel_camera, r"f\.cam: focal lengths"),
    "sintel: NaN": ("f.cam", sintel_bytes(focal=float("nan"))[0], sintel_camera, r"f\.cam: K holds NaN"),
    "sintel: a scale": ("f.cam", sintel_bytes(scale=1.1)[0], sintel_camera, r"f\.cam: its motion is no rigid motion"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", REFUSED)
def test_a_damaged_file_is_named(case: str, tmp_path: Path) -> None:
    name, content, read, message = REFUSED[case]
    with pytest.raises(InputError) as error:
        read(written(tmp_path, name, content))
    assert re.search(message, str(error.value)), str(error.value)


READERS = {
    "kitti": kitti,
    "kitti raw": kitti_raw_cameras,
    "scannet": scannet,
    "scene": color,
    "open3d": open3d_camera,
    "sintel": sintel_camera,
}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.txt is missing"):
        READERS[name](tmp_path / "nowhere.txt")


@pytest.mark.bad_input
def test_unknown_sensors_and_numbers() -> None:
    with pytest.raises(InputError, match="'color' or 'depth', got 'infrared'"):
        scannet_scene_camera(Path("s.txt"), "infrared")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="freiburg must be 1, 2 or 3, got 4"):
        tum_camera(4)
    with pytest.raises(InputError, match="number must be 5 or 6, got 1"):
        apolloscape_camera(1)
    with pytest.raises(InputError, match="32- or 64-bit floating point"):
        tum_camera(1, dtype=torch.float16)
