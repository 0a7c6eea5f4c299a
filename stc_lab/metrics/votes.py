"""Labels smoothed over time: the frames around each one vote, weighted by a Gaussian."""

import math

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_labels
from stc_lab.geometry.compiled import compilable
from stc_lab.geometry.threads import divided, run_jobs, threads_for

TRUNCATE = 4.0  # standard deviations, as SciPy's
_TIE = 1e-9  # votes are sums of the same weights in another order
_VOTES_AT_ONCE = 4_000_000
_MANY_IDS = 4096  # a table of votes larger than this leaves the cache


def vote_over_time(
    labels: Int64[Tensor, "t h w"], sigma: float, *, ignore_index: int = 255, truncate: float = TRUNCATE
) -> Int64[Tensor, "t h w"]:
    """G_sigma of Azulay et al. 2021, Section 3: each class's map smoothed over time, the largest at each pixel wins.

    The same as SciPy's `gaussian_filter1d` of the one-hot maps along time and argmax: `sigma` in frames, cut off at
    `truncate` of it, the clip mirrored at its ends with the end frame doubled. Of classes with equal votes the lowest
    wins. `ignore_index` has no vote and stays. `sigma=0` changes nothing. Frames that see no change cost little.
    """
    return _voted(labels, sigma, ignore_index, truncate)[0]


def distance_over_time(
    labels: Int64[Tensor, "t h w"], sigma: float, *, ignore_index: int = 255, truncate: float = TRUNCATE
) -> Float32[Tensor, "t h w"]:
    """Half the squared distance between a pixel's one-hot label and the same smoothed over time, as `vote_over_time`.

    Of two classes, it is the squared difference of the binary mask and the smoothed mask. Where neighbours in time are
    to be ignored, the shares of the others are scaled up; where the pixel itself is, it is 0.
    """
    return _voted(labels, sigma, ignore_index, truncate)[1]


def _voted(labels: Tensor, sigma: float, ignore: int, truncate: float) -> tuple[Tensor, Tensor]:
    expect_labels("labels", labels)
    if not (0 <= sigma < math.inf and 0 < truncate < math.inf):
        raise InputError(
            f"sigma must not be negative and truncate be positive, got {sigma} and {truncate}",
            hint="sigma is in frames: seconds times the frame rate",
        )
    weights = _weights(len(labels), sigma, truncate).to(labels.device)
    vote = _vote if compilable(labels) else _vote_plain
    elected, distance = vote(labels.flatten(1), weights, ignore)
    return elected.view_as(labels), distance.view_as(labels)


def _vote(labels: Tensor, weights: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    from stc_lab.metrics.kernels import elect_over_time

    low, high = labels.aminmax()
    if int(low) < 0 or int(high) >= _MANY_IDS:
        ids, compact = labels.unique(return_inverse=True)
        if len(ids) >= _MANY_IDS:
            return _vote_plain(labels, weights, ignore)
        at = (ids == ignore).nonzero()
        elected, distance = _vote(compact, weights, int(at) if len(at) else len(ids))
        return ids[elected], distance
    voting = weights > 0
    frames = len(weights)
    ranges = torch.stack([voting.int().argmax(dim=1), frames - voting.flip(1).int().argmax(dim=1)], dim=1)
    until = torch.cat([weights.new_zeros(frames, 1), weights.cumsum(dim=1)], dim=1)
    elected, distance = labels.clone(), torch.zeros(labels.shape)
    arrays = [value.contiguous().numpy() for value in (labels, until, ranges)]
    threads = threads_for(labels.numel())
    work, results = divided(1, labels.shape[1], threads), (elected.numpy(), distance.numpy())
    run_jobs(lambda part: elect_over_time(part, *arrays, int(high) + 1, ignore, _TIE, *results), work, threads)
    return elected, distance


def _vote_plain(labels: Tensor, weights: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    changing = (labels != labels[0]).any(dim=0).nonzero()[:, 0]
    elected, distance = labels.clone(), torch.zeros(labels.shape, device=labels.device)
    for places in changing.split(max(1, _VOTES_AT_ONCE // len(labels))):
        own = labels[:, places]
        total = weights @ (own != ignore).double()
        most, away, winner = torch.zeros_like(total), torch.zeros_like(total), own.clone()
        for label in own.unique().tolist():  # from the lowest, which so keeps a tie
            if label != ignore:
                votes = weights @ (own == label).double()
                more = votes > most + _TIE
                most, winner = torch.where(more, votes, most), torch.where(more, label, winner)
                away += (votes / total - (own == label).double()) ** 2 / 2
        elected[:, places] = torch.where(own == ignore, own, winner)
        distance[:, places] = torch.where(own == ignore, 0, away).float()
    return elected, distance


def _weights(frames: int, sigma: float, truncate: float) -> Float64[Tensor, "t t"]:
    """Row t: the weight of each frame in frame t, the clip mirrored with its end frames doubled."""
    reach = int(truncate * sigma + 0.5)
    offset = torch.arange(-reach, reach + 1)
    weight = torch.exp(-0.5 * (offset.double() / (sigma or 1)) ** 2)
    place = (torch.arange(frames)[:, None] + offset) % (2 * frames)
    place = torch.minimum(place, 2 * frames - 1 - place)
    rows = torch.zeros(frames, frames, dtype=torch.float64)
    return rows.scatter_add_(1, place, (weight / weight.sum()).expand(frames, -1))
