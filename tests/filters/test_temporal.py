"""Smoothing over time against SciPy, and along flow against a slow loop and exact motion."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from stc_lab.filters import smooth_along_flow, smooth_labels_over_time, smooth_over_time


def scipy_vote(labels: np.ndarray, sigma: float, classes: int, truncate: float = 4.0) -> np.ndarray:
    """Argmax of the smoothed one-hot volume; of classes equal but for rounding the lowest."""
    one_hot = np.eye(classes)[labels] if 255 not in labels else np.eye(256)[labels][..., :classes]
    votes = gaussian_filter1d(one_hot, sigma, axis=0, mode="reflect", truncate=truncate)
    return (votes >= votes.max(axis=-1, keepdims=True) - 1e-9).argmax(axis=-1)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    frames=st.integers(1, 12),
    classes=st.integers(1, 5),
    sigma=st.floats(0.05, 20),
    truncate=st.floats(0.5, 6),
)
def test_labels_equal_scipy(seed, frames, classes, sigma, truncate):
    labels = torch.randint(0, classes, (frames, 6, 5), generator=torch.Generator().manual_seed(seed))
    smooth = smooth_labels_over_time(labels, sigma, truncate=truncate)
    assert np.array_equal(smooth.numpy(), scipy_vote(labels.numpy(), sigma, classes, truncate))


def test_ignored_pixels_have_no_vote_and_stay():
    labels = torch.randint(0, 3, (9, 8, 7), generator=torch.Generator().manual_seed(0))
    labels[torch.rand(9, 8, 7, generator=torch.Generator().manual_seed(1)) < 0.4] = 255
    smooth = smooth_labels_over_time(labels, 1.3)
    ignored = labels == 255
    assert (smooth[ignored] == 255).all()
    expected = torch.from_numpy(scipy_vote(labels.numpy(), 1.3, 3))
    assert torch.equal(smooth[~ignored], expected[~ignored])
    assert torch.equal(
        smooth_labels_over_time(torch.where(ignored, 7, labels), 1.3, ignore_index=7)[~ignored], smooth[~ignored]
    )


def test_a_tie_goes_to_the_lowest_class():
    sigma = (2 * np.log(2)) ** -0.5  # a neighbour weighs half of a frame itself, and no other comes in
    for own, neighbours, winner in ((3, 1, 1), (1, 3, 1)):
        labels = torch.tensor([neighbours, own, neighbours]).reshape(3, 1, 1)
        assert int(smooth_labels_over_time(labels, sigma, truncate=1.0)[1]) == winner


def test_a_flicker_goes_and_what_lasts_stays():
    labels = torch.zeros(20, 4, 4, dtype=torch.int64)
    labels[7, 1, 1] = 2  # one frame
    labels[5:, 3, 3] = 1  # from here on
    smooth = smooth_labels_over_time(labels, 1.0)
    assert (smooth[:, 1, 1] == 0).all()
    assert torch.equal(smooth[:, 3, 3], labels[:, 3, 3])
    assert torch.equal(smooth_labels_over_time(labels, 0.0), labels)


def test_large_and_negative_ids_and_other_layouts():
    labels = torch.randint(0, 3, (7, 5, 6), generator=torch.Generator().manual_seed(0))
    far = torch.tensor([-4, 10, 10**6])
    assert torch.equal(smooth_labels_over_time(far[labels], 1.0), far[smooth_labels_over_time(labels, 1.0)])
    turned = labels.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert torch.equal(smooth_labels_over_time(turned, 1.0), smooth_labels_over_time(labels, 1.0))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.5, 60.0])
@pytest.mark.parametrize("frames", [1, 2, 5, 40])
def test_values_equal_scipy(sigma, frames):
    values = torch.rand(frames, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.from_numpy(gaussian_filter1d(values.numpy(), sigma, axis=0, mode="reflect"))
    torch.testing.assert_close(smooth_over_time(values, sigma), expected, atol=1e-12, rtol=0)


def test_values_keep_their_dtype_and_probabilities_their_sum():
    values = torch.rand(6, 3, 4, 5, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    torch.testing.assert_close(smooth_over_time(values, 1.5).sum(dim=1), torch.ones(6, 4, 5))
    half = smooth_over_time(values.half(), 1.5)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half, smooth_over_time(values.half().float(), 1.5).half())
    assert torch.equal(smooth_over_time(values, 0.0), values)
    double = values[:, :, :1, :1].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: smooth_over_time(v, 1.5), (double,))


FRAMES, HEIGHT, WIDTH = 6, 9, 20
STEP = 2  # px to the right between frames


def moving_picture(dtype=torch.float64):
    """A picture that moves to the right, and its flow to the next frame and back."""
    picture = torch.rand(1, 2, HEIGHT, WIDTH + STEP * FRAMES, generator=torch.Generator().manual_seed(0), dtype=dtype)
    starts = [STEP * (FRAMES - i) for i in range(FRAMES)]
    frames = torch.cat([picture[..., start : start + WIDTH] for start in starts])
    flow = torch.zeros(FRAMES - 1, 2, HEIGHT, WIDTH, dtype=dtype)
    flow[:, 0] = STEP
    return frames, flow, -flow


def test_what_moves_as_the_flow_says_does_not_change():
    frames, forward, backward = moving_picture()
    smooth = smooth_along_flow(frames, forward, backward, 1.5)
    torch.testing.assert_close(smooth, frames, atol=1e-9, rtol=0)
    assert (smooth_over_time(frames, 1.5) - frames).abs().mean() > 0.1  # without the flow it would


def test_noise_on_it_is_averaged_away():
    frames, forward, backward = moving_picture()
    noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(1), dtype=frames.dtype)
    smooth = smooth_along_flow(frames + noise, forward, backward, 1.5)
    assert (smooth - frames).square().mean() < 0.4 * noise.square().mean()


def test_without_motion_it_is_a_gaussian_over_the_frames_there_are():
    values = torch.rand(7, 2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    still = torch.zeros(6, 2, 4, 5, dtype=torch.float64)
    offset = torch.arange(7, dtype=torch.float64)[:, None] - torch.arange(7, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offset / 1.2) ** 2) * (offset.abs() <= int(4 * 1.2 + 0.5))
    expected = torch.einsum("ts,schw->tchw", weights / weights.sum(dim=1, keepdim=True), values)
    torch.testing.assert_close(smooth_along_flow(values, still, still, 1.2), expected)


def slow_along_flow(values, forward, backward, sigma):
    """Pixel by pixel: follow the nearest neighbours' flow as far as it leads inside and comes back."""
    t, _, h, w = values.shape
    result = torch.empty_like(values)
    for i, y, x in np.ndindex(t, h, w):
        total, weight = values[i, :, y, x].clone(), 1.0
        for there, back, step in ((forward, backward, 1), (backward, forward, -1)):
            j, v, u = i, y, x
            while 0 <= j + step < t and abs(j + step - i) <= int(4 * sigma + 0.5):
                pair = min(j, j + step)
                du, dv = (int(d) for d in there[pair, :, v, u])
                u2, v2 = u + du, v + dv
                if not (0 <= u2 < w and 0 <= v2 < h):
                    break
                ru, rv = du + int(back[pair, 0, v2, u2]), dv + int(back[pair, 1, v2, u2])
                length = du**2 + dv**2 + int(back[pair, 0, v2, u2]) ** 2 + int(back[pair, 1, v2, u2]) ** 2
                if ru**2 + rv**2 >= 0.01 * length + 0.5:
                    break
                j, u, v = j + step, u2, v2
                share = np.exp(-0.5 * ((j - i) / sigma) ** 2)
                total, weight = total + share * values[j, :, v, u], weight + share
        result[i, :, y, x] = total / weight
    return result


def test_occlusion_ends_a_path_as_in_a_loop():
    generator = torch.Generator().manual_seed(3)
    values = torch.rand(5, 2, 7, 8, generator=generator, dtype=torch.float64)
    forward, backward = (  # whole pixels, mostly still, so that some paths come back and some do not
        (torch.rand(4, 2, 7, 8, generator=generator) < 0.15).double() * sign for sign in (1, -1)
    )
    smooth = smooth_along_flow(values, forward, backward, 0.9)
    torch.testing.assert_close(smooth, slow_along_flow(values, forward, backward, 0.9), atol=1e-9, rtol=0)


def test_unknown_flow_leads_nowhere():
    values = torch.rand(4, 2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lost = torch.full((3, 2, 5, 6), torch.nan, dtype=torch.float64)
    torch.testing.assert_close(smooth_along_flow(values, lost, lost, 2.0), values)
    one = values[:1]
    assert torch.equal(smooth_along_flow(one, lost[:0], lost[:0], 2.0), one)


def test_along_flow_keeps_dtype_and_passes_gradients():
    frames, forward, backward = moving_picture(torch.float32)
    half = smooth_along_flow(frames.half(), forward, backward, 1.0)
    assert half.dtype == torch.float16
    frames.requires_grad_()
    smooth_along_flow(frames, forward, backward, 1.0).sum().backward()
    assert frames.grad is not None and bool((frames.grad > 0).any())
