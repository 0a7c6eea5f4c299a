"""The photometric error of the true depth times a factor, at true poses: the landscape that a depth net walks on.

Nothing is trained here. Depth and poses are exact, so that whatever the loss says against them is its own mistake. A
good landscape has its minimum at a factor of 1, and one that stands out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import RoomsConfig, exact_flow, render_video, scene_of
from stc_lab.data.rooms.packets import Tiles, camera_packets
from stc_lab.data.rooms.raycast import cast
from stc_lab.geometry import (
    Correspondence,
    Warped,
    correspond,
    inverse_warp,
    invert_pose,
    relative_pose,
    sample_labels,
)
from stc_lab.geometry.camera import Camera
from stc_lab.losses import auto_mask, minimum_reprojection, photometric_error

FACTORS = tuple(2 ** (i / 16 - 1) for i in range(33))  # on the true depth, from half to twice
CURVES: Mapping[str, str] = MappingProxyType(
    {
        "l1": "L1 alone",
        "ssim": "SSIM alone",
        "loss": "L1 + SSIM",
        "minimum": "minimum over the sources",
        "auto_mask": "auto-mask",
        "aligned": "aligned brightness",
        "own_motion": "own motion",
    }
)
_TRUTH = FACTORS.index(1.0)
_EDGE = -1  # in the place of a surface
_FLAT = 1e-4  # contrast below which no minimum is named: what float32 makes of a constant
_CLEARLY = 1.1  # a minimum is off the truth from here on: two steps of the search are what noise can make


@dataclass(frozen=True)
class Landscape:
    """Mean photometric error over the factors."""

    error: tuple[float, ...]  # one for each of `FACTORS`

    @property
    def contrast(self) -> float:
        """How far the minimum lies below the mean of the landscape, as a share of it: 0 flat, 1 no error there."""
        mean = sum(self.error) / len(self.error)
        return 0.0 if mean == 0 else max(0.0, 1 - min(self.error) / mean)

    @property
    def best(self) -> float | None:
        """Factor of the smallest error; None where the landscape is flat."""
        return None if self.contrast < _FLAT else FACTORS[self.error.index(min(self.error))]

    @property
    def at_truth(self) -> float:
        return self.error[_TRUTH]

    @property
    def off_truth(self) -> bool:
        """Whether the minimum is clearly elsewhere than at the true depth."""
        return self.best is not None and abs(math.log(self.best)) > math.log(_CLEARLY)

    def words(self) -> str:
        """Where the minimum is, and how far it stands out."""
        if self.best is None:
            return f"flat at {self.at_truth:.3f}"
        return f"minimum at {self.best:.2f}, {100 * self.contrast:.0f} % below the mean, {self.at_truth:.3f} at 1"


@dataclass(frozen=True)
class ErrorMaps:
    """Photometric errors at every factor, pixel by pixel, and what the auto-mask makes of them."""

    by_curve: dict[str, Float[Tensor, "n h w"]]  # by key of CURVES, a map for each factor
    kept: Bool[Tensor, "h w"]  # at the true depth, warping explains the pixel better than not warping

    @property
    def at_truth(self) -> Float[Tensor, "h w"]:
        """L1 + SSIM at the true depth, mean over the sources."""
        return self.by_curve["loss"][_TRUTH]

    def landscapes(self, region: Bool[Tensor, "h w"]) -> dict[str, Landscape]:
        """Means over the pixels of a region, for each curve."""
        means = {key: maps[:, region].double().mean(dim=1).tolist() for key, maps in self.by_curve.items()}
        return {key: Landscape(tuple(means[key])) for key in CURVES if key in means}


class DepthSearch:
    """The middle frame of a rooms video as target, its ends as sources, and all factors on the target's true depth."""

    def __init__(self, video: str, config: RoomsConfig) -> None:
        self.video, self.config, self.scene = video, config, scene_of(video, config)
        clip = render_video(video, config)
        self.target, self.sources = clip[len(clip) // 2], (clip[0], clip[len(clip) - 1])
        self.mover = self.scene.mover_of(self._surface(self.target))
        self.seen = torch.stack([self._sees(source) for source in self.sources]).all(dim=0)

    def inside(self) -> Bool[Tensor, "h w"]:
        """Pixels that every depth of the search keeps inside both sources."""
        return torch.stack([self._found(source).visible for source in self.sources]).all(dim=1).all(dim=0)

    def on_one_surface(self) -> Bool[Tensor, "h w"]:
        """Pixels that every depth of the search leaves on the face or part they belong to: no edge gives it away."""
        own, same = _inner(self._surface(self.target)), []
        for source in self.sources:
            surface = _inner(self._surface(source)).expand(len(FACTORS), -1, -1)
            same.append((sample_labels(surface, self._found(source)) == own).all(dim=0))
        return torch.stack(same).all(dim=0) & (own[0] != _EDGE)

    def maps(self) -> ErrorMaps:
        """All curves; that of own motion only where something moves."""
        target = self._repeated(self.target)
        found: dict[str, list[Tensor]] = {"l1": [], "ssim": [], "loss": [], "aligned": []}
        identity = []
        for source in self.sources:
            warped = self._warped(source, self.target.motion_to(source))
            found["l1"].append(photometric_error(warped.image, target, ssim_share=0.0))
            found["ssim"].append(photometric_error(warped.image, target, ssim_share=1.0))
            found["loss"].append(photometric_error(warped.image, target))
            found["aligned"].append(photometric_error(_aligned(warped, target), target))
            identity.append(photometric_error(source.image, self.target.image))
        maps = {key: torch.stack(errors).mean(dim=0) for key, errors in found.items()}
        losses, unwarped = torch.stack(found["loss"], dim=1), torch.stack(identity, dim=1)
        everywhere, each = torch.ones_like(losses, dtype=torch.bool), unwarped.expand_as(losses)
        maps["minimum"] = minimum_reprojection(losses, everywhere).map
        # As published: a pixel that is masked at some factor counts there with the error of not warping.
        maps["auto_mask"] = minimum_reprojection(losses, everywhere, identity_errors=each, official=True).map
        if self.scene.movers is not None:
            maps["own_motion"] = self._with_own_motion(maps["loss"])
        return ErrorMaps(maps, auto_mask(losses[_TRUTH, None], unwarped)[0])

    def _with_own_motion(self, error: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
        """The same error where nothing moves; on each moving thing that of a warp that follows the thing."""
        assert self.scene.movers is not None and self.target.T_world_camera is not None
        for thing in self.mover[self.mover > 0].unique().tolist():
            own = []
            for source in self.sources:
                assert source.T_world_camera is not None
                moved = self.scene.movers.T_later_sooner(float(self.target.index), float(source.index))[thing - 1, None]
                # Seen from the thing itself, it is the camera that moves.
                T_world_seen = invert_pose(moved.to(source.T_world_camera)) @ source.T_world_camera
                warped = self._warped(source, relative_pose(self.target.T_world_camera, T_world_seen))
                own.append(photometric_error(warped.image, self._repeated(self.target)))
            error = torch.where(self.mover == thing, torch.stack(own).mean(dim=0), error)
        return error

    def _surface(self, frame: Clip) -> Int64[Tensor, "1 h w"]:
        """Which part of a thing, or face of the room, each pixel shows."""
        assert frame.T_world_camera is not None
        tiles = Tiles(self.config.height, self.config.width, frame.image.device)
        origin, direction = camera_packets(self._camera, frame.T_world_camera, tiles)
        return tiles.join(cast(self.scene.at(float(frame.index)), origin, direction).surface)

    def _sees(self, source: Clip) -> Bool[Tensor, "h w"]:
        """Target pixels whose point the source sees, exactly; a point of a moving thing goes along with it."""
        assert self.target.T_world_camera is not None and source.T_world_camera is not None
        poses = self.target.T_world_camera, source.T_world_camera
        time_a, time_b = (frame.index.to(poses[0]) for frame in (self.target, source))
        return exact_flow(self.scene, self._camera, *poses, time_a=time_a, time_b=time_b).visible[0]

    def _found(self, source: Clip) -> Correspondence:
        """Where every depth of the search finds the target's pixels in a source."""
        return correspond(self._depths(), self._camera, self.target.motion_to(source).expand(len(FACTORS), -1, -1))

    def _warped(self, source: Clip, T_source_target: Float[Tensor, "1 4 4"]) -> Warped:
        motion = T_source_target.expand(len(FACTORS), -1, -1)
        return inverse_warp(self._repeated(source), self._depths(), self._camera, motion)

    def _depths(self) -> Float[Tensor, "n 1 h w"]:
        assert self.target.depth is not None
        return self.target.depth * self.target.depth.new_tensor(FACTORS)[:, None, None, None]

    def _repeated(self, frame: Clip) -> Float[Tensor, "n 3 h w"]:
        return frame.image.expand(len(FACTORS), -1, -1, -1)

    @property
    def _camera(self) -> Camera:
        return self.config.camera()


def _inner(surface: Int64[Tensor, "1 h w"]) -> Int64[Tensor, "1 h w"]:
    """Surfaces, but for the pixels near an edge: there the window of SSIM, read between pixels, sees two of them."""
    value = surface.to(torch.float64)
    most, least = (sign * F.max_pool2d(sign * value, kernel_size=5, stride=1, padding=2) for sign in (1, -1))
    return torch.where(most == least, surface, _EDGE)


def _aligned(warped: Warped, target: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """The warped image with the mean and the deviation of the target's channels, over the pixels it shows."""
    shown = warped.visible[:, None].to(target)
    count = shown.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    means, deviations = [], []
    for image in (warped.image, target):
        mean = (image * shown).sum(dim=(2, 3), keepdim=True) / count
        means.append(mean)
        deviations.append((((image - mean).square() * shown).sum(dim=(2, 3), keepdim=True) / count).sqrt())
    gain = deviations[1] / deviations[0].clamp_min(1e-3)
    return ((warped.image - means[0]) * gain + means[1]).clamp(0, 1)
