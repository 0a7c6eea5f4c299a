"""Bad input to the measures of video: what was expected, what came."""

from functools import partial

import numpy as np
import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.geometry import Flow
from stc_lab.losses.stability import PairFlows, all_pairs
from stc_lab.metrics import (
    ConfusionMatrix,
    NothingToMeasure,
    Stream,
    boundary_counts,
    contour_accuracy,
    davis_scores,
    e_cons,
    e_pair,
    e_smooth,
    frame_statistics,
    label_boundaries,
    mean_iou,
    region_similarity,
    spearman,
    spearman_p_value,
    temporal_consistency,
    video_consistencies,
    video_consistency,
    vote_over_time,
)

pytestmark = pytest.mark.bad_input

ZEROS = torch.zeros(4, 6, 8, dtype=torch.int64)
BLOCK = ZEROS.clone()
BLOCK[:, 2:4, 2:5] = 1
MASKS = BLOCK == 1


def flows(frames=4, h=6, w=8, seen=True):
    pairs = all_pairs(frames, farthest=3)
    flow = torch.zeros(len(pairs), 2, h, w)
    visible = torch.full((len(pairs), h, w), seen)
    return PairFlows(pairs, flow, flow, visible, visible)


def forward(frames=4, h=6, w=8, seen=True):
    return Flow(torch.zeros(frames - 1, 2, h, w), torch.full((frames - 1, h, w), seen))


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda: e_cons(BLOCK[:1], flows()), "at least 2 frames, got 1"),
        (lambda: e_smooth(BLOCK[:1]), "at least 2 frames, got 1"),
        (lambda: e_cons(ZEROS, flows()), r"N \(boundary\) is 0"),
        (lambda: e_cons(ZEROS, flows(), normalise="sqrt_object"), r"N \(sqrt_object\) is 0"),
        (lambda: e_smooth(ZEROS), r"N \(boundary\) is 0"),
        (lambda: e_smooth(ZEROS, per_frame=True), r"N \(boundary\) is 0"),
        (lambda: e_cons(BLOCK, flows(seen=False)), "no usable pixel"),
        (lambda: e_pair(BLOCK[:2], flows(2, seen=False)), "no usable pixel"),
        (lambda: temporal_consistency(BLOCK[:1], forward(), 2), "at least 2 frames"),
        (lambda: temporal_consistency(BLOCK, forward(seen=False), 2), "no usable pixel"),
        (lambda: davis_scores(ZEROS, ZEROS), "no object to measure in 4 frames"),
        (lambda: davis_scores(BLOCK[:2], BLOCK[:2], official=True), "no object to measure in 0 frames"),
        (lambda: frame_statistics(torch.zeros(0, dtype=torch.float64)), "at least one frame"),
        (lambda: video_consistency(BLOCK, BLOCK, 4, official=True), "at least 5 frames"),
    ],
)
def test_nothing_to_measure(measure, message):
    """0 / 0 is an error that says so, never NaN; a stream skips such a video."""
    with pytest.raises(NothingToMeasure, match=message):
        measure()
    stream = Stream(measure)
    assert stream.add() is None
    assert stream.skipped == 1


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda: e_cons(BLOCK, flows(), K=0), "K must be at least 1"),
        (lambda: e_cons(BLOCK, flows(), normalise="size"), "normalise must be one of none, sqrt_object, boundary"),
        (lambda: e_cons(BLOCK, flows(), boundary="fat"), "mode must be one of thick, inner, outer"),
        (lambda: e_cons(BLOCK, flows(3)), r"have no \(0, 3\)"),
        (lambda: e_cons(BLOCK, flows(h=5)), r"one size and device, got \[5, 8\] px"),
        (lambda: e_cons(BLOCK[:, 0], flows()), r"int64 \[b, h, w\]"),
        (lambda: e_pair(BLOCK[:2], flows()), "flows of 1 pair, got 2 and 6"),
        (lambda: e_smooth(BLOCK, sigma=-1.0), "sigma must not be negative"),
        (lambda: e_smooth(BLOCK, form="mask"), "form must be one of labels, shares"),
        (lambda: e_smooth(BLOCK.float()), "int64"),
        (lambda: vote_over_time(BLOCK, float("nan")), "sigma must not be negative"),
        (lambda: label_boundaries(BLOCK, "subpixel"), "mode must be one of"),
        (lambda: boundary_counts(BLOCK[0]), "int64"),
        (lambda: temporal_consistency(BLOCK, forward(3), 2), r"flow must be \[3, 2, 6, 8\], .* got \[2, 2, 6, 8\]"),
        (lambda: temporal_consistency(BLOCK, forward(), 1), "class ids 0..0, got 1"),
        (lambda: temporal_consistency(BLOCK, forward(), 2, official=True, script="raft"), "one of vspw, etc"),
        (lambda: region_similarity(MASKS, BLOCK), "truth must be a bool mask"),
        (lambda: region_similarity(MASKS[:2], MASKS), "prediction must be a bool mask of the truth's shape"),
        (lambda: contour_accuracy(MASKS, MASKS, void=MASKS[0]), "void must be a bool mask"),
        (lambda: contour_accuracy(MASKS, MASKS, bound=0), "bound must be positive"),
        (lambda: davis_scores(BLOCK, BLOCK[:2]), r"both be \[t, h, w\]"),
        (lambda: video_consistencies(BLOCK, BLOCK, ()), "at least one n"),
        (lambda: mean_iou(torch.ones(2, 2, dtype=torch.int64), "classes"), "one of occurring, true"),
        (lambda: ConfusionMatrix(2).add(BLOCK.int(), BLOCK), "int64 class ids, got torch.int32"),
        (lambda: Stream(e_smooth).value, "no video was measured: 0 were skipped"),
    ],
)
def test_what_was_expected_and_what_came(measure, message):
    with pytest.raises(InputError, match=message) as caught:
        measure()
    assert not isinstance(caught.value, NothingToMeasure)


def test_streams_of_different_measures_do_not_merge():
    a, b = (Stream(partial(video_consistency, n=2, official=flag)) for flag in (True, False))
    with pytest.raises(InputError, match="one measure and its options"):
        a + b
    with pytest.raises(InputError, match="2 and 3 classes"):
        temporal_consistency(BLOCK, forward(), 2).tally + temporal_consistency(BLOCK, forward(), 3).tally


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([1, 2], [2, 1], {}, "at least 3"),
        ([1, 2, 3], [1, 2, 3, 4], {}, r"got \[3\] and \[4\]"),
        ([1, 2, np.nan], [1, 2, 3], {}, "a must be finite, got 1"),
        ([1, 2, 3], [4, 4, 4], {}, "b must not be all equal, got 3 times 4"),
        ([1, 2, 3], [3, 4, 4], {"resamples": 9}, "resamples need a generator"),
        ([1, 2, 3], [3, 4, 4], {"resamples": 9, "confidence": 1.0, "generator": np.random.default_rng(0)}, "0..1"),
    ],
)
def test_what_cannot_be_ranked(a, b, options, message):
    with pytest.raises(InputError, match=message):
        spearman(np.array(a, float), np.array(b, float), **options)


def test_probabilities_of_impossible_correlations():
    for correlation, pairs in ((1.2, 9), (0.5, 2), (float("nan"), 9)):
        with pytest.raises(InputError, match="a correlation in"):
            spearman_p_value(correlation, pairs)
