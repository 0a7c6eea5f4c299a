"""Which frames count as labelled when labels are few."""

import hashlib
import math
from collections.abc import Iterator
from itertools import islice

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError


def supervised_rows(videos: Videos, count: int, *, seed: int) -> list[int]:
    """Rows of `count` labelled frames, spread over the videos: one of each in turn, then a second of each, ...

    Only frames that have labels are drawn. The order of videos, and that of the frames in one, depend on the seed and
    the video's name alone (a hash, the same on every machine). So a smaller `count` takes a part of the frames of a
    larger one, and a data set with fewer of the same videos labels the same frames of each first.
    """
    labelled = _labelled(videos)
    total = sum(map(len, labelled.values()))
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= total:
        raise InputError(f"count must lie between 1 and the {total} labelled frames, got {count!r}")
    return list(islice(_in_turn(videos, labelled, seed), count))


def supervised_share(videos: Videos, share: float, *, seed: int) -> list[int]:
    """Rows of a share of the labelled frames: 0.001 is the papers' 0.1 %, 1 all of them.

    At least one frame, else the share rounded to whole frames, halves up; spread and nested as in `supervised_rows`,
    so that the frames of a smaller share are among those of a larger one.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        hint = f"a share, not per cent: {share} % is {share / 100:g}" if _is_number(share) and share > 1 else None
        raise InputError(f"share must be above 0 and at most 1, got {share!r}", hint=hint)
    total = sum(map(len, _labelled(videos).values()))
    return supervised_rows(videos, max(1, math.floor(share * total + 0.5)), seed=seed)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _labelled(videos: Videos) -> dict[str, list[int]]:
    """Positions, in each video that has any, of the frames with labels."""
    rows = videos.rows_with("label").tolist() if "label" in videos.info.has else []
    if not rows:
        raise InputError(f"data set {videos.info.name!r} has no labels to supervise with")
    labelled: dict[str, list[int]] = {}
    for row, name in zip(rows, videos.videos_of(rows), strict=True):
        labelled.setdefault(name, []).append(row - videos.row(name, 0))
    return labelled


def _in_turn(videos: Videos, labelled: dict[str, list[int]], seed: int) -> Iterator[int]:
    names = sorted(labelled, key=lambda name: _chance(seed, name))
    orders = {name: sorted(labelled[name], key=lambda index: _chance(seed, name, index)) for name in names}
    for turn in range(max(map(len, orders.values()))):
        for name in names:
            if turn < len(orders[name]):
                yield videos.row(name, orders[name][turn])


def _chance(*key: object) -> bytes:
    return hashlib.sha256("/".join(map(str, key)).encode()).digest()
