"""Augmentation: image and label move together, nothing is interpolated between ids, and the generator decides."""

import torch

from stc_lab.training import augment, jitter_light


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frames(b: int = 4, h: int = 20, w: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose grey value is the label / 10, in vertical and horizontal bands."""
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    labels = ((x // 10) + 3 * (y // 10)).expand(b, h, w).contiguous()
    return (labels / 10.0)[:, None].expand(b, 3, h, w).contiguous(), labels


def test_without_changes_everything_stays():
    images, labels = frames()
    same_images, same_labels = augment(images, labels, seeded(), flip=False, zoom=1.0, jitter=0.0)
    torch.testing.assert_close(same_images, images, rtol=0, atol=1e-5)
    assert torch.equal(same_labels, labels)


def test_labels_move_with_their_image():
    images, labels = frames(b=16)
    moved, kept = augment(images, labels, seeded(1), flip=True, zoom=1.6, jitter=0.0)
    assert not torch.equal(kept, labels)
    off = (moved[:, 0] - kept / 10.0).abs()
    assert float((off < 1e-4).float().mean()) > 0.8  # all but the pixels that straddle two bands
    assert float((off < 0.21).float().mean()) > 0.95


def test_about_half_of_the_frames_are_mirrored_exactly():
    images, labels = frames(b=200)
    moved, kept = augment(images, labels, seeded(2), flip=True, zoom=1.0, jitter=0.0)
    mirrored = (kept == labels.flip(-1)).all(dim=(1, 2))
    straight = (kept == labels).all(dim=(1, 2))
    assert bool((mirrored ^ straight).all()) and 70 < int(mirrored.sum()) < 130
    torch.testing.assert_close(moved[mirrored], images[mirrored].flip(-1), rtol=0, atol=1e-5)


def test_ids_are_never_mixed_and_ignore_stays():
    images, labels = frames()
    labels[:, 5:9] = 255
    _, kept = augment(images, labels, seeded(3), zoom=2.0)
    assert set(kept.unique().tolist()) <= set(labels.unique().tolist())


def test_light_stays_in_range_and_differs_between_frames():
    images = torch.full((8, 3, 4, 4), 0.5)
    lit = jitter_light(images, seeded(4), strength=1.0)
    assert float(lit.min()) >= 0 and float(lit.max()) <= 1
    assert len(lit[:, 0, 0, 0].unique()) == 8
    assert torch.equal(lit, lit[..., :1, :1].expand_as(lit))  # a flat image stays flat
    assert jitter_light(images, seeded(4), strength=0.0) is images


def test_the_generator_alone_decides():
    images, labels = frames()
    first, again, other = (augment(images, labels, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
