"""Pixels in a feature space: the same pixels for every net, and an anchor's push against autograd."""

import pytest
import torch

from stc_lab.data import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.pixel_embedding import anchor_view, embedded_pixels, ordinary_anchor, pixel_features
from stc_lab.losses import contrastive_loss
from stc_lab.metrics import class_separation
from stc_lab.models import FPNSegmenter


def frames(seed: int = 0) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 4, (2, 4, 6), generator=generator).repeat_interleave(6, 1).repeat_interleave(6, 2)
    label[0, :3, :3] = 255
    return Clip(
        video=("a", "a"),
        index=torch.tensor([3, 5]),
        time=torch.tensor([0.3, 0.5]),
        image=(torch.rand(2, 3, 24, 36, generator=generator) + label[:, None].clamp(max=4)) / 5,
        label=label,
    )


def net(seed: int = 0) -> FPNSegmenter:
    return FPNSegmenter(4, (4, 8, 8, 8), 8, generator=torch.Generator().manual_seed(seed))


def test_features_are_those_that_the_net_classifies_with_length_one() -> None:
    model, clip = net(), frames()
    found = pixel_features(model, clip)
    raw = model.features(clip.image)
    torch.testing.assert_close(found.features * raw.norm(dim=1, keepdim=True), raw)
    assert torch.equal(found.predictions, model.coarse(clip.image).argmax(dim=1))
    assert torch.equal(found.labels, clip.label[:, ::2, ::2])
    index = torch.tensor([0, 17, 18, 216, 431])
    for number, frame, x, y in zip(index.tolist(), *found.places(index), strict=True):
        assert torch.equal(found.rows[number], found.features[frame, :, y // 2, x // 2])


def test_every_net_shows_the_same_labelled_pixels() -> None:
    clip = frames()
    planes = embedded_pixels({"one": net(0), "two": net(1)}, clip, count=60, seed=3)
    one, two = planes.values()
    for name in ("frame", "x", "y", "label"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    assert not torch.equal(one.xy, two.xy)
    assert len(one) == 60 and set(one.frame.tolist()) == {3, 5} and 255 not in one.label
    label = clip.label[(one.frame == 5).long(), one.y, one.x]
    assert torch.equal(label, one.label)
    found = pixel_features(net(0), clip)
    assert one.separation.ratio == class_separation(found.features, found.labels).ratio
    row = found.features[int(one.frame[0] == 5), :, one.y[0] // 2, one.x[0] // 2]
    torch.testing.assert_close(one.xy[0], one.projection.apply(row[None])[0].float())


@pytest.mark.parametrize("temperature", [0.05, 0.07, 1.0])
def test_an_anchor_is_that_of_the_loss_and_its_push_the_derivative(temperature: float) -> None:
    found = pixel_features(net(), frames())
    x, y = 20, 10
    view = anchor_view(found, 0, x, y, temperature)
    loss = contrastive_loss(
        found.features[:1], found.labels[:1], found.features[1:], found.labels[1:], temperature=temperature
    )
    assert view.loss == pytest.approx(float(loss.map[0, y // 2, x // 2]), rel=1e-4)
    # L(i) by the cosines, written as in the paper
    scores = (view.cosine.double() / temperature).requires_grad_()
    other = (found.labels != found.labels[0, y // 2, x // 2]) & (found.labels != 255)
    same = found.labels == found.labels[0, y // 2, x // 2]
    same[0, y // 2, x // 2] = False
    below = scores[same].exp() + scores[other].exp().sum()
    (scores[same].exp() / below).log().neg().mean().backward()
    push = scores.grad[other]
    torch.testing.assert_close(view.weight[other].double(), push / push.sum(), rtol=1e-4, atol=1e-7)
    assert view.pull == pytest.approx(float(-scores.grad[same].sum()), rel=1e-6)
    assert bool((view.weight[same] == 0).all()) and bool(view.weight[found.labels == 255].isnan().all())
    assert view.positives == int(same.sum()) and view.negatives == int(other.sum())


def test_the_colder_the_fewer_are_pushed() -> None:
    found = pixel_features(net(), frames())
    views = [anchor_view(found, 0, 20, 10, tau) for tau in (0.01, 0.07, 0.5, 100.0)]
    effective = [view.effective for view in views]
    assert effective == sorted(effective) and effective[-1] == pytest.approx(views[-1].negatives, rel=1e-3)
    assert views[0].hardest > views[1].hardest > views[-1].hardest
    assert views[-1].hardest == pytest.approx(0.01, abs=0.005)


def test_the_ordinary_anchor_has_the_median_loss() -> None:
    found = pixel_features(net(), frames())
    losses = contrastive_loss(found.features[:1], found.labels[:1], found.features[1:], found.labels[1:]).map
    x, y = ordinary_anchor(found, 0.07)
    assert anchor_view(found, 0, x, y, 0.07).loss == pytest.approx(float(losses.nanmedian()), rel=1e-4)


@pytest.mark.bad_input
def test_pixels_that_are_no_anchors_are_refused() -> None:
    found = pixel_features(net(), frames())
    with pytest.raises(InputError, match=r"pixel \(0, 0\) of frame 0 is no anchor: label 255"):
        anchor_view(found, 0, 0, 0, 0.07)
    with pytest.raises(InputError, match="temperature must be positive"):
        anchor_view(found, 0, 20, 10, 0.0)
    with pytest.raises(InputError, match="at least one net"):
        embedded_pixels({}, frames())
