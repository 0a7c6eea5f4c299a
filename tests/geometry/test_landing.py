"""Where depth and motion put a pixel, and the derivatives of that, against central differences of the rigid flow."""

import math
from collections.abc import Callable

import pytest
import torch
from sights import exact_sight, longer
from torch import Tensor
from warp_inputs import normal, some_camera, some_depth, some_motion

from stc_lab.geometry import Camera, compose_poses, invert_pose, pose_from, rigid_flow
from stc_lab.geometry.landing import Landing, landing_errors

H, W = 7, 9
STEP = 1e-6
CAMERAS = {
    "one for all": some_camera(H, W),
    "off centre": Camera.from_parameters(11.0, 8.0, -3.0, 9.5, height=H, width=W, dtype=torch.float64),
    "one a pair, skewed": some_camera(H, W, batch=3, seed=4, skew=1.5),
}
DEPTH, T = some_depth(3, H, W, seed=1), some_motion(3, seed=2)
FLOW = normal(3, 2, H, W, seed=3)


def error_of(depth: Tensor, camera: Camera, motion: Tensor) -> Tensor:
    """Where the package's rigid flow puts the pixels, minus where the flow does."""
    return (rigid_flow(depth, camera, motion).flow - FLOW).flatten(2)


def slope(error: Callable[[float], Tensor]) -> Tensor:
    return (error(STEP) - error(-STEP)) / (2 * STEP)


def moved(coordinate: int, step: float) -> Tensor:
    vector = torch.zeros(1, 6, dtype=torch.float64)
    vector[0, coordinate] = step
    return pose_from(vector[:, :3], vector[:, 3:]).expand(3, 4, 4)


@pytest.fixture(params=sorted(CAMERAS))
def camera(request: pytest.FixtureRequest) -> Camera:
    return CAMERAS[request.param]


def test_the_error_is_the_rigid_flows(camera: Camera) -> None:
    landing = landing_errors(DEPTH, FLOW, camera, T)
    torch.testing.assert_close(landing.error, error_of(DEPTH, camera, T), atol=1e-12, rtol=1e-12)
    assert bool(landing.real.all())


def test_the_error_is_zero_where_depth_motion_and_flow_agree(camera: Camera) -> None:
    flow = rigid_flow(DEPTH, camera, T).flow
    assert float(landing_errors(DEPTH, flow, camera, T).error.abs().max()) < 1e-12


@pytest.mark.parametrize("coordinate", range(6))
def test_derivative_by_the_motion(camera: Camera, coordinate: int) -> None:
    found = landing_errors(DEPTH, FLOW, camera, T).by_motion[:, :, coordinate]
    expected = slope(lambda step: error_of(DEPTH, camera, compose_poses(moved(coordinate, step), T)))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("coordinate", range(6))
def test_derivative_by_the_motion_the_other_way(camera: Camera, coordinate: int) -> None:
    there = invert_pose(T)  # what is turned and shifted; its inverse is what takes these pixels over
    found = landing_errors(DEPTH, FLOW, camera, T, backward=True).by_motion[:, :, coordinate]
    expected = slope(lambda step: error_of(DEPTH, camera, invert_pose(compose_poses(moved(coordinate, step), there))))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("backward", [False, True])
def test_derivatives_by_depth_and_by_focal_length(camera: Camera, backward: bool) -> None:
    """A skew grows with the focal lengths, as when an image is resized."""
    landing = landing_errors(DEPTH, FLOW, camera, T, backward=backward)
    by_depth = slope(lambda step: error_of(DEPTH * math.exp(step), camera, T))
    by_focal = slope(lambda step: error_of(DEPTH, longer(camera, math.exp(step)), T))
    torch.testing.assert_close(landing.by_log_depth, by_depth, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(landing.by_log_focal, by_focal, atol=1e-6, rtol=1e-6)


def test_a_receding_pixel_slides_along_its_epipolar_line(camera: Camera) -> None:
    """Two depths of one pixel land on a line; its direction is the derivative's."""
    landing = landing_errors(DEPTH, FLOW, camera, T)
    way = error_of(DEPTH * 1.7, camera, T) - error_of(DEPTH, camera, T)
    slide = landing.by_log_depth
    assert float((way[:, 0] * slide[:, 1] - way[:, 1] * slide[:, 0]).abs().max()) < 1e-9
    assert float((way * slide).sum(dim=1).min()) > 0


def test_without_translation_no_depth_moves_a_pixel(camera: Camera) -> None:
    turn = T.clone()
    turn[:, :3, 3] = 0
    assert float(landing_errors(DEPTH, FLOW, camera, turn).by_log_depth.abs().max()) < 1e-12


def test_without_motion_no_lens_moves_a_pixel(camera: Camera) -> None:
    still = torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    landing = landing_errors(DEPTH, FLOW, camera, still)
    assert float(landing.by_log_focal.abs().max()) < 1e-12
    torch.testing.assert_close(landing.error, -FLOW.flatten(2), atol=1e-12, rtol=0)


UNKNOWN = {
    "depth 0": (0.0, 0.0),
    "depth below 0": (-2.0, 0.0),
    "depth NaN": (torch.nan, 0.0),
    "depth inf": (torch.inf, 0.0),
    "flow NaN": (2.0, torch.nan),
    "flow -inf": (2.0, -torch.inf),
    "flow of the Middlebury mark": (2.0, 1e10),
}


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_is_not_real_and_harms_no_number(case: str, dtype: torch.dtype, backward: bool) -> None:
    bad_depth, bad_flow = UNKNOWN[case]
    depth, flow = DEPTH.clone(), FLOW.clone()
    depth[:, 0, 2, 3], flow[:, 1, 2, 3] = bad_depth, bad_flow
    camera = CAMERAS["one for all"].to(dtype=dtype)
    landing = landing_errors(depth.to(dtype), flow.to(dtype), camera, T.to(dtype), backward=backward)
    expected = torch.ones(3, H, W, dtype=torch.bool)
    expected[:, 2, 3] = False
    assert torch.equal(landing.real, expected.flatten(1))
    assert all(bool(value.isfinite().all()) for value in numbers(landing))
    clean = landing_errors(DEPTH.to(dtype), FLOW.to(dtype), camera, T.to(dtype), backward=backward)
    for value, other in zip(numbers(landing), numbers(clean), strict=True):
        kept = expected.flatten(1).reshape(3, *[1] * (value.ndim - 2), H * W).expand_as(value)
        assert torch.equal(value[kept], other[kept])


def numbers(landing: Landing) -> tuple[Tensor, ...]:
    return landing.error, landing.by_motion, landing.by_log_depth, landing.by_log_focal


def test_points_behind_the_camera_or_in_its_very_centre_are_not_real() -> None:
    back = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    back[:, 2, 3] = torch.tensor([-2.0, -2.5, 0.0]).double()
    depth = torch.full_like(DEPTH, 2.0)
    depth[0, 0, 0, 0] = 2.002  # 2 mm before the camera: just in front
    landing = landing_errors(depth, FLOW, CAMERAS["one for all"], back)
    assert landing.real.sum(dim=1).tolist() == [1, 0, H * W]
    assert bool(landing.real[0, 0])
    assert all(bool(value.isfinite().all()) for value in numbers(landing))


def test_autograd_agrees_with_the_derivative_by_depth() -> None:
    sight, motion = exact_sight(2, seed=3)
    depth = sight.depth_a.clone().requires_grad_()
    flow = sight.flow_ab.flow + 1
    landing = landing_errors(depth, flow, sight.camera, motion)
    (by_depth,) = torch.autograd.grad(landing.error[:, 0].sum(), depth)
    expected = landing.by_log_depth[:, 0].reshape(depth.shape) / depth
    torch.testing.assert_close(by_depth, expected, atol=1e-10, rtol=1e-8)
