"""Things that move through a room: each rigid, on a closed smooth path, turned to where it goes."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Movers:
    """Paths of a room's moving things, as formulas of time: ellipses on the floor plan, with or without hops.

    Time counts frames from the first one; it may be a fraction, as during an exposure.
    """

    of: Int64[Tensor, " n"]  # which thing each primitive of the room belongs to, from 0; -1: it stands still
    centre: Float[Tensor, "m 2"]  # m: middle of the ellipse
    axes: Float[Tensor, "m 2"]  # m: its half axes, both positive
    heading: Float[Tensor, " m"]  # rad: direction of the first axis
    rate: Float[Tensor, " m"]  # rad per frame; the sign says which way round
    phase: Float[Tensor, " m"]  # rad, at time 0
    hop: Float[Tensor, " m"]  # m: height of the hops; 0 stays on the ground
    hops: Float[Tensor, " m"]  # rad per frame: 2 pi over the frames of a hop

    def __len__(self) -> int:
        return len(self.rate)

    def T_world_object(self, time: Float[Tensor, " t"]) -> Float[Tensor, "t m 4 4"]:
        """Pose of each thing at each time; its own axes have y forward and z up, with the origin on the floor below."""
        time = time.to(device=self.rate.device)[:, None]
        angle = self.phase + self.rate * time
        along, across = self.heading.cos(), self.heading.sin()

        def placed(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return along * x - across * y, across * x + along * y

        x, y = placed(self.axes[:, 0] * angle.cos(), self.axes[:, 1] * angle.sin())
        sign = self.rate.sign()
        forward_x, forward_y = placed(-sign * self.axes[:, 0] * angle.sin(), sign * self.axes[:, 1] * angle.cos())
        length = (forward_x.square() + forward_y.square()).sqrt()
        cosine, sine = forward_y / length, -forward_x / length
        up = 0.5 * self.hop * (1 - (self.hops * time).cos())
        zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
        rows = [
            [cosine, -sine, zero, self.centre[:, 0] + x],
            [sine, cosine, zero, self.centre[:, 1] + y],
            [zero, zero, one, up],
            [zero, zero, zero, one],
        ]
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)

    def T_later_sooner(self, sooner: float, later: float) -> Float[Tensor, "m 4 4"]:
        """Rigid motion of each thing between two times, in the world: X(later) = T X(sooner)."""
        before, after = self.T_world_object(self.rate.new_tensor([sooner, later]))
        turn = after[:, :3, :3] @ before[:, :3, :3].transpose(1, 2)
        T = after.clone()
        T[:, :3, :3] = turn
        T[:, :3, 3:] = after[:, :3, 3:] - turn @ before[:, :3, 3:]
        return T

    def speed(self) -> Float[Tensor, " m"]:
        """Mean speed (m per frame) on the floor plan, over a round: that of the circle of equal mean square axis."""
        return self.rate.abs() * (self.axes.square().sum(dim=1) / 2).sqrt()


def ellipse_rate(speed: float, axes: tuple[float, float]) -> float:
    """Angle per frame (rad) that goes round an ellipse of these half axes (m) at about `speed` (m per frame)."""
    return speed / math.sqrt((axes[0] ** 2 + axes[1] ** 2) / 2)
