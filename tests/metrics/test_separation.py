"""Separation of classes in a feature space, beside scikit-learn, loops over all pairs, and exact cases."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from stc_lab.metrics import centroid_accuracy, class_separation


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def clusters(seed=0, n=40, d=6, classes=4, apart=1.0):
    generator = seeded(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    labels[: 2 * classes] = torch.arange(classes).repeat(2)
    centres = torch.randn(classes, d, generator=generator, dtype=torch.float64)
    return apart * centres[labels] + torch.randn(n, d, generator=generator, dtype=torch.float64), labels


def unit(features):
    return torch.nn.functional.normalize(features.double(), dim=1)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 5))
def test_agrees_with_loops_over_all_pairs(seed, classes):
    features, labels = clusters(seed, n=25, classes=classes)
    found = class_separation(features, labels)
    cosines = (unit(features) @ unit(features).T).tolist()
    ids = labels.tolist()
    for place, c in enumerate(range(classes)):
        own = [cosines[i][j] for i in range(25) for j in range(25) if ids[i] == ids[j] == c and i != j]
        others = [cosines[i][j] for i in range(25) for j in range(25) if ids[i] == c != ids[j]]
        assert float(found.within_class[place]) == pytest.approx(sum(own) / len(own))
        assert float(found.between_class[place]) == pytest.approx(sum(others) / len(others))
    assert found.within == pytest.approx(float(found.within_class.mean()))
    assert found.between == pytest.approx(float(found.between_class.mean()))
    right = 0
    for i in range(25):
        centroids = {}
        for c in range(classes):
            members = [j for j in range(25) if ids[j] == c and j != i]
            centroids[c] = unit(features)[members].mean(dim=0)
        best = max(centroids, key=lambda c: float(unit(features)[i] @ centroids[c] / centroids[c].norm()))
        right += best == ids[i]
    assert found.centroid_accuracy == pytest.approx(right / 25)


@pytest.mark.parametrize("apart", [0.0, 1.0, 5.0])
def test_silhouette_is_that_of_scikit_learn(apart):
    features, labels = clusters(1, n=200, apart=apart)
    labels[5:] = labels[5:].where(labels[5:] != 3, 2)
    labels[labels == 3] = 1
    labels[3] = 3  # alone in its class: silhouette 0 in both
    expected = silhouette_score(features.numpy(), labels.numpy(), metric="cosine")
    assert class_separation(features, labels).silhouette == pytest.approx(expected, abs=1e-12)


def test_perfect_classes_and_collapsed_ones():
    labels = torch.arange(3).repeat(5)
    perfect = class_separation(torch.eye(3)[labels], labels)
    assert (perfect.within, perfect.between, perfect.ratio) == pytest.approx((1, 0, 0))
    assert (perfect.silhouette, perfect.centroid_accuracy) == (1, 1)
    collapsed = class_separation(torch.ones(15, 3), labels)
    assert (collapsed.within, collapsed.between) == pytest.approx((1, 1))
    assert collapsed.silhouette == pytest.approx(0) and collapsed.centroid_accuracy < 1
    assert math.isnan(collapsed.ratio)


def test_the_ratio_knows_no_part_that_all_features_share():
    """A common direction draws all cosines up; of units, distances 1 - cosine shrink by one factor."""
    features, labels = clusters(5)
    cone = torch.cat([unit(features), torch.full((len(labels), 1), 2.0)], dim=1)
    plain, in_cone = class_separation(features, labels), class_separation(cone, labels)
    assert in_cone.within > plain.within + 0.3 and in_cone.between > plain.between + 0.3
    assert in_cone.ratio == pytest.approx(plain.ratio)


def test_features_without_structure_separate_nothing():
    features, labels = clusters(2, n=3000, d=16, apart=0.0)
    found = class_separation(features, labels)
    assert abs(found.ratio - 1) < 0.01 and abs(found.silhouette) < 0.02 and abs(found.centroid_accuracy - 0.25) < 0.05


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_lengths_rotations_order_and_names_do_not_count(seed):
    features, labels = clusters(seed)
    plain = class_separation(features, labels)
    generator = seeded(seed)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    order = torch.randperm(len(labels), generator=generator)
    lengths = torch.rand(len(labels), 1, generator=generator) + 0.1
    moved = class_separation((lengths * features @ turn)[order], 200 - labels[order])
    for part in ("within", "between", "silhouette", "centroid_accuracy"):
        assert getattr(moved, part) == pytest.approx(getattr(plain, part), abs=1e-10)


def test_a_feature_map_with_ignored_pixels_is_the_list_of_the_others():
    features = torch.randn(2, 6, 5, 7, generator=seeded())
    labels = torch.randint(3, (2, 5, 7), generator=seeded())
    labels[0, 2] = 255
    as_map = class_separation(features.half(), labels)
    rows = features.half().permute(0, 2, 3, 1)[labels != 255].float()
    as_list = class_separation(rows, labels[labels != 255])
    assert as_map.support == as_list.support == 63
    assert as_map.silhouette == pytest.approx(as_list.silhouette, abs=1e-12)


def test_a_class_of_one_pixel_has_no_within():
    features, labels = torch.randn(5, 3, generator=seeded()), torch.tensor([0, 0, 1, 1, 2])
    found = class_separation(features, labels)
    assert found.within_class.isnan().tolist() == [False, False, True]
    assert found.within == pytest.approx(float(found.within_class[:2].mean()))
    assert not found.between_class.isnan().any()


def test_centroids_of_one_frame_judge_another():
    features, labels = clusters(3, n=60)
    reference, ids = clusters(4, n=50)
    labels[10] = 255
    labels[11] = 9  # not in the reference
    found = centroid_accuracy(features, labels, reference, ids)
    centroids = torch.stack([unit(reference)[ids == c].mean(dim=0) for c in range(4)])
    nearest = (unit(features) @ unit(centroids).T).argmax(dim=1)
    counted = labels < 4
    assert found.support == int(counted.sum()) == 58
    assert found.value == pytest.approx(float((nearest == labels)[counted].double().mean()))
    assert found.map.isnan().tolist() == (~counted).tolist()
    assert centroid_accuracy(torch.eye(3), torch.arange(3), 2 * torch.eye(3), torch.arange(3)).value == 1
