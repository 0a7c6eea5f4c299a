import pytest
import torch

from stc_lab.filters import confidence_weights, guided_filter, guided_filter_3d, refine_labels
from stc_lab.filters.refine import _near_boundaries


def shape_and_ragged_labels(frames: int = 1):
    """A grey disc on black with three classes, its label a pixel or two off along the edge, and the true one."""
    y, x = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    true = (((y - 20) ** 2 + (x - 24) ** 2) < 150).long()
    true[:, 40:] = 2
    guide = torch.stack([0.6 * (true == 1), 0.5 * (true == 2), 0.2 + 0.0 * true]).float().repeat(frames, 1, 1, 1)
    coarse = torch.nn.functional.one_hot(true, 3).permute(2, 0, 1).float()[None, :, ::4, ::4]
    blocky = torch.nn.functional.interpolate(coarse, size=(40, 48), mode="nearest")
    probabilities = (0.8 * blocky + 0.2 / 3).repeat(frames, 1, 1, 1)
    return probabilities, guide, true.repeat(frames, 1, 1)


@pytest.mark.parametrize("weighted", [True, False])
def test_boundaries_move_to_the_edges_of_the_image(weighted):
    probabilities, guide, true = shape_and_ragged_labels()
    before = (probabilities.argmax(dim=1) != true).sum()
    after = (refine_labels(probabilities, guide, radius=4, eps=1e-4, weighted=weighted) != true).sum()
    assert before > 50 and after < before / 4


def test_it_is_the_filter_between_softmax_and_argmax():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(3, 4, 12, 13, generator=generator).softmax(dim=1)
    guide = torch.rand(3, 3, 12, 13, generator=generator)
    weights = confidence_weights(probabilities)
    alone = guided_filter(guide, probabilities, radius=2, eps=1e-2, weights=weights)
    assert torch.equal(refine_labels(probabilities, guide, radius=2, eps=1e-2), alone.argmax(dim=1))
    together = guided_filter_3d(guide, probabilities, radius=2, temporal_radius=1, eps=1e-2)
    refined = refine_labels(probabilities, guide, radius=2, eps=1e-2, temporal_radius=1, weighted=False)
    assert torch.equal(refined, together.argmax(dim=1))


def test_away_from_boundaries_nothing_changes():
    generator = torch.Generator().manual_seed(0)
    probabilities, guide, _ = shape_and_ragged_labels()
    probabilities = (probabilities + 0.5 * torch.rand(probabilities.shape, generator=generator)).softmax(dim=1)
    guide = guide + 0.1 * torch.rand(guide.shape, generator=generator)
    before = probabilities.argmax(dim=1)
    free, held = (refine_labels(probabilities, guide, radius=6, eps=1e-2, within=within) for within in (None, 1))
    near = _near_boundaries(before, 1)
    assert torch.equal(held[near], free[near]) and torch.equal(held[~near], before[~near])
    assert not torch.equal(free[~near], before[~near])


@pytest.mark.parametrize("distance", [1, 2, 5, 20])
def test_near_a_boundary_by_a_loop(distance):
    labels = torch.zeros(1, 11, 13, dtype=torch.int64)
    labels[0, 3:5, 4:9] = 2
    labels[0, 9, 12] = 255
    expected = torch.zeros(1, 11, 13, dtype=torch.bool)
    for y in range(11):
        for x in range(13):
            around = labels[0, max(0, y - distance) : y + distance + 1, max(0, x - distance) : x + distance + 1]
            expected[0, y, x] = bool((around != labels[0, y, x]).any())
    assert torch.equal(_near_boundaries(labels, distance), expected)
