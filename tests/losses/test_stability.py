import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.data.rooms import PRESETS, ExactRoomsFlow, render_video, scene_of
from stc_lab.geometry import DisFlow, Flow, warp_labels_by_flow
from stc_lab.losses import PairFlows, all_pairs, join_flows, pair_flows, pair_stability_loss, teacher_loss

DISTANCES = ("overlap", "cross_entropy", "l1")


def example(seed=0, t=4, k=3, h=5, w=6, dtype=torch.float64):
    """Random probabilities, and flow and visibility of all pairs, some of which lead out of the frame."""
    generator = torch.Generator().manual_seed(seed)
    pairs = all_pairs(t)
    classes = torch.randn(t, k, h, w, generator=generator, dtype=dtype).softmax(dim=1)
    flows = (1.5 * torch.randn(len(pairs), 2, h, w, generator=generator, dtype=dtype) for _ in range(2))
    seen = (torch.rand(len(pairs), h, w, generator=generator) < 0.8 for _ in range(2))
    return classes, PairFlows(pairs, *flows, *seen)


def still(t=3, h=5, w=6, pairs=None):
    pairs = all_pairs(t) if pairs is None else pairs
    flow, seen = torch.zeros(len(pairs), 2, h, w), torch.ones(len(pairs), h, w, dtype=torch.bool)
    return PairFlows(pairs, flow, flow, seen, seen)


def one_hot(labels, k):
    return F.one_hot(labels, k).movedim(-1, 1).float()


def bilinear(field, x, y):
    """One value of a [k, h, w] field between its pixels, by the formula."""
    x0, y0 = min(math.floor(x), field.shape[2] - 2), min(math.floor(y), field.shape[1] - 2)
    u, v = x - x0, y - y0
    rows = field[:, y0 : y0 + 2, x0 : x0 + 2]
    return (1 - v) * ((1 - u) * rows[:, 0, 0] + u * rows[:, 0, 1]) + v * ((1 - u) * rows[:, 1, 0] + u * rows[:, 1, 1])


def slow(classes, flows, distance):
    """Eq. 3 pixel by pixel, with the pixels of each frame looked up in the other."""
    _, _, h, w = classes.shape
    fractions = []
    for i, (p, q) in enumerate(flows.pairs):
        for source, target, flow, seen in (
            (p, q, flows.flow_qp, flows.visible_q),
            (q, p, flows.flow_pq, flows.visible_p),
        ):
            terms = []
            for y in range(h):
                for x in range(w):
                    u, v = x + float(flow[i, 0, y, x]), y + float(flow[i, 1, y, x])
                    if not (seen[i, y, x] and 0 <= u <= w - 1 and 0 <= v <= h - 1):
                        continue
                    own, warped = classes[target, :, y, x], bilinear(classes[source], u, v)
                    terms.append(
                        {
                            "overlap": lambda a, b: 1 - float(a @ b),
                            "l1": lambda a, b: 0.5 * float((a - b).abs().sum()),
                            "cross_entropy": lambda a, b: (
                                -sum(float(m) * math.log(float(n)) for m, n in zip(b, a, strict=True))
                            ),
                        }[distance](own, warped)
                    )
            fractions.append(sum(terms) / len(terms))
    return fractions


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), distance=st.sampled_from(DISTANCES))
def test_agrees_with_eq_3_pixel_by_pixel(seed, distance):
    classes, flows = example(seed, t=3)
    found = pair_stability_loss(classes, flows, distance=distance)
    expected = slow(classes, flows, distance)
    assert found.fractions.flatten().tolist() == pytest.approx(expected, rel=1e-9)
    pairs = [a + b for a, b in zip(expected[::2], expected[1::2], strict=True)]
    assert float(found.total) == pytest.approx(sum(pairs) / len(pairs), rel=1e-9)  # the mean of E_pair


def test_seven_frames_have_21_pairs():
    assert len(all_pairs(7)) == 21 and len(set(all_pairs(7))) == 21
    assert all_pairs(3) == ((0, 1), (0, 2), (1, 2))
    assert all_pairs(4, farthest=1) == ((0, 1), (1, 2), (2, 3))
    # K = 3 of Eq. 4: TK - K (K + 1) / 2 unordered pairs
    assert len(all_pairs(20, farthest=3)) == 20 * 3 - 6


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_certain_frames_cost_nothing_and_opposite_ones_two(distance):
    labels = torch.randint(0, 3, (1, 5, 6), generator=torch.Generator().manual_seed(0)).expand(3, 5, 6)
    assert float(pair_stability_loss(one_hot(labels, 3), still(), distance=distance).total) == pytest.approx(
        0, abs=1e-6
    )
    turned = torch.stack([labels[0], (labels[0] + 1) % 3])
    found = pair_stability_loss(one_hot(turned, 3), still(2), distance=distance)
    worst = 2.0 if distance != "cross_entropy" else -2 * math.log(1e-7)
    assert float(found.total) == pytest.approx(worst, rel=1e-5)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), distance=st.sampled_from(["overlap", "l1"]))
def test_for_certain_predictions_it_counts_labels_that_differ(seed, distance):
    """With whole-pixel flow nothing is interpolated, and d is d_cat (1 for different labels) on each pixel."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (2, 6, 7), generator=generator)
    there, back = (torch.randint(-2, 3, (1, 2, 6, 7), generator=generator).float() for _ in range(2))
    seen = torch.ones(1, 6, 7, dtype=torch.bool)
    found = pair_stability_loss(one_hot(labels, 4), PairFlows(((0, 1),), there, back, seen, seen), distance=distance)
    for fraction, own, other, flow in zip(found.fractions[0], (1, 0), (0, 1), (back, there), strict=True):
        warped = warp_labels_by_flow(labels[other, None], flow)
        differ = (warped.label != labels[own, None])[warped.visible]
        assert float(fraction) == pytest.approx(float(differ.double().mean()), abs=1e-6)


def test_one_flipped_pixel():
    labels = torch.zeros(3, 5, 6, dtype=torch.long)
    labels[1, 2, 3] = 1
    found = pair_stability_loss(one_hot(labels, 2), still())
    assert found.fractions.tolist() == [pytest.approx([1 / 30] * 2), [0, 0], pytest.approx([1 / 30] * 2)]
    assert float(found.total) == pytest.approx(2 * (2 / 30) / 3)
    assert found.map[1, 2, 3] == 1 and found.map[0, 2, 3] == 0.5 and int((found.map > 0).sum()) == 3


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_shift_along_the_flow_is_stable_and_without_it_is_not(distance):
    labels = torch.randint(0, 3, (6, 9), generator=torch.Generator().manual_seed(1))
    clip = one_hot(torch.stack([labels.roll(2 * i, dims=1) for i in range(3)]), 3)
    pairs = all_pairs(3)
    flow = torch.zeros(3, 2, 6, 9)
    flow[:, 0] = torch.tensor([2.0 * (q - p) for p, q in pairs])[:, None, None]
    seen = torch.ones(3, 6, 9, dtype=torch.bool)
    moving = PairFlows(pairs, flow, -flow, seen, seen)
    assert float(pair_stability_loss(clip, moving, distance=distance).total) == pytest.approx(0, abs=1e-6)
    assert float(pair_stability_loss(clip, still(3, 6, 9), distance=distance).total) > 0.5


def test_a_pair_has_no_order():
    classes, flows = example()
    turned = PairFlows(
        tuple((q, p) for p, q in flows.pairs), flows.flow_qp, flows.flow_pq, flows.visible_q, flows.visible_p
    )
    one, two = pair_stability_loss(classes, flows), pair_stability_loss(classes, turned)
    torch.testing.assert_close(one.total, two.total)
    torch.testing.assert_close(one.fractions, two.fractions.flip(1))
    torch.testing.assert_close(one.map, two.map, equal_nan=True)


def test_what_is_hidden_does_not_count_and_a_hidden_direction_is_left_out():
    classes, flows = example(t=2)
    none = torch.zeros_like(flows.visible_p)
    found = pair_stability_loss(classes, PairFlows(flows.pairs, flows.flow_pq, flows.flow_qp, none, flows.visible_q))
    assert found.fractions.isnan().tolist() == [[False, True]] and int(found.support[0, 1]) == 0
    torch.testing.assert_close(found.total, 2 * pair_stability_loss(classes, flows).fractions[0, 0])
    assert found.map[0].isnan().all()


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradient_switch_splits_the_gradient(distance):
    classes, flows = example()
    classes.requires_grad_()
    both, warped, target = (
        torch.autograd.grad(pair_stability_loss(classes, flows, distance=distance, gradient=who).total, classes)[0]
        for who in ("both", "warped", "target")
    )
    torch.testing.assert_close(both, warped + target)
    assert not torch.equal(warped, target)


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradcheck(distance):
    classes, flows = example(t=3, k=3, h=3, w=3)
    logits = classes.log().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: pair_stability_loss(x.softmax(dim=1), flows, distance=distance).total, (logits,)
    )


def test_descending_it_settles_a_clip_that_flickers():
    logits = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.5)
    for _ in range(25):
        loss = pair_stability_loss(logits.softmax(dim=1), still()).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    labels = logits.argmax(dim=1)
    assert float(loss.detach()) < 0.02 and (labels[0] == labels[1]).all() and (labels[1] == labels[2]).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    classes, flows = example(dtype=torch.float32)
    classes = classes.to(dtype)
    found = pair_stability_loss(classes, flows).total
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, pair_stability_loss(classes.float(), flows).total)


def test_several_clips_are_one_table():
    (one, flows_one), (two, flows_two) = example(0, t=3), example(1, t=2)
    table = join_flows([flows_one, flows_two], [3, 2])
    assert table.pairs == ((0, 1), (0, 2), (1, 2), (3, 4))
    found = pair_stability_loss(torch.cat([one, two]), table)
    apart = [pair_stability_loss(one, flows_one), pair_stability_loss(two, flows_two)]
    torch.testing.assert_close(found.fractions, torch.cat([part.fractions for part in apart]))
    torch.testing.assert_close(found.map, torch.cat([part.map for part in apart]), equal_nan=True)


@pytest.fixture(scope="module")
def room():
    config = PRESETS["tiny"]
    clip = render_video("rooms-test-0001", config)[[0, 1, 2, 3]]
    return clip, ExactRoomsFlow(scene_of(clip.video[0], config))


def test_flows_are_estimated_once_both_ways_and_checked(room):
    clip, exact = room
    calls = []

    def estimator(a, b):
        calls.append(len(a.image))
        return exact(a, b)

    table = pair_flows(clip, estimator, check=None)
    assert calls == [6, 6] and table.pairs == all_pairs(4)
    there = exact(clip[[1]], clip[[3]])
    assert torch.equal(table.flow_pq[4], there.flow[0]) and torch.equal(table.visible_p[4], there.visible[0])
    assert torch.equal(table.flow_qp[4], exact(clip[[3]], clip[[1]]).flow[0])
    checked = pair_flows(clip, exact, pairs=[(1, 3)], check=lambda ab, ba: torch.zeros_like(ab[:, 0], dtype=torch.bool))
    assert checked.pairs == ((1, 3),) and not checked.visible_p.any() and not checked.visible_q.any()


def test_true_labels_of_a_room_are_stable_along_the_exact_flow(room):
    clip, exact = room
    classes = one_hot(clip.label.clamp(max=21), 22)
    found = pair_stability_loss(classes, pair_flows(clip, exact, check=None))
    frozen = pair_stability_loss(classes, still(4, *clip.label.shape[-2:]))
    estimated = pair_stability_loss(classes, pair_flows(clip, DisFlow()))
    assert float(found.total) < 0.5 * float(frozen.total)  # what is left comes from interpolation at borders
    assert float(found.total) < float(estimated.total)


def test_an_estimator_may_be_any_function(room):
    clip, _ = room

    def nothing(a, b):
        flow = torch.zeros_like(a.image[:, :2])
        return Flow(flow, torch.ones_like(flow[:, 0], dtype=torch.bool))

    assert pair_flows(clip, nothing).visible_p.all()


# The data term


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5))
def test_teacher_by_labels_and_by_probabilities(seed, k):
    generator = torch.Generator().manual_seed(seed)
    logits, said = (torch.randn(2, k, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    usable = torch.rand(2, 4, 5, generator=generator) < 0.7
    usable[0, 0, 0] = True
    labels = said.argmax(dim=1).masked_fill(torch.rand(2, 4, 5, generator=generator) < 0.2, 255)
    labels[0, 0, 0] = 0
    seen = usable & (labels != 255)
    found = teacher_loss(logits, labels, usable=usable)
    peer = F.cross_entropy(logits, labels.masked_fill(~usable, 255), ignore_index=255)
    torch.testing.assert_close(found.total, peer)
    torch.testing.assert_close(found.map[seen].mean(), found.total)
    assert int(found.support) == int(seen.sum())
    found = teacher_loss(logits, said.softmax(dim=1), usable=usable)
    each = F.kl_div(logits.log_softmax(dim=1), said.log_softmax(dim=1), log_target=True, reduction="none").sum(dim=1)
    torch.testing.assert_close(found.total, each[usable].mean())
    torch.testing.assert_close(found.map[usable].mean(), found.total)


def test_agreement_with_the_teacher_costs_nothing_and_one_sure_mistake_its_margin():
    logits = torch.zeros(1, 2, 4, 5)
    logits[:, 0] = 30.0
    sure = teacher_loss(logits, one_hot(torch.zeros(1, 4, 5, dtype=torch.long), 2))
    assert float(sure.total) < 1e-6
    labels = torch.zeros(1, 4, 5, dtype=torch.long)
    labels[0, 1, 2] = 1
    assert float(teacher_loss(logits, labels).total) == pytest.approx(30 / 20)
    same = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert float(teacher_loss(same, same.softmax(dim=1)).total) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_teacher_gradients_and_garbage(kind):
    generator = torch.Generator().manual_seed(0)
    logits, said = (torch.randn(1, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    usable = torch.rand(1, 4, 5, generator=generator) < 0.6
    told = said.argmax(dim=1) if kind == "labels" else said.softmax(dim=1)
    assert torch.autograd.gradcheck(lambda x: teacher_loss(x, told, usable=usable).total, logits.requires_grad_())
    dirty = logits.detach().masked_fill(~usable[:, None], torch.nan).requires_grad_()
    rubbish = told.masked_fill(~usable, 999) if kind == "labels" else told.masked_fill(~usable[:, None], torch.nan)
    found = teacher_loss(dirty, rubbish, usable=usable).total
    assert torch.equal(found, teacher_loss(logits, told, usable=usable).total)
    gradient = torch.autograd.grad(found, dirty)[0]
    assert torch.isfinite(gradient).all() and (gradient[~usable[:, None].expand_as(gradient)] == 0).all()
    if kind == "probabilities":
        told.requires_grad_()
        assert torch.autograd.grad(teacher_loss(logits, told).total, told, allow_unused=True)[0] is None
