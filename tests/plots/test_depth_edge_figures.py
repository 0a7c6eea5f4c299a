"""Figures of depth edges show the study's own numbers, with what one must know beside them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stc_lab.data.rooms import PRESETS, rooms_videos
from stc_lab.experiments.depth_edge_losses import PLACES, DepthSteps
from stc_lab.experiments.depth_edge_study import BOTH, DEPTH_ONLY, KINDS, LABEL_ONLY, depth_edge_study
from stc_lab.plots import edge_panel, pair_bars, weight_curves
from stc_lab.plots.colours import rgb_of_hex
from stc_lab.plots.depth_edges import EDGE_PALETTE

STEPS = DepthSteps(
    dict(zip(PLACES, (torch.tensor([1.0, 2.0]), torch.tensor([0.1]), torch.tensor([0.0, 0.01])), strict=True)), mean=2.0
)


def test_edges_lie_over_a_faded_picture_with_their_shares() -> None:
    kinds = torch.zeros(4, 5, dtype=torch.int64)
    kinds[0, 0], kinds[0, 1], kinds[1, 1], kinds[2, 2] = BOTH, LABEL_ONLY, LABEL_ONLY, DEPTH_ONLY
    panel = edge_panel(kinds, torch.rand(3, 4, 5), "edges")
    assert panel.classes == (BOTH, LABEL_ONLY, DEPTH_ONLY)
    assert np.array_equal(panel.rgb[0, 1], rgb_of_hex((EDGE_PALETTE.colours[LABEL_ONLY],))[0])
    assert f"{KINDS[LABEL_ONLY]} 50 %" in panel.caption and f"{KINDS[BOTH]} 25 %" in panel.caption
    assert edge_panel(torch.zeros(2, 2, dtype=torch.int64), torch.rand(3, 2, 2), "none").classes == ()


def test_bars_are_the_shares_of_the_study() -> None:
    study = depth_edge_study(rooms_videos("test", replace(PRESETS["tiny"], test_scenes=2, frames=3)))
    figure = pair_bars(study, most=5)
    (bars,) = figure.data
    assert list(bars.x) == pytest.approx([100 * row.share_with_depth for row in study.rows[:5]])
    assert all(row.name in name for row, name in zip(study.rows, bars.y, strict=False))
    assert any(f"anywhere: {100 * study.chance_depth:.0f} %" == note.text for note in figure.layout.annotations)
    assert figure.layout.xaxis.range == (0, 100)


def test_curves_are_the_weights_of_the_steps() -> None:
    figure = weight_curves(STEPS, scales=(0.1, 1.0, 10.0))
    assert [trace.name for trace in figure.data] == list(PLACES)
    for trace in figure.data:
        assert list(trace.y) == pytest.approx([STEPS.weights(scale)[trace.name] for scale in (0.1, 1.0, 10.0)])
    assert figure.layout.xaxis.type == "log"


def test_the_slider_stands_on_the_curves_and_normalised_they_are_level() -> None:
    here = weight_curves(STEPS, at=10.0).data[-1]
    assert list(here.x) == [10.0] * 3 and list(here.y) == pytest.approx(list(STEPS.weights(10.0).values()))
    level = weight_curves(STEPS, normalised=True)
    for trace in level.data:
        assert list(trace.y) == pytest.approx([STEPS.weights(0.5)[trace.name]] * len(trace.y))
