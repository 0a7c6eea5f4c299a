"""Text files of camera poses (`T_world_camera`) and other small matrices."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from stc_lab.errors import InputError
from stc_lab.geometry.pose import check_pose


def read_matrix(path: Path, rows: int, columns: int) -> Float64[np.ndarray, "rows columns"]:
    """Matrix of a text file: one row of numbers a line."""
    return _matrix(_lines(path), rows, columns, str(path))


def read_named_poses(path: Path) -> dict[str, Float64[np.ndarray, "4 4"]]:
    """Poses of lines `name r00 r01 r02 t0 r10 ... 0 0 0 1`, by name."""
    poses = {}
    for i, line in enumerate(_lines(path), start=1):
        name, *numbers = line.split()
        where = f"{path}, line {i}"
        if name in poses:
            raise InputError(f"{where} gives a second pose of {name}")
        poses[name] = _checked(_matrix([" ".join(numbers)], 1, 16, where).reshape(4, 4), where)
    return poses


def read_log_poses(path: Path) -> list[Float64[np.ndarray, "4 4"]]:
    """Poses of a trajectory in Open3D's .log form: for each frame a line of three integers, then four rows."""
    lines = _lines(path)
    if len(lines) % 5:
        raise InputError(
            f"trajectory {path} must have 5 lines for each frame (three integers, then 4 x 4 numbers), "
            f"got {len(lines)} lines",
            hint="a file that was cut short",
        )
    wheres = [f"{path}, frame {i} (line {5 * i + 2})" for i in range(len(lines) // 5)]
    return [_checked(_matrix(lines[5 * i + 1 : 5 * i + 5], 4, 4, where), where) for i, where in enumerate(wheres)]


def read_pose(path: Path) -> Float64[np.ndarray, "4 4"]:
    """Pose of a text file of four rows."""
    return _checked(read_matrix(path, 4, 4), str(path))


def _checked(pose: Float64[np.ndarray, "4 4"], where: str) -> Float64[np.ndarray, "4 4"]:
    check_pose(torch.from_numpy(pose)[None], f"pose of {where}")
    return pose


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path} is missing", hint="an incomplete download, or another data set's folder")
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty", hint="an incomplete download: fetch the file again")
    return lines


def _matrix(lines: Sequence[str], rows: int, columns: int, where: str) -> Float64[np.ndarray, "rows columns"]:
    try:
        values = [[float(word) for word in line.split()] for line in lines]
    except ValueError as error:
        raise InputError(f"{where} must hold {rows} x {columns} numbers: {error}") from error
    if [len(row) for row in values] != [columns] * rows:
        got = ", ".join(str(len(row)) for row in values[:6])
        raise InputError(
            f"{where} must hold {rows} rows of {columns} numbers, got rows of {got}", hint="a file that was cut short"
        )
    return np.array(values, dtype=np.float64)
