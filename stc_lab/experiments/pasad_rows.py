"""Tables 1 and 2 of Pasad et al. 2020 on rooms, one node at a time: what is trained, from what, and how it is judged.

A net is trained on a few labelled frames, and then goes on in several ways that differ in one thing each: along exact
or learned geometry, and as controls without it. Every function here does the work of one node, and can be stopped and
called again: a training goes on from its last checkpoint.
"""

import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from stc_lab.data import Clip, Videos, array_videos
from stc_lab.data.cache import build_once, cache_root
from stc_lab.data.rooms import PRESETS, rooms_videos
from stc_lab.data.rooms.videos import INFO
from stc_lab.errors import InputError
from stc_lab.experiments.pasad_geometry import geometry_of, with_geometry
from stc_lab.experiments.pasad_profiles import (
    ABLATION,
    BASELINES_TRIED,
    PROFILES,
    ROWS,
    STRENGTH_NAMES,
    Profile,
    Row,
    baseline_recipe,
    planned_rows,
    profile_of,
    row_of,
    row_recipe,
)
from stc_lab.losses import edges
from stc_lab.metrics import ConfusionMatrix
from stc_lab.models import FPNSegmenter, load_model, save_model
from stc_lab.models.store import read_safetensors, write_safetensors
from stc_lab.training import (
    FrameMemory,
    ObjectiveRecipe,
    SegmentationRecipe,
    evaluate,
    train,
    train_objective,
)
from stc_lab.training import memory as frame_memory
from stc_lab.training.strengths import equalised_terms

__all__ = [
    "ABLATION",
    "MODEL",
    "PROFILES",
    "profile_of",
    "ROWS",
    "STRENGTH_NAMES",
    "Profile",
    "Row",
    "baseline_recipe",
    "evaluate_model",
    "judging_videos",
    "learn_geometry",
    "planned_rows",
    "render",
    "row_of",
    "row_recipe",
    "train_baseline",
    "train_recipe",
    "train_row",
    "training_videos",
]

MODEL, CHECKPOINT, STRENGTHS = "model.safetensors", "checkpoint.safetensors", "strengths.json"
EDGES = "edges.safetensors"
CHECKPOINT_EVERY = 50  # steps: what a run that is killed loses at most
Log = Callable[[dict[str, Any]], None]


def training_videos(profile: Profile, *, geometry: str = "exact") -> Videos:
    """The training rooms, with their true geometry or with the learned one in its place."""
    config = PRESETS[profile.rooms]
    videos = rooms_videos("train", config)
    return videos if geometry == "exact" else with_geometry(videos, geometry_of(videos, config))


def judging_videos(profile: Profile, split: str) -> Videos:
    """Validation rooms, on which all was chosen; or test rooms, of which the large profiles have some to themselves."""
    if split == "validation":
        return rooms_videos("val", PRESETS[profile.rooms])
    if split != "test":
        raise InputError(f"split must be validation or test, got {split!r}")
    config = replace(PRESETS[profile.rooms], test_scenes=profile.first_test_room + profile.test_rooms)
    table = rooms_videos("test", config).table
    return array_videos(INFO, table.select(range(profile.first_test_room * config.frames, len(table))))


def render(profile: Profile) -> dict[str, int]:
    """Make sure that all videos, and the image edges of the training ones, are in the cache; frames of each split."""
    kept_edges(profile, FPNSegmenter.coarse_stride)
    splits = {"training": training_videos(profile)}
    splits |= {split: judging_videos(profile, split) for split in ("validation", "test")}
    return {name: len(videos) for name, videos in splits.items()}


def learn_geometry(profile: Profile, *, log: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Depth, motion and focal length of the training videos from their images alone, into the cache."""
    config = PRESETS[profile.rooms]
    found = geometry_of(rooms_videos("train", config), config, log=log)
    ratios = [geometry.focal_ratio for geometry in found.values()]
    true = float(config.camera().K[0, 0, 0]) / config.width
    return {"videos": len(found), "focal_ratio": statistics.median(ratios), "true_focal_ratio": true}


def train_baseline(profile: Profile, count: int, seed: int, *, folder: Path, log: Log | None = None) -> None:
    """Write `folder/model.safetensors`, all or nothing; what is there already is left as it is."""
    if (folder / MODEL).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    videos = training_videos(profile)
    model = _new_net(profile, videos, seed)
    recipe = baseline_recipe(profile, count, seed)
    memory, began = FrameMemory(videos), time.process_time()
    with _denormals_flushed():
        result = train(model, videos, recipe, memory=memory, log=log, **_kept_in(folder))
    kind = {"kind": "baseline", "row": "baseline", "strength": STRENGTH_NAMES[0], "tried": BASELINES_TRIED}
    known = _notes(profile, recipe, memory, result.labelled_rows)
    _finish(folder, model, {**kind, **known, "seconds": time.process_time() - began})


def train_row(
    profile: Profile,
    row: str,
    count: int,
    seed: int,
    *,
    start: Path,
    folder: Path,
    strength: str = "equal weight",
    log: Log | None = None,
) -> None:
    """Go on from the baseline in the file `start`; write `folder/model.safetensors`, all or nothing."""
    kind, recipe = row_of(row), row_recipe(profile, row, count, seed, strength=strength)
    train_recipe(
        profile,
        recipe,
        start=start,
        folder=folder,
        geometry=kind.geometry,
        equalised=strength == "equalised" and bool(kind.terms),
        notes={"kind": "row", "row": row, "strength": strength, "tried": kind.tried},
        log=log,
    )


def train_recipe(
    profile: Profile,
    recipe: ObjectiveRecipe,
    *,
    start: Path,
    folder: Path,
    geometry: str = "exact",
    equalised: bool = False,
    notes: Mapping[str, Any] = MappingProxyType({}),
    log: Log | None = None,
) -> None:
    """`train_row` with a recipe of one's own; `notes` come with the model."""
    if (folder / MODEL).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    videos = training_videos(profile, geometry=geometry)
    model = load_model(start, FPNSegmenter).model
    memory, began = FrameMemory(videos), time.process_time()
    if "edges" in recipe.needs:
        memory.know_edges(kept_edges(profile, model.coarse_stride), stride=model.coarse_stride)
    scales: dict[str, float] = {}
    with _denormals_flushed():
        if equalised:
            recipe, scales = _equalised(model, memory, recipe, folder)
        result = train_objective(model, videos, recipe, memory=memory, log=log, **_kept_in(folder))
    known = _notes(profile, recipe, memory, result.labelled_rows)
    _finish(folder, model, {**notes, **known, "scales": scales, "seconds": time.process_time() - began})


def evaluate_model(profile: Profile, model: Path, *, split: str = "test") -> dict[str, Any]:
    """Scores of a trained file on test or validation rooms, in JSON's types; shares are 0..1."""
    stored = load_model(model, FPNSegmenter)
    videos = judging_videos(profile, split)
    confusion = ConfusionMatrix(stored.model.num_classes)

    def count(clip: Clip, prediction: Tensor) -> None:
        assert clip.label is not None
        confusion.add(prediction, clip.label)

    scores = evaluate(stored.model, videos, each=count)
    by_class = confusion.results()
    agreement, steady = scores.temporal_agreement, scores.video_consistency
    known = {name: value for name, value in stored.metadata.items() if name not in ("recipe", "labelled_rows")}
    return {
        **known,
        "split": split,
        "miou": scores.scores.miou,
        "accuracy": scores.scores.accuracy,
        "temporal_agreement": None if agreement is None else agreement.value,
        "vc8": None if steady is None else steady.value,
        "iou": _named(by_class.iou),
        "recall": _named(by_class.recall),
        "confusion": confusion.counts.tolist(),
        "frequency": _named(by_class.frequency),
    }


def kept_edges(profile: Profile, stride: int) -> Bool[Tensor, "n hs ws"]:
    """Image edges of all training frames, found once: to find them takes a row a third of its time."""
    config, videos = PRESETS[profile.rooms], training_videos(profile)
    name = f"{config.digest()}-{len(videos)}-{stride}-{_digest_of(edges, frame_memory)}"

    def build(partial: Path) -> None:
        reader = FrameMemory(videos, limit=0)
        rows = [[row] for row in range(len(videos))]
        found = torch.cat([reader.edges(row, reader.frames(row).image, stride=stride) for row in rows])
        write_safetensors(partial / EDGES, {"edges": found}, {})

    tensors, _ = read_safetensors(build_once(cache_root() / "image_edges" / name, build) / EDGES)
    return tensors["edges"]


def _digest_of(*modules: ModuleType) -> str:
    """Of the code that determines what is kept."""
    text = "".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _kept_in(folder: Path) -> dict[str, Any]:
    return {"checkpoint": folder / CHECKPOINT, "checkpoint_every": CHECKPOINT_EVERY}


def _new_net(profile: Profile, videos: Videos, seed: int) -> FPNSegmenter:
    generator = torch.Generator().manual_seed(seed)
    return FPNSegmenter(len(videos.info.classes), profile.widths, profile.channels, generator=generator)


def _equalised(
    model: FPNSegmenter, memory: FrameMemory, recipe: ObjectiveRecipe, folder: Path
) -> tuple[ObjectiveRecipe, dict[str, float]]:
    """The recipe with its terms scaled; the scales are kept, so that a run that was stopped goes on with the same."""
    path = folder / STRENGTHS
    if not path.exists():
        _, scales = equalised_terms(model, memory, recipe)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(scales), encoding="utf-8")
        os.replace(partial, path)
    scales = json.loads(path.read_text(encoding="utf-8"))
    return replace(recipe, terms=equalised_terms(model, memory, recipe, scales=scales)[0]), scales


def _notes(
    profile: Profile, recipe: SegmentationRecipe | ObjectiveRecipe, memory: FrameMemory, labelled: Sequence[int]
) -> dict[str, Any]:
    return {
        "profile": profile.name,
        "count": recipe.labelled,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "train_frequency": _named(_shares(memory, labelled)),
        "recipe": recipe.to_dict(),
        "labelled_rows": list(labelled),
    }


def _shares(memory: FrameMemory, rows: Sequence[int]) -> Tensor:
    """Share of each class of the labelled pixels of some frames."""
    classes, ignore = len(memory.videos.info.classes), memory.videos.info.ignore_index
    count = torch.zeros(classes, dtype=torch.int64)
    for clip in memory.parts(rows):
        clip.require("label")
        assert clip.label is not None
        count += torch.bincount(clip.label[clip.label != ignore], minlength=classes)
    return count.double() / count.sum()


def _named(values: Tensor) -> dict[str, float | None]:
    return {
        name: None if value != value else round(value, 6)
        for name, value in zip(INFO.classes, values.tolist(), strict=True)
    }


def _finish(folder: Path, model: FPNSegmenter, notes: dict[str, Any]) -> None:
    save_model(folder / MODEL, model, notes)
    (folder / CHECKPOINT).unlink(missing_ok=True)


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Numbers too small for the usual form of float32 count as 0: they are ten times slower, and tell nothing."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
