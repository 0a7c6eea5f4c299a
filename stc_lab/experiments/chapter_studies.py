"""The chapters' studies with several seeds: run by `stc-lab study`, kept as small JSON, read by the notebooks.

A notebook trains each row once, in seconds; what it may conclude needs more. A study says which rows and seeds that is,
and every number in it comes from the command that it names.
"""

import hashlib
import json
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata, resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import stc_lab.experiments
import stc_lab.models
from stc_lab.data.cache import build_once, cache_root
from stc_lab.data.load import load
from stc_lab.data.rooms import PRESETS
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments import contrast_study
from stc_lab.experiments.consistency_lesson import ROWS as LESSON_ROWS
from stc_lab.experiments.consistency_lesson import lesson_rows
from stc_lab.experiments.depth_edge_training import ROWS as EDGE_ROWS
from stc_lab.experiments.depth_edge_training import edge_scores, edge_training
from stc_lab.experiments.method_study import CONTROLS, METHODS, Measured, method_study
from stc_lab.experiments.smoothing_front import front_sets, smoothing_front
from stc_lab.experiments.stabilising import (
    TRAININGS,
    Change,
    TrainedRow,
    changes_of,
    closing_smoothings,
    filter_changes,
    trained_front,
    training_measures,
)
from stc_lab.models import load_shipped

_METHODS = {**METHODS, **CONTROLS}
FILE = "found.json"  # in the folder of a seed
Log = Callable[[str], None]
Measures = Mapping[str, float]


@dataclass(frozen=True)
class KeptRow:
    """One way of going on with the net, with one seed, as it was kept."""

    name: str
    seed: int
    values: Measures

    def measures(self) -> dict[str, float]:
        """By name; NaN where there was nothing to measure."""
        return dict(self.values)


@dataclass(frozen=True)
class ChapterStudy:
    """How large a chapter's study is."""

    chapter: str
    preset: str = "quick"
    steps: int = 100
    seeds: tuple[int, ...] = (0, 1, 2)
    judged: str = "12 test rooms"

    @property
    def command(self) -> str:
        return f"stc-lab study {self.chapter}"


STUDIES: Mapping[str, ChapterStudy] = MappingProxyType(
    {
        "04": ChapterStudy("04"),
        "07": ChapterStudy("07"),
        "08": ChapterStudy("08"),
        "10": ChapterStudy("10", judged="12 test rooms, filmed by hand and on the dolly"),
    }
)


def _logits(study: ChapterStudy, seed: int) -> Sequence[Measured]:
    train, test = (load("rooms", split=split, preset=study.preset) for split in ("train", "test"))
    return method_study(lesson_rows(train, steps=study.steps), train, test, seeds=(seed,))


def _contrast(study: ChapterStudy, seed: int) -> Sequence[Measured]:
    train, test = (contrast_study.chapter_videos(split, study.preset) for split in ("train", "test"))
    return contrast_study.contrast_study(train, test, steps=study.steps, seeds=(seed,))


def _edges(study: ChapterStudy, seed: int) -> Sequence[Measured]:
    train, test = (load("rooms", split=split, preset=study.preset) for split in ("train", "test"))
    found = []
    for row in edge_training(train, test, steps=study.steps, seeds=(seed,), rows=EDGE_ROWS):
        found.append(KeptRow(row.name, seed, {**row.measures(), **asdict(edge_scores(row.model, test))}))
    return found


def _stabilising(study: ChapterStudy, seed: int) -> Sequence[Measured]:
    train, tests = load("rooms", split="train", preset=study.preset), _front_sets(study)
    rows: list[TrainedRow] = trained_front(train, tests, steps=study.steps, seeds=(seed,))
    return [KeptRow(row.name, seed, training_measures(row)) for row in rows]


def _front_sets(study: ChapterStudy) -> dict[str, Videos]:
    return front_sets("tiny" if study.preset == "tiny" else "full")  # all 12 rooms, however few the net learned from


def _filters(study: ChapterStudy) -> dict[str, Any]:
    """What no seed changes: the filters on the net as it comes."""
    model = load_shipped("rooms_fpn").model
    found = {
        name: smoothing_front(model, videos, smoothings=closing_smoothings())
        for name, videos in _front_sets(study).items()
    }
    return {name: {n: asdict(change) for n, change in filter_changes(rows).items()} for name, rows in found.items()}


_ONE_SEED: Mapping[str, Callable[[ChapterStudy, int], Sequence[Measured]]] = MappingProxyType(
    {"04": _logits, "07": _contrast, "08": _edges, "10": _stabilising}
)
_NO_SEED: Mapping[str, Callable[[ChapterStudy], dict[str, Any]]] = MappingProxyType({"10": _filters})


def run_study(study: ChapterStudy, *, cache: Path | str | None = None, log: Log = print) -> dict[str, Any]:
    """Train and measure all rows with all seeds; a seed that is done is found in the cache folder, not repeated.

    Seeds may run in processes of their own, by `seed_folder`.
    """
    found = []
    for seed in study.seeds:
        log(f"chapter {study.chapter}, seed {seed}")
        found += json.loads((seed_folder(study, seed, cache) / FILE).read_text(encoding="utf-8"))
    done = {
        "command": study.command,
        **asdict(study),
        **origin(study),
        "settings": settings(study.chapter),
        "versions": {"python": platform.python_version(), "torch": metadata.version("torch")},
        "rows": found,
    }
    if study.chapter in _NO_SEED:
        done["without seeds"] = json.loads((seed_folder(study, None, cache) / FILE).read_text(encoding="utf-8"))
    return done


def keep_study(
    chapter: str,
    out: Path | str | None = None,
    *,
    seeds: int | None = None,
    cache: Path | str | None = None,
    log: Log = print,
) -> Path:
    """Run a chapter's study and write its JSON to the folder `out`, by default the package's own.

    `seeds` takes the first ones only, while there is no time for all.
    """
    if chapter not in STUDIES:
        raise InputError(f"there is no study of chapter {chapter!r}; there are {', '.join(STUDIES)}")
    folder = Path(stc_lab.experiments.__file__).parent / "results" if out is None else Path(out).expanduser()
    study, some = STUDIES[chapter], STUDIES[chapter].seeds[:seeds]
    done = run_study(replace(study, seeds=some), cache=cache, log=log)
    if some != study.seeds:
        done["command"] += f" --seeds {len(some)}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _file(chapter)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
    return path


def kept_study(chapter: str) -> dict[str, Any]:
    """The kept study of a chapter, as it was written."""
    if chapter not in STUDIES:
        raise InputError(f"there is no study of chapter {chapter!r}; there are {', '.join(STUDIES)}")
    text = (resources.files("stc_lab.experiments") / "results" / _file(chapter)).read_text(encoding="utf-8")
    kept: dict[str, Any] = json.loads(text)
    return kept


def kept_rows(study: Mapping[str, Any]) -> list[KeptRow]:
    """The rows of a kept study, for `method_table`."""
    return [KeptRow(row["name"], row["seed"], _numbers(row["measures"])) for row in study["rows"]]


def kept_changes(study: Mapping[str, Any]) -> dict[str, dict[str, Change]]:
    """What filters and trainings change on each set of videos, of the kept study of chapter 10."""
    rows = [(row.name, row.seed, row.measures()) for row in kept_rows(study)]
    return {
        videos: {name: Change(**_numbers(change)) for name, change in found.items()} | changes_of(rows, videos)
        for videos, found in study["without seeds"].items()
    }


def about(study: Mapping[str, Any]) -> str:
    """Which command made a kept study, of what: one sentence in Markdown."""
    seeds, steps, rooms = len(study["seeds"]), study["steps"], study["judged"]
    return f"`{study['command']}`: {seeds} seed{'s' * (seeds != 1)}, {steps} steps for each row, judged on {rooms}."


def origin(study: ChapterStudy) -> dict[str, str]:
    """What the numbers rest on beside the code: the rooms, and the net that all rows start from."""
    weights = (resources.files("stc_lab.models") / "weights" / "rooms_fpn.safetensors").read_bytes()
    return {"rooms": PRESETS[study.preset].digest(), "net": hashlib.sha256(weights).hexdigest()[:12]}


def settings(chapter: str) -> dict[str, Any]:
    """What makes the rows of a chapter's study differ, in JSON's types; a change there makes all its seeds new."""
    rows: dict[str, dict[str, Any]] = {
        "04": {name: {**_METHODS[method], **options} for name, (method, options) in LESSON_ROWS.items()},
        "07": {"weight": contrast_study.WEIGHT, "pixels": contrast_study.PIXELS, "tau": contrast_study.TEMPERATURE},
        "08": {name: None if row is None else asdict(row) for name, row in EDGE_ROWS.items()},
        "10": {name: {**_METHODS[method], **changes} for name, (method, changes) in TRAININGS.items()},
    }
    in_json: dict[str, Any] = json.loads(json.dumps(rows[chapter]))
    return in_json


def seed_folder(study: ChapterStudy, seed: int | None, cache: Path | str | None = None) -> Path:
    """Where the rows of one seed lie, trained if they are not there; None: what no seed changes."""

    def build(partial: Path) -> None:
        found = _NO_SEED[study.chapter](study) if seed is None else _rows(study, seed)
        (partial / FILE).write_text(json.dumps(_rounded(found), indent=1) + "\n", encoding="utf-8")

    root = cache_root() if cache is None else Path(cache).expanduser()
    return build_once(root / "chapter_studies" / f"{study.chapter}-{seed}-{_digest(study)}", build)


def _rows(study: ChapterStudy, seed: int) -> list[dict[str, Any]]:
    return [
        {"name": row.name, "seed": seed, "measures": row.measures()} for row in _ONE_SEED[study.chapter](study, seed)
    ]


def _digest(study: ChapterStudy) -> str:
    text = json.dumps(
        {**asdict(study), "seeds": None, "judged": None, **origin(study), "settings": settings(study.chapter)}
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """As `_rounded` left them, null as NaN."""
    return {name: math.nan if value is None else value for name, value in values.items()}


def _rounded(values: Any) -> Any:
    """The same, numbers to 5 digits behind the point, NaN as null."""
    if isinstance(values, Mapping):
        return {name: _rounded(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_rounded(value) for value in values]
    if isinstance(values, float):
        return None if math.isnan(values) else round(values, 5)
    return values


def _file(chapter: str) -> str:
    return f"chapter_{chapter}.json"
