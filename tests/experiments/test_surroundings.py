"""What surrounds a pixel: shares of classes by hand, flips where there are some, and nets whose reliance is known."""

import pytest
import torch
from torch import nn

from stc_lab.data import Videos, load
from stc_lab.errors import InputError
from stc_lab.experiments.surroundings import (
    class_mix,
    flips_by_surroundings,
    surroundings_pairs,
    swapped_surroundings,
    telling_pair,
)

CLASSES = 21


class Rule(nn.Module):
    """A segmenter of given logits; `coarse` is what it says on every second pixel."""

    num_classes, coarse_stride = CLASSES, 2

    def __init__(self, rule):
        super().__init__()
        self.rule = rule
        self.unused = nn.Parameter(torch.zeros(()))

    @property
    def architecture(self):
        return {"name": "Rule"}

    def coarse(self, images):
        return self(images)[..., ::2, ::2]

    def forward(self, images):
        return nn.functional.one_hot(self.rule(images), CLASSES).permute(0, 3, 1, 2).float()


def by_colour(images):
    """Looks at the pixel alone."""
    return (images.mean(dim=1) * 12).long().clamp(0, CLASSES - 1)


def by_brightness(images):
    """Looks at the whole frame alone."""
    return (images.mean(dim=(1, 2, 3)) * 997).long().remainder(CLASSES)[:, None, None].expand(-1, *images.shape[2:])


@pytest.fixture(scope="module")
def videos() -> Videos:
    return load("rooms", split="test", preset="tiny", motion="handheld")


def test_the_mix_is_counted_over_labelled_pixels_inside_the_image() -> None:
    labels = torch.randint(0, 3, (2, 6, 7), generator=torch.Generator().manual_seed(0))
    labels[0, 2, 3], labels[1, :3, :3] = 255, 255
    found = class_mix(labels, 3, 2)
    for b, y, x in ((0, 0, 0), (0, 2, 3), (0, 5, 6), (1, 3, 2), (1, 1, 4)):
        window = labels[b, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        known = window[window != 255]
        expected = torch.tensor([float((known == k).float().mean()) for k in range(3)])
        torch.testing.assert_close(found[b, :, y, x], expected)
    assert torch.equal(found[1, :, 0, 0], torch.zeros(3))  # its whole window is unlabelled


def test_a_camera_that_stands_still_changes_and_flips_nothing() -> None:
    still = load("rooms", split="test", preset="tiny", speed=0.0)
    pairs = surroundings_pairs(Rule(lambda images: by_colour(torch.zeros_like(images))), still.clip(still.names[0]), 2)
    assert len(pairs) == 8
    for pair in pairs:
        assert int(pair.other.index - pair.target.index) == 2
        assert pair.visible.float().mean() > 0.99
        assert float(pair.change[pair.visible].max()) < 1e-5
        assert not pair.flipped.any()


def test_what_a_net_says_of_the_true_surface_flips_where_its_rule_says_so(videos: Videos) -> None:
    pairs = surroundings_pairs(Rule(by_brightness), videos.clip(videos.names[0]), 1)
    said = [by_brightness(pair.target.image)[0, 0, 0] for pair in pairs] + [
        by_brightness(pairs[-1].other.image)[0, 0, 0]
    ]
    for i, pair in enumerate(pairs):
        expected = pair.visible if said[i] != said[i + 1] else torch.zeros_like(pair.visible)
        assert torch.equal(pair.flipped, expected)
        assert float(pair.change.min()) >= 0 and float(pair.change[pair.visible].max()) <= 1 + 1e-5


def test_the_rates_count_every_visible_point_once(videos: Videos) -> None:
    model = Rule(by_colour)
    bins = (0.0, 0.01, 0.05, 1.0)
    rates = flips_by_surroundings(model, videos, gap=1, step=3, stride=1, bins=bins)
    pairs = [pair for name in videos.names for pair in surroundings_pairs(model, videos.clip(name), 1, step=3)]
    change = torch.cat([pair.change[pair.visible] for pair in pairs])
    flips = torch.cat([pair.flipped[pair.visible] for pair in pairs])
    assert sum(rate.support for rate in rates) == len(change)
    for rate, low, high in zip(rates, bins[:-1], (0.01, 0.05, 1.1), strict=True):
        here = (change >= low) & (change < high)
        assert rate.support == int(here.sum())
        assert rate.flips == pytest.approx(float(flips[here].double().mean()))
        assert rate.change == pytest.approx(float(change[here].mean()), abs=1e-6)


def test_the_telling_pair_holds_the_largest_change_of_a_flipped_point_with_its_window_in_both_frames(
    videos: Videos,
) -> None:
    radius = 4
    pair, (x, y) = telling_pair(Rule(by_colour), videos, 2, radius=radius)
    assert pair.flipped[y, x]
    height, width = pair.change.shape
    for place in ((x, y), pair.later((x, y))):
        assert radius <= place[0] <= width - 1 - radius and radius <= place[1] <= height - 1 - radius
    inner = pair.flipped[radius:-radius, radius:-radius]
    beyond = pair.change[radius:-radius, radius:-radius][inner] > pair.change[y, x]
    places = pair.place[:, radius:-radius, radius:-radius].permute(1, 2, 0)[inner][beyond]
    outside = (places < radius) | (places > torch.tensor([width - 1, height - 1]) - radius)
    assert bool(outside.any(dim=1).all())


def test_a_net_of_single_pixels_keeps_everything_in_another_room(videos: Videos) -> None:
    found = swapped_surroundings(Rule(by_colour), videos, frames=2)
    assert found.reliance.value == 1.0
    assert len(found.frames) == 2 * len(videos.names) and set(found.frames.video) == set(videos.names)
    own = found.frames.label[0] == int(found.reliance.classes[0])
    picture = found.swapped(0, int(found.reliance.classes[0]))
    assert torch.equal(picture[:, own], found.frames.image[0][:, own])
    assert torch.equal(picture[:, ~own], found.frames.image[2][:, ~own]) or torch.equal(
        picture[:, ~own], found.frames.image[-2][:, ~own]
    )


def test_the_ordinary_swap_stays_about_as_often_as_all() -> None:
    videos = load("rooms", split="test", preset="tiny", motion="handheld")
    found = swapped_surroundings(Rule(lambda images: by_colour(images.mean(dim=(2, 3), keepdim=True) + images)), videos)
    frame, class_id = found.ordinary(100)
    off = {}
    for i, label in enumerate(found.frames.label):
        for k in label.unique().tolist():
            if k != 255 and int((label == k).sum()) >= 100:
                off[i, k] = abs(float(found.reliance.map[i][label == k].mean()) - found.reliance.value)
    assert off[frame, class_id] == min(off.values())
    with pytest.raises(InputError, match="no class takes 5000 pixels"):
        found.ordinary(5000)


def test_a_net_of_whole_frames_keeps_next_to_nothing_there(videos: Videos) -> None:
    assert swapped_surroundings(Rule(by_brightness), videos, frames=2).reliance.value < 0.3


@pytest.mark.bad_input
def test_what_cannot_be_followed_is_refused(videos: Videos) -> None:
    model = Rule(by_colour)
    with pytest.raises(InputError, match="gap must be from 1 to 9"):
        surroundings_pairs(model, videos.clip(videos.names[0]), 10)
    with pytest.raises(InputError, match="no video has two frames 10 apart"):
        flips_by_surroundings(model, videos, gap=10)
    with pytest.raises(InputError, match="no prediction flips"):
        telling_pair(Rule(lambda images: torch.zeros_like(by_colour(images))), videos, 2)
