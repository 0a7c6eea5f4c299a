"""What the kept study of photometric training came to: its table, and what its probes say about why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from stc_lab.errors import InputError
from stc_lab.experiments.photometric_study import SETTINGS

Kept = Mapping[str, Any]
STEPS = 300  # of the settings; longer ones are rows of their own


@dataclass(frozen=True)
class SettingResult:
    """One setting at one number of steps, over the seeds it was run with."""

    name: str
    steps: int
    abs_rel: tuple[float, ...]  # of each seed
    focal_error: tuple[float, ...]  # learned over true, minus 1
    focal: str  # how it was found: fitted, learned (by the error's gradient), given

    @property
    def title(self) -> str:
        return self.name if self.steps == STEPS else f"{self.name}, {self.steps} steps"


def setting_results(kept: Kept) -> list[SettingResult]:
    """The rows of the study, seeds together, best first."""
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in kept["rows"].values():
        groups.setdefault((row["name"], row["steps"]), []).append(row)
    found = []
    for (name, steps), rows in groups.items():
        rows.sort(key=lambda row: row["recipe"]["seed"])
        abs_rel, focal_error = (tuple(float(row[key]) for row in rows) for key in ("abs_rel", "focal_error"))
        found.append(SettingResult(name, steps, abs_rel, focal_error, rows[0]["recipe"]["focal"]))
    return sorted(found, key=lambda result: fmean(result.abs_rel))


def best_constant_of(kept: Kept) -> float:
    """abs_rel of the best constant of each image, which every row is beside."""
    return float(next(iter(kept["rows"].values()))["constant"])


def photometric_table(kept: Kept) -> str:
    """All settings as Markdown, best first, and where learning nothing stands."""
    constant = best_constant_of(kept)
    lines = ["| setting | asks | abs_rel | focal length off |", "|:---|:---|:---|:---|"]
    for result in setting_results(kept):
        off = "known" if result.focal == "given" else _percent(result.focal_error)
        lines.append(f"| {result.title} | {_asks(result)} | {_number(result.abs_rel)} | {off} |")
    learned = sum(fmean(result.abs_rel) < constant for result in setting_results(kept))
    lines.insert(
        2 + learned, f"| *best constant of each image* | *learns nothing, knows each median* | *{constant:.3f}* | |"
    )
    return "\n".join(lines)


def result_of(kept: Kept, name: str, steps: int = STEPS) -> SettingResult:
    """The one of this name; InputError lists those that are kept."""
    found = {(result.name, result.steps): result for result in setting_results(kept)}
    if (name, steps) not in found:
        raise InputError(f"the study has no {name!r} of {steps} steps", hint=f"it has {sorted(found)}")
    return found[name, steps]


def contrast_of(kept: Kept, *, stride: int, gap: int) -> float:
    """Share of a flat world's photometric error that the true depth takes away, motions fitted to both."""
    (level,) = (level for level in kept["error_levels"] if (level["stride"], level["gap"]) == (stride, gap))
    return float(level["contrast"])


def pulls(kept: Kept, depth: str = "true") -> dict[float, tuple[float, float]]:
    """By factor on the true focal length, the error's slope with the motion held and with the motion following."""
    return {pull["factor"]: (pull["held"], pull["followed"]) for pull in kept["focal_pull"][depth]}


def _asks(result: SettingResult) -> str:
    asks = SETTINGS[result.name].question
    return asks if result.steps == STEPS else f"{result.steps / STEPS:.1f} times the steps"


def _number(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _percent(values: Iterable[float]) -> str:
    values = [100 * value for value in values]
    return f"{fmean(values):+.1f}" + (f" ± {stdev(values):.1f} %" if len(values) > 1 else " %")
