"""The frames of a clip as points of one world, how well they agree there, and what misreading a data set does to it."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.geometry import Camera, correspond, invert_pose, transform


@dataclass(frozen=True)
class WorldPoints:
    """Pixels of known depth, placed in the world."""

    xyz: Float[Tensor, "n 3"]  # m
    rgb: Float[Tensor, "n 3"]  # in [0, 1]
    frame: Int64[Tensor, " n"]  # position in the clip


def world_points(clip: Clip, *, most: int = 12_000, seed: int = 0) -> WorldPoints:
    """At most `most` pixels of the clip as points, drawn at random, as many of each frame as of any other."""
    clip.require("depth", "camera", "T_world_camera")
    assert clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
    if most < len(clip):
        raise InputError(f"most must allow a point for each of {len(clip)} frames, got {most}")
    dtype = clip.depth.dtype
    points = transform(clip.T_world_camera.to(dtype), clip.camera.to(dtype=dtype).backproject(clip.depth))
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for i in range(len(clip)):
        depth = clip.depth[i].flatten().cpu()
        known = (torch.isfinite(depth) & (depth > 0)).nonzero()[:, 0]
        chosen = known[torch.randperm(len(known), generator=generator)[: most // len(clip)]]
        parts.append((points[i].flatten(1).T[chosen], clip.image[i].flatten(1).T[chosen], torch.full_like(chosen, i)))
    return WorldPoints(*(torch.cat(values) for values in zip(*parts, strict=True)))


def without_ceiling(points: WorldPoints, clip: Clip, *, above: float = 0.2) -> WorldPoints:
    """The points not higher than `above` (m) over the highest camera: so that one can look into a room."""
    up = up_direction(clip)
    assert clip.T_world_camera is not None
    top = float((clip.T_world_camera[:, :3, 3].double().cpu() @ up).max()) + above
    low = points.xyz @ up.to(points.xyz) < top
    return WorldPoints(points.xyz[low], points.rgb[low], points.frame[low])


@dataclass(frozen=True)
class Misreading:
    """Mistakes in reading a data set; the defaults are none."""

    depth_factor: float = 1.0  # depth in the wrong unit
    focal_factor: float = 1.0  # K of another image size
    inverted: bool = False  # world-to-camera taken for camera-to-world
    along_ray: bool = False  # z taken for the length of the ray
    without_poses: bool = False  # control: as if the camera never moved

    def of(self, clip: Clip) -> Clip:
        """The clip as someone sees it who makes these mistakes."""
        clip.require("depth", "camera", "T_world_camera")
        assert clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
        if not (self.depth_factor > 0 and self.focal_factor > 0):
            raise InputError(f"factors must be positive, got {self.depth_factor} and {self.focal_factor}")
        K = clip.camera.K.clone()
        K[:, (0, 1), (0, 1)] *= self.focal_factor
        camera, depth, T = Camera(K, *clip.camera.size), clip.depth * self.depth_factor, clip.T_world_camera
        if self.along_ray:
            depth = depth / camera.rays().norm(dim=1, keepdim=True).to(depth.dtype)
        if self.inverted:
            T = invert_pose(T)
        if self.without_poses:
            T = T[:1].expand(len(T), -1, -1).contiguous()
        return replace(clip, camera=camera, depth=depth, T_world_camera=T)


def judging_gap(clip: Clip) -> int:
    """A sixth of the clip: far enough apart that mistakes show, near enough to see the same things."""
    return max(1, len(clip) // 6)


@dataclass(frozen=True)
class Disagreement:
    """How far the points of one frame lie from the surface that another frame sees on the same ray."""

    value: float | None  # median of |z / depth there - 1|; None if no point falls into the other image
    landed: float  # share of the points that fall into the other image, where its depth is known


def world_disagreement(clip: Clip, gap: int, *, stride: int = 2) -> Disagreement:
    """Do frames `gap` apart agree in the world? Over all such pairs, at every `stride`-th pixel of one frame.

    Hidden points are in it too: they lie behind the surface that is seen. A median forgives them as long as they are
    few, which is why small gaps judge best.
    """
    clip.require("depth", "camera", "T_world_camera")
    if not 0 < gap < len(clip):
        raise InputError(f"gap must lie between 1 and {len(clip) - 1} for {len(clip)} frames, got {gap}")
    a, b = clip[:-gap].strided(stride), clip[gap:]
    assert a.depth is not None and a.camera is not None and b.depth is not None and b.camera is not None
    dtype = a.depth.dtype
    found = correspond(
        a.depth, a.camera.to(dtype=dtype), a.motion_to(b).to(dtype), camera_source=b.camera.to(dtype=dtype)
    )
    height, width = b.camera.size
    x, y = (found.pixels[:, i].round().clamp(0, n - 1).long() for i, n in ((0, width), (1, height)))
    there = b.depth.flatten(1).gather(1, (y * width + x).flatten(1)).reshape(x.shape)
    landed = found.visible & torch.isfinite(there) & (there > 0)
    known = (torch.isfinite(a.depth) & (a.depth > 0)).sum()
    if not bool(landed.any()):
        return Disagreement(None, 0.0)
    off = (found.depth[:, 0][landed] / there[landed] - 1).abs()
    return Disagreement(float(off.median()), float(landed.sum() / known))


def up_direction(clip: Clip) -> Float[Tensor, "3"]:
    """The world's unit vector that points up, taken from the cameras: nobody holds them on the side for long."""
    clip.require("T_world_camera")
    assert clip.T_world_camera is not None
    up = -clip.T_world_camera[:, :3, 1].double().mean(dim=0)
    if float(up.norm()) < 0.1:
        raise InputError("the cameras of this clip have no upright in common, so that nobody can say where up is")
    up = up / up.norm()
    axis = int(up.abs().argmax())
    upright = torch.zeros_like(up)
    upright[axis] = up[axis].sign()
    # Worlds of rooms are aligned with gravity, cameras look down a little.
    return upright if float(up @ upright) > 0.8 else up
