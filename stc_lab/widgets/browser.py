"""The scene browser: any frame of any video of a data set, with all that is known of it."""

from collections.abc import Mapping
from typing import Any

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.material import frame_facts
from stc_lab.plots.knowledge import frame_panels
from stc_lab.widgets.explorer import Explorer, Picture, Table

NEAR, FAR = 0.3, 8.0  # m: one colour scale of depth for all frames of indoor data


def browser_picture(videos: Videos, video: int, frame: int) -> Picture:
    """Image, labels and depth of a frame, and the rest of what is known in words.

    `video` counts from 0; a `frame` beyond the end of a shorter video is its last.
    """
    if not 0 <= video < len(videos.names):
        raise InputError(f"video must lie in 0..{len(videos.names) - 1}, got {video}")
    if frame < 0:
        raise InputError(f"frame must be at least 0, got {frame}")
    name = videos.names[video]
    last = videos.frame_count(name) - 1
    shown = min(frame, last)
    clip = videos.clip(name, start=shown, stop=shown + 1)
    indoors = clip.depth is not None and float(clip.depth.max()) <= FAR
    panels = frame_panels(
        clip,
        videos.info.classes,
        ignore_index=videos.info.ignore_index,
        near=NEAR if indoors else None,
        far=FAR if indoors else None,
    )
    facts = frame_facts(clip, videos.info)
    table = Table((), {f"{field}: {words}": () for field, words in facts.items()})
    return Picture(tuple(panels), table, f"{name}: frame {shown} of 0 to {last}; video {video} of {len(videos.names)}.")


def scene_browser(videos: Videos, *, video: int = 0, frame: int = 0) -> Explorer:
    """Sliders over the videos and their frames."""
    longest = max(videos.frame_count(name) for name in videos.names)
    browser_picture(videos, video, frame)

    def controls() -> Mapping[str, Any]:
        from ipywidgets import IntSlider

        return {
            "video": IntSlider(video, 0, len(videos.names) - 1, description="video"),
            "frame": IntSlider(min(frame, longest - 1), 0, longest - 1, description="frame"),
        }

    def picture(video: int, frame: int) -> Picture:
        return browser_picture(videos, video, frame)

    return Explorer("Scene browser", controls, picture, {"video": video, "frame": frame})
