"""What was tried to get more out of the views, on validation rooms, each beside its control where one was run."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stc_lab.experiments.pasad_results import KEPT, paired
from stc_lab.experiments.pasad_tables import plus_minus, with_interval
from stc_lab.experiments.statistics import mean_of, paired_gain

if TYPE_CHECKING:
    import pandas as pd

KEPT_SEARCH = KEPT.with_name("pasad_search.json")
COLUMNS = ("setting", "labels", "steps", "seeds", "mIoU", "gain", "over its identity control")


def kept_trials() -> list[dict[str, Any]]:
    """The kept results of the search; [] where there are none yet."""
    if not KEPT_SEARCH.is_file():
        return []
    kept: list[dict[str, Any]] = json.loads(KEPT_SEARCH.read_text(encoding="utf-8"))
    return kept


def search_table(trials: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """A line for each setting, those of most seeds first, then the largest gain: mIoU in per cent, gains in points.

    The gain is over the baseline that was trained on for as many steps; "name | identity" is the control of "name".
    """
    import pandas as pd

    scores: dict[tuple[str, int, int], dict[int, float]] = {}
    for one in trials:
        key = one["setting"], one["count"], one["steps"]
        scores.setdefault(key, {})[one["seed"]] = 100 * one["miou"]
    bases = {(count, steps): of for (name, count, steps), of in scores.items() if name.startswith("baseline continued")}
    lines = []
    for (name, count, steps), own in scores.items():
        control = scores.get((f"{name} | identity", count, steps), {})
        mean = mean_of(own.values())
        # The baseline itself went on for no steps: that it took as many before says nothing.
        base = {} if name == "baseline" else bases.get((count, steps), {})
        gain, over = _gain(base, own), _gain(control, own)
        text = plus_minus(mean.value, mean.spread)
        lines.append(
            ((-mean.n, -gain[0]), dict(zip(COLUMNS, (name, count, steps, mean.n, text, gain[1], over[1]), strict=True)))
        )
    lines.sort(key=lambda line: line[0])
    return pd.DataFrame([line for _, line in lines], columns=list(COLUMNS))


def _gain(base: Mapping[int, float], own: Mapping[int, float]) -> tuple[float, str]:
    before, after = paired(base, own)
    if not before or base is own:
        return -99.0, "-"
    gain = paired_gain(before, after)
    return gain.mean, with_interval(gain.mean, gain.low, gain.high)
