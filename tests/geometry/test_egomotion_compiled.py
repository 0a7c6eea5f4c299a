"""The compiled loops of egomotion say what the plain tensors say, whatever the layout and whatever is unknown."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sights import SIZE, bumps, exact_sight, with_depths, with_noise
from torch import Tensor
from warp_inputs import normal, some_camera, some_motion

from stc_lab.geometry import Flow, compose_poses, egomotion
from stc_lab.geometry.egomotion import Sight, Trust, depth_steps, fit_motion, focal_step

TOLERANCE = {torch.float32: 2e-3, torch.float64: 1e-8}  # relative, of sums that cancel in part


def untidy(dtype: torch.dtype, *, cameras: int = 1, seed: int = 0) -> tuple[Sight, Tensor]:
    """Noise, wrong depths, all marks of the unknown, points behind the camera; the fourth pair shows nothing."""
    T = some_motion(4, seed=seed)
    T[2, 2, 3] = -1.8  # walks through much of what it sees
    camera = some_camera(*SIZE, batch=cameras, seed=seed, skew=0.5)
    sight, _ = exact_sight(motion=T, seed=seed, camera=camera)
    sight = with_noise(with_depths(sight, (0.2 * bumps(4, seed=seed + 1)).exp()), 0.1, seed=seed)
    depths, flows = [], []
    for i, (depth, flow) in enumerate(((sight.depth_a, sight.flow_ab), (sight.depth_b, sight.flow_ba))):
        place = normal(*depth.shape, seed=seed + 10 + i)
        depth, values = depth.clone(), flow.flow.clone()
        for mark, (low, high) in {0.0: (-9, -1.5), torch.nan: (1.5, 9), torch.inf: (1.2, 1.5), -1.0: (1, 1.2)}.items():
            depth[(place > low) & (place < high)] = mark
        place = normal(*values.shape, seed=seed + 20 + i)
        for mark, (low, high) in {torch.nan: (-9, -1.8), -torch.inf: (1.8, 9), 1e10: (1.6, 1.8)}.items():
            values[(place > low) & (place < high)] = mark
        visible = flow.visible & (normal(*flow.visible.shape, seed=seed + 30 + i) > -1)
        visible[3] = False
        depths.append(depth.to(dtype))
        flows.append(Flow(values.to(dtype), visible))
    return Sight(depths[0], depths[1], flows[0], flows[1], camera.to(dtype=dtype)), T.to(dtype)


def both(call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], list[Tensor]]:
    """All tensors that come of it, by the compiled loops and by plain operations."""
    compiled = flat(call())
    asked = []

    def never(*values: Tensor) -> bool:
        asked.append(values)
        return False

    monkeypatch.setattr(egomotion, "compilable", never)
    plain = flat(call())
    monkeypatch.undo()
    assert asked
    return compiled, plain


def flat(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [tensor for item in value for tensor in flat(item)]


def agree(compiled: list[Tensor], plain: list[Tensor], dtype: torch.dtype) -> None:
    for found, expected in zip(compiled, plain, strict=True):
        assert found.dtype == expected.dtype == dtype and found.shape == expected.shape
        assert bool(found.isfinite().all())
        size = float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * max(size, 1e-3))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("cameras", [1, 4])
@pytest.mark.parametrize("doubt", [0.0, 0.3])
def test_both_agree(dtype: torch.dtype, cameras: int, doubt: float, monkeypatch: pytest.MonkeyPatch) -> None:
    sight, T = untidy(dtype, cameras=cameras, seed=cameras)
    trust = Trust(0.1, doubt)
    off = compose_poses(some_motion(4, seed=9, size=0.1, dtype=dtype), T)
    agree(*both(lambda: focal_step(sight, off, trust=trust), monkeypatch), dtype)
    agree(*both(lambda: depth_steps(sight, off, trust=trust, along=5.0, across=2.0), monkeypatch), dtype)
    agree(*both(lambda: fit_motion(sight, trust=trust, start=off, iterations=3), monkeypatch), dtype)


def test_both_leave_out_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    sight, T = untidy(torch.float64, seed=2)
    compiled, plain = both(lambda: depth_steps(sight, T), monkeypatch)
    for found, expected in zip(compiled, plain, strict=True):
        assert torch.equal(found == 0, expected == 0)
        assert 0.2 < float((expected[:3] == 0).float().mean()) < 0.9


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_no_layout_in_memory_changes_a_thing(dtype: torch.dtype) -> None:
    """Views of larger arrays, channels last, and matrices that are transposed in memory."""
    sight, T = untidy(dtype, cameras=4, seed=3)

    def scattered(value: Tensor) -> Tensor:
        larger = value.new_zeros(*value.shape[:-2], 2 * value.shape[-2], 3 * value.shape[-1])
        larger[..., ::2, ::3] = value
        return larger[..., ::2, ::3]

    flows = [Flow(scattered(flow.flow), scattered(flow.visible)) for flow in (sight.flow_ab, sight.flow_ba)]
    camera = replace(sight.camera, K=scattered(sight.camera.K))
    other = Sight(scattered(sight.depth_a), scattered(sight.depth_b), flows[0], flows[1], camera)
    assert not other.depth_a.is_contiguous()
    for call in (lambda s, T: fit_motion(s, start=T, iterations=2), focal_step, depth_steps):
        for found, expected in zip(flat(call(other, T.mT.contiguous().mT)), flat(call(sight, T)), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-7)


def test_a_gradient_wanted_of_what_goes_in_is_no_hindrance() -> None:
    sight, T = exact_sight(2, seed=4)
    wanted = replace(
        sight,
        depth_a=sight.depth_a.clone().requires_grad_(),
        flow_ba=Flow(sight.flow_ba.flow.clone().requires_grad_(), sight.flow_ba.visible),
        camera=replace(sight.camera, K=sight.camera.K.clone().requires_grad_()),
    )
    for call in (lambda s, T: fit_motion(s, start=T), focal_step, depth_steps):
        for found, expected in zip(flat(call(wanted, T.clone().requires_grad_())), flat(call(sight, T)), strict=True):
            assert not found.requires_grad
            assert torch.equal(found, expected)
