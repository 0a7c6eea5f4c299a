"""Cameras as the data sets give them: one function for each format, named after it.

Lens distortion is left alone: a `Camera` is a pinhole. Where a data set publishes distortion, it is given beside it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from stc_lab.data.pose_files import read_matrix
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import check_pose

# fx, fy, cx, cy of the colour camera at 640 x 480 px, and its distortion k1, k2, p1, p2, k3 in OpenCV's order, by the
# number in a sequence's name (freiburg1_desk). The images of freiburg 3 are undistorted already.
# Sturm et al.: A benchmark for the evaluation of RGB-D SLAM systems, IROS 2012, and the data set's page of formats.
TUM_INTRINSICS = {
    1: (517.306408, 516.469215, 318.643040, 255.313989),
    2: (520.908620, 521.007327, 325.141442, 249.701764),
    3: (535.4, 539.2, 320.1, 247.6),
}
TUM_DISTORTION = {
    1: (0.262383, -0.953104, -0.005358, 0.002628, 1.163314),
    2: (0.231222, -0.784899, -0.003257, -0.000105, 0.917205),
    3: (0.0, 0.0, 0.0, 0.0, 0.0),
}

# fx, fy, cx, cy of the two cameras that face forward, at 3384 x 2710 px, and camera 6 beside camera 5, as ApolloScape's
# dataset-api has them (Huang et al.: The ApolloScape dataset for autonomous driving, CVPR workshops 2018).
APOLLOSCAPE_INTRINSICS = {
    5: (2304.54786556982, 2305.875668062, 1686.23787612802, 1354.98486439791),
    6: (2300.39065314361, 2301.31478860597, 1713.21615190657, 1342.91100799715),
}
_APOLLOSCAPE_T_6_5 = (
    (9.96978057e-01, 3.91718762e-02, -6.70849865e-02, -0.6213358),
    (-3.93257593e-02, 9.99225970e-01, -9.74686202e-04, 0.02198739),
    (6.69948100e-02, 3.60985263e-03, 9.97746748e-01, -0.01986043),
    (0.0, 0.0, 0.0, 1.0),
)

_SINTEL_TAG = 202021.25  # as a float32 it reads PIEH


@dataclass(frozen=True)
class PlacedCamera:
    """A camera and where it sits: `T_world_camera` is `T_world_reference` times the inverse of `T_camera_reference`."""

    camera: Camera
    T_camera_reference: Float[Tensor, "1 4 4"]  # maps points of the reference frame into this camera's, m


def kitti_cameras(
    path: Path, *, height: int, width: int, dtype: torch.dtype = torch.float32
) -> dict[int, PlacedCamera]:
    """Cameras 0..3 of KITTI odometry's `calib.txt`, as far as it has them, relative to camera 0.

    P_i = K_i [1 | t_i] projects points of the rectified camera 0, so that `T_camera_reference` is a shift: 0.54 m
    between 0 and 1 (grey) and between 2 and 3 (colour). The file does not say the images' size. `poses/NN.txt` are
    those of camera 0.
    """
    return _kitti(path, "P", dict.fromkeys(range(4), (height, width)), dtype)


def kitti_raw_cameras(path: Path, *, dtype: torch.dtype = torch.float32) -> dict[int, PlacedCamera]:
    """Cameras 0..3 of KITTI raw's `calib_cam_to_cam.txt`, of the rectified images, relative to camera 0."""
    fields = _fields(path, ":")
    sizes = {}
    for i in range(4):
        if f"S_rect_{i:02d}" in fields:
            where = f"{path}, S_rect_{i:02d}"
            width, height = _numbers(fields[f"S_rect_{i:02d}"], 2, where)
            sizes[i] = _pixels(height, where), _pixels(width, where)
    return _kitti(path, "P_rect_0", sizes, dtype)


def scannet_camera(path: Path, *, height: int, width: int, dtype: torch.dtype = torch.float32) -> Camera:
    """Camera of ScanNet's `intrinsic_color.txt` or `intrinsic_depth.txt`, 4 x 4, which do not say the images' size."""
    matrix = read_matrix(path, 4, 4)
    if (matrix[3] != (0, 0, 0, 1)).any() or (matrix[:3, 3] != 0).any():
        raise InputError(
            f"intrinsics {path} must be 4 x 4 with last row and column (0, 0, 0, 1)",
            hint="extrinsic_*.txt or a pose instead of intrinsic_*.txt",
        )
    return _camera(path, matrix[:3, :3], height, width, dtype)


def scannet_scene_camera(
    path: Path, sensor: Literal["color", "depth"], *, dtype: torch.dtype = torch.float32
) -> Camera:
    """Camera of one sensor from ScanNet's `<scene>.txt`, lines like `fx_color = 1170.187988`, with its images' size.

    ScanNet's exported depth is taken as registered to colour, whose camera is to be resized to the depth's size.
    """
    if sensor not in ("color", "depth"):
        raise InputError(f"sensor must be 'color' or 'depth', got {sensor!r}")
    fields = _fields(path, "=")
    names = [f"{name}_{sensor}" for name in ("fx", "fy", "mx", "my")] + [f"{sensor}Height", f"{sensor}Width"]
    lost = [name for name in names if name not in fields]
    if lost:
        raise InputError(f"scene file {path} has no {', '.join(lost)}", hint="a file that was cut short, or of a pose")
    fx, fy, cx, cy, height, width = (_numbers(fields[name], 1, f"{path}, {name}")[0] for name in names)
    return _camera(
        path,
        _K(fx, fy, cx, cy),
        _pixels(height, f"{path}, {sensor}Height"),
        _pixels(width, f"{path}, {sensor}Width"),
        dtype,
    )


def open3d_camera(path: Path, *, dtype: torch.dtype = torch.float32) -> Camera:
    """Camera of Open3D's .json: `width`, `height` and `intrinsic_matrix`, nine numbers by columns."""
    try:
        values = json.loads(_text(path))
        K = np.array([float(value) for value in values["intrinsic_matrix"]]).reshape(3, 3).T
        height, width = (_pixels(float(values[name]), f"{path}, {name}") for name in ("height", "width"))
    except InputError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"camera file {path} must give width, height and intrinsic_matrix (9 numbers, by columns): {error!r}",
            hint="a file of another program, or one that was cut short",
        ) from error
    return _camera(path, K, height, width, dtype)


def sintel_camera(
    path: Path, *, height: int = 436, width: int = 1024, dtype: torch.dtype = torch.float32
) -> PlacedCamera:
    """Camera of MPI Sintel's `.cam`, relative to the world: `invert_pose` of it is the pose `T_world_camera`.

    The file is little-endian: the tag 202021.25 as float32, K as 3 x 3 float64, and the motion from the world to the
    camera as 3 x 4 float64, in the units of the depth files (Sintel's depth and camera download).
    """
    if not path.is_file():
        raise InputError(f"{path} is missing", hint="Sintel's depth and camera data are a download of their own")
    data = path.read_bytes()
    form = np.dtype([("tag", "<f4"), ("K", "<f8", (3, 3)), ("motion", "<f8", (3, 4))])
    if len(data) != form.itemsize or np.frombuffer(data[:4], "<f4")[0] != _SINTEL_TAG:
        raise InputError(
            f"camera file {path} must be {form.itemsize} bytes beginning with the tag {_SINTEL_TAG} (PIEH), "
            f"got {len(data)} bytes beginning with {data[:4]!r}",
            hint="a file that was cut short, or a .dpt or .flo file",
        )
    K, motion = np.frombuffer(data, form)[0][["K", "motion"]]
    return _placed(path, _camera(path, K, height, width, dtype), motion, dtype)


def tum_camera(freiburg: int, *, dtype: torch.dtype = torch.float32) -> Camera:
    """Colour camera of a TUM RGB-D sequence, by the number in its name: 1, 2 or 3; depth is registered to it.

    Of freiburg 1 and 2 the images are distorted (`TUM_DISTORTION`): without undoing it, this K is some pixels off
    towards the corners.
    """
    if freiburg not in TUM_INTRINSICS:
        raise InputError(f"freiburg must be 1, 2 or 3, got {freiburg}", hint="the number in the sequence's name")
    fx, fy, cx, cy = TUM_INTRINSICS[freiburg]
    return Camera.from_parameters(fx, fy, cx, cy, height=480, width=640, dtype=dtype)


def apolloscape_camera(number: int, *, dtype: torch.dtype = torch.float32) -> PlacedCamera:
    """ApolloScape's `Camera_5` or `Camera_6`, which face forward, at full size; relative to camera 5."""
    if number not in APOLLOSCAPE_INTRINSICS:
        raise InputError(
            f"number must be 5 or 6, got {number}", hint="the calibration of the other cameras is not published"
        )
    fx, fy, cx, cy = APOLLOSCAPE_INTRINSICS[number]
    camera = Camera.from_parameters(fx, fy, cx, cy, height=2710, width=3384, dtype=dtype)
    T = torch.eye(4, dtype=dtype) if number == 5 else torch.tensor(_APOLLOSCAPE_T_6_5, dtype=dtype)
    return PlacedCamera(camera, T[None])


def sevenscenes_camera(focal: float = 585.0, *, dtype: torch.dtype = torch.float32) -> Camera:
    """Camera of 7-Scenes at 640 x 480 px: the nominal 585 px of its depth camera, the only published calibration."""
    return Camera.from_parameters(focal, focal, 320.0, 240.0, height=480, width=640, dtype=dtype)


def _kitti(path: Path, prefix: str, sizes: dict[int, tuple[int, int]], dtype: torch.dtype) -> dict[int, PlacedCamera]:
    """Cameras of the lines `<prefix><i>: 12 numbers`, K [1 | t] row by row."""
    fields = _fields(path, ":")
    cameras = {}
    for i, (height, width) in sizes.items():
        name = f"{prefix}{i}"
        if name not in fields:
            continue
        P = np.array(_numbers(fields[name], 12, f"{path}, {name}")).reshape(3, 4)
        camera = _camera(f"{path}, {name}", P[:, :3], height, width, dtype)
        motion = np.column_stack([np.eye(3), np.linalg.solve(P[:, :3], P[:, 3])])
        cameras[i] = _placed(f"{path}, {name}", camera, motion, dtype)
    if not cameras:
        raise InputError(
            f"{path} has no cameras, lines like '{prefix}0: ' and 12 numbers", hint="calibration of another data set"
        )
    return cameras


def _camera(where: Path | str, K: Float64[np.ndarray, "3 3"], height: int, width: int, dtype: torch.dtype) -> Camera:
    with _naming(where):
        return Camera.from_matrix(K, height=height, width=width, dtype=dtype)


def _placed(where: Path | str, camera: Camera, motion: Float64[np.ndarray, "3 4"], dtype: torch.dtype) -> PlacedCamera:
    T = torch.from_numpy(np.vstack([motion, (0, 0, 0, 1)]))[None].to(dtype)
    with _naming(where):
        check_pose(T, "its motion")
    return PlacedCamera(camera, T)


@contextmanager
def _naming(where: Path | str) -> Iterator[None]:
    """Put the place in a file before what is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"camera file {where}: {error}") from error


def _K(fx: float, fy: float, cx: float, cy: float) -> Float64[np.ndarray, "3 3"]:
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"camera file {path} is missing", hint="an incomplete download, or another data set's folder")
    return path.read_text(encoding="utf-8", errors="replace")


def _fields(path: Path, separator: str) -> dict[str, str]:
    """Values of the lines `name<separator>value`, by name."""
    lines = [line.partition(separator) for line in _text(path).splitlines() if separator in line]
    if not lines:
        raise InputError(
            f"camera file {path} must have lines 'name{separator} value', got none",
            hint="an empty download, or another kind of file",
        )
    return {name.strip(): value.strip() for name, _, value in lines}


def _numbers(text: str, count: int, where: str) -> list[float]:
    try:
        values = [float(word) for word in text.split()]
    except ValueError as error:
        raise InputError(f"{where} must be {count} numbers: {error}") from error
    if len(values) != count:
        raise InputError(f"{where} must be {count} numbers, got {len(values)}", hint="a file that was cut short")
    if not np.isfinite(values).all():
        raise InputError(f"{where} holds NaN or infinite values", hint="a calibration that failed")
    return values


def _pixels(value: float, where: str) -> int:
    if not value.is_integer():
        raise InputError(f"{where} must be a whole number of pixels, got {value:g}")
    return int(value)
