"""What camera paths are made of: waves in time, and a camera that looks somewhere."""

import numpy as np


def wave(rng: np.random.Generator, time: np.ndarray, amplitude: float, period: float) -> np.ndarray:
    """A sine of random phase; `period` in the unit of `time`."""
    return amplitude * np.sin(2 * np.pi * (time / period + rng.random()))


def sway(rng: np.random.Generator, time: np.ndarray, amplitude: float, frequency: float) -> np.ndarray:
    """Three harmonics of falling strength."""
    return np.sum([wave(rng, time, amplitude / k, 1 / (k * frequency)) for k in (1, 2, 3)], axis=0)


def direction(yaw: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Unit vectors [t, 3] of a yaw about z and a pitch above the horizon (rad)."""
    return np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], axis=1)


def looking(position: np.ndarray, target: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """T_world_camera [t, 4, 4] that looks from `position` at `target`, with the horizon turned by `roll`."""
    forward = target - position
    forward = forward / np.linalg.norm(forward, axis=1, keepdims=True)
    forward[:, 2] = np.clip(forward[:, 2], -0.97, 0.9)  # straight up or down has no horizon
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(forward, right)
    cosine, sine = np.cos(roll)[:, None], np.sin(roll)[:, None]
    poses = np.tile(np.eye(4), (len(position), 1, 1))
    poses[:, :3, 0] = cosine * right + sine * down
    poses[:, :3, 1] = cosine * down - sine * right
    poses[:, :3, 2] = forward
    poses[:, :3, 3] = position
    return poses
