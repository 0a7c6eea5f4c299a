"""Steadier by training instead of a filter, on the same front, and the closing table beside the published numbers."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.method_study import method_recipe, method_study
from stc_lab.experiments.smoothing_front import FrontRow, Smoothing, effect_of, smoothing_front
from stc_lab.training.loop import Log

BASE = "no extra loss"
# What a row is called here -> the method of `method_study`, and what is changed in its recipe.
TRAININGS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        BASE: (BASE, {}),
        "E_pair loss": ("stability (E_pair)", {}),
        "E_pair loss, identity warp": ("stability (E_pair), identity warp", {}),
        "transform invariance": ("transform invariance", {"frames": 4}),
    }
)


@dataclass(frozen=True)
class TrainedRow:
    """A net that went on with one objective and one seed, labelling one frame at a time."""

    name: str
    seed: int
    scores: Mapping[str, FrontRow]  # by the name of the test videos


def trained_front(
    train_videos: Videos,
    tests: Mapping[str, Videos],
    *,
    steps: int,
    seeds: Sequence[int],
    trainings: Mapping[str, tuple[str, Mapping[str, Any]]] = TRAININGS,
    log: Callable[[str], Log] | None = None,
) -> list[TrainedRow]:
    """Go on with the shipped net by each objective and seed, and score it on every set of test videos unsmoothed.

    Weights are those of `method_study.METHODS`; labelled frames, steps and draws are the same for all rows of a seed.
    """
    if not tests or not seeds:
        raise InputError(f"at least one set of test videos and one seed are needed, got {len(tests)} and {len(seeds)}")
    rows = {
        name: method_recipe(method, train_videos, steps=steps, **changes)
        for name, (method, changes) in trainings.items()
    }
    plain = (Smoothing("none"),)
    return [
        TrainedRow(
            row.name,
            row.seed,
            {key: smoothing_front(row.model, videos, smoothings=plain)[0] for key, videos in tests.items()},
        )
        for row in method_study(rows, train_videos, next(iter(tests.values())), seeds=seeds, log=log)
    ]


def training_measures(row: TrainedRow) -> dict[str, float]:
    """Of a trained net mIoU and E_cons on each set of videos, by names that `changes_of` reads."""
    return {
        f"{measure}, {videos}": value
        for videos, scores in row.scores.items()
        for measure, value in (("mIoU", scores.miou), ("E_cons", scores.e_cons))
    }


@dataclass(frozen=True)
class Change:
    """A change of accuracy and of steadiness, each with its spread, if it has one."""

    miou: float  # difference, 0..1 (published: of recall)
    e_cons: float  # relative
    miou_spread: float = math.nan
    e_cons_spread: float = math.nan


# Azulay et al. 2021, Tables 1 and 2: recall on DAVIS for mIoU, inconsistency for E_cons.
PUBLISHED: Mapping[str, Change] = MappingProxyType(
    {
        "2-D guided filter": Change(0.833 - 0.831, 0.093 / 0.093 - 1),
        "3-D guided filter": Change(0.826 - 0.831, 0.075 / 0.093 - 1),
        "E_pair loss": Change(0.831 - 0.839, 0.093 / 0.245 - 1),
        "transform invariance": Change(0.760 - 0.839, 0.215 / 0.245 - 1),
    }
)
# The filters of the closing table, by the words that it has for them.
FILTERS: Mapping[str, Smoothing] = MappingProxyType(
    {
        "Gaussian over time, sigma 1": Smoothing("labels over time", sigma=1.0),
        "Gaussian over time, sigma 3": Smoothing("labels over time", sigma=3.0),
        "Gaussian along estimated flow, sigma 2": Smoothing("along the flow", sigma=2.0, estimated=True),
        "2-D guided filter": Smoothing("guided filter"),
        "3-D guided filter": Smoothing("guided filter", temporal_radius=2),
    }
)


def filter_changes(rows: Sequence[FrontRow]) -> dict[str, Change]:
    """What each filter of the closing table changes against the net alone; spreads are over resampled rooms."""
    found = {row.smoothing: row for row in rows}
    base = found[Smoothing("none")]
    effects = {name: effect_of(found[s], base) for name, s in FILTERS.items() if s in found}
    return {n: Change(e.miou, e.e_cons, e.miou_spread, e.e_cons_spread) for n, e in effects.items()}


def closing_smoothings() -> tuple[Smoothing, ...]:
    """The net alone, and the filters of the closing table."""
    return Smoothing("none"), *FILTERS.values()


def training_changes(rows: Sequence[TrainedRow], videos: str, *, base: str = BASE) -> dict[str, Change]:
    """What each objective changes against `base` of the same seed: mean and standard deviation over the seeds."""
    return changes_of([(row.name, row.seed, training_measures(row)) for row in rows], videos, base=base)


def changes_of(
    rows: Sequence[tuple[str, int, Mapping[str, float]]], videos: str, *, base: str = BASE
) -> dict[str, Change]:
    """The same of rows as (name, seed, `training_measures`), such as a kept study holds."""
    miou, e_cons = f"mIoU, {videos}", f"E_cons, {videos}"
    of_base = {seed: values for name, seed, values in rows if name == base}
    changes = {}
    for name in dict.fromkeys(name for name, _, _ in rows if name != base):
        own = [(values, of_base[seed]) for known, seed, values in rows if known == name and seed in of_base]
        gains = [values[miou] - before[miou] for values, before in own]
        falls = [values[e_cons] / before[e_cons] - 1 for values, before in own]
        changes[name] = Change(statistics.fmean(gains), statistics.fmean(falls), _spread(gains), _spread(falls))
    return changes


def closing_table(here: Mapping[str, Mapping[str, Change]]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Columns and rows: what each method changes here, for each set of videos, beside what was published.

    Points of mIoU (published: of recall on DAVIS) and per cent of E_cons (published: inconsistency); ± as in `Change`.
    """
    if not here:
        raise InputError("a closing table needs the changes on at least one set of videos, got none")
    columns: list[str] = []
    for videos in here:
        columns += [f"mIoU, {videos}", f"E_cons, {videos}"]
    rows = {}
    for name in dict.fromkeys(name for changes in here.values() for name in changes):
        cells = [cell for changes in here.values() for cell in _cells(changes.get(name))]
        rows[name] = (*cells, *_cells(PUBLISHED.get(name)))
    return (*columns, "recall, published", "inconsistency, published"), rows


def _cells(change: Change | None) -> tuple[str, str]:
    if change is None:
        return "", ""
    steadiness = f"{100 * change.e_cons:+.0f}{_plus_minus(change.e_cons_spread, 0)} %"
    return f"{100 * change.miou:+.1f}{_plus_minus(change.miou_spread, 1)}", steadiness


def _plus_minus(spread: float, digits: int) -> str:
    return "" if math.isnan(spread) else f" ± {100 * spread:.{digits}f}"


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else math.nan
