import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.geometry import Camera
from stc_lab.metrics import (
    absolute_trajectory_error,
    align_umeyama,
    chain_poses,
    focal_error,
    relative_pose_errors,
    rotation_error,
    scale_drift,
    translation_direction_error,
)

pytestmark = pytest.mark.bad_input

EYE = torch.eye(4).repeat(5, 1, 1)
LINE = torch.arange(5.0)[:, None] * torch.tensor([1.0, 2.0, -1.0])
SQUARE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]])


def path(points):
    T = EYE.clone().to(points.dtype)
    T[:, :3, 3] = points
    return T


@pytest.mark.parametrize(
    "measure", [rotation_error, translation_direction_error, scale_drift, absolute_trajectory_error]
)
def test_what_is_no_motion_is_named(measure):
    name = "T_world_estimated" if measure is absolute_trajectory_error else "T_estimated"
    with pytest.raises(InputError, match=f"{name} is no rigid motion"):
        measure(EYE * 2, EYE)
    with pytest.raises(InputError, match=rf"{name} must be \[b, 4, 4\], got \[4, 4\].*\[None\]"):
        measure(EYE[0], EYE)
    with pytest.raises(InputError, match="one batch size, got 4 and 5"):
        measure(EYE[:4], EYE)
    with pytest.raises(InputError, match="one dtype"):
        measure(EYE.double(), EYE)
    with pytest.raises(InputError, match=r"holds NaN.*tracking"):
        measure(EYE * float("nan"), EYE)


def test_nothing_that_moves():
    with pytest.raises(InputError, match=r"none of 5 moves by 0\.001 m.*static camera"):
        scale_drift(EYE, path(SQUARE))
    for still in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="still must be a positive length"):
            translation_direction_error(EYE, EYE, still=still)
    with pytest.raises(InputError, match="time must be 5 finite numbers"):
        scale_drift(path(SQUARE + 1), path(SQUARE + 1), time=torch.zeros(4))


def test_alignments_that_points_do_not_fix():
    with pytest.raises(InputError, match="at least 3 points, got 2"):
        align_umeyama(SQUARE[:2], SQUARE[:2])
    for offset in (0.0, 1e3):
        with pytest.raises(InputError, match=r"on one line leave the rotation.*straight ahead"):
            align_umeyama(LINE + offset, LINE)
        with pytest.raises(InputError, match=r"scale .* is open: the estimated points are all in one place"):
            align_umeyama(torch.full((5, 3), 0.1 + offset), SQUARE)
    with pytest.raises(InputError, match="the true points are all in one place"):
        align_umeyama(SQUARE, torch.full((5, 3), 0.1))
    with pytest.raises(InputError, match="in one place leave the rotation"):
        align_umeyama(torch.zeros(5, 3), SQUARE, with_scale=False)
    with pytest.raises(InputError, match=r"estimated must be floating-point \[n, 3\], got .*\[5, 4, 4\]"):
        align_umeyama(EYE, SQUARE)
    with pytest.raises(InputError, match="true holds NaN"):
        align_umeyama(SQUARE, SQUARE / 0)
    with pytest.raises(InputError, match="one batch size"):
        align_umeyama(SQUARE[:4], SQUARE)


def test_trajectories_without_a_scale():
    with pytest.raises(InputError, match=r"scale .* is open.*with_scale=False"):
        absolute_trajectory_error(EYE, path(SQUARE))
    with pytest.raises(InputError, match="at least 3 points"):
        absolute_trajectory_error(EYE[:2], EYE[:2], with_scale=False)


@pytest.mark.parametrize("gaps", [(), (0,), (5,), (1, -2)])
def test_gaps_that_no_pair_has(gaps):
    with pytest.raises(InputError, match=r"gaps must lie between 1 and 4 for 5 frames"):
        relative_pose_errors(path(SQUARE), path(SQUARE), gaps=gaps)


def test_scales_and_starts_that_are_none():
    with pytest.raises(InputError, match="scale must be positive"):
        relative_pose_errors(path(SQUARE), path(SQUARE), scale=0.0)
    with pytest.raises(InputError, match="start is no rigid motion"):
        chain_poses(EYE, EYE[0] * 2)
    with pytest.raises(InputError, match="start and T_a_b must have one dtype"):
        chain_poses(EYE, EYE[0].double())


def test_cameras_that_do_not_belong_together():
    camera = Camera.from_fov(64, 96, 60)
    with pytest.raises(InputError, match=r"32 x 48 px.*64 x 96 px.*resized"):
        focal_error(camera, camera.resized(32, 48))
    with pytest.raises(InputError, match="one for each of 1 estimates, got 2"):
        focal_error(camera, Camera(camera.K.expand(2, -1, -1), 64, 96))
