"""Transform invariance: what a net says of a moved image should be what it said of the image, moved alike."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_map
from stc_lab.geometry.precision import working_dtype
from stc_lab.geometry.reproject import inside, pixel_grid
from stc_lab.geometry.sampling import sample_at
from stc_lab.losses.consistency import Gradient, expect_gradient


@dataclass(frozen=True)
class AffineRanges:
    """How far a random transform goes, each drawn evenly and on its own; ours are as small as what lies between frames.

    Azulay et al. 2021 say no more than "a random affine transformation".
    """

    rotation: float = math.radians(1.0)  # rad, either way, about the image's centre
    translation: float = 2.0  # px, either way, along x and along y
    zoom: float = 0.03  # largest change of size: a factor from 1 - zoom to 1 + zoom
    shear: float = math.radians(1.0)  # rad, either way: the columns lean by it

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= getattr(self, field.name) < math.inf:
                raise InputError(f"{field.name} must be 0 or more, got {getattr(self, field.name)}")
        if not (self.zoom < 1 and self.rotation <= math.pi and self.shear < math.pi / 2):
            raise InputError(
                f"zoom must be below 1, rotation at most pi and shear below pi / 2, got {self.zoom}, {self.rotation} "
                f"and {self.shear}",
                hint="angles are in radians",
            )


@dataclass(frozen=True)
class Invariance:
    """How far a net is from following a transform."""

    total: Float[Tensor, ""]  # mean over the images of their norms
    norms: Float[Tensor, " b"]  # of each image, without gradient
    support: Int64[Tensor, " b"]  # pixels inside the frame after the transform
    map: Float[Tensor, "b h w"]  # without gradient: |f(A(x)) - A(f(x))|_2 over the classes at each pixel; 0 in corners


def random_affine(
    count: int,
    height: int,
    width: int,
    ranges: AffineRanges = AffineRanges(),
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "b 2 3"]:
    """Random maps of a transformed image's pixels (x, y, 1) to those of the image, about its centre, on the CPU."""
    draws = 2 * torch.rand(count, 5, generator=generator, dtype=torch.float64) - 1
    limits = (ranges.rotation, ranges.zoom, ranges.shear, ranges.translation, ranges.translation)
    angle, zoom, shear, shift_x, shift_y = (draws * torch.tensor(limits, dtype=torch.float64)).unbind(dim=1)
    cos, sin, lean, size = angle.cos(), angle.sin(), shear.tan(), 1 + zoom
    linear = torch.stack([cos, cos * lean - sin, sin, sin * lean + cos], dim=1).reshape(count, 2, 2)
    linear = linear / size[:, None, None]  # a map to the source: what is to look larger is read from closer together
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
    offset = centre + torch.stack([shift_x, shift_y], dim=1) - linear @ centre
    return torch.cat([linear, offset[:, :, None]], dim=2).to(dtype)


def apply_affine(
    image: Float[Tensor, "b c h w"], affine: Float[Tensor, "b 2 3"]
) -> tuple[Float[Tensor, "b c h w"], Bool[Tensor, "b h w"]]:
    """A(x): the image read bilinearly at the affine map of each pixel, and which pixels were inside it.

    Outside, its border goes on. Images and logits of one size share one grid.
    """
    grid = pixel_grid(image.new_zeros(1, 1, *image.shape[-2:], dtype=working_dtype(image)))
    affine = affine.to(grid.device, grid.dtype)
    linear, offset = affine[:, :, :2], affine[:, :, 2]
    pixels = (linear[:, :, :, None, None] * grid[:, None]).sum(dim=2) + offset[:, :, None, None]
    return sample_at(image, pixels), inside(pixels, *image.shape[-2:])


def transform_invariance(
    f: Callable[[Tensor], Tensor],
    images: Float[Tensor, "b c h w"],
    *,
    generator: torch.Generator,
    ranges: AffineRanges = AffineRanges(),
    outputs: Float[Tensor, "b k h w"] | None = None,
    gradient: Gradient = "both",
    normalise: Literal["pixels"] | None = None,
) -> Invariance:
    """||f(A(x)) - A(f(x))||_2 (Eilertsen et al. 2019; Azulay et al. 2021, Eq. 1), the mean over a batch of images.

    The norm, not its square, is over the classes and pixels of an image, so that it grows with both;
    `normalise="pixels"` divides it by the square root of the pixels that count. A differs from image to image, and its
    empty corners do not count; f itself sees the image's border go on there. `outputs` saves computing f(x) again.
    `gradient` says which side learns: "warped" A(f(x)), "target" f(A(x)).

    Raises InputError if f gives another size than the images', or if a transform leaves no pixel inside.
    """
    expect_gradient(gradient)
    expect_map("images", images)
    if normalise not in (None, "pixels"):
        raise InputError(f"normalise must be None or 'pixels', got {normalise!r}")
    b, _, h, w = images.shape
    affine = random_affine(b, h, w, ranges, generator=generator, dtype=torch.float64)
    moved, seen = apply_affine(images, affine)
    if not bool(seen.flatten(1).any(dim=1).all()):
        raise InputError(
            "no usable pixel: a transform moved an image out of its frame",
            hint=f"ranges too wide for images of {h} x {w} px: {ranges}",
        )
    said = _output(f, moved, images)
    outputs = _output(f, images, images) if outputs is None else outputs
    if outputs.shape != said.shape:
        raise InputError(f"outputs must be {list(said.shape)}, what f gives, got {list(outputs.shape)}")
    dtype = working_dtype(said, outputs)
    propagated, _ = apply_affine(outputs.to(dtype), affine)
    propagated = propagated.detach() if gradient == "target" else propagated
    said = (said.detach() if gradient == "warped" else said).to(dtype)
    difference = torch.where(seen[:, None], said - propagated, 0)
    support = seen.flatten(1).sum(dim=1)
    norms = torch.linalg.vector_norm(difference.flatten(1), dim=1)
    if normalise == "pixels":
        norms = norms / support.to(dtype).sqrt()
    drawn = torch.linalg.vector_norm(difference.detach(), dim=1)
    return Invariance(norms.mean(), norms.detach(), support, drawn)


def _output(f: Callable[[Tensor], Tensor], images: Tensor, like: Tensor) -> Tensor:
    """What f says, checked to lie on the grid of the images."""
    said = f(images)
    if said.ndim != 4 or len(said) != len(like) or said.shape[-2:] != like.shape[-2:]:
        raise InputError(
            f"f must give [{len(like)}, k, {like.shape[-2]}, {like.shape[-1]}] for them, got {list(said.shape)}",
            hint="coarse logits: give the whole net, which brings them to the images' size",
        )
    return said
