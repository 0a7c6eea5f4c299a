"""The clips that depth is learned from: cameras that pass by near and far things, every fourth one turning."""

from pathlib import Path

from stc_lab.data import Videos
from stc_lab.data.rooms import RoomsConfig, rooms_videos
from stc_lab.errors import InputError


def _rooms(train: int, val: int, test: int, frames: int = 32) -> RoomsConfig:
    return RoomsConfig(
        train_scenes=train, val_scenes=val, test_scenes=test, frames=frames, height=128, width=192, motion="tracking"
    )


DEPTH_ROOMS = {"tiny": _rooms(2, 2, 2, 8), "quick": _rooms(12, 4, 4), "full": _rooms(64, 8, 12)}


def depth_rooms(split: str, preset: str = "quick", cache: Path | str | None = None) -> Videos:
    """Videos of a split, rendered once: 128 x 192 px, for flow is found twice as exactly as at half that size."""
    if preset not in DEPTH_ROOMS:
        raise InputError(f"preset must be one of {', '.join(DEPTH_ROOMS)}, got {preset!r}")
    return rooms_videos(split, DEPTH_ROOMS[preset], cache)
