"""One pixel of a pair: where it goes, whether it is seen there, and what the model calls it here and there."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.explored_frames import ExploredFrames, Model, explored
from stc_lab.experiments.journey import BEHIND, OUTSIDE, REASONS, UNKNOWN, VISIBLE
from stc_lab.experiments.pair_places import (
    HIDDEN_BY_FLOW,
    HIDDEN_BY_RULE,
    Geometry,
    Occlusion,
    default_occlusion,
    pair_places,
)
from stc_lab.experiments.pair_view import PairView
from stc_lab.geometry import sample, sample_labels

State = Literal["visible", "occluded", "outside", "lost"]


@dataclass(frozen=True)
class PixelStory:
    """What is known of one pixel of the target; None where there is nothing to know."""

    pixel: tuple[int, int]  # (x, y) px
    place: tuple[float, float] | None  # (x, y) px in the source, possibly outside; None: depth unknown, or behind it
    motion: tuple[float, float] | None  # px
    depth: float | None  # m, in the target
    depth_there: float | None  # m; z of the pixel in the source's camera
    depth_seen: float | None  # m; what the source's own depth map holds there
    back: float | None  # px between the pixel and where the flow there and back leads
    visible: bool
    reason: str  # why it is or is not
    label: int  # of the model, here
    label_there: int | None  # and at the nearest pixel there; None: outside
    shares: tuple[float, ...]  # probability of each class, here
    shares_there: tuple[float, ...] | None  # of the logits read between the pixels there
    true_label: int | None  # 255: unknown; None: the videos have no labels
    classes: tuple[str, ...]

    @property
    def agrees(self) -> bool | None:
        """Whether the model calls both the same; None where the pixel has no place in the source."""
        return None if self.label_there is None else self.label == self.label_there

    def top(self, count: int = 5) -> list[tuple[str, float, float | None]]:
        """The classes that are likeliest in either frame, with their probability here and there."""
        there = self.shares_there
        order = sorted(range(len(self.shares)), key=lambda c: -max(self.shares[c], 0.0 if there is None else there[c]))
        return [(self.classes[c], self.shares[c], None if there is None else there[c]) for c in order[:count]]


def pixel_story(view: PairView, x: int, y: int) -> PixelStory:
    """Follow pixel (x, y) of the target into the source."""
    height, width = view.labels_target.shape[-2:]
    expect_pixel(x, y, height, width)
    places, here = view.places, (0, slice(None), y, x)
    reason = int(places.reasons(view.occlusion)[0, y, x])
    placed = reason not in (UNKNOWN, BEHIND)
    inside = placed and reason != OUTSIDE
    place = places.pixels[here].tolist()
    at = places.pixels[:, :, y : y + 1, x : x + 1]
    error = float((places.flow[here] + sample(places.back, at)[0, :, 0, 0]).norm()) if inside else None
    seen = None
    if inside and view.depth_source is not None:
        seen = _known(view.depth_source[0, 0, round(place[1]), round(place[0])])
    true = view.target.label
    return PixelStory(
        pixel=(x, y),
        place=(place[0], place[1]) if placed else None,
        motion=(place[0] - x, place[1] - y) if placed else None,
        depth=None if view.depth_target is None else _known(view.depth_target[0, 0, y, x]),
        depth_there=float(places.depth[0, 0, y, x]) if placed and places.depth is not None else None,
        depth_seen=seen,
        back=error,
        visible=bool(view.visible[0, y, x]),
        reason=_reason(reason),
        label=int(view.labels_target[0, y, x]),
        label_there=int(sample_labels(view.labels_source, at)) if inside else None,
        shares=tuple(view.probabilities_target[here].tolist()),
        shares_there=tuple(view.warped.image[here].softmax(dim=0).tolist()) if inside else None,
        true_label=None if true is None else int(true[0, y, x]),
        classes=view.classes,
    )


@dataclass(frozen=True)
class TrackStation:
    """The pixel in one frame of the video."""

    row: int
    index: int  # of the frame in its video
    state: State  # lost: a chain of flows that broke before
    place: tuple[float, float] | None  # px
    label: int | None  # of the model at the nearest pixel; None unless it lies inside the image
    confidence: float | None  # probability of that class


@dataclass(frozen=True)
class PixelTrack:
    """One pixel followed over its video."""

    row: int  # the frame in which it was chosen
    pixel: tuple[int, int]
    stations: tuple[TrackStation, ...]  # of every frame of the clip, in order
    classes: tuple[str, ...]

    @property
    def changes(self) -> int:
        """How often the label changes between frames that see the pixel, one after the other."""
        seen = [station.label for station in self.stations if station.state == "visible"]
        return sum(a != b for a, b in pairwise(seen))


def pixel_track(
    videos: Videos,
    model: Model,
    row: int,
    x: int,
    y: int,
    *,
    geometry: Geometry = "exact",
    occlusion: Occlusion | None = None,
    reach: int | None = None,
    memory: ExploredFrames | None = None,
) -> PixelTrack:
    """What the model calls one surface point in every frame of its video, or `reach` frames each way.

    Exact geometry takes the point straight to each frame, so that it is found again after it was hidden. Learned motion
    and flow are of neighbours: the point is handed on from frame to frame, and lost where a frame does not see it.
    """
    frames = explored(videos, model, memory)
    if not 0 <= row < len(videos):
        raise InputError(f"rows of {videos.info.name!r} are 0 to {len(videos) - 1}, got {row}")
    if reach is not None and reach < 1:
        raise InputError(f"reach must be at least 1 frame, got {reach}")
    name = videos.videos_of([row])[0]
    expect_pixel(x, y, *videos.size_of(name))
    rule = default_occlusion(geometry) if occlusion is None else occlusion
    first = videos.row(name, 0)
    last = first + videos.frame_count(name) - 1
    if reach is not None:
        first, last = max(first, row - reach), min(last, row + reach)
    found = {row: (float(x), float(y), "visible")}
    for others in (range(row + 1, last + 1), range(row - 1, first - 1, -1)):
        if geometry == "exact":
            found |= _straight(frames, row, others, x, y, rule)
        else:
            found |= _handed_on(frames, row, others, x, y, geometry, rule)
    stations = [_station(frames, r, first_row=videos.row(name, 0), found=found.get(r)) for r in range(first, last + 1)]
    return PixelTrack(row, (x, y), tuple(stations), frames.classes)


_Found = tuple[float, float, str]


def _straight(
    frames: ExploredFrames, row: int, others: Sequence[int], x: int, y: int, rule: Occlusion
) -> dict[int, _Found]:
    found: dict[int, _Found] = {}
    for other in others:
        places = pair_places(frames, [row], [other], "exact")
        reason = int(places.reasons(rule)[0, y, x])
        place = places.pixels[0, :, y, x].tolist()
        found[other] = place[0], place[1], _state(reason)
    return found


def _handed_on(
    frames: ExploredFrames, row: int, others: Sequence[int], x: int, y: int, geometry: Geometry, rule: Occlusion
) -> dict[int, _Found]:
    found: dict[int, _Found] = {}
    before, at = row, torch.tensor([float(x), float(y)])
    for other in others:
        places = pair_places(frames, [before], [other], geometry)
        position = at[None, :, None, None]
        at = at + sample(places.flow, position)[0, :, 0, 0]
        near = position[0, :, 0, 0].round().long().tolist()
        state = _state(int(places.reasons(rule)[0, near[1], near[0]]))
        height, width = places.flow.shape[-2:]
        if not (0 <= at[0] <= width - 1 and 0 <= at[1] <= height - 1):
            state = "outside"
        found[other] = float(at[0]), float(at[1]), state
        if state != "visible":
            break
        before = other
    return found


def _station(frames: ExploredFrames, row: int, *, first_row: int, found: _Found | None) -> TrackStation:
    if found is None:
        return TrackStation(row, row - first_row, "lost", None, None, None)
    x, y, state = found
    if state == "outside":
        return TrackStation(row, row - first_row, "outside", (x, y), None, None)
    logits = frames.logits([row])[0, :, round(y), round(x)]
    shares: Float[Tensor, " k"] = logits.softmax(dim=0)
    label = int(logits.argmax())
    kind: State = "visible" if state == "visible" else "occluded"
    return TrackStation(row, row - first_row, kind, (x, y), label, float(shares[label]))


def expect_pixel(x: int, y: int, height: int, width: int) -> None:
    """Raise unless (x, y) is a pixel of an image of this size."""
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(f"pixel ({x}, {y}) lies outside the image of {width} x {height} px")


def _state(reason: int) -> str:
    if reason == VISIBLE:
        return "visible"
    return "outside" if reason in (OUTSIDE, BEHIND, UNKNOWN) else "occluded"


def _reason(reason: int) -> str:
    other = {
        HIDDEN_BY_FLOW: "the flow there and back does not return",
        HIDDEN_BY_RULE: "hidden by the rule, though the depths agree",
    }
    return other[reason] if reason in other else REASONS[reason]


def _known(depth: Tensor) -> float | None:
    value = float(depth)
    return value if 0 < value < float("inf") else None
