"""Where the losses lie and what the unit of depth does: against loops, closed forms and scenes with known answers."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from stc_lab.data.rooms import PRESETS, render_video
from stc_lab.errors import InputError
from stc_lab.experiments.depth_edge_losses import (
    INSIDE,
    PLACES,
    WITH,
    WITHOUT,
    DepthSteps,
    depth_steps,
    depth_variants,
    growth_with_classes,
    loss_shares,
    merge_classes,
)
from stc_lab.losses import edge_loss_h, edge_loss_p


def scene():
    """A wall with a picture in its plane and, far from it, a box before it: 12 x 30 px, a frame."""
    labels = torch.zeros(1, 12, 30, dtype=torch.int64)
    depth = torch.full((1, 1, 12, 30), 3.0)
    labels[:, 3:7, 3:8], labels[:, 3:7, 18:24] = 1, 2
    depth[:, :, 3:7, 18:24] = 1.0
    return labels, depth


def one_hot(labels, k=3):
    return F.one_hot(labels, k).movedim(-1, 1).float()


def test_steps_of_a_scene_whose_edges_are_known():
    labels, depth = scene()
    steps = depth_steps(labels, depth, radius=0)
    assert steps.by_place[WITH].tolist() == [2.0] * (2 * 4 + 2 * 6)
    assert steps.by_place[WITHOUT].tolist() == [0.0] * (2 * 4 + 2 * 5)
    assert steps.by_place[INSIDE].unique().tolist() == [0.0]
    assert steps.mean == pytest.approx(float(depth.mean()))
    assert steps.weights(0.5) == pytest.approx({WITH: math.exp(-1), WITHOUT: 1.0, INSIDE: 1.0})
    assert steps.told_apart() == 1.0


def test_told_apart_is_the_area_under_the_curve():
    generator = torch.Generator().manual_seed(3)
    values = {
        place: torch.randint(0, 6, (n,), generator=generator).float()
        for place, n in zip(PLACES, (9, 14, 20), strict=True)
    }
    steps = DepthSteps(values, 1.0)
    for place in (WITHOUT, INSIDE):
        wins = [float(a > b) + 0.5 * float(a == b) for a in values[WITH] for b in values[place]]
        assert steps.told_apart(place) == pytest.approx(sum(wins) / len(wins))
    assert DepthSteps({**values, WITHOUT: values[WITH]}, 1.0).told_apart() == pytest.approx(0.5)


def test_the_unit_moves_weights_and_not_what_is_told_apart():
    clip = render_video("rooms-test-0003", PRESETS["tiny"])
    metres, millimetres = depth_steps(clip.label, clip.depth), depth_steps(clip.label, 1000 * clip.depth)
    assert metres.told_apart() == pytest.approx(millimetres.told_apart(), abs=1e-6)
    assert metres.weights(1000) == pytest.approx(millimetres.weights(), rel=1e-3, abs=1e-6)
    weights = [metres.weights(scale) for scale in (0.01, 0.1, 1, 10, 100)]
    assert all(a[place] > b[place] for a, b in pairwise(weights) for place in PLACES)
    assert all(weights[2][WITH] < weights[2][place] for place in (WITHOUT, INSIDE))


def test_places_are_those_of_the_truth_whatever_the_depth():
    labels, depth = scene()
    flat = depth_steps(labels, torch.full_like(depth, 2.0), truth=depth, radius=0)
    assert [len(flat.by_place[place]) for place in PLACES] == [
        len(depth_steps(labels, depth, radius=0).by_place[place]) for place in PLACES
    ]
    assert flat.told_apart() == 0.5


def test_shares_of_a_loss_follow_its_map():
    labels, depth = scene()
    right = edge_loss_h(one_hot(labels), 1000 * depth)  # in millimetres a jump costs nothing
    assert loss_shares(right.map, labels, depth) == pytest.approx({WITH: 0.0, WITHOUT: 1.0, INSIDE: 0.0})
    wrong = labels.clone()
    wrong[:, 9, 12] = 1
    both = edge_loss_h(one_hot(wrong), 1000 * depth)
    shares = loss_shares(both.map, labels, depth)
    assert sum(shares.values()) == pytest.approx(1.0)
    across, down = both.support.tolist()
    flecks, picture = 2 / across + 2 / down, (2 * 4) / across + (2 * 5) / down
    assert shares[INSIDE] == pytest.approx(flecks / (flecks + picture), rel=1e-4)
    uniform = loss_shares(torch.ones(1, 12, 30), labels, depth, radius=1)
    assert uniform[WITH] == pytest.approx((8 * 10 - 4) / 360)  # 2 px on both sides, but for the corners


def test_certain_predictions_do_not_grow_beyond_twice_and_unsure_ones_do():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 8, (1, 10, 12), generator=generator)
    depth = 1 + torch.rand(1, 1, 10, 12, generator=generator)
    certain = growth_with_classes(one_hot(labels, 8), depth, (2, 4, 8))
    assert certain.ratio == pytest.approx((2.0, 2.0, 2.0), rel=1e-4)
    logits = torch.randn(1, 8, 10, 12, generator=generator)
    unsure = growth_with_classes(logits.softmax(dim=1), depth, (2, 4, 8))
    assert unsure.ratio[0] == pytest.approx(2.0, rel=1e-4)
    assert 2 < unsure.ratio[1] < unsure.ratio[2] < 8
    assert unsure.per_class[0] < unsure.per_class[1] < unsure.per_class[2]
    assert unsure.per_class[-1] == pytest.approx(float(edge_loss_p(logits.softmax(dim=1), depth).total))


def test_merging_keeps_the_sum_and_the_sizes_alike():
    classes = torch.rand(2, 7, 3, 4).softmax(dim=1)
    merged = merge_classes(classes, 3, torch.Generator().manual_seed(1))
    torch.testing.assert_close(merged.sum(dim=1), classes.sum(dim=1))
    ones = merge_classes(torch.ones(1, 7, 1, 1), 3, torch.Generator().manual_seed(1))
    assert sorted(ones.flatten().tolist()) == [2, 2, 3]


def test_worse_depth_tells_less_apart():
    clip = render_video("rooms-test-0003", PRESETS["quick"])[::6]
    variants = depth_variants(clip)
    assert torch.equal(variants["exact"], clip.depth)
    relative = variants["noise 2 %"] / clip.depth - 1
    assert float(relative.std()) == pytest.approx(0.02, rel=0.05) and abs(float(relative.mean())) < 0.001
    found = {name: depth_steps(clip.label, depth, truth=clip.depth).told_apart() for name, depth in variants.items()}
    assert found["exact"] > found["noise 2 %"] > 0.5 and found["exact"] > found["blur 2 px"] > 0.5
    again = depth_variants(clip)
    assert torch.equal(again["noise 2 %"], variants["noise 2 %"])


def test_a_net_of_an_unknown_unit_gets_the_true_median():
    from stc_lab.models import DepthFPN

    clip = render_video("rooms-test-0003", PRESETS["tiny"])[:2]
    torch.manual_seed(0)
    found = depth_variants(clip, net=DepthFPN())["a net's"]
    torch.testing.assert_close(found.flatten(1).median(dim=1).values, clip.depth.flatten(1).median(dim=1).values)


@pytest.mark.bad_input
def test_bad_input_is_refused():
    labels, depth = scene()
    with pytest.raises(InputError, match=r"truth must have the shape of depth, \[1, 1, 12, 30\], got \[1, 1, 12, 29\]"):
        depth_steps(labels, depth, truth=depth[..., 1:])
    with pytest.raises(InputError, match="no border of the kind 'label edge, depth edge'"):
        depth_steps(labels, torch.ones_like(depth))
    with pytest.raises(InputError, match="between 2 and the 3 classes of the prediction, got"):
        growth_with_classes(one_hot(labels), depth, (2, 4))
