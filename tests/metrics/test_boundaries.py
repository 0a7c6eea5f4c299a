import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.metrics import boundary_counts, label_boundaries


def blobs(seed, h=13, w=17, k=4, block=3):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, k, (-(-h // block), -(-w // block)))
    labels = np.repeat(np.repeat(coarse, block, 0), block, 1)[:h, :w]
    flips = rng.random((h, w)) < 0.05
    return torch.from_numpy(np.where(flips, rng.integers(0, k, (h, w)), labels))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    h=st.integers(1, 12),
    w=st.integers(1, 12),
    k=st.integers(1, 5),
    mode=st.sampled_from(["thick", "inner", "outer"]),
    background=st.integers(0, 2),
)
def test_agrees_with_scikit_image(seed, h, w, k, mode, background):
    from skimage.segmentation import find_boundaries

    labels = blobs(seed, h, w, k, block=2)
    # Its "outer" takes a background for an object where that is not the smallest id, so its background is always 0.
    swapped = torch.where(labels == background, 0, torch.where(labels == 0, background, labels))
    # In 64 bits its largest id overflows on the way through floating point, and "outer" becomes "thick".
    theirs = find_boundaries(swapped.numpy().astype(np.int32), mode=mode, background=0)
    np.testing.assert_array_equal(label_boundaries(labels[None], mode, background=background)[0], theirs)
    assert int(boundary_counts(labels[None], mode, background=background)) == theirs.sum()


def test_definitions_differ_by_a_factor_of_two():
    disk = torch.zeros(60, 60, dtype=torch.int64)
    y, x = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
    disk[(x - 30) ** 2 + (y - 30) ** 2 < 400] = 3
    thick, inner, outer = (int(boundary_counts(disk[None], mode)) for mode in ("thick", "inner", "outer"))
    assert thick == inner + outer  # one object: its own side and the background's
    assert 1.8 < thick / inner < 2.2


def test_what_is_ignored_makes_no_boundary():
    labels = blobs(0)
    hole = labels.clone()
    hole[4:9, 5:12] = 255
    left = label_boundaries(hole[None], ignore_index=255)[0]
    assert not left[4:9, 5:12].any()
    far = torch.ones_like(labels, dtype=torch.bool)
    far[3:10, 4:13] = False  # next to the hole, a boundary may have gone with it
    assert torch.equal(left[far], label_boundaries(labels[None])[0][far])
    one = torch.zeros(5, 5, dtype=torch.int64)
    one[2, 2] = 255
    for mode in ("thick", "inner", "outer"):
        assert not label_boundaries(one[None], mode, ignore_index=255).any()


@pytest.mark.parametrize("mode", ["thick", "inner", "outer"])
def test_flips_with_the_image_and_each_frame_stands_alone(mode):
    labels = torch.stack([blobs(seed) for seed in range(3)])
    found = label_boundaries(labels, mode)
    for axes in ((1,), (2,), (1, 2)):
        assert torch.equal(label_boundaries(labels.flip(axes), mode), found.flip(axes))
    assert torch.equal(boundary_counts(labels, mode), found.flatten(1).sum(dim=1))
    assert not label_boundaries(torch.full((2, 4, 5), 7), mode).any()
