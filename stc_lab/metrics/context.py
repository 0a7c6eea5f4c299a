"""Class-inclusive and class-exclusive context (He et al. 2021, section 1), and how much a net relies on the former."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError


@dataclass(frozen=True)
class ClassContext:
    """Means over the window around each pixel; 0 at pixels without a label."""

    inclusive: Float[Tensor, "b c h w"]  # over the pixels of all classes
    exclusive: Float[Tensor, "b c h w"]  # over those of the pixel's own class
    share: Float[Tensor, "b h w"]  # of the window that the own class takes


@dataclass(frozen=True)
class ContextReliance:
    """What happens to the prediction on a class when everything else is replaced."""

    value: float  # share of the pixels whose prediction stays, over all classes tried
    support: int  # pixels tried
    classes: Int64[Tensor, " n"]
    kept: Float[Tensor, " n"]  # share of each class's pixels whose prediction stays; NaN: no pixel
    map: Float[Tensor, "b h w"]  # 1 stays, 0 changes, NaN not tried


def class_context(
    values: Float[Tensor, "b c h w"], labels: Int64[Tensor, "b h w"], radius: int, *, ignore_index: int = 255
) -> ClassContext:
    """Average `values` (colours, features) over the window of 2 radius + 1 px around each pixel, two ways.

    Class-inclusive context is what all pixels around tell, class-exclusive what those of the same class tell. He et al.
    want predictions to follow the latter, which stays when the surroundings change. They give no formula: this is the
    plainest statistic that fits their words. The pixel itself is in both; unlabelled pixels and what lies outside the
    image are in neither.
    """
    if radius < 1:
        raise InputError(f"radius must be at least 1 px, got {radius}")
    if values.ndim != 4 or labels.shape != (len(values), *values.shape[2:]):
        raise InputError(
            f"values must be [b, c, h, w] and labels [b, h, w], got {list(values.shape)} and {list(labels.shape)}",
            hint="labels of the full image beside coarse features: labels_on_grid(labels, features.shape[-2:])",
        )
    values = values.detach()
    values = values if values.dtype == torch.float64 else values.float()
    known = (labels != ignore_index)[:, None]
    inclusive, surrounding = _window_mean(values, known, radius)
    exclusive, share = torch.zeros_like(inclusive), torch.zeros_like(surrounding)
    for class_id in torch.unique(labels[labels != ignore_index]).tolist():
        of_class = (labels == class_id)[:, None]
        mean, count = _window_mean(values, of_class, radius)
        exclusive = torch.where(of_class, mean, exclusive)
        share = torch.where(of_class, count / surrounding.clamp(min=1), share)
    return ClassContext(inclusive * known, exclusive, share[:, 0])


def _window_mean(values: Tensor, counted: Bool[Tensor, "b 1 h w"], radius: int) -> tuple[Tensor, Tensor]:
    """Mean over the counted pixels of each window, 0 where there is none, and how many they are."""
    masked = torch.where(counted, values, torch.zeros_like(values))
    both = torch.cat([masked, counted.to(values.dtype)], dim=1)
    size = 2 * radius + 1
    columns = F.avg_pool2d(both, (size, 1), stride=1, padding=(radius, 0), divisor_override=1)
    sums = F.avg_pool2d(columns, (1, size), stride=1, padding=(0, radius), divisor_override=1)
    count = sums[:, -1:].round()
    return sums[:, :-1] / count.clamp(min=1), count


def context_reliance(
    predict: Callable[[Float[Tensor, "b 3 h w"]], Int64[Tensor, "b h w"]],
    images: Float[Tensor, "b 3 h w"],
    labels: Int64[Tensor, "b h w"],
    filler: Float[Tensor, "b 3 h w"],
    *,
    classes: Sequence[int] | None = None,
    ignore_index: int = 255,
) -> ContextReliance:
    """Replace all but one class of the images by `filler`, and see on how many of its pixels the prediction stays.

    A net that goes by the class-exclusive context alone keeps its prediction; one that goes by the surroundings does
    not (the paper's Figure 1, a printer whose surroundings change, as an experiment). It need not be right: a net that
    predicts the same everywhere keeps everything, so read this beside its accuracy. `filler` are other images, or one
    colour; either makes new edges along the class, which also count. `classes` are by default all that occur.

    Raises InputError if no pixel of the classes exists.
    """
    if images.shape != filler.shape or labels.shape != (len(images), *images.shape[2:]):
        raise InputError(
            "images and filler must be [b, 3, h, w] and labels [b, h, w] of one size, "
            f"got {list(images.shape)}, {list(filler.shape)} and {list(labels.shape)}"
        )
    ids = torch.unique(labels[labels != ignore_index]).tolist() if classes is None else list(classes)
    stays = torch.full(labels.shape, torch.nan, device=images.device)
    kept = []
    with torch.no_grad():
        before = predict(images)
        for class_id in ids:
            here = labels == class_id
            after = predict(torch.where(here[:, None], images, filler)) if bool(here.any()) else before
            stays[here] = (after == before)[here].float()
            kept.append(float(stays[here].mean()))
    tried = ~stays.isnan()
    if not bool(tried.any()):
        raise InputError(f"no pixel to try: labels hold none of the classes {ids}")
    return ContextReliance(
        float(stays[tried].double().mean()), int(tried.sum()), torch.tensor(ids), torch.tensor(kept), stays
    )
