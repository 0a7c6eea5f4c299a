"""Each method of the papers on one net: the same steps and labelled frames, so that rows differ in the terms alone."""

import copy
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.errors import InputError
from stc_lab.geometry import RigidFlow
from stc_lab.losses import PairFlows, all_pairs, pair_flows
from stc_lab.metrics import Stream, e_cons, video_consistency
from stc_lab.models import FPNSegmenter, load_shipped
from stc_lab.training import Evaluation, FrameMemory, ObjectiveRecipe, ObjectiveResult, evaluate, train_objective
from stc_lab.training.loop import Log

CE = ("cross_entropy", 1.0)
_SAMPLED = {"count": 512}  # pixels contrasted per pair
_PER_PIXEL = {"normalise": "pixels"}
# What each method adds to the cross-entropy: all settings that were tried, the chosen one first. Chosen is the
# strongest that does not cost mIoU against no extra loss, or else the weakest, on validation rooms (24 of `full`; 32
# training rooms of `quick`, 100 steps, seed 0).
TRIED: dict[str, tuple[tuple[tuple[Any, ...], ...], ...]] = {
    "no extra loss": ((),),
    "Eq. 1": tuple((("logits_consistency", weight),) for weight in (0.3, 0.1, 1.0)),
    "pseudo-label CE": tuple((("pseudo_label_cross_entropy", weight),) for weight in (0.1, 0.3, 1.0)),
    "STCL": tuple((("sampled_contrastive", weight, _SAMPLED),) for weight in (1.0, 0.2, 0.05)),
    "STCL + pseudo-labels": tuple(
        (("teacher", taught), ("sampled_contrastive", weight, _SAMPLED))
        for taught, weight in ((1.0, 1.0), (1.0, 0.2), (0.3, 0.2))
    ),
    "L_p": tuple((("edge_loss_p", weight),) for weight in (0.1, 0.3, 1.0)),
    "L_h": tuple((("edge_loss_h", weight),) for weight in (0.3, 1.0, 3.0)),
    "stability (E_pair)": tuple((("teacher", 1.0), ("pair_stability", weight)) for weight in (1.0, 0.3, 3.0)),
    "transform invariance": tuple((("transform_invariance", weight, _PER_PIXEL),) for weight in (0.3, 0.1, 0.03)),
}
# What else a method needs: STCL without pseudo-labels has pairs of labelled frames; the data term has all labels.
_ELSE: dict[str, dict[str, Any]] = {
    "STCL": {"pairs_of": "labelled", "pseudo_labels": False},
    "stability (E_pair)": {"threshold": 0.0},
}
METHODS: dict[str, dict[str, Any]] = {
    name: {"terms": (CE, *settings[0]), **_ELSE.get(name, {})} for name, settings in TRIED.items()
}
# The same terms without looking where the pixels went; the others compare no frames along a warp.
CONTROLS: dict[str, dict[str, Any]] = {
    f"{name}, identity warp": {**METHODS[name], "warp": "identity"}
    for name in ("Eq. 1", "pseudo-label CE", "stability (E_pair)")
}
STEADY_PAIRS = 3  # K of E_cons


def method_recipe(name: str, videos: Videos, *, steps: int = 100, **changes: Any) -> ObjectiveRecipe:
    """The recipe of one of `METHODS` or `CONTROLS` for these training videos.

    Two labelled frames of each video, of which STCL makes its pairs; `changes` are fields of the recipe.
    """
    known = {**METHODS, **CONTROLS}
    if name not in known:
        raise InputError(f"no method is called {name!r}; there are {', '.join(known)}")
    shortest = min(videos.frame_count(video) for video in videos.names)
    fitting = {
        "labelled": 2 * len(videos.names),
        # So that any labelled frame can have a partner.
        "gaps": tuple(gap for gap in (1, 2, 4, 8) if gap <= shortest // 3),
    }
    return ObjectiveRecipe(**{**fitting, **known[name], "steps": steps, **changes})


def tried_recipes(name: str, videos: Videos, *, steps: int = 100, **changes: Any) -> dict[str, ObjectiveRecipe]:
    """The recipes of all settings of a method that were tried, by their weights: rows to repeat the choice with."""
    if name not in TRIED:
        raise InputError(f"no method is called {name!r}; there are {', '.join(TRIED)}")
    return {
        ", ".join([name, *(f"{term[0]} {term[1]:g}" for term in setting)]): method_recipe(
            name, videos, steps=steps, terms=(CE, *setting), **changes
        )
        for setting in TRIED[name]
    }


@runtime_checkable
class Measured(Protocol):
    """One way of going on with a net, with one seed, trained now or kept."""

    @property
    def name(self) -> str: ...
    @property
    def seed(self) -> int: ...
    def measures(self) -> dict[str, float]: ...


@dataclass(frozen=True)
class MethodRow:
    """One way of going on with a net, with one seed, and what it came to."""

    name: str
    seed: int
    model: FPNSegmenter
    result: ObjectiveResult[FPNSegmenter] | None  # None: the net as it started
    evaluation: Evaluation
    steadiness: dict[str, float]  # VC16 and E_cons; NaN where there is nothing to measure

    def measures(self) -> dict[str, float]:
        """mIoU, accuracy, temporal agreement, VC8 and VC16 (0..1, higher is better), and E_cons (lower is better).

        E_cons is Eq. 4 of Azulay et al. 2021 along the exact flow, K = 3, not divided by a size N: 0..2.
        """
        steady, agreement = self.evaluation.video_consistency, self.evaluation.temporal_agreement
        return {
            "mIoU": self.evaluation.scores.miou,
            "accuracy": self.evaluation.scores.accuracy,
            "temporal agreement": math.nan if agreement is None else agreement.value,
            "VC8": math.nan if steady is None else steady.value,
            **self.steadiness,
        }


def method_study(
    rows: Mapping[str, ObjectiveRecipe | None],
    train_videos: Videos,
    test_videos: Videos,
    *,
    seeds: Sequence[int] | None = None,
    start: FPNSegmenter | None = None,
    log: Callable[[str], Log] | None = None,
) -> list[MethodRow]:
    """Continue a net by each recipe and evaluate it on the test videos; a row of None is the net as it is.

    `start` is the net to go on with, by default the shipped one. `seeds` run each recipe once for each seed, in place
    of its own; the row of None is evaluated once. `log(name)` gives the `log` of a row's training.
    """
    if not rows:
        raise InputError("a study needs at least one row", hint="{name: method_recipe(name, videos) for name in ...}")
    start = load_shipped("rooms_fpn").model if start is None else start
    memory, judge = FrameMemory(train_videos), _Judge(test_videos)
    done = []
    for name, recipe in rows.items():
        if recipe is None:
            done.append(judge.row(name, 0, copy.deepcopy(start).eval(), None))
            continue
        for seed in [recipe.seed] if seeds is None else seeds:
            title = name if seeds is None or len(seeds) == 1 else f"{name}, seed {seed}"
            result = train_objective(
                copy.deepcopy(start),
                train_videos,
                replace(recipe, seed=seed),
                memory=memory,
                log=None if log is None else log(title),
            )
            done.append(judge.row(name, seed, result.model, result))
    return done


def method_table(rows: Sequence[Measured], *, base: str = "no extra loss") -> list[dict[str, float | str]]:
    """One dict for each name: the mean over its seeds of every measure, its spread, and its gain over `base`.

    `mIoU` is a mean, `mIoU spread` the standard deviation between seeds (NaN for one seed), `mIoU gain` the mean of the
    differences to the base row of the same seed, `mIoU gain spread` theirs. Gains are missing without a base row.
    """
    names = list(dict.fromkeys(row.name for row in rows))
    of_base = {row.seed: row.measures() for row in rows if row.name == base}
    table: list[dict[str, float | str]] = []
    for name in names:
        own = [row for row in rows if row.name == name]
        entry: dict[str, float | str] = {"method": name, "seeds": len(own)}
        for measure in own[0].measures():
            entry |= _spread(measure, [row.measures()[measure] for row in own])
            paired = [row for row in own if row.seed in of_base]
            if paired:
                gains = [row.measures()[measure] - of_base[row.seed][measure] for row in paired]
                entry |= _spread(f"{measure} gain", gains)
        table.append(entry)
    return table


def _spread(name: str, values: Sequence[float]) -> dict[str, float | str]:
    # `stdev` stumbles over a NaN, which is what a measure without anything to measure gives.
    spread = statistics.stdev(values) if len(values) > 1 and not any(map(math.isnan, values)) else math.nan
    return {name: statistics.fmean(values), f"{name} spread": spread}


class _Judge:
    """Evaluates nets on the same videos; what does not hang on the net is computed once."""

    def __init__(self, videos: Videos) -> None:
        self.videos = videos
        self._flows: dict[str, PairFlows] = {}

    def row(self, name: str, seed: int, model: FPNSegmenter, result: ObjectiveResult[FPNSegmenter] | None) -> MethodRow:
        steady, moving = Stream(partial(video_consistency, n=16)), Stream(partial(e_cons, normalise="none"))

        def each(clip: Clip, prediction: Tensor) -> None:
            assert clip.label is not None
            steady.add(prediction, clip.label)
            known = clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
            if known and len(clip) > 1:
                moving.add(prediction, self._flows_of(clip), K=STEADY_PAIRS)

        evaluation = evaluate(model, self.videos, each=each)
        measured: dict[str, Stream[Any]] = {"VC16": steady, "E_cons": moving}
        steadiness = {key: stream.value if stream.videos else math.nan for key, stream in measured.items()}
        return MethodRow(name, seed, model, result, evaluation, steadiness)

    def _flows_of(self, clip: Clip) -> PairFlows:
        video = clip.video[0]
        if video not in self._flows:
            pairs = all_pairs(len(clip), farthest=STEADY_PAIRS)
            self._flows[video] = pair_flows(clip, RigidFlow(), pairs=pairs, check=None)
        return self._flows[video]
