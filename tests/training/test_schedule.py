"""Schedules are pure functions of the step."""

import pytest
import torch

from stc_lab.training.schedule import one_cycle, ramp


@pytest.mark.parametrize(("steps", "warm_up"), [(50, 0.1), (37, 0.3), (20, 0.5)])
def test_one_cycle_is_that_of_torch(steps, warm_up):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=warm_up)
    for step in range(steps):
        assert one_cycle(step, steps, peak=3e-3, warm_up=warm_up) == pytest.approx(optimiser.param_groups[0]["lr"])
        if step + 1 < steps:
            optimiser.step()
            theirs.step()


@pytest.mark.parametrize(("steps", "warm_up"), [(1, 0.1), (2, 0.0), (2, 1.0), (5, 0.1), (3, 1.0)])
def test_one_cycle_stays_between_its_ends_in_the_shortest_runs(steps, warm_up):
    rates = [one_cycle(step, steps, peak=1.0, warm_up=warm_up) for step in range(steps)]
    assert all(1 / 25e4 <= rate <= 1 for rate in rates)


def test_ramp_rises_over_its_share_and_stays():
    assert [ramp(step, 10, share=0.2) for step in range(4)] == [0.0, 0.5, 1.0, 1.0]
    assert ramp(0, 10, share=0) == 1.0
