"""Motion between frames against what was drawn: turns, steps, distances and overlap that are known beforehand."""

from dataclasses import replace

import pytest
import torch
from planar_clips import planar_clip

from stc_lab.errors import InputError
from stc_lab.experiments.clip_motion import clip_motion


def test_turns_and_steps_are_those_of_the_path() -> None:
    clip = planar_clip([[0.1 * i, 0.0, 0.0] for i in range(5)], turns=[[0.0, 0.02 * i, 0.0] for i in range(5)])
    for motion in clip_motion(clip, [1, 2, 4]):
        assert motion.turn == pytest.approx(torch.rad2deg(torch.tensor(0.02)).item() * motion.gap, rel=1e-6)
        assert motion.step == pytest.approx(0.1 * motion.gap, rel=1e-6)
    overlaps = [motion.overlap for motion in clip_motion(clip, [1, 2, 4])]
    assert overlaps == sorted(overlaps, reverse=True)


def test_a_step_towards_a_thing_changes_its_distance() -> None:
    still = clip_motion(planar_clip([[0.0, 0.0, 0.0]] * 2), [1])[0]
    assert still.zoom == pytest.approx(0, abs=1e-9) and still.overlap == 1.0
    near = clip_motion(planar_clip([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), [1])[0]
    assert near.zoom is not None and 0.2 < near.zoom <= 0.5  # the wall at 4 m, the card at 2 m


def test_without_depth_turn_and_step_remain() -> None:
    clip = replace(planar_clip([[0.0, 0.0, 0.0], [0.3, 0.0, 0.0]]), depth=None)
    (motion,) = clip_motion(clip, [1])
    assert motion.step == pytest.approx(0.3) and motion.zoom is None and motion.overlap is None


@pytest.mark.bad_input
@pytest.mark.parametrize("gaps", [[0], [1, 2], []])
def test_gaps_that_do_not_fit_are_refused(gaps: list[int]) -> None:
    with pytest.raises(InputError, match="gaps must lie between 1 and 1 for 2 frames"):
        clip_motion(planar_clip([[0.0, 0.0, 0.0]] * 2), gaps)
