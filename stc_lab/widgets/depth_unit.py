"""The unit bench: multiply the depth by a factor, and see at once where L_p and L_h still press."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.depth_edge_losses import INSIDE, PLACES, depth_steps, loss_shares
from stc_lab.experiments.depth_edge_study import edge_kinds
from stc_lab.losses import EdgeLoss, edge_loss_h, edge_loss_p
from stc_lab.plots.depth_edges import edge_panel, weight_curves
from stc_lab.plots.panels import value_panel
from stc_lab.widgets.explorer import Explorer, Picture, Table

LOSSES: Mapping[str, Callable[..., EdgeLoss]] = MappingProxyType(
    {"L_h": edge_loss_h, "L_p": edge_loss_p, "L_h as printed": partial(edge_loss_h, official=True)}
)
LARGEST = {"L_h": 0.5, "L_p": 1.0, "L_h as printed": 0.5}  # of the colour scale, slopes along x and y together


@dataclass(frozen=True)
class UnitState:
    """Where the controls of the unit bench stand."""

    scale: float = 1.0  # by which the depth, in metres, is multiplied
    loss: str = "L_h"
    depth: str = "exact"  # which of the depths
    normalise: bool = False  # divide the depth by its mean


def unit_picture(
    frame: Clip,
    probabilities: Float[Tensor, "1 k h w"],
    depths: Mapping[str, Float[Tensor, "1 1 h w"]],
    state: UnitState,
) -> Picture:
    """Edges, weight and loss of a frame with one of these depths, with the numbers beside those of other units."""
    frame.require("label", "depth")
    assert frame.label is not None and frame.depth is not None
    if state.loss not in LOSSES or state.depth not in depths:
        raise InputError(
            f"loss must be one of {', '.join(LOSSES)} and depth one of {', '.join(depths)}, "
            f"got {state.loss!r} and {state.depth!r}"
        )
    metres = depths[state.depth]
    steps = depth_steps(frame.label, metres, truth=frame.depth)
    loss = LOSSES[state.loss]

    def row(scale: float, normalise: bool) -> tuple[tuple[str, ...], EdgeLoss]:
        found = loss(probabilities, metres * scale, normalise="mean" if normalise else None)
        weights = steps.weights(1 / steps.mean if normalise else scale)
        inside = loss_shares(found.map, frame.label, frame.depth)[INSIDE]  # type: ignore[arg-type]  # required above
        return (f"{float(found.total):.4f}", *(f"{weights[p]:.2f}" for p in PLACES), f"{100 * inside:.0f} %"), found

    here, found = row(state.scale, state.normalise)
    factor = 1 / steps.mean if state.normalise else state.scale
    panels = (
        edge_panel(edge_kinds(frame.label, frame.depth)[0], frame.image[0], "edges of labels and of depth"),
        value_panel(weight_map(metres * factor)[0], "e^-|dD|", "weight", "mean of right and down", high=1.0),
        value_panel(
            found.map[0], f"{state.loss} at each pixel", state.loss, f"mean {here[0]}", high=LARGEST[state.loss]
        ),
    )
    columns = (state.loss, *(f"weight: {place}" for place in PLACES), f"share of {state.loss} inside")
    rows = {
        "as the controls say": here,
        "in metres": row(1.0, False)[0],
        "in millimetres": row(1000.0, False)[0],
        "divided by its mean": row(1.0, True)[0],
    }
    chart = weight_curves(steps, normalised=state.normalise, at=state.scale)
    note = "Divided by its mean, the depth has no unit: the factor does nothing." if state.normalise else ""
    return Picture(panels, Table(columns, rows), note, chart)


def weight_map(depth: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b h w"]:
    """The mean of e^-|dD| to the right and e^-|dD| downwards; in the last column and row that of the one there is."""
    across, down = ((-depth[:, 0].diff(dim=axis).abs()).exp() for axis in (2, 1))
    b, _, h, w = depth.shape
    total, count = torch.zeros_like(depth[:, 0]), torch.zeros(b, h, w, device=depth.device)
    total[:, :, :-1] += across
    total[:, :-1] += down
    count[:, :, :-1] += 1
    count[:, :-1] += 1
    return torch.where(count > 0, total / count.clamp(min=1), 1)


def unit_bench(
    frame: Clip, probabilities: Float[Tensor, "1 k h w"], depths: Mapping[str, Float[Tensor, "1 1 h w"]]
) -> Explorer:
    """A slider over the factor on the depth, 0.01 to 1000, with live maps, numbers and curves; opens in metres."""
    if len(frame) != 1 or not depths:
        raise InputError(f"the unit bench needs one frame and at least one depth, got {len(frame)} and {len(depths)}")
    opening = UnitState(depth=next(iter(depths)))

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Checkbox, Dropdown, FloatLogSlider

        return {
            "scale": FloatLogSlider(
                value=1.0, base=10, min=-2, max=3, step=0.1, readout_format=".3g", description="factor on the depth"
            ),
            "loss": Dropdown(options=list(LOSSES), value=opening.loss, description="loss"),
            "depth": Dropdown(options=list(depths), value=opening.depth, description="depth"),
            "normalise": Checkbox(value=False, description="divide by the mean"),
        }

    def picture(**state: Any) -> Picture:
        return unit_picture(frame, probabilities, depths, UnitState(**state))

    return Explorer("Unit bench", controls, picture, vars(opening))
