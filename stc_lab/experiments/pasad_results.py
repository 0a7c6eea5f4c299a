"""The scores of the Pasad study: which there are, which are missing, and the kept ones of the full study.

A result is one evaluated net, as `pasad_rows.evaluate_model` writes it: measures are shares, 0..1.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stc_lab.errors import InputError
from stc_lab.experiments.pasad_profiles import BEST, PROFILES, ROWS, planned_rows, profile_of
from stc_lab.experiments.published import BASELINE, CONTINUED, METHOD, TABLE_2

Result = Mapping[str, Any]
KEPT = Path(__file__).with_name("results") / "pasad_full.json"
EQUAL, EQUALISED = "equal weight", "equalised"
IDENTITY, ANOTHER_ROOM, DISTILLED = "identity warp", "another room", "self-distillation"
LEARNED = "consistency, learned geometry"
BEST_LEARNED, BEST_IDENTITY = "best found, learned geometry", "best found, identity warp"
TABLE_1_ROWS = (BASELINE, *ROWS)
ABLATION_ROWS = tuple(TABLE_2)
CONTROLS = (IDENTITY, ANOTHER_ROOM, DISTILLED)
# Each method's own control: the same without a warp.
IDENTITY_OF = {BEST: BEST_IDENTITY, BEST_LEARNED: BEST_IDENTITY}
# Rows without a consistency loss have no strength; and one run may stand in both tables under two names.
_WITHOUT_LOSS = (BASELINE, CONTINUED)
_SAME = {"all three": METHOD, METHOD: "all three"}
_KEPT = ("profile", "kind", "row", "strength", "count", "seed", "split", "steps", "tried")
_KEPT_MEASURES = ("seconds", "miou", "accuracy", "temporal_agreement", "vc8")
_BY_CLASS = ("iou", "recall", "frequency", "train_frequency")


def row_of(result: Result) -> str:
    """The row's name; a net trained on labels alone is the row "baseline"."""
    return BASELINE if result["kind"] == "baseline" else str(result["row"])


def seeds_of(
    results: Iterable[Result], row: str, count: int, *, strength: str = EQUAL, split: str = "test"
) -> dict[int, Result]:
    """The results of one row at one label count by seed, ascending; empty where there are none.

    A row without a consistency loss is found at any strength, and Table 2's "all three" is Table 1's "consistency".
    Raises InputError for two different results of one seed.
    """
    names = [row, *([_SAME[row]] if row in _SAME else [])]
    of_split = [r for r in results if r["split"] == split and r["count"] == count]
    for name in names:
        found: dict[int, Result] = {}
        for result in of_split:
            if row_of(result) != name or (result.get("strength", EQUAL) != strength and name not in _WITHOUT_LOSS):
                continue
            seed = int(result["seed"])
            if seed in found and found[seed]["miou"] != result["miou"]:
                raise InputError(f"two results of {name!r} at {count} labels, seed {seed}: {split}")
            found[seed] = result
        if found:
            return dict(sorted(found.items()))
    return {}


def identity_of(row: str) -> str:
    """The control of a row: the same loss between the same pixels."""
    return IDENTITY_OF.get(row, IDENTITY)


def values_of(
    results: Iterable[Result],
    row: str,
    count: int,
    measure: str | Callable[[Result], float | None] = "miou",
    *,
    strength: str = EQUAL,
    split: str = "test",
) -> dict[int, float]:
    """A measure of one row at one label count by seed; seeds of which it is not known are left out."""
    ask = (lambda result: result.get(measure)) if isinstance(measure, str) else measure
    asked = {seed: ask(r) for seed, r in seeds_of(results, row, count, strength=strength, split=split).items()}
    return {seed: float(v) for seed, v in asked.items() if v is not None and not math.isnan(v)}


def paired(base: Mapping[int, float], other: Mapping[int, float]) -> tuple[list[float], list[float]]:
    """The values of the seeds that both sides have, seed by seed."""
    both = sorted(base.keys() & other.keys())
    return [base[seed] for seed in both], [other[seed] for seed in both]


def counts_of(results: Iterable[Result]) -> tuple[int, ...]:
    """The label counts, ascending: those of the results' profile, or those there are."""
    results = list(results)
    planned = PROFILES.get(next((str(r["profile"]) for r in results), ""))
    return tuple(planned.counts) if planned is not None else tuple(sorted({int(r["count"]) for r in results}))


def ablation_count(results: Iterable[Result]) -> int:
    """The label count of Table 2: that of the results' profile, or else the one with most of its rows."""
    results = list(results)
    planned = PROFILES.get(next((str(r["profile"]) for r in results), ""))
    if planned is not None:
        return int(planned.ablation_count)
    counts = counts_of(results)
    if not counts:
        raise InputError("there are no results, so no label count to compare at", hint="stc-lab reproduce pasad")
    return max(counts, key=lambda count: (len({row_of(r) for r in results if r["count"] == count}), -count))


@dataclass(frozen=True)
class Progress:
    """How much of a study there is."""

    done: int
    planned: int
    command: str  # that makes it, or the rest of it

    @property
    def complete(self) -> bool:
        return self.done >= self.planned

    def __str__(self) -> str:
        if self.complete:
            return f"all {self.done} runs, made by `{self.command}`"
        return f"{self.done} of {self.planned} runs; the rest is made by `{self.command}`"


@dataclass(frozen=True)
class KeptStudy:
    """The results that the repository keeps, and the command that made them."""

    results: list[dict[str, Any]]
    progress: Progress
    seconds: float = math.nan  # of all jobs together, each on one thread


def planned_runs(profile: str) -> int:
    """How many evaluated nets a profile comes to: its baselines, and all rows of both tables."""
    known = profile_of(profile)
    return len(known.counts) * len(known.seeds) + len(planned_rows(known))


def progress_of(results: Sequence[Result], profile: str) -> Progress:
    """How many of a profile's runs there are."""
    done = sum(1 for result in results if result["split"] == "test")
    return Progress(done, planned_runs(profile), f"stc-lab reproduce pasad --profile {profile}")


def kept_study(path: Path = KEPT) -> KeptStudy:
    """The kept results of the full study; none, and the command to make them, where the file does not exist."""
    if not path.is_file():
        return KeptStudy([], progress_of([], "full"))
    kept = json.loads(path.read_text(encoding="utf-8"))
    results = [_expanded(one, kept["classes"]) for one in kept["results"]]
    return KeptStudy(results, progress_of(results, "full"), kept.get("job_seconds", math.nan))


def kept_results(path: Path = KEPT) -> list[dict[str, Any]]:
    """The kept results of the full study, as `jobs.results` gives them; [] where there are none."""
    return kept_study(path).results


def keep_results(results: Sequence[Result], path: Path = KEPT, *, job_seconds: float = math.nan) -> Path:
    """Write results small: classes named once, shares to 5 digits, no recipes, and confusion only where it is shown.

    It is shown at Table 2's label count, for the rows that notebook 06 compares; in thousandths of each true class.
    """
    if not results:
        raise InputError("there are no results to keep", hint="run the study first: stc-lab reproduce pasad")
    classes = list(results[0]["iou"])
    count = ablation_count(results)
    shown = [
        id(result)
        for row in (CONTINUED, METHOD, IDENTITY)
        for result in seeds_of(results, row, count, strength=EQUAL).values()
    ]
    compact = [_compacted(result, classes, id(result) in shown) for result in results]
    body = ",\n".join(json.dumps(one, separators=(",", ":")) for one in compact)
    took = {} if math.isnan(job_seconds) else {"job_seconds": round(job_seconds)}
    head = json.dumps({"classes": classes, **took})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_name(f".{path.name}.partial")
    partial_file.write_text(f'{head[:-1]}, "results": [\n{body}\n]}}\n', encoding="utf-8")
    partial_file.replace(path)
    return path


def _compacted(result: Result, classes: Sequence[str], with_confusion: bool) -> dict[str, Any]:
    kept = {key: result[key] for key in _KEPT if key in result}
    kept |= {key: _rounded(result[key]) for key in _KEPT_MEASURES if key in result}
    kept |= {key: [_rounded(result[key].get(name)) for name in classes] for key in _BY_CLASS if key in result}
    if with_confusion and result.get("confusion") is not None:
        kept["confusion"] = np.rint(1000 * row_shares(result["confusion"])).astype(int).tolist()
    return kept


def _expanded(kept: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    by_class = partial(zip, classes, strict=True)
    return {key: dict(by_class(value)) if key in _BY_CLASS else value for key, value in kept.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 5)


def row_shares(confusion: Sequence[Sequence[float]]) -> np.ndarray:
    """A confusion matrix in shares of each true class (rows); classes that do not occur have 0 throughout."""
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise InputError(f"a confusion matrix is square, got {list(counts.shape)}")
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
