"""Cameras that a network computes: from a pair's features, or one learned camera per video."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.geometry import Camera
from stc_lab.geometry.precision import working_dtype


def camera_from_raw(raw: Float[Tensor, "b 4"], height: int, width: int, *, square_pixels: bool = False) -> Camera:
    """Camera of four raw numbers (fx, fy, cx, cy), after Gordon et al. (2019), section 3.2.

    f = softplus(raw) (width, height), and c = (raw + 0.5) (width, height) - 0.5: raw zeros put the principal point in
    the middle of the image, (width - 1) / 2 where pixel centres are integers. Gordon's code leaves out the last half
    pixel. With `square_pixels`, fy is not read: fy = fx.
    """
    raw = raw.to(working_dtype(raw))
    size = raw.new_tensor([width, height])
    focal = F.softplus(raw[:, :1]).expand(-1, 2) * width if square_pixels else F.softplus(raw[:, :2]) * size
    centre = (raw[:, 2:] + 0.5) * size - 0.5
    zero = torch.zeros_like(raw[:, 0])
    rows = [focal[:, 0], zero, centre[:, 0], zero, focal[:, 1], centre[:, 1], zero, zero, zero + 1]
    return Camera(torch.stack(rows, dim=1).reshape(-1, 3, 3), height, width)


def average_camera(*cameras: Camera) -> Camera:
    """Mean of the matrices: Gordon et al. use K = (K(i, j) + K(j, i)) / 2 of a pair's two orders."""
    first = cameras[0]
    for camera in cameras[1:]:
        camera.expect_size("the first camera's image", *first.size)
    return Camera(torch.stack([camera.K for camera in cameras]).mean(dim=0), first.height, first.width)


def raw_of_share(share: float) -> float:
    """The raw number of a focal length that is `share` of the image's side."""
    if not 0 < share < math.inf:
        raise InputError(f"initial_focal must be a positive share of the image's side, got {share}")
    return share + math.log(-math.expm1(-share))


class PairIntrinsics(nn.Module):
    """A camera for each pair, from the motion net's bottleneck; the centre's offsets have no bias (Gordon et al.)."""

    def __init__(self, channels: int, *, initial_focal: float, square_pixels: bool, learn_centre: bool) -> None:
        super().__init__()
        self.square_pixels = square_pixels
        self.initial_raw = raw_of_share(initial_focal)
        self.focal = nn.Linear(channels, 1 if square_pixels else 2)
        self.centre = nn.Linear(channels, 2, bias=False) if learn_centre else None
        self.calm()

    def calm(self) -> None:
        """Start near the initial focal length and the middle of the image; again after drawing weights anew."""
        with torch.no_grad():
            self.focal.weight.mul_(0.1)
            self.focal.bias.fill_(self.initial_raw)
            if self.centre is not None:
                self.centre.weight.mul_(0.01)

    def forward(self, bottleneck: Float[Tensor, "b c"], height: int, width: int) -> Camera:
        focal = self.focal(bottleneck)
        centre = torch.zeros_like(focal[:, :1]).expand(-1, 2) if self.centre is None else self.centre(bottleneck)
        raw = torch.cat([focal.expand(-1, 2), centre], dim=1)
        return camera_from_raw(raw, height, width, square_pixels=self.square_pixels)


class SharedIntrinsics(nn.Module):
    """One learned camera for each of `cameras` videos (or for all of them, where there is one)."""

    def __init__(self, cameras: int, *, initial_focal: float, square_pixels: bool, learn_centre: bool) -> None:
        super().__init__()
        if cameras < 1:
            raise InputError(f"cameras must be at least 1, got {cameras}")
        self.cameras, self.square_pixels = cameras, square_pixels
        # Vectors rather than matrices: a file in half precision keeps these exact.
        self.focal = nn.Parameter(torch.full((cameras * (1 if square_pixels else 2),), raw_of_share(initial_focal)))
        self.centre = nn.Parameter(torch.zeros(cameras * 2)) if learn_centre else None

    def forward(self, index: Int[Tensor, "b"], height: int, width: int) -> Camera:
        if int(index.min()) < 0 or int(index.max()) >= self.cameras:
            raise InputError(f"video must hold 0 to {self.cameras - 1}, got {index.tolist()}")
        focal = self.focal.reshape(self.cameras, -1)[index]
        centre = (
            torch.zeros_like(focal[:, :1]).expand(-1, 2) if self.centre is None else self.centre.reshape(-1, 2)[index]
        )
        raw = torch.cat([focal.expand(-1, 2), centre], dim=1)
        return camera_from_raw(raw, height, width, square_pixels=self.square_pixels)
