"""Answers to the exercises on learning depth: right ones, and the usual mistakes with the case that catches each."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor


def _mean(x: Tensor, mode: str = "reflect") -> Tensor:
    return F.avg_pool2d(F.pad(x[None], (1, 1, 1, 1), mode=mode), 3, stride=1)[0]


def _ssim(a: Tensor, b: Tensor, mode: str = "reflect") -> Tensor:
    ma, mb = _mean(a, mode), _mean(b, mode)
    va, vb = _mean(a * a, mode) - ma**2, _mean(b * b, mode) - mb**2
    both = _mean(a * b, mode) - ma * mb
    return (2 * ma * mb + 1e-4) * (2 * both + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))


def _photometric(warped: Tensor, target: Tensor, ssim: Tensor) -> Tensor:
    return (0.85 * (1 - ssim) / 2 + 0.15 * (warped - target).abs()).mean(dim=0)


def photometric_loss(warped: Tensor, target: Tensor) -> Tensor:
    return _photometric(warped, target, _ssim(warped, target))


def keep_moving(errors_warped: Tensor, errors_still: Tensor) -> Tensor:
    return errors_warped.amin(dim=0) < errors_still.amin(dim=0)


def scaled_abs_rel(predicted: Tensor, true: Tensor) -> Tensor:
    known = true > 0
    predicted, true = predicted[known].double(), true[known].double()
    return (predicted * (true.quantile(0.5) / predicted.quantile(0.5)) - true).abs().div(true).mean()


def similarity_for_loss(warped: Tensor, target: Tensor) -> Tensor:
    return (0.85 * _ssim(warped, target) + 0.15 * (warped - target).abs()).mean(dim=0)


def l1_alone(warped: Tensor, target: Tensor) -> Tensor:
    return 0.15 * (warped - target).abs().mean(dim=0)


def border_repeated(warped: Tensor, target: Tensor) -> Tensor:
    return _photometric(warped, target, _ssim(warped, target, "replicate"))


def of_the_grey_image(warped: Tensor, target: Tensor) -> Tensor:
    return photometric_loss(*(image.mean(dim=0, keepdim=True) for image in (warped, target)))


def what_is_taken(errors_warped: Tensor, errors_still: Tensor) -> Tensor:
    return ~keep_moving(errors_warped, errors_still)


def ties_too(errors_warped: Tensor, errors_still: Tensor) -> Tensor:
    return errors_warped.amin(dim=0) <= errors_still.amin(dim=0)


def source_by_source(errors_warped: Tensor, errors_still: Tensor) -> Tensor:
    return (errors_warped < errors_still).any(dim=0)


def unscaled(predicted: Tensor, true: Tensor) -> Tensor:
    return ((predicted - true).abs() / true).mean()


def over_the_prediction(predicted: Tensor, true: Tensor) -> Tensor:
    scaled = predicted * (true.median() / predicted.median())
    return ((scaled - true).abs() / scaled).mean()


def by_the_mean(predicted: Tensor, true: Tensor) -> Tensor:
    known = true > 0
    predicted, true = predicted[known].double(), true[known].double()
    return (predicted * (true.mean() / predicted.mean()) - true).abs().div(true).mean()


def holes_in_the_median(predicted: Tensor, true: Tensor) -> Tensor:
    scaled = predicted * (true.median() / predicted.median())
    known = true > 0
    return ((scaled - true).abs()[known] / true[known]).mean()


RIGHT: list[Callable[..., Any]] = [photometric_loss, keep_moving, scaled_abs_rel]
WRONG: list[tuple[str, Callable[..., Any], str]] = [
    ("photometric_loss", similarity_for_loss, "two equal images"),
    ("photometric_loss", l1_alone, "two plain greys"),
    ("photometric_loss", border_repeated, "the border"),
    ("photometric_loss", of_the_grey_image, "textures"),
    ("keep_moving", what_is_taken, "halves every error"),
    ("keep_moving", ties_too, "stands still"),
    ("keep_moving", source_by_source, "two sources"),
    ("scaled_abs_rel", unscaled, "but for the unit"),
    ("scaled_abs_rel", over_the_prediction, "wrong depths"),
    ("scaled_abs_rel", by_the_mean, "wrong depths"),
    ("scaled_abs_rel", holes_in_the_median, "unknown"),
]
