"""Labels on a coarser grid, and pixels balanced over the classes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.losses import class_balanced_sample, labels_on_grid


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_first_pixel_is_that_of_strided_logits(stride):
    labels = torch.randint(9, (2, 16, 28), generator=seeded())
    assert torch.equal(labels_on_grid(labels, (16 // stride, 28 // stride)), labels[:, ::stride, ::stride])


@settings(max_examples=20, deadline=None)
@given(h=st.integers(1, 20), w=st.integers(1, 20), data=st.data())
def test_picks_as_torch_interpolates(h, w, data):
    size = data.draw(st.integers(1, h)), data.draw(st.integers(1, w))
    labels = torch.arange(h * w).reshape(1, h, w)
    values = labels[:, None].double()
    # torch multiplies by a rounded n / m: where that is no power of two, a pixel that lies just on a step may differ
    exact = all((n / m) == float(torch.tensor(n / m, dtype=torch.float32)) for n, m in zip((h, w), size, strict=True))
    theirs = {
        "first": F.interpolate(values, size=size, mode="nearest"),
        "centre": F.interpolate(values, size=size, mode="nearest-exact"),
    }
    for pick, expected in theirs.items():
        assert torch.equal(labels_on_grid(labels, size, pick=pick), expected[:, 0].long()) or not exact


def test_the_centre_of_a_cell_is_its_centre():
    row = torch.arange(9).repeat(9, 1)[None]
    assert labels_on_grid(row, (3, 3), pick="centre")[0, 0].tolist() == [1, 4, 7]
    assert labels_on_grid(row, (3, 3), pick="first")[0, 0].tolist() == [0, 3, 6]


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    count=st.integers(1, 120),
    seed=st.integers(0, 10**6),
    ignored=st.integers(0, 20),
)
def test_every_class_gives_its_share_or_all_it_has(sizes, count, seed, ignored):
    ids = [7 * k for k in range(len(sizes))]
    labels = torch.cat([torch.tensor(ids).repeat_interleave(torch.tensor(sizes)), torch.full((ignored,), 255)])
    labels = labels[torch.randperm(len(labels), generator=seeded(seed))]
    drawn = class_balanced_sample(labels, count, seeded(seed))
    assert len(drawn) == min(count, sum(sizes)) == len(drawn.unique())
    given_by = {k: int((labels[drawn] == k).sum()) for k in ids}
    assert sum(given_by.values()) == len(drawn)  # none of 255
    share = max(given_by.values())
    for k, size in zip(ids, sizes, strict=True):
        assert given_by[k] == size or given_by[k] >= share - 1


def test_a_rare_class_gives_all_and_the_others_share_the_rest():
    labels = torch.tensor([0] * 100 + [1] * 3 + [2] * 50)
    drawn = labels[class_balanced_sample(labels, 43, seeded())]
    assert drawn.bincount().tolist() == [20, 3, 20]


def test_the_order_is_by_the_generator_alone():
    labels = torch.randint(4, (3, 8, 9), generator=seeded())
    a, b, c = (class_balanced_sample(labels, 20, seeded(s)) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    state = torch.get_rng_state()
    class_balanced_sample(labels, 20, seeded())
    assert torch.equal(torch.get_rng_state(), state)


def test_every_pixel_of_a_class_is_as_likely_and_so_is_every_class_for_what_is_left_over():
    labels = torch.arange(3).repeat(4)
    generator, times = seeded(), torch.zeros(12)
    for _ in range(1500):
        times[class_balanced_sample(labels, 4, generator)] += 1  # one of each class, and one more
    expected = 1500 * 4 / 12
    assert float(((times - expected).abs() / expected).max()) < 0.15
