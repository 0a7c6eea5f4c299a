"""What a disturbance does to depth, camera, motion and image, against the words that name it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stc_lab.errors import InputError
from stc_lab.experiments.disturb import Disturbance
from stc_lab.geometry import Camera, DepthTolerance, transform

CAMERA = Camera.from_parameters(100.0, 90.0, 79.5, 59.5, height=120, width=160)
AHEAD = torch.tensor([0.0, 0.0, 2.0]).reshape(1, 3, 1, 1)
STILL = torch.eye(4)[None]


def test_nothing_is_disturbed_by_default() -> None:
    none = Disturbance()
    depth, image = torch.rand(1, 1, 4, 5), torch.rand(1, 3, 4, 5)
    assert none.changed == () and not none.moves_pixels
    assert none.of_depth(depth) is depth and none.of_image(image) is image and none.of_motion(STILL) is STILL
    assert none.of_camera(CAMERA) is CAMERA and none.of_tolerance(DepthTolerance()) == DepthTolerance()


@given(yaw=st.floats(-60, 60), distance=st.floats(0.5, 20))
def test_a_source_that_looks_too_far_right_sees_what_is_ahead_on_its_left(yaw: float, distance: float) -> None:
    x, y, z = transform(Disturbance(yaw=yaw).of_motion(STILL), AHEAD * distance / 2).flatten().tolist()
    assert math.degrees(math.atan2(x, z)) == pytest.approx(-yaw, abs=1e-3)
    assert y == pytest.approx(0, abs=1e-5) and math.hypot(x, z) == pytest.approx(distance, rel=1e-5)


@given(pitch=st.floats(-60, 60))
def test_a_source_that_looks_too_high_sees_what_is_ahead_below(pitch: float) -> None:
    x, y, z = transform(Disturbance(pitch=pitch).of_motion(STILL), AHEAD).flatten().tolist()
    assert math.degrees(math.atan2(y, z)) == pytest.approx(pitch, abs=1e-3)  # y is down
    assert x == pytest.approx(0, abs=1e-5)


def test_a_source_too_far_right_sees_everything_as_much_further_left() -> None:
    moved = transform(Disturbance(shift=0.25).of_motion(STILL), AHEAD).flatten().tolist()
    assert moved == pytest.approx([-0.25, 0.0, 2.0])


def test_depth_focal_length_and_tolerance_are_multiplied() -> None:
    wrong = Disturbance(depth_scale=1.5, focal_scale=0.8, tolerance=3.0)
    assert torch.equal(wrong.of_depth(torch.full((1, 1, 2, 2), 2.0)), torch.full((1, 1, 2, 2), 3.0))
    K = wrong.of_camera(CAMERA).K[0]
    assert torch.allclose(K, torch.tensor([[80.0, 0, 79.5], [0, 72.0, 59.5], [0, 0, 1]]))
    assert wrong.of_tolerance(DepthTolerance(0.02, 0.01)) == DepthTolerance(0.06, 0.03)
    assert wrong.changed == ("depth_scale", "focal_scale", "tolerance") and wrong.moves_pixels


def test_a_stop_more_doubles_the_light() -> None:
    image = torch.tensor([0.1, 0.4, 0.9]).reshape(1, 3, 1, 1)
    brighter = Disturbance(exposure=1).of_image(image)
    light = image**2.2 * 2
    assert torch.allclose(brighter, (light ** (1 / 2.2)).clamp(max=1))
    assert not Disturbance(exposure=1).moves_pixels


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth_scale", 0),
        ("depth_scale", float("nan")),
        ("yaw", 91),
        ("pitch", "3"),
        ("exposure", float("inf")),
        ("tolerance", -1),
        ("shift", True),
        ("focal_scale", 0),
    ],
)
def test_what_is_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        Disturbance(**{name: value})  # type: ignore[arg-type]  # what is wrong with it is the test
