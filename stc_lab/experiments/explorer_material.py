"""What the consistency explorer walks through: videos, one or several models of them, and what was found before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from jaxtyping import Int64
from torch import Tensor

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.explored_frames import ExploredFrames, Model
from stc_lab.experiments.explorer_state import ANY_CLASS, LARGEST_GAP, ExplorerState
from stc_lab.experiments.likely_cause import cause_map
from stc_lab.experiments.pair_places import GEOMETRIES, Geometry
from stc_lab.experiments.pair_ranking import PairScore, rank_pairs
from stc_lab.experiments.pair_view import PairView, pair_view
from stc_lab.experiments.pixel_story import PixelTrack, pixel_track

_RANKINGS = 24  # that are kept; a ranking of 500 pairs is small
_VIEWS = 6  # that are kept
_REACH = 30  # frames each way that a pixel is followed
_NEED = ("depth", "intrinsics", "pose")  # of exact geometry


@dataclass(frozen=True)
class Seen:
    """The view of a pair, with what it takes long to find out about it."""

    view: PairView

    @cached_property
    def causes(self) -> Int64[Tensor, "h w"]:
        return cause_map(self.view)


class ExplorerMaterial:
    """Videos and models by name; the first model is the one that is looked at unless a state says otherwise."""

    def __init__(
        self,
        videos: Videos,
        models: Mapping[str, Model],
        *,
        classes: Sequence[str] | None = None,
        cache: Path | str | None = None,
        limit: int = 400,
    ) -> None:
        """`limit` (MB) bounds what is kept of the frames for each model; `cache` is where rankings are kept.

        `classes` name those of the models, by default as the videos do.
        """
        if not models:
            raise InputError("the explorer needs at least one model, got none")
        counts = {model.num_classes for model in models.values()}
        if len(counts) > 1:
            raise InputError(f"models that are compared must have the same classes, got {sorted(counts)} of them")
        if max(videos.frame_count(name) for name in videos.names) < 2:
            raise InputError(f"the explorer looks at pairs, but no video of {videos.info.name!r} has two frames")
        self.videos = videos
        self.frames = {
            name: ExploredFrames(videos, model, classes=classes, limit=limit) for name, model in models.items()
        }
        self._cache = cache
        self._rankings: dict[tuple[object, ...], list[PairScore]] = {}
        self._views: dict[tuple[object, ...], Seen] = {}
        self._track: tuple[object, PixelTrack] | None = None

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self.frames)

    @property
    def classes(self) -> tuple[str, ...]:
        return next(iter(self.frames.values())).classes

    @property
    def geometries(self) -> tuple[Geometry, ...]:
        """Those that these videos allow: exact needs depth, cameras and poses."""
        exact = set(_NEED) <= self.videos.has
        return GEOMETRIES if exact else tuple(name for name in GEOMETRIES if name != "exact")

    def model_of(self, state: ExplorerState) -> str:
        return self._model(state.model or self.models[0])

    def gaps(self, video: str) -> int:
        """The largest gap that a pair of this video can have here."""
        return min(LARGEST_GAP, self.videos.frame_count(video) - 1)

    def opening(self, **changes: object) -> ExplorerState:
        """A state at the first video, with an estimated flow where there is no exact geometry."""
        geometry = "exact" if "exact" in self.geometries else "estimated"
        names = [name for name in self.videos.names if self.videos.frame_count(name) > 1]
        return replace(ExplorerState(video=names[0], geometry=geometry), **changes)  # type: ignore[arg-type]  # checked there

    def worst(self, **changes: object) -> ExplorerState:
        """The state at the worst pair of all, by the measure and the filters of an opening state with `changes`."""
        state = self.opening(**changes)
        return self.at(state, 0) if self.passing(state) else state

    def ranking(self, state: ExplorerState, progress: Callable[[int, int], None] | None = None) -> Sequence[PairScore]:
        """All pairs of all videos, worst first, by the state's measure; its filters left aside."""
        name = self.model_of(state)
        classes = None if state.of_class == ANY_CLASS else [state.of_class]
        key = (name, state.measure, state.gap, state.geometry, state.direction, state.occlusion, state.of_class)
        if key not in self._rankings:
            frames = self.frames[name]
            found = rank_pairs(
                self.videos,
                frames.model,
                measure=state.measure,
                gap=state.gap,
                geometry=state.geometry,
                direction=state.direction,
                occlusion=state.occlusion or None,  # type: ignore[arg-type]  # the state has checked it
                classes=classes,
                cache=self._cache,
                memory=frames,
                progress=progress,
            )
            while len(self._rankings) >= _RANKINGS:
                del self._rankings[next(iter(self._rankings))]
            self._rankings[key] = found
        return self._rankings[key]

    def passing(self, state: ExplorerState) -> list[PairScore]:
        """Those of the ranking that the state's filters let through."""
        return [score for score in self.ranking(state) if passes(state, score)]

    def place(self, state: ExplorerState) -> int | None:
        """Where the state's pair stands among those that pass; None if it does not."""
        row = self.row(state)
        return next((i for i, score in enumerate(self.passing(state)) if score.earlier == row), None)

    def at(self, state: ExplorerState, place: int) -> ExplorerState:
        """The state at the pair in this place of those that pass; the ends are where it stops."""
        passing = self.passing(state)
        if not passing:
            raise InputError(
                "no pair passes the filters", hint="less visible, another class, or a wider range of motion"
            )
        return self.at_pair(state, passing[max(0, min(len(passing) - 1, place))])

    def at_pair(self, state: ExplorerState, score: PairScore) -> ExplorerState:
        return replace(state, video=score.video, frame=score.earlier - self.videos.row(score.video, 0))

    def beside(self, state: ExplorerState, by: int) -> ExplorerState:
        """The next worse (`by` < 0) or less bad (`by` > 0) pair that passes; the worst, if this one does not."""
        place = self.place(state)
        return self.at(state, 0 if place is None else place + by)

    def row(self, state: ExplorerState) -> int:
        """Row of the earlier frame."""
        return self.videos.row(state.video, state.frame)

    def view(self, state: ExplorerState, model: str | None = None) -> PairView:
        """The pair of the state as its model sees it, or another one."""
        return self.seen(state, model).view

    def seen(self, state: ExplorerState, model: str | None = None) -> Seen:
        """The same with its causes; the last few are kept with all that was computed of them."""
        name = self.model_of(state) if model is None else self._model(model)
        last = self.videos.frame_count(state.video) - 1
        if state.later > last:
            raise InputError(
                f"video {state.video!r} has frames 0 to {last}, so that none lies {state.gap} after frame {state.frame}"
            )
        frames = self.frames[name]
        row = self.row(state)
        key = (name, row, state.gap, state.geometry, state.occlusion, state.direction, state.disturbance)
        if key in self._views:
            return self._views[key]
        while len(self._views) >= _VIEWS:
            del self._views[next(iter(self._views))]
        view = pair_view(
            self.videos,
            frames.model,
            row,
            row + state.gap,
            geometry=state.geometry,
            occlusion=state.occlusion or None,  # type: ignore[arg-type]  # the state has checked it
            direction=state.direction,
            disturbance=state.disturbance,
            memory=frames,
        )
        self._views[key] = Seen(view)
        return self._views[key]

    def track(self, state: ExplorerState, view: PairView) -> PixelTrack:
        """The state's pixel over its video, by the geometry as it is; the last one is kept."""
        key = (view.rows[0], state.pixel, state.geometry, state.occlusion, self.model_of(state))
        if self._track is None or self._track[0] != key:
            found = pixel_track(
                self.videos,
                view.frames.model,
                view.rows[0],
                state.x,
                state.y,
                geometry=view.geometry,
                occlusion=view.occlusion,
                reach=_REACH,
                memory=view.frames,
            )
            self._track = key, found
        return self._track[1]

    def _model(self, name: str) -> str:
        if name not in self.frames:
            raise InputError(f"model must be one of {', '.join(self.models)}, got {name!r}")
        return name


def passes(state: ExplorerState, score: PairScore) -> bool:
    """Whether the filters of the state let a pair through."""
    return score.visible >= state.least_visible and state.least_motion <= score.motion <= state.most_motion
