"""A world whose warp is known by heart: a poster before a camera that slides along it, one whole pixel a frame."""

import numpy as np
import pytest

CLASSES = ("red", "green", "blue", "grey")
HEIGHT, WIDTH, FRAMES, FOCAL, DISTANCE = 16, 24, 8, 20.0, 2.0


def poster_videos(*, count: int = 3, shift: int = 1, seed: int = 0, last_label: int | None = None):
    """Videos of posters of coloured blocks; frame i shows the poster from column i * shift on."""
    import datasets

    from stc_lab.data import SourceInfo, array_videos, frame_features

    generator = np.random.default_rng(seed)
    colours = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 210], [128, 128, 128]])
    columns: dict[str, list] = {name: [] for name in ("video", "index", "time", "image", "label", "depth")}
    columns |= {"intrinsics": [], "pose": []}
    K = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
    for video in range(count):
        blocks = generator.integers(len(CLASSES), size=(HEIGHT // 4, (WIDTH + FRAMES * shift) // 4 + 1))
        labels = np.kron(blocks, np.ones((4, 4), dtype=int))
        noise = generator.integers(-15, 16, size=(*labels.shape, 3))
        image = np.clip(colours[labels] + noise, 0, 255).astype(np.uint8)
        for i in range(FRAMES):
            seen = slice(i * shift, i * shift + WIDTH)
            pose = np.eye(4)
            pose[0, 3] = i * shift * DISTANCE / FOCAL
            label = labels[:, seen].astype(np.uint8)
            if last_label is not None:
                label[-1, -1] = last_label
            columns["video"].append(f"poster_{video}")
            columns["index"].append(i)
            columns["time"].append(i / 10)
            columns["image"].append(image[:, seen].transpose(2, 0, 1).copy())
            columns["label"].append(label)
            columns["depth"].append(np.full((HEIGHT, WIDTH), DISTANCE, dtype=np.float32))
            columns["intrinsics"].append(K)
            columns["pose"].append(pose)
    has = frozenset(("label", "depth", "intrinsics", "pose"))
    info = SourceInfo("posters", 10.0, has, "none", "none", CLASSES)
    return array_videos(info, datasets.Dataset.from_dict(columns, features=frame_features(has, (HEIGHT, WIDTH))))


@pytest.fixture(scope="session")
def videos():
    return poster_videos()


@pytest.fixture(scope="session")
def make_videos():
    return poster_videos


@pytest.fixture
def new_model():
    """Makes small nets of equal weights for equal seeds."""
    import torch

    from stc_lab.models import FPNSegmenter

    def make(seed: int = 0) -> FPNSegmenter:
        generator = torch.Generator().manual_seed(seed)
        return FPNSegmenter(len(CLASSES), (8, 8, 8, 8), 8, generator=generator)

    return make
