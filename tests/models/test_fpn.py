"""The segmenter: size, grids, and images of any size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.models import FPNSegmenter, Segmenter, upsample_strided


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_is_a_segmenter_of_less_than_a_million_parameters():
    model = FPNSegmenter()
    assert isinstance(model, Segmenter)
    assert 300_000 < sum(p.numel() for p in model.parameters()) < 400_000


@settings(max_examples=8, deadline=None)
@given(height=st.integers(16, 40), width=st.integers(16, 40))
def test_any_size_gives_logits_of_every_pixel_and_of_every_second(height, width):
    model = FPNSegmenter(3, (4, 4, 4, 4), 4, generator=seeded()).eval()
    images = torch.rand(2, 3, height, width, generator=seeded(1))
    logits, coarse = model(images), model.coarse(images)
    assert logits.shape == (2, 3, height, width)
    assert coarse.shape == images[:, :, ::2, ::2].shape
    # The coarse logits ARE those of the pixels 0, 2, 4, ...
    torch.testing.assert_close(logits[:, :, ::2, ::2], coarse, rtol=0, atol=1e-6)


def test_a_shift_by_the_deepest_stride_shifts_all_logits_by_as_much():
    """Every level lies on the grid of its first pixel: nothing drifts by a half between the strides."""
    model = FPNSegmenter(3, (4, 4, 4, 4), 4, generator=seeded()).eval().double()
    torch.nn.init.zeros_(model.context.weight)  # the global average sees the border come in
    scene = torch.rand(1, 3, 256, 256, generator=seeded(2), dtype=torch.float64)
    first, second = scene[..., :240, :240], scene[..., 16:, 16:]
    with torch.no_grad():
        a, b = model(first), model(second)
    inner = slice(112, 113)  # its receptive field touches no border in either
    torch.testing.assert_close(a[..., 16:, 16:][..., inner, inner], b[..., inner, inner], rtol=0, atol=1e-12)


def test_logits_sit_where_the_image_says():
    """Mirroring image and weights mirrors the logits where the grids of all strides are symmetric."""
    model = FPNSegmenter(3, (4, 4, 4, 4), 4, generator=seeded()).eval().double()
    mirrored = FPNSegmenter(3, (4, 4, 4, 4), 4).eval().double()
    state = model.state_dict()
    mirrored.load_state_dict({name: v.flip(-1) if v.ndim == 4 else v for name, v in state.items()})
    image = torch.rand(1, 3, 33, 49, generator=seeded(3), dtype=torch.float64)  # 16 n + 1 px
    with torch.no_grad():
        torch.testing.assert_close(mirrored(image.flip(-1)), model(image).flip(-1), rtol=0, atol=1e-10)
        torch.testing.assert_close(mirrored.coarse(image.flip(-1)), model.coarse(image).flip(-1), rtol=0, atol=1e-10)


def test_upsampling_keeps_the_samples_and_is_exact_on_a_plane():
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    plane = (3 * x - 2 * y + 1)[None, None].double()
    for stride in (2, 4):
        coarse = plane[..., ::stride, ::stride]
        fine = upsample_strided(coarse, 9, 11, stride=stride)
        assert torch.equal(fine[..., ::stride, ::stride], coarse)
        reach = stride * (coarse.shape[-1] - 1) + 1
        torch.testing.assert_close(fine[..., :reach], plane[..., :reach])
        assert torch.equal(fine[..., reach:], fine[..., reach - 1 : reach].expand_as(fine[..., reach:]))


def test_equal_generators_make_equal_weights_in_the_range_of_torch():
    a, b = (FPNSegmenter(5, generator=seeded(7)) for _ in range(2))
    other = FPNSegmenter(5, generator=seeded(8))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.classify.weight, other.classify.weight)
    assert a.classify.weight.abs().max() <= 32**-0.5


def test_training_steps_overfit_one_small_batch():
    model = FPNSegmenter(4, (8, 8, 8, 8), 8, generator=seeded())
    images = torch.rand(2, 3, 16, 24, generator=seeded(1))
    labels = torch.randint(4, (2, 4, 6), generator=seeded(2)).repeat_interleave(2, 1).repeat_interleave(2, 2)
    images = images * 0.3 + labels[:, None].repeat_interleave(2, 2).repeat_interleave(2, 3) * 0.2
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model.coarse(images.clamp(0, 1)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(3, 32, 32), r"images must be \[b, 3, h, w\], got \[3, 32, 32\].*add a batch axis"),
        (torch.rand(1, 1, 32, 32), r"got \[1, 1, 32, 32\]"),
        (torch.rand(1, 3, 15, 32), "at least 16 x 16 px"),
        (torch.rand(0, 3, 32, 32), "one or more"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), r"got torch.uint8.*/ 255"),
        (torch.rand(1, 3, 32, 32) * 255, r"\[0, 1\], got .* not divided by 255"),
        (torch.full((1, 3, 32, 32), torch.nan), "got nan to nan"),
    ],
)
def test_wrong_images_are_named(images, message):
    from stc_lab.errors import InputError

    with pytest.raises(InputError, match=message):
        FPNSegmenter(3, (4, 4, 4, 4), 4)(images)


@pytest.mark.bad_input
def test_impossible_networks_and_maps_are_refused():
    from stc_lab.errors import InputError

    with pytest.raises(InputError, match="four positive widths"):
        FPNSegmenter(3, (4, 4, 4))
    with pytest.raises(InputError, match="num_classes >= 2"):
        FPNSegmenter(1)
    with pytest.raises(InputError, match="8 x 9 px, got a map of 7 x 9"):
        upsample_strided(torch.zeros(1, 1, 7, 9), 16, 18)
