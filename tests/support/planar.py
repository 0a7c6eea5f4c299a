"""A card before a wall, drawn from any camera by solving for each ray's hit: exact depth, colour, labels, visibility.

It shares no code with the package, so that warps can be held against it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    image: Tensor  # 1 3 h w
    depth: Tensor  # 1 1 h w
    label: Tensor  # 1 h w; 0 wall, 1 the card in front of it
    point: Tensor  # 3 h w, world


def draw(K: Tensor, height: int, width: int, T_world_camera: Tensor) -> View:
    """Slanted, textured wall z = 4 + 0.3 x - 0.2 y with an upright card (|x| < 0.5, |y| < 0.4) at z = 2; float64."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64), indexing="ij"
    )
    pixels = torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1)
    rays = T_world_camera[:3, :3] @ torch.linalg.inv(K.double()) @ pixels
    origin = T_world_camera[:3, 3:]
    wall_normal = torch.tensor([-0.3, 0.2, 1.0], dtype=torch.float64)
    to_wall = (4.0 - wall_normal @ origin) / (wall_normal @ rays)
    to_card = (2.0 - origin[2]) / rays[2]
    hit = origin + to_card * rays
    on_card = (hit[0].abs() < 0.5) & (hit[1].abs() < 0.4) & (to_card > 0)
    depth = torch.where(on_card, to_card, to_wall)
    point = (origin + depth * rays).reshape(3, height, width)
    px, py = point[0], point[1]
    image = torch.stack([(2 * px).sin(), (3 * py + px).cos(), (px * py).sin()]) * 0.25 + 0.5
    label = on_card.reshape(height, width).long()
    image = torch.where(label.bool(), 1 - image, image)
    return View(image[None], depth.reshape(1, 1, height, width), label[None], point)


def hidden(point: Tensor, T_world_camera: Tensor) -> Tensor:
    """Which world points (3 h w) the card hides from a camera, by crossing the line of sight with the card."""
    origin = T_world_camera[:3, 3]
    line = point - origin[:, None, None]
    share = (2.0 - origin[2]) / line[2]
    crossing = origin[:, None, None] + share * line
    return (share > 0) & (share < 1 - 1e-9) & (crossing[0].abs() < 0.5) & (crossing[1].abs() < 0.4)
