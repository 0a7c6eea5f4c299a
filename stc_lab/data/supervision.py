"""Which frames count as labelled when labels are few."""

import hashlib
from functools import partial

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError


def supervised_rows(videos: Videos, count: int, *, seed: int) -> list[int]:
    """Rows of `count` labelled frames, spread over the videos: one of each in turn, then a second of each, ...

    The order of videos, and that of the frames in one, depend on the seed and the video's name alone (a hash, the same
    on every machine). So a smaller `count` takes a part of the frames of a larger one, and a data set with fewer of the
    same videos labels the same frames of each first.
    """
    if "label" not in videos.info.has:
        raise InputError(f"data set {videos.info.name!r} has no labels to supervise with")
    if not 1 <= count <= len(videos):
        raise InputError(f"count must lie between 1 and the {len(videos)} labelled frames, got {count}")
    names = sorted(videos.names, key=lambda name: _chance(seed, name))
    orders = {name: sorted(range(videos.frame_count(name)), key=partial(_chance, seed, name)) for name in names}
    rounds = range(max(map(len, orders.values())))
    chosen = [videos.row(name, orders[name][turn]) for turn in rounds for name in names if turn < len(orders[name])]
    return chosen[:count]


def _chance(*key: object) -> bytes:
    return hashlib.sha256("/".join(map(str, key)).encode()).digest()
