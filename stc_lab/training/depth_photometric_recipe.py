"""Every knob of learning depth from the photometric error, in one frozen dataclass of plain scalars."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from stc_lab.errors import InputError
from stc_lab.training.depth_matches import GAPS


@dataclass(frozen=True)
class PhotometricRecipe:
    """How depth, motion and focal length are learned from what a warped neighbour looks like.

    The published way is `published()`: a motion net that learns together with the depth, and the focal length from the
    gradient of the loss. The default is what works at this size: the motion of each pair is solved for, from the flow
    and the depth at hand, and neither it nor the focal length listens to the photometric gradient. Values are checked
    when it is made.
    """

    loss: str = "monodepth2"  # monodepth2 = minimum over two sources, auto-mask, multi-scale; gordon = RGB-D both ways
    pose: str = "fit"  # fit = fit_motion, no gradient; net = a motion net; true = that of the data, as a control
    focal: str = "fitted"  # fitted = Gauss-Newton on the flow; learned = gradient of the loss; given = the data's
    intrinsics: str = "shared"  # of pose="net" with a learned focal length: shared, or one for each pair
    matching: str = "correlation"  # how the motion net sees a pair; concat = as published
    residual: bool = False  # gordon with pose="net": a translation of its own for each pixel
    steps: int = 800
    pose_first: float = 0.0  # share of the steps in which the motion net alone learns, from fit_motion on a flat depth
    batch: int = 8  # targets of a step, each with the frames before and after it
    gaps: tuple[int, ...] = (1, 2, 3)  # frames from a target to its sources; each target draws one
    net_stride: int = 2  # px: nets see frames this much smaller than the videos'
    loss_strides: tuple[int, ...] = (2,)  # px: the error is taken on frames this much smaller, stage after stage
    scales: int = 4  # disparities of monodepth2's loss, finest first
    smoothness: float = 1e-3  # weight of the finest disparity's edge-aware smoothness; gordon's is 1e-2
    auto_mask: bool = True  # monodepth2: leave out pixels that not warping explains better
    official: bool = False  # means over all pixels, seen or not, as the published code takes them
    keep_unit: bool = True  # divide the depths of a batch by their mean, so that their unit cannot drift
    learning_rate: float = 1e-3  # peak of the one-cycle schedule
    light: float = 0.6  # strength of the random light on what nets see; the loss sees frames as they are
    flip: bool = True  # mirror every second target with its sources
    first_focal: float = 1.0  # over the frame's width: where a focal length starts that is not given
    flow_stride: int = 4  # px: matches, and the motion found from them, live on a grid this much coarser
    flow_deviation: float = 0.5  # px of the frames
    doubt: float = 0.3  # deviation of log depth: how far the motion may leave the depth aside
    seed: int = 0  # of the nets' weights and of everything drawn

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, field.type, getattr(self, field.name))
        if self.focal == "fitted" and self.pose != "fit":
            raise InputError(f"focal='fitted' moves on with pose='fit', got pose={self.pose!r}", hint="focal='learned'")
        if self.pose != "net" and (self.pose_first > 0 or self.residual or self.intrinsics == "pair"):
            raise InputError(f"pose_first, residual and intrinsics='pair' are the motion net's, got pose={self.pose!r}")
        if self.residual and self.loss != "gordon":
            raise InputError(f"the residual field is part of loss='gordon', got loss={self.loss!r}")
        wrong = [stride for stride in (*self.loss_strides, self.flow_stride) if stride % self.net_stride]
        if wrong:
            raise InputError(f"loss_strides and flow_stride must be multiples of net_stride {self.net_stride}: {wrong}")

    @classmethod
    def preset(cls, name: str = "full", **changes: Any) -> "PhotometricRecipe":
        """`full` is the study's; `quick` shows a depth map within two minutes; `tiny` only runs."""
        if name not in PRESETS:
            raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
        return cls.from_dict({**PRESETS[name], **changes})

    @classmethod
    def published(cls, loss: str = "monodepth2", **changes: Any) -> "PhotometricRecipe":
        """The set-up of Godard et al. 2019 (their camera is known) or, with `gordon`, of Gordon et al. 2019."""
        own = {"focal": "given"} if loss == "monodepth2" else {"focal": "learned", "smoothness": 1e-2}
        values = {"loss": loss, "pose": "net", "matching": "concat", "gaps": (1,), "keep_unit": False, "official": True}
        return cls.from_dict({**values, **own, **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PhotometricRecipe":
        """From names and values, as read from JSON; InputError lists the legal names."""
        legal = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(legal))
        if unknown:
            raise InputError(f"a photometric recipe has no {', '.join(unknown)}; it has {', '.join(legal)}")
        own: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**own)

    def to_dict(self) -> dict[str, Any]:
        """Names and values, in JSON's types."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def loss_stride(self, step: int) -> int:
        """Stride of the frames that the error is taken on at a step: stages share the steps evenly."""
        return self.loss_strides[min(step * len(self.loss_strides) // self.steps, len(self.loss_strides) - 1)]

    @property
    def first_steps(self) -> int:
        """Steps in which the motion net alone learns."""
        return round(self.pose_first * self.steps)


PRESETS: dict[str, dict[str, Any]] = {
    "full": {},
    "quick": {"steps": 300},
    "tiny": {"steps": 4, "batch": 2, "gaps": (1,), "scales": 2},
}
_CHOICES = {
    "loss": ("monodepth2", "gordon"),
    "pose": ("fit", "net", "true"),
    "focal": ("fitted", "learned", "given"),
    "intrinsics": ("shared", "pair"),
    "matching": ("correlation", "concat"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "steps": (1, 1e6),
    "pose_first": (0, 1),
    "batch": (1, 1000),
    "gaps": (1, max(GAPS)),
    "net_stride": (1, 64),
    "loss_strides": (1, 64),
    "scales": (1, 4),
    "smoothness": (0, 1e3),
    "learning_rate": (1e-9, 1),
    "light": (0, 2),
    "first_focal": (0.1, 100),
    "flow_stride": (1, 64),
    "flow_deviation": (1e-3, 100),
    "doubt": (0, 10),
    "seed": (0, 2**31 - 1),
}


def _check(name: str, kind: Any, value: Any) -> None:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise InputError(f"{name} must be one of {', '.join(_CHOICES[name])}, got {value!r}")
        return
    if kind is bool:
        if not isinstance(value, bool):
            raise InputError(f"{name} must be true or false, got {value!r}")
        return
    low, high = _RANGES[name]
    many = kind is not int and kind is not float
    values = value if many and isinstance(value, tuple) else () if many else (value,)
    legal = int if kind is not float else int | float
    fits = [isinstance(one, legal) and not isinstance(one, bool) and low <= one <= high for one in values]
    if not fits or not all(fits) or any(math.isinf(one) for one in values):
        noun = "numbers" if kind is float else "whole numbers"
        raise InputError(f"{name} must be {noun} from {low:g} to {high:g}, got {value!r}")
    if name == "gaps" and not set(values) <= set(GAPS):
        raise InputError(f"gaps must be of those that have a flow, {GAPS}, got {value!r}")
