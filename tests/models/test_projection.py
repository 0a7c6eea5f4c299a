"""The projection head, and a segmenter that shows its features."""

import pytest
import torch

from stc_lab.models import FeatureSegmenter, FPNSegmenter, ProjectionHead


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("layers", ["fc-bn-relu", "fc-relu-fc", "fc-bn-relu-fc"])
def test_each_pixel_is_projected_by_itself(layers):
    head = ProjectionHead(6, 10, layers=layers, generator=seeded()).eval().double()
    features = torch.randn(2, 6, 4, 5, generator=seeded(1), dtype=torch.float64)
    whole = head(features)
    assert whole.shape == (2, 10, 4, 5)
    torch.testing.assert_close(head(features[1:, :, 2:3, 3:4]), whole[1:, :, 2:3, 3:4])
    assert bool((whole < 0).any()) == (layers != "fc-bn-relu")


def smallest_cosine(head):
    with torch.no_grad():
        projected = head(torch.randn(1, head.channels, 9, 9, generator=seeded(1)))
    rows = torch.nn.functional.normalize(projected[0].flatten(1).T, dim=1)
    return float((rows @ rows.T).min())


def test_the_papers_head_has_no_negative_cosine():
    assert smallest_cosine(ProjectionHead(6, 10, layers="fc-bn-relu", generator=seeded())) >= 0
    assert smallest_cosine(ProjectionHead(6, 10, layers="fc-bn-relu-fc", generator=seeded())) < 0


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ("fc-bn-relu", ["Conv2d", "BatchNorm2d", "ReLU"]),
        ("fc-relu-fc", ["Conv2d", "ReLU", "Conv2d"]),
        ("fc-bn-relu-fc", ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]),
    ],
)
def test_its_layers_are_those_of_its_name(layers, names):
    head = ProjectionHead(6, 10, layers=layers)
    assert [type(layer).__name__ for layer in head.net] == names
    assert all(layer.kernel_size == (1, 1) for layer in head.net if isinstance(layer, torch.nn.Conv2d))
    rebuilt = ProjectionHead(**{key: value for key, value in head.architecture.items() if key != "name"})
    rebuilt.load_state_dict(head.state_dict())


def test_equal_generators_make_equal_heads():
    a, b, c = (ProjectionHead(6, 10, generator=seeded(s)) for s in (1, 1, 2))
    features = torch.randn(1, 6, 3, 3, generator=seeded())
    assert torch.equal(a(features), b(features)) and not torch.equal(a(features), c(features))


def test_a_segmenters_features_give_its_logits():
    net = FPNSegmenter(5, (4, 8, 8, 8), 12, generator=seeded()).eval()
    assert isinstance(net, FeatureSegmenter)
    images = torch.rand(2, 3, 33, 40, generator=seeded(1))
    features = net.features(images)
    assert features.shape == (2, net.channels, *images[0, 0, ::2, ::2].shape)
    assert torch.equal(net.classify(features), net.coarse(images))
    assert ProjectionHead(net.channels, 16)(features).shape == (2, 16, *features.shape[2:])


@pytest.mark.bad_input
def test_heads_that_cannot_be():
    from stc_lab.errors import InputError

    with pytest.raises(InputError, match="channels >= 1 and dim >= 1, got 0 and 8"):
        ProjectionHead(0, 8)
    with pytest.raises(InputError, match="layers must be one of fc-bn-relu, fc-relu-fc, fc-bn-relu-fc, got 'mlp'"):
        ProjectionHead(4, 8, layers="mlp")
    with pytest.raises(InputError, match=r"features must be \[b, 4, h, w\], got \[1, 3, 5, 5\].*features\(images\)"):
        ProjectionHead(4, 8)(torch.zeros(1, 3, 5, 5))
