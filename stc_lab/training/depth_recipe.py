"""Every knob of learning depth, egomotion and focal length from video, in one frozen dataclass of plain scalars."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from stc_lab.errors import InputError


@dataclass(frozen=True)
class DepthRecipe:
    """How a depth net is trained on clips alone: first beside the motion, then on what whole clips come to.

    Joint steps: the net's depth, the flow and `fit_motion` agree on the motion, which in turn shows each depth its
    error. Rounds: every clip is reconstructed from all of its matches, started from the net, and the net learns those
    depths. Values are checked when it is made.
    """

    joint_steps: int = 400
    rounds: int = 2  # of reconstructing all clips and learning from them
    distil_steps: int = 600  # of each round
    sets: int = 5  # runs of four frames in a joint step; a step of distilling sees as many frames
    learning_rate: float = 2e-3  # peak of the joint steps' one-cycle schedule; half of it when distilling
    smoothness: float = 0.01  # weight of the edge-aware smoothness of disparity
    flow_stride: int = 4  # px: matches, depth and motion live on a grid this much coarser than the frames
    net_stride: int = 2  # px: the net sees frames this much smaller
    flow_deviation: float = 0.5  # px of the frames
    doubt: float = 0.5  # deviation of log depth at first: how far the motion may leave the depth aside
    least_doubt: float = 0.25  # and in the second half of the joint steps
    focal: float = 0.0  # known focal length over the frame's width; 0 = to be learned
    first_focal: float = 1.0  # where learning it starts
    focal_rate: float = 0.03  # share of a Gauss-Newton step taken at a time
    turning: float = 2.0  # degrees: pairs that turn less tell nothing of the focal length
    seed: int = 0  # of the net's weights and of everything drawn

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), _RANGES[field.name]
            whole = field.type is int
            fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not fits or not low <= value <= high or math.isinf(value):
                kind = "a whole number" if whole else "a number"
                raise InputError(f"{field.name} must be {kind} from {low:g} to {high:g}, got {value!r}")
        if self.flow_stride % self.net_stride:
            raise InputError(
                f"flow_stride must be a multiple of net_stride, got {self.flow_stride} and {self.net_stride}"
            )

    @classmethod
    def preset(cls, name: str = "full", **changes: Any) -> "DepthRecipe":
        """`full` is the study's; `quick` shows a depth map within two minutes; `tiny` only runs."""
        if name not in PRESETS:
            raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
        return cls.from_dict({**PRESETS[name], **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DepthRecipe":
        """From names and values, as read from JSON; InputError lists the legal names."""
        legal = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(legal))
        if unknown:
            raise InputError(f"a depth recipe has no {', '.join(unknown)}; it has {', '.join(legal)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Names and values, in JSON's types."""
        return asdict(self)


PRESETS: dict[str, dict[str, Any]] = {
    "full": {},
    "quick": {"joint_steps": 200, "rounds": 1, "distil_steps": 200},
    "tiny": {"joint_steps": 6, "rounds": 1, "distil_steps": 6, "sets": 2},
}
_RANGES: dict[str, tuple[float, float]] = {
    "joint_steps": (1, 1e6),
    "rounds": (0, 100),
    "distil_steps": (1, 1e6),
    "sets": (1, 1000),
    "learning_rate": (1e-9, 1),
    "smoothness": (0, 1e3),
    "flow_stride": (1, 64),
    "net_stride": (1, 64),
    "flow_deviation": (1e-3, 100),
    "doubt": (0, 10),
    "least_doubt": (0, 10),
    "focal": (0, 100),
    "first_focal": (0.1, 100),
    "focal_rate": (0, 1),
    "turning": (0, 180),
    "seed": (0, 2**31 - 1),
}
