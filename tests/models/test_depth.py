"""The compact depth net: its grids, its range, and images of any size."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.models import DepthFPN, DepthNet, DepthRange, full_size
from stc_lab.models.segmenter import Segmenter

TINY = {"widths": (4, 4, 4, 4), "channels": 4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(*shape, generator=seeded(seed), dtype=dtype)


def restless(model: DepthFPN) -> DepthFPN:
    """Heads as lively as after training, so that a depth shows what the features are."""
    for head in model.heads:
        torch.nn.init.normal_(head.weight, generator=seeded(5))
    return model.eval()


def test_is_a_depth_net_of_half_a_million_parameters():
    model = DepthFPN()
    assert isinstance(model, DepthNet) and not isinstance(model, Segmenter)
    assert 300_000 < sum(p.numel() for p in model.parameters()) < 500_000


@settings(max_examples=8, deadline=None)
@given(height=st.integers(16, 50), width=st.integers(16, 50))
def test_any_size_gives_a_depth_of_every_pixel_within_the_range(height, width):
    model = restless(DepthFPN(**TINY, min_depth=0.5, max_depth=20, generator=seeded()))
    images = noise(2, 3, height, width)
    with torch.no_grad():
        depth, disparities = model(images), model.disparities(images)
    assert depth.shape == (2, 1, height, width)
    assert 0.5 <= float(depth.min()) < float(depth.max()) <= 20
    whole = [16 * math.ceil(side / 16) for side in (height, width)]
    assert [list(d.shape[-2:]) for d in disparities] == [[side // s for side in whole] for s in (2, 4, 8, 16)]
    torch.testing.assert_close(1 / depth, full_size(disparities[0], height, width))


@settings(max_examples=6, deadline=None)
@given(height=st.integers(16, 40), width=st.integers(16, 40))
def test_every_scale_covers_the_image_evenly(height, width):
    """Mirroring image and weights mirrors every map, whatever the size: none leans to a side by a part of a pixel."""
    model = restless(DepthFPN(**TINY, generator=seeded()).double())
    mirrored = DepthFPN(**TINY).double().eval()
    mirrored.load_state_dict({name: v.flip(-1) if v.ndim == 4 else v for name, v in model.state_dict().items()})
    image = noise(1, 3, height, width, dtype=torch.float64)
    with torch.no_grad():
        for one, other in zip(model.disparities(image), mirrored.disparities(image.flip(-1)), strict=True):
            torch.testing.assert_close(other.flip(-1), one, rtol=0, atol=1e-10)
        torch.testing.assert_close(mirrored(image.flip(-1)).flip(-1), model(image), rtol=1e-9, atol=0)


def test_a_shift_by_the_deepest_stride_shifts_every_scale_by_as_much():
    model = restless(DepthFPN(**TINY, generator=seeded()).double())
    torch.nn.init.zeros_(model.context.weight)  # the global average sees the border come in
    scene = noise(1, 3, 272, 272, seed=2, dtype=torch.float64)
    with torch.no_grad():
        first, second = (model.disparities(part) for part in (scene[..., :256, :256], scene[..., 16:, 16:]))
    for stride, a, b in zip((2, 4, 8, 16), first, second, strict=True):
        middle = slice(128 // stride, 128 // stride + 1)  # its receptive field touches no border in either
        moved = slice(middle.start - 16 // stride, middle.stop - 16 // stride)
        torch.testing.assert_close(a[..., middle, middle], b[..., moved, moved], rtol=0, atol=1e-12)


@pytest.mark.parametrize("output", ["sigmoid", "softplus"])
def test_starts_near_the_initial_depth(output):
    for seed in range(3):
        model = DepthFPN(initial_depth=4.0, output=output, generator=seeded(seed))
        for disparity in model.disparities(noise(4, 3, 32, 48)):
            assert bool(((disparity > 1 / 5) & (disparity < 1 / 3)).all())
    depth = DepthFPN()(noise(4, 3, 32, 48))  # without a generator, too
    assert bool(((depth > 2) & (depth < 3)).all())


def test_the_range_is_monodepth2s():
    """Its disp_to_depth: disp in (0, 1), scaled to between 1 / max_depth and 1 / min_depth."""
    raw = torch.linspace(-30, 30, 61, dtype=torch.float64)
    for near, far in ((0.1, 100.0), (0.5, 8.0)):
        expected = [1 / (1 / far + (1 / near - 1 / far) / (1 + math.exp(-float(r)))) for r in raw]
        got = 1 / DepthRange(near, far, math.sqrt(near * far)).disparity(raw)
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(got[[0, -1]], torch.tensor([far, near], dtype=torch.float64), rtol=1e-8, atol=0)


@given(initial=st.floats(0.12, 95), output=st.sampled_from(["sigmoid", "softplus"]))
def test_the_initial_raw_value_is_that_of_the_initial_depth(initial, output):
    depth_range = DepthRange(0.1, 100.0, initial, output)
    raw = torch.tensor([depth_range.initial_raw], dtype=torch.float64)
    assert float(1 / depth_range.disparity(raw)) == pytest.approx(initial, rel=1e-9)


def test_images_of_a_batch_do_not_see_each_other():
    model = restless(DepthFPN(generator=seeded()))
    images = noise(3, 3, 33, 47)
    with torch.no_grad():
        together = model(images)
        for number, image in enumerate(images):
            torch.testing.assert_close(model(image[None])[0], together[number], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_gradients_reach_every_parameter(norm):
    model = DepthFPN(norm=norm, generator=seeded())
    sum(d.square().mean() for d in model.disparities(noise(2, 3, 32, 48))).backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in model.parameters())


def test_equal_generators_make_equal_nets():
    a, b, other = (DepthFPN(generator=seeded(seed)) for seed in (7, 7, 8))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.heads[0].weight, other.heads[0].weight)


def test_group_norm_is_the_same_in_training_and_evaluation():
    model = restless(DepthFPN(**TINY, norm="group", generator=seeded()))
    images = noise(2, 3, 32, 32)
    assert torch.equal(model.train()(images), model.eval()(images))


def test_depth_is_float32_at_least():
    model = restless(DepthFPN(**TINY, generator=seeded()))
    images = noise(1, 3, 32, 32).half()
    assert torch.equal(model(images), model(images.float()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = model(images.float())
    assert lowered.dtype == torch.float32
    torch.testing.assert_close(lowered, model(images), rtol=0.1, atol=0)
    assert model.double()(images.double()).dtype == torch.float64


def test_everything_lies_where_the_images_do():
    """On the meta device no number exists, and a tensor made elsewhere would not mix."""
    for norm in ("batch", "group"):
        model = DepthFPN(norm=norm).to("meta")
        images = torch.rand(2, 3, 37, 50, device="meta")
        assert model(images).shape == (2, 1, 37, 50) and model(images).is_meta


def test_training_steps_overfit_one_small_batch():
    model = DepthFPN((8, 8, 8, 8), 8, generator=seeded())
    truth = full_size(1 + 4 * noise(2, 1, 3, 4, seed=3), 32, 48)
    images = (0.8 / truth).expand(-1, 3, -1, -1) + 0.05 * noise(2, 3, 32, 48)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = (model(images) / truth).log().abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1


@pytest.mark.bad_input
def test_impossible_nets_and_images_are_refused():
    from stc_lab.errors import InputError

    with pytest.raises(InputError, match="four positive widths"):
        DepthFPN((4, 4, 4))
    with pytest.raises(InputError, match="channels >= 1, got"):
        DepthFPN(channels=0)
    with pytest.raises(InputError, match=r"min_depth < initial_depth < max_depth.*got 0.1, 200.0, 100.0"):
        DepthFPN(initial_depth=200.0)
    with pytest.raises(InputError, match="min_depth"):
        DepthFPN(min_depth=0.0)
    with pytest.raises(InputError, match="'sigmoid' or 'softplus', got 'exp'"):
        DepthFPN(output="exp")
    with pytest.raises(InputError, match="'batch' or 'group', got 'layer'"):
        DepthFPN(norm="layer")
    model = DepthFPN(**TINY)
    with pytest.raises(InputError, match=r"images must be \[b, 3, h, w\], got \[3, 32, 32\]"):
        model(torch.rand(3, 32, 32))
    with pytest.raises(InputError, match="at least 16 x 16 px"):
        model(torch.rand(1, 3, 15, 32))
    with pytest.raises(InputError, match=r"values in \[0, 1\]"):
        model.disparities(torch.rand(1, 3, 32, 32) * 255)
