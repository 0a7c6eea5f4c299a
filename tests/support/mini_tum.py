"""A miniature TUM RGB-D sequence in its true layout."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from miniatures import colour, pose
from PIL import Image

START = 1305031102.175304  # s
SIZE = (480, 640)


def times(count: int, *, rate: float = 30.0, shift: float = 0.0) -> list[float]:
    return [START + shift + i / rate for i in range(count)]


def quaternion(T: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, z, w of a rotation by less than half a turn, from its trace."""
    w = np.sqrt(1 + np.trace(T[:3, :3])) / 2
    x, y, z = (T[2, 1] - T[1, 2], T[0, 2] - T[2, 0], T[1, 0] - T[0, 1])
    return x / (4 * w), y / (4 * w), z / (4 * w), w


def write_tum(
    folder: Path,
    rgb: Sequence[float] | None = None,
    depth: Sequence[float] | None = None,
    truth: Sequence[float] | None = None,
) -> Path:
    """Frame i has colour i and depth of (5000 + 100 i) units; pose i is `pose(i)`; the lists begin with comments."""
    rgb = times(3) if rgb is None else rgb
    depth = [t + 0.005 for t in rgb] if depth is None else depth
    truth = [t - 0.002 for t in rgb] if truth is None else truth
    for kind, stamps in (("rgb", rgb), ("depth", depth)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        names = [f"{kind}/{t:.6f}.png" for t in stamps]
        for i, name in enumerate(names):
            picture = colour(i, SIZE) if kind == "rgb" else np.full(SIZE, 5000 + 100 * i, np.uint16)
            if kind == "depth":
                picture[:, 0] = 0
            Image.fromarray(picture).save(folder / name, compress_level=1)
        head = f"# {kind} images\n# file: 'rgbd_dataset.bag'\n# timestamp filename\n"
        (folder / f"{kind}.txt").write_text(
            head + "".join(f"{t:.6f} {name}\n" for t, name in zip(stamps, names, strict=True))
        )
    lines = ["# ground truth trajectory", "# file: 'rgbd_dataset.bag'", "# timestamp tx ty tz qx qy qz qw"]
    for i, t in enumerate(truth):
        numbers = (*pose(i)[:3, 3], *quaternion(pose(i)))
        lines.append(f"{t:.4f} " + " ".join(f"{value:.6f}" for value in numbers))
    (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n")
    return folder
