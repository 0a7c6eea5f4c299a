"""The stability bench: erode and jitter a mask, and see which measures notice, and with whose flow."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.stability_lab import (
    REACH,
    SIGMA,
    Corruption,
    MaskVideo,
    corrupted,
    flow_measures,
    nine_corruptions,
    other_measures,
    written,
)
from stc_lab.experiments.stability_traps import time_slice, widest_row
from stc_lab.metrics import e_cons, e_smooth
from stc_lab.plots.panels import grey_panel, mask_panel, value_panel
from stc_lab.plots.stability import time_slice_panel
from stc_lab.widgets.explorer import Explorer, Picture, Table

Flows = Literal["exact", "estimated (DIS)"]
FLOWS: tuple[Flows, ...] = ("exact", "estimated (DIS)")
_TRUE = "#0072b2"
_COLUMNS = ("J", "VC8", "E_smooth", "E_smooth, shares", "E_cons", "E_cons / boundary")
Rows = Mapping[str, tuple[str, ...]]


def stability_picture(
    video: MaskVideo,
    erosion: float,
    jitter: float,
    frame: int,
    draw: int = 0,
    flows: Flows = "exact",
    true_rows: Rows | None = None,
) -> Picture:
    """The mask under this corruption, where the measures look, and their values beside those of the true mask.

    `erosion` and `jitter` in px; `draw` chooses the side of the erosion and the jumps; `flows` those of the map.
    `true_rows` are those of the true mask, if `measure_rows` was asked before.
    """
    if flows not in FLOWS:
        raise InputError(f"flows must be one of {', '.join(FLOWS)}, got {flows!r}")
    if not 0 <= frame < len(video.mask):
        raise InputError(f"frame must lie in 0..{len(video.mask) - 1}, got {frame}")
    mask = corrupted(video.mask, Corruption(erosion, jitter), torch.Generator().manual_seed(draw))
    row, ground = widest_row(video.mask), grey_panel(video.clip.image[frame])
    table = video.exact if flows == "exact" else video.estimated
    found = e_cons(mask, table, K=REACH, normalise="none").map[frame]
    smooth = e_smooth(mask, sigma=SIGMA, form="shares", normalise="none").map[frame]
    own = time_slice(video, mask, row)
    true = time_slice(video, video.mask, row)
    seen = torch.isfinite(found)
    panels = (
        mask_panel(video.mask[frame] > 0, "true mask", f"frame {frame}", over=ground, colour=_TRUE),
        mask_panel(mask[frame] > 0, "this mask", f"{erosion:g} px eroded, {jitter:g} px jitter", over=ground),
        value_panel(found, "share of comparisons", "E_cons looks here", f"{flows} flow", high=1.0, visible=seen),
        time_slice_panel(true.image, true.mask, "true mask over time", f"row {row}, time downwards", colour=_TRUE),
        time_slice_panel(own.image, own.mask, "this mask over time", f"row {row}, time downwards"),
        value_panel(smooth, "squared distance", "E_smooth (shares) looks here", "no flow", high=0.5),
    )
    own_rows = measure_rows(video, mask, "this mask")
    rows = {**(measure_rows(video, video.mask, "true mask") if true_rows is None else true_rows), **own_rows}
    note = "E_smooth and E_cons in thousandths, E_cons / boundary in millionths; lower is steadier. J and VC8 up to 1."
    return Picture(panels, Table(_COLUMNS, rows), note)


def measure_rows(video: MaskVideo, mask: Int64[Tensor, "t h w"], name: str) -> dict[str, tuple[str, ...]]:
    """The measures of a mask as written, with each kind of flow."""
    measured, rows = other_measures(mask, video.mask), {}
    for kind, flow in zip(FLOWS, (video.exact, video.estimated), strict=True):
        both = measured | flow_measures(mask, flow)
        rows[f"{name}, {kind} flow"] = tuple(written(column, both[column]) for column in _COLUMNS)
    return rows


def stability_bench(video: MaskVideo, *, erosion: float = 0.0, jitter: float = 0.0) -> Explorer:
    """Sliders over the two corruptions of the paper's qualification videos; opens in the middle of the clip."""
    strongest = nine_corruptions(video.mask.shape[1])[-1]
    if not (0 <= erosion <= strongest.erosion and 0 <= jitter <= strongest.jitter):
        raise InputError(
            f"erosion must lie in 0..{strongest.erosion:g} px and jitter in 0..{strongest.jitter:g} px, "
            f"got {erosion:g} and {jitter:g}"
        )
    opening = {
        "erosion": float(erosion),
        "jitter": float(jitter),
        "frame": len(video.mask) // 2,
        "draw": 0,
        "flows": FLOWS[0],
    }

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Dropdown, FloatSlider, IntSlider

        ends = {"erosion": strongest.erosion, "jitter": strongest.jitter}
        sliders = {
            name: FloatSlider(value=opening[name], min=0, max=end, step=end / 8, description=f"{name} (px)")
            for name, end in ends.items()
        }
        return {
            **sliders,
            "frame": IntSlider(opening["frame"], 0, len(video.mask) - 1, description="frame"),
            "draw": IntSlider(0, 0, 20, description="another draw"),
            "flows": Dropdown(options=list(FLOWS), value=FLOWS[0], description="flow of the map"),
        }

    true_rows = measure_rows(video, video.mask, "true mask")
    return Explorer(
        "Stability bench", controls, lambda **state: stability_picture(video, true_rows=true_rows, **state), opening
    )
