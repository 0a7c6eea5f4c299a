"""The card before a wall (planar.py) as a clip, seen from cameras that only step aside or forth."""

from collections.abc import Sequence

import torch
from planar import draw

from stc_lab.data.frames import Clip
from stc_lab.geometry import Camera, so3_exp

SIZE = (36, 48)


def planar_clip(positions: Sequence[Sequence[float]], *, turns: Sequence[Sequence[float]] | None = None) -> Clip:
    """A frame for each camera position (m), with its axis-angle turn (rad), by default none; float64 throughout."""
    camera = Camera.from_fov(*SIZE, 60.0, dtype=torch.float64)
    T = torch.eye(4, dtype=torch.float64).repeat(len(positions), 1, 1)
    T[:, :3, 3] = torch.tensor(positions, dtype=torch.float64)
    if turns is not None:
        T[:, :3, :3] = so3_exp(torch.tensor(turns, dtype=torch.float64))
    views = [draw(camera.K[0], *SIZE, pose) for pose in T]
    index = torch.arange(len(positions))
    return Clip(
        video=("planar",) * len(positions),
        index=index,
        time=index.double(),
        image=torch.cat([view.image for view in views]),
        label=torch.cat([view.label for view in views]),
        depth=torch.cat([view.depth for view in views]),
        camera=Camera(camera.K.expand(len(positions), -1, -1), *SIZE),
        T_world_camera=T,
    )
