"""The exercises of chapter 03: the photometric error, the auto-mask, and a score that knows no unit."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stc_lab.labs.exercise import Case, Exercise
from stc_lab.losses import auto_mask, photometric_error
from stc_lab.metrics import depth_scores


def _photometric_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, warped: Tensor, target: Tensor, hint: str) -> Case:
        error = photometric_error(warped[None], target[None])[0]
        return Case(title, {"warped": warped, "target": target}, error, hint)

    def image(*size: int) -> Tensor:  # in float64: mean of squares - square of the mean loses half of the digits
        return torch.rand(3, *size, generator=generator, dtype=torch.float64)

    texture = image(6, 8)
    yield case("two equal images", texture, texture.clone(), "SSIM is 1 there, and its loss (1 - SSIM) / 2 is 0")
    grey, darker = (torch.full((3, 6, 8), value, dtype=torch.float64) for value in (0.6, 0.4))
    yield case(
        "two plain greys",
        grey,
        darker,
        "no structure: variances are 0, and C1, C2 keep SSIM finite; 0.85 (1 - SSIM) / 2 + 0.15 |difference|",
    )
    yield case(
        "textures, the inner pixels and the border",
        texture,
        image(6, 8),
        "means over 3x3 windows: F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode='reflect'), 3, stride=1)",
    )
    marked = grey.clone()
    marked[0, 2, 3] = 1.0
    yield case("one channel of one pixel differs", grey, marked, "both parts are means over the three channels")
    yield case("a whole image", image(24, 32), image(24, 32), "variance = mean of squares - square of the mean")


def _auto_mask_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, warped: Tensor, still: Tensor, hint: str) -> Case:
        inputs = {"errors_warped": warped, "errors_still": still}
        return Case(title, inputs, auto_mask(warped[None], still[None])[0], hint)

    def errors(*size: int) -> Tensor:
        return 0.05 + 0.4 * torch.rand(*size, generator=generator)

    one = errors(1, 3, 4)
    yield case("one source, warping halves every error", 0.5 * one, one, "keep a pixel where warping beats not warping")
    worse = torch.where(torch.arange(4) < 2, 2.0, 0.5) * one
    yield case("warping is worse in the left half", worse, one, "compare pixel by pixel, and return True for kept")
    yield case("a camera that stands still", one, one.clone(), "equal is not better: nothing can be learned there")
    crossed = torch.tensor([[[0.1, 0.4]], [[0.4, 0.1]]]), torch.tensor([[[0.3, 0.05]], [[0.2, 0.3]]])
    yield case("two sources", *crossed, "the least warped error of any source against the least unwarped of any")
    yield case("a whole image, three sources", errors(3, 12, 16), errors(3, 12, 16), "minimum over dim 0, then <")


def _scale_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, predicted: Tensor, true: Tensor, hint: str) -> Case:
        value = depth_scores(predicted[None, None], true[None, None]).abs_rel
        return Case(title, {"predicted": predicted, "true": true}, value, hint)

    def depth(*size: int) -> Tensor:
        return 1 + 3 * torch.rand(*size, generator=generator)

    true = depth(3, 5)
    yield case("right but for the unit", 0.37 * true, true, "multiply by the median of true / the median of predicted")
    wrong = depth(3, 5)
    yield case("wrong depths", wrong, true, "then the mean of |predicted - true| / true")
    yield case("the same, in another unit", 100 * wrong, true, "the answer must not change with the unit")
    far = true.clone()
    far[0, 0] = 40.0
    yield case("one thing is far away", wrong, far, "the ratio of the MEDIANS: one far pixel moves a mean")
    large = depth(11, 15)
    holes = depth(11, 15)
    holes[torch.rand(11, 15, generator=generator) < 0.35] = 0
    yield case("where the truth is 0 it is unknown", large, holes, "both medians and the mean over KNOWN pixels only")


_PHOTOMETRIC = (
    "The photometric error of monodepth2 at each pixel: photometric_loss(warped, target) -> [h, w]; images [3, h, w] "
    "in [0, 1]. 0.85 (1 - SSIM) / 2 + 0.15 |warped - target|, both as means over the channels. SSIM over 3x3 pixels, "
    "all alike, the border mirrored, C1 = 0.01^2, C2 = 0.03^2."
)
_AUTO = (
    "Which pixels the auto-mask keeps: keep_moving(errors_warped, errors_still) -> bool [h, w]; errors [s, h, w] of s "
    "sources, warped and unwarped. Kept: the best warped source explains the pixel strictly better than the best "
    "unwarped one."
)
_SCALE = (
    "abs_rel of a depth without a unit: scaled_abs_rel(predicted, true) -> number; depths [h, w], true 0 = unknown. "
    "Scale by the ratio of the medians, then the mean of |predicted - true| / true, all over the known pixels."
)

DEPTH_EXERCISES = (
    Exercise("photometric_loss", "03_self_supervised_depth", _PHOTOMETRIC, _photometric_cases),
    Exercise("keep_moving", "03_self_supervised_depth", _AUTO, _auto_mask_cases),
    Exercise("scaled_abs_rel", "03_self_supervised_depth", _SCALE, _scale_cases),
)
