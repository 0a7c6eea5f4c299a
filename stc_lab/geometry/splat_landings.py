"""Where thrown points land among a target's pixels, and which of them a pixel takes: the core of every splat."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

LEAST_SHARE = 1e-3  # a pixel that gets less in all counts as missed: dividing by it would blow up the gradient
COVERS = 0.25  # a point whose share of a pixel is this large hides what lies behind; its nearest pixel always gets it


@dataclass(frozen=True)
class Landings:
    """Points thrown at an image; each shares itself bilinearly among the four pixels around it.

    What is lost, outside the image or not real, has no share and lands in one more row, below the image. There it
    cannot spoil a pixel, whatever it holds. It is spread over that row, as additions to one address queue on a GPU.
    """

    place: Int64[Tensor, "b 4 n"]  # row * width + column
    share: Float[Tensor, "b 4 n"]  # in [0, 1]
    height: int
    width: int

    @property
    def bins(self) -> int:
        """Number of pixels, with the row of what is lost."""
        return (self.height + 1) * self.width

    def of_pixel(self, value: Float[Tensor, "b bins"]) -> Float[Tensor, "b 4 n"]:
        """A pixel's value, for each landing in it."""
        return value.gather(1, self.place.flatten(1)).reshape(self.place.shape)

    def image(self, value: Tensor) -> Tensor:
        """Bins [..., bins] as an image [..., h, w], without what is lost."""
        return value.unflatten(-1, (self.height + 1, self.width))[..., : self.height, :]


def land(pixels: Float[Tensor, "b 2 n"], real: Bool[Tensor, "b n"], height: int, width: int) -> Landings:
    """Land points at (x, y) px of an image of this size; those that are not `real` must still be finite."""
    x, y = pixels.unbind(dim=1)
    x, y = x.clamp(-2, width + 1), y.clamp(-2, height + 1)  # beyond, all is lost alike, and integers end somewhere
    left, top = x.detach().floor(), y.detach().floor()
    to_right, to_below = x - left, y - top  # the four shares add up to one, and so their derivatives to zero
    beside = height * width + torch.arange(x.shape[1], device=x.device) % width
    places, shares = [], []
    for row, share_y in ((top, 1 - to_below), (top + 1, to_below)):
        for column, share_x in ((left, 1 - to_right), (left + 1, to_right)):
            lands = real & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            share = share_x * share_y
            shares.append(torch.where(lands, share, torch.zeros_like(share)))
            places.append(torch.where(lands, row.long() * width + column.long(), beside))
    return Landings(torch.stack(places, dim=1), torch.stack(shares, dim=1), height, width)


def nearest_surface(landings: Landings, z: Float[Tensor, "b n"]) -> Float[Tensor, "b 4 n"]:
    """For each landing, the least z of the points that cover its pixel, or, if none does, that touch it; else infinite.

    Letting the slightest touch hide what lies behind would grow every foreground object by up to a pixel.
    """
    z, place = z.detach()[:, None].expand_as(landings.share), landings.place.flatten(1)
    far = torch.full_like(z, torch.inf)
    found = []
    for least in (COVERS, LEAST_SHARE):
        counted = torch.where(landings.share.detach() >= least, z, far).flatten(1)
        empty = z.new_full((len(z), landings.bins), torch.inf)
        found.append(empty.scatter_reduce(1, place, counted, reduce="amin"))
    return landings.of_pixel(torch.where(found[0].isfinite(), found[0], found[1]))


def softmax_weight(landings: Landings, importance: Float[Tensor, "b n"], sharpness: float) -> Float[Tensor, "b 4 n"]:
    """exp(sharpness importance) share, divided in each pixel by the largest such exponential there.

    The division cancels when a pixel is normalised and keeps any scale of importance from leaving the floating-point
    range. The largest is taken over the points with at least `LEAST_SHARE` of the pixel, and the others count as no
    more important than these: else a point that only just brushes a pixel would win it, with a gradient without bound.
    """
    value = importance[:, None].expand_as(landings.share)
    counted = torch.where(landings.share.detach() >= LEAST_SHARE, value, torch.full_like(value, -torch.inf))
    largest = value.new_full((len(value), landings.bins), -torch.inf)
    largest = largest.scatter_reduce(1, landings.place.flatten(1), counted.flatten(1), reduce="amax")
    below = (value - landings.of_pixel(largest)).clamp(max=0)
    return (sharpness * below).exp() * landings.share


def throw(
    values: Float[Tensor, "b c n"], landings: Landings, weight: Float[Tensor, "b 4 n"]
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b h w"]]:
    """Weighted sum of what lands in each pixel, and the sum of the weights.

    One corner of one item after the other: what is added to stays in the cache, and all products at once would need
    four times the memory of the values.
    """
    images = []
    for value, place, share in zip(values, landings.place, weight, strict=True):
        image = value.new_zeros(len(value), landings.bins)
        for corner in range(4):
            image.scatter_add_(1, place[corner].expand_as(value), value * share[corner])
        images.append(landings.image(image))
    total = weight.new_zeros(len(weight), landings.bins)
    total = total.scatter_add(1, landings.place.flatten(1), weight.flatten(1))
    return torch.stack(images), landings.image(total)


def nearest_point(
    pixels: Float[Tensor, "b 2 n"], z: Float[Tensor, "b n"], real: Bool[Tensor, "b n"], height: int, width: int
) -> Int64[Tensor, "b h w"]:
    """Number of the point of least z among those whose nearest pixel this is, the first of equals; n where none is."""
    n = z.shape[1]
    x, y = pixels.detach().round().unbind(dim=1)
    lands = real & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    number = torch.arange(n, device=z.device).expand_as(z)
    row, column = y.clamp(0, height - 1).long(), x.clamp(0, width - 1).long()
    place = torch.where(lands, row * width + column, height * width)
    least = z.new_full((len(z), height * width + 1), torch.inf)
    least = least.scatter_reduce(1, place, z.detach(), reduce="amin")
    wins = lands & (z.detach() == least.gather(1, place))
    first = number.new_full(least.shape, n)
    first = first.scatter_reduce(1, place, torch.where(wins, number, n), reduce="amin")
    return first[:, :-1].unflatten(1, (height, width))
