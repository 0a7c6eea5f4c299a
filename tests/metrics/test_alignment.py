"""Umeyama's alignment against scikit-image and SciPy, and transforms that are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from stc_lab.metrics import align_umeyama


def pairs(seed, n=9, noise=0.3):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2, (n, 3)) + rng.normal(0, 10, 3)
    R = Rotation.random(rng=rng).as_matrix()
    scale, t = rng.uniform(0.1, 9), rng.normal(0, 5, 3)
    y = scale * x @ R.T + t + rng.normal(0, noise, (n, 3))
    return torch.from_numpy(x), torch.from_numpy(y), (scale, R, t)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(3, 20))
def test_known_transforms_are_found(seed, n):
    x, y, (scale, R, t) = pairs(seed, n, noise=0.0)
    found = align_umeyama(x, y)
    assert found.scale == pytest.approx(scale, rel=1e-6) and found.rmse < 1e-6
    np.testing.assert_allclose(found.rotation, R, atol=1e-6)
    np.testing.assert_allclose(found.translation, t, atol=1e-4)
    torch.testing.assert_close(found.apply(x), y)
    rigid = align_umeyama(x * scale, y, with_scale=False)
    assert rigid.scale == 1.0 and rigid.rmse < 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_agrees_with_scikit_image(seed):
    from skimage.transform import estimate_transform

    x, y, _ = pairs(seed)
    for kind, with_scale in (("similarity", True), ("euclidean", False)):
        theirs = estimate_transform(kind, x.numpy(), y.numpy()).params
        ours = align_umeyama(x, y, with_scale=with_scale)
        np.testing.assert_allclose(ours.scale * ours.rotation.numpy(), theirs[:3, :3], atol=1e-9)
        np.testing.assert_allclose(ours.translation, theirs[:3, 3], atol=1e-8)
        left = y.numpy() - (x.numpy() @ theirs[:3, :3].T + theirs[:3, 3])
        assert ours.rmse == pytest.approx(np.sqrt((left**2).sum(1).mean()))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_rotation_is_that_of_procrustes(seed):
    x, y, _ = pairs(seed, noise=0.01)  # more, and the best orthogonal map may be a mirror
    R, _ = orthogonal_procrustes((x - x.mean(0)).numpy(), (y - y.mean(0)).numpy())
    assert np.linalg.det(R) > 0
    np.testing.assert_allclose(align_umeyama(x, y).rotation.numpy().T, R, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_mirror_image_is_not_mirrored_back(seed):
    """Where the best orthogonal map is a mirror, the best rotation is found instead (Umeyama's S)."""
    x, y, _ = pairs(seed, noise=0.01)
    y = y * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    found = align_umeyama(x, y, with_scale=False)
    assert float(torch.linalg.det(found.rotation)) == pytest.approx(1)
    theirs, left = Rotation.align_vectors((y - y.mean(0)).numpy(), (x - x.mean(0)).numpy())
    np.testing.assert_allclose(found.rotation, theirs.as_matrix(), atol=1e-6)
    assert found.rmse == pytest.approx(left / np.sqrt(len(x)))
    scaled = align_umeyama(x, y)
    grid = np.linspace(0.5, 1.5, 201) * scaled.scale
    centred = [(points - points.mean(0)).numpy() for points in (x, y)]
    squares = [((centred[1] - scale * centred[0] @ scaled.rotation.numpy().T) ** 2).sum() for scale in grid]
    assert int(np.argmin(squares)) == 100  # no other scale fits better


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_nothing_near_it_fits_better(seed):
    x, y, _ = pairs(seed)
    found = align_umeyama(x, y)
    rng = np.random.default_rng(seed + 1)
    for _ in range(20):
        R = Rotation.from_rotvec(rng.normal(0, 0.05, 3)).as_matrix() @ found.rotation.numpy()
        scale, t = found.scale * rng.uniform(0.95, 1.05), found.translation.numpy() + rng.normal(0, 0.05, 3)
        left = y.numpy() - (scale * x.numpy() @ R.T + t)
        assert np.sqrt((left**2).sum(1).mean()) >= found.rmse


def test_points_in_a_plane_fix_it():
    x, _, (scale, R, _) = pairs(0, noise=0.0)
    flat = x.clone()
    flat[:, 2] = 1.0
    found = align_umeyama(flat, scale * flat @ torch.from_numpy(R).T)
    assert found.rank == 2
    np.testing.assert_allclose(found.rotation, R, atol=1e-9)


def test_float32_far_from_the_origin_is_aligned_in_float64():
    x, _, _ = pairs(1)
    far = (x + 1e4).float()
    found = align_umeyama(far, 2 * far - 5)
    assert found.scale == pytest.approx(2, abs=1e-3) and found.rmse < 5e-3
