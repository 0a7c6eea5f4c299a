"""The warp explorer: move one frame into another, with a depth or a pose that is wrong by as much as you like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.geometry import (
    forward_splat,
    forward_splat_labels,
    identity_warp,
    inverse_warp,
    inverse_warp_labels,
    invert_pose,
    pose_from,
)
from stc_lab.geometry.warp import Warped, WarpedLabels, masked_labels
from stc_lab.metrics import temporal_agreement
from stc_lab.plots.panels import image_panel, value_panel
from stc_lab.widgets.explorer import Explorer, Picture, Table

WarpKind = Literal["inverse warp", "identity", "forward splat"]
WARPS: tuple[WarpKind, ...] = ("inverse warp", "identity", "forward splat")
LARGEST_ERROR = 0.25  # of the photometric colour scale: states can be compared only on one scale


@dataclass(frozen=True)
class WarpState:
    """Where the sliders of the warp explorer stand."""

    frame: int  # of the clip: the target
    gap: int = 1  # frames back to the source; forth where the clip has no such frame
    depth_error: float = 0.0  # per cent: depth is multiplied by 1 + this / 100
    yaw: float = 0.0  # degrees, added to the relative pose
    pitch: float = 0.0  # degrees
    warp: WarpKind = "inverse warp"

    def source(self, frames: int) -> int:
        """Index of the source frame in a clip of `frames`."""
        if not 0 <= self.frame < frames:
            raise InputError(f"frame must lie in 0..{frames - 1}, got {self.frame}")
        for index in (self.frame - self.gap, self.frame + self.gap):
            if 0 <= index < frames:
                return index
        raise InputError(f"a clip of {frames} frames has none {self.gap} before or after frame {self.frame}")


@dataclass(frozen=True)
class WarpNumbers:
    """How well the source, warped, fits the target; all over the pixels visible under the warp at hand."""

    photometric: float  # mean |difference| of RGB in [0, 1]
    photometric_identity: float  # the same without any warp
    agreement: float | None  # share of equal labels; None without labels or visible pixels
    agreement_identity: float | None
    visible: float  # share of all pixels


def warp_numbers_and_image(clip: Clip, state: WarpState) -> tuple[WarpNumbers, Warped, Float[Tensor, "h w"]]:
    """The numbers, the warped source image, and its error at each pixel."""
    clip.require("depth", "camera", "T_world_camera")
    assert clip.depth is not None and clip.camera is not None
    source, target = clip[state.source(len(clip))], clip[state.frame]
    wrong = torch.tensor([[state.pitch, state.yaw, 0.0]], dtype=clip.image.dtype, device=clip.image.device)
    T_wrong = pose_from(torch.deg2rad(wrong), torch.zeros_like(wrong))
    T_source_target = T_wrong @ target.motion_to(source).to(T_wrong.dtype)
    scale = 1 + state.depth_error / 100
    depths = {"source": _depth(source, scale), "target": _depth(target, scale)}
    warped, labels = _warp(source, target, depths, T_source_target, state.warp)
    error = (warped.image - target.image).abs().mean(dim=1)[0]
    still = (source.image - target.image).abs().mean(dim=1)[0]
    visible = warped.visible[0]
    agreement = agreement_identity = None
    if labels is not None and source.label is not None and target.label is not None:
        agreement = _agreement(target.label, labels)
        agreement_identity = _agreement(target.label, masked_labels(source.label, warped.visible))
    numbers = WarpNumbers(
        _mean(error, visible), _mean(still, visible), agreement, agreement_identity, float(visible.float().mean())
    )
    return numbers, warped, error


def warp_picture(clip: Clip, state: WarpState) -> Picture:
    """Target, warped source and error map, with the numbers beside those of the identity."""
    numbers, warped, error = warp_numbers_and_image(clip, state)
    visible, source = warped.visible[0], state.source(len(clip))
    moved = f"frame {source}, not warped" if state.warp == "identity" else f"frame {source}, by {state.warp}"
    panels = (
        image_panel(clip.image[state.frame], f"target: frame {state.frame}"),
        image_panel(warped.image[0], f"source: {moved}", visible=visible),
        value_panel(error, "mean |difference| of RGB", "photometric error", high=LARGEST_ERROR, visible=visible),
    )
    columns = ("photometric error", "label agreement")
    rows = {
        state.warp: (_number(numbers.photometric), _percent(numbers.agreement)),
        "identity, same pixels": (_number(numbers.photometric_identity), _percent(numbers.agreement_identity)),
    }
    note = (
        f"{100 * numbers.visible:.1f} % of the pixels are visible; hatched: not seen from frame {source}, not counted."
    )
    return Picture(panels, Table(columns, rows), note)


def warp_explorer(clip: Clip, *, frame: int | None = None, gap: int = 1, warps: Sequence[WarpKind] = WARPS) -> Explorer:
    """Sliders over frame, gap, and errors of depth and pose; opens at `frame`, by default in the middle of the clip."""
    clip.require("depth", "camera", "T_world_camera")
    if len(clip) < 3:
        raise InputError(f"the warp explorer needs at least 3 frames, got {len(clip)}")
    largest_gap = min(8, (len(clip) - 1) // 2)  # so that each frame has a neighbour on one side
    opening = WarpState(len(clip) // 2 if frame is None else frame, min(gap, largest_gap), warp=warps[0])
    opening.source(len(clip))

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Dropdown, FloatSlider, IntSlider

        angle = {"min": -10.0, "max": 10.0, "step": 0.25, "value": 0.0, "readout_format": "+.2f"}
        return {
            "frame": IntSlider(opening.frame, 0, len(clip) - 1, description="target frame"),
            "gap": IntSlider(opening.gap, 1, largest_gap, description="gap (frames)"),
            "depth_error": FloatSlider(
                value=0, min=-50, max=50, step=1, readout_format="+.0f", description="depth error (%)"
            ),
            "warp": Dropdown(options=list(warps), value=opening.warp, description="warp"),
            "yaw": FloatSlider(**angle, description="yaw error (deg)"),
            "pitch": FloatSlider(**angle, description="pitch error (deg)"),
        }

    default = {"frame": opening.frame, "gap": opening.gap, "warp": opening.warp}
    return Explorer("Warp explorer", controls, lambda **state: warp_picture(clip, WarpState(**state)), default)


def _depth(frame: Clip, scale: float) -> Float[Tensor, "1 1 h w"]:
    assert frame.depth is not None
    return frame.depth * scale


def _warp(
    source: Clip,
    target: Clip,
    depths: Mapping[str, Float[Tensor, "1 1 h w"]],
    T_source_target: Float[Tensor, "1 4 4"],
    kind: WarpKind,
) -> tuple[Warped, WarpedLabels | None]:
    assert source.camera is not None and target.camera is not None
    if kind == "forward splat":
        back = (depths["source"], source.camera, invert_pose(T_source_target))
        warped = forward_splat(source.image, *back, camera_target=target.camera)
        if source.label is None:
            return warped, None
        return warped, forward_splat_labels(source.label, *back, camera_target=target.camera)
    warped = inverse_warp(
        source.image,
        depths["target"],
        target.camera,
        T_source_target,
        camera_source=source.camera,
        depth_source=depths["source"],
    )
    if kind == "identity":
        still = None if source.label is None else masked_labels(source.label, warped.visible)
        return identity_warp(source.image, warped.visible), still
    if source.label is None:
        return warped, None
    labels = inverse_warp_labels(
        source.label,
        depths["target"],
        target.camera,
        T_source_target,
        camera_source=source.camera,
        depth_source=depths["source"],
    )
    return warped, labels


def _mean(value: Float[Tensor, "h w"], where: Bool[Tensor, "h w"]) -> float:
    return float(value[where].mean()) if bool(where.any()) else float("nan")


def _agreement(label: Int64[Tensor, "1 h w"], warped: WarpedLabels) -> float | None:
    usable = warped.visible & (warped.label != 255) & (label != 255)
    return temporal_agreement(label, warped).value if bool(usable.any()) else None


def _number(value: float) -> str:
    return "unknown" if value != value else f"{value:.4f}"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"
