"""Where the pixels of one camera fall in another: the map that every warp, splat and rigid flow is built on."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.geometry.camera import MIN_DEPTH, Camera
from stc_lab.geometry.checks import expect_alike, expect_camera, expect_depth
from stc_lab.geometry.pose import check_pose
from stc_lab.geometry.precision import product, working_dtype

FARTHEST = 1e20  # m: at and beyond it a depth counts as unknown, for products with it would leave float32


@dataclass(frozen=True)
class Reprojection:
    """The pixels of camera a in camera b; finite everywhere, meaningful where `real`."""

    pixels: Float[Tensor, "b 2 h w"]  # (x, y) in b's image, possibly outside of it; where not real, a's own pixel
    depth: Float[Tensor, "b 1 h w"]  # m; z in camera b
    real: Bool[Tensor, "b h w"]  # depth known, and the point in front of camera b


def pixel_grid(like: Float[Tensor, "b c h w"]) -> Float[Tensor, "1 2 h w"]:
    """(x, y) of each pixel centre of an image of this size."""
    height, width = like.shape[-2:]
    x = torch.arange(width, device=like.device, dtype=like.dtype).expand(height, width)
    y = torch.arange(height, device=like.device, dtype=like.dtype)[:, None].expand(height, width)
    return torch.stack([x, y])[None]


def inside(pixels: Float[Tensor, "b 2 h w"], height: int, width: int) -> Bool[Tensor, "b h w"]:
    """Which positions lie in an image of this size, 0 <= x <= width - 1 and 0 <= y <= height - 1; NaN does not.

    By the least of the four margins, whose sign is exact: one comparison costs as much as three subtractions.
    """
    x, y = pixels.detach().unbind(dim=1)
    margin_x, margin_y = torch.minimum(x, width - 1 - x), torch.minimum(y, height - 1 - y)
    return torch.minimum(margin_x, margin_y) >= 0


@dataclass(frozen=True)
class PixelMotion:
    """What moves the pixels of camera a to camera b, given their depth d.

    With p = (x, y, 1), a camera b like a would see p at K_a (R K_a^-1 p d + t) / z. What is computed is the difference
    to p, ((A p)_xy - (x, y) (A p)_z) d + ((K_a t)_xy - (x, y) t_z) over z, with A = K_a (R - 1) K_a^-1 and
    z = (1 + (A p)_z) d + t_z: no motion is exactly zero, whatever the depth. Another K is an affine map of the pixels,
    K_b K_a^-1, so that crops and strides are exact too.
    """

    motion: Float[Tensor, "b 3 4"]  # A and K_a t
    change: Float[Tensor, "b 5"]  # K_b K_a^-1: scale_x, scale_y, shear, offset_x, offset_y


def pixel_motion(camera_a: Camera, T_b_a: Float[Tensor, "b 4 4"], camera_b: Camera, dtype: torch.dtype) -> PixelMotion:
    """`PixelMotion` of a pose and two cameras, in `dtype`."""
    K, T = camera_a.K.to(dtype), T_b_a.to(dtype)
    A = product(K, T[:, :3, :3] - torch.eye(3, dtype=dtype, device=T.device), _inverse(K))
    motion = torch.cat([A, product(K, T[:, :3, 3:])], dim=2)
    if camera_b is camera_a:  # also its derivative vanishes
        return PixelMotion(motion, K.new_tensor([1, 1, 0, 0, 0]).expand(len(T), 5))
    K_a, K_b = (K.expand(len(T), 3, 3) for K in (K, camera_b.K.to(dtype)))
    return PixelMotion(motion, torch.stack(_pixel_map(K_a, K_b), dim=1))


def check_reprojection(
    depth_a: Float[Tensor, "b 1 h w"],
    camera_a: Camera,
    T_b_a: Float[Tensor, "b 4 4"],
    camera_b: Camera,
    names: tuple[str, str],
) -> None:
    """Raise unless these go together; `names` are the frames' names in the message."""
    a, b = names
    depth_name, pose_name = f"depth_{a}", f"T_{b}_{a}"
    expect_depth(depth_name, depth_a)
    check_pose(T_b_a, pose_name)
    expect_alike(pose_name, T_b_a, depth_name, depth_a)
    expect_camera(depth_name, depth_a, f"camera_{a}", camera_a)
    expect_camera(depth_name, depth_a, f"camera_{b}", camera_b, size=False)


def reproject(
    depth_a: Float[Tensor, "b 1 h w"],
    camera_a: Camera,
    T_b_a: Float[Tensor, "b 4 4"],
    camera_b: Camera,
    *,
    names: tuple[str, str] = ("a", "b"),
) -> Reprojection:
    """Project the pixels of camera a, at their depth, into camera b; `names` are the frames' in error messages.

    In float32, or in float64 if the depth is: see `PixelMotion` for the formula.
    """
    check_reprojection(depth_a, camera_a, T_b_a, camera_b, names)
    dtype = working_dtype(depth_a)
    d = depth_a[:, 0].to(dtype)
    moved = pixel_motion(camera_a, T_b_a, camera_b, dtype)
    A = moved.motion[:, :, :, None, None]
    height, width = camera_a.size
    x = torch.arange(width, device=d.device, dtype=dtype)
    y = torch.arange(height, device=d.device, dtype=dtype)[:, None]
    turned = [A[:, i, 0] * x + A[:, i, 1] * y + A[:, i, 2] for i in range(3)]
    known = known_depth(d)
    d = torch.where(known, d, torch.zeros_like(d))
    z = (turned[2] + 1) * d + A[:, 2, 3]
    real = known & (z > MIN_DEPTH)
    over = torch.where(real, z, torch.ones_like(z)).reciprocal()  # before the division: no NaN in its gradient either
    dx, dy = (
        ((turned[i] - place * turned[2]) * d + (A[:, i, 3] - place * A[:, 2, 3])) * over
        for i, place in ((0, x), (1, y))
    )
    scale_x, scale_y, shear, offset_x, offset_y = moved.change[:, :, None, None].unbind(dim=1)
    u = x + (scale_x * dx + shear * dy + ((scale_x - 1) * x + shear * y + offset_x))
    v = y + (scale_y * dy + ((scale_y - 1) * y + offset_y))
    pixels = torch.stack([torch.where(real, u, x.expand_as(u)), torch.where(real, v, y.expand_as(v))], dim=1)
    return Reprojection(pixels, z[:, None], real)


def known_depth(d: Float[Tensor, "b h w"]) -> Bool[Tensor, "b h w"]:
    """0 < d < FARTHEST, by the lesser of the margins; false for NaN."""
    d = d.detach()
    return torch.minimum(d, FARTHEST - d) > 0


def _inverse(K: Float[Tensor, "b 3 3"]) -> Float[Tensor, "b 3 3"]:
    """K^-1 of an upper triangular K."""
    fx, skew, cx = K[:, 0].unbind(dim=1)
    fy, cy = K[:, 1, 1], K[:, 1, 2]
    o, area = torch.zeros_like(fx), fx * fy
    rows = [1 / fx, -skew / area, (skew * cy - cx * fy) / area, o, 1 / fy, -cy / fy, o, o, o + 1]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def _pixel_map(K_a: Float[Tensor, "b 3 3"], K_b: Float[Tensor, "b 3 3"]) -> tuple[Tensor, ...]:
    """K_b K_a^-1 as (scale_x, scale_y, shear, offset_x, offset_y); exactly the identity for equal K."""
    scale_x, scale_y = K_b[:, 0, 0] / K_a[:, 0, 0], K_b[:, 1, 1] / K_a[:, 1, 1]
    shear = (K_b[:, 0, 1] - scale_x * K_a[:, 0, 1]) / K_a[:, 1, 1]
    offset_x = K_b[:, 0, 2] - scale_x * K_a[:, 0, 2] - shear * K_a[:, 1, 2]
    return scale_x, scale_y, shear, offset_x, K_b[:, 1, 2] - scale_y * K_a[:, 1, 2]
