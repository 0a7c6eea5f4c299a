"""The window of the guided filter: the same as the whole clip's, and where the net is wrong near boundaries."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from stc_lab.data import load
from stc_lab.errors import InputError
from stc_lab.experiments.flicker import Flicker, open_flicker
from stc_lab.experiments.refinement import (
    Window,
    boundary_scores,
    doubtful_window,
    near_boundaries,
    refine_window,
    smoothing_costs,
)
from stc_lab.experiments.smoothing_front import Smoothing, smoothed_labels
from stc_lab.filters import refine_labels
from stc_lab.models import load_shipped
from stc_lab.training import evaluate


@pytest.fixture(scope="module")
def flicker() -> Flicker:
    return open_flicker(load_shipped("rooms_fpn").model, preset="tiny", seed=1)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("radius", "temporal_radius"), [(2, 0), (3, 1), (1, 3)])
def test_a_window_is_part_of_the_whole(flicker: Flicker, radius: int, temporal_radius: int, weighted: bool) -> None:
    settings = {"radius": radius, "temporal_radius": temporal_radius, "eps": 1e-3, "weighted": weighted}
    whole = refine_labels(flicker.probabilities, flicker.clip.image, **settings)
    for frame, top, left in ((0, 0, 0), (5, 9, 20), (9, 20, 30)):
        window = Window(frame, slice(top, top + 12), slice(left, left + 18))
        refined = refine_window(flicker, window, **settings)
        assert torch.equal(refined.labels, whole[frame, window.rows, window.columns])
        assert float(refined.confidence.min()) > 0.0099 and float(refined.confidence.max()) <= 1


def test_near_is_a_square_around_boundary_pixels() -> None:
    truth = torch.randint(0, 2, (3, 6, 8), generator=torch.Generator().manual_seed(0)).repeat_interleave(4, dim=2)
    thick = np.zeros(truth.shape, dtype=bool)
    for axis in (1, 2):
        differ = np.diff(truth.numpy(), axis=axis) != 0
        both = [(0, 1) if i == axis else (0, 0) for i in range(3)], [(1, 0) if i == axis else (0, 0) for i in range(3)]
        thick |= np.pad(differ, both[0]) | np.pad(differ, both[1])
    expected = np.stack([ndimage.binary_dilation(frame, np.ones((5, 5))) for frame in thick])
    assert (near_boundaries(truth, 2).numpy() == expected).all()


def test_the_window_lies_where_the_net_is_wrong_at_boundaries_alone() -> None:
    truth = torch.zeros(3, 40, 60, dtype=torch.int64)
    truth[:, 20:] = 1  # a boundary across the frames
    labels = truth.clone()
    labels[1, 18:23, 32:56] = 2  # wrong near the boundary, on the right of frame 1
    labels[2, 18:23] = 2
    labels[2, :10] = 2  # wrong along the whole boundary of frame 2, and away from it
    window = doubtful_window(labels, truth, height=20, width=24)
    assert window.frame == 1 and window.columns == slice(32, 56)
    assert window.rows.start <= 18 and window.rows.stop >= 23


def test_near_and_far_make_up_all_pixels(flicker: Flicker) -> None:
    model, videos = load_shipped("rooms_fpn").model, load("rooms", split="test", preset="tiny")
    (score,) = boundary_scores(model, videos, (Smoothing("none"),)).values()
    clips = [videos.clip(name) for name in videos.names]
    near = torch.cat([near_boundaries(clip.label) for clip in clips if clip.label is not None]).float().mean()
    both = float(near) * score.near + (1 - float(near)) * score.far
    assert both == pytest.approx(evaluate(model, videos).scores.accuracy, abs=1e-6)
    assert score.near < score.far


def test_costs_name_the_net_and_every_smoothing(flicker: Flicker) -> None:
    smoothings = (Smoothing("none"), Smoothing("guided filter", temporal_radius=1))
    costs = smoothing_costs(load_shipped("rooms_fpn").model, flicker, smoothings)
    assert list(costs) == ["the net itself", *(smoothing.name for smoothing in smoothings)]
    assert all(spent >= 0 for spent in costs.values())
    assert costs[smoothings[1].name] > costs[smoothings[0].name]


def test_smoothing_along_the_estimated_flow_looks_at_the_images_alone(flicker: Flicker) -> None:
    from stc_lab.experiments.smoothing_front import estimated_flows

    flows = estimated_flows(flicker.clip)
    assert flows.pairs == tuple((i, i + 1) for i in range(len(flicker.clip) - 1))
    smoothing = Smoothing("along the flow", sigma=2.0, estimated=True)
    by_estimate = smoothed_labels(flicker.probabilities, flicker.clip.image, flows, smoothing)
    by_truth = smoothed_labels(flicker.probabilities, flicker.clip.image, flicker.flows, smoothing)
    assert by_estimate.shape == by_truth.shape and not torch.equal(by_estimate, by_truth)


@pytest.mark.bad_input
def test_a_window_must_fit(flicker: Flicker) -> None:
    with pytest.raises(InputError, match="64 x 48 px does not fit into 32 x 48"):
        doubtful_window(flicker.labels, flicker.truth, height=64)
