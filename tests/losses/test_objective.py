"""One objective from a list: the total is the sum of its parts, and a training step uses it in three lines."""

import json

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.data.rooms import PRESETS, ExactRoomsFlow, render_video, scene_of
from stc_lab.geometry import Warped
from stc_lab.losses import (
    TERMS,
    Direction,
    LogitsConsistency,
    Objective,
    Step,
    both_directions,
    contrastive_loss,
    edge_loss_h,
    edge_loss_p,
    image_edges,
    logits_consistency,
    pair_flows,
    pair_stability_loss,
    pseudo_label_cross_entropy,
    semantic_smoothness,
    teacher_loss,
    transform_invariance,
    weighted_consistency,
)
from stc_lab.training.pairs import warp_logits

EVERYTHING = [[name, 1.0] for name in sorted(TERMS)]


@pytest.fixture(scope="module")
def clip():
    return render_video("rooms-test-0001", PRESETS["tiny"])[[0, 1, 2]]


def known(clip, logits, model=None):
    """A step that knows everything about three frames of a room."""
    forward, backward = (
        Direction(
            warp_logits(logits[[s]], clip[[s]], clip[[t]], warp="geometry"),
            logits[[t]],
            image_edges(clip.image[[t]]),
            torch.ones_like(logits[[t]]),
        )
        for s, t in ((0, 1), (1, 0))
    )
    exact = ExactRoomsFlow(scene_of(clip.video[0], PRESETS["tiny"]))
    return Step(
        logits=logits,
        labels=clip.label,
        pairs=(forward, backward),
        depth=clip.depth,
        flows=pair_flows(clip, exact, check=None),
        teacher=clip.label,
        features=(logits[[0]], logits[[1]]),
        feature_labels=(clip.label[[0]], clip.label[[1]]),
        images=clip.image,
        model=model or (lambda x: x.repeat(1, 8, 1, 1)[:, :22]),
        generator=torch.Generator().manual_seed(0),
    )


@pytest.fixture
def step(clip):
    logits = torch.randn(3, 22, *clip.label.shape[-2:], generator=torch.Generator().manual_seed(0))
    return known(clip, logits.requires_grad_())


def test_the_total_is_the_weighted_sum_of_the_parts(step):
    value = Objective([["cross_entropy", 1.0], ["edge_loss_h", 0.5], ["logits_consistency", 0.3]])(step)
    expected = {
        "cross_entropy": F.cross_entropy(step.logits, step.labels, ignore_index=255),
        "edge_loss_h": edge_loss_h(step.logits.softmax(dim=1), step.depth).total,
        "logits_consistency": both_directions(*step.pairs).total,
    }
    assert list(value.parts) == list(expected)
    for name, part in expected.items():
        torch.testing.assert_close(value.parts[name], part.detach())
        assert not value.parts[name].requires_grad
    weighted = expected["cross_entropy"] + 0.5 * expected["edge_loss_h"] + 0.3 * expected["logits_consistency"]
    torch.testing.assert_close(value.total, weighted)
    numbers = value.logged()
    assert numbers["total"] == pytest.approx(float(weighted.detach()))
    assert numbers["edge_loss_h.weighted"] == pytest.approx(0.5 * numbers["edge_loss_h"])
    assert sum(n for name, n in numbers.items() if name.endswith(".weighted")) == pytest.approx(numbers["total"])
    json.dumps(numbers)


def test_each_name_is_the_loss_of_that_name(step):
    classes = step.logits.softmax(dim=1)
    (here, there), (labels, others) = step.features, step.feature_labels
    seeded = torch.Generator().manual_seed(0)
    pair = step.pairs[0].warped, step.pairs[0].logits_target
    forward = Step(**{**vars(step), "pairs": step.pairs[:1]})
    expected = {
        "logits_consistency": logits_consistency(*pair, step.pairs[0].edges_target, LogitsConsistency()),
        "weighted_consistency": weighted_consistency(*pair, torch.ones_like(pair[1])),
        "pseudo_label_cross_entropy": pseudo_label_cross_entropy(*pair),
        "edge_loss_p": edge_loss_p(classes, step.depth),
        "edge_loss_h": edge_loss_h(classes, step.depth),
        "semantic_smoothness": semantic_smoothness(1 / step.depth, classes, learns="semantics"),
        "pair_stability": pair_stability_loss(classes, step.flows),
        "teacher": teacher_loss(step.logits, step.teacher),
        "contrastive": contrastive_loss(here, labels, there, others),
        "transform_invariance": transform_invariance(step.model, step.images, generator=seeded),
    }
    for name, loss in expected.items():
        found = Objective([(name, 1.0)])(forward)
        torch.testing.assert_close(found.total, loss.total, msg=name)
    assert set(TERMS) - set(expected) == {"cross_entropy", "sampled_contrastive"}


def test_everything_at_once_trains(step):
    value = Objective(EVERYTHING)(step)
    assert len(value.parts) == len(TERMS)
    assert torch.isfinite(torch.autograd.grad(value.total, step.logits)[0]).all()


def test_options_reach_the_loss(step):
    found = Objective([["edge_loss_h", 1.0, {"normalise": "mean", "official": True}]])(step).total
    classes = step.logits.softmax(dim=1)
    torch.testing.assert_close(found, edge_loss_h(classes, step.depth, normalise="mean", official=True).total)
    options = {"uniform": 0, "label_prior": 1.0, "pixel_prior": 0.0}
    found = Objective([["logits_consistency", 1.0, options]])(step).total
    torch.testing.assert_close(found, both_directions(*step.pairs, LogitsConsistency(0.0, 1.0, 0.0)).total)


@settings(max_examples=6, deadline=None)
@given(weights=st.lists(st.floats(0, 10), min_size=3, max_size=3))
def test_a_list_survives_json(weights):
    listed = [
        ["cross_entropy", weights[0]],
        ["logits_consistency", weights[1], {"gradient": "warped", "uniform": 0.5}],
        ["pair_stability", weights[2], {"distance": "l1"}],
    ]
    written = Objective(json.loads(json.dumps(listed))).to_json()
    assert json.loads(json.dumps(written)) == listed


def test_a_function_of_the_readers_own_is_a_term(step):
    def entropy(step, *, power=1.0):
        return -((step.logits.softmax(dim=1) * step.logits.log_softmax(dim=1)).sum(dim=1).mean() ** power)

    value = Objective([("cross_entropy", 1.0), (entropy, 0.1, {"power": 2.0})])(step)
    assert list(value.parts) == ["cross_entropy", "entropy"]
    torch.testing.assert_close(value.parts["entropy"], entropy(step, power=2.0).detach())


def test_a_weight_of_zero_is_logged_but_teaches_nothing(step):
    both = Objective([("cross_entropy", 1.0), ("edge_loss_p", 0.0)])(step)
    alone = Objective([("cross_entropy", 1.0)])(step)
    assert float(both.parts["edge_loss_p"]) > 0 and torch.equal(both.total, alone.total)
    nothing = Objective([("edge_loss_p", 0.0)])(step)
    assert float(nothing.total) == 0 and not nothing.total.requires_grad


def test_a_weight_can_be_warmed_up(step):
    objective = Objective([("cross_entropy", 1.0), ("edge_loss_p", 0.4)])
    value = objective(step, strength={"edge_loss_p": 0.5})
    assert value.weights == {"cross_entropy": 1.0, "edge_loss_p": 0.2}
    torch.testing.assert_close(value.total.detach(), value.parts["cross_entropy"] + 0.2 * value.parts["edge_loss_p"])


def test_frames_without_labels_and_pairs_without_overlap_give_zero(step):
    blind = tuple(
        Direction(Warped(way.warped.image, torch.zeros_like(way.warped.visible)), way.logits_target, way.edges_target)
        for way in step.pairs
    )
    dark = Step(logits=step.logits, labels=torch.full_like(step.labels, 255), pairs=blind)
    value = Objective([("cross_entropy", 1.0), ("logits_consistency", 1.0)])(dark)
    assert float(value.total.detach()) == 0
    assert float(torch.autograd.grad(value.total, step.logits)[0].abs().max()) == 0
    half = Step(pairs=(step.pairs[0], blind[1]))
    one = Objective([("logits_consistency", 1.0)])(half).total
    torch.testing.assert_close(one, both_directions(step.pairs[0], blind[1]).total)


def test_a_training_loop_needs_three_lines(clip):
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 22, 3, padding=1)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    objective = Objective([("cross_entropy", 1.0), ("logits_consistency", 0.3), ("pair_stability", 0.1)])
    template = vars(known(clip, net(clip.image).detach()))
    log = []
    for _ in range(12):
        optimiser.zero_grad()
        logits = net(clip.image)
        fresh = known_pairs(template["pairs"], logits, clip)
        value = objective(Step(**{**template, "logits": logits, "pairs": fresh}))
        value.total.backward()
        log.append(value.logged())
        optimiser.step()
    assert log[-1]["total"] < 0.8 * log[0]["total"]
    assert log[-1]["cross_entropy"] < log[0]["cross_entropy"]


def known_pairs(pairs, logits, clip):
    return tuple(
        Direction(warp_logits(logits[[s]], clip[[s]], clip[[t]], warp="geometry"), logits[[t]], pair.edges_target)
        for pair, (s, t) in zip(pairs, ((0, 1), (1, 0)), strict=True)
    )
