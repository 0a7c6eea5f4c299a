"""The exercises of the notebooks: random inputs from a seed, and the answer of the package itself to compare with."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from stc_lab.geometry import Camera, Warped, WarpedLabels, correspond, invert_pose, pose_from, transform
from stc_lab.labs.contrast_exercises import CONTRAST_EXERCISES
from stc_lab.labs.data_exercises import DATA_EXERCISES
from stc_lab.labs.depth_edge_exercises import DEPTH_EDGE_EXERCISES
from stc_lab.labs.depth_exercises import DEPTH_EXERCISES
from stc_lab.labs.efficiency_exercises import EFFICIENCY_EXERCISES
from stc_lab.labs.exercise import IGNORE, Case, Exercise
from stc_lab.labs.explorer_exercises import EXPLORER_EXERCISES
from stc_lab.labs.smoothing_exercises import SMOOTHING_EXERCISES
from stc_lab.labs.stability_exercises import STABILITY_EXERCISES
from stc_lab.losses import logits_consistency
from stc_lab.metrics import ConfusionMatrix, temporal_agreement


def _agreement_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, now: Tensor, warped: Tensor, visible: Tensor, hint: str) -> Case:
        warped = torch.where(visible, warped, torch.full_like(warped, IGNORE))
        score = temporal_agreement(now[None], WarpedLabels(warped[None], visible[None]))
        inputs = {"label_now": now, "label_warped": warped, "visible": visible}
        return Case(title, inputs, score.value, hint)

    everywhere = torch.ones(3, 4, dtype=torch.bool)
    now, warped = (torch.randint(0, 3, (3, 4), generator=generator) for _ in range(2))
    yield case("everything is visible", now, warped, everywhere, "count the pixels with equal labels, as a share")
    yield case("the two frames agree everywhere", now, now, everywhere, "the largest agreement is 1, not 100")
    hidden = torch.rand(3, 4, generator=generator) < 0.5
    hidden[0, 0], hidden[0, 1] = True, False
    yield case("some pixels are hidden", now, warped, ~hidden, "divide by the number of VISIBLE pixels")
    size = (24, 32)
    now = torch.randint(0, 5, size, generator=generator)
    flips = torch.rand(size, generator=generator) < 0.2
    visible = torch.rand(size, generator=generator) < 0.7
    yield case("a whole image", now, torch.where(flips, (now + 1) % 5, now), visible, "only visible pixels count")


def _iou_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, prediction: Tensor, truth: Tensor, num_classes: int, hint: str) -> Case:
        matrix = ConfusionMatrix(num_classes)
        matrix.update(prediction[None], truth[None])
        inputs = {"prediction": prediction, "truth": truth, "num_classes": num_classes}
        return Case(title, inputs, matrix.results().miou, hint)

    prediction = torch.tensor([[0, 0, 1], [0, 1, 1]])
    truth = torch.tensor([[0, 0, 0], [0, 1, 1]])
    yield case(
        "two classes", prediction, truth, 2, "IoU = right / (predicted + true - right), then the mean over classes"
    )
    yield case("a class that occurs nowhere", prediction, truth, 3, "a class in neither map has no IoU: leave it out")
    only_predicted = torch.tensor([[0, 0, 2], [0, 1, 1]])
    yield case("a class that is only predicted", only_predicted, truth, 3, "its union is not empty, so its IoU is 0")
    unlabelled = torch.tensor([[0, IGNORE, IGNORE], [0, 1, 1]])
    yield case("pixels without truth", prediction, unlabelled, 2, "drop the pixels where truth is 255 before you count")
    truth = torch.randint(0, 6, (24, 32), generator=generator)
    wrong = torch.rand(24, 32, generator=generator) < 0.3
    guess = torch.randint(0, 6, (24, 32), generator=generator)
    yield case("a whole image", torch.where(wrong, guess, truth), truth, 7, "the mean runs over classes, not pixels")


def _projection_cases(generator: torch.Generator) -> Iterator[Case]:
    height, width = 48, 64
    camera = Camera.from_fov(height, width, 60.0, dtype=torch.float64)

    def number(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))

    def case(title: str, rotation: list[float], translation: list[float], hint: str) -> Case:
        x, y, depth = int(number(8, 56)), int(number(8, 40)), number(1.5, 4)
        motion = (torch.tensor([v], dtype=torch.float64) for v in (rotation, translation))
        T = pose_from(*motion)
        found = correspond(torch.full((1, 1, height, width), depth, dtype=torch.float64), camera, T)
        inputs = {"x": float(x), "y": float(y), "depth": depth, "K": camera.K[0], "T_source_target": T[0]}
        return Case(title, inputs, found.pixels[0, :, y, x], hint)

    still = [0.0, 0.0, 0.0]
    yield case(
        "the camera has not moved", still, still, "the pixel must come back to where it was: X = depth K^-1 (x, y, 1)"
    )
    yield case("a step sideways", still, [number(0.1, 0.3), 0.0, 0.0], "the pixel moves by fx t / depth")
    yield case(
        "a step forward", still, [0.0, 0.0, -number(0.2, 0.5)], "divide by the NEW depth, z in the source camera"
    )
    turn = [number(-0.2, 0.2) for _ in range(3)]
    step = [number(-0.3, 0.3) for _ in range(3)]
    yield case("a turn and a step", turn, step, "X_source = R X_target + t: rotate first, then add")


def _visibility_cases(generator: torch.Generator) -> Iterator[Case]:
    height, width = 36, 48
    camera = Camera.from_fov(height, width, 60.0, dtype=torch.float64)

    def case(title: str, source: list[float], box: bool, hint: str) -> Case:
        depths = {"target": _wall_and_box(camera, [0.0, 0.0, 0.0], box), "source": _wall_and_box(camera, source, box)}
        T_world_source = pose_from(torch.zeros(1, 3, dtype=torch.float64), torch.tensor([source], dtype=torch.float64))
        T_source_target = invert_pose(T_world_source)
        found = correspond(depths["target"], camera, T_source_target, depth_source=depths["source"])
        points = transform(T_source_target, camera.backproject(depths["target"]))
        z = points[0, 2]
        projected = camera.K[0] @ (points[0] / z).reshape(3, -1)
        x, y = projected[0].reshape(height, width), projected[1].reshape(height, width)
        column, row = x.round().clamp(0, width - 1).long(), y.round().clamp(0, height - 1).long()
        there = depths["source"][0, 0][row, column]
        inputs = {"x": x, "y": y, "z": z, "depth_there": there, "height": height, "width": width}
        return Case(title, inputs, found.visible[0], hint)

    aside = 0.3 + 0.2 * float(torch.rand((), generator=generator, dtype=torch.float64))
    yield case("a bare wall, a step sideways", [-aside, -0.1, 0.0], False, "inside is 0 <= x <= width - 1, and y alike")
    yield case(
        "a box behind the source camera", [0.0, 0.0, 1.5], True, "a point with z <= 0 projects too, but is not seen"
    )
    yield case(
        "a box before the wall", [aside, 0.05, 0.0], True, "occluded: |z - depth_there| is not below 0.04 z + 0.02"
    )


def _wall_and_box(camera: Camera, position: list[float], box: bool) -> Tensor:
    """Depth of a wall 3 m before the origin, and of a square board 1 m before it, from a camera at `position`."""
    rays = camera.rays()
    wall, board = 3.0 - position[2], 1.0 - position[2]
    depth = torch.full_like(rays[:, :1], wall)
    if not box or board <= 0:
        return depth
    hit = rays[:, :2] * board + torch.tensor(position[:2], dtype=rays.dtype)[None, :, None, None]
    return torch.where((hit.abs() < 0.25).all(dim=1, keepdim=True), torch.full_like(depth, board), depth)


def _disguise_cases(generator: torch.Generator) -> Iterator[Case]:
    height, width = 24, 32
    camera = Camera.from_fov(height, width, 60.0, dtype=torch.float64)

    def vector(size: float) -> Tensor:
        return (2 * torch.rand(1, 3, generator=generator, dtype=torch.float64) - 1) * size

    def case(title: str, turn: Tensor, step: Tensor, factor: float, hint: str) -> Case:
        T = pose_from(turn, step)
        disguised = pose_from(turn, step * factor)
        depth = 1.5 + 2 * torch.rand(1, 1, height, width, generator=generator, dtype=torch.float64)
        before, after = correspond(depth, camera, T).pixels, correspond(depth * factor, camera, disguised).pixels
        assert torch.allclose(before, after, atol=1e-9), "the package must agree that the picture stays"
        return Case(title, {"T_source_target": T[0], "depth_factor": factor}, disguised[0], hint)

    still = torch.zeros(1, 3, dtype=torch.float64)
    yield case(
        "a step without a turn", still, vector(0.4), 1.5, "K (d x + t) / z: what must t become when every d is 1.5 d?"
    )
    yield case("a turn on the spot", vector(0.3), still, 2.0, "a rotation has no length: depth cannot touch it")
    yield case("a turn and a step", vector(0.3), vector(0.4), 0.7, "scale t alone; R and the last row stay as they are")


def _prior_cases(part: str) -> Callable[[torch.Generator], Iterator[Case]]:
    hints = {
        "uniform": "the mean of |warped - target| over the visible pixels and ALL classes",
        "label_prior": "at each visible pixel take |warped - target| of ONE class, the one that the target believes",
    }

    def cases(generator: torch.Generator) -> Iterator[Case]:
        def case(title: str, warped: Tensor, target: Tensor, visible: Tensor, hint: str) -> Case:
            nowhere = torch.zeros_like(visible)[None]
            loss = logits_consistency(Warped(warped[None], visible[None]), target[None], nowhere)
            inputs = {"logits_warped": warped, "logits_target": target, "visible": visible}
            return Case(title, inputs, float(getattr(loss, part)), hint)

        target = torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]]])
        warped = torch.tensor([[[1.0, 3.0]], [[0.0, 1.0]]])
        everywhere = torch.ones(1, 2, dtype=torch.bool)
        yield case("two classes, two visible pixels", warped, target, everywhere, hints[part])
        yield case(
            "the second pixel is hidden",
            warped,
            target,
            torch.tensor([[True, False]]),
            "sum and divide over visible pixels only",
        )
        target, warped = (torch.randn(4, 12, 16, generator=generator) for _ in range(2))
        visible = torch.rand(12, 16, generator=generator) < 0.6
        yield case("a whole image", warped, target, visible, hints[part])
        warped = torch.where(visible, warped, torch.full_like(warped, torch.nan))
        yield case(
            "nothing is known where nothing is visible",
            warped,
            target,
            visible,
            "NaN times 0 is NaN: select pixels instead",
        )

    return cases


_AGREE = (
    "Share of the visible pixels at which two label maps agree: "
    "temporal_agreement(label_now, label_warped, visible) -> float; label maps [h, w], visible [h, w] bool."
)
_IOU = (
    "Mean IoU over the classes that occur in prediction or truth: mean_iou(prediction, truth, num_classes) -> float; "
    "pixels whose truth is 255 do not count."
)
_PROJECT = (
    "Where the target's pixel (x, y) of known depth (m) lies in the source image: "
    "project_pixel(x, y, depth, K, T_source_target) -> (x, y); K [3, 3], T_source_target [4, 4]."
)
_VISIBLE = (
    "Which target pixels the source camera sees: visible_mask(x, y, z, depth_there, height, width) -> bool [h, w]; "
    "(x, y) is where the pixel falls in the source image, z its depth in the source camera, depth_there the depth that "
    "the source sees there. Visible: in front (z > 0), inside the image, and the same surface "
    "(|z - depth_there| < 0.04 z + 0.02)."
)
_DISGUISE = (
    "The pose that hides an error of the depth: same_picture_pose(T_source_target, depth_factor) -> [4, 4]; with all "
    "depths multiplied by depth_factor, every pixel must land where it did before."
)
_UNIFORM = (
    "The uniform prior of Eq. 1: uniform_prior(logits_warped, logits_target, visible) -> number; logits [k, h, w], "
    "visible [h, w] bool."
)
_LABEL = (
    "The label prior of Eq. 1: label_prior(logits_warped, logits_target, visible) -> number; only the class with the "
    "largest target logit counts at each pixel."
)

EXERCISES = {
    exercise.name: exercise
    for exercise in (
        Exercise("temporal_agreement", "00_start_here", _AGREE, _agreement_cases),
        Exercise("mean_iou", "00_start_here", _IOU, _iou_cases),
        *DATA_EXERCISES,
        Exercise("project_pixel", "02_geometry_and_warping", _PROJECT, _projection_cases),
        Exercise("visible_mask", "02_geometry_and_warping", _VISIBLE, _visibility_cases),
        Exercise("same_picture_pose", "02_geometry_and_warping", _DISGUISE, _disguise_cases),
        Exercise("uniform_prior", "04_logits_consistency", _UNIFORM, _prior_cases("uniform")),
        Exercise("label_prior", "04_logits_consistency", _LABEL, _prior_cases("label_prior")),
        *EFFICIENCY_EXERCISES,
        *CONTRAST_EXERCISES,
        *DEPTH_EXERCISES,
        *DEPTH_EDGE_EXERCISES,
        *STABILITY_EXERCISES,
        *SMOOTHING_EXERCISES,
        *EXPLORER_EXERCISES,
    )
}
