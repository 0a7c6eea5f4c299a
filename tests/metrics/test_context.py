"""Class-exclusive and class-inclusive context, beside a loop, and nets that rely on one of them only."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.metrics import class_context, context_reliance


def example(seed=0, b=2, c=2, h=6, w=7, classes=3):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(b, c, h, w, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (b, h, w), generator=generator)
    labels[torch.rand(b, h, w, generator=generator) < 0.15] = 255
    return values, labels


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), radius=st.integers(1, 8))
def test_agrees_with_a_loop_over_windows(seed, radius):
    values, labels = example(seed)
    found = class_context(values, labels, radius)
    for i in range(2):
        for y in range(6):
            for x in range(7):
                own = int(labels[i, y, x])
                if own == 255:
                    assert not found.inclusive[i, :, y, x].any() and not found.exclusive[i, :, y, x].any()
                    assert float(found.share[i, y, x]) == 0
                    continue
                window = (slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1))
                ids, inside = labels[i][window].flatten(), values[i][:, *window].flatten(1)
                everyone, same = inside[:, ids != 255], inside[:, ids == own]
                torch.testing.assert_close(found.inclusive[i, :, y, x], everyone.mean(dim=1))
                torch.testing.assert_close(found.exclusive[i, :, y, x], same.mean(dim=1))
                assert float(found.share[i, y, x]) == pytest.approx(same.shape[1] / everyone.shape[1])


def test_new_surroundings_change_the_inclusive_context_only():
    """The printer of the paper's Figure 1: the object stays, what stands around it changes."""
    values, labels = example(1)
    here = labels == 1
    moved = torch.where(here[:, None], values, values + 3)
    before, after = class_context(values, labels, 2), class_context(moved, labels, 2)
    picked = here[:, None].expand_as(values)
    torch.testing.assert_close(after.exclusive[picked], before.exclusive[picked])
    assert (after.inclusive - before.inclusive)[picked].mean() > 0.5


def test_unlabelled_values_may_be_anything():
    values, labels = example(2)
    spoilt = values.masked_fill((labels == 255)[:, None], torch.nan)
    torch.testing.assert_close(class_context(spoilt, labels, 2).inclusive, class_context(values, labels, 2).inclusive)


def test_a_net_that_looks_at_the_pixel_keeps_all_and_one_that_looks_around_does_not():
    generator = torch.Generator().manual_seed(0)
    images, filler = (torch.rand(2, 3, 12, 16, generator=generator) for _ in range(2))
    labels = torch.randint(3, (2, 12, 16), generator=generator)
    labels[0, 0] = 255
    looks_at_pixel = context_reliance(lambda x: (x[:, 0] > 0.5).long(), images, labels, filler)
    assert looks_at_pixel.value == 1 and looks_at_pixel.kept.tolist() == [1, 1, 1]
    assert looks_at_pixel.support == int((labels != 255).sum())
    assert looks_at_pixel.map.isnan().equal(labels == 255)

    def looks_around(x):
        return (x[:, 0].mean(dim=(1, 2), keepdim=True) > x[:, 0]).long() + 2 * (x[:, 1].roll(1, 2) > 0.5).long()

    around = context_reliance(looks_around, images, labels, filler)
    assert 0.3 < around.value < 0.9
    assert context_reliance(looks_around, images, labels, images).value == 1  # nothing is replaced


def test_each_class_is_tried_by_itself():
    generator = torch.Generator().manual_seed(1)
    images, filler = (torch.rand(1, 3, 8, 8, generator=generator) for _ in range(2))
    labels = (torch.arange(64) % 2).reshape(1, 8, 8)
    seen = []

    def predict(x):
        seen.append(x)
        return (x[:, 0] > 0.5).long()

    found = context_reliance(predict, images, labels, filler, classes=[1, 5])
    assert torch.equal(seen[0], images) and len(seen) == 2
    assert torch.equal(seen[1][:, :, labels[0] == 1], images[:, :, labels[0] == 1])
    assert torch.equal(seen[1][:, :, labels[0] == 0], filler[:, :, labels[0] == 0])
    assert found.classes.tolist() == [1, 5] and found.kept[1].isnan() and found.support == 32
