"""E_smooth, E_pair and E_cons against loops from the paper, and what its text leaves open, point by point."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.geometry import DisFlow
from stc_lab.losses.stability import PairFlows, all_pairs, pair_flows, pair_stability_loss
from stc_lab.metrics import e_cons, e_pair, e_smooth
from stc_lab.metrics.stability import _differences, _differences_plain, object_sizes


def example(seed=0, t=5, h=8, w=9, k=4, reach=3, scale=1.5, seen=0.7):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, k, (t, h, w), generator=generator)
    pairs = all_pairs(t, farthest=reach)
    there, back = (scale * torch.randn(len(pairs), 2, h, w, generator=generator) for _ in range(2))
    visible_p, visible_q = (torch.rand(len(pairs), h, w, generator=generator) < seen for _ in range(2))
    return labels, PairFlows(pairs, there, back, visible_p, visible_q)


def still(labels, reach=3):
    t, h, w = labels.shape
    pairs = all_pairs(t, farthest=reach)
    flow, seen = torch.zeros(len(pairs), 2, h, w), torch.ones(len(pairs), h, w, dtype=torch.bool)
    return PairFlows(pairs, flow, flow, seen, seen)


def fraction_loop(here, there, flow, visible):
    """|M d_cat|_1 / |M|_1 on the grid of `here`, whose pixels lie at p + flow in `there`; and |M|_1."""
    h, w = here.shape
    differ = seen = 0
    for y, x in itertools.product(range(h), range(w)):
        u, v = (np.float32(o) + d.numpy() for o, d in zip((x, y), flow[:, y, x], strict=True))
        if visible[y, x] and 0 <= u <= w - 1 and 0 <= v <= h - 1:
            other = there[int(np.rint(v)), int(np.rint(u))]
            if 255 not in (int(here[y, x]), int(other)):
                seen += 1
                differ += int(here[y, x] != other)
    return (differ / seen if seen else math.nan), seen


def e_pair_loop(labels, flows, place, p, q):
    """Eq. 3: W_{p->q}(O_p) lies on q's grid, where the flow is q -> p."""
    on_q, seen_q = fraction_loop(labels[q], labels[p], flows.flow_qp[place], flows.visible_q[place])
    on_p, seen_p = fraction_loop(labels[p], labels[q], flows.flow_pq[place], flows.visible_p[place])
    return on_q + on_p, seen_q + seen_p


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(1, 4))
def test_e_cons_is_the_sum_over_ordered_pairs_as_printed_and_a_mean_by_default(seed, K):
    labels, flows = example(seed, reach=4)
    labels[1, 2] = 255
    T, pair_sum, unordered, support = len(labels), 0.0, [], 0
    for i, j in itertools.product(range(T), range(T)):
        if abs(i - j) <= K and i != j:  # i = j adds 0
            value, seen = e_pair_loop(labels, flows, flows.pairs.index((min(i, j), max(i, j))), min(i, j), max(i, j))
            pair_sum += value
            if i < j:
                unordered.append(value)
                support += seen
    options = {"K": K, "normalise": "none"}
    assert e_cons(labels, flows, official=True, **options).value == pytest.approx(pair_sum / (T * K))
    score = e_cons(labels, flows, **options)
    assert score.value == pytest.approx(np.mean(unordered))
    np.testing.assert_allclose(score.terms, unordered)
    assert score.support == support
    assert len(unordered) == sum(T - gap for gap in range(1, min(K, T - 1) + 1))
    if K < T:
        assert len(unordered) == T * K - K * (K + 1) // 2


def test_official_is_about_twice_ours():
    labels, flows = example(t=12)
    T, K = 12, 3
    ratio = e_cons(labels, flows, official=True).value / e_cons(labels, flows).value
    assert ratio == pytest.approx(2 * (T * K - K * (K + 1) / 2) / (T * K))


def test_the_map_says_where():
    labels, flows = example()
    score = e_cons(labels, flows, normalise="none")
    seen, changed = (torch.zeros(labels.shape) for _ in range(2))
    for place, (p, q) in enumerate(flows.pairs):
        for a, b, flow, visible in (
            (p, q, flows.flow_pq, flows.visible_p),
            (q, p, flows.flow_qp, flows.visible_q),
        ):
            for y, x in itertools.product(range(labels.shape[1]), range(labels.shape[2])):
                only = torch.zeros(labels.shape[1:], dtype=torch.bool)
                only[y, x] = visible[place, y, x]
                fraction, count = fraction_loop(labels[a], labels[b], flow[place], only)
                if count:
                    seen[a, y, x] += 1
                    changed[a, y, x] += fraction
    torch.testing.assert_close(score.map, changed / seen, equal_nan=True)
    assert score.support == int(seen.sum())


def test_e_pair_lies_between_0_and_2():
    labels = torch.zeros(2, 4, 5, dtype=torch.int64)
    flows = still(labels)
    assert e_pair(labels, flows).value == 0.0
    labels[1] = 1
    worst = e_pair(labels, flows)
    assert (worst.value, worst.support) == (2.0, 40)
    assert worst.terms.tolist() == [1.0, 1.0]


def test_one_flipped_pixel():
    labels = torch.zeros(2, 4, 5, dtype=torch.int64)
    labels[1, 2, 3] = 1
    score = e_pair(labels, still(labels))
    assert score.value == pytest.approx(2 / 20)
    assert score.map.nonzero().tolist() == [[0, 2, 3], [1, 2, 3]]


def test_the_printed_distance_turns_perfect_into_2():
    """The text has d_cat 1 for the SAME label: perfect pairs score 2, and so does a frame with itself."""
    labels = torch.zeros(6, 4, 5, dtype=torch.int64)
    flows = still(labels)
    assert e_pair(labels[:2], still(labels[:2]), printed_distance=True).value == 2.0
    options = {"normalise": "none", "printed_distance": True}
    assert e_cons(labels, flows, **options).value == 2.0
    ordered = sum(abs(i - j) <= 3 for i in range(6) for j in range(6))  # i = j included: each is 2, not 0
    assert e_cons(labels, flows, official=True, **options).value == pytest.approx(2 * ordered / (6 * 3))
    noisy, their_flows = example()
    literal, meant = (e_cons(noisy, their_flows, normalise="none", printed_distance=p).value for p in (True, False))
    assert literal + meant == pytest.approx(2.0)


def test_pairs_without_a_visible_pixel_are_left_out():
    labels, flows = example()
    hidden = flows.visible_p.clone()
    hidden[flows.pairs.index((1, 2))] = False
    cut = PairFlows(flows.pairs, flows.flow_pq, flows.flow_qp, hidden, flows.visible_q)
    score, whole = e_cons(labels, cut, normalise="none"), e_cons(labels, flows, normalise="none")
    assert (1, 2) not in score.pairs
    assert len(score.pairs) == len(flows.pairs) - 1
    kept = [value for pair, value in zip(whole.pairs, whole.terms.tolist(), strict=True) if pair != (1, 2)]
    assert score.value == pytest.approx(np.mean(kept))


def test_each_flow_is_asked_for_once():
    labels, flows = example(t=7)
    asked = []

    def flows_of(p, q):
        asked.append((p, q))
        at = slice(flows.pairs.index((p, q)), flows.pairs.index((p, q)) + 1)
        names = ("flow_pq", "flow_qp", "visible_p", "visible_q")
        return PairFlows(((p, q),), *(getattr(flows, name)[at] for name in names))

    by_call, by_table = e_cons(labels, flows_of), e_cons(labels, flows)
    assert asked == list(all_pairs(7, farthest=3))
    assert by_call.value == by_table.value
    torch.testing.assert_close(by_call.map, by_table.map, equal_nan=True)


def test_following_the_motion_is_perfect_and_not_following_it_is_not():
    generator = torch.Generator().manual_seed(1)
    scene = torch.randint(0, 5, (10, 30), generator=generator)
    labels = torch.stack([scene[:, 2 * i : 2 * i + 16] for i in range(5)])
    pairs = all_pairs(5, farthest=3)
    shift = torch.tensor([2.0 * (q - p) for p, q in pairs])
    flow = torch.zeros(len(pairs), 2, 10, 16)
    flow[:, 0] = -shift[:, None, None]
    seen = torch.ones(len(pairs), 10, 16, dtype=torch.bool)
    assert e_cons(labels, PairFlows(pairs, flow, -flow, seen, seen)).value == 0.0
    assert e_cons(labels, still(labels)).value > 0.0


def test_agrees_with_the_loss_on_certain_predictions():
    """`l1` of one-hot maps is d_cat: the differentiable E_pair and this one are the same where flow is whole pixels."""
    labels, flows = example(t=4)
    whole = PairFlows(flows.pairs, flows.flow_pq.round(), flows.flow_qp.round(), flows.visible_p, flows.visible_q)
    one_hot = torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float()
    loss = pair_stability_loss(one_hot, whole, distance="l1")
    assert float(loss.total) == pytest.approx(e_cons(labels, whole, normalise="none").value, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_compiled_loop_agrees_with_plain_operations(dtype):
    labels, flows = example(h=40, w=50, t=2, scale=4)
    flow = flows.flow_pq[0].to(dtype)
    flow[:, 3, 4:9] = torch.tensor([math.nan, math.inf, -math.inf, 1e10, 0.5], dtype=dtype)
    labels[0, 5:7], labels[1, 20:25] = 255, 255
    results = []
    for compare in (_differences, _differences_plain):
        maps = torch.zeros(2, 40, 50, dtype=torch.int16)
        counts = compare(labels[0], labels[1], flow, flows.visible_p[0], 255, *maps)
        results.append((counts, maps))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


def by_scipy(labels, sigma):
    from scipy.ndimage import gaussian_filter1d

    ids = np.unique(labels)
    return ids[np.argmax([gaussian_filter1d((labels == i) * 1.0, sigma, axis=0) for i in ids], axis=0)]


def flicker(seed=0, t=9, h=10, w=12):
    rng = np.random.default_rng(seed)
    labels = np.zeros((t, h, w), np.int64)
    for i in range(t):
        labels[i, 2:7, 2 + i % 3 : 7 + i % 2] = 1
        labels[i, 6:9, 6:10] = 2
    return torch.from_numpy(np.where(rng.random(labels.shape) < 0.05, rng.integers(0, 4, labels.shape), labels))


@pytest.mark.parametrize("sigma", [0.9, 1.0, 4.5])
def test_e_smooth_is_a_sum_of_square_roots(sigma):
    from skimage.segmentation import find_boundaries

    labels = flicker()
    changed = (by_scipy(labels.numpy(), sigma) != labels.numpy()).sum(axis=(1, 2))
    sizes = np.array([find_boundaries(frame, mode="thick").sum() for frame in labels.numpy().astype(np.int32)])
    median = np.median(sizes)
    assert e_smooth(labels, sigma=sigma, official=True).value == pytest.approx(np.sqrt(changed).sum() / median)
    assert e_smooth(labels, sigma=sigma).value == pytest.approx(np.sqrt(changed).mean() / median)
    own = e_smooth(labels, sigma=sigma, per_frame=True, official=True).value
    assert own == pytest.approx((np.sqrt(changed) / sizes).sum())
    assert changed.any()
    assert own != pytest.approx(np.sqrt(changed).sum() / median)
    score = e_smooth(labels, sigma=sigma, normalise="none")
    np.testing.assert_allclose(score.terms, np.sqrt(changed))
    assert score.value == pytest.approx(np.sqrt(changed).mean())
    assert int(score.map.sum()) == changed.sum()


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.5])
def test_shares_of_two_classes_are_the_norm_of_a_mask(sigma):
    from scipy.ndimage import gaussian_filter1d

    mask = (flicker() > 0).double()
    difference = mask.numpy() - gaussian_filter1d(mask.numpy(), sigma, axis=0)
    score = e_smooth(mask.long(), sigma=sigma, form="shares", normalise="none", official=True)
    assert score.value == pytest.approx(np.linalg.norm(difference.reshape(len(mask), -1), axis=1).sum(), rel=1e-5)
    np.testing.assert_allclose(score.map, difference**2, atol=1e-6)


def test_e_smooth_grows_with_the_clip_officially():
    labels = flicker().repeat(4, 1, 1)
    short = labels[:18]
    assert e_smooth(labels, official=True).value == pytest.approx(2 * e_smooth(short, official=True).value, rel=0.1)
    assert e_smooth(labels).value == pytest.approx(e_smooth(short).value, rel=0.1)


def test_smoothness_prefers_slow_jitter_to_fast_and_clean_motion():
    """Fig. 5 of the paper: a fast object with a clean mask, and a slow one that jitters by a pixel."""
    T, clean, jittery = 12, [], []
    for i in range(T):
        frame = torch.zeros(20, 60, dtype=torch.int64)
        frame[5:15, 4 * i : 4 * i + 10] = 1
        clean.append(frame)
        frame = torch.zeros(20, 60, dtype=torch.int64)
        frame[5:15, 25 + i % 2 : 35 + i % 2] = 1
        jittery.append(frame)
    clean, jittery = torch.stack(clean), torch.stack(jittery)
    pairs = all_pairs(T, farthest=3)
    flow = torch.zeros(len(pairs), 2, 20, 60)
    flow[:, 0] = torch.tensor([4.0 * (q - p) for p, q in pairs])[:, None, None]
    object_only = torch.stack([clean[p] == 1 for p, _ in pairs]), torch.stack([clean[q] == 1 for _, q in pairs])
    followed = PairFlows(pairs, flow, -flow, *object_only)
    assert e_smooth(clean, form="shares").value > e_smooth(jittery, form="shares").value
    assert e_smooth(clean).value == 0.0  # each pixel shows the object for two frames or more: nothing is outvoted
    assert e_cons(clean, followed).value == 0.0 < e_cons(jittery, still(jittery)).value


def test_normalisations():
    labels = flicker()
    flows = still(labels)
    labels[4] = 0  # an empty frame moves a mean, not a median
    plain = e_cons(labels, flows, normalise="none")
    inside = np.median(np.sqrt((labels.numpy() != 0).sum(axis=(1, 2))))
    assert e_cons(labels, flows, normalise="sqrt_object").value == pytest.approx(plain.value / inside)
    values = {mode: e_cons(labels, flows, boundary=mode) for mode in ("thick", "inner", "outer")}
    for mode, score in values.items():
        sizes = object_sizes(labels, "boundary", boundary=mode)
        assert score.normaliser == np.median(sizes)
        assert score.value == pytest.approx(plain.value / np.median(sizes))
    assert 1.5 < values["inner"].value / values["thick"].value < 2.5
    shifted = e_cons(labels + 1, flows, normalise="sqrt_object", background=1)
    assert shifted.value == pytest.approx(plain.value / inside)


def test_a_frame_without_objects_does_not_count_when_each_has_its_own_size():
    labels = flicker()
    labels[0] = 0
    score = e_smooth(labels, per_frame=True)
    assert math.isfinite(score.value)
    sizes = object_sizes(labels)
    assert score.value == pytest.approx(float((score.terms / sizes)[1:].mean()))


def test_what_never_changes_is_perfectly_steady():
    labels = flicker()[:1].repeat(6, 1, 1)
    assert e_smooth(labels).value == 0.0 == e_smooth(labels, official=True).value
    assert e_cons(labels, still(labels)).value == 0.0
    assert e_smooth(labels * 0, normalise="none").value == 0.0


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_names_of_classes_and_direction_of_time_do_not_matter(seed):
    labels, flows = example(seed)
    renamed = torch.tensor([2, 3, 1, 0])[labels]
    options = {"normalise": "none"}
    assert e_cons(renamed, flows, **options).value == e_cons(labels, flows, **options).value
    last = len(labels) - 1
    pairs = tuple((last - q, last - p) for p, q in flows.pairs)
    mirrored = PairFlows(pairs, flows.flow_qp, flows.flow_pq, flows.visible_q, flows.visible_p)
    backwards = e_cons(labels.flip(0), mirrored)
    assert backwards.value == pytest.approx(e_cons(labels, flows).value)
    assert e_smooth(labels.flip(0)).value == pytest.approx(e_smooth(labels).value)


def test_void_is_neither_compared_nor_an_object():
    labels, flows = example()
    scribbled = labels.clone()
    scribbled[:, :2] = 255
    score = e_cons(scribbled, flows)
    assert torch.isnan(score.map[:, :2]).all()
    assert score.support < e_cons(labels, flows).support
    assert torch.isnan(e_smooth(scribbled).map[:, :2]).all()
    assert object_sizes(torch.where(labels == 1, 255, 0), "boundary").tolist() == [0] * 5


def test_estimated_flow_of_a_still_clip():
    from stc_lab.data import Clip

    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 24, 32, generator=generator).repeat(4, 1, 1, 1)
    clip = Clip(("a",) * 4, torch.arange(4), torch.arange(4.0), image)
    labels = torch.randint(0, 3, (1, 24, 32), generator=generator).repeat(4, 1, 1)
    assert e_cons(labels, lambda p, q: pair_flows(clip, DisFlow(), pairs=[(p, q)])).value == 0.0
