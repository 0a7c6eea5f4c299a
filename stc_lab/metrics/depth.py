"""Depth against its truth: the seven measures of Eigen et al. 2014 as means over images, and references to beat."""

import math
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike, expect_map

MEASURES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")
LOW, HIGH = 1e-3, 80.0  # m
_GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)  # of the height, top and bottom; of the width, left and right


@dataclass(frozen=True)
class DepthScores:
    """The Eigen set, each measure the mean over images of its mean over an image's usable pixels; and what it rests on.

    What holds the images one by one, and the map, is None where images were counted as they came (`DepthScorer`).
    """

    abs_rel: float  # |predicted - true| / true
    sq_rel: float  # (predicted - true)^2 / true, m
    rmse: float  # root of the mean squared error of an image, m
    rmse_log: float  # the same of natural logarithms
    a1: float  # share of the pixels that are off by less than a factor of 1.25
    a2: float  # of 1.25^2
    a3: float  # of 1.25^3
    images: int  # with a usable pixel: the measures are their means
    skipped: int  # images without one
    support: int  # usable pixels of all images
    scale: float  # what the predictions were multiplied by: geometric mean over the images; 1 without median scaling
    scale_spread: float  # standard deviation of its logarithm: 0 if the predictions of all images have one unit
    per_image: dict[str, Float64[Tensor, " b"]] | None = None  # by measure; NaN: skipped
    scales: Float64[Tensor, " b"] | None = None  # NaN: skipped
    map: Float64[Tensor, "b h w"] | None = None  # |predicted - true| / true at each pixel; NaN: not usable

    @property
    def values(self) -> dict[str, float]:
        """The seven measures by name, in their usual order."""
        return {name: getattr(self, name) for name in MEASURES}


def depth_scores(
    predicted: Float[Tensor, "b 1 h_p w_p"],
    truth: Float[Tensor, "b 1 h w"],
    *,
    median_scaling: bool = True,
    low: float = LOW,
    high: float = HIGH,
    usable: Bool[Tensor, "#b h w"] | None = None,
    lower_median: bool = False,
) -> DepthScores:
    """The measures of some images and their means (Eigen et al. 2014, section 4.2, as monodepth2 evaluates them).

    Usable is a pixel whose truth is known and lies strictly between `low` and `high` (m), where `usable` is True. With
    `median_scaling` each prediction is multiplied by the ratio of the medians of truth and prediction over the usable
    pixels (Zhou et al. 2017), and only then clipped to `low`..`high`. The median of an even count is the mean of the
    two middle values, as NumPy has it; `lower_median` takes the lower one, as torch does. The thresholds are strict.
    Everything is computed in float64.

    A prediction of another size is brought to the truth's as disparity, 1 / depth, bilinearly (`align_corners=False`).
    Images without a usable pixel are skipped and counted; they do not count as 0.

    Raises InputError if no image has a usable pixel, or if a prediction is not finite and positive where it counts.
    """
    scorer = DepthScorer(median_scaling, low, high, lower_median)
    images = scorer._measured(predicted, truth, usable)
    scorer._add(images)
    per_image = dict(zip(MEASURES, images.measures.unbind(dim=1), strict=True))
    return replace(scorer.results(), per_image=per_image, scales=images.scales, map=images.map)


@dataclass
class DepthScorer:
    """`depth_scores` of as many images as one likes: `update` adds some, `results` reads the means off.

    Holds sums alone, in a memory that does not grow. Scorers of the same rules add up: `a + b` is that of both sets.
    """

    median_scaling: bool = True
    low: float = LOW  # m
    high: float = HIGH  # m
    lower_median: bool = False
    images: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)
    support: int = field(default=0, init=False)
    _sums: list[float] = field(default_factory=lambda: [0.0] * (len(MEASURES) + 2), init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise InputError(f"depth is clipped to a range with 0 < low < high, got {self.low:g}..{self.high:g} m")

    def update(
        self,
        predicted: Float[Tensor, "b 1 h_p w_p"],
        truth: Float[Tensor, "b 1 h w"],
        usable: Bool[Tensor, "#b h w"] | None = None,
    ) -> None:
        """Count some images, by the rules of `depth_scores`."""
        self._add(self._measured(predicted, truth, usable))

    def __add__(self, other: "DepthScorer") -> "DepthScorer":
        rules, theirs = (
            {name: getattr(one, name) for name in ("median_scaling", "low", "high", "lower_median")}
            for one in (self, other)
        )
        if rules != theirs:
            raise InputError(f"scorers of the same rules add up, got {rules} and {theirs}")
        both = DepthScorer(**rules)
        both.images, both.skipped = self.images + other.images, self.skipped + other.skipped
        both.support = self.support + other.support
        both._sums = [a + b for a, b in zip(self._sums, other._sums, strict=True)]
        return both

    def results(self) -> DepthScores:
        """Means over all images so far. Raises InputError if none of them had a usable pixel."""
        if self.images == 0:
            raise InputError(
                f"no usable pixel in any of {self.skipped} images: the truth is known nowhere between {self.low:g} and "
                f"{self.high:g} m",
                hint="a truth in millimetres, a mask that is False all over, or update() never called",
            )
        abs_rel, sq_rel, rmse, rmse_log, a1, a2, a3, log_scale, squared = (sum_ / self.images for sum_ in self._sums)
        return DepthScores(
            abs_rel,
            sq_rel,
            rmse,
            rmse_log,
            a1,
            a2,
            a3,
            images=self.images,
            skipped=self.skipped,
            support=self.support,
            scale=math.exp(log_scale),
            scale_spread=math.sqrt(max(0.0, squared - log_scale**2)),
        )

    def _add(self, images: "_Images") -> None:
        counted = images.support > 0
        log_scales = images.scales[counted].log()
        sums = [*images.measures[counted].sum(dim=0).tolist(), float(log_scales.sum()), float((log_scales**2).sum())]
        self._sums = [a + b for a, b in zip(self._sums, sums, strict=True)]
        self.images += int(counted.sum())
        self.skipped += int((~counted).sum())
        self.support += int(images.support.sum())

    @torch.no_grad()
    def _measured(self, predicted: Tensor, truth: Tensor, usable: Tensor | None) -> "_Images":
        true = _truth(truth)
        seen = _usable(true, usable, self.low, self.high)
        support = seen.sum(dim=(1, 2))
        said = _at_size("predicted", predicted, truth)
        _expect_positive(said[seen])
        scales = torch.where(support > 0, 1.0, torch.nan).double()
        if self.median_scaling:
            scales = _median(true, seen, self.lower_median) / _median(said, seen, self.lower_median)
        said = (said * scales[:, None, None]).clamp(self.low, self.high)
        true, said = torch.where(seen, true, 1.0), torch.where(seen, said, 1.0)  # pixels that do not count add 0
        relative = (said - true).abs() / true
        factor = torch.maximum(said / true, true / said)
        sums = (
            relative,
            (said - true) ** 2 / true,
            (said - true) ** 2,
            (said.log() - true.log()) ** 2,
            *(((factor < 1.25**power) & seen).double() for power in (1, 2, 3)),
        )
        means = torch.stack([one.sum(dim=(1, 2)) / support for one in sums], dim=1)  # 0 / 0 = NaN: skipped
        means[:, 2:4] = means[:, 2:4].sqrt()
        return _Images(means, scales, support, relative.masked_fill(~seen, torch.nan))


@dataclass(frozen=True)
class _Images:
    """What is measured of some images, one by one; NaN where an image has no usable pixel."""

    measures: Float64[Tensor, "b 7"]
    scales: Float64[Tensor, " b"]
    support: Int64[Tensor, " b"]
    map: Float64[Tensor, "b h w"]


def garg_crop(height: int, width: int, *, device: torch.device | str | None = None) -> Bool[Tensor, "1 h w"]:
    """The pixels that KITTI is usually judged on (Garg et al. 2016), as fractions of the image: a mask for `usable`."""
    top, bottom, left, right = (int(part * n) for part, n in zip(_GARG, (height, height, width, width), strict=True))
    mask = torch.zeros(1, height, width, dtype=torch.bool, device=device)
    mask[:, top:bottom, left:right] = True
    if not bool(mask.any()):
        raise InputError(f"nothing is left of {height} x {width} px by the crop of Garg et al.")
    return mask


@torch.no_grad()
def best_constant(
    truth: Float[Tensor, "b 1 h w"],
    *,
    median_scaling: bool = True,
    low: float = LOW,
    high: float = HIGH,
    usable: Bool[Tensor, "#b h w"] | None = None,
) -> Float[Tensor, "b 1 h w"]:
    """The best that one number for each image can do: the least a depth net must beat. It knows the truth.

    Median scaling turns every constant into the median of the image's usable depth, so that is the best constant, and
    the only one. Without it (`median_scaling=False`) the constant of the least abs_rel is drawn: the median of the
    usable depth with weights 1 / depth, which is nearer; score it without median scaling as well. An image without a
    usable pixel gets 1 m, and its score is skipped.
    """
    true = _truth(truth)
    seen = _usable(true, usable, low, high)
    if median_scaling:
        constant = _median(true, seen, lower=False)
    else:
        depth = torch.where(seen, true, torch.inf).flatten(1).sort(dim=1).values
        weight = (1 / depth).cumsum(dim=1)  # 1 / inf = 0
        constant = depth.gather(1, (weight < weight[:, -1:] / 2).sum(dim=1, keepdim=True))[:, 0]
    constant = torch.where(seen.any(dim=2).any(dim=1), constant, 1.0)
    return constant[:, None, None, None].to(truth.dtype).expand(truth.shape).contiguous()


@torch.no_grad()
def row_mean(training: Float[Tensor, "b 1 h w"], *, low: float = LOW, high: float = HIGH) -> Float[Tensor, "1 1 h w"]:
    """The mean depth of each row over training images: what can be said without a look at the image.

    A row whose depth is never known takes the mean of the nearest row where it is (of the upper one of two).
    """
    true = _truth(training)
    seen = _usable(true, None, low, high)
    count = seen.sum(dim=(0, 2))
    known = count.nonzero()[:, 0]
    if len(known) == 0:
        raise InputError(
            f"the row means need a training depth between {low:g} and {high:g} m somewhere, got none",
            hint="a truth in millimetres, or maps of unknown depth (0)",
        )
    means = torch.where(seen, true, 0.0).sum(dim=(0, 2)) / count
    rows = torch.arange(len(count), device=count.device)
    nearest = known[(rows[:, None] - known).abs().argmin(dim=1)]
    return means[nearest].to(training.dtype)[None, None, :, None].expand(1, 1, *training.shape[2:]).contiguous()


def _truth(truth: Tensor) -> Float64[Tensor, "b h w"]:
    expect_map("truth", truth, channels=1)
    return truth.detach()[:, 0].double()


def _usable(true: Float64[Tensor, "b h w"], usable: Tensor | None, low: float, high: float) -> Bool[Tensor, "b h w"]:
    """Where the truth is known (a comparison with NaN is False) and in range, and the caller wants it."""
    in_range = (true > low) & (true < high)
    if usable is None:
        return in_range
    fits = usable.ndim == 3 and usable.shape[1:] == true.shape[1:] and len(usable) in (1, len(true))
    if usable.dtype != torch.bool or not fits:
        raise InputError(
            f"usable must be bool {list(true.shape)}, or one mask for all images, got {usable.dtype} "
            f"{list(usable.shape)}",
            hint="a mask with a channel axis: mask[:, 0]; or one of the size of the prediction: the truth's counts",
        )
    if usable.device != true.device:
        raise InputError(f"usable and truth must lie on one device, got {usable.device} and {true.device}")
    return in_range & usable


def _at_size(name: str, predicted: Tensor, truth: Tensor) -> Float64[Tensor, "b h w"]:
    """The prediction on the truth's pixels; of another size, its disparity is what is interpolated."""
    expect_map(name, predicted, channels=1)
    expect_alike(name, predicted, "truth", truth)
    depth = predicted.detach().double()
    if depth.shape == truth.shape:
        return depth[:, 0]
    _expect_positive(depth)  # every pixel has a part in its neighbours
    return 1 / F.interpolate(1 / depth, size=truth.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def _expect_positive(depth: Tensor) -> None:
    wrong = ~(torch.isfinite(depth) & (depth > 0))
    if bool(wrong.any()):
        raise InputError(
            f"predicted depth must be finite and positive where it counts; of {wrong.numel()} values "
            f"{int(wrong.sum())} are not",
            hint="a net that diverged, disparity given for depth with zeros in it, or holes: say so with usable=",
        )


def _median(values: Float64[Tensor, "b h w"], seen: Bool[Tensor, "b h w"], lower: bool) -> Float64[Tensor, " b"]:
    """Median over the seen pixels of each image: of an even count the mean of the two middle values, or the lower."""
    counted = torch.where(seen, values, torch.nan).flatten(1)
    below = counted.nanmedian(dim=1).values  # the lower of the two
    return below if lower else (below - (-counted).nanmedian(dim=1).values) / 2
