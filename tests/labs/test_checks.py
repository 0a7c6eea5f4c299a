"""The checker: right answers pass, each usual mistake is caught at the case made for it, and nothing else is said."""

from collections.abc import Callable
from typing import Any

import contrast_answers
import depth_answers
import depth_edge_answers
import efficiency_answers
import explorer_answers
import pytest
import smoothing_answers
import stability_answers
import torch
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.recipes import RECIPES
from stc_lab.labs import EXERCISES, check


def temporal_agreement(label_now: Tensor, label_warped: Tensor, visible: Tensor) -> float:
    return float((label_now == label_warped)[visible].float().mean())


def mean_iou(prediction: Tensor, truth: Tensor, num_classes: int) -> float:
    usable = truth != 255
    prediction, truth = prediction[usable], truth[usable]
    ious = []
    for k in range(num_classes):
        union = ((prediction == k) | (truth == k)).sum()
        if union > 0:
            ious.append(float(((prediction == k) & (truth == k)).sum() / union))
    return sum(ious) / len(ious)


def backproject_pixel(x: float, y: float, depth: float, K: Tensor, T_world_camera: Tensor) -> Tensor:
    point = depth * torch.linalg.inv(K) @ torch.tensor([x, y, 1.0], dtype=K.dtype)
    return T_world_camera[:3, :3] @ point + T_world_camera[:3, 3]


def class_shares(label: Tensor, num_classes: int) -> Tensor:
    counts = torch.bincount(label[label != 255], minlength=num_classes)
    return counts / counts.sum()


def labelled_at(rank: Tensor, share: float) -> Tensor:
    return rank < max(1, int(share * rank.numel() + 0.5))


def project_pixel(x: float, y: float, depth: float, K: Tensor, T_source_target: Tensor) -> tuple[Tensor, Tensor]:
    point = depth * torch.linalg.inv(K) @ torch.tensor([x, y, 1.0], dtype=K.dtype)
    moved = T_source_target[:3, :3] @ point + T_source_target[:3, 3]
    pixel = K @ moved / moved[2]
    return pixel[0], pixel[1]


def visible_mask(x: Tensor, y: Tensor, z: Tensor, depth_there: Tensor, height: int, width: int) -> Tensor:
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return (z > 0) & inside & ((z - depth_there).abs() < 0.04 * z + 0.02)


def same_picture_pose(T_source_target: Tensor, depth_factor: float) -> Tensor:
    disguised = T_source_target.clone()
    disguised[:3, 3] *= depth_factor
    return disguised


def uniform_prior(logits_warped: Tensor, logits_target: Tensor, visible: Tensor) -> Tensor:
    return (logits_warped - logits_target).abs()[:, visible].mean()


def label_prior(logits_warped: Tensor, logits_target: Tensor, visible: Tensor) -> Tensor:
    believed = logits_target.argmax(dim=0, keepdim=True)
    return (logits_warped - logits_target).abs().gather(0, believed)[0][visible].mean()


RIGHT = [
    temporal_agreement,
    mean_iou,
    backproject_pixel,
    class_shares,
    labelled_at,
    project_pixel,
    visible_mask,
    same_picture_pose,
    uniform_prior,
    label_prior,
    *contrast_answers.RIGHT,
    *depth_answers.RIGHT,
    *depth_edge_answers.RIGHT,
    *efficiency_answers.RIGHT,
    *stability_answers.RIGHT,
    *smoothing_answers.RIGHT,
    *explorer_answers.RIGHT,
]


def in_per_cent(label_now: Tensor, label_warped: Tensor, visible: Tensor) -> float:
    return 100 * temporal_agreement(label_now, label_warped, visible)


def over_all_pixels(label_now: Tensor, label_warped: Tensor, visible: Tensor) -> float:
    return float((label_now == label_warped).float().mean())


def accuracy(prediction: Tensor, truth: Tensor, num_classes: int) -> float:
    return float((prediction == truth).float().mean())


def absent_as_zero(prediction: Tensor, truth: Tensor, num_classes: int) -> float:
    return mean_iou(prediction, truth, 2) * 2 / num_classes


def depth_along_the_ray(x: float, y: float, depth: float, K: Tensor, T_world_camera: Tensor) -> Tensor:
    ray = torch.linalg.inv(K) @ torch.tensor([x, y, 1.0], dtype=K.dtype)
    return T_world_camera[:3, :3] @ (depth * ray / ray.norm()) + T_world_camera[:3, 3]


def in_the_camera(x: float, y: float, depth: float, K: Tensor, T_world_camera: Tensor) -> Tensor:
    return backproject_pixel(x, y, depth, K, torch.eye(4, dtype=K.dtype))


def unturned(x: float, y: float, depth: float, K: Tensor, T_world_camera: Tensor) -> Tensor:
    return in_the_camera(x, y, depth, K, T_world_camera) + T_world_camera[:3, 3]


def pose_the_other_way(x: float, y: float, depth: float, K: Tensor, T_world_camera: Tensor) -> Tensor:
    return backproject_pixel(x, y, depth, K, torch.linalg.inv(T_world_camera))


def of_all_pixels(label: Tensor, num_classes: int) -> Tensor:
    return torch.bincount(label[label != 255], minlength=num_classes) / label.numel()


def present_classes_only(label: Tensor, num_classes: int) -> Tensor:
    return class_shares(label, 1)


def first_frames(rank: Tensor, share: float) -> Tensor:
    return labelled_at(torch.arange(rank.numel()).reshape(rank.shape), share)


def perhaps_none(rank: Tensor, share: float) -> Tensor:
    return rank < int(share * rank.numel() + 0.5)


def rounded_down(rank: Tensor, share: float) -> Tensor:
    return rank < max(1, int(share * rank.numel()))


def the_other_way(x: float, y: float, depth: float, K: Tensor, T_source_target: Tensor) -> tuple[Tensor, Tensor]:
    return project_pixel(x, y, depth, K, torch.linalg.inv(T_source_target))


def the_old_depth(x: float, y: float, depth: float, K: Tensor, T_source_target: Tensor) -> tuple[float, float]:
    return x + float(K[0, 0] * T_source_target[0, 3]) / depth, y


def a_pixel_too_wide(x: Tensor, y: Tensor, z: Tensor, depth_there: Tensor, height: int, width: int) -> Tensor:
    return (z > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)


def behind_as_well(x: Tensor, y: Tensor, z: Tensor, depth_there: Tensor, height: int, width: int) -> Tensor:
    return visible_mask(x, y, z.abs(), z.abs(), height, width)


def through_everything(x: Tensor, y: Tensor, z: Tensor, depth_there: Tensor, height: int, width: int) -> Tensor:
    return visible_mask(x, y, z, z, height, width)


def scaled_altogether(T_source_target: Tensor, depth_factor: float) -> Tensor:
    return T_source_target * depth_factor


def turned_too(T_source_target: Tensor, depth_factor: float) -> Tensor:
    disguised = T_source_target.clone()
    disguised[:3] *= depth_factor
    return disguised


def untouched(T_source_target: Tensor, depth_factor: float) -> Tensor:
    return T_source_target


def unmasked(logits_warped: Tensor, logits_target: Tensor, visible: Tensor) -> Tensor:
    return (logits_warped - logits_target).abs().mean()


def times_the_mask(logits_warped: Tensor, logits_target: Tensor, visible: Tensor) -> Tensor:
    return ((logits_warped - logits_target).abs() * visible).sum() / visible.sum() / len(logits_warped)


def believed_by_the_neighbour(logits_warped: Tensor, logits_target: Tensor, visible: Tensor) -> Tensor:
    return label_prior(logits_target, logits_warped, visible)


WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("temporal_agreement", in_per_cent, "everything is visible"),
    ("temporal_agreement", over_all_pixels, "some pixels are hidden"),
    ("mean_iou", accuracy, "two classes"),
    ("mean_iou", absent_as_zero, "a class that occurs nowhere"),
    ("backproject_pixel", depth_along_the_ray, "a pixel"),
    ("backproject_pixel", in_the_camera, "a camera somewhere else"),
    ("backproject_pixel", unturned, "a camera turned"),
    ("backproject_pixel", pose_the_other_way, "a camera somewhere else"),
    ("class_shares", of_all_pixels, "half of the pixels"),
    ("class_shares", present_classes_only, "a class that does not occur"),
    ("labelled_at", first_frames, "a quarter"),
    ("labelled_at", perhaps_none, "0.1 %"),
    ("labelled_at", rounded_down, "3.5 frames"),
    ("project_pixel", the_other_way, "a step sideways"),
    ("project_pixel", the_old_depth, "a step forward"),
    ("visible_mask", a_pixel_too_wide, "a bare wall"),
    ("visible_mask", behind_as_well, "a box behind"),
    ("visible_mask", through_everything, "a box before the wall"),
    ("same_picture_pose", scaled_altogether, "a step without a turn"),
    ("same_picture_pose", turned_too, "a step without a turn"),
    ("same_picture_pose", untouched, "a step without a turn"),
    ("uniform_prior", unmasked, "the second pixel is hidden"),
    ("uniform_prior", times_the_mask, "nothing is known"),
    ("label_prior", believed_by_the_neighbour, "two classes"),
    *contrast_answers.WRONG,
    *depth_answers.WRONG,
    *depth_edge_answers.WRONG,
    *efficiency_answers.WRONG,
    *stability_answers.WRONG,
    *smoothing_answers.WRONG,
    *explorer_answers.WRONG,
]


@pytest.mark.parametrize("student", RIGHT, ids=lambda f: f.__name__)
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_right_answers_pass(student: Callable[..., Any], seed: int) -> None:
    result = check(student, seed=seed)
    assert result.status == "correct", str(result)


@pytest.mark.parametrize(("exercise", "student", "case"), WRONG)
@pytest.mark.parametrize("seed", [0, 3])
def test_the_usual_mistakes_are_caught(exercise: str, student: Callable[..., Any], case: str, seed: int) -> None:
    result = check(student, exercise, seed=seed)
    assert result.status == "wrong" and case in result.lines[0], str(result)
    assert any(line.startswith("expected") for line in result.lines) and result.lines[-1].startswith("Hint")


def test_every_exercise_has_a_right_answer_here() -> None:
    assert {f.__name__ for f in RIGHT} == set(EXERCISES)
    assert {e.notebook for e in EXERCISES.values()} <= set(RECIPES)


def not_implemented(**_: object) -> None:
    raise NotImplementedError


@pytest.mark.parametrize("student", [lambda **_: None, lambda **_: ..., not_implemented])
@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_untouched_exercise_is_not_wrong(student: Callable[..., Any], exercise: str) -> None:
    result = check(student, exercise)
    assert result.status == "not attempted" and result.lines[0] == EXERCISES[exercise].task


def test_an_exception_names_the_students_line() -> None:
    def student(label_now: Tensor, label_warped: Tensor, visible: Tensor) -> float:
        return float(label_now.no_such_method())

    text = str(check(student, "temporal_agreement"))
    assert "AttributeError" in text and "label_now.no_such_method()" in text and "stc_lab" not in text


@pytest.mark.parametrize(
    ("exercise", "answer", "said"),
    [
        ("visible_mask", torch.ones(36, 48), "float32 [36, 48], where a bool tensor [36, 48]"),
        ("visible_mask", torch.ones(1, 36, 48, dtype=torch.bool), "bool [1, 36, 48]"),
        ("mean_iou", torch.ones(2), "where a number was expected"),
        ("mean_iou", "high", "str, where a number was expected"),
        ("project_pixel", 3.0, "where a float tensor [2]"),
    ],
)
def test_answers_of_another_kind_are_described(exercise: str, answer: Any, said: str) -> None:
    result = check(lambda **_: answer, exercise)
    assert result.status == "wrong" and said in str(result)


def test_masks_are_drawn_where_they_differ() -> None:
    result = check(lambda x, y, z, **_: z > 0, "visible_mask")
    assert result.picture is not None and result.picture.startswith(b"\x89PNG")
    assert "pixels differ" in str(result) and "<img" in result._repr_html_() and "alt=" in result._repr_html_()


def test_a_student_who_writes_into_the_inputs_harms_nobody() -> None:
    def student(label_now: Tensor, label_warped: Tensor, visible: Tensor) -> float:
        answer = temporal_agreement(label_now, label_warped, visible)
        label_now.zero_()
        return answer

    assert check(student, "temporal_agreement").status == "correct"


def test_numpy_and_plain_numbers_are_fine() -> None:
    import numpy as np

    def student(label_now: Tensor, label_warped: Tensor, visible: Tensor) -> Any:
        return np.float32(temporal_agreement(label_now, label_warped, visible))

    assert check(student, "temporal_agreement").status == "correct"


def test_the_same_seed_asks_the_same() -> None:
    first, second = (str(check(lambda **_: 0.123, "temporal_agreement", seed=5)) for _ in range(2))
    other = str(check(lambda **_: 0.123, "temporal_agreement", seed=6))
    assert first == second != other


def test_an_unknown_exercise_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="mean_iou"):
        check(lambda: None, "median_iou")
