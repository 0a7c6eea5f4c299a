"""Gradients of the splats: against finite differences, and where there must be none."""

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch

from stc_lab.geometry import (
    Camera,
    Warped,
    forward_splat,
    forward_splat_sources,
    pose_from,
    splat_by_flow,
)
from stc_lab.geometry.splat import FlowMode, Mode

MODES: tuple[Mode, ...] = get_args(Mode)
FLOW_MODES: tuple[FlowMode, ...] = get_args(FlowMode)
H, W = 4, 5
STILL = [0.02, 0.01, -0.03, 0.1, 0.05, 0.02]  # rad, m
AHEAD = [0.0, 0.0, 0.0, 0.151, 0.034, -1.896]  # to 4 mm from the nearest point, which stays in view
ASIDE = [0.0, 0.0, 0.0, 1.3, 0.4, 0.0]  # most points leave the image, some cross its border


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def camera_of(parameters: torch.Tensor) -> Camera:
    """fx, fy, skew, cx, cy."""
    fx, fy, skew, cx, cy = parameters.unbind()
    o, one = torch.zeros_like(fx), torch.ones_like(fx)
    return Camera(torch.stack([fx, skew, cx, o, fy, cy, o, o, one]).reshape(1, 3, 3), H, W)


def arguments(motion: list[float]) -> dict[str, torch.Tensor]:
    depth = 2.1 + 0.1 * random(1, 1, H, W, seed=1).sin()
    depth[..., 2, 2] = 1.9
    return {
        "source": random(1, 2, H, W),
        "depth": depth,
        "motion": torch.tensor([motion], dtype=torch.float64),
        "intrinsics": torch.tensor([5.0, 5.5, 0.1, 2.4, 2.1], dtype=torch.float64),
        "intrinsics_target": torch.tensor([5.2, 5.1, 0.0, 2.6, 1.9], dtype=torch.float64),
        "importance": random(1, 1, H, W, seed=2),
    }


def splat(given: dict[str, torch.Tensor], mode: Mode, own_importance: bool) -> Warped:
    return forward_splat(
        given["source"],
        given["depth"],
        camera_of(given["intrinsics"]),
        pose_from(given["motion"][:, :3], given["motion"][:, 3:]),
        camera_target=camera_of(given["intrinsics_target"]),
        mode=mode,
        sharpness=2.0,
        importance=given["importance"] if own_importance else None,
    )


CASES = [(mode, False, name) for mode in MODES for name in arguments(STILL) if name != "importance"]
CASES += [("softmax", True, name) for name in ("source", "depth", "importance")]


@pytest.mark.parametrize(("mode", "own_importance", "name"), CASES)
@pytest.mark.parametrize("motion", [STILL, AHEAD, ASIDE], ids=["inside", "near z = 0", "over the border"])
def test_gradient_is_the_finite_difference(motion: list[float], mode: Mode, own_importance: bool, name: str) -> None:
    given = arguments(motion)
    assert splat(given, mode, own_importance).visible.any()

    def of_one(value: torch.Tensor) -> torch.Tensor:
        return splat(given | {name: value}, mode, own_importance).image

    # Close to z = 0 the image is far from linear in the depth: the step must be short there.
    tolerance = {"eps": 1e-8, "atol": 1e-4, "rtol": 1e-3} if motion is AHEAD else {}
    assert torch.autograd.gradcheck(of_one, given[name].requires_grad_(), **tolerance)


@pytest.mark.parametrize("mode", MODES)
def test_the_shared_camera_gets_both_gradients(mode: Mode) -> None:
    given = arguments(STILL)

    def of_intrinsics(intrinsics: torch.Tensor) -> torch.Tensor:
        pose = pose_from(given["motion"][:, :3], given["motion"][:, 3:])
        return forward_splat(given["source"], given["depth"], camera_of(intrinsics), pose, mode=mode).image

    assert torch.autograd.gradcheck(of_intrinsics, given["intrinsics"].requires_grad_())


@pytest.mark.parametrize("mode", MODES)
def test_gradients_of_several_sources(mode: Mode) -> None:
    camera = camera_of(arguments(STILL)["intrinsics"]).cropped(1, 1, 3, 4)
    motions = torch.tensor([STILL, [-v for v in STILL]], dtype=torch.float64)

    def of_all(sources: torch.Tensor, depths: torch.Tensor, motions: torch.Tensor) -> torch.Tensor:
        T = pose_from(motions[:, :3], motions[:, 3:])[None]
        return forward_splat_sources(sources, depths, camera, T, mode=mode, sharpness=2.0).image

    given = (random(1, 2, 1, 3, 4), 2 + 0.1 * random(1, 2, 1, 3, 4, seed=1).sin(), motions)
    assert torch.autograd.gradcheck(of_all, [value.requires_grad_() for value in given])


@pytest.mark.parametrize("mode", FLOW_MODES)
def test_gradients_of_the_flow_splat(mode: FlowMode) -> None:
    flow = 2 * random(1, 2, H, W, seed=3)

    def of_all(source: torch.Tensor, flow: torch.Tensor, importance: torch.Tensor) -> torch.Tensor:
        return splat_by_flow(source, flow, mode=mode, importance=importance if mode == "softmax" else None).image

    given = (random(1, 2, H, W), flow, random(1, 1, H, W, seed=2))
    assert torch.autograd.gradcheck(of_all, [value.requires_grad_() for value in given])


@pytest.mark.parametrize("mode", MODES)
def test_points_that_are_not_seen_make_no_nan_and_no_gradient(mode: Mode) -> None:
    camera = Camera.from_fov(6, 7, 60.0)
    depth = torch.full((1, 1, 6, 7), 2.0)
    depth[0, 0, 0] = torch.tensor([0.0, -1.0, -1e30, 0.0, 1e-30, 1e25, 3e38])
    depth.requires_grad_()
    source = random(1, 2, 6, 7).float().requires_grad_()
    turn = torch.zeros(1, 3)
    before, behind, aside = ([0.1, 0.0, 0.1], [0.0, 0.0, -3.0], [1e6, 0.0, 0.0])
    for shift in (before, behind, aside):
        T = pose_from(turn, torch.tensor([shift]))
        warped = forward_splat(source, depth, camera, T, mode=mode)
        assert warped.image.isfinite().all()
        grads = torch.autograd.grad(warped.image.square().sum(), (source, depth))
        assert all(grad.isfinite().all() for grad in grads)
        unknown = [0, 1, 2, 3, 5, 6]
        assert all((grad[:, :, 0, unknown] == 0).all() for grad in grads)
        if shift is before:
            assert grads[1].abs().sum() > 0
        else:
            assert not warped.visible.any()
            assert (warped.image == 0).all()
            assert all((grad == 0).all() for grad in grads)


@pytest.mark.parametrize("mode", MODES)
def test_measured_depth_may_hold_what_is_not_finite(mode: Mode) -> None:
    camera, T = Camera.from_fov(6, 7, 60.0), pose_from(torch.zeros(1, 3), torch.tensor([[0.1, 0.0, 0.1]]))
    depth = torch.full((1, 1, 6, 7), 2.0)
    depth[0, 0, 0] = torch.tensor([math.nan, math.inf, -math.inf, math.nan, 2.0, 2.0, 2.0])
    source = random(1, 2, 6, 7).float()
    source[..., 0, :4] = math.nan
    T, source = T.requires_grad_(), source.requires_grad_()
    warped = forward_splat(source, depth, camera, T, mode=mode)
    assert warped.image.isfinite().all()
    grads = torch.autograd.grad(warped.image.square().sum(), (source, T))
    assert all(grad.isfinite().all() for grad in grads)
    assert (grads[0][..., 0, :4] == 0).all()


@pytest.mark.parametrize("mode", MODES)
def test_no_pixel_has_a_gradient_without_bound(mode: Mode) -> None:
    """A share of 0.001 is the least that is divided by, however near its surface: not even then does it explode."""
    camera = Camera.from_parameters(8.0, 8.0, 7.5, 1.0, height=3, width=16)
    depth = torch.full((1, 1, 3, 16), 4.0)
    depth[..., 8:10] = 0.5
    source = random(1, 1, 3, 16).float()
    step: Callable[[float], torch.Tensor] = lambda x: torch.tensor([[x, 0.0, 0.0]])  # noqa: E731
    for x in (0.0, 1e-8, 1e-6, 1e-5, 1e-4, 0.01, 0.25, 0.5):
        shift = step(x).requires_grad_()
        image = forward_splat(source, depth, camera, pose_from(torch.zeros(1, 3), shift), mode=mode).image
        pixels_per_metre = 8.0 / 0.5
        assert torch.autograd.grad(image.sum(), shift)[0].abs().max() < 16 * 3 * pixels_per_metre * 4 / 1e-3
