"""The exercises of chapter 01: places in the world, shares of classes, nested sets of labels."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stc_lab.geometry import Camera, pose_from, transform
from stc_lab.labs.exercise import IGNORE, Case, Exercise
from stc_lab.metrics import ConfusionMatrix


def _world_cases(generator: torch.Generator) -> Iterator[Case]:
    height, width = 48, 64
    camera = Camera.from_fov(height, width, 60.0, dtype=torch.float64)

    def vector(size: float) -> Tensor:
        return (2 * torch.rand(1, 3, generator=generator, dtype=torch.float64) - 1) * size

    def case(title: str, turn: Tensor, place: Tensor, hint: str, *, middle: bool = False) -> Case:
        x, y = (int(torch.randint(0, n, (), generator=generator)) for n in (width, height))
        x, y = (width // 2, height // 2) if middle else (x, y)
        depth = 1.5 + 2 * float(torch.rand((), generator=generator, dtype=torch.float64))
        T_world_camera = pose_from(turn, place)
        everywhere = torch.full((1, 1, height, width), depth, dtype=torch.float64)
        point = transform(T_world_camera, camera.backproject(everywhere))[0, :, y, x]
        inputs = {
            "x": float(x),
            "y": float(y),
            "depth": depth,
            "K": camera.K[0],
            "T_world_camera": T_world_camera[0],
        }
        return Case(title, inputs, point, hint)

    still = torch.zeros(1, 3, dtype=torch.float64)
    yield case(
        "a camera in the world's origin, a pixel near the middle",
        still,
        still,
        "depth K^-1 (x, y, 1): depth is z, not the length of the ray",
        middle=True,
    )
    yield case("a pixel anywhere", still, still, "the third number of the point is the depth itself")
    yield case("a camera somewhere else", still, vector(2.0), "the translation of the pose is where the camera stands")
    yield case("a camera turned", vector(0.8), vector(2.0), "X_world = R X_camera + t, with R and t of T_world_camera")


def _class_share_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, label: Tensor, num_classes: int, hint: str) -> Case:
        matrix = ConfusionMatrix(num_classes)
        matrix.update(torch.zeros_like(label)[None], label[None])
        truth = matrix.counts.sum(dim=1).double()
        return Case(title, {"label": label, "num_classes": num_classes}, truth / truth.sum(), hint)

    label = torch.tensor([[0, 0, 1], [2, 2, 2]])
    yield case("three classes", label, 3, "count the pixels of each class, divide by the number of pixels")
    yield case("a class that does not occur", label, 4, "its share is 0, and it still has a place in the answer")
    ignored = torch.tensor([[0, IGNORE, 1], [IGNORE, IGNORE, 1]])
    yield case("half of the pixels are not labelled", ignored, 2, "255 is no class: divide by the LABELLED pixels")
    label = torch.randint(0, 6, (24, 32), generator=generator)
    holes = torch.rand(24, 32, generator=generator) < 0.3
    yield case("a whole image", label.masked_fill(holes, IGNORE), 7, "torch.bincount of the labelled pixels")


def _labelled_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, rank: Tensor, share: float, hint: str) -> Case:
        count = max(1, int(share * rank.numel() + 0.5))
        return Case(title, {"rank": rank, "share": share}, rank < count, hint)

    def shuffled(videos: int, frames: int) -> Tensor:
        return torch.randperm(videos * frames, generator=generator).reshape(videos, frames)

    rank = shuffled(4, 10)
    yield case("a quarter of 40 frames", rank, 0.25, "the frames of rank 0 to 9, wherever they are")
    yield case("a tenth of the same frames", rank, 0.1, "the same order again: a smaller share is part of a larger one")
    yield case("all of them", rank, 1.0, "the last frame has rank 39")
    yield case("0.1 % of 40 frames", rank, 0.001, "never none: at least one frame is labelled")
    yield case("3.5 frames", shuffled(5, 7), 0.1, "round to whole frames, halves up: floor(share n + 0.5)")


_WORLD = (
    "The point of the world (m) that a pixel shows: backproject_pixel(x, y, depth, K, T_world_camera) -> [3]; "
    "depth in metres along the camera's axis, K [3, 3], T_world_camera [4, 4]."
)
_CLASS_SHARES = (
    "The share of each class among the labelled pixels: class_shares(label, num_classes) -> [num_classes]; "
    "label [h, w] holds class ids, and 255 where nobody labelled."
)
_LABELLED = (
    "Which frames are labelled at a share: labelled_at(rank, share) -> bool [videos, frames]; rank [videos, frames] "
    "is each frame's place in one fixed order, from 0. Whole frames, halves rounded up, at least one."
)

DATA_EXERCISES = (
    Exercise("backproject_pixel", "01_data", _WORLD, _world_cases),
    Exercise("class_shares", "01_data", _CLASS_SHARES, _class_share_cases),
    Exercise("labelled_at", "01_data", _LABELLED, _labelled_cases),
)
