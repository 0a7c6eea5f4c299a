"""What an explorer lets one get wrong about a pair of frames, and the pair as it looks then."""

import math
from dataclasses import dataclass, fields, replace

from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry import Camera, DepthTolerance, compose_poses, pose_from

_RANGES: dict[str, tuple[float, float]] = {
    "depth_scale": (1e-3, 1e3),
    "pitch": (-90, 90),
    "yaw": (-90, 90),
    "shift": (-100, 100),
    "focal_scale": (0.05, 20),
    "exposure": (-8, 8),
    "tolerance": (0, 1e3),
}
GEOMETRIC = ("depth_scale", "pitch", "yaw", "shift", "focal_scale")


@dataclass(frozen=True)
class Disturbance:
    """Errors put into one pair; the defaults are none."""

    depth_scale: float = 1.0  # both frames' depth, as by a net whose unit is off
    pitch: float = 0.0  # degrees that the motion to the source turns up too much
    yaw: float = 0.0  # degrees, to the right
    shift: float = 0.0  # m that the motion goes to the right too much
    focal_scale: float = 1.0  # both frames' focal length
    exposure: float = 0.0  # stops by which the source is brighter; the net sees it so
    tolerance: float = 1.0  # factor on every tolerance of the occlusion rule; Gordon's and the frame's own have none

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the settings that are not at their default."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) != field.default)

    @property
    def moves_pixels(self) -> bool:
        """Whether depth, pose or focal length is touched."""
        return not set(GEOMETRIC).isdisjoint(self.changed)

    def of_depth(self, depth: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        return depth if self.depth_scale == 1 else depth * self.depth_scale

    def of_camera(self, camera: Camera) -> Camera:
        if self.focal_scale == 1:
            return camera
        K = camera.K.clone()
        K[:, (0, 1), (0, 1)] *= self.focal_scale
        return replace(camera, K=K)

    def of_motion(self, T_source_target: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
        """The motion into the source's camera, then turned and shifted there.

        What it turns to the right or up, the points turn the other way; a camera too far right sees them too far left.
        """
        if self.pitch == 0 and self.yaw == 0 and self.shift == 0:
            return T_source_target
        turn = T_source_target.new_tensor([[-math.radians(self.pitch), -math.radians(self.yaw), 0.0]])
        step = T_source_target.new_tensor([[-self.shift, 0.0, 0.0]])
        return compose_poses(pose_from(turn, step).expand_as(T_source_target), T_source_target)

    def of_image(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Brighter by `exposure` stops of light, clipped as a sensor does; values are light to the power of 1/2.2."""
        return image if self.exposure == 0 else (image * 2 ** (self.exposure / 2.2)).clamp(0, 1)

    def of_tolerance(self, tolerance: DepthTolerance) -> DepthTolerance:
        return DepthTolerance(tolerance.relative * self.tolerance, tolerance.absolute * self.tolerance)
