"""What is seen of a net while it learns: at the steps that were asked for, in the world of the truth."""

from itertools import pairwise

import pytest
from depth_clips import RATIO, FlatNet, tracking_clip

from stc_lab.errors import InputError
from stc_lab.experiments.depth_growth import DepthGrowth, camera_path, focal_records, growth_steps
from stc_lab.experiments.depth_lesson import grid_flows
from stc_lab.metrics import absolute_trajectory_error


def test_it_looks_at_the_steps_it_was_told() -> None:
    clip = tracking_clip()
    growth = DepthGrowth(clip, 4, tracking_clip(0), (1, 3))
    net = FlatNet().train()
    for step in range(1, 5):
        growth(step, net, RATIO)
    assert growth.steps == [1, 3] and len(growth.depths) == len(growth.paths) == len(growth.abs_rel) == 2
    assert not net.training
    assert growth.depths[0].shape == (64, 96) and growth.paths[0].shape == growth.truth.shape == (5, 4, 4)
    assert clip.depth is not None
    assert float(growth.depths[0][0, 0]) == pytest.approx(float(clip.depth[::2].median()), rel=0.01)  # its unit
    assert growth.focal == [pytest.approx(RATIO * 96)] * 2
    assert growth.path_error[0] == pytest.approx(growth.path_error[1])
    poses = tracking_clip(0).T_world_camera
    assert poses is not None and growth.truth.equal(poses[::2])
    assert growth.true_turn > 2 and growth.turn_error[0] > 0.3 * growth.true_turn  # a flat depth mistakes turn for step


def test_a_true_depth_gives_the_true_path() -> None:
    """Up to its scale, a constant depth one that is farther off."""
    clip = tracking_clip()[::2]
    assert clip.depth is not None and clip.camera is not None and clip.T_world_camera is not None
    camera = clip[0].camera
    assert camera is not None
    flows = grid_flows(clip[:-1], clip[1:])
    length = float((clip.T_world_camera[-1, :3, 3] - clip.T_world_camera[0, :3, 3]).norm())
    true = absolute_trajectory_error(camera_path(clip.depth, flows, camera), clip.T_world_camera)
    assert true.rmse < 0.05 * length and true.alignment.scale == pytest.approx(1, abs=0.15)
    tenfold = camera_path(10 * clip.depth, flows, camera)
    assert absolute_trajectory_error(tenfold, clip.T_world_camera).rmse == pytest.approx(true.rmse, abs=0.01 * length)


def test_steps_are_close_together_first() -> None:
    steps = growth_steps(150)
    gaps = [b - a for a, b in pairwise(steps)]
    assert steps[0] == 1 and steps[-1] == 150 and gaps == sorted(gaps)
    assert growth_steps(2) == (1, 2)


def test_focal_length_over_the_share_of_the_training() -> None:
    history = [{"step": 2, "focal_ratio": 0.5}, {"step": 8, "focal_ratio": 0.7}]
    assert focal_records(history, 100) == [{"share": 0.25, "focal": 50.0}, {"share": 1.0, "focal": 70.0}]


@pytest.mark.bad_input
def test_what_cannot_be_watched() -> None:
    clip = tracking_clip()
    with pytest.raises(InputError, match="frame must lie between 0 and 8"):
        DepthGrowth(clip, 9, clip, (1,))
    with pytest.raises(InputError, match="3 frames 5 apart"):
        DepthGrowth(clip, 0, clip, (1,), hop=5)
    with pytest.raises(InputError, match="at least 2 steps"):
        growth_steps(1)
    with pytest.raises(InputError, match="no training records"):
        focal_records([], 100)
