"""The rays of a camera's pixels, tile by tile: neighbouring rays meet the same few things."""

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.geometry.camera import Camera

TILE = 8  # side of the square of pixels whose rays form one packet


class Tiles:
    """The pixels of an image in square tiles, one packet each; tiles at the border repeat its last pixels."""

    def __init__(self, height: int, width: int, device: torch.device) -> None:
        rows, columns = -(-height // TILE), -(-width // TILE)
        y = torch.arange(rows * TILE, device=device).clamp_max(height - 1)
        x = torch.arange(columns * TILE, device=device).clamp_max(width - 1)
        pixel = y[:, None] * width + x
        self.count = rows * columns
        self._shape = (height, width)
        self._pixel = pixel.reshape(rows, TILE, columns, TILE).transpose(1, 2).reshape(-1)
        self._place = torch.empty(height * width, dtype=torch.int64, device=device)
        self._place[self._pixel] = torch.arange(len(self._pixel), device=device)

    def split(self, images: Float[Tensor, "c t h w"]) -> Float[Tensor, "c p r"]:
        """The pixels of each tile as a row; the tiles of an image lie together."""
        return images.flatten(2)[:, :, self._pixel].reshape(len(images), -1, TILE * TILE)

    def join(self, rows: Tensor) -> Tensor:
        """Values per ray [..., p, r] as images [..., t, h, w]."""
        flat = rows.reshape(*rows.shape[:-2], -1, self.count * TILE * TILE)
        return flat[..., self._place].unflatten(-1, self._shape)


def camera_packets(
    camera: Camera, T_world_camera: Float[Tensor, "t 4 4"], tiles: Tiles
) -> tuple[Float[Tensor, "p 3"], Float[Tensor, "3 p r"]]:
    """Origin of each tile's rays, and the rays in the world scaled to z = 1 in the camera, so that t is the depth."""
    rays = camera.rays().expand(len(T_world_camera), -1, -1, -1)
    direction = torch.einsum("tij,tjhw->ithw", T_world_camera[:, :3, :3], rays)
    return T_world_camera[:, :3, 3].repeat_interleave(tiles.count, dim=0), tiles.split(direction)
