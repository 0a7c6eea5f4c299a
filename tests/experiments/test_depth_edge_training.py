"""Depth-edge losses in training: the control sees no depth, the measures see the true one, and edges are counted."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stc_lab.data import Videos
from stc_lab.data.rooms import NUM_CLASSES, PRESETS, rooms_videos
from stc_lab.errors import InputError
from stc_lab.experiments.depth_edge_study import label_edges
from stc_lab.experiments.depth_edge_training import (
    BASE,
    NET,
    PUBLISHED,
    ROWS,
    EdgeMethod,
    edge_scores,
    edge_training,
    paper_table,
    with_depth,
)


@pytest.fixture(scope="module")
def videos() -> Videos:
    return rooms_videos("test", replace(PRESETS["tiny"], test_scenes=2, frames=8))


class Oracle(nn.Module):
    """Says of each frame it knows what `change` makes of its true labels."""

    num_classes, coarse_stride = NUM_CLASSES, 1

    def __init__(self, videos: Videos, change=lambda labels: labels) -> None:
        super().__init__()
        self.architecture = {"name": "Oracle"}
        self.none = nn.Parameter(torch.zeros(1))
        clips = [videos.clip(name) for name in videos.names]
        self.images, self.labels = torch.cat([c.image for c in clips]), torch.cat([change(c.label) for c in clips])

    def forward(self, images: Tensor) -> Tensor:
        rows = [int((self.images - image).abs().sum(dim=(1, 2, 3)).argmin()) for image in images]
        return nn.functional.one_hot(self.labels[rows], NUM_CLASSES).movedim(-1, 1).float()

    coarse = forward


def test_another_depth_and_nothing_else(videos: Videos) -> None:
    name = videos.names[0]
    flat = with_depth(videos, lambda clip: torch.ones_like(clip.depth)).clip(name)
    plain = videos.clip(name)
    assert bool((flat.depth == 1).all()) and not bool((plain.depth == 1).all())
    for field in ("image", "label", "T_world_camera"):
        assert torch.equal(getattr(flat, field), getattr(plain, field))
    assert torch.equal(videos.clip(name).depth, plain.depth)  # the first videos are as they were


def test_edges_of_a_right_net_are_found_and_none_invented(videos: Videos) -> None:
    right = edge_scores(Oracle(videos), videos)
    assert (right.found_with, right.found_without, right.invented) == (1.0, 1.0, 0.0)


def test_a_net_that_says_one_thing_finds_and_invents_nothing(videos: Videos) -> None:
    one = edge_scores(Oracle(videos, torch.zeros_like), videos)
    assert (one.found_with, one.found_without, one.invented) == (0.0, 0.0, 0.0)


def test_edges_out_of_place_are_missed_and_invented(videos: Videos) -> None:
    def moved(labels: Tensor) -> Tensor:
        return labels.roll(7, dims=2)

    off, near = (edge_scores(Oracle(videos, moved), videos, radius=radius) for radius in (1, 7))
    assert off.found_with < 0.9 and off.found_without < 0.9 and off.invented > 0.1
    assert near.found_with > off.found_with and near.invented < off.invented
    assert label_edges(moved(videos.clip(videos.names[0]).label)).count() > 0


def test_rows_come_in_order_and_only_their_losses_differ(videos: Videos) -> None:
    rows = {
        "flat": EdgeMethod("edge_loss_h", 1.0, "flat"),
        BASE: None,
        "deep": EdgeMethod("edge_loss_h", 1.0, "x 10"),
        "net": EdgeMethod("edge_loss_h", 1.0, NET),
    }
    logs: dict[str, list[dict[str, float]]] = {}
    judged = rooms_videos("test", replace(PRESETS["tiny"], test_scenes=1, frames=2))
    done = edge_training(videos, judged, steps=1, rows=rows, log=lambda name: logs.setdefault(name, []).append)
    assert [row.name for row in done] == list(rows)
    assert all(len(log) == 1 for log in logs.values())
    first = {name: log[0] for name, log in logs.items()}
    assert len({round(entry["cross_entropy"], 5) for entry in first.values()}) == 1  # the same labelled batch
    assert first["flat"]["edge_loss_h"] > first["net"]["edge_loss_h"] > first["deep"]["edge_loss_h"]  # the same frames
    assert "edge_loss_h" not in first[BASE]
    results = [row.result for row in done]
    assert all(result is not None and len(result.labelled_rows) == len(videos.names) for result in results)


def test_the_papers_numbers_stand_beside_ours() -> None:
    def entry(name: str, values: tuple[float, ...]) -> dict[str, float | str]:
        keys = ("mIoU", "mIoU spread", "mIoU gain", "mIoU gain spread")
        return {"method": name, **dict(zip(keys, values, strict=True))}

    ours = [entry(BASE, (0.32, 0.0283, 0.0, 0.0)), entry("L_h, a net's depth", (0.335, 0.0354, 0.015, 0.0071))]
    columns, table = paper_table(ours)
    assert columns == ("mIoU here", "gain here", "published mIoU", "published gain")
    assert table[BASE] == ("32.00 ± 2.83", "", "39.56", "")
    assert table["L_h, a net's depth"] == ("33.50 ± 3.54", "+1.50 ± 0.71", "40.60", "+1.04")
    assert table["Klingner et al., multi-task"] == ("", "", "34.32", "-5.24")
    assert set(table) == set(PUBLISHED)
    once = [entry(BASE, (0.3, math.nan, 0.0, math.nan)), entry("L_h, a net's depth", (0.31, math.nan, 0.01, math.nan))]
    _, single = paper_table(once)
    assert single["L_h, a net's depth"][:2] == ("31.00", "+1.00")
    assert not any("nan" in cell for cells in single.values() for cell in cells)


def test_every_published_row_that_is_named_like_one_of_ours_is_one() -> None:
    assert {BASE, "L_h, a net's depth", "Chen et al.'s regulariser"} <= set(ROWS) & set(PUBLISHED)
    assert all(row is None or (row.weight > 0 and math.isfinite(row.weight)) for row in ROWS.values())


@pytest.mark.bad_input
def test_a_depth_that_there_is_not_is_refused(videos: Videos) -> None:
    with pytest.raises(InputError, match="a depth must be one of metres, x 10, x 1000, flat, a net's, got 'miles'"):
        edge_training(videos, videos, steps=1, rows={"x": EdgeMethod("edge_loss_h", 1.0, "miles")})
