"""The perturbation bench: its picture and curves are those of the study, whatever its knobs say."""

import time
from dataclasses import replace

import pytest

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import RoomsConfig, render_video
from stc_lab.errors import InputError
from stc_lab.experiments.scenes import open_video
from stc_lab.experiments.warp_quality import ERRORS, GeometryError, perturbation_sweep, warp_pair
from stc_lab.plots import AGREEMENT, PHOTOMETRIC
from stc_lab.widgets import bench_picture, perturbation_bench, sweep_rows
from stc_lab.widgets.bench import KNOBS


@pytest.fixture(scope="module")
def clip() -> Clip:
    return open_video("rooms", preset="tiny", seed=3)


def test_there_is_a_knob_for_each_error() -> None:
    assert set(KNOBS) == set(ERRORS)
    for knob in KNOBS.values():
        sizes = knob.sizes()
        assert 0.0 in sizes and sizes == sorted(sizes) and -sizes[0] == sizes[-1] == knob.largest
        assert "(" in knob.words  # its unit


def test_the_numbers_are_those_of_the_study(clip: Clip) -> None:
    target, source = clip[2], clip[4]
    shown = bench_picture(target, source, {"yaw": 2.0, "depth_scale": 30.0}, "yaw")
    quality = warp_pair(target, source, GeometryError(yaw=2.0, depth_scale=1.3)).quality
    assert quality.label_agreement is not None
    assert shown.table.rows["warped with these errors"] == (
        f"{quality.photometric:.4f}",
        f"{100 * quality.label_agreement:.1f} %",
    )
    assert shown.table.rows["warped without error"][0] == f"{warp_pair(target, source).quality.photometric:.4f}"


def test_the_curves_keep_the_other_errors(clip: Clip) -> None:
    target, source = clip[2], clip[4]
    chart = bench_picture(target, source, {"depth_scale": 30.0, "yaw": 1.0}, "depth_scale").chart
    assert chart is not None
    curves = {(trace.name, trace.yaxis): trace for trace in chart.data}
    sizes = KNOBS["depth_scale"].sizes()
    found = perturbation_sweep(target, source, "depth_scale", sizes, yaw=1.0)
    assert list(curves["warped", "y"].y) == [q.photometric for q in found]
    assert list(curves["warped", "y2"].y) == [100 * (q.label_agreement or 0) for q in found]
    here = curves["where the slider stands", "y"]
    assert list(here.x) == [30.0] and list(here.y) == [found[sizes.index(30.0)].photometric]


def test_translation_hides_an_error_of_the_depth(clip: Clip) -> None:
    """The lesson of the bench: the best translation is as wrong as the depth."""
    rows = bench_picture(clip[2], clip[4], {"depth_scale": 30.0}, "translation_scale").chart
    assert rows is not None
    curve = next(trace for trace in rows.data if trace.name == "warped")
    assert curve.x[min(range(len(curve.y)), key=curve.y.__getitem__)] == 30.0


def test_rows_of_sweeps_have_a_panel_for_each_error(clip: Clip) -> None:
    rows = sweep_rows(clip[2], clip[4], ["yaw", "forward"])
    assert list(rows) == [PHOTOMETRIC, AGREEMENT]
    assert all(list(panels) == [KNOBS["yaw"].words, KNOBS["forward"].words] for panels in rows.values())
    unlabelled = [replace(clip[t], label=None) for t in (2, 4)]
    assert list(sweep_rows(*unlabelled, ["yaw"])) == [PHOTOMETRIC]


def test_it_works_without_labels(clip: Clip) -> None:
    shown = bench_picture(replace(clip[2], label=None), replace(clip[4], label=None), {}, "yaw")
    assert shown.table.rows["warped with these errors"][1] == "unknown"
    assert shown.panels[2] is not None and shown.panels[2].caption == "no labels to compare"
    assert shown.chart is not None and {trace.yaxis for trace in shown.chart.data} == {"y"}


def test_without_a_lab_the_opening_state_is_a_static_figure(clip: Clip) -> None:
    bundle = perturbation_bench(clip[2], clip[4], depth_scale=30)._repr_mimebundle_()
    assert {"image/png", "application/vnd.plotly.v1+json", "text/plain"} == set(bundle)
    assert bundle["text/plain"].startswith("Perturbation bench\nwarped with these errors: mean |RGB difference| 0.0")


def test_knobs_move_pictures_numbers_and_curves(clip: Clip) -> None:
    box = perturbation_bench(clip[2], clip[4], depth_scale=30, along="translation_scale").widget
    knobs, table, error, chart = box.children[1].children, box.children[4], box.children[6], box.children[7]
    by_name = dict(zip([*KNOBS, "along"], knobs, strict=True))
    assert by_name["depth_scale"].value == 30
    best = min(next(trace for trace in chart.data if trace.name == "warped").y)
    before = table.value
    by_name["translation_scale"].value = 30
    assert table.value != before and error.value == ""
    stands = next(trace for trace in chart.data if trace.name == "where the slider stands")
    assert list(stands.x) == [30.0] and stands.y[0] == best
    by_name["along"].value = "yaw"
    assert KNOBS["yaw"].words in [chart.layout[axis].title.text for axis in ("xaxis", "xaxis2")]
    assert next(trace for trace in chart.data if trace.name == "warped").x[-1] == KNOBS["yaw"].largest


def test_the_bench_answers_at_once() -> None:
    large = render_video("rooms-test-0000", RoomsConfig(frames=3, height=120, width=160, motion="handheld"))
    shown = perturbation_bench(large[0], large[1])
    times = []
    for yaw in (0.0, 1.0, 2.0, 3.0):
        began = time.process_time()
        shown.picture(yaw=yaw)
        times.append(time.process_time() - began)
    assert min(times) < 0.3  # s of this process; 50 ms on an idle machine


@pytest.mark.bad_input
def test_errors_that_there_are_not_are_refused(clip: Clip) -> None:
    with pytest.raises(InputError, match="error must be one of depth_scale, focal_scale"):
        perturbation_bench(clip[2], clip[4], roll=1.0)
    with pytest.raises(InputError, match="an error must be one of depth_scale"):
        perturbation_bench(clip[2], clip[4], along="roll")
    with pytest.raises(InputError, match="yaw must lie within 6 of 0, got 7"):
        perturbation_bench(clip[2], clip[4], yaw=7.0)
    with pytest.raises(InputError, match="scales must be positive"):
        bench_picture(clip[2], clip[4], {"depth_scale": -100.0}, "yaw")
