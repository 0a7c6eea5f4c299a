"""A miniature of KITTI odometry in its true layout."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from miniatures import colour, pose
from PIL import Image

SIZE = (12, 40)
FOCAL, CX, CY = 22.0, 19.5, 5.5
SHIFTS = (0.0, 0.537, -0.06, 0.473)  # m to the right of the left grey camera


def write_kitti(root: Path, sequences: Sequence[str] = ("06",), frames: int = 4, *, first: int = 0) -> Path:
    """Frames of all four cameras, colour told by number; poses of 00 to 10, 12 numbers a line, from frame 0."""
    for name in sequences:
        folder = root / "sequences" / name
        for camera in range(4):
            (folder / f"image_{camera}").mkdir(parents=True, exist_ok=True)
            for n in range(first, first + frames):
                picture = colour(n, SIZE) if camera > 1 else np.full(SIZE, 10 * n + camera, np.uint8)
                Image.fromarray(picture).save(folder / f"image_{camera}" / f"{n:06d}.png")
        lines = []
        for camera, shift in enumerate(SHIFTS):
            P = np.array([[FOCAL, 0, CX, -FOCAL * shift], [0, FOCAL, CY, 0], [0, 0, 1, 0]])
            lines.append(f"P{camera}: " + " ".join(f"{value:.12e}" for value in P.ravel()))
        lines.append("Tr: " + " ".join(f"{value:.12e}" for value in np.eye(4)[:3].ravel()))
        (folder / "calib.txt").write_text("\n".join(lines) + "\n")
        count = first + frames
        (folder / "times.txt").write_text("".join(f"{0.1037 * n:e}\n" for n in range(count)))
        if int(name) <= 10:
            (root / "poses").mkdir(exist_ok=True)
            rows = [" ".join(f"{value:.9e}" for value in pose(n)[:3].ravel()) for n in range(count)]
            (root / "poses" / f"{name}.txt").write_text("\n".join(rows) + "\n")
    return root
