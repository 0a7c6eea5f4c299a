"""A few tiny rooms and the shipped net, for tests of what an explorer shows."""

from dataclasses import replace
from functools import cache

from stc_lab.data.rooms import PRESETS, RoomsConfig, rooms_videos
from stc_lab.data.videos import Videos
from stc_lab.models import FPNSegmenter, load_shipped

CONFIG: RoomsConfig = replace(PRESETS["tiny"], motion="handheld", test_scenes=2, frames=8)


@cache
def rooms() -> Videos:
    """Two rooms of 8 frames of 32 x 48 px, with exact labels, depth and poses."""
    return rooms_videos("test", CONFIG).in_memory()


@cache
def net() -> FPNSegmenter:
    return load_shipped().model
