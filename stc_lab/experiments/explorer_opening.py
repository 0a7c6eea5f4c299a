"""What chapter 11 opens: videos to walk through, and the nets to compare on them."""

from collections.abc import Mapping

from stc_lab.data.load import load
from stc_lab.data.rooms.classes import CLASS_NAMES
from stc_lab.data.videos import Videos
from stc_lab.experiments.explored_frames import Model
from stc_lab.models import load_shipped

_REAL_SIZE = (120, 160)


def open_explored(
    source: str, *, preset: str = "quick", motion: str = "handheld"
) -> tuple[Videos, Mapping[str, Model], tuple[str, ...]]:
    """The test rooms filmed as `motion` says, or a real RGB-D set in STC_LAB_DATA; the net by its name; its classes."""
    net = load_shipped("rooms_fpn").model
    if source == "rooms":
        videos = load("rooms", split="test", preset=preset, motion=motion)
    else:
        videos = load(source, size=_REAL_SIZE)
    return videos, {"rooms_fpn": net}, CLASS_NAMES
