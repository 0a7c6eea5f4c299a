"""The sensor: what makes two pictures of one surface differ. Each fault has its own knob; all zero is clean."""

import math
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError

AUTO_EXPOSURE = 0.7
_MIDDLE = 0.45  # contrast turns about this grey
_LONGEST_BLUR = 9  # px


def develop(radiance: Float[Tensor, "t 3 h w"], *, auto_exposure: float = AUTO_EXPOSURE) -> Float[Tensor, "t 3 h w"]:
    """Picture in [0, 1] of linear radiance: exposure by the frame's mean, soft highlights, gamma 1.8.

    `auto_exposure` is the share, in stops, of a frame's lack or excess of light that the camera makes up for.
    """
    mean = radiance.mean(dim=(1, 2, 3), keepdim=True).clamp_min(0.05)
    light = (radiance * (0.42 / mean) ** auto_exposure).clamp_min(0)
    return (1.2 * light / (1 + 0.25 * light)).clamp(0, 1) ** (1 / 1.8)


@dataclass(frozen=True)
class Sensor:
    """Faults of a sensor, as standard deviations over the frames; the defaults are the strongest, dial 1."""

    noise: float = 0.035  # of each pixel, in units of full scale
    exposure: float = 0.28  # of the logarithm of the gain
    white_balance: float = 0.09  # of each channel's gain
    contrast: float = 0.2  # of the logarithm of the contrast
    shading: float = 0.15  # of the gain's slope from the middle to the border
    blur: float = 0.36  # share of frames blurred along a line of 3 to 9 px
    memory: float = 0.0  # correlation of exposure, white balance, contrast and shading with the frame before

    def __post_init__(self) -> None:
        for field in fields(self):
            value, top = getattr(self, field.name), math.inf
            if field.name in ("blur", "memory"):
                top = 1.0
            if not 0 <= value <= top:
                raise InputError(f"Sensor.{field.name} must be between 0 and {top:g}, got {value}")

    def scaled(self, dial: float) -> "Sensor":
        """The sensor with its faults at `dial` of their strength; noise and blur grow with the root of the dial."""
        if not 0 <= dial < math.inf:
            raise InputError(f"dial must be at least 0, got {dial}")
        return replace(
            self,
            noise=self.noise * dial**0.5,
            exposure=self.exposure * dial,
            white_balance=self.white_balance * dial,
            contrast=self.contrast * dial,
            shading=self.shading * dial,
            blur=min(1.0, self.blur * dial**0.5),
        )

    def apply(self, images: Float[Tensor, "t 3 h w"], generator: torch.Generator) -> Float[Tensor, "t 3 h w"]:
        """Pictures in [0, 1] of consecutive frames as this sensor records them.

        The draws do not depend on the knobs: turning one leaves what the others do as it was.
        """
        return self.record(images, self.draw(len(images), generator), generator)

    def draw(self, frames: int, generator: torch.Generator) -> "Faults":
        """The faults of all frames of a video but the noise: a few numbers for each frame."""

        def drifting(channels: int) -> Tensor:
            return _remembered(_normal((frames, channels, 1, 1), generator), self.memory)

        line = torch.rand(3, frames, generator=generator, device=generator.device)
        return Faults(line, gain=drifting(1), balance=drifting(3), contrast=drifting(1), slope=drifting(2))

    def record(
        self, images: Float[Tensor, "t 3 h w"], faults: "Faults", noise: torch.Generator
    ) -> Float[Tensor, "t 3 h w"]:
        """Pictures of these frames with their faults; `noise` goes on from the frames before.

        A video recorded in pieces is that recorded at once if each piece but the last has a multiple of 16 frames.
        """
        height, width = images.shape[-2:]
        gain, balance, contrast, slope = (
            value.to(images) for value in (faults.gain, faults.balance, faults.contrast, faults.slope)
        )
        grain = _normal(tuple(images.shape), noise)
        x = images
        if self.blur > 0:
            kernels = torch.stack(
                [
                    _line_kernel(3 + 6 * share if chance < self.blur else 0.0, math.pi * turn)
                    for chance, share, turn in zip(*faults.line.tolist(), strict=True)
                ]
            )
            x = _filtered(x, kernels.to(images))
        if self.exposure > 0:
            x = x * (self.exposure * gain).exp()
        if self.white_balance > 0:
            x = x * (1 + self.white_balance * balance)
        if self.shading > 0:
            down = torch.linspace(-1, 1, height).to(images)[:, None]
            across = torch.linspace(-1, 1, width).to(images)
            x = x * (1 + self.shading * (slope[:, :1] * down + slope[:, 1:] * across))
        if self.contrast > 0:
            x = (x - _MIDDLE) * (self.contrast * contrast).exp() + _MIDDLE
        if self.noise > 0:
            x = x + self.noise * grain.to(images)
        return x.clamp(0, 1)


@dataclass(frozen=True)
class Faults:
    """What a sensor does to each frame of a video, in units of its knobs; noise is drawn when the frame is recorded."""

    line: Float[Tensor, "3 t"]  # in [0, 1): the chance to be blurred along a line, the line's length and its angle
    gain: Float[Tensor, "t 1 1 1"]
    balance: Float[Tensor, "t 3 1 1"]
    contrast: Float[Tensor, "t 1 1 1"]
    slope: Float[Tensor, "t 2 1 1"]  # down and across

    def part(self, start: int, stop: int) -> "Faults":
        """Those of the frames start, ... before stop."""
        chosen = slice(start, stop)
        return Faults(
            self.line[:, chosen], self.gain[chosen], self.balance[chosen], self.contrast[chosen], self.slope[chosen]
        )


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _remembered(draws: Tensor, memory: float) -> Tensor:
    """Standard normal draws, correlated from frame to frame: an AR(1) process of unit variance."""
    if memory == 0:
        return draws
    kept = [draws[0]]
    for fresh in draws[1:]:
        kept.append(memory * kept[-1] + math.sqrt(1 - memory**2) * fresh)
    return torch.stack(kept)


def _line_kernel(length: float, angle: float) -> Float[Tensor, "k k"]:
    """Weights along a line through the middle pixel; a line of length 0 is that pixel alone."""
    size = _LONGEST_BLUR
    along = torch.linspace(-0.5, 0.5, 4 * size) * max(0.0, length - 1)
    x = (along * math.cos(angle)).round().long() + size // 2
    y = (along * math.sin(angle)).round().long() + size // 2
    kernel = torch.zeros(size, size)
    kernel.index_put_((y, x), torch.ones(len(along)), accumulate=True)
    return kernel / len(along)


def _filtered(images: Tensor, kernels: Tensor) -> Tensor:
    """Each frame filtered by its own kernel; frames of a single-pixel kernel stay as they are."""
    size = _LONGEST_BLUR
    chosen = (kernels[:, size // 2, size // 2] < 1).nonzero()[:, 0]
    if len(chosen) == 0:
        return images
    padded = F.pad(images[chosen], [size // 2] * 4, mode="replicate").flatten(0, 1)[None]
    weights = kernels[chosen].repeat_interleave(3, dim=0)[:, None]
    result = images.clone()
    result[chosen] = F.conv2d(padded, weights, groups=len(weights))[0].unflatten(0, (len(chosen), 3))
    return result
