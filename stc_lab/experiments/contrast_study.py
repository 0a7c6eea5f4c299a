"""He et al. 2021 in small: STCL and pseudo-labels on one net, and whether predictions follow their own class."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stc_lab.data.frames import Clip
from stc_lab.data.load import load
from stc_lab.data.videos import Videos
from stc_lab.experiments.method_study import CE, MethodRow, method_recipe, method_study
from stc_lab.experiments.pixel_embedding import pixel_features
from stc_lab.experiments.steady_maps import steadiness
from stc_lab.experiments.surroundings import flips_by_surroundings, swapped_surroundings
from stc_lab.models import FPNSegmenter
from stc_lab.training import ObjectiveRecipe, predict
from stc_lab.training.loop import Log

MOTION = "handheld"  # a walk that looks around: steady for 8 and 16 frames where the dolly of other chapters is not
TEMPERATURE = 0.07  # the paper's best
WEIGHT = 1.0  # lambda 2
PIXELS = 512  # contrasted per pair
BASE = "no extra loss"
START = "the net as it was"
MEASURES = ("mIoU", "official VC8", "official VC16")
# He et al. 2021, Tables 3 and 4: Swin-L on the validation set of VSPW, one run each, in points.
PUBLISHED = {
    BASE: ("58.0", "89.2", "86.1"),
    "STCL": ("+1.3", "+0.9", "+0.8"),
    "STCL + pseudo-labels": ("+2.0", "not given", "not given"),
}
SURROUNDINGS = (0.0, 0.02, 0.2, 1.0)  # of the flip rates: next to no change, some, much


def chapter_videos(split: str, preset: str) -> Videos:
    """The rooms of this chapter."""
    return load("rooms", split=split, preset=preset, motion=MOTION)


def contrast_rows(
    videos: Videos, *, steps: int, temperature: float = TEMPERATURE, weight: float = WEIGHT
) -> dict[str, ObjectiveRecipe]:
    """The four rows: with and without STCL, with and without pseudo-labels; the rest is the same.

    STCL on labelled frames contrasts pairs of them; with pseudo-labels it has any two frames of a video, and the
    cross-entropy has the pseudo-labels as well, as He et al. train on both. Pseudo-labels without STCL are the control
    that tells what the labels alone do. STCL looks along no warp, so that there is no identity control.
    """
    stcl = ("sampled_contrastive", weight, {"count": PIXELS, "temperature": temperature})
    taught = ("teacher", 1.0)
    return {
        BASE: method_recipe("no extra loss", videos, steps=steps),
        "STCL": method_recipe("STCL", videos, steps=steps, terms=(CE, stcl)),
        "pseudo-labels": method_recipe("no extra loss", videos, steps=steps, terms=(CE, taught)),
        "STCL + pseudo-labels": method_recipe("STCL + pseudo-labels", videos, steps=steps, terms=(CE, taught, stcl)),
    }


@dataclass(frozen=True)
class ContrastRow(MethodRow):
    """One way of going on with the net, with one seed, and what STCL is about."""

    context: dict[str, float]  # of `context_measures`

    def measures(self) -> dict[str, float]:
        """Those of every method, and of `context_measures`."""
        return {**super().measures(), **self.context}


def contrast_study(
    train_videos: Videos,
    test_videos: Videos,
    *,
    steps: int,
    seeds: Sequence[int] = (0,),
    temperature: float = TEMPERATURE,
    weight: float = WEIGHT,
    log: Callable[[str], Log] | None = None,
) -> list[ContrastRow]:
    """Continue the shipped net by each of `contrast_rows` and measure it, also as it is (`START`)."""
    rows = {
        START: None,
        **contrast_rows(train_videos, steps=steps, temperature=temperature, weight=weight),
    }
    done = method_study(rows, train_videos, test_videos, seeds=tuple(seeds), log=log)
    return [ContrastRow(**vars(row), context=context_measures(row.model, test_videos)) for row in done]


def context_measures(model: FPNSegmenter, videos: Videos) -> dict[str, float]:
    """What STCL is about, in numbers.

    VC8 and VC16 as published (see `steady_maps`), with which the paper's can be compared; `within / between` and
    `silhouette` of the classes in the space that is classified, means over a pair of frames of each video; the share
    of points that flip within two frames where their surroundings hardly change, and where they change by more than a
    fifth; and the share of pixels whose prediction stays in another room.
    """
    found = [pixel_features(model, pair).separation() for pair in _frame_pairs(videos)]
    rates = flips_by_surroundings(model, videos, bins=SURROUNDINGS)
    (steady,) = steadiness({"": lambda clip: predict(model, clip.image)}, videos)
    return {
        **{f"official VC{n}": value for n, value in steady.official.items()},
        "within / between": statistics.fmean(one.ratio for one in found),
        "silhouette": statistics.fmean(one.silhouette for one in found),
        "flips, same surroundings": rates[0].flips,
        "flips, changed surroundings": rates[-1].flips,
        "stays in another room": swapped_surroundings(model, videos).reliance.value,
    }


def gain_cells(table: Sequence[Mapping[str, float | str]], measures: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Cells by row, from `method_table`, in points: the base row as it is, the others as gains over it.

    Gains are those of the same seeds, with the standard deviation between seeds. The net as it was has no row.
    """
    cells = {}
    for entry in table:
        name = str(entry["method"])
        if name != START:
            keys = [measure if name == BASE else f"{measure} gain" for measure in measures]
            spreads = [float(entry[f"{key} spread"]) for key in keys]
            cells[name] = tuple(
                _points(float(entry[key]), spread, signed=name != BASE)
                for key, spread in zip(keys, spreads, strict=True)
            )
    return cells


def closing_table(table: Sequence[Mapping[str, float | str]]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The paper's effect here beside the published one: columns, and cells by row (see `gain_cells`).

    VC8 and VC16 are in their published form.
    """
    rows = {
        name: (*cells, *PUBLISHED.get(name, ("not tried",) * len(MEASURES)))
        for name, cells in gain_cells(table, MEASURES).items()
    }
    seeds = max(int(entry["seeds"]) for entry in table)
    columns = [f"{measure} here, {seeds} seed{'s' * (seeds != 1)}" for measure in MEASURES]
    return (*columns, *(f"{measure} published" for measure in MEASURES)), rows


def _points(value: float, spread: float, *, signed: bool) -> str:
    if math.isnan(value):
        return "unknown"
    written = f"{100 * value:{'+' if signed else ''}.1f}"
    return written if math.isnan(spread) else f"{written} ± {100 * spread:.1f}"


def _frame_pairs(videos: Videos) -> list[Clip]:
    """The middle frame of each video and the one two later, where they show two classes."""
    pairs = []
    for name in videos.names:
        middle = videos.frame_count(name) // 2
        pair = videos.frames(
            [videos.row(name, middle), videos.row(name, min(middle + 2, videos.frame_count(name) - 1))]
        )
        if pair.label is not None and len(pair.label.unique()) > 1:
            pairs.append(pair)
    return pairs
