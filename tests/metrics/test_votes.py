import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.filters import smooth_labels_over_time
from stc_lab.metrics import vote_over_time
from stc_lab.metrics.votes import _vote_plain, _weights, distance_over_time


def flicker(seed, t=12, h=5, w=6, k=4, change=0.3):
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, k, (1, h, w)), t, axis=0)
    for i in range(1, t):
        changed = rng.random((h, w)) < change
        labels[i] = np.where(changed, rng.integers(0, k, (h, w)), labels[i - 1])
    return torch.from_numpy(labels)


def by_scipy(labels, sigma, truncate=4.0, ignore=255):
    """One-hot maps, smoothed along time; votes rounded so that equal ones are equal, and the first of them wins."""
    from scipy.ndimage import gaussian_filter1d

    labels = labels.numpy()
    ids = [i for i in np.unique(labels) if i != ignore]
    votes = [
        gaussian_filter1d((labels == i).astype(float), sigma, axis=0, truncate=truncate, mode="reflect") for i in ids
    ]
    winner = np.array(ids)[np.argmax(np.round(votes, 9), axis=0)]
    return np.where(labels == ignore, labels, winner)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    t=st.integers(1, 15),
    sigma=st.sampled_from([0.3, 0.5, 1.0, 2.3, 4.5]),
    truncate=st.sampled_from([4.0, 1.0]),
)
def test_agrees_with_scipy_on_one_hot_maps(seed, t, sigma, truncate):
    labels = flicker(seed, t)
    found = vote_over_time(labels, sigma, truncate=truncate)
    np.testing.assert_array_equal(found, by_scipy(labels, sigma, truncate))
    assert torch.equal(found, smooth_labels_over_time(labels, sigma, truncate=truncate))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), sigma=st.sampled_from([0.5, 1.0, 4.5]), shift=st.sampled_from([0, -2, 250, 10**9]))
def test_ids_may_be_anything_and_void_has_no_vote(seed, sigma, shift):
    labels = flicker(seed, h=9, w=9)
    labels[3:6, 2] = 7
    moved = labels + shift
    found = vote_over_time(moved, sigma, ignore_index=7 + shift)
    np.testing.assert_array_equal(found, by_scipy(moved, sigma, ignore=7 + shift))
    assert (found[3:6, 2] == 7 + shift).all()
    plain, distance = _vote_plain(moved.flatten(1), _weights(len(labels), sigma, 4.0), 7 + shift)
    assert torch.equal(found, plain.view_as(moved))
    ours = distance_over_time(moved, sigma, ignore_index=7 + shift)
    torch.testing.assert_close(ours, distance.view_as(moved), atol=1e-6, rtol=0)
    assert (ours[3:6, 2] == 0).all()


@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.5])
def test_distance_agrees_with_scipy_on_one_hot_maps(sigma):
    from scipy.ndimage import gaussian_filter1d

    labels = flicker(5)
    maps = np.stack([labels.numpy() == i for i in range(4)]).astype(float)
    expected = ((maps - gaussian_filter1d(maps, sigma, axis=1)) ** 2).sum(axis=0) / 2
    np.testing.assert_allclose(distance_over_time(labels, sigma), expected, atol=1e-6)


def test_a_frame_that_is_outvoted_changes():
    labels = torch.zeros(9, 1, 1, dtype=torch.int64)
    labels[4] = 3
    assert not vote_over_time(labels, 1.0).any()
    assert vote_over_time(labels, 0.3)[4] == 3  # too narrow to be outvoted
    assert torch.equal(vote_over_time(labels, 0.0), labels)


def test_a_tie_goes_to_the_lowest_class():
    labels = torch.tensor([[2, 2, 3, 1, 1], [1, 1, 3, 2, 2]]).T.reshape(5, 1, 2)
    assert vote_over_time(labels, 2.0)[2].tolist() == [[1, 1]]


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_time_may_run_backwards(sigma):
    labels = flicker(3)
    assert torch.equal(vote_over_time(labels.flip(0), sigma), vote_over_time(labels, sigma).flip(0))
