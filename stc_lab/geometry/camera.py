"""The pinhole camera: intrinsics that travel with the image size they belong to (CONVENTIONS.md, pixels, cameras)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.precision import product, working_dtype

MIN_DEPTH = 1e-3  # m: nearer points count as behind the camera, so that x / z stays finite


@dataclass(frozen=True)
class Camera:
    """Pinhole intrinsics and the image size they were made for.

    Pixel centres are integers: the first pixel's centre is (0, 0) and an image spans [-0.5, width - 0.5].
    A batch of one camera serves a batch of any size.
    """

    K: Float[Tensor, "b 3 3"]  # px; rows (fx, skew, cx), (0, fy, cy), (0, 0, 1)
    height: int
    width: int

    def __post_init__(self) -> None:
        K = self.K
        if not isinstance(K, Tensor) or K.ndim != 3 or K.shape[1:] != (3, 3) or len(K) == 0:
            got = list(K.shape) if isinstance(K, Tensor) else type(K).__name__
            raise InputError(f"K must be a tensor [b, 3, 3], got {got}", hint="add a batch axis, K[None]")
        if K.dtype not in (torch.float32, torch.float64):
            raise InputError(
                f"K must be 32- or 64-bit floating point, got {K.dtype}",
                hint="half precision has no room for pixel coordinates, and integers none for focal lengths: K.float()",
            )
        for name, size in (("height", self.height), ("width", self.width)):
            if not isinstance(size, int | np.integer):
                raise InputError(f"{name} must be an int, got {type(size).__name__} {size}", hint=f"int({name})")
        if self.height < 1 or self.width < 1:
            raise InputError(f"camera image size must be at least 1 x 1, got {self.height} x {self.width}")
        values = K.detach().to("cpu", torch.float64).numpy()  # one transfer for all that is asked of them
        if not np.isfinite(values).all():
            raise InputError("K holds NaN or infinite values", hint="a missing calibration read as numbers")
        focal = values[:, (0, 1), (0, 1)]
        if (focal <= 0).any():
            raise InputError(
                f"focal lengths must be positive pixels, got fx {focal[:, 0].tolist()}, fy {focal[:, 1].tolist()}",
                hint="K must be the matrix that maps camera to pixels, not its inverse; with a zero it is singular",
            )
        if (values[:, 2] != (0, 0, 1)).any() or (values[:, 1, 0] != 0).any():
            raise InputError("K must be upper triangular with last row (0, 0, 1)", hint="a transposed K")

    @classmethod
    def from_matrix(
        cls,
        K: Sequence[Any] | np.ndarray | Tensor,
        *,
        height: int,
        width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> "Camera":
        """Camera from K, 3 x 3 or [b, 3, 3], in pixels of a `height` x `width` image.

        A tensor keeps its gradient, and its device where none is given.
        """
        try:
            values = K if isinstance(K, Tensor) else torch.from_numpy(np.array(K, dtype=np.float64))
            matrix = values.to(device=device, dtype=dtype)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"K must be 3 x 3 numbers: {error}", hint="rows of unequal length, or words") from error
        if matrix.ndim not in (2, 3) or matrix.shape[-2:] != (3, 3):
            raise InputError(f"K must be 3 x 3 or [b, 3, 3], got {list(matrix.shape)}", hint=_larger(matrix))
        camera = cls(matrix if matrix.ndim == 3 else matrix[None], height, width)
        fx, fy = (float(camera.K[:, i, i].detach().min()) for i in range(2))
        if fx < width / 200 or fy < height / 200:  # a field of view of 178.9 degrees
            raise InputError(
                f"K must be in pixels: focal lengths {fx:g}, {fy:g} are too short for {height} x {width} px",
                hint="values as fractions of the image size: Camera.from_normalised(fx, fy, cx, cy, ...)",
            )
        return camera

    @classmethod
    def from_normalised(
        cls,
        fx: float,
        fy: float,
        cx: float,
        cy: float,
        *,
        height: int,
        width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> "Camera":
        """Camera from fractions of the image's width (fx, cx) and height (fy, cy), as of KITTI: 0.58, 1.92, 0.5, 0.5.

        The fractions are measured from the image's edge, and the first pixel's centre lies half a pixel inside of it:
        c = cx width - 0.5, so that 0.5 is the middle (width - 1) / 2. monodepth2, which these KITTI values come from,
        takes cx width instead, and so do many copies: half a pixel off with its own integer pixel centres.
        """
        return cls.from_parameters(
            fx * width,
            fy * height,
            cx * width - 0.5,
            cy * height - 0.5,
            height=height,
            width=width,
            dtype=dtype,
            device=device,
        )

    @classmethod
    def from_fov(
        cls,
        height: int,
        width: int,
        horizontal_fov: float,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> "Camera":
        """Camera with square pixels and a centred principal point; `horizontal_fov` in degrees."""
        if not 0 < horizontal_fov < 180:
            raise InputError(f"horizontal_fov must lie between 0 and 180 degrees, got {horizontal_fov}")
        focal = width / 2 / math.tan(math.radians(horizontal_fov) / 2)
        return cls.from_parameters(
            focal, focal, (width - 1) / 2, (height - 1) / 2, height=height, width=width, dtype=dtype, device=device
        )

    @classmethod
    def from_parameters(
        cls,
        fx: float,
        fy: float,
        cx: float,
        cy: float,
        *,
        height: int,
        width: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> "Camera":
        """Camera from focal lengths and principal point, all in pixels of a `height` x `width` image."""
        K = torch.tensor([[[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]], dtype=dtype, device=device)
        return cls(K, height, width)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Camera":
        return Camera(self.K.to(device=device, dtype=dtype), self.height, self.width)

    def _mapped(self, sx: float, sy: float, ox: float, oy: float, height: int, width: int) -> "Camera":
        """The camera after the pixel map x -> sx x + ox, y -> sy y + oy."""
        pixel_map = self.K.new_tensor([[sx, 0.0, ox], [0.0, sy, oy], [0.0, 0.0, 1.0]])
        return Camera(product(pixel_map, self.K), height, width)

    def resized(self, height: int, width: int) -> "Camera":
        """Camera of the image after an `align_corners=False` resize: f' = f s, c' = (c + 0.5) s - 0.5."""
        sx, sy = width / self.width, height / self.height
        return self._mapped(sx, sy, 0.5 * sx - 0.5, 0.5 * sy - 0.5, height, width)

    def strided(self, step: int) -> "Camera":
        """Camera of `image[..., ::step, ::step]`: every step-th pixel from the first, c' = c / step."""
        if step < 1:
            raise InputError(f"step must be at least 1, got {step}")
        return self._mapped(1 / step, 1 / step, 0.0, 0.0, -(-self.height // step), -(-self.width // step))

    def cropped(self, top: int, left: int, height: int, width: int) -> "Camera":
        """Camera of `image[..., top:top+height, left:left+width]`."""
        if top < 0 or left < 0 or top + height > self.height or left + width > self.width:
            raise InputError(
                f"crop rows {top}:{top + height}, columns {left}:{left + width} leaves the "
                f"{self.height} x {self.width} image"
            )
        return self._mapped(1.0, 1.0, -float(left), -float(top), height, width)

    def flipped(self) -> "Camera":
        """Camera of the image mirrored left to right: cx -> width - 1 - cx.

        A mirrored image is a mirrored world: with M = diag(-1, 1, 1, 1), the motion between flipped frames is M T M.
        """
        K = self.K.clone()
        K[:, 0, 2] = self.width - 1 - K[:, 0, 2]
        K[:, 0, 1] = -K[:, 0, 1]
        return Camera(K, self.height, self.width)

    def expect_size(self, name: str, height: int, width: int) -> None:
        """Raise unless `name`, an array of `height` x `width` pixels, has the size of this camera."""
        if (height, width) != self.size:
            raise InputError(
                f"{name} is {height} x {width} px, but its camera's K belongs to {self.height} x {self.width} px",
                hint="resize the camera with the image: camera.resized(height, width)",
            )

    def rays(self) -> Float[Tensor, "b 3 h w"]:
        """Camera-frame direction of each pixel centre, scaled to z = 1."""
        x = torch.arange(self.width, device=self.K.device, dtype=self.K.dtype)
        y = torch.arange(self.height, device=self.K.device, dtype=self.K.dtype)[:, None]
        fx, skew, cx = (self.K[:, 0, i, None, None] for i in range(3))
        fy, cy = (self.K[:, 1, i, None, None] for i in (1, 2))
        ray_y = ((y - cy) / fy).expand(-1, -1, self.width)
        ray_x = (x - cx - skew * ray_y) / fx
        return torch.stack([ray_x, ray_y, torch.ones_like(ray_x)], dim=1)

    def backproject(self, depth: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Camera-frame points (m) of the pixels at this z-depth (m); half precision is lifted to float32."""
        from stc_lab.geometry.checks import expect_camera, expect_map  # they know cameras in turn

        expect_map("depth", depth, channels=1)
        expect_camera("depth", depth, "camera", self)
        return self.rays() * depth.to(working_dtype(depth))

    def project(self, points: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2 h w"]:
        """Pixel coordinates (x, y) of camera-frame points; finite, but meaningless where z <= MIN_DEPTH.

        Half precision is lifted to float32.
        """
        from stc_lab.geometry.checks import expect_camera, expect_map  # they know cameras in turn

        expect_map("points", points, channels=3)
        expect_camera("points", points, "camera", self, size=False)
        points = points.to(working_dtype(points))
        z = points[:, 2]
        z = torch.where(z > MIN_DEPTH, z, torch.ones_like(z))
        x, y = points[:, 0] / z, points[:, 1] / z
        K = self.K[:, :, :, None, None]
        return torch.stack([K[:, 0, 0] * x + K[:, 0, 1] * y + K[:, 0, 2], K[:, 1, 1] * y + K[:, 1, 2]], dim=1)


def _larger(matrix: Tensor) -> str:
    """The usual cause of a matrix that is no 3 x 3."""
    if matrix.shape[-2:] == (4, 4):
        return "ScanNet writes intrinsics as 4 x 4, with K in the upper left: K[:3, :3]"
    if matrix.shape[-2:] == (3, 4):
        return "a projection matrix P = K [R | t], like KITTI's P0, whose left 3 x 3 is K: P[:, :3]"
    return "a row of fx, fy, cx, cy: Camera.from_parameters(fx, fy, cx, cy, ...)"
