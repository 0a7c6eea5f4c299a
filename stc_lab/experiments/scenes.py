"""The one video that a chapter looks at: rendered for it, or a real RGB-D clip."""

from dataclasses import replace

from stc_lab.data.frames import Clip
from stc_lab.data.load import load
from stc_lab.data.rooms.config import PRESETS, RoomsConfig
from stc_lab.data.rooms.truth import ExactRoomsFlow
from stc_lab.data.rooms.videos import render_video, scene_of, video_name
from stc_lab.errors import InputError

_ROOMS_SIZES = {"tiny": (48, 64), "quick": (120, 160), "full": (240, 320)}  # rendered in about 1, 3 and 12 s
_REAL_SIZE = (240, 320)


def open_video(source: str, *, preset: str = "quick", seed: int = 0) -> Clip:
    """A clip with depth, camera and poses: a hand-held walk through test room `seed`, or all of a real RGB-D clip.

    `source` is `rooms`, or an RGB-D data set in STC_LAB_DATA (`sevenscenes`, `icl`). The rooms' sensor has noise but
    no other fault, so that what remains after a warp is geometry.
    """
    if source != "rooms":
        videos = load(source, size=_REAL_SIZE)
        return videos.clip(videos.names[seed % len(videos.names)])
    return render_video(video_name("test", seed), _rooms_config(preset))


def open_truth(source: str, *, preset: str = "quick", seed: int = 0) -> ExactRoomsFlow | None:
    """Exact flow and visibility of the video that `open_video` opens; None for real video, whose truth nobody knows."""
    return ExactRoomsFlow(scene_of(video_name("test", seed), _rooms_config(preset))) if source == "rooms" else None


def _rooms_config(preset: str) -> RoomsConfig:
    if preset not in _ROOMS_SIZES:
        raise InputError(f"preset must be one of {', '.join(_ROOMS_SIZES)}, got {preset!r}")
    height, width = _ROOMS_SIZES[preset]
    standard = PRESETS[preset]
    return replace(standard, motion="handheld", height=height, width=width, dial=0.0, noise=standard.sensor().noise)
