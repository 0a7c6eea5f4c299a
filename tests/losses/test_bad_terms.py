"""What the losses on depth edges, clips and transforms, and the objective, refuse, and what they say of it."""

import math
from dataclasses import replace

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.geometry import Warped
from stc_lab.losses import (
    AffineRanges,
    Direction,
    Objective,
    PairFlows,
    Step,
    all_pairs,
    both_directions,
    edge_loss_h,
    edge_loss_p,
    image_edges,
    join_flows,
    pair_stability_loss,
    pseudo_label_cross_entropy,
    semantic_smoothness,
    shared_gradient,
    sobel_edges,
    teacher_loss,
    transform_invariance,
    weighted_consistency,
)

pytestmark = pytest.mark.bad_input

LOGITS = torch.zeros(1, 3, 4, 5)
CLASSES = torch.full((1, 3, 4, 5), 1 / 3)
DEPTH = torch.ones(1, 1, 4, 5)
MASK = torch.ones(1, 4, 5, dtype=torch.bool)
LABELS = torch.zeros(1, 4, 5, dtype=torch.long)
CLIP = CLASSES.repeat(2, 1, 1, 1)
FLOW = torch.zeros(1, 2, 4, 5)
TABLE = PairFlows(((0, 1),), FLOW, FLOW, MASK, MASK)
BLIND = Warped(LOGITS, ~MASK)


@pytest.mark.parametrize(
    "call",
    [
        lambda: weighted_consistency(BLIND, LOGITS, CLASSES),
        lambda: pseudo_label_cross_entropy(BLIND, LOGITS),
        lambda: both_directions(Direction(BLIND, LOGITS, MASK), Direction(BLIND, LOGITS, MASK)),
        lambda: pair_stability_loss(CLIP, replace(TABLE, visible_p=~MASK, visible_q=~MASK)),
        lambda: pair_stability_loss(CLIP, replace(TABLE, flow_pq=FLOW + 100, flow_qp=FLOW - 100)),
        lambda: teacher_loss(LOGITS, LABELS + 255),
        lambda: teacher_loss(LOGITS, CLASSES, usable=~MASK),
        lambda: transform_invariance(lambda x: x, LOGITS, generator=generator(), ranges=AffineRanges(0, 1000.0, 0, 0)),
    ],
)
def test_nothing_to_compare_is_an_error_and_never_nan(call):
    with pytest.raises(InputError, match="no usable pixel"):
        call()


@pytest.mark.parametrize("loss", [edge_loss_p, edge_loss_h, lambda S, D, **o: semantic_smoothness(D, S, **o)])
def test_edge_losses(loss):
    for depth, options in ((0 * DEPTH, {}), (DEPTH * torch.nan, {}), (DEPTH, {"usable": ~MASK})):
        with pytest.raises(InputError, match="no usable slope: 0 along x and 0 along y"):
            loss(CLASSES, depth, **options)
    row = CLASSES[:, :, :1], DEPTH[:, :, :1]
    with pytest.raises(InputError, match="4 along x and 0 along y"):
        loss(*row)
    with pytest.raises(InputError, match=r"depth and probabilities must have one size.*coarse_stride"):
        loss(CLASSES, torch.ones(1, 1, 8, 10))
    with pytest.raises(InputError, match="one dtype"):
        loss(CLASSES, DEPTH.double())
    with pytest.raises(InputError, match=r"usable must be \[1, 4, 5\].*got \[1, 2, 2\]"):
        loss(CLASSES, DEPTH, usable=MASK[:, :2, :2])
    with pytest.raises(InputError, match="normalise must be None or 'mean', got 'max'"):
        loss(CLASSES, DEPTH, normalise="max")


def test_edge_losses_want_probabilities():
    for call in (edge_loss_p, edge_loss_h, lambda S, D: semantic_smoothness(D, S, learns="both")):
        with pytest.raises(InputError, match=r"sum to 1, got sums from 0 to 0.*softmax"):
            call(LOGITS, DEPTH)


def test_weights_of_pixels_and_classes():
    warped = Warped(LOGITS, MASK)
    with pytest.raises(InputError, match=r"weight must be \[1, 3, 4, 5\].*got \[1, 4, 5\].*expand_as"):
        weighted_consistency(warped, LOGITS, DEPTH[:, 0])
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="finite and not negative"):
            weighted_consistency(warped, LOGITS, CLASSES * bad)
    for call in (
        lambda: weighted_consistency(warped, LOGITS, CLASSES, gradient="none"),
        lambda: pseudo_label_cross_entropy(warped, LOGITS, gradient="none"),
        lambda: pair_stability_loss(CLIP, TABLE, gradient="none"),
        lambda: transform_invariance(lambda x: x, LOGITS, generator=generator(), gradient="none"),
    ):
        with pytest.raises(InputError, match="gradient must be 'both', 'warped' or 'target', got 'none'"):
            call()
    with pytest.raises(InputError, match=r"logits_target .*\[1, 3, 4, 5\], got \[1, 3, 8, 10\]"):
        pseudo_label_cross_entropy(warped, torch.zeros(1, 3, 8, 10))
    with pytest.raises(InputError, match=r"edges_target, got None.*image_edges"):
        both_directions(Direction(warped, LOGITS), Direction(warped, LOGITS))


def test_detectors():
    image = torch.full((1, 3, 12, 12), 0.5)
    with pytest.raises(InputError, match="detector must be one of canny, sobel, got 'roberts'"):
        image_edges(image, detector="roberts")
    with pytest.raises(InputError, match="threshold must be positive, got 0"):
        sobel_edges(image, threshold=0.0)
    with pytest.raises(InputError, match="8-bit"):
        sobel_edges(255 * image)


def test_pairs_of_a_clip():
    with pytest.raises(InputError, match="at least 2 frames, got 1"):
        all_pairs(1)
    with pytest.raises(InputError, match="farthest must be at least 1 frame, got 0"):
        all_pairs(3, farthest=0)
    with pytest.raises(InputError, match="flow_qp must be"):
        replace(TABLE, flow_qp=torch.zeros(1, 2, 8, 10))
    with pytest.raises(InputError, match="2 pairs and 1 flows"):
        replace(TABLE, pairs=((0, 1), (1, 2)))
    with pytest.raises(InputError, match="flow_pq must hold at least one pixel"):
        PairFlows((), FLOW[:0], FLOW[:0], MASK[:0], MASK[:0])
    with pytest.raises(InputError, match=r"pair \(0, 2\), but the clip has frames 0 to 1.*join_flows"):
        pair_stability_loss(CLIP, replace(TABLE, pairs=((0, 2),)))
    with pytest.raises(InputError, match=r"size \[8, 10\], got \[4, 5\]"):
        pair_stability_loss(torch.full((2, 2, 8, 10), 0.5), TABLE)
    with pytest.raises(InputError, match="logits: softmax"):
        pair_stability_loss(7 * CLIP, TABLE)
    with pytest.raises(InputError, match="distance must be one of overlap, cross_entropy, l1, got 'l2'"):
        pair_stability_loss(CLIP, TABLE, distance="l2")
    with pytest.raises(InputError, match="1 tables and 2 numbers"):
        join_flows([TABLE], [2, 2])


def test_teachers():
    with pytest.raises(InputError, match=r"labels int64 \[1, 4, 5\] or probabilities \[1, 3, 4, 5\]"):
        teacher_loss(LOGITS, LABELS[:, :2])
    with pytest.raises(InputError, match=r"labels int64"):
        teacher_loss(LOGITS, LABELS.float())
    with pytest.raises(InputError, match="classes 0 to 2 or 255, got 3 to 3"):
        teacher_loss(LOGITS, LABELS + 3)
    with pytest.raises(InputError, match=r"teacher must be class probabilities.*softmax"):
        teacher_loss(LOGITS, LOGITS)
    with pytest.raises(InputError, match=r"usable must be \[1, 4, 5\]"):
        teacher_loss(LOGITS, LABELS, usable=MASK[:, :2])


def generator():
    return torch.Generator().manual_seed(0)


def test_transforms():
    for options in ({"zoom": 1.0}, {"rotation": 45.0}, {"shear": 1.6}):
        with pytest.raises(InputError, match="radians"):
            AffineRanges(**options)
    with pytest.raises(InputError, match="translation must be 0 or more, got -1"):
        AffineRanges(translation=-1.0)
    with pytest.raises(InputError, match=r"f must give \[1, k, 4, 5\].*got \[1, 3, 2, 3\].*coarse"):
        transform_invariance(lambda x: x[..., ::2, ::2], LOGITS, generator=generator())
    with pytest.raises(InputError, match="outputs must be"):
        transform_invariance(lambda x: x, LOGITS, generator=generator(), outputs=LOGITS[:, :2])
    with pytest.raises(InputError, match="normalise must be None or 'pixels', got 'mean'"):
        transform_invariance(lambda x: x, LOGITS, generator=generator(), normalise="mean")


def test_multi_task():
    with pytest.raises(InputError, match="learns must be"):
        semantic_smoothness(DEPTH, CLASSES, learns="depth")
    with pytest.raises(InputError, match=r"share from 0 to 1, got 1.5"):
        shared_gradient(LOGITS, segmentation=1.5)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "at least one"),
        ("cross_entropy", "at least one"),
        (["cross_entropy"], r"must be \(name, weight\)"),
        ([("cross_entropy",)], r"must be \(name, weight\)"),
        ([("crossentropy", 1.0)], "no term 'crossentropy'; there are contrastive, cross_entropy, .*or any function"),
        ([("cross_entropy", -1.0)], "weight of cross_entropy must be a number from 0 up, got -1.0"),
        ([("cross_entropy", math.nan)], "got nan"),
        ([("cross_entropy", "1")], "got '1'"),
        ([("cross_entropy", True)], "got True"),
        ([("cross_entropy", 1.0), ("cross_entropy", 2.0)], "cross_entropy is listed twice"),
        ([("edge_loss_h", 1.0, {"unit": "m"})], "edge_loss_h has no option unit; it has normalise, official"),
        ([("cross_entropy", 1.0, {"balance": 1})], "has no option balance; it has none"),
        ([("edge_loss_h", 1.0, 3)], "options must be names with values, got 3"),
    ],
)
def test_lists_that_are_no_objective(terms, message):
    with pytest.raises(InputError, match=message):
        Objective(terms)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cross_entropy", "the term cross_entropy needs labels, which.*it has logits"),
        ("logits_consistency", r"needs pairs, .*Step\(pairs=...\)"),
        ("weighted_consistency", "needs pairs"),
        ("pseudo_label_cross_entropy", "needs pairs"),
        ("edge_loss_p", "needs depth"),
        ("edge_loss_h", "needs depth"),
        ("semantic_smoothness", "needs depth"),
        ("pair_stability", "needs flows"),
        ("teacher", "needs teacher"),
        ("contrastive", "needs features, feature_labels"),
        ("sampled_contrastive", "needs features, feature_labels, generator"),
        ("transform_invariance", "needs images, model, generator"),
    ],
)
def test_a_step_that_knows_too_little(name, message):
    with pytest.raises(InputError, match=message):
        Objective([(name, 1.0)])(Step(logits=LOGITS))


def test_an_empty_step_and_pairs_without_what_a_term_needs():
    with pytest.raises(InputError, match=r"needs logits, labels.*it has nothing"):
        Objective([("cross_entropy", 1.0)])(Step())
    pair = Direction(Warped(LOGITS, MASK), LOGITS)
    with pytest.raises(InputError, match="logits_consistency needs edges_target"):
        Objective([("logits_consistency", 1.0)])(Step(pairs=(pair,)))
    with pytest.raises(InputError, match="weighted_consistency needs weight"):
        Objective([("weighted_consistency", 1.0)])(Step(pairs=(pair,)))
    with pytest.raises(InputError, match="at least one direction"):
        Objective([("logits_consistency", 1.0)])(Step(pairs=()))


def test_terms_of_the_readers_own():
    def vector(step):
        return step.logits.sum(dim=1)

    with pytest.raises(InputError, match=r"the term vector must give one number as a tensor, got \[1, 4, 5\]"):
        Objective([(vector, 1.0)])(Step(logits=LOGITS))
    with pytest.raises(InputError, match=r"the term number must give one number as a tensor, got 3.0"):
        Objective([(number, 1.0)])(Step(logits=LOGITS))
    with pytest.raises(InputError, match="number: functions cannot be written as JSON"):
        Objective([(number, 1.0)]).to_json()
    with pytest.raises(InputError, match="number has no option power"):
        Objective([(number, 1.0, {"power": 2})])
    with pytest.raises(InputError, match="strength names edge_loss_h, but the terms are cross_entropy"):
        Objective([("cross_entropy", 1.0)])(Step(logits=LOGITS, labels=LABELS), strength={"edge_loss_h": 0.5})
    with pytest.raises(InputError, match=r"from 0 up, got -0.5"):
        Objective([("cross_entropy", 1.0)])(Step(logits=LOGITS, labels=LABELS), strength={"cross_entropy": -0.5})


def number(step):
    return 3.0
