"""The two axes of a feature space, beside scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from stc_lab.metrics import project_2d


def example(seed=0, n=120, d=7, classes=4):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    spread = torch.linspace(0.3, 2, d, dtype=torch.float64)
    centres = torch.randn(classes, d, generator=generator, dtype=torch.float64)
    return centres[labels] + spread * torch.randn(n, d, generator=generator, dtype=torch.float64), labels


def test_pca_is_that_of_scikit_learn():
    features, _ = example()
    found, peer = project_2d(features), PCA(2).fit(features.numpy())
    points = peer.transform(features.numpy())
    signs = np.sign(peer.components_[np.arange(2), np.abs(peer.components_).argmax(axis=1)])
    np.testing.assert_allclose(found.apply(features).numpy(), points * signs, atol=1e-9)
    np.testing.assert_allclose(found.shares.numpy(), peer.explained_variance_ratio_, atol=1e-12)


def test_lda_is_that_of_scikit_learn_up_to_its_scale():
    features, labels = example(1)
    found = project_2d(features, labels, method="lda")
    peer = LinearDiscriminantAnalysis(solver="eigen", n_components=2).fit(features.numpy(), labels.numpy())
    ours, theirs = found.apply(features).numpy(), peer.transform(features.numpy())
    for axis in range(2):
        assert abs(np.corrcoef(ours[:, axis], theirs[:, axis])[0, 1]) > 1 - 1e-4
    np.testing.assert_allclose(found.shares.numpy(), peer.explained_variance_ratio_[:2], atol=2e-3)


def test_two_classes_have_one_discriminant():
    features, labels = example(2, classes=2)
    found = project_2d(features, labels, method="lda")
    assert float(found.shares[0]) == pytest.approx(1, abs=1e-9)
    means = [found.apply(features)[labels == c].mean(dim=0) for c in (0, 1)]
    assert abs(float(means[0][0] - means[1][0])) > 100 * abs(float(means[0][1] - means[1][1]))


@pytest.mark.parametrize("method", ["pca", "lda"])
def test_order_and_place_of_the_features_do_not_count(method):
    features, labels = example(3)
    plain = project_2d(features, labels, method=method)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    moved = project_2d(features[order] + 5, labels[order], method=method)
    torch.testing.assert_close(moved.apply(features + 5), plain.apply(features), rtol=1e-8, atol=1e-8)


def test_classes_without_spread_and_features_all_alike_are_drawn():
    labels = torch.arange(30) % 3
    points = project_2d(torch.eye(3)[labels], labels, method="lda").apply(torch.eye(3))
    assert points.isfinite().all() and torch.pdist(points).min() > 0.1
    for method in ("pca", "lda"):
        alike = project_2d(torch.ones(30, 4), labels, method=method)
        assert not alike.apply(torch.ones(30, 4)).any() and not alike.shares.any()


def test_half_precision_features_can_be_drawn():
    features, _ = example(4)
    assert project_2d(features.half()).apply(features.half()).dtype == torch.float64
