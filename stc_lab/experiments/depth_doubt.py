"""The idea of `fit_motion` in one picture: where a doubted depth lets a pixel land, and where the flow says it did."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.depth_lesson import FLOW_STRIDE, Moment, grid_flows, grid_sight
from stc_lab.geometry import Camera, correspond
from stc_lab.geometry.egomotion import Trust, fit_motion
from stc_lab.geometry.landing import landing_errors

Place = tuple[float, float]
TRUST = Trust(0.5 / FLOW_STRIDE, 0.5)  # of the grid of the flow: that of the first training steps
_DEVIATIONS = 2.0  # how far the ellipse reaches
_CORNERS = 41  # the first once more at the end


@dataclass(frozen=True)
class Doubt:
    """One pixel of the target as the source should show it, in px of the source."""

    pixel: Place  # in the target
    expected: Place  # where depth and motion put it
    found: Place  # where the flow puts it
    line: tuple[Place, ...]  # where it would be if the depth were off by up to one deviation, near to far
    ellipse: tuple[Place, ...]  # two deviations of the difference that is expected: what is inside surprises nobody
    along: float  # px from expected to found, along the line
    across: float  # px, across it
    allowed: bool  # the flow lies inside the ellipse


def doubts(
    moment: Moment, source: int, depth: Float[Tensor, "1 1 h w"], depth_source: Float[Tensor, "1 1 h w"], camera: Camera
) -> list[Doubt]:
    """Pixels on a regular grid whose flow is to be believed, under the motion that is fitted from this depth."""
    flows = grid_flows(moment.target, moment.sources[source])
    sight = grid_sight(flows, depth, depth_source, camera)
    T = fit_motion(sight, trust=TRUST)
    factors = torch.linspace(-1, 1, 9).mul(TRUST.log_depth).exp()
    ways = correspond(sight.depth_a * factors[:, None, None, None], sight.camera, T.expand(len(factors), -1, -1)).pixels
    height, width = sight.depth_a.shape[-2:]
    landed = landing_errors(sight.depth_a, flows[0].flow, sight.camera, T)
    error, slide = (value[0].reshape(2, height, width) for value in (landed.error, landed.by_log_depth))
    answer = []
    for y in range(height // 8, height, height // 4):
        for x in range(width // 12, width, width // 6):
            if bool(flows[0].visible[0, y, x] & landed.real[0].reshape(height, width)[y, x]):
                pixel = torch.tensor([float(x), float(y)])
                found = pixel + flows[0].flow[0, :, y, x]
                answer.append(_doubt(pixel, found + error[:, y, x], found, ways[:, :, y, x], slide[:, y, x]))
    if not answer:
        raise InputError("no pixel of the grid has a flow to be believed", hint="frames that do not overlap")
    return answer


def _doubt(pixel: Tensor, expected: Tensor, found: Tensor, way: Float[Tensor, "n 2"], slide: Tensor) -> Doubt:
    length = slide.norm().clamp(min=1e-9)
    direction = slide / length
    normal = torch.stack([-direction[1], direction[0]])
    near = _DEVIATIONS * TRUST.flow
    far = _DEVIATIONS * (TRUST.flow**2 + (TRUST.log_depth * length) ** 2).sqrt()
    angles = torch.linspace(0, 2 * torch.pi, _CORNERS)[:, None]
    around = expected + far * angles.cos() * direction + near * angles.sin() * normal
    missed = found - expected
    along, across = missed @ direction, missed @ normal
    return Doubt(
        _place(pixel),
        _place(expected),
        _place(found),
        tuple(_place(one) for one in way),
        tuple(_place(one) for one in around),
        FLOW_STRIDE * abs(float(along)),
        FLOW_STRIDE * abs(float(across)),
        bool((along / far) ** 2 + (across / near) ** 2 <= 1),
    )


def _place(point: Float[Tensor, " 2"]) -> Place:
    """From the grid of the flow to px of the frames."""
    x, y = (FLOW_STRIDE * point + (FLOW_STRIDE - 1) / 2).tolist()
    return x, y
