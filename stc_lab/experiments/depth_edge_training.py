"""L_p and L_h at work: does training with them help, and is it the depth that helps?

The control has the same loss with a flat depth: it smooths the classes everywhere and knows of no edge. What L_h does
beyond its control, the depth does.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.depth_edge_losses import net_depth
from stc_lab.experiments.depth_edge_study import depth_edges, label_edges
from stc_lab.experiments.method_study import CE, MethodRow, method_study
from stc_lab.models import DepthNet, Segmenter, load_shipped
from stc_lab.training import ObjectiveRecipe, predict
from stc_lab.training.loop import Log

BASE = "no extra loss"
REACH = 2  # px, between an edge of the truth and one of a prediction, which is made on every second pixel

NET = "a net's"
# Multiples of the exact depth, in metres, that a loss may see; besides them it may see a flat one, and a net's.
FACTORS: Mapping[str, float] = MappingProxyType({"metres": 1.0, "x 10": 10.0, "x 1000": 1000.0})
DEPTHS = (*FACTORS, "flat", NET)


@dataclass(frozen=True)
class EdgeMethod:
    """A depth-edge loss, its weight beside the cross-entropy, and the depth that it sees."""

    term: str
    weight: float
    depth: str = "metres"  # of `DEPTHS`


ROWS: Mapping[str, EdgeMethod | None] = MappingProxyType(
    {
        BASE: None,
        "L_h, flat depth (control)": EdgeMethod("edge_loss_h", 1.0, "flat"),
        "L_h, metres": EdgeMethod("edge_loss_h", 1.0),
        "L_h, depth x 10": EdgeMethod("edge_loss_h", 1.0, "x 10"),
        "L_h, a net's depth": EdgeMethod("edge_loss_h", 1.0, NET),
        "L_p, metres": EdgeMethod("edge_loss_p", 0.4),
        "Chen et al.'s regulariser": EdgeMethod("semantic_smoothness", 3.0),
    }
)

# Mean IoU (%) on ApolloScape, BiSeNet with ResNet-50: the table of the slides, by the rows here where there is one.
PUBLISHED: Mapping[str, float] = MappingProxyType(
    {
        BASE: 39.557,
        "L_h, a net's depth": 40.597,
        "Chen et al.'s regulariser": 39.610,
        "Chen et al., multi-task": 38.153,
        "Novosel et al., multi-task": 37.683,
        "Klingner et al., multi-task": 34.318,
    }
)


@dataclass(frozen=True)
class EdgeScores:
    """What a net makes of the edges of the truth, over all frames, 0..1."""

    found_with: float  # share of the label edges with a depth edge that the prediction has too
    found_without: float  # of those without one
    invented: float  # share of the prediction's edges that lie at no label edge of the truth


def with_depth(videos: Videos, change: Callable[[Clip], Tensor]) -> Videos:
    """The same videos with another depth, made of the frames that are read; labels, cameras and poses stay."""
    other, read = copy.copy(videos), videos.read

    def changed(rows: list[int]) -> Clip:
        clip = read(rows)
        return replace(clip, depth=change(clip))

    other.read = changed
    return other


def edge_training(
    train_videos: Videos,
    test_videos: Videos,
    *,
    steps: int,
    seeds: Sequence[int] = (0,),
    labelled: int | None = None,
    rows: Mapping[str, EdgeMethod | None] = ROWS,
    log: Callable[[str], Log] | None = None,
) -> list[MethodRow]:
    """Continue the shipped net with each of the rows and seeds, in the order of the rows.

    `labelled` frames keep their cross-entropy, by default one for each training video. See `method_study` for `log`.
    """
    unknown = sorted({row.depth for row in rows.values() if row is not None} - set(DEPTHS))
    if unknown:
        raise InputError(f"a depth must be one of {', '.join(DEPTHS)}, got {unknown[0]!r}")
    count = len(train_videos.names) if labelled is None else labelled
    by_depth: dict[str, dict[str, ObjectiveRecipe]] = {}
    for name, row in rows.items():
        extra = () if row is None else ((row.term, row.weight),)
        recipe = ObjectiveRecipe(terms=(CE, *extra), labelled=count, steps=steps)
        by_depth.setdefault("metres" if row is None else row.depth, {})[name] = recipe
    done = []
    for depth, recipes in by_depth.items():
        # Only the training sees the changed depth: the measures rest on the true one.
        seen = train_videos if depth == "metres" else with_depth(train_videos, _depth(depth))
        done += method_study(recipes, seen, test_videos, seeds=seeds, log=log)
    order = list(rows)
    return sorted(done, key=lambda row: order.index(row.name))


def _depth(name: str) -> Callable[[Clip], Tensor]:
    if name == NET:
        net = load_shipped("rooms_depth").model
        assert isinstance(net, DepthNet)
        return partial(net_depth, net)

    def scaled(clip: Clip) -> Tensor:
        clip.require("depth")
        assert clip.depth is not None
        return torch.ones_like(clip.depth) if name == "flat" else FACTORS[name] * clip.depth

    return scaled


def paper_table(table: Sequence[Mapping[str, float | str]]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Columns and rows, written out: mIoU and its gain over the base here (`method_table`), and as published.

    The spread is the standard deviation over seeds, that of a gain over the differences to the base of the same seed.
    """
    columns = ("mIoU here", "gain here", "published mIoU", "published gain")
    here = {str(entry["method"]): entry for entry in table}

    def number(name: str, measure: str, sign: str = "") -> str:
        if name not in here:
            return ""
        value, spread = (100 * float(here[name][key]) for key in (measure, f"{measure} spread"))
        return f"{value:{sign}.2f}" + ("" if math.isnan(spread) else f" ± {spread:.2f}")

    rows: dict[str, tuple[str, ...]] = {}
    for name in [*here, *(name for name in PUBLISHED if name not in here)]:
        published = PUBLISHED.get(name)
        theirs = ("", "") if published is None else (f"{published:.2f}", f"{published - PUBLISHED[BASE]:+.2f}")
        gains = ("", theirs[0], "") if name == BASE else (number(name, "mIoU gain", "+"), *theirs)
        rows[name] = (number(name, "mIoU"), *gains)
    return columns, rows


def edge_scores(model: Segmenter, videos: Videos, *, radius: int = REACH, step: int = 4) -> EdgeScores:
    """Compare the edges of the net's labels with those of the truth in every `step`-th frame."""
    counts = torch.zeros(6, dtype=torch.int64)
    for name in videos.names:
        clip = videos.clip(name, step=step)
        clip.require("label", "depth")
        assert clip.label is not None and clip.depth is not None
        true, said = label_edges(clip.label), label_edges(predict(model, clip.image))
        deep = true.near(depth_edges(clip.depth).pixels(), 1)
        flat = true & ~deep
        near = said.pixels()
        found = (deep, deep.near(near, radius), flat, flat.near(near, radius), said, said.near(true.pixels(), radius))
        counts += torch.tensor([edges.count() for edges in found])
    deep_all, deep_found, flat_all, flat_found, all_said, right = counts.tolist()
    return EdgeScores(
        found_with=deep_found / max(1, deep_all),
        found_without=flat_found / max(1, flat_all),
        invented=(all_said - right) / max(1, all_said),
    )
