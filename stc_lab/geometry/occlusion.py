"""Which pixels another frame sees, judged from two flows where no depth is known."""

from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.flow import warp_by_flow


def forward_backward_visible(
    flow_ab: Float[Tensor, "b 2 h w"],
    flow_ba: Float[Tensor, "b 2 h w"],
    *,
    relative: float = 0.01,
    absolute: float = 0.5,
) -> Bool[Tensor, "b h w"]:
    """Which pixels of a are seen in b: where following flow_ab and then flow_ba leads back.

    Ruder et al. 2016: |w + w~|^2 < relative (|w|^2 + |w~|^2) + absolute (px^2), with w~ the flow b -> a sampled at
    x + w. What leaves the frame is not visible. Their extra test for motion boundaries is left out: it marks pixels
    that are seen but unreliable.
    """
    if not (relative >= 0 and absolute >= 0):
        raise InputError(f"tolerances must not be negative, got {relative} and {absolute}")
    back = warp_by_flow(flow_ba, flow_ab)
    error = (flow_ab + back.image).square().sum(dim=1)
    length = flow_ab.square().sum(dim=1) + back.image.square().sum(dim=1)
    return back.visible & (error < relative * length + absolute)
