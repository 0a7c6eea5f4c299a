"""Eq. 1 of Pasad et al. beyond its priors: both directions, who learns, labels instead of logits, and the collapse."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.consistency_study import ExamplePair
from stc_lab.experiments.method_study import CE, method_recipe
from stc_lab.losses import Direction, consistency_map, logits_consistency, pseudo_label_cross_entropy
from stc_lab.losses.consistency import Gradient
from stc_lab.models import FPNSegmenter, Segmenter, load_shipped
from stc_lab.training import FrameMemory, ObjectiveRecipe, evaluate, predict, train_objective, warp_logits
from stc_lab.training.pairs import pair_directions

START, BASE = "the net as it was", "no extra loss"
EQ1, IDENTITY = "Eq. 1, along the geometry", "Eq. 1, identity warp"
CROSS_ENTROPY = "pseudo-label CE"
# Of the several-seed study: name -> the method of `method_study`, and the options of its term.
ROWS: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        BASE: (BASE, {}),
        IDENTITY: ("Eq. 1, identity warp", {}),
        EQ1: ("Eq. 1", {}),
        "Eq. 1, only the warped frame learns": ("Eq. 1", {"gradient": "warped"}),
        "Eq. 1, only the target frame learns": ("Eq. 1", {"gradient": "target"}),
        "pseudo-label CE, identity warp": ("pseudo-label CE, identity warp", {}),
        CROSS_ENTROPY: ("pseudo-label CE", {}),
    }
)
# Pasad et al. 2020, Tables 1 and 2: mIoU (%) on ScanNet with 0.1 % of the labels.
PUBLISHED: Mapping[str, float] = MappingProxyType({BASE: 39.8, EQ1: 43.3, CROSS_ENTROPY: 41.4})

COLLAPSE_RATE = 1.7e-3  # six times that of a sane continuation, so that few steps show it
TOO_MUCH = 10.0  # 33 times the weight of the study


def lesson_rows(videos: Videos, *, steps: int) -> dict[str, ObjectiveRecipe | None]:
    """The rows of the chapter's several-seed study: one labelled frame for each training video, the same in all."""
    rows: dict[str, ObjectiveRecipe | None] = {START: None}
    for name, (method, options) in ROWS.items():
        recipe = method_recipe(method, videos, steps=steps, labelled=len(videos.names))
        if options:
            terms = tuple((*term[:2], dict(options)) if term[0] != CE[0] else term for term in recipe.terms)
            recipe = replace(recipe, terms=terms)
        rows[name] = recipe
    return rows


def both_ways(pair: ExamplePair) -> dict[str, Direction]:
    """The pair's two directions: the source warped into the target, and back."""
    there, back = pair_directions(
        (pair.logits_source, pair.logits_target),
        (pair.source, pair.target),
        (pair.edges_source, pair.edges),
        warp="geometry",
    )
    return {"t + 2 into t": there, "t into t + 2": back}


def gradient_maps(
    pair: ExamplePair,
) -> dict[Gradient, tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]]:
    """Who learns from Eq. 1 with the source warped into the target: |gradient| summed over classes.

    For each `gradient` that of the target's logits and that of the source's, each on the frame's own grid.
    """
    found: dict[Gradient, tuple[Tensor, Tensor]] = {}
    for gradient in get_args(Gradient):
        target, source = (logits.clone().requires_grad_() for logits in (pair.logits_target, pair.logits_source))
        warped = warp_logits(source, pair.source, pair.target, warp="geometry")
        logits_consistency(warped, target, pair.edges, gradient=gradient).total.backward()
        here, there = (
            torch.zeros_like(logits[0, 0]) if logits.grad is None else logits.grad.abs().sum(dim=1)[0]
            for logits in (target, source)
        )
        found[gradient] = here, there
    return found


def on_agreeing_pixels(pair: ExamplePair) -> dict[str, float]:
    """The share of each loss, 0..1, that falls on pixels whose two labels already agree; first, theirs of the pixels.

    What is left falls on pixels whose label differs: only there would a change of the loss change what is said.
    """
    seen = pair.warped.visible
    same = (pair.logits_target.argmax(dim=1) == pair.warped.image.argmax(dim=1)) & seen
    maps = consistency_map(pair.warped, pair.logits_target, pair.edges)
    maps = {f"Eq. 1, {name.replace('_', ' ')}": values for name, values in maps.items() if name != "total"}
    maps["pseudo-label CE"] = pseudo_label_cross_entropy(pair.warped, pair.logits_target).map
    shares = {"visible pixels": float(same.sum() / seen.sum())}
    return shares | {name: float(values[same].sum() / values[seen].sum()) for name, values in maps.items()}


@dataclass(frozen=True)
class Collapse:
    """A training that presses too hard, or not: what the net is worth on the way, and what it says at the end."""

    name: str
    steps: tuple[int, ...]  # done when it was looked at
    miou: tuple[float, ...]  # on the test videos, 0..1
    agreement: tuple[float, ...]  # of frames two apart along the exact warp, 0..1
    model: FPNSegmenter

    def labels(self, images: Float[Tensor, "t 3 h w"]) -> Int64[Tensor, "t h w"]:
        """What it says at the end."""
        return predict(self.model, images)


def collapse_rows(videos: Videos, *, steps: int, seed: int = 0) -> dict[str, ObjectiveRecipe]:
    """Eq. 1 along the geometry with a sane weight, with one that is far too large, and with that one and no labels."""
    labelled = len(videos.names)
    sane = method_recipe("Eq. 1", videos, steps=steps, labelled=labelled, learning_rate=COLLAPSE_RATE, seed=seed)
    ((name, weight),) = (term[:2] for term in sane.terms if term[0] != CE[0])
    return {
        f"weight {weight:g}, {labelled} labels": sane,
        f"weight {TOO_MUCH:g}, {labelled} labels": replace(sane, terms=(CE, (name, TOO_MUCH))),
        f"weight {TOO_MUCH:g}, no labels": replace(sane, terms=((name, TOO_MUCH),), labelled=0, anchored=0.0),
    }


def collapse_study(
    train_videos: Videos, test_videos: Videos, *, steps: int = 40, looks: int = 4, seed: int = 0
) -> list[Collapse]:
    """Train the shipped net by each of `collapse_rows`, and look at it `looks` times on the way, the end included."""
    if not 1 <= looks <= steps:
        raise InputError(f"looks must be from 1 to the {steps} steps, got {looks}")
    memory, start = FrameMemory(train_videos), load_shipped("rooms_fpn").model
    when = sorted({round(steps * (i + 1) / looks) for i in range(looks)})
    first = _look(start, test_videos)
    done = []
    for name, recipe in collapse_rows(train_videos, steps=steps, seed=seed).items():
        model, seen = copy.deepcopy(start), [first]

        def look(entry: Mapping[str, Any], model: FPNSegmenter = model, seen: list[Any] = seen) -> None:
            if entry["step"] in when:
                seen.append(_look(copy.deepcopy(model), test_videos))  # a copy: the training goes on as it was

        train_objective(model, train_videos, recipe, memory=memory, log=look)
        miou, agreement = zip(*seen, strict=True)
        done.append(Collapse(name, (0, *when), miou, agreement, model))
    return done


def _look(model: Segmenter, videos: Videos) -> tuple[float, float]:
    found = evaluate(model, videos)
    return found.scores.miou, float("nan") if found.temporal_agreement is None else found.temporal_agreement.value


def paper_table(
    table: Sequence[Mapping[str, float | str]],
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Columns and rows, written out, of `method_table`: gains in points over the row without an extra loss."""
    measures = ("mIoU", "accuracy", "temporal agreement", "VC8")
    columns = (*measures, "mIoU published")
    rows = {}
    for entry in table:
        name = str(entry["method"])
        base = name in (START, BASE)
        cells = [_cell(entry, m if base else f"{m} gain", signed=not base) for m in measures]
        published = PUBLISHED.get(name)
        theirs = "" if published is None else f"{published:.1f}" if base else f"{published - PUBLISHED[BASE]:+.1f}"
        rows[name] = (*cells, theirs)
    return columns, rows


def _cell(entry: Mapping[str, float | str], key: str, *, signed: bool) -> str:
    value, spread = 100 * float(entry[key]), 100 * float(entry.get(f"{key} spread", float("nan")))
    return f"{value:{'+' if signed else ''}.1f}" + ("" if spread != spread else f" ± {spread:.1f}")
