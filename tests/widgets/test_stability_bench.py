"""The stability bench: its numbers are those of the measures, and it answers while the slider moves."""

import time

import pytest

from stc_lab.errors import InputError
from stc_lab.experiments.stability_lab import MaskVideo, lab_config, mask_videos
from stc_lab.widgets.stability import FLOWS, measure_rows, stability_bench, stability_picture


@pytest.fixture(scope="module")
def video() -> MaskVideo:
    return mask_videos([2], lab_config("tiny"))[0]


def test_without_corruption_both_masks_score_alike(video: MaskVideo) -> None:
    shown = stability_picture(video, 0.0, 0.0, 3)
    rows = shown.table.rows
    for kind in FLOWS:
        assert rows[f"true mask, {kind} flow"] == rows[f"this mask, {kind} flow"]
        assert rows[f"true mask, {kind} flow"][0] == "1.000"
    assert len(shown.panels) == 6


def test_corruption_is_seen_in_the_numbers(video: MaskVideo) -> None:
    rows = stability_picture(video, 1.0, 1.0, 3).table.rows
    columns = stability_picture(video, 1.0, 1.0, 3).table.columns
    true, own = (rows[f"{name}, exact flow"] for name in ("true mask", "this mask"))
    assert float(own[columns.index("J")]) < float(true[columns.index("J")])
    assert float(own[columns.index("E_cons")]) > float(true[columns.index("E_cons")])


def test_another_draw_is_another_mask_and_the_map_follows_the_flow(video: MaskVideo) -> None:
    explorer = stability_bench(video, erosion=1.0, jitter=1.0)
    first, second = explorer.picture(), explorer.picture(draw=1)
    assert first.table.rows["true mask, exact flow"] == second.table.rows["true mask, exact flow"]
    assert first.table.rows["this mask, exact flow"] != second.table.rows["this mask, exact flow"]
    estimated = explorer.picture(flows=FLOWS[1])
    assert estimated.panels[2] is not None and estimated.panels[2].caption == "estimated (DIS) flow"
    assert estimated.table.rows == first.table.rows
    assert set(measure_rows(video, video.mask, "x")) == {f"x, {kind} flow" for kind in FLOWS}


def test_sliders_move_pictures_and_numbers(video: MaskVideo) -> None:
    box = stability_bench(video, jitter=0.5).widget
    names = ["erosion", "jitter", "frame", "draw", "flows"]
    controls = dict(zip(names, box.children[1].children, strict=True))
    assert controls["jitter"].value == 0.5
    html = [child for child in box.children if type(child).__name__ == "HTML"]
    before = [child.value for child in html]
    controls["erosion"].value = controls["erosion"].max
    assert [child.value for child in html] != before
    assert not any("role='alert'" in child.value for child in html)


def test_the_bench_answers_at_once() -> None:
    explorer = stability_bench(mask_videos([1], lab_config("quick", frames=9))[0], erosion=2.5, jitter=1.0)
    times = []
    for draw in range(4):
        began = time.process_time()
        explorer.picture(draw=draw)
        times.append(time.process_time() - began)
    assert min(times) < 0.3  # s of this process; about 40 ms on an idle machine


@pytest.mark.bad_input
def test_what_is_refused(video: MaskVideo) -> None:
    with pytest.raises(InputError, match=r"erosion must lie in 0..2.5 px and jitter in 0..1 px"):
        stability_bench(video, erosion=9.0)
    with pytest.raises(InputError, match="flows must be one of exact"):
        stability_picture(video, 0.0, 0.0, 0, flows="mine")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(InputError, match=r"frame must lie in 0\.\.9"):
        stability_picture(video, 0.0, 0.0, 10)
