"""TC, and the two scripts that it is published with, each re-derived in plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.geometry import Flow
from stc_lab.metrics import temporal_consistency
from stc_lab.metrics.temporal import _warped_vspw


def example(seed=0, t=3, h=7, w=9, k=4, scale=1.5):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, k, (t, -(-h // 2), -(-w // 2)), generator=generator)
    labels = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :h, :w].contiguous()
    flow = scale * torch.randn(t - 1, 2, h, w, generator=generator)
    visible = torch.rand(t - 1, h, w, generator=generator) < 0.8
    return labels, Flow(flow, visible)


def zero_flow(labels):
    t, h, w = labels.shape
    return Flow(torch.zeros(t - 1, 2, h, w), torch.ones(t - 1, h, w, dtype=torch.bool))


def mean_iou_loop(pairs, classes, absent):
    """Mean over `classes` of shared / either; a class in neither is left out, or counts as `absent`."""
    ious = []
    for c in classes:
        either = sum(c in pair for pair in pairs)
        if either or absent is not None:
            ious.append(sum(pair == (c, c) for pair in pairs) / either if either else absent)
    return np.mean(ious)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_ours_agrees_with_a_loop(seed):
    labels, flow = example(seed)
    labels[0, 0] = 255
    _, h, w = labels.shape
    pairs = []
    for i in range(len(labels) - 1):
        for y in range(h):
            for x in range(w):
                u, v = (np.float32(o) + d.numpy() for o, d in zip((x, y), flow.flow[i, :, y, x], strict=True))
                if not flow.visible[i, y, x] or not (0 <= u <= w - 1 and 0 <= v <= h - 1):
                    continue
                pair = int(labels[i, y, x]), int(labels[i + 1, int(np.rint(v)), int(np.rint(u))])
                if 255 not in pair:
                    pairs.append(pair)
    score = temporal_consistency(labels, flow, 4)
    assert score.support == len(pairs)
    assert score.value == pytest.approx(mean_iou_loop(pairs, range(4), None))
    assert int((~score.map.isnan()).sum()) == len(pairs)
    assert float(score.map.nanmean()) == pytest.approx(np.mean([a == b for a, b in pairs]))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_script_of_vspw(seed):
    """A pixel's position is stretched by W / (W - 1) and moved by half a pixel; outside is class 0; classes of t."""
    labels, flow = example(seed)
    _, h, w = labels.shape
    pairs = []
    for i in range(len(labels) - 1):
        for y in range(h):
            for x in range(w):
                dx, dy = flow.flow[i, :, y, x].double().tolist()
                u, v = (x + dx) * w / (w - 1) - 0.5, (y + dy) * h / (h - 1) - 0.5
                inside = -0.5 <= u <= w - 0.5 and -0.5 <= v <= h - 0.5
                place = min(max(round(v), 0), h - 1), min(max(round(u), 0), w - 1)
                pairs.append((int(labels[i, y, x]), int(labels[i + 1][place]) if inside else 0))
    score = temporal_consistency(labels, flow, 4, official=True)
    assert score.support == len(pairs)  # occlusion is not looked at
    assert score.value == pytest.approx(mean_iou_loop(pairs, {a for a, _ in pairs}, None), abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_script_of_etc(seed):
    """Ids are interpolated with the border going on, their fractions cut off; absent classes count as 0."""
    from scipy.ndimage import map_coordinates

    labels, flow = example(seed)
    y, x = np.mgrid[: labels.shape[1], : labels.shape[2]]
    pairs = []
    for here, there, (dx, dy) in zip(labels[:-1], labels[1:], flow.flow.double().numpy(), strict=True):
        read = map_coordinates(there.numpy().astype(float), [y + dy, x + dx], order=1, mode="nearest")
        cut = np.floor(read + 1e-6).astype(int)
        pairs += list(zip(here.flatten().tolist(), cut.flatten().tolist(), strict=True))
    score = temporal_consistency(labels, flow, 6, official=True, script="etc")
    assert score.value == pytest.approx(
        mean_iou_loop(pairs, range(6), 0.0), abs=2e-3
    )  # a few ids lie on a whole number


def test_zero_flow_is_the_identity_but_not_in_the_published_script():
    labels, _ = example(h=120, w=160)
    flow = zero_flow(labels)
    exact = (labels[1:] == labels[:-1]).double().mean()
    ours = temporal_consistency(labels, flow, 4)
    assert float(ours.map.double().mean()) == pytest.approx(float(exact))
    still = labels[:1].repeat(3, 1, 1)
    assert temporal_consistency(still, flow, 4).value == 1.0
    assert temporal_consistency(still, flow, 4, official=True, script="etc").value == 1.0
    assert temporal_consistency(still, flow, 4, official=True).value < 1.0
    lost = (_warped_vspw(labels[1:] + 1, flow.flow) == 0).double()
    assert lost.sum() == lost[:, -1].sum() + lost[:, :-1, -1].sum() == 2 * (120 + 160 - 1)  # the last row and column
    half = zero_flow(labels)
    half.flow[:] = 0.25  # less than half a pixel: the nearest is still the same
    moved = _warped_vspw(labels[1:], half.flow)[:, :-1, :-1] != labels[1:, :-1, :-1]
    assert not (temporal_consistency(still, half, 4).map == 0).any()
    assert 0.1 < float(moved.double().mean()) < 0.5


def test_interpolated_ids_invent_classes():
    labels = torch.zeros(2, 4, 6, dtype=torch.int64)
    labels[:, :, 3:] = 2  # no pixel is of class 1
    flow = zero_flow(labels)
    flow.flow[:, 0] = 0.5
    etc = temporal_consistency(labels, flow, 3, official=True, script="etc")
    assert int(etc.tally.counts[:, 1].sum()) == 4
    assert int(temporal_consistency(labels, flow, 3).tally.counts[:, 1].sum()) == 0


def test_outside_is_class_0_in_the_script_of_vspw():
    labels = torch.ones(2, 4, 6, dtype=torch.int64)
    flow = zero_flow(labels)
    flow.flow[:, 0] = 3.0
    assert temporal_consistency(labels, flow, 2).value == 1.0
    assert temporal_consistency(labels, flow, 2, official=True).value == pytest.approx(
        0.25
    )  # 3 of 4 rows, 2 of 6 columns


def test_a_shift_that_is_followed_is_perfect():
    scene = example(t=1, h=9, w=20)[0][0]
    labels = torch.stack([scene[:, i : i + 12] for i in (0, 2, 4)])  # the camera moves 2 px to the right
    flow = zero_flow(labels)
    flow.flow[:, 0] = -2.0
    score = temporal_consistency(labels, flow, 4)
    assert score.value == 1.0
    assert score.support == 2 * 9 * 10
    assert torch.isnan(score.map[:, :, :2]).all()
    assert temporal_consistency(labels, zero_flow(labels), 4).value < 1.0


def test_a_class_that_is_absent_is_left_out_of_ours_alone():
    labels, flow = example()
    assert temporal_consistency(labels, flow, 9).value == temporal_consistency(labels, flow, 4).value
    wide, narrow = (temporal_consistency(labels, flow, k, official=True, script="etc").value for k in (8, 4))
    assert wide == pytest.approx(narrow / 2)
