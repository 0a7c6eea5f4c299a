"""Small tracking clips, a depth net that says one depth everywhere, and a depth study that was never run."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from stc_lab.data import Clip
from stc_lab.data.rooms import RoomsConfig, render_video
from stc_lab.data.rooms.videos import video_name

SIZE = (64, 96)
RATIO = 0.6882  # true focal length over the width


@lru_cache
def tracking_clip(room: int = 2, frames: int = 9) -> Clip:
    """A clean one; room 0 turns, room 2 does not."""
    config = RoomsConfig(motion="tracking", frames=frames, height=SIZE[0], width=SIZE[1], dial=0.0)
    return render_video(video_name("test", room), config)


class FlatNet(nn.Module):
    """The same depth everywhere."""

    def __init__(self, depth: float = 2.0) -> None:
        super().__init__()
        self.depth = depth

    @property
    def architecture(self) -> dict[str, object]:
        return {"name": "FlatNet"}

    def forward(self, images: Tensor) -> Tensor:
        return torch.full_like(images[:, :1], self.depth)

    def disparities(self, images: Tensor) -> tuple[Tensor, ...]:
        return (1 / self(images),)


def leaf(*each: float) -> dict[str, Any]:
    """A number of a study, as its seeds have it."""
    values = torch.tensor(each, dtype=torch.float64)
    spread = float(values.std()) if len(each) > 1 else None
    return {"mean": float(values.mean()), "spread": spread, "each": list(each)}


def made_up_study(**changes: float) -> dict[str, Any]:
    """Of two seeds; `changes` are the numbers that the hopes look at."""
    number = {"net": 0.2, "constant": 0.4, "focal": 0.02, "whole": 0.98, "single": 0.97, "fitted": 0.96, "true": 0.985}
    number |= {"rotation": 0.5, "turn": 2.0} | changes

    def pairs(agreement: float, rotation: float) -> dict[str, Any]:
        of_gap = {"agreement": leaf(agreement, agreement), "rotation": leaf(rotation, rotation)}
        return {gap: {**of_gap, "turn": leaf(number["turn"], number["turn"])} for gap in ("1", "2", "4")}

    rows = {
        "exact": 0.99,
        "true depth, fitted motion": number["true"],
        "whole clip": number["whole"],
        "learned depth, fitted motion": number["single"],
        "constant depth, fitted motion": number["fitted"],
        "constant depth, true motion": 0.95,
        "identity": 0.8,
    }
    of_pairs = {row: pairs(value, number["rotation"]) for row, value in rows.items()}
    depth = {"learned depth, fitted motion": number["net"], "whole clip": 0.15, "row mean": 0.3}
    depth["best constant"] = number["constant"]
    judged = {
        "depth": {
            row: {"abs_rel": leaf(value - 0.01, value + 0.01), "rmse": leaf(1.0, 1.0), "a1": leaf(0.5, 0.5)}
            for row, value in depth.items()
        },
        "pairs": of_pairs,
        "turning": of_pairs,
        "focal_error": leaf(number["focal"], number["focal"]),
    }
    return {"seeds": [0, 1], "shipped": 1, "test": judged, "val": judged}
