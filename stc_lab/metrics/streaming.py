"""Measures over any number of videos in memory that does not grow: each video is added, and streams merge."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from stc_lab.errors import InputError


class NothingToMeasure(InputError):
    """A video that is in order but has nothing to measure: too short, or without a usable pixel. A stream skips it."""


@runtime_checkable
class Tally(Protocol):
    """What is kept of all videos so far; tallies add up."""

    @property
    def value(self) -> float: ...

    @property
    def support(self) -> int: ...

    def __add__(self, other: Any, /) -> Any: ...  # of its own kind


@runtime_checkable
class Score(Protocol):
    """The result of a measure on one video; its tally says what a mean over videos runs over."""

    @property
    def value(self) -> float: ...

    @property
    def support(self) -> int: ...

    @property
    def tally(self) -> Tally: ...


@runtime_checkable
class Accumulator(Protocol):
    """A measure that is filled step by step: `Stream` by videos, `ConfusionMatrix` by frames."""

    def add(self, *args: Any, **options: Any) -> object: ...

    @property
    def value(self) -> float: ...

    @property
    def support(self) -> int: ...

    def __add__(self, other: Any, /) -> Any: ...  # of its own kind


@dataclass(frozen=True)
class MeanTally:
    """A weighted mean: of windows, pixels, videos or objects, as the measure has it."""

    total: float
    weight: float
    support: int

    @property
    def value(self) -> float:
        return self.total / self.weight

    def __add__(self, other: "MeanTally") -> "MeanTally":
        return MeanTally(self.total + other.total, self.weight + other.weight, self.support + other.support)


ScoreT = TypeVar("ScoreT", bound=Score)


@dataclass
class Stream(Generic[ScoreT]):
    """A measure over videos: `Stream(partial(video_consistency, n=8))`, then `add` each video, then `value`.

    Streams of the same measure merge: `a + b`. What the mean runs over is the measure's matter: the windows of all
    videos for VC_n, the pixels for agreement and TC, the videos for E_smooth and E_cons, the objects for DAVIS.
    """

    measure: Callable[..., ScoreT]
    tally: Tally | None = None
    videos: int = 0  # that were measured
    skipped: int = 0  # that had nothing to measure

    def add(self, *args: Any, **options: Any) -> ScoreT | None:
        """Measure one more video; returns its own score, or None where it has nothing to measure."""
        try:
            score = self.measure(*args, **options)
        except NothingToMeasure:
            self.skipped += 1
            return None
        self.tally = score.tally if self.tally is None else self.tally + score.tally
        self.videos += 1
        return score

    @property
    def value(self) -> float:
        return self._filled().value

    @property
    def support(self) -> int:
        return 0 if self.tally is None else self.tally.support

    def __add__(self, other: "Stream[ScoreT]") -> "Stream[ScoreT]":
        if _named(self.measure) != _named(other.measure):
            raise InputError(
                f"streams of one measure and its options merge, got {_named(self.measure)} and {_named(other.measure)}"
            )
        known = [tally for tally in (self.tally, other.tally) if tally is not None]
        both = known[0] + known[1] if len(known) == 2 else next(iter(known), None)
        return Stream(self.measure, both, self.videos + other.videos, self.skipped + other.skipped)

    def _filled(self) -> Tally:
        if self.tally is None:
            raise InputError(
                f"no video was measured: {self.skipped} were skipped",
                hint="add() never called, or every video too short or without a usable pixel",
            )
        return self.tally


def _named(measure: Callable[..., object]) -> tuple[object, ...]:
    """A measure and its options in a form that compares; partial objects compare by identity."""
    if isinstance(measure, partial):
        return measure.func, measure.args, sorted(measure.keywords.items())
    return (measure,)
