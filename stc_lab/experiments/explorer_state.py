"""Where everything in the consistency explorer stands: plain scalars, so that it can be saved and restored."""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from stc_lab.errors import InputError
from stc_lab.experiments.disturb import Disturbance
from stc_lab.experiments.pair_places import GEOMETRIES, OCCLUSIONS, Geometry
from stc_lab.experiments.pair_ranking import MEASURES
from stc_lab.experiments.pair_view import WAYS, Way

LARGEST_GAP = 8
ANY_CLASS = -1
OWN_RULE = ""  # of occlusion: the rule that fits the geometry
DISTURBED = tuple(field.name for field in fields(Disturbance))


@dataclass(frozen=True)
class ExplorerState:
    """One state of the explorer; a new one is made for each move of a knob.

    Names of models and videos are those of the explorer's material; the rest is legal by itself.
    """

    video: str
    frame: int = 0  # of the video: the earlier one of the pair
    gap: int = 1  # frames
    direction: Way = "backward"
    geometry: Geometry = "exact"
    occlusion: str = OWN_RULE
    measure: str = "disagreement"
    model: str = ""  # "": the first
    second: str = ""  # "": none beside it
    of_class: int = ANY_CLASS
    least_visible: float = 0.0  # share of the pixels, 0..1
    least_motion: float = 0.0  # px, of the median pixel
    most_motion: float = 1000.0
    opacity: float = 1.0  # of colours over the image, 0..1
    hidden: tuple[int, ...] = ()  # class ids that the legend switched off
    x: int = -1  # px; -1: no pixel is looked at
    y: int = -1
    depth_scale: float = 1.0
    pitch: float = 0.0  # degrees
    yaw: float = 0.0
    shift: float = 0.0  # m
    focal_scale: float = 1.0
    exposure: float = 0.0  # stops
    tolerance: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, default = getattr(self, field.name), field.default
            if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, field.name, float(value))
                value = float(value)
            kind = str if field.name == "video" else type(default)
            if type(value) is not kind:
                raise InputError(f"{field.name} must be {_KINDS[kind]}, got {value!r}")
        for name, low, high in (
            ("frame", 0, 10**9),
            ("gap", 1, LARGEST_GAP),
            ("least_visible", 0, 1),
            ("least_motion", 0, 1e6),
            ("most_motion", 0, 1e6),
            ("opacity", 0, 1),
            ("x", -1, 10**6),
            ("y", -1, 10**6),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} must lie in {low:g}..{high:g}, got {getattr(self, name)!r}")
        for name, legal in (
            ("direction", WAYS),
            ("geometry", GEOMETRIES),
            ("measure", tuple(MEASURES)),
            ("occlusion", (OWN_RULE, *OCCLUSIONS)),
        ):
            if getattr(self, name) not in legal:
                raise InputError(f"{name} must be one of {', '.join(legal)}, got {getattr(self, name)!r}")
        if any(type(i) is not int for i in self.hidden):
            raise InputError(f"hidden must be class ids, got {self.hidden!r}")
        _ = self.disturbance

    @property
    def disturbance(self) -> Disturbance:
        return Disturbance(**{name: getattr(self, name) for name in DISTURBED})

    @property
    def pixel(self) -> tuple[int, int] | None:
        """The pixel looked at, or None."""
        return None if self.x < 0 or self.y < 0 else (self.x, self.y)

    @property
    def later(self) -> int:
        """The later frame of the pair."""
        return self.frame + self.gap

    def undisturbed(self) -> "ExplorerState":
        """The same with every disturbance taken back."""
        return replace(self, **{name: getattr(Disturbance(), name) for name in DISTURBED})

    def toggled(self, class_id: int) -> "ExplorerState":
        """The same with a class switched off in the legend, or on again."""
        hidden = set(self.hidden) ^ {class_id}
        return replace(self, hidden=tuple(sorted(hidden)))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "ExplorerState":
        """The state that `to_json` wrote; what is missing in it is at its default."""
        try:
            found: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise InputError(f"this is no saved state: {error}", hint="paste the whole text that was saved") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(found, dict) or "video" not in found or set(found) - known:
            odd = sorted(set(found) - known) if isinstance(found, dict) else []
            raise InputError(
                f"this is no saved state: {'unknown ' + ', '.join(odd) if odd else 'it names no video'}",
                hint=f"a state has {', '.join(sorted(known))}",
            )
        if isinstance(found.get("hidden"), list):
            found["hidden"] = tuple(found["hidden"])
        return cls(**found)


_KINDS: dict[type, str] = {str: "text", int: "a whole number", float: "a number", tuple: "a tuple of class ids"}
