"""The guided filter on a coarse grid: against loops, scikit-learn's weighted ridge, and what must hold of it."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from stc_lab.errors import InputError
from stc_lab.filters import guided_filter_3d, weighted_guided_upsample


def any_maps(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def kernel(n: int, halvings: int) -> np.ndarray:
    """[coarse, fine]: the weight of each place in each coarse one, by loops over [1 3 3 1] / 8."""
    total = np.eye(n)
    for _ in range(halvings):
        m = total.shape[0]
        one = np.zeros(((m + 1) // 2, m))
        for i, j in np.ndindex(one.shape):
            one[i, j] = {-1: 1, 0: 3, 1: 3, 2: 1}.get(j - 2 * i, 0) / 8
        total = one @ total
    return total


def rise(n: int, halvings: int) -> np.ndarray:
    """[fine, coarse]: linear interpolation between coarse centres, halving by halving."""
    sizes = [n]
    for _ in range(halvings):
        sizes.append((sizes[-1] + 1) // 2)
    total = np.eye(n)
    for fine, coarse in itertools.pairwise(sizes):
        one = np.zeros((fine, coarse))
        for i in range(fine):
            place = (i - 0.5) / 2
            low = int(np.floor(place))
            for j, share in ((low, 1 - (place - low)), (low + 1, place - low)):
                one[i, min(max(j, 0), coarse - 1)] += share
        total = total @ one
    return total


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("temporal_factor", "halvings_in_time"), [(1, 0), (2, 1), (4, 2)])
def test_equals_weighted_ridge_regression_in_every_cell(
    channels: int, temporal_factor: int, halvings_in_time: int
) -> None:
    frames, height, width = 5, 9, 12
    guide, signal = any_maps(0, frames, channels, height, width), any_maps(1, frames, 1, height, width)
    weights = any_maps(2, frames, 1, height, width) * (any_maps(3, frames, 1, height, width) > 0.3)
    found = weighted_guided_upsample(
        guide, signal, factor=2, temporal_factor=temporal_factor, eps=1e-3, weights=weights, clip=False
    )
    down = [kernel(n, halvings) for n, halvings in ((frames, halvings_in_time), (height, 1), (width, 1))]
    up = [rise(n, halvings) for n, halvings in ((frames, halvings_in_time), (height, 1), (width, 1))]
    flat = guide.numpy().transpose(0, 2, 3, 1).reshape(-1, channels)
    lines = np.zeros((channels + 1, *(len(part) for part in down)))
    for t, y, x in np.ndindex(lines.shape[1:]):
        share = np.einsum("t,h,w->thw", down[0][t], down[1][y], down[2][x]) * weights[:, 0].numpy()
        model = Ridge(alpha=1e-3 * share.sum(), solver="cholesky")
        model.fit(flat, signal.numpy().ravel(), sample_weight=share.ravel())
        lines[:, t, y, x] = (*model.coef_, model.intercept_)
    full = np.einsum("ctyx,Tt,Yy,Xx->cTYX", lines, *up)
    expected = (full[:-1] * guide.numpy().transpose(1, 0, 2, 3)).sum(axis=0) + full[-1]
    torch.testing.assert_close(found[:, 0], torch.from_numpy(expected), atol=1e-8, rtol=0)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    factor=st.sampled_from([1, 2, 4, 8]),
    temporal_factor=st.sampled_from([1, 2, 4]),
    value=st.floats(0, 1),
)
def test_a_constant_signal_stays(seed: int, factor: int, temporal_factor: int, value: float) -> None:
    guide, weights = any_maps(seed, 3, 2, 11, 7), any_maps(seed + 1, 3, 1, 11, 7) + 0.01
    signal = torch.full((3, 2, 11, 7), value, dtype=torch.float64)
    found = weighted_guided_upsample(guide, signal, factor=factor, temporal_factor=temporal_factor, weights=weights)
    torch.testing.assert_close(found, signal, atol=1e-9, rtol=0)


def test_a_line_of_the_guide_is_kept_and_a_factor_of_one_changes_nothing() -> None:
    guide = any_maps(0, 2, 3, 16, 24)
    signal = 0.2 + (guide * torch.tensor([0.3, -0.1, 0.2])[:, None, None]).sum(dim=1, keepdim=True)
    kept = weighted_guided_upsample(guide, signal, factor=8, eps=1e-12)
    torch.testing.assert_close(kept, signal, atol=1e-6, rtol=0)
    anything = any_maps(1, 2, 4, 16, 24)
    same = weighted_guided_upsample(guide, anything, factor=1)
    torch.testing.assert_close(same, anything, atol=1e-9, rtol=0)


def test_what_has_no_weight_is_not_looked_at() -> None:
    guide, signal = any_maps(0, 2, 3, 16, 16), any_maps(1, 2, 2, 16, 16)
    weights = torch.ones(2, 1, 16, 16, dtype=torch.bool)
    weights[:, :, :, 6:] = False
    spoilt = torch.where(weights, signal, torch.full_like(signal, torch.nan))
    found = weighted_guided_upsample(guide, spoilt, factor=4, weights=weights)
    clean = weighted_guided_upsample(guide, torch.where(weights, signal, 0.7), factor=4, weights=weights)
    assert torch.equal(found[..., :12], clean[..., :12]) and bool(found[..., :12].isfinite().all())
    assert bool(found[..., -1].isnan().all())  # no weight reaches it: it keeps its value


def test_each_class_has_its_own_weights() -> None:
    guide, signal, weights = any_maps(0, 1, 3, 12, 12), any_maps(1, 1, 3, 12, 12), any_maps(2, 1, 3, 12, 12)
    together = weighted_guided_upsample(guide, signal, factor=4, weights=weights)
    for k in range(3):
        alone = weighted_guided_upsample(guide, signal[:, k, None], factor=4, weights=weights[:, k, None])
        torch.testing.assert_close(together[:, k, None], alone)


def test_it_resembles_the_sliding_filter() -> None:
    """Other windows, the same idea: on a picture of blobs the two differ by little, and both mend the signal."""
    blobs = F.interpolate(any_maps(0, 1, 1, 6, 8), size=(48, 64), mode="bicubic", align_corners=False).clamp(0, 1)
    noisy = (blobs + 0.5 * (any_maps(1, 1, 1, 48, 64) - 0.5)).clamp(0, 1)
    coarse = weighted_guided_upsample(blobs, noisy, factor=8, eps=1e-3)
    sliding = guided_filter_3d(blobs, noisy, radius=8, temporal_radius=0, eps=1e-3)
    assert float((coarse - sliding).abs().mean()) < 0.02
    assert float((coarse - blobs).abs().mean()) < 0.5 * float((noisy - blobs).abs().mean())


def test_the_result_is_cut_unless_asked_otherwise() -> None:
    guide = any_maps(0, 1, 1, 16, 16)
    signal = (guide > 0.5).double()
    whole = weighted_guided_upsample(guide, signal, factor=4, clip=False)
    assert float(whole.max()) > 1
    assert torch.equal(weighted_guided_upsample(guide, signal, factor=4), whole.clamp(0, 1))


def test_gradients() -> None:
    inputs = tuple(any_maps(i, 2, 2, 5, 6).requires_grad_() for i in range(3))
    assert torch.autograd.gradcheck(
        lambda g, s, w: weighted_guided_upsample(g, s, factor=2, temporal_factor=2, eps=0.1, weights=w, clip=False),
        inputs,
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_signals_dtype_comes_back(dtype: torch.dtype) -> None:
    guide, signal = any_maps(0, 1, 3, 16, 16, dtype=dtype), any_maps(1, 1, 2, 16, 16, dtype=dtype)
    found = weighted_guided_upsample(guide, signal, factor=4)
    exact = weighted_guided_upsample(guide.double(), signal.double(), factor=4)
    assert found.dtype == dtype
    torch.testing.assert_close(found, exact.to(dtype))


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factor": 3}, r"factor must be a power of 2 .* got 3"),
        ({"factor": 0}, "factor must be a power of 2"),
        ({"temporal_factor": 6}, "temporal_factor must be a power of 2"),
        ({"eps": 0.0}, "eps must be larger than 0"),
        ({"weights": torch.ones(1, 3, 8, 8)}, r"weights must be \[1, 1, 8, 8\] or \[1, 2, 8, 8\]"),
        ({"weights": -torch.ones(1, 1, 8, 8)}, "not negative"),
    ],
)
def test_bad_input(changes: dict[str, object], message: str) -> None:
    guide, signal = any_maps(0, 1, 3, 8, 8, dtype=torch.float32), any_maps(1, 1, 2, 8, 8, dtype=torch.float32)
    with pytest.raises(InputError, match=message):
        weighted_guided_upsample(guide, signal, **changes)  # type: ignore[arg-type]  # wrong on purpose
