"""Rank all pairs of frames by how much a model contradicts itself, worst first."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from stc_lab.data.cache import build_once, cache_root
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.digests import digest_of_model, digest_of_videos
from stc_lab.experiments.explored_frames import ExploredFrames, Model, explored
from stc_lab.experiments.pair_places import Geometry, Occlusion, default_occlusion, pair_places
from stc_lab.experiments.pair_view import WAYS, Way
from stc_lab.geometry import sample, sample_labels
from stc_lab.losses import LogitsConsistency
from stc_lab.models.store import read_safetensors, write_safetensors

_FORM = 1  # of what is kept; counted up when it changes
_FILE = "sums.safetensors"
_VALUES_AT_ONCE = 3_000_000  # logits of the pairs that are compared together


@dataclass(frozen=True)
class PairScore:
    """One pair of frames."""

    video: str
    earlier: int  # row
    later: int  # row
    gap: int  # frames
    value: float  # of the measure: higher is worse
    support: int  # pixels that it rests on
    visible: float  # share of the target's pixels that the source sees
    motion: float  # px; median over them
    per_class: Mapping[int, float]  # the measure on the pixels that the target calls so, where there are any


@dataclass(frozen=True)
class PairSums:
    """Sums over the visible pixels of each pair and of each class that the model sees in the target."""

    rows: Int64[Tensor, "p 2"]  # target and source
    count: Float64[Tensor, "p k"]  # visible pixels
    warped: Float64[Tensor, "p k"]  # visible pixels that the source calls so
    agree: Float64[Tensor, "p k"]  # of `count`, those that the source calls so too
    apart: Float64[Tensor, "p k"]  # half the L1 distance of the class distributions
    uniform: Float64[Tensor, "p k"]  # |L^ - L|, mean over all classes
    believed: Float64[Tensor, "p k"]  # |L^ - L| of the class itself
    edges: Float64[Tensor, "p k"]  # visible edge pixels
    on_edges: Float64[Tensor, "p k"]  # `uniform` on them
    visible: Float64[Tensor, " p"]  # share of all pixels
    motion: Float64[Tensor, " p"]  # px, median over the visible ones; NaN without any


Measure = Callable[[Mapping[str, Tensor]], Tensor]  # of sums by name: one value for each entry, NaN where undefined
_WEIGHTS = LogitsConsistency()


def _eq_1(sums: Mapping[str, Tensor]) -> Tensor:
    on_edges = (sums["on_edges"] / sums["edges"]).nan_to_num(nan=0.0)  # without a visible edge the prior is 0
    parts = _WEIGHTS.uniform * sums["uniform"] + _WEIGHTS.label_prior * sums["believed"]
    return parts / sums["count"] + _WEIGHTS.pixel_prior * on_edges


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "disagreement": lambda sums: 1 - sums["agree"] / sums["count"],
        "soft disagreement": lambda sums: sums["apart"] / sums["count"],
        "logits L1": lambda sums: sums["uniform"] / sums["count"],
        "label prior": lambda sums: sums["believed"] / sums["count"],
        "pixel prior": lambda sums: sums["on_edges"] / sums["edges"],
        "Eq. 1": _eq_1,
        "E_pair": lambda sums: 1 - sums["agree"] / sums["count"],
        "1 - TC": lambda sums: 1 - sums["agree"] / (sums["count"] + sums["warped"] - sums["agree"]),
    }
)
BOTH_WAYS = ("E_pair",)  # summed over both directions
BY_CLASS = ("1 - TC",)  # a mean over classes, not over pixels


def rank_pairs(
    videos: Videos,
    model: Model,
    *,
    measure: str = "disagreement",
    gap: int = 1,
    geometry: Geometry = "exact",
    direction: Way = "backward",
    occlusion: Occlusion | None = None,
    classes: Sequence[int] | None = None,
    least_visible: float = 0.1,
    motion: tuple[float, float] = (0.0, float("inf")),
    cache: Path | str | None = None,
    keep: bool = True,
    memory: ExploredFrames | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[PairScore]:
    """All pairs of frames `gap` apart, worst first, by one of MEASURES.

    - `disagreement`: share of the visible pixels whose label is another in the other frame; `soft disagreement`: half
      the L1 distance of the two class distributions there.
    - `logits L1`, `label prior`, `pixel prior`, `Eq. 1`: the parts of Pasad et al.'s loss, and their weighted sum.
    - `E_pair`: of Azulay et al., the disagreement of both directions together, 0..2.
    - `1 - TC`: one minus the mean IoU of the labels of both frames, over the classes that occur.

    With `classes` only pixels that the model calls so in the target count. `least_visible` leaves out pairs of which
    the other frame sees less, `motion` those whose median motion (px) lies outside. The sums are kept in `cache` (the
    cache folder without it) until videos, weights, geometry or rule change; a measure or a filter asks for no net.
    Frames are read once, in order, and only a few are held: `memory`'s limit bounds what a long film takes.
    """
    if measure not in MEASURES:
        raise InputError(f"measure must be one of {', '.join(MEASURES)}, got {measure!r}")
    if classes is not None and (
        not classes or not all(0 <= c < model.num_classes for c in classes)  # what falls out would be silent
    ):
        raise InputError(f"classes must be ids from 0 to {model.num_classes - 1}, got {list(classes)}")
    if not 0 <= least_visible <= 1:
        raise InputError(f"least_visible must be a share from 0 to 1, got {least_visible}")
    if not 0 <= motion[0] <= motion[1]:
        raise InputError(f"motion must be the least and the most px, in this order, got {motion[0]} and {motion[1]}")
    ways: tuple[Way, ...] = WAYS if measure in BOTH_WAYS else (direction,)
    if direction not in WAYS:
        raise InputError(f"direction must be one of {', '.join(WAYS)}, got {direction!r}")
    frames = explored(videos, model, memory)
    sums = [
        pair_sums(
            frames,
            gap=gap,
            geometry=geometry,
            direction=way,
            occlusion=occlusion,
            cache=cache,
            keep=keep,
            progress=progress,
        )
        for way in ways
    ]
    return _scores(videos, sums, measure, gap, classes, least_visible, motion)


def pair_sums(
    frames: ExploredFrames,
    *,
    gap: int = 1,
    geometry: Geometry = "exact",
    direction: Way = "backward",
    occlusion: Occlusion | None = None,
    cache: Path | str | None = None,
    keep: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> PairSums:
    """What every measure of `rank_pairs` is made of, from the cache or computed now; `keep=False` leaves it alone."""
    if gap < 1:
        raise InputError(f"gap must be at least 1 frame, got {gap}", hint="direction='forward' looks the other way")
    rule = default_occlusion(geometry) if occlusion is None else occlusion
    pairs = frames.videos.pairs(gap)
    if not keep:
        return _computed(frames, pairs, geometry, direction, rule, progress)
    key = [_FORM, digest_of_videos(frames.videos), digest_of_model(frames.model), gap, geometry, direction, rule]
    if geometry == "learned":
        key.append(frames.learned_digest())
    root = cache_root() if cache is None else Path(cache).expanduser()
    folder = root / "pair_rankings" / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:20]

    def build(partial: Path) -> None:
        found = _computed(frames, pairs, geometry, direction, rule, progress)
        write_safetensors(partial / _FILE, {field.name: getattr(found, field.name) for field in fields(found)}, {})

    build_once(folder, build)
    tensors, _ = read_safetensors(folder / _FILE)
    return PairSums(**tensors)


def _computed(
    frames: ExploredFrames,
    pairs: Sequence[tuple[int, int]],
    geometry: Geometry,
    direction: Way,
    rule: Occlusion,
    progress: Callable[[int, int], None] | None,
) -> PairSums:
    parts: list[PairSums] = []
    done, videos = 0, frames.videos
    while done < len(pairs):
        height, width = videos.size_of(videos.videos_of([pairs[done][0]])[0])
        most = max(1, _VALUES_AT_ONCE // max(1, height * width * frames.model.num_classes))
        block = list(pairs[done : min(len(pairs), done + most)])
        sizes = [videos.size_of(video) for video in videos.videos_of([row for row, _ in block])]
        block = block[: next((i for i, size in enumerate(sizes) if size != sizes[0]), len(block))]
        ordered = block if direction == "backward" else [(b, a) for a, b in block]
        parts.append(_compared(frames, ordered, geometry, rule))
        done += len(block)
        if progress is not None:
            progress(done, len(pairs))
    found = parts[0]
    if len(parts) > 1:
        found = PairSums(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(PairSums)))
    return found


@torch.no_grad()
def _compared(
    frames: ExploredFrames, pairs: Sequence[tuple[int, int]], geometry: Geometry, rule: Occlusion
) -> PairSums:
    targets, sources = [a for a, _ in pairs], [b for _, b in pairs]
    frames.clip(sorted({*targets, *sources}))  # a film is decoded forward
    places = pair_places(frames, targets, sources, geometry)
    visible = places.visible(rule)
    own, other = frames.logits(targets), frames.logits(sources)
    labels, labels_there = frames.labels(targets), sample_labels(frames.labels(sources), places.pixels)
    warped = sample(other, places.pixels)
    difference = (warped - own).abs()
    uniform = difference.mean(dim=1)
    believed = difference.gather(1, labels[:, None])[:, 0]
    apart = (warped.softmax(dim=1) - own.softmax(dim=1)).abs().sum(dim=1) / 2
    edges = frames.edges(targets) & visible
    k, n = own.shape[1], len(pairs)

    def by_class(values: Tensor, where: Tensor, ids: Tensor = labels) -> Tensor:
        """Sums over the pixels of each pair, by their class."""
        place = ids + k * torch.arange(n, device=ids.device)[:, None, None]
        return torch.bincount(place[where], values[where].double(), minlength=n * k).reshape(n, k).double().cpu()

    ones = torch.ones_like(uniform)
    motion = torch.hypot(*places.flow.unbind(dim=1))
    middle = [
        moved[seen].median() if bool(seen.any()) else torch.tensor(torch.nan)
        for moved, seen in zip(motion, visible, strict=True)
    ]
    return PairSums(
        rows=torch.tensor(list(pairs)),
        count=by_class(ones, visible),
        warped=by_class(ones, visible, labels_there),
        agree=by_class(ones, visible & (labels == labels_there)),
        apart=by_class(apart, visible),
        uniform=by_class(uniform, visible),
        believed=by_class(believed, visible),
        edges=by_class(ones, edges),
        on_edges=by_class(uniform, edges),
        visible=visible.double().mean(dim=(1, 2)).cpu(),
        motion=torch.stack(middle).double().cpu(),
    )


def _scores(
    videos: Videos,
    ways: Sequence[PairSums],
    measure: str,
    gap: int,
    classes: Sequence[int] | None,
    least_visible: float,
    motion: tuple[float, float],
) -> list[PairScore]:
    by_class: list[Tensor] = []
    values: list[Tensor] = []
    support = torch.zeros(len(ways[0].rows), dtype=torch.float64)
    for sums in ways:
        named = {field.name: getattr(sums, field.name) for field in fields(sums) if getattr(sums, field.name).ndim == 2}
        named.pop("rows")
        chosen = {name: value if classes is None else value[:, list(classes)] for name, value in named.items()}
        of_each = MEASURES[measure](named)
        by_class.append(of_each)
        if measure in BY_CLASS:
            values.append((of_each if classes is None else of_each[:, list(classes)]).nanmean(dim=1))
        else:
            values.append(MEASURES[measure]({name: value.sum(dim=1) for name, value in chosen.items()}))
        support += chosen["edges" if measure == "pixel prior" else "count"].sum(dim=1)
    value, each = torch.stack(values).sum(dim=0), torch.stack(by_class).sum(dim=0)
    first = ways[0]
    inside = (first.visible >= least_visible) & (first.motion >= motion[0]) & (first.motion <= motion[1])
    kept = (inside & value.isfinite()).nonzero()[:, 0].tolist()
    kept.sort(key=lambda i: -float(value[i]))
    names = videos.videos_of(first.rows[:, 0].tolist())
    rows = first.rows.sort(dim=1).values.tolist()
    columns = each.tolist(), value.tolist(), support.tolist(), first.visible.tolist(), first.motion.tolist()
    return [
        PairScore(
            video=names[i],
            earlier=rows[i][0],
            later=rows[i][1],
            gap=gap,
            value=columns[1][i],
            support=int(columns[2][i]),
            visible=columns[3][i],
            motion=columns[4][i],
            per_class={c: share for c, share in enumerate(columns[0][i]) if share == share},
        )
        for i in kept
    ]
