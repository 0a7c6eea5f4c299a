"""The sensor bench: turn up its faults, one by one or together, and see what they do to three neighbouring frames."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.experiments.sensor_faults import FAULTS, sensor_of
from stc_lab.plots.panels import image_panel
from stc_lab.widgets.explorer import Explorer, Picture, Table

MOST = 1.5  # times the strongest
_FRAMES = 3


def sensor_picture(images: Float[Tensor, "t 3 h w"], strengths: Mapping[str, float], draw: int) -> Picture:
    """Clean frames as a sensor with these faults records them; `draw` chooses the random numbers."""
    recorded = sensor_of(**strengths).apply(images, torch.Generator().manual_seed(draw))
    off = (recorded - images).abs().mean(dim=(1, 2, 3)).tolist()
    panels = tuple(image_panel(image, f"frame {i}", f"changed by {off[i]:.3f}") for i, image in enumerate(recorded))
    steps = {"as recorded": recorded, "clean": images}
    rows = {
        name: (f"{float((x[1:] - x[:-1]).abs().mean()):.3f}", f"{float(x.mean(dim=(1, 2, 3)).std()):.3f}")
        for name, x in steps.items()
    }
    return Picture(panels, Table(("mean |RGB difference| of neighbours", "brightness, standard deviation"), rows))


def sensor_bench(images: Float[Tensor, "t 3 h w"], **strengths: float) -> Explorer:
    """A slider for each fault, over the first three of the clean `images`; opens with faults of these `strengths`."""
    if len(images) < _FRAMES:
        raise InputError(f"the sensor bench needs {_FRAMES} frames, got {len(images)}")
    sensor_of(**strengths)
    opening = {name: float(strengths.get(name, 0.0)) for name in FAULTS}

    def controls() -> Mapping[str, Any]:
        from ipywidgets import FloatSlider, IntSlider

        sliders = {
            name: FloatSlider(value=opening[name], min=0, max=MOST, step=0.05, description=words)
            for name, words in FAULTS.items()
        }
        return {**sliders, "draw": IntSlider(0, 0, 20, description="another draw")}

    def picture(draw: int, **now: float) -> Picture:
        return sensor_picture(images[:_FRAMES], now, draw)

    return Explorer("Sensor bench", controls, picture, {**opening, "draw": 0})
