"""Where the pixels of one frame lie in another, by the geometry one chooses, and which are seen there, by the rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.disturb import Disturbance
from stc_lab.experiments.explored_frames import ExploredFrames
from stc_lab.experiments.journey import OUTSIDE, VISIBLE, visibility_reasons
from stc_lab.geometry import (
    Camera,
    Correspondence,
    DepthTolerance,
    correspond,
    gmflow_visible,
    gordon_visible,
    inside_visible,
    invert_pose,
    rigid_flow,
    ruder_visible,
)
from stc_lab.geometry.flow import landing
from stc_lab.geometry.reproject import pixel_grid

Geometry = Literal["exact", "learned", "estimated"]
Occlusion = Literal["depth test", "gordon", "ruder", "ruder without boundaries", "gmflow", "inside"]
GEOMETRIES: tuple[Geometry, ...] = get_args(Geometry)
OCCLUSIONS: tuple[Occlusion, ...] = get_args(Occlusion)
_NEED_DEPTH = ("depth test", "gordon")
# Reasons beyond `journey.REASONS`, which are those of the depth test.
HIDDEN_BY_FLOW = 100  # nothing but flow is known, and there and back it does not return
HIDDEN_BY_RULE = 101  # the depths agree, but the chosen rule hides the pixel


def default_occlusion(geometry: Geometry) -> Occlusion:
    """The rule that fits the evidence: the depth test where there is depth, else there and back along the flow."""
    return "ruder without boundaries" if geometry == "estimated" else "depth test"


def occlusions_of(geometry: Geometry) -> tuple[Occlusion, ...]:
    """The rules that can be asked of a geometry."""
    return tuple(rule for rule in OCCLUSIONS if geometry != "estimated" or rule not in _NEED_DEPTH)


@dataclass(frozen=True)
class Solid:
    """Depth, cameras and motion of pairs of frames."""

    depth_target: Float[Tensor, "b 1 h w"]
    depth_source: Float[Tensor, "b 1 h w"]
    camera_target: Camera
    camera_source: Camera
    T_source_target: Float[Tensor, "b 4 4"]


@dataclass(frozen=True)
class PairPlaces:
    """The target's pixels in the source, of one pair or of several."""

    geometry: Geometry
    solid: Solid | None  # None: nothing but flow is known
    flows: tuple[Float[Tensor, "b 2 h w"], Float[Tensor, "b 2 h w"]] | None  # px, there and back; None: they follow
    disturbance: Disturbance = Disturbance()

    @cached_property
    def found(self) -> Correspondence:
        """Place and depth of each pixel in the source, visible where it falls inside; no test of occlusion."""
        if self.solid is None:
            return Correspondence(landing(self.flow), torch.zeros_like(self.flow[:, :1]), inside_visible(self.flow))
        solid = self.solid
        return correspond(
            solid.depth_target, solid.camera_target, solid.T_source_target, camera_source=solid.camera_source
        )

    @cached_property
    def flow(self) -> Float[Tensor, "b 2 h w"]:
        """px, target -> source; 0 where the depth is unknown or the point lies behind the camera."""
        if self.flows is not None:
            return self.flows[0]
        return self.found.pixels - pixel_grid(self.found.pixels)

    @cached_property
    def back(self) -> Float[Tensor, "b 2 h w"]:
        """px, source -> target, on the source's grid."""
        if self.flows is not None:
            return self.flows[1]
        assert self.solid is not None
        solid, T_target_source = self.solid, invert_pose(self.solid.T_source_target)
        return rigid_flow(solid.depth_source, solid.camera_source, T_target_source, camera_b=solid.camera_target).flow

    @property
    def pixels(self) -> Float[Tensor, "b 2 h w"]:
        """(x, y) px in the source, possibly outside of it."""
        return self.found.pixels

    @property
    def depth(self) -> Float[Tensor, "b 1 h w"] | None:
        """m; z of the target's pixels in the source's camera."""
        return None if self.solid is None else self.found.depth

    @property
    def tolerance(self) -> DepthTolerance:
        return self.disturbance.of_tolerance(DepthTolerance())

    def visible(self, rule: Occlusion) -> Bool[Tensor, "b h w"]:
        """Which target pixels the source sees by this rule; never one that falls outside of it or has no depth."""
        factor = self.disturbance.tolerance
        if rule not in OCCLUSIONS:
            raise InputError(f"occlusion must be one of {', '.join(OCCLUSIONS)}, got {rule!r}")
        if rule == "inside":
            return self.found.visible
        if rule == "gmflow":
            seen = gmflow_visible(self.flow, self.back, relative=0.01 * factor, absolute=0.5 * factor)
            return seen & self.found.visible
        if rule in ("ruder", "ruder without boundaries"):
            limits = {"relative": 0.01 * factor, "absolute": 0.5 * factor}
            seen = ruder_visible(self.flow, self.back, **limits, motion_boundaries=rule == "ruder")
            return seen & self.found.visible
        if self.solid is None:
            raise InputError(
                f"the occlusion rule {rule!r} looks at depth, which an estimated flow does not have",
                hint=f"one of {', '.join(occlusions_of(self.geometry))}",
            )
        solid = self.solid
        if rule == "gordon":
            pair = solid.depth_target, solid.camera_target, solid.T_source_target, solid.depth_source
            return gordon_visible(*pair, camera_source=solid.camera_source)
        return self.reasons(rule) == VISIBLE

    def reasons(self, rule: Occlusion) -> Int64[Tensor, "b h w"]:
        """Why each pixel is or is not seen: an index into `journey.REASONS`, HIDDEN_BY_FLOW or HIDDEN_BY_RULE."""
        if rule == "depth test" and self.solid is not None:
            solid = self.solid
            return visibility_reasons(solid.depth_target, self.found, solid.depth_source, tolerance=self.tolerance)
        visible = self.visible(rule)
        if self.solid is None:
            reason = torch.full_like(visible, HIDDEN_BY_FLOW, dtype=torch.int64)
            reason = reason.masked_fill(~self.found.visible, OUTSIDE)
        else:
            reason = visibility_reasons(
                self.solid.depth_target, self.found, self.solid.depth_source, tolerance=self.tolerance
            ).masked_fill_(visible, VISIBLE)
            reason = torch.where((reason == VISIBLE) & ~visible, torch.full_like(reason, HIDDEN_BY_RULE), reason)
        return reason.masked_fill(visible, VISIBLE)


def pair_places(
    frames: ExploredFrames,
    targets: Sequence[int],
    sources: Sequence[int],
    geometry: Geometry = "exact",
    disturbance: Disturbance = Disturbance(),
) -> PairPlaces:
    """The places of pairs of rows: by the data's depth and poses, by learned ones, or by estimated optical flow.

    Flow is disturbed by exposure alone; InputError for a disturbance of what it does not have.
    """
    if geometry not in GEOMETRIES:
        raise InputError(f"geometry must be one of {', '.join(GEOMETRIES)}, got {geometry!r}")
    if geometry == "estimated":
        touched = [name for name in disturbance.changed if name not in ("exposure", "tolerance")]
        if touched:
            raise InputError(
                f"an estimated flow has no depth, pose or focal length to disturb, got {', '.join(touched)}",
                hint="geometry='exact' or 'learned'",
            )
        stops = disturbance.exposure
        stops = disturbance.exposure
        there = frames.flow(targets, sources, exposure=(0, stops))
        back = frames.flow(sources, targets, exposure=(stops, 0))
        return PairPlaces(geometry, None, (there, back), disturbance)
    solid = _exact(frames, targets, sources) if geometry == "exact" else _learned(frames, targets, sources)
    solid = Solid(
        disturbance.of_depth(solid.depth_target),
        disturbance.of_depth(solid.depth_source),
        disturbance.of_camera(solid.camera_target),
        disturbance.of_camera(solid.camera_source),
        disturbance.of_motion(solid.T_source_target),
    )
    return PairPlaces(geometry, solid, None, disturbance)


def _exact(frames: ExploredFrames, targets: Sequence[int], sources: Sequence[int]) -> Solid:
    target, source = frames.clip(targets), frames.clip(sources)
    for clip in (target, source):
        clip.require("depth", "camera", "T_world_camera")
    assert target.depth is not None and target.camera is not None
    assert source.depth is not None and source.camera is not None
    return Solid(target.depth, source.depth, target.camera, source.camera, target.motion_to(source))


def _learned(frames: ExploredFrames, targets: Sequence[int], sources: Sequence[int]) -> Solid:
    camera = frames.learned_camera(targets)
    depth_target, depth_source = frames.learned_depth(targets), frames.learned_depth(sources)
    return Solid(depth_target, depth_source, camera, camera, frames.learned_motion(targets, sources))
