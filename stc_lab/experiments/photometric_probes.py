"""What the photometric error prefers before anything is trained: of depths and motions, and of focal lengths."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.errors import InputError
from stc_lab.geometry import Camera, inverse_warp, relative_pose, so3_log
from stc_lab.geometry.egomotion import Trust, fit_motion
from stc_lab.geometry.reconstruct import Matches
from stc_lab.losses import photometric_error
from stc_lab.training.depth_matches import MatchedClip, matched_clips, small_frames


@dataclass(frozen=True)
class ErrorLevels:
    """Mean photometric error of pairs of frames, where each claim sees them; what a minimum has to be lower than."""

    stride: int  # px: frames this much smaller
    gap: int  # frames
    true_depth: float  # and true motion
    true_depth_fitted: float  # and the motion that it and the flow come to
    flat_fitted: float  # one depth for each frame, its median, and the motion that it and the flow come to
    identity: float  # no warp

    @property
    def contrast(self) -> float:
        """Share of the error of a flat world that the true depth takes away."""
        return 1 - self.true_depth_fitted / self.flat_fitted


@torch.no_grad()
def error_levels(
    videos: Videos, *, strides: Sequence[int] = (1, 2), gaps: Sequence[int] = (1, 2, 4), cache: Path | str | None = None
) -> list[ErrorLevels]:
    """Whether the photometric error prefers the truth, before anything is trained: every fourth pair of each video."""
    films = matched_clips(videos, cache=cache)
    rows = []
    for stride in strides:
        for gap in gaps:
            found = torch.tensor([_levels(videos.clip(film.video), film, stride, gap) for film in films])
            rows.append(ErrorLevels(stride, gap, *found.mean(dim=0).tolist()))
    return rows


def _levels(clip: Clip, film: MatchedClip, stride: int, gap: int) -> list[float]:
    pairs = _Pairs.of(clip, film, gap, every=4)
    small = small_frames(clip.image, stride)
    assert clip.depth is not None
    flat = clip.depth.flatten(1).median(dim=1).values[:, None, None, None].expand_as(clip.depth)
    still = torch.eye(4).expand_as(pairs.T_b_a)

    def error(depth: Tensor, T_b_a: Tensor) -> float:
        return pairs.error(small, depth, T_b_a, pairs.camera)

    sure, doubting = Trust(0.125, 0.0), Trust(0.125, 0.3)
    return [
        error(clip.depth, pairs.T_b_a),
        error(clip.depth, pairs.fitted(clip.depth, pairs.camera, sure)),
        error(flat, pairs.fitted(flat, pairs.camera, doubting)),
        error(clip.depth, still),
    ]


@dataclass(frozen=True)
class FocalPull:
    """Which way the photometric error of turning pairs pulls log f, relative to the error; < 0: to a longer lens."""

    factor: float  # on the true focal length
    held: float  # the motion fitted at this focal length, and held: what a gradient sees
    followed: float  # the motion fitted anew on either side: what there is to walk down


@torch.no_grad()
def focal_pull(
    videos: Videos,
    *,
    factors: Sequence[float] = (0.8, 1.0, 1.25, 1.6),
    gap: int = 2,
    turning: float = 1.0,
    doubt: float = 0.3,
    flat: bool = False,
    cache: Path | str | None = None,
) -> list[FocalPull]:
    """Slopes over +-5 % of the focal length, for the true depth (or a `flat` one), pairs of clips that turn.

    `turning` is the median turn of a clip, degrees a frame.
    """
    rows = []
    films = [(videos.clip(film.video), film) for film in matched_clips(videos, cache=cache)]
    films = [(clip, film) for clip, film in films if _turn(clip) > turning]
    if not films:
        raise InputError(f"no clip turns by more than {turning} degrees a frame")
    trust = Trust(0.125, doubt)
    for factor in factors:
        held, followed = [], []
        for clip, film in films:
            pairs, small = _Pairs.of(clip, film, gap, every=2), small_frames(clip.image, 2)
            assert clip.depth is not None
            depth = clip.depth.flatten(1).median(dim=1).values[:, None, None, None] if flat else clip.depth
            depth = depth.expand_as(clip.depth)
            cameras = [_with_focal(pairs.camera, factor * change) for change in (0.95, 1.0, 1.05)]
            fits = [pairs.fitted(depth, camera, trust) for camera in cameras]
            low, middle, high = (pairs.error(small, depth, T, c) for T, c in zip(fits, cameras, strict=True))
            followed.append((high - low) / (0.1 * middle))
            low, high = (pairs.error(small, depth, fits[1], cameras[i]) for i in (0, 2))
            held.append((high - low) / (0.1 * middle))
        rows.append(FocalPull(factor, sum(held) / len(held), sum(followed) / len(followed)))
    return rows


@dataclass(frozen=True)
class _Pairs:
    """Pairs of frames a, b = a + gap of one clip."""

    film: MatchedClip
    a: list[int]
    b: list[int]
    T_b_a: Float[Tensor, "p 4 4"]
    camera: Camera  # of the clip's frames

    @classmethod
    def of(cls, clip: Clip, film: MatchedClip, gap: int, *, every: int) -> "_Pairs":
        clip.require("depth", "camera", "T_world_camera")
        assert clip.camera is not None and clip.T_world_camera is not None
        a = list(range(0, len(clip) - gap, every))
        b = [frame + gap for frame in a]
        T_b_a = relative_pose(clip.T_world_camera[a], clip.T_world_camera[b])
        return cls(film, a, b, T_b_a, Camera(clip.camera.K[:1], *clip.camera.size))

    def fitted(self, depth: Float[Tensor, "t 1 h w"], camera: Camera, trust: Trust) -> Float[Tensor, "p 4 4"]:
        """The motions that a depth and the flow come to."""
        matches = self.film.matches(list(zip(self.a, self.b, strict=True)))
        size = matches.forward.flow.shape[-2:]
        grid = 1 / F.interpolate(1 / depth, size=size, mode="area")
        both = torch.cat([grid[self.a], grid[self.b]])
        n = len(self.a)
        own = Matches(torch.stack([torch.arange(n), torch.arange(n) + n], dim=1), matches.forward, matches.backward)
        return fit_motion(own.sight(both, camera.resized(*size)), trust=trust)

    def error(self, small: Tensor, depth: Tensor, T_b_a: Tensor, camera: Camera) -> float:
        """Mean photometric error of b, warped to a, where it is visible."""
        size = small.shape[-2:]
        near = 1 / F.interpolate(1 / depth[self.a], size=size, mode="area")
        warped = inverse_warp(small[self.b], near, camera.resized(*size), T_b_a)
        return float(photometric_error(warped.image, small[self.a])[warped.visible].double().mean())


def _with_focal(camera: Camera, factor: float) -> Camera:
    f = [factor, factor, 1.0]
    return Camera(camera.K * camera.K.new_tensor([f, f, [1.0, 1.0, 1.0]]), *camera.size)


def _turn(clip: Clip) -> float:
    """Degrees a frame, median."""
    return float(so3_log(clip[:-1].motion_to(clip[1:])[:, :3, :3]).norm(dim=1).rad2deg().median())
