"""Whether the motions of a frame pair, there and back, undo each other (Gordon et al. 2019, and the code of 2021)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike, expect_map
from stc_lab.geometry.precision import product, working_dtype

_RATIO_EPS = 1e-24  # where nothing moves


@dataclass(frozen=True)
class MotionConsistency:
    """How far two motions are from undoing each other; the parts are not yet weighted."""

    total: Float[Tensor, ""]  # weighted sum of the parts: what to minimise
    rotation: Float[Tensor, ""]  # 0 when one undoes the other
    translation: Float[Tensor, ""]
    support: Int64[Tensor, ""]  # usable pixels


def motion_consistency(
    rotation_ba: Float[Tensor, "b 3 3"],
    translation_ba: Float[Tensor, "b 3 h w"],
    rotation_ab: Float[Tensor, "b 3 3"],
    translation_ab_warped: Float[Tensor, "b 3 h w"],
    usable: Bool[Tensor, "b h w"],
    *,
    translation_ab: Float[Tensor, "b 3 h w"] | None = None,
    rotation_weight: float = 1e-3,
    translation_weight: float = 1e-2,
    official: bool = False,
) -> MotionConsistency:
    """How far the motions a -> b and b -> a are from undoing each other, on a's grid (Gordon et al. 2019).

    X_b = R_ba X_a + t_ba, and back; t_ba is a field, the camera's translation plus that of objects, and
    `translation_ab_warped` is the field of the way back, sampled where a's pixels land in b (at detached places, as
    published). Rotation: |R_ba R_ab - 1|^2 / (|R_ba - 1|^2 + |R_ab - 1|^2). Translation, mean over `usable` (their
    `closer_mask`): |R_ba t_ab + t_ba|^2 / (|t_ba|^2 + |t_ab|^2). The denominators keep the motions from shrinking.

    The code of 2019 took |t_ab|^2 from the unwarped field, at a's own pixels, which is another point's: give it as
    `translation_ab` to have that form. `official=True` divides by all pixels. Two motions that are zero cost 0,
    and so does a translation where no pixel is usable (support 0). Raises InputError for shapes that do not fit.
    """
    _expect_motions(rotation_ba, translation_ba, rotation_ab, translation_ab_warped, usable)
    unwarped = translation_ab_warped if translation_ab is None else translation_ab
    if unwarped.shape != translation_ba.shape:
        raise InputError(
            f"translation_ab must be {list(translation_ba.shape)} like translation_ba, got {list(unwarped.shape)}"
        )
    dtype = working_dtype(translation_ba, rotation_ba)
    R_ba, R_ab = rotation_ba.to(dtype), rotation_ab.to(dtype)
    zero = torch.zeros((), dtype=dtype, device=R_ba.device)
    t_ba, t_ab, divisor = (
        torch.where(usable[:, None], t.to(dtype), zero) for t in (translation_ba, translation_ab_warped, unwarped)
    )
    one = torch.eye(3, dtype=dtype, device=R_ba.device)
    off, turn_ba, turn_ab = ((R - one).square().mean(dim=(1, 2)) for R in (product(R_ba, R_ab), R_ba, R_ab))
    rotation = (off / (turn_ba + turn_ab + _RATIO_EPS)).mean()
    rest = product(R_ba, t_ab.flatten(2)).unflatten(2, t_ab.shape[2:]) + t_ba
    error, length_ba, length_ab = (t.square().sum(dim=1) for t in (rest, t_ba, divisor))
    pixels = usable.numel() if official else usable.sum().clamp(min=1)
    translation = (error / (length_ba + length_ab + _RATIO_EPS)).sum() / pixels
    total = rotation_weight * rotation + translation_weight * translation
    return MotionConsistency(total, rotation, translation, usable.sum())


def _expect_motions(R_ba: Tensor, t_ba: Tensor, R_ab: Tensor, t_ab: Tensor, usable: Tensor) -> None:
    expect_map("translation_ba", t_ba, channels=3)
    b, _, height, width = t_ba.shape
    wanted = {
        "rotation_ba": (R_ba, (b, 3, 3)),
        "rotation_ab": (R_ab, (b, 3, 3)),
        "translation_ab_warped": (t_ab, (b, 3, height, width)),
        "usable": (usable, (b, height, width)),
    }
    for name, (value, shape) in wanted.items():
        if value.shape != shape:
            raise InputError(
                f"{name} must be {list(shape)} to go with translation_ba, got {list(value.shape)}",
                hint="a camera's translation is a field too: t[:, :, None, None].expand(b, 3, h, w)",
            )
    expect_alike("rotation_ba", R_ba, "translation_ba", t_ba)
    if usable.dtype != torch.bool:
        raise InputError(f"usable must be bool, got {usable.dtype}")
