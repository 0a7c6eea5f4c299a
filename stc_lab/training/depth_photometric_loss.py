"""Two published losses of depth and motion on frames and their neighbours: monodepth2's and Gordon et al.'s.

Both take frames in threes, earlier, target, later, and the motions of the pairs (earlier, target) and (target, later).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.geometry import Camera, Correspondence, Warped, correspond, inverse_warp_sources, invert_pose, sample
from stc_lab.geometry.camera import MIN_DEPTH
from stc_lab.geometry.pose import transform
from stc_lab.geometry.reproject import inside
from stc_lab.losses import (
    GORDON_2019,
    edge_aware_smoothness,
    minimum_reprojection,
    motion_consistency,
    motion_field_smoothness,
    photometric_error,
    rgbd_consistency,
)
from stc_lab.models import full_size
from stc_lab.training.depth_photometric_recipe import PhotometricRecipe

_MOTION_SMOOTHNESS = 1e-3  # of Gordon et al.'s code, on the translation field


@dataclass(frozen=True)
class PairMotions:
    """Motions of p pairs of frames (a, b), a the earlier one; `camera` belongs to some size of the frames."""

    T_b_a: Float[Tensor, "p 4 4"]
    T_a_b: Float[Tensor, "p 4 4"]
    camera: Camera  # of both frames: one for all pairs, or one for each
    residual_a: Float[Tensor, "p 3 _ _"] | None = None  # on a's grid, added to T_b_a's translation
    residual_b: Float[Tensor, "p 3 _ _"] | None = None

    def camera_of(self, height: int, width: int) -> Camera:
        """The pairs' camera for frames of another size."""
        return self.camera.resized(height, width)


@dataclass(frozen=True)
class PhotometricLoss:
    """What to minimise, and the parts it is made of, unweighted."""

    total: Float[Tensor, ""]
    parts: dict[str, float]


def monodepth2_loss(
    frames: Float[Tensor, "b 3 3 h w"],
    disparities: tuple[Float[Tensor, "b 1 _ _"], ...],
    motions: PairMotions,
    recipe: PhotometricRecipe,
    *,
    generator: torch.Generator | None = None,
) -> PhotometricLoss:
    """Minimum reprojection over two sources, auto-masked, at every scale (Godard et al. 2019, Eq. 4, 5 and 6).

    `disparities` are the targets', finest first; each is brought to the frames' size before it warps, and its
    smoothness weighs `recipe.smoothness` / 2^scale. Two motions of each target, as of `PairMotions`: 2 b pairs.
    """
    target, sources = frames[:, 1], frames[:, (0, 2)]
    size = target.shape[-2:]
    T_sources_target = torch.stack([motions.T_a_b[0::2], motions.T_b_a[1::2]], dim=1)
    camera = motions.camera_of(*size)
    if len(camera.K) > 1:  # a target has one camera, and two pairs that tell it
        camera = Camera((camera.K[0::2] + camera.K[1::2]) / 2, *size)
    identity = _errors(sources, target) if recipe.auto_mask else None
    totals, photometric, smooth, moving = [], 0.0, 0.0, 0.0
    for scale, disparity in enumerate(disparities):
        warped = inverse_warp_sources(sources, 1 / full_size(disparity, *size), camera, T_sources_target)
        errors = _errors(warped.image, target)
        least = minimum_reprojection(
            errors, warped.visible, identity_errors=identity, generator=generator, official=recipe.official
        )
        small = F.interpolate(target, size=disparity.shape[-2:], mode="area")
        rough = edge_aware_smoothness(disparity, small)
        totals.append(least.total + recipe.smoothness / 2**scale * rough)
        if scale == 0:
            photometric, smooth = float(least.total.detach()), float(rough.detach())
            moving = float(least.support) / least.map.numel()
    total = torch.stack(totals).mean()
    return PhotometricLoss(total, {"photometric": photometric, "smoothness": smooth, "counted": moving})


def gordon_loss(
    frames: Float[Tensor, "b 3 3 h w"],
    disparity: Float[Tensor, "n 1 _ _"],
    motions: PairMotions,
    recipe: PhotometricRecipe,
) -> PhotometricLoss:
    """Depth, colour and structure of each pair both ways, and their motions' consistency (Gordon et al. 2019).

    `disparity` is that of all n = 3 b frames; the weights are those of the published code, and its sums over the pairs
    are means here. The depth of the other frame has no gradient where it is sampled.
    """
    b, _, _, *size = frames.shape
    images = frames.flatten(0, 1)
    depth = 1 / full_size(disparity, *size)
    first = torch.arange(3 * b, device=frames.device).reshape(b, 3)[:, :2].reshape(-1)
    a, b_ = first, first + 1
    camera = motions.camera_of(*size)
    there = _Way(images[a], images[b_], depth[a], depth[b_], motions.T_b_a, motions.residual_a)
    back = _Way(images[b_], images[a], depth[b_], depth[a], motions.T_a_b, motions.residual_b)
    total = frames.new_zeros(())
    parts = {"depth": 0.0, "colour": 0.0, "structure": 0.0, "counted": 0.0, "rotation": 0.0, "translation": 0.0}
    for way, other in ((there, back), (back, there)):
        found = way.correspondence(camera)
        warped = Warped(sample(way.other_image, found), found.visible)
        depth_warped = sample(way.other_depth.detach(), found)
        rgbd = rgbd_consistency(warped, way.image, found.depth, depth_warped, GORDON_2019, official=recipe.official)
        total = total + rgbd.total
        for name in ("depth", "colour", "structure"):
            parts[name] += float(getattr(rgbd, name).detach()) / 2
        parts["counted"] += float(rgbd.support) / rgbd.closer.numel() / 2
        if recipe.pose == "net":  # motions that are found or known undo each other
            field = other.translation(size)
            motion = motion_consistency(
                way.T[:, :3, :3],
                way.translation(size),
                other.T[:, :3, :3],
                sample(field, found.pixels.detach()),
                rgbd.closer,
                official=recipe.official,
            )
            total = total + motion.total
            parts["rotation"] += float(motion.rotation.detach()) / 2
            parts["translation"] += float(motion.translation.detach()) / 2
        if way.residual is not None:
            own = way.translation(size)
            total = total + _MOTION_SMOOTHNESS * motion_field_smoothness(own, wrap=True, sparsity_weight=0.0).total
    small = F.interpolate(images, size=disparity.shape[-2:], mode="area")
    rough = edge_aware_smoothness(disparity, small)
    return PhotometricLoss(total + recipe.smoothness * rough, parts | {"smoothness": float(rough.detach())})


@dataclass(frozen=True)
class _Way:
    """Frames and the frames that they are looked up in."""

    image: Float[Tensor, "p 3 h w"]
    other_image: Float[Tensor, "p 3 h w"]
    depth: Float[Tensor, "p 1 h w"]
    other_depth: Float[Tensor, "p 1 h w"]
    T: Float[Tensor, "p 4 4"]  # T_other_this
    residual: Float[Tensor, "p 3 _ _"] | None

    def translation(self, size: list[int]) -> Float[Tensor, "p 3 h w"]:
        """Of each pixel: the camera's, and its own."""
        camera = self.T[:, :3, 3, None, None].expand(-1, -1, *size)
        return camera if self.residual is None else camera + full_size(self.residual, *size)

    def correspondence(self, camera: Camera) -> Correspondence:
        if self.residual is None:
            return correspond(self.depth, camera, self.T)
        moved = transform(self.T, camera.backproject(self.depth)) + full_size(self.residual, *camera.size)
        pixels, depth = camera.project(moved), moved[:, 2:]
        return Correspondence(pixels, depth, (depth[:, 0] > MIN_DEPTH) & inside(pixels, *camera.size))


def _errors(images: Float[Tensor, "b s 3 h w"], target: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b s h w"]:
    s = images.shape[1]
    return photometric_error(images.flatten(0, 1), target.repeat_interleave(s, dim=0)).unflatten(0, (-1, s))


def there_and_back(T_b_a: Float[Tensor, "p 4 4"], camera: Camera) -> PairMotions:
    """Motions that are known rather than guessed: the way back undoes the way there."""
    return PairMotions(T_b_a, invert_pose(T_b_a), camera)
