"""The failure gallery of self-supervised depth: five knobs of `rooms`, and what each does to the photometric loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.data.rooms import Label, RoomsConfig
from stc_lab.data.rooms.videos import video_name
from stc_lab.errors import InputError
from stc_lab.experiments.depth_landscapes import CURVES, DepthSearch, Landscape

_LEAST = 0.01  # share of the pixels that a landscape must be a mean over
_ROOMS = 40  # rooms in which a failure is looked for
_BRIGHTER = 0.1  # of full scale: what counts as a highlight
_PLAIN = (Label.WALL, Label.FLOOR, Label.CEILING)

_Regions = Callable[[DepthSearch, DepthSearch], Bool[Tensor, "h w"]]  # of the knob off and on


@dataclass(frozen=True)
class Failure:
    """One way in which a photometric loss misleads a depth net, and the knob that switches it on."""

    name: str
    knob: str  # a field of RoomsConfig
    off: float
    on: float
    claim: str
    remedy: str
    judged: str  # the pixels that a landscape is a mean over, besides that both sources see them at both settings
    region: _Regions  # these pixels
    curve: str  # key of CURVES: the landscape in which the failure shows
    shows: Callable[[Landscape, Landscape], bool]  # whether these landscapes (off, on) show it
    cure: str | None = None  # key of CURVES: the remedy, as far as exact geometry can try it


@dataclass(frozen=True)
class Evidence:
    """One clip at one setting of the knob: a target frame, the frames `gap` before and after, and what is lost."""

    value: float  # of the knob
    target: Float[Tensor, "3 h w"]
    sources: Float[Tensor, "2 3 h w"]
    error: Float[Tensor, "h w"]  # L1 + SSIM at the true depth, mean over the sources
    visible: Bool[Tensor, "h w"]  # both sources see the point, exactly; an occlusion mask removes the others
    kept: Bool[Tensor, "h w"]  # the auto-mask leaves it: at the true depth, warping beats not warping
    landscapes: dict[str, Landscape]  # by key of CURVES


@dataclass(frozen=True)
class DepthFailure:
    """A failure with its knob off and on, in one room, seen along one camera path."""

    failure: Failure
    video: str
    gap: int  # frames between the target and each source
    region: Bool[Tensor, "h w"]  # the judged pixels, the same at both settings
    off: Evidence
    on: Evidence

    @property
    def shown(self) -> bool:
        """Whether the failure shows in this room, by its own rule."""
        return self.failure.shows(self.off.landscapes[self.failure.curve], self.on.landscapes[self.failure.curve])

    def auto_masked(self, evidence: Evidence) -> float:
        """Share of the judged pixels that the auto-mask removes."""
        return float((~evidence.kept)[self.region].double().mean())

    @property
    def text(self) -> str:
        """What was found, with its numbers; a failure that does not show is said not to."""
        failure, lines = self.failure, [] if self.shown else ["The failure does not show in this room."]
        for curve in dict.fromkeys((failure.curve, "loss")):
            off, on = (evidence.landscapes[curve].words() for evidence in (self.off, self.on))
            lines.append(f"{CURVES[curve]}: {off}; with {failure.knob} at {self.on.value:g} {on}.")
        if failure.cure not in (None, failure.curve, "loss"):
            lines.append(f"Remedy, {CURVES[failure.cure]}: {self.on.landscapes[failure.cure].words()}.")
        lines.append(f"Judged: {failure.judged}, {int(self.region.sum())} pixels.")
        removed = [100 * self.auto_masked(evidence) for evidence in (self.off, self.on)]
        lines.append(f"The auto-mask removes {removed[0]:.0f} % of them, then {removed[1]:.0f} %.")
        return " ".join(lines)


def _everything(off: DepthSearch, on: DepthSearch) -> Tensor:
    return torch.ones_like(off.seen)


def _plain(off: DepthSearch, on: DepthSearch) -> Tensor:
    assert off.target.label is not None
    return torch.isin(off.target.label[0], torch.tensor([int(label) for label in _PLAIN])) & off.on_one_surface()


def _moving(off: DepthSearch, on: DepthSearch) -> Tensor:
    return on.mover[0] > 0


def _shining(off: DepthSearch, on: DepthSearch) -> Tensor:
    return ((on.target.image - off.target.image).mean(dim=(0, 1)) > _BRIGHTER) & off.on_one_surface()


def _flattened(off: Landscape, on: Landscape) -> bool:
    return on.contrast < 0.6 * off.contrast


_ALL = (
    Failure(
        name="static camera",
        knob="speed",
        off=1.0,
        on=0.0,
        claim="Without motion every depth explains the frames equally well: the landscape is flat.",
        remedy="Auto-masking leaves such pixels out: warping them is no better than not warping.",
        judged="all pixels",
        region=_everything,
        curve="loss",
        cure="auto_mask",
        shows=lambda off, on: on.best is None and off.best is not None,
    ),
    Failure(
        name="plain surfaces",
        knob="texture",
        off=1.0,
        on=0.0,
        claim="On a surface of one colour a wrong depth finds the same colour: the minimum hardly stands out.",
        remedy="No photometric term helps; smoothness carries the depth in from the edges.",
        judged="wall, floor and ceiling, where every depth of the search stays on the same face",
        region=_plain,
        curve="loss",
        shows=_flattened,
    ),
    Failure(
        name="moving things",
        knob="moving_objects",
        off=0,
        on=3,
        claim="What moves by itself gets a wrong depth that explains it best, and at the true depth a large error.",
        remedy="A motion of its own for each thing. Auto-masking takes only what moves along with the camera.",
        judged="what the moving things cover",
        region=_moving,
        curve="loss",
        cure="own_motion",
        shows=lambda off, on: on.off_truth and on.at_truth > 2 * off.at_truth,
    ),
    Failure(
        name="highlights",
        knob="gloss",
        off=0.0,
        on=10.0,
        claim="A highlight moves like the lamp's mirror image, far behind the surface: L1 takes it for farther away.",
        remedy="SSIM sees the texture under the light, as long as there is some.",
        judged=f"what highlights brighten by {_BRIGHTER:g}, where every depth of the search stays on the same part",
        region=_shining,
        curve="l1",
        cure="loss",
        shows=lambda off, on: off.best is not None and on.best is not None and on.best > 1.2 * off.best,
    ),
    Failure(
        name="exposure changes",
        knob="exposure",
        off=0.0,
        on=0.28,
        claim="Another gain is an error at every depth: the minimum of L1 drowns in it.",
        remedy="SSIM compares structure and suffers less; aligning the frames' brightness removes most of the rest.",
        judged="all pixels",
        region=_everything,
        curve="l1",
        cure="aligned",
        shows=_flattened,
    ),
)
FAILURES: Mapping[str, Failure] = MappingProxyType({failure.name: failure for failure in _ALL})


def depth_failure(
    name: str, value: float | None = None, *, seed: int = 0, gap: int = 2, size: tuple[int, int] = (64, 96)
) -> DepthFailure:
    """Show one of `FAILURES` in a room, its knob off and on (at `value` instead of its own, if given).

    The room is the first of the test split, from number `seed` on, in which at least 1 % of the pixels can be judged:
    those of the failure's own region that both sources see, and that no depth of the search leads out of them. Nothing
    else is chosen. The camera goes along a `tracking` path; the target is the middle of a clip of 2 `gap` + 1 frames
    of `size` (height, width), the sources are its ends. The sensor has noise of 0.01 and a fixed exposure; the lamp
    throws no shadows.
    """
    if name not in FAILURES:
        raise InputError(f"name must be one of {', '.join(FAILURES)}, got {name!r}")
    if gap < 1 or seed < 0:
        raise InputError(f"gap must be at least 1 and seed at least 0, got {gap} and {seed}")
    failure = FAILURES[name]
    values = failure.off, failure.on if value is None else value
    for room in range(seed, seed + _ROOMS):
        off, on = (DepthSearch(video_name("test", room), _config(failure.knob, x, gap, size)) for x in values)
        region = failure.region(off, on) & off.seen & on.seen & off.inside() & on.inside()
        if int(region.sum()) >= _LEAST * region.numel():
            shown = (_evidence(search, x, region) for search, x in zip((off, on), values, strict=True))
            return DepthFailure(failure, off.video, gap, region, *shown)
    raise InputError(
        f"in none of the test rooms {seed} to {seed + _ROOMS - 1} can 1 % of the pixels be judged for {name!r}",
        hint=f"{failure.knob}={values[1]:g} may change nothing there; and a large gap leads pixels out of view",
    )


def _config(knob: str, value: float, gap: int, size: tuple[int, int]) -> RoomsConfig:
    """Nothing but the knob differs, and nothing answers it: auto exposure would darken the rest for a highlight.

    No shadows: their edges are a texture of the light's, which would remain on plain surfaces.
    """
    plain = RoomsConfig(motion="tracking", frames=2 * gap + 1, height=size[0], width=size[1])
    setting: dict[str, Any] = {knob: value}
    return replace(plain, shadows=False, dial=0.0, noise=0.01, memory=0.0, auto_exposure=0.0, **setting)


def _evidence(search: DepthSearch, value: float, region: Bool[Tensor, "h w"]) -> Evidence:
    maps = search.maps()
    return Evidence(
        value=value,
        target=search.target.image[0],
        sources=torch.cat([source.image for source in search.sources]),
        error=maps.at_truth,
        visible=search.seen,
        kept=maps.kept,
        landscapes=maps.landscapes(region),
    )
