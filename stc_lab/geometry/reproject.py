"""Where the pixels of one camera fall in another: the map that every warp, splat and rigid flow is built on."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.geometry.camera import MIN_DEPTH, Camera
from stc_lab.geometry.checks import expect_alike, expect_camera, expect_map
from stc_lab.geometry.pose import check_pose

FARTHEST = 1e30  # m: at and beyond this depth, products with it leave float32


@dataclass(frozen=True)
class Reprojection:
    """The pixels of camera a in camera b; finite everywhere, meaningful where `real`."""

    motion: Float[Tensor, "b 2 h w"]  # px; (x, y) in b minus (x, y) in a
    depth: Float[Tensor, "b 1 h w"]  # m; z in camera b
    real: Bool[Tensor, "b h w"]  # depth known, and the point in front of camera b

    @property
    def pixels(self) -> Float[Tensor, "b 2 h w"]:
        """(x, y) in b's image of each pixel of a, possibly outside of it."""
        return self.motion + pixel_grid(self.motion)


def pixel_grid(like: Float[Tensor, "b c h w"]) -> Float[Tensor, "1 2 h w"]:
    """(x, y) of each pixel centre of an image of this size."""
    height, width = like.shape[-2:]
    x = torch.arange(width, device=like.device, dtype=like.dtype).expand(height, width)
    y = torch.arange(height, device=like.device, dtype=like.dtype)[:, None].expand(height, width)
    return torch.stack([x, y])[None]


def inside(pixels: Float[Tensor, "b 2 h w"], height: int, width: int) -> Bool[Tensor, "b h w"]:
    """Which positions lie in an image of this size, 0 <= x <= width - 1 and 0 <= y <= height - 1; NaN does not."""
    x, y = pixels[:, 0], pixels[:, 1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def reproject(
    depth_a: Float[Tensor, "b 1 h w"],
    camera_a: Camera,
    T_b_a: Float[Tensor, "b 4 4"],
    camera_b: Camera,
    *,
    names: tuple[str, str] = ("a", "b"),
) -> Reprojection:
    """Project the pixels of camera a, at their depth, into camera b.

    With p = (x, y, 1) the pixel of b is K_b (R K_a^-1 p d + t) / z. What is computed is the difference to p,
    ((A p)_xy - (x, y) (A p)_z) d + ((K_b t)_xy - (x, y) t_z) over z, with A = K_b R K_a^-1 - 1 and
    z = (1 + (A p)_z) d + t_z: small motions keep their digits, and no motion is exactly zero.
    `names` are the frames' names in error messages.
    """
    a, b = names
    depth_name, pose_name = f"depth_{a}", f"T_{b}_{a}"
    expect_map(depth_name, depth_a, channels=1)
    check_pose(T_b_a, pose_name)
    expect_alike(pose_name, T_b_a, depth_name, depth_a)
    expect_camera(depth_name, depth_a, f"camera_{a}", camera_a)
    expect_camera(depth_name, depth_a.new_empty(()).expand(len(depth_a), 1, *camera_b.size), f"camera_{b}", camera_b)

    d = depth_a[:, 0]
    known = (d > 0) & (d < FARTHEST)
    d = torch.where(known, d, torch.ones_like(d))

    A = _homography_minus_one(camera_a, T_b_a[:, :3, :3], camera_b)
    shift = (camera_b.K @ T_b_a[:, :3, 3:])[:, :, :, None]  # K_b t, [b, 3, 1, 1]
    height, width = camera_a.size
    x = torch.arange(width, device=d.device, dtype=d.dtype)
    y = torch.arange(height, device=d.device, dtype=d.dtype)[:, None]
    turned = [A[:, i, 0, None, None] * x + A[:, i, 2, None, None] + A[:, i, 1, None, None] * y for i in range(3)]
    z = (turned[2] + 1) * d + shift[:, 2]
    front = z > MIN_DEPTH
    one_over_z = torch.where(front, z, torch.ones_like(z)).reciprocal()
    motion = [
        ((turned[i] - place * turned[2]) * d + (shift[:, i] - place * shift[:, 2])) * one_over_z
        for i, place in ((0, x), (1, y))
    ]
    return Reprojection(torch.stack(motion, dim=1), z[:, None], known & front)


def _homography_minus_one(camera_a: Camera, R: Float[Tensor, "b 3 3"], camera_b: Camera) -> Float[Tensor, "b 3 3"]:
    """K_b R K_a^-1 - 1, as (K_b K_a^-1 - 1) + K_b (R - 1) K_a^-1: exactly zero for R = 1 and equal cameras."""
    fx, skew, cx = camera_a.K[:, 0].unbind(dim=1)
    fy, cy = camera_a.K[:, 1, 1], camera_a.K[:, 1, 2]
    o = torch.zeros_like(fx)
    K_a_inverse = torch.stack(
        [1 / fx, -skew / (fx * fy), (skew * cy - cx * fy) / (fx * fy), o, 1 / fy, -cy / fy, o, o, o + 1], dim=1
    ).reshape(-1, 3, 3)
    scale_x, scale_y = camera_b.K[:, 0, 0] / fx, camera_b.K[:, 1, 1] / fy
    shear = (camera_b.K[:, 0, 1] - scale_x * skew) / fy
    o = torch.zeros_like(scale_x)
    change = torch.stack(
        [
            *(scale_x - 1, shear, camera_b.K[:, 0, 2] - scale_x * cx - shear * cy),
            *(o, scale_y - 1, camera_b.K[:, 1, 2] - scale_y * cy),
            *(o, o, o),
        ],
        dim=1,
    ).reshape(-1, 3, 3)
    turn = R - torch.eye(3, dtype=R.dtype, device=R.device)
    return change + camera_b.K @ turn @ K_a_inverse
