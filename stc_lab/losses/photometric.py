"""Photometric error of a frame and its neighbours warped into it, and which pixels are asked (Godard et al. 2019).

Digging into self-supervised monocular depth estimation (monodepth2), section 3: the error pe of Eq. 1; Eq. 4, its
minimum over the sources; Eq. 5, the mask of what stands still.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.losses.images import expect_mask, expect_pair, expect_unit_range
from stc_lab.losses.ssim import dissimilarity, expect_windows

NOISE = 1e-5  # of monodepth2: it decides between errors that are equal


@dataclass(frozen=True)
class MinimumReprojection:
    """Eq. 4 and 5: at each pixel the error of the source that explains it best."""

    total: Float[Tensor, ""]  # what to minimise
    map: Float[Tensor, "b h w"]  # the error counted at each pixel; 0 where none is
    winner: Int64[Tensor, "b h w"]  # the source that explains the pixel best; -1 where none is counted
    usable: Bool[Tensor, "b h w"]  # some source sees the pixel
    moving: Bool[Tensor, "b h w"]  # a warped source explains the pixel better than every unwarped one
    support: Int64[Tensor, ""]  # usable and moving pixels


@dataclass(frozen=True)
class AverageReprojection:
    """The mean error of the sources at each pixel, as before Eq. 4."""

    total: Float[Tensor, ""]  # what to minimise
    map: Float[Tensor, "b h w"]  # the error counted at each pixel; 0 where none is
    usable: Bool[Tensor, "b h w"]  # some source sees the pixel
    moving: Bool[Tensor, "b h w"]  # on average the warped sources explain the pixel better than the unwarped ones
    support: Int64[Tensor, ""]  # usable and moving pixels


def photometric_error(
    warped: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"],
    *,
    ssim_share: float = 0.85,
    visible: Bool[Tensor, "b h w"] | None = None,
) -> Float[Tensor, "b h w"]:
    """The error pe of Eq. 1 at each pixel: ssim_share (1 - SSIM) / 2 + (1 - ssim_share) |warped - target|.

    Both are means over the channels, of images in [0, 1]. As published, a window of SSIM asks nobody whether its 3x3
    pixels are seen: beside an invisible pixel, what stands there (CONVENTIONS.md: it means nothing) enters the error,
    and gradients go there. With `visible`, windows are made of visible pixels only, the error is 0 at invisible ones,
    and no gradient goes to them. `whole_windows` is the stricter remedy: which pixels' windows are seen throughout.

    Differentiable once, in both images; computed in float32, or in float64 where the images are.
    Raises InputError for images of different shapes, outside [0, 1] (where visible), or smaller than a window.
    """
    expect_pair("warped", warped, "target", target)
    expect_windows("target", target)
    if not 0 <= ssim_share <= 1:
        raise InputError(f"ssim_share must lie in [0, 1], got {ssim_share}")
    if visible is not None:
        expect_mask("visible", visible, target)
        warped, target = (torch.where(visible[:, None], image, torch.zeros_like(image)) for image in (warped, target))
    expect_unit_range("warped", warped)
    expect_unit_range("target", target)
    c = target.shape[1]
    weight = None if visible is None else visible.to(torch.float32)
    error = dissimilarity(warped, target, weight=weight, shares=(ssim_share / c, (1 - ssim_share) / c))
    return error if visible is None else torch.where(visible, error, torch.zeros_like(error))


def whole_windows(visible: Bool[Tensor, "b h w"]) -> Bool[Tensor, "b h w"]:
    """The pixels whose whole 3x3 window is visible: where nothing unseen enters SSIM. The border counts as mirrored."""
    hidden = F.max_pool2d((~visible)[:, None].float(), kernel_size=3, stride=1, padding=1)
    return hidden[:, 0] == 0


def auto_mask(
    errors: Float[Tensor, "b s h w"],
    identity_errors: Float[Tensor, "b t h w"],
    usable: Bool[Tensor, "b s h w"] | None = None,
    *,
    generator: torch.Generator | None = None,
) -> Bool[Tensor, "b h w"]:
    """Eq. 5: the pixels that some warped source explains better than every unwarped one.

    False where nothing moves against the camera: a camera that stands still, an object as fast as the camera, a
    uniform surface. Equal errors are no better: a tie goes to the unwarped source, unless a `generator` breaks it, by
    which normal noise of 1e-5 is added to the identity errors, as monodepth2 always does (from its global state).
    Only errors of usable sources count. No gradient.
    """
    _expect_errors(errors, usable)
    _expect_identity(identity_errors, errors)
    with torch.no_grad():
        best = _ruled_out(errors, usable).amin(dim=1)
        return best < _with_noise(identity_errors, generator).amin(dim=1)


def minimum_reprojection(
    errors: Float[Tensor, "b s h w"],
    usable: Bool[Tensor, "b s h w"],
    *,
    identity_errors: Float[Tensor, "b s h w"] | None = None,
    generator: torch.Generator | None = None,
    official: bool = False,
) -> MinimumReprojection:
    """Mean over the pixels of the least error of any source that sees them (Eq. 4), where something moves (Eq. 5).

    `errors` are those of the warped sources, `usable` says where each of them is seen, `identity_errors` are those of
    the same sources unwarped. The mean is over the pixels that some source sees and that `auto_mask` (see there, also
    for `generator`) keeps; so masking more does not make the loss smaller. Without `identity_errors` all move.

    `official=True` is the value of monodepth2: it knows no visibility (`usable` is not looked at), and divides by all
    pixels, of which the masked ones add their least identity error to the value, noise included, though nothing to the
    gradient of the warped sources. So its value falls when masked pixels are easy, and says little across videos.

    Where all usable pixels are masked, as in a video that stands still, the total is 0 with support 0: nothing can be
    learned from it. Raises InputError if no pixel is usable.
    """
    _expect_errors(errors, usable)
    if official:
        usable = torch.ones_like(usable)
    least, winner = _ruled_out(errors, usable).min(dim=1)
    seen, noisy = _masks(usable, identity_errors, errors, generator)
    moving = torch.ones_like(seen) if noisy is None else least.detach() < noisy.detach().amin(dim=1)
    total, counted, support = _mean(least, seen, moving, noisy, official)
    return MinimumReprojection(total, counted, torch.where(seen & moving, winner, -1), seen, moving, support)


def average_reprojection(
    errors: Float[Tensor, "b s h w"],
    usable: Bool[Tensor, "b s h w"],
    *,
    identity_errors: Float[Tensor, "b s h w"] | None = None,
    generator: torch.Generator | None = None,
    official: bool = False,
) -> AverageReprojection:
    """Mean over the pixels of the mean error of the sources that see them: what Eq. 4 replaces (Zhou et al. 2017).

    Everything else as in `minimum_reprojection`. The identity errors are averaged too (over all sources) before they
    are compared, as by monodepth2's option avg_reprojection; `official=True` gives its value.
    """
    _expect_errors(errors, usable)
    if official:
        usable = torch.ones_like(usable)
    shown = torch.where(usable, errors, torch.zeros_like(errors))
    average = shown.sum(dim=1) / usable.sum(dim=1).clamp(min=1)
    seen, noisy = _masks(usable, identity_errors, errors, generator, average=True)
    moving = torch.ones_like(seen) if noisy is None else average.detach() < noisy.detach().amin(dim=1)
    total, counted, support = _mean(average, seen, moving, noisy, official)
    return AverageReprojection(total, counted, seen, moving, support)


def _masks(
    usable: Tensor, identity: Tensor | None, errors: Tensor, generator: torch.Generator | None, *, average: bool = False
) -> tuple[Bool[Tensor, "b h w"], Float[Tensor, "b t h w"] | None]:
    """The pixels that some source sees, and the identity errors that the others have to beat."""
    seen = usable.any(dim=1)
    if not bool(seen.any()):
        raise InputError(
            "no usable pixel: usable is False everywhere, so no source can be compared with the target",
            hint="the pose points the wrong way (the inverse of T_source_target), or the frames do not overlap",
        )
    if identity is None:
        return seen, None
    _expect_identity(identity, errors)
    return seen, _with_noise(identity.mean(dim=1, keepdim=True) if average else identity, generator)


def _mean(
    error: Tensor, seen: Tensor, moving: Tensor, noisy: Tensor | None, official: bool
) -> tuple[Tensor, Float[Tensor, "b h w"], Int64[Tensor, ""]]:
    """The loss, what each pixel adds to it, and how many pixels are asked."""
    asked = seen & moving
    support = asked.sum()
    if official:
        counted = error if noisy is None else torch.where(moving, error, noisy.amin(dim=1))
        return counted.mean(), counted, support
    counted = torch.where(asked, error, torch.zeros_like(error))
    return counted.sum() / support.clamp(min=1), counted, support


def _ruled_out(errors: Tensor, usable: Tensor | None) -> Tensor:
    """Errors, infinite where a source does not see the pixel, whatever stands there."""
    return errors if usable is None else torch.where(usable, errors, torch.full_like(errors, torch.inf))


def _with_noise(identity: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return identity
    noise = torch.randn(identity.shape, generator=generator, dtype=identity.dtype, device=identity.device)
    return identity + NOISE * noise


def _expect_errors(errors: Tensor, usable: Tensor | None) -> None:
    if errors.ndim != 4 or errors.numel() == 0:
        raise InputError(
            f"errors must be [b, s, h, w], got {list(errors.shape)}",
            hint="one source a target? add its axis, errors[:, None]" if errors.ndim == 3 else None,
        )
    if usable is not None and (usable.dtype != torch.bool or usable.shape != errors.shape):
        raise InputError(
            f"usable must be bool {list(errors.shape)} like the errors, got {usable.dtype} {list(usable.shape)}",
            hint="one mask for each source: the `visible` of its warp",
        )


def _expect_identity(identity: Tensor, errors: Tensor) -> None:
    same = identity.ndim == 4 and (len(identity), *identity.shape[2:]) == (len(errors), *errors.shape[2:])
    if not same or identity.shape[1] == 0:
        raise InputError(
            f"identity_errors must be [b, s, h, w] on the pixels of errors {list(errors.shape)}, "
            f"got {list(identity.shape)}"
        )
