"""The world bench: undo mistakes of reading until the frames of a clip agree about one world."""

from collections.abc import Mapping
from math import log10
from typing import Any, Literal

import torch

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.world_points import Misreading, judging_gap, up_direction, world_disagreement
from stc_lab.plots.plan import judged_frames, slice_panel
from stc_lab.widgets.explorer import Explorer, Picture, Table

Poses = Literal["as stored", "inverted"]
POSES: tuple[Poses, ...] = ("as stored", "inverted")


def world_picture(
    clip: Clip, up: torch.Tensor, depth: float = 1.0, focal: float = 1.0, poses: Poses = "as stored"
) -> Picture:
    """The world of two neighbours and of the whole clip, read with these corrections, and how well frames agree."""
    if poses not in POSES:
        raise InputError(f"poses must be one of {', '.join(POSES)}, got {poses!r}")
    read = Misreading(depth_factor=depth, focal_factor=focal, inverted=poses == "inverted").of(clip)
    drawn = judged_frames(read)
    everything = range(len(drawn))
    panels = (
        slice_panel(drawn, everything[:2], up, "two neighbours", "from above, at the height of the camera"),
        slice_panel(drawn, everything, up, "frames of the whole clip", "rings: where the cameras stand"),
    )
    rows = {}
    gap = judging_gap(clip)
    for apart in sorted({1, gap, 2 * gap}):
        found = world_disagreement(read, apart, stride=4)
        value = "nothing to compare" if found.value is None else f"{100 * found.value:.1f} %"
        rows[f"frames {apart} apart"] = (value, f"{100 * found.landed:.0f} %")
    note = "Each plan has a scale of its own: its black line is as long as the legend says."
    return Picture(panels, Table(("median disagreement about the distance", "points compared"), rows), note)


def world_bench(clip: Clip, *, up: torch.Tensor | None = None, most: float = 10.0) -> Explorer:
    """A slider for the depth's unit and the focal length, and a choice of the poses' direction."""
    clip.require("depth", "camera", "T_world_camera")
    if len(clip) < 3:
        raise InputError(f"the world bench needs at least 3 frames, got {len(clip)}")
    upright = up_direction(clip) if up is None else up

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Dropdown, FloatLogSlider, FloatSlider

        ends = {"min": -log10(most), "max": log10(most), "step": 0.02, "readout_format": ".2f"}
        return {
            "depth": FloatLogSlider(1.0, **ends, description="depth times"),
            "focal": FloatSlider(value=1.0, min=0.5, max=2.0, step=0.02, description="focal length times"),
            "poses": Dropdown(options=list(POSES), value="as stored", description="poses"),
        }

    def picture(depth: float, focal: float, poses: Poses) -> Picture:
        return world_picture(clip, upright, depth, focal, poses)

    default = {"depth": 1.0, "focal": 1.0, "poses": "as stored"}
    return Explorer("World bench", controls, picture, default, columns=2)
