"""Cameras, motions, depths and images for tests of warps; every one from its seed."""

import torch
from torch import Tensor

from stc_lab.geometry import Camera, pose_from


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Independent normal numbers; the same ones, rounded, in each dtype."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def some_depth(batch: int, height: int, width: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Known depths between 1.5 and 2.5 m without any smoothness."""
    return 2 + 0.5 * normal(batch, 1, height, width, seed=seed, dtype=dtype).sin()


def some_camera(
    height: int, width: int, *, batch: int = 1, seed: int = 0, skew: float = 0.0, dtype: torch.dtype = torch.float64
) -> Camera:
    """Cameras with fx != fy and the principal point off the centre, another one for each of the batch."""
    noise = 0.05 * normal(4, batch, seed=seed).sin()
    K = torch.zeros(batch, 3, 3, dtype=torch.float64)
    K[:, 0, 0], K[:, 1, 1] = width * (1.1 + noise[0]), width * (0.9 + noise[1])
    K[:, 0, 2], K[:, 1, 2] = (width - 1) * (0.5 + noise[2]), (height - 1) * (0.5 + noise[3])
    K[:, 0, 1], K[:, 2, 2] = skew, 1
    return Camera(K.to(dtype), height, width)


def some_motion(batch: int, *, seed: int = 0, size: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Rigid motions of about 4 degrees and 15 cm."""
    return pose_from(
        size * 0.04 * normal(batch, 3, seed=seed, dtype=dtype),
        size * 0.1 * normal(batch, 3, seed=seed + 1, dtype=dtype),
    )


def still(batch: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    """The identity pose."""
    return torch.eye(4, dtype=dtype).repeat(batch, 1, 1)


def shifted(x: float, y: float, z: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """A pose without rotation: T_b_a that adds (x, y, z) metres to the points of a."""
    T = still(1, dtype)
    T[0, :3, 3] = torch.tensor([x, y, z], dtype=dtype)
    return T


def pixel_grid(height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """(x, y) of each pixel centre, [1, 2, h, w]."""
    return torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"))[None].to(dtype)


def by_w_minus_one(pixels: Tensor, height: int, width: int) -> Tensor:
    """Positions as torch's grid [b, h, w, 2]: [-1, 1] from the first pixel's centre to the last one's."""
    return (pixels / pixels.new_tensor([width - 1, height - 1]).reshape(1, 2, 1, 1) * 2 - 1).permute(0, 2, 3, 1)
