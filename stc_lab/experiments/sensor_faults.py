"""One fault of a sensor at a time, on the same picture."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data.rooms import RoomsConfig, Sensor, rendered
from stc_lab.errors import InputError

CLEAN = Sensor(**{field.name: 0.0 for field in fields(Sensor)})
FAULTS = {  # knob of the sensor -> words
    "noise": "noise",
    "exposure": "exposure",
    "white_balance": "white balance",
    "contrast": "contrast",
    "shading": "shading",
    "blur": "blur of a shaken hand",
}
_DRAWS = 8  # of which the strongest is shown


@dataclass(frozen=True)
class FaultyPicture:
    """A picture and what its fault changed."""

    image: Float[Tensor, "3 h w"]
    difference: float  # mean |RGB difference| from the clean picture


def sensor_of(**strengths: float) -> Sensor:
    """A sensor with single faults, each as a share of its strongest; faults that are not named are off.

    For `blur`, 1 blurs every frame.
    """
    unknown = sorted(set(strengths) - set(FAULTS))
    if unknown:
        raise InputError(f"unknown fault {unknown[0]!r}; legal: {', '.join(FAULTS)}")
    strongest = replace(Sensor(), blur=1.0)
    return replace(CLEAN, **{name: getattr(strongest, name) * share for name, share in strengths.items()})


def fault_pictures(video: str, config: RoomsConfig, frame: int, *, seed: int = 0) -> dict[str, FaultyPicture]:
    """One frame of a rooms video clean, with each fault alone at its strongest, and with an open shutter.

    Of the random faults the strongest of eight draws is taken, since each is weak in many frames.
    """
    if not 0 <= frame < config.frames:
        raise InputError(f"frame must lie in 0..{config.frames - 1}, got {frame}")
    clean = _frame(video, replace(config, dial=0.0, motion_blur=0.0), frame)
    pictures = {"clean": FaultyPicture(clean, 0.0)}
    repeated = clean.expand(_DRAWS, -1, -1, -1)
    for knob, words in FAULTS.items():
        drawn = sensor_of(**{knob: 1.0}).apply(repeated, torch.Generator().manual_seed(seed))
        off = (drawn - repeated).abs().mean(dim=(1, 2, 3))
        strongest = int(off.argmax())
        pictures[words] = FaultyPicture(drawn[strongest], float(off[strongest]))
    shutter = _frame(video, replace(config, dial=0.0, motion_blur=1.0), frame)
    pictures["motion blur"] = FaultyPicture(shutter, float((shutter - clean).abs().mean()))
    return pictures


def _frame(video: str, config: RoomsConfig, frame: int) -> Float[Tensor, "3 h w"]:
    return next(rendered(video, config, frames_at_once=frame + 1)).image[frame]
