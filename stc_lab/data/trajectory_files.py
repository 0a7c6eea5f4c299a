"""Text files that hold something of a whole sequence: a pose, or a time, in each line."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from stc_lab.errors import InputError
from stc_lab.geometry.pose import check_pose

_LENGTH = 0.01  # by which a quaternion may differ from a unit one: files keep four digits


def read_row_poses(path: Path) -> Float64[np.ndarray, "n 4 4"]:
    """Poses of a file with a line for each frame: 12 numbers, 3 x 4 row by row (KITTI odometry), or all 16."""
    lines, rows = _number_rows(path, (12, 16), "of a pose, row by row")
    values = np.tile(np.eye(4), (len(rows), 1, 1))
    for pose, row in zip(values, rows, strict=True):
        pose.reshape(-1)[: len(row)] = row
    return _checked(values, path, lines)


def read_timed_poses(path: Path) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, "n 4 4"]]:
    """Times (s) and poses of lines `time tx ty tz qx qy qz qw` (TUM RGB-D): w comes last; # begins a comment."""
    lines, rows = _number_rows(path, (8,), "time tx ty tz qx qy qz qw")
    values = np.array(rows)
    lengths = np.linalg.norm(values[:, 4:], axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < _LENGTH))
    if len(wrong):
        raise InputError(
            f"{path}, line {lines[wrong[0]]} must end in a unit quaternion, got one of length {lengths[wrong[0]]:g}",
            hint="columns in another order, or a file that was cut short",
        )
    poses = np.tile(np.eye(4), (len(values), 1, 1))
    poses[:, :3, :3] = Rotation.from_quat(values[:, 4:]).as_matrix()  # SciPy's order too has w last
    poses[:, :3, 3] = values[:, 1:4]
    return rising(values[:, 0], path, lines), _checked(poses, path, lines)


def read_times(path: Path) -> Float64[np.ndarray, " n"]:
    """Times (s) of a file with one number a line (KITTI odometry's times.txt)."""
    lines, rows = _number_rows(path, (1,), "a time in s")
    return rising(np.array(rows)[:, 0], path, lines)


def content_lines(path: Path) -> list[tuple[int, str]]:
    """Numbers, from 1, and text of the lines that are neither empty nor a comment, which # begins."""
    if not path.is_file():
        raise InputError(f"{path} is missing", hint="an incomplete download, or another data set's folder")
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), start=1)]
    lines = [(i, line) for i, line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"{path} has no lines", hint="an incomplete download: fetch the file again")
    return lines


def rising(times: Float64[np.ndarray, " n"], path: Path, lines: Sequence[int]) -> Float64[np.ndarray, " n"]:
    """Raise unless times rise from line to line; returns them."""
    wrong = np.flatnonzero(~(np.diff(times) > 0))
    if len(wrong):
        a, b = times[wrong[0]], times[wrong[0] + 1]
        raise InputError(
            f"times of {path} must rise, got {a:f} and then {b:f} in line {lines[wrong[0] + 1]}",
            hint="two files joined, or lines that were sorted as text",
        )
    return times


def _number_rows(path: Path, widths: tuple[int, ...], what: str) -> tuple[list[int], list[list[float]]]:
    lines, rows = [], []
    for i, line in content_lines(path):
        try:
            row = [float(word) for word in line.split()]
        except ValueError as error:
            raise InputError(f"{path}, line {i} must hold numbers ({what}): {error}") from error
        if len(row) not in widths or not np.isfinite(row).all():
            got = f"{len(row)} numbers" if len(row) not in widths else "NaN or infinite ones"
            raise InputError(
                f"{path}, line {i} must hold {' or '.join(map(str, widths))} finite numbers ({what}), got {got}",
                hint="a file that was cut short, or of another form",
            )
        lines.append(i)
        rows.append(row)
    return lines, rows


def _checked(poses: Float64[np.ndarray, "n 4 4"], path: Path, lines: Sequence[int]) -> Float64[np.ndarray, "n 4 4"]:
    try:
        check_pose(torch.from_numpy(poses), f"poses of {path}")
    except InputError:
        for i, pose in zip(lines, poses, strict=True):  # only to name the line
            check_pose(torch.from_numpy(pose)[None], f"pose of {path}, line {i}")
        raise
    return poses
