"""What published warps got wrong or left to chance: sampling. One test per trap, which says what the trap is."""

import pytest
import torch
import torch.nn.functional as F
from warp_inputs import by_w_minus_one, normal, pixel_grid, some_camera, some_depth, some_motion, still

from stc_lab.errors import InputError
from stc_lab.geometry import (
    Camera,
    correspond,
    inverse_warp,
    sample,
    sample_labels,
    warp_by_flow,
    warp_labels_by_flow,
)


def test_a_grid_normalised_by_w_minus_one_needs_align_corners() -> None:
    """Monodepth2 was written for torch 0.4. Since 1.3 its grid is sampled half a pixel off, left and right.

    Without motion it reads at x W / (W - 1) - 0.5: shifted from -0.5 px on the left to +0.5 px on the right.
    """
    height, width = 3, 41
    pixels = pixel_grid(height, width)
    ramp = pixels[:, :1]
    grid = by_w_minus_one(pixels, height, width)
    theirs = F.grid_sample(ramp, grid, mode="bilinear", padding_mode="border", align_corners=False)
    shift = (theirs - ramp)[0, 0, 1, 1:-1]
    torch.testing.assert_close(shift, torch.linspace(-0.5, 0.5, width, dtype=torch.float64)[1:-1])
    assert torch.equal(sample(ramp, pixels), ramp)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_motion_returns_the_input_at_every_width(dtype: torch.dtype) -> None:
    """Even with align_corners the way to [-1, 1] and back rounds: 1e-5 of the contrast at 160 px, on most widths."""
    rounded = 0
    for width in (1, 2, 3, 7, 50, 97, 160, 161, 321, 640, 1226):
        source = normal(1, 2, 3, width, dtype=dtype)
        pixels = pixel_grid(3, width, dtype)
        grid = by_w_minus_one(pixels, 3, max(width, 2))
        torchs = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=True)
        rounded += not torch.equal(torchs, source)
        camera = Camera.from_fov(3, width, 60.0, dtype=dtype)
        warped = inverse_warp(source, some_depth(1, 3, width, dtype=dtype), camera, still(1, dtype))
        assert torch.equal(warped.image, source)
        assert warped.visible.all()
        by_flow = warp_by_flow(source, torch.zeros_like(pixels))
        assert torch.equal(by_flow.image, source)
        assert by_flow.visible.all()
    assert rounded >= 5


def test_labels_without_flow_are_the_same_labels() -> None:
    """VSPW's TC script has the same fault on labels, with zero padding: 4 % change, and the border becomes class 0."""
    labels = torch.randint(1, 20, (1, 30, 40), generator=torch.Generator().manual_seed(0))
    grid = by_w_minus_one(pixel_grid(30, 40), 30, 40)
    theirs = F.grid_sample(labels[:, None].double(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    assert (theirs[:, 0] != labels).any()
    ours = warp_labels_by_flow(labels, torch.zeros(1, 2, 30, 40))
    assert torch.equal(ours.label, labels)
    leaving = warp_labels_by_flow(labels, torch.full((1, 2, 30, 40), 50.0))
    assert (leaving.label == 255).all()  # ignored, and no class


def test_nothing_is_kept_from_one_call_to_the_next() -> None:
    """SfmLearner-Pytorch keeps its grid in a global, rebuilt only for a taller image, and asserts three channels.

    Here sizes, dtypes, channels, batches and grad modes change at every call; each call is as if it were the first.
    """
    cases = [
        (1, 3, 8, 10, torch.float32),
        (2, 21, 8, 14, torch.float32),  # wider, not taller
        (2, 124, 6, 9, torch.float64),  # smaller, another dtype
        (1, 1, 20, 30, torch.float64),
        (1, 21, 8, 14, torch.float16),
        (3, 2, 8, 10, torch.float32),
        (1, 3, 1, 1, torch.float64),
        (1, 3, 8, 10, torch.float32),
    ]
    results = []
    for order in (cases, cases[::-1]):
        results.append({})
        for case in order:
            batch, channels, height, width, dtype = case
            other = torch.float64 if dtype == torch.float64 else torch.float32
            source = normal(batch, channels, height, width, dtype=dtype)
            inputs = some_depth(batch, height, width, dtype=other), some_camera(height, width, batch=batch, dtype=other)
            T = some_motion(batch, dtype=other)
            with torch.inference_mode():
                first = inverse_warp(source, *inputs, T)
            source = source.clone().requires_grad_()
            second = inverse_warp(source, *inputs, T)
            second.image.float().sum().backward()  # a grid kept from inference mode would fail here
            assert torch.equal(first.image, second.image)
            assert torch.equal(first.visible, second.visible)
            results[-1][case] = first.image.clone()
            grid = by_w_minus_one(correspond(*inputs, T).pixels, height, width)
            if min(height, width) > 1:
                plain = F.grid_sample(
                    source.detach().to(other), grid, mode="bilinear", padding_mode="border", align_corners=True
                )
                atol = {torch.float64: 1e-12, torch.float32: 2e-4, torch.float16: 1e-2}[dtype]
                torch.testing.assert_close(first.image.to(other), plain, atol=atol, rtol=0)
    for case in cases:
        assert torch.equal(results[0][case], results[1][case])


def test_halfway_between_two_labels_lies_no_third_one() -> None:
    """ETC's evaluation interpolates ids and rounds: between classes 0 and 20 it finds a class 10.

    The nearest id, or the largest of interpolated one-hot maps, finds only what was there.
    """
    labels = torch.tensor([[[0, 0, 20, 20], [0, 0, 20, 20]]])
    x = torch.linspace(0, 3, 25).double().expand(1, 1, 2, 25)
    pixels = torch.cat([x, torch.zeros_like(x)], dim=1)
    mixed = sample(labels[:, None].double(), pixels).round()
    assert set(mixed.flatten().tolist()) - {0.0, 20.0}
    read = sample_labels(labels, pixels)
    assert set(read.flatten().tolist()) == {0, 20}
    one_hot = F.one_hot(labels, 21).permute(0, 3, 1, 2).double()
    likeliest = sample(one_hot, pixels).argmax(dim=1)
    tie = (x[:, 0] - 1.5).abs() < 1e-9
    assert torch.equal(likeliest[~tie], read[~tie])


@pytest.mark.bad_input
def test_label_ids_are_refused_where_values_are_mixed() -> None:
    """An int64 map in a bilinear warp is a mistake and not a grey image; logits in a label warp are one too."""
    labels, camera, depth = torch.zeros(1, 6, 8, dtype=torch.long), some_camera(6, 8), some_depth(1, 6, 8)
    for call in (
        lambda: inverse_warp(labels[:, None], depth, camera, still()),
        lambda: sample(labels[:, None], torch.zeros(1, 2, 6, 8)),
        lambda: warp_by_flow(labels[:, None], torch.zeros(1, 2, 6, 8)),
        lambda: sample_labels(normal(1, 3, 6, 8), torch.zeros(1, 2, 6, 8)),  # type: ignore[arg-type]
        lambda: warp_labels_by_flow(normal(1, 3, 6, 8), torch.zeros(1, 2, 6, 8)),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError, match=r"float16, bfloat16, float32 or float64|int64 \[b, h, w\]"):
            call()
