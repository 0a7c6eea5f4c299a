"""The guided filter against OpenCV, scikit-learn's ridge regression per window, and what must hold of it."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from stc_lab.filters import guided_filter, guided_filter_3d


def any_maps(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def ridge_reference(guide, signal, weights, radii, eps):
    """Window by window by scikit-learn, then pixel by pixel the mean of what the windows around it predict."""
    guide, signal, weights = (value.numpy() for value in (guide, signal, weights.expand_as(signal)))
    t, k, h, w = signal.shape
    around = [
        [slice(max(0, i - r), i + r + 1) for i in range(n)] for n, r in ((t, radii[0]), (h, radii[1]), (w, radii[1]))
    ]
    total, count = np.zeros(signal.shape), np.zeros(signal.shape)
    for f, y, x in np.ndindex(t, h, w):
        window = around[0][f], around[1][y], around[2][x]
        pixels = np.moveaxis(guide, 1, -1)[window].reshape(-1, guide.shape[1])
        for j in range(k):
            weight, values = weights[:, j][window].ravel(), signal[:, j][window].ravel()
            if weight.max() > 0:
                model = Ridge(alpha=eps * weight.sum(), solver="cholesky").fit(pixels, values, sample_weight=weight)
                total[:, j][window] += model.predict(pixels).reshape(total[:, j][window].shape)
                count[:, j][window] += 1
    return torch.from_numpy(np.where(count > 0, total / np.maximum(count, 1), signal))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_opencv(channels, dtype):
    radius, eps = 5, 1e-2
    guide, signal = any_maps(0, 1, channels, 40, 56, dtype=dtype), any_maps(1, 1, 4, 40, 56, dtype=dtype)
    theirs = cv2.ximgproc.guidedFilter(  # in float32, whatever comes
        *(value[0].permute(1, 2, 0).float().contiguous().numpy() for value in (guide, signal)), radius, eps
    )
    expected = torch.from_numpy(theirs).permute(2, 0, 1)[None].to(dtype)
    inner = (..., slice(2 * radius, -2 * radius), slice(2 * radius, -2 * radius))
    truncated = guided_filter(guide, signal, radius=radius, eps=eps)
    torch.testing.assert_close(truncated[inner], expected[inner], atol=1e-5, rtol=0)
    assert (truncated - expected).abs().amax() > 1e-2  # another border
    mirrored = guided_filter(guide, signal, radius=radius, eps=eps, border="reflect")
    torch.testing.assert_close(mirrored, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_ridge_regression_in_every_window(channels):
    guide, signal = any_maps(0, 2, channels, 8, 9), any_maps(1, 2, 2, 8, 9)
    filtered = guided_filter(guide, signal, radius=2, eps=1e-3)
    expected = ridge_reference(guide, signal, torch.ones_like(signal), (0, 2), 1e-3)
    torch.testing.assert_close(filtered, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("of_weights", [1, 2])
def test_equals_weighted_ridge_regression_over_time(channels, of_weights):
    guide, signal, weights = any_maps(0, 5, channels, 6, 7), any_maps(1, 5, 2, 6, 7), any_maps(2, 5, of_weights, 6, 7)
    weights = weights * (any_maps(3, 5, of_weights, 6, 7) > 0.6)  # some windows hold a few pixels, some hold none
    weights[:, :, 3:] = 0
    filtered = guided_filter_3d(guide, signal, radius=1, temporal_radius=2, eps=1e-3, weights=weights)
    expected = ridge_reference(guide, signal, weights, (2, 1), 1e-3)
    torch.testing.assert_close(filtered, expected, atol=1e-8, rtol=0)
    assert torch.equal(filtered[:, :, 6:], signal[:, :, 6:])


@pytest.mark.parametrize("radii", [(0, 3), (1, 2), (9, 1), (2, 0), (0, 11)])
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_loops_and_tensor_operations_agree(radii, channels, dtype):
    guide, signal = any_maps(0, 6, channels, 10, 12, dtype=dtype), any_maps(1, 6, 3, 10, 12, dtype=dtype)
    for of_weights in (None, 1, 3):
        weights = None
        if of_weights is not None:
            weights = any_maps(2, 6, of_weights, 10, 12, dtype=dtype).clamp_min(0.3) - 0.3
        settings_ = {"radius": radii[1], "temporal_radius": radii[0], "eps": 1e-3, "weights": weights}
        loops = guided_filter_3d(guide, signal, **settings_)
        plain = guided_filter_3d(guide, signal.clone().requires_grad_(), **settings_)
        assert plain.requires_grad and not loops.requires_grad
        torch.testing.assert_close(loops, plain.detach(), atol=1e-8 if dtype == torch.float64 else 2e-6, rtol=0)


@pytest.mark.parametrize("threads", [2, 5])
@pytest.mark.parametrize("radii", [(0, 2), (1, 2)])
def test_threads_change_nothing(threads, radii, monkeypatch):
    guide, signal, weights = any_maps(0, 7, 3, 9, 10), any_maps(1, 7, 2, 9, 10), any_maps(2, 7, 2, 9, 10)
    settings_ = {"radius": radii[1], "temporal_radius": radii[0], "eps": 1e-3, "weights": weights}
    one = guided_filter_3d(guide, signal, **settings_)
    monkeypatch.setattr("stc_lab.filters.guided.threads_for", lambda _: threads)
    torch.testing.assert_close(guided_filter_3d(guide, signal, **settings_), one, atol=1e-9, rtol=0)
    monkeypatch.setattr("stc_lab.filters.guided._PIXELS_AT_ONCE", 100)  # as many pieces as a long clip has
    settings_["weights"] = None
    whole = guided_filter_3d(guide, signal, **settings_)
    monkeypatch.setattr("stc_lab.filters.guided._PIXELS_AT_ONCE", 10**9)
    torch.testing.assert_close(guided_filter_3d(guide, signal, **settings_), whole, atol=1e-9, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    value=st.floats(-100, 100),
    channels=st.integers(1, 3),
    temporal_radius=st.integers(0, 6),
    radius=st.integers(0, 8),
)
def test_a_constant_signal_stays(seed, value, channels, temporal_radius, radius):
    guide, weights = any_maps(seed, 4, channels, 9, 7), any_maps(seed + 1, 4, 1, 9, 7)
    signal = torch.full((4, 2, 9, 7), value, dtype=torch.float64)
    filtered = guided_filter_3d(
        guide, signal, radius=radius, temporal_radius=temporal_radius, eps=1e-4, weights=weights
    )
    torch.testing.assert_close(filtered, signal, atol=1e-9, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), a=st.floats(-3, 3), b=st.floats(-3, 3), border=st.sampled_from(["truncated", "reflect"])
)
def test_it_is_linear_in_the_signal(seed, a, b, border):
    guide, one, two, weights = (any_maps(seed + i, 3, n, 8, 9) for i, n in enumerate((3, 2, 2, 1)))

    def run(signal):
        return guided_filter_3d(guide, signal, radius=2, temporal_radius=1, eps=1e-3, weights=weights, border=border)

    torch.testing.assert_close(run(a * one + b * two), a * run(one) + b * run(two), atol=1e-9, rtol=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), dt=st.integers(0, 2), dy=st.integers(0, 3), dx=st.integers(0, 3))
def test_a_shift_of_both_shifts_the_result(seed, dt, dy, dx):
    radius, temporal_radius = 2, 1
    guide, signal = any_maps(seed, 9, 2, 16, 17), any_maps(seed + 1, 9, 2, 16, 17)

    def run(*maps):
        return guided_filter_3d(*maps, radius=radius, temporal_radius=temporal_radius, eps=1e-3)

    whole = run(guide, signal)
    part = (slice(dt, dt + 7), slice(None), slice(dy, dy + 13), slice(dx, dx + 14))
    moved = run(guide[part], signal[part])
    inner = (slice(2, -2), slice(None), slice(4, -4), slice(4, -4))  # twice the radius: two windows after each other
    torch.testing.assert_close(moved[inner], whole[part][inner], atol=1e-10, rtol=0)


def test_a_guide_is_followed_exactly_as_eps_vanishes():
    guide = any_maps(0, 4, 3, 20, 24)
    for eps, error in ((1e-2, 0.1), (1e-4, 2e-3), (1e-8, 1e-6)):
        filtered = guided_filter_3d(guide, guide, radius=3, temporal_radius=1, eps=eps)
        assert (filtered - guide).abs().amax() < error
    assert (guided_filter_3d(guide, guide, radius=3, temporal_radius=1, eps=1e-2) - guide).abs().amax() > 1e-3


@pytest.mark.parametrize("of_weights", [1, 2])
def test_equal_weights_are_none_and_their_scale_does_not_matter(of_weights):
    guide, signal, weights = any_maps(0, 4, 3, 12, 13), any_maps(1, 4, 2, 12, 13), any_maps(2, 4, of_weights, 12, 13)
    settings_ = {"radius": 3, "temporal_radius": 1, "eps": 1e-3}
    without = guided_filter_3d(guide, signal, **settings_)
    constant = guided_filter_3d(guide, signal, **settings_, weights=torch.full_like(weights, 0.3))
    torch.testing.assert_close(constant, without, atol=1e-10, rtol=0)
    weighted = guided_filter_3d(guide, signal, **settings_, weights=weights)
    scaled = guided_filter_3d(guide, signal, **settings_, weights=1e-6 * weights)
    torch.testing.assert_close(scaled, weighted, atol=1e-10, rtol=0)
    assert (weighted - without).abs().amax() > 1e-2


@pytest.mark.parametrize("gradient", [False, True])
def test_a_mask_hides_what_it_hides(gradient):
    guide, signal = any_maps(0, 2, 3, 14, 15), any_maps(1, 2, 2, 14, 15)
    mask = any_maps(2, 2, 1, 14, 15) > 0.5
    mask[:, :, :9, :9] = False
    hidden = torch.where(mask, signal, torch.nan).requires_grad_(gradient)
    filtered = guided_filter(guide, hidden, radius=2, eps=1e-3, weights=mask)
    as_numbers = guided_filter(guide, signal, radius=2, eps=1e-3, weights=mask.double())
    lonely = torch.zeros_like(mask)
    lonely[:, :, :5, :5] = True  # no window that a pixel here lies in reaches a pixel with weight
    assert filtered.masked_select(lonely).isnan().all()  # as they came
    torch.testing.assert_close(filtered.masked_select(~lonely), as_numbers.masked_select(~lonely))
    if gradient:
        filtered.masked_select(~lonely).sum().backward()
        assert hidden.grad is not None and bool(hidden.grad.isfinite().all())


@pytest.mark.parametrize("gradient", [False, True])
def test_a_step_edge_is_kept_where_the_guide_has_it(gradient):
    guide = torch.zeros(1, 3, 20, 30, dtype=torch.float64)
    guide[..., 15:] = torch.tensor([0.6, 0.2, 0.4], dtype=torch.float64)[:, None, None]
    ragged = (guide[:, :1] > 0).double()
    ragged[..., 5:9, 13:15] = 1  # a label that spills over the edge by two pixels
    filtered = guided_filter(guide, ragged.requires_grad_(gradient), radius=6, eps=1e-4)
    assert (filtered[..., 5:9, 13:15] < 0.5).all()  # it is taken back
    assert (filtered[..., 15:] > 0.5).all()
    assert (filtered[..., 15] - filtered[..., 14]).abs().amin() > 0.6
    blurred = guided_filter(torch.zeros_like(guide), ragged, radius=6, eps=1e-4)
    assert (blurred[..., 15] - blurred[..., 14]).abs().amax() < 0.2  # with nothing to follow, a mean of means


@pytest.mark.parametrize("gradient", [False, True])
def test_large_offsets_do_not_hurt(gradient):
    guide, signal = any_maps(0, 3, 3, 30, 40, dtype=torch.float32), any_maps(1, 3, 2, 30, 40, dtype=torch.float32)
    settings_ = {"radius": 4, "temporal_radius": 1, "eps": 1e-4}
    far_guide = guide + 1000.0  # float32 keeps it to 3e-5
    exact = guided_filter_3d((far_guide - 1000.0).double(), signal.double(), **settings_)
    filtered = guided_filter_3d(far_guide, signal.requires_grad_(gradient), **settings_)
    assert (filtered.double() - exact).abs().amax() < 1e-6
    far = guided_filter_3d(guide, signal + 1000.0, **settings_) - 1000.0
    assert (far - guided_filter_3d(guide, signal, **settings_)).abs().amax() < 2e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted(dtype):
    guide, signal = any_maps(0, 2, 3, 12, 13).to(dtype), any_maps(1, 2, 2, 12, 13).to(dtype)
    weights = any_maps(2, 2, 1, 12, 13).to(dtype)
    filtered = guided_filter(guide, signal, radius=3, eps=1e-3, weights=weights)
    assert filtered.dtype == dtype
    exact = guided_filter(guide.float(), signal.float(), radius=3, eps=1e-3, weights=weights.float())
    torch.testing.assert_close(filtered, exact.to(dtype))


def test_memory_layout_does_not_matter_and_the_input_stays():
    guide, signal, weights = any_maps(0, 3, 3, 12, 14), any_maps(1, 3, 2, 12, 14), any_maps(2, 3, 2, 12, 14)
    expected = guided_filter_3d(guide, signal, radius=2, temporal_radius=1, eps=1e-3, weights=weights)
    turned = [value.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0) for value in (guide, signal, weights)]
    before = [value.clone() for value in turned]
    other = guided_filter_3d(turned[0], turned[1], radius=2, temporal_radius=1, eps=1e-3, weights=turned[2])
    assert torch.equal(other, expected)
    assert all(torch.equal(a, b) for a, b in zip(turned, before, strict=True))
    wide = any_maps(0, 1, 3, 12, 14).expand(3, -1, -1, -1)
    torch.testing.assert_close(
        guided_filter(wide, signal, radius=2, eps=1e-3), guided_filter(wide.clone(), signal, radius=2, eps=1e-3)
    )


def test_frames_of_a_batch_do_not_touch_and_classes_neither():
    guide, signal = any_maps(0, 3, 3, 12, 14), any_maps(1, 3, 4, 12, 14)
    together = guided_filter(guide, signal, radius=2, eps=1e-3)
    for i in range(3):
        alone = guided_filter(guide[i : i + 1], signal[i : i + 1, 1:2], radius=2, eps=1e-3)
        torch.testing.assert_close(alone, together[i : i + 1, 1:2], atol=1e-12, rtol=0)
    still = guided_filter_3d(guide, signal, radius=2, temporal_radius=0, eps=1e-3)
    assert torch.equal(still, together)


def test_time_runs_both_ways():
    guide, signal, weights = any_maps(0, 5, 3, 9, 8), any_maps(1, 5, 2, 9, 8), any_maps(2, 5, 1, 9, 8)
    settings_ = {"radius": 2, "temporal_radius": 2, "eps": 1e-3}
    forward = guided_filter_3d(guide, signal, weights=weights, **settings_)
    backward = guided_filter_3d(guide.flip(0), signal.flip(0), weights=weights.flip(0), **settings_)
    torch.testing.assert_close(backward.flip(0), forward, atol=1e-10, rtol=0)


def test_gradients_are_those_of_finite_differences():
    maps = [any_maps(i, 2, n, 3, 3) for i, n in enumerate((2, 1, 1))]
    guide, signal, weights = (value.requires_grad_() for value in (*maps[:2], maps[2] + 0.2))

    def run(guide, signal, weights):
        return guided_filter_3d(guide, signal, radius=1, temporal_radius=1, eps=0.05, weights=weights)

    assert torch.autograd.gradcheck(run, (guide, signal, weights))


@pytest.mark.parametrize("gradient", [False, True])
def test_weights_that_drown_in_rounding_count_as_none(gradient):
    guide, signal = any_maps(0, 1, 3, 10, 24), any_maps(1, 1, 2, 10, 24)
    weights = torch.ones(1, 1, 10, 24, dtype=torch.float64)
    weights[..., 8:] = 1e-10  # of the largest; running sums would leave nothing of them
    none = torch.where(weights < 1, 0.0, weights)
    few, no = (
        guided_filter(guide, signal.requires_grad_(gradient), radius=2, eps=1e-3, weights=w) for w in (weights, none)
    )
    assert torch.equal(few, no)
    assert torch.equal(no[..., 12:], signal[..., 12:])  # 8 and twice the radius: only windows without weight
