"""Miniature copies of the real data sets, in their true layout, and a tiny table of drawn frames."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

CAMVID_SIZE = (12, 16)  # of the miniature
CAMVID_TRUE_LINES = "/SegNet/CamVid/"


def colour(number: int, size: tuple[int, int]) -> np.ndarray:
    """A picture of one colour that tells the frame's number."""
    return np.full((*size, 3), (number % 256, number // 256 % 256, 200), dtype=np.uint8)


def write_camvid(
    root: Path,
    sequences: Mapping[str, Sequence[int]],
    *,
    split: str = "train",
    line_prefix: str = CAMVID_TRUE_LINES,
    number: str = "{:06d}",
) -> Path:
    """CamVid as the SegNet authors published it: png images, labels with sky above road and one void pixel."""
    lines = []
    for folder in (split, f"{split}annot"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    label = np.zeros(CAMVID_SIZE, np.uint8)
    label[CAMVID_SIZE[0] // 2 :] = 3
    label[0, 0] = 11
    for sequence, numbers in sequences.items():
        for n in numbers:
            name = f"{sequence}_{number.format(n)}.png"
            Image.fromarray(colour(n, CAMVID_SIZE)).save(root / split / name)
            Image.fromarray(label).save(root / f"{split}annot" / name)
            lines.append(f"{line_prefix}{split}/{name} {line_prefix}{split}annot/{name}")
    (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


def pose(step: int) -> np.ndarray:
    """A camera-to-world pose that turns about y and moves with `step`."""
    angle = 0.1 * step
    T = np.eye(4)
    T[[0, 0, 2, 2], [0, 2, 0, 2]] = [np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)]
    T[:3, 3] = [0.1 * step, 0.02, 0.5]
    return T


def write_sevenscenes(folder: Path, frames: int, *, registered: bool = False) -> Path:
    """Frames of one 7-Scenes sequence: depth rises by 1 mm a column, column 0 is unknown in the original's way."""
    folder.mkdir(parents=True, exist_ok=True)
    depth = np.tile(np.arange(1000, 1640, dtype=np.uint16), (480, 1))
    depth[:, 0] = 65535
    for n in range(frames):
        stem = folder / f"frame-{n:06d}"
        Image.fromarray(colour(n, (480, 640))).save(f"{stem}.color.png", compress_level=1)
        Image.fromarray(depth).save(f"{stem}.depth.png", compress_level=1)
        if registered:
            Image.fromarray(depth + np.uint16(500) * (depth < 65535)).save(
                f"{stem}.depth_registered.png", compress_level=1
            )
        np.savetxt(f"{stem}.pose.txt", pose(n), delimiter="\t")
    return folder


def write_icl(root: Path, frames: int, *, first: int = 0, log: bool = False) -> Path:
    """A sequence in Open3D's layout, with its camera scaled to 64 x 48 px."""
    for name in ("image", "depth"):
        (root / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(frames):
        n = first + i
        Image.fromarray(colour(n, (48, 64))).save(root / "image" / f"{n:05d}.jpg", quality=95)
        Image.fromarray(np.full((48, 64), 2000 + n, np.uint16)).save(root / "depth" / f"{n:05d}.png")
        rows = [" ".join(f"{value:.8f}" for value in row) for row in pose(n)]
        lines += [f"{i} {i} {i + 1}", *rows] if log else [f"{n:05d} " + " ".join(rows)]
    (root / ("trajectory.log" if log else "poses_c2w.txt")).write_text("\n".join(lines) + "\n")
    camera = {"width": 64, "height": 48, "intrinsic_matrix": [52.5, 0, 0, 0, 52.5, 0, 31.55, 23.55, 1]}
    (root / "camera_primesense.json").write_text(json.dumps(camera))
    return root


def write_table(folder: Path, counts: Mapping[str, int], *, size: tuple[int, int] = (6, 8), seed: int = 0) -> Path:
    """A table in array form of random frames, one video for each name, saved in three chunks."""
    from datasets import Dataset, concatenate_datasets, disable_progress_bars

    from stc_lab.data.schema import OPTIONAL, frame_features

    disable_progress_bars()
    rng = np.random.default_rng(seed)
    names = [name for name, count in counts.items() for _ in range(count)]
    index = [i for count in counts.values() for i in range(count)]
    n, (h, w) = len(names), size
    columns = {
        "video": names,
        "index": index,
        "time": [i / 10 for i in index],
        "image": rng.integers(0, 256, (n, 3, h, w), dtype=np.uint8),
        "label": rng.integers(0, 3, (n, h, w), dtype=np.uint8),
        "depth": rng.random((n, h, w), dtype=np.float32),
        "intrinsics": np.tile([[7.0, 0, 3], [0, 7, 2], [0, 0, 1]], (n, 1, 1)),
        "pose": np.stack([pose(i) for i in index]),
    }
    features = frame_features(OPTIONAL, size)
    cuts = sorted({0, n // 3, n // 2, n})
    parts = [
        Dataset.from_dict({name: values[a:b] for name, values in columns.items()}, features=features)
        for a, b in pairwise(cuts)
    ]
    concatenate_datasets(parts).save_to_disk(folder)
    return folder
