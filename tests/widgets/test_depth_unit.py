"""The unit bench: its numbers are those of the losses, in whatever unit its slider says."""

import time

import pytest
import torch

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import NUM_CLASSES, PRESETS, rooms_videos
from stc_lab.errors import InputError
from stc_lab.experiments.depth_edge_losses import PLACES, depth_steps, depth_variants
from stc_lab.experiments.depth_edge_study import telling_frame
from stc_lab.losses import edge_loss_h, edge_loss_p
from stc_lab.widgets import UnitState, unit_bench, unit_picture
from stc_lab.widgets.depth_unit import weight_map


@pytest.fixture(scope="module")
def frame() -> Clip:
    return telling_frame(rooms_videos("test", PRESETS["tiny"]))


@pytest.fixture(scope="module")
def probabilities(frame: Clip) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, NUM_CLASSES, *frame.image.shape[-2:], generator=generator).softmax(dim=1)


def test_the_numbers_are_those_of_the_losses(frame: Clip, probabilities: torch.Tensor) -> None:
    shown = unit_picture(frame, probabilities, {"exact": frame.depth}, UnitState(scale=10.0, loss="L_p"))
    rows = shown.table.rows
    assert rows["as the controls say"][0] == f"{float(edge_loss_p(probabilities, 10 * frame.depth).total):.4f}"
    assert rows["in millimetres"][0] == f"{float(edge_loss_p(probabilities, 1000 * frame.depth).total):.4f}"
    normalised = edge_loss_p(probabilities, frame.depth, normalise="mean").total
    assert rows["divided by its mean"][0] == f"{float(normalised):.4f}"
    weights = depth_steps(frame.label, frame.depth).weights(10.0)
    assert rows["as the controls say"][1:4] == tuple(f"{weights[place]:.2f}" for place in PLACES)
    assert shown.panels[2] is not None and rows["as the controls say"][0] in shown.panels[2].caption


def test_normalised_the_slider_does_nothing(frame: Clip, probabilities: torch.Tensor) -> None:
    depths = {"exact": frame.depth}
    rows = [
        unit_picture(frame, probabilities, depths, UnitState(scale=scale, normalise=True)).table.rows
        for scale in (0.01, 1.0, 1000.0)
    ]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0]["as the controls say"] == rows[0]["divided by its mean"]
    plain = unit_picture(frame, probabilities, depths, UnitState(scale=1000.0)).table.rows
    assert plain["as the controls say"] == plain["in millimetres"] != plain["in metres"]


def test_weights_are_the_means_of_both_ways() -> None:
    depth = torch.tensor([[1.0, 1.0, 3.0], [1.0, 2.0, 3.0]])[None, None]
    e = torch.tensor([0.0, -1.0, -2.0]).exp()
    expected = torch.stack([torch.stack([e[0], (e[2] + e[1]) / 2, e[0]]), torch.stack([e[1], e[1], e[0]])])
    torch.testing.assert_close(weight_map(depth)[0], expected)


def test_the_bench_opens_in_metres_and_its_controls_move_it(frame: Clip, probabilities: torch.Tensor) -> None:
    bench = unit_bench(frame, probabilities, depth_variants(frame))
    assert bench.picture().table.rows["as the controls say"] == bench.picture().table.rows["in metres"]
    box = bench.widget
    scale, loss, depth, normalise = box.children[1].children
    table, error, chart = box.children[4], box.children[6], box.children[7]
    assert (scale.min, scale.max, scale.value) == (-2, 3, 1.0)
    for control, value in ((scale, 100.0), (loss, "L_h as printed"), (depth, "blur 2 px"), (normalise, True)):
        before = table.value
        control.value = value
        assert table.value != before and error.value == ""
    assert list(chart.data[-1].x) == [100.0] * len(PLACES)


def test_the_bench_answers_at_once(frame: Clip) -> None:
    large = telling_frame(rooms_videos("test", PRESETS["quick"]), step=8)
    classes = torch.rand(1, NUM_CLASSES, *large.image.shape[-2:]).softmax(dim=1)
    bench = unit_bench(large, classes, {"exact": large.depth})
    times = []
    for scale in (0.1, 1.0, 10.0):
        began = time.process_time()
        bench.picture(scale=scale)
        times.append(time.process_time() - began)
    assert min(times) < 0.3  # s of this process


def test_the_printed_form_differs_along_y_alone(frame: Clip, probabilities: torch.Tensor) -> None:
    right, printed = (edge_loss_h(probabilities, frame.depth, official=official) for official in (False, True))
    assert torch.equal(right.across, printed.across) and not torch.equal(right.down, printed.down)


@pytest.mark.bad_input
def test_what_there_is_not_is_refused(frame: Clip, probabilities: torch.Tensor) -> None:
    with pytest.raises(InputError, match="loss must be one of L_h, L_p, L_h as printed and depth one of exact"):
        unit_picture(frame, probabilities, {"exact": frame.depth}, UnitState(loss="L_q"))
    with pytest.raises(InputError, match="needs one frame and at least one depth, got 1 and 0"):
        unit_bench(frame, probabilities, {})
