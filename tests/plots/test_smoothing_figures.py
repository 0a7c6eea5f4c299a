"""Fronts, ribbons and maps of change: what is drawn is what was measured."""

import math

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.experiments.flicker import RunGroup
from stc_lab.plots import FrontPoint, change_map, change_panel, class_palette, front_figure, ribbon_figure, ribbon_panel
from stc_lab.plots.changes import run_figure
from stc_lab.plots.front import best_points
from stc_lab.plots.ribbons import runs_of

PALETTE = class_palette(["wall", "floor", "lamp"])
POINTS = [
    FrontPoint("", "net", 0.5, 20.0, control=True),
    FrontPoint("1", "a", 0.4, 21.0, 0.02, 0.5),
    FrontPoint("2", "a", 0.2, 18.0, 0.02, 0.5),
    FrontPoint("x", "b", 0.3, 19.0),
    FrontPoint("y", "b", 0.45, 19.0),
]


def test_the_best_points_are_beaten_by_nobody() -> None:
    assert [point.name for point in best_points(POINTS)] == ["2", "x", "1"]


def test_a_front_draws_each_point_with_its_family() -> None:
    figure = front_figure({"left": POINTS, "right": POINTS[:2]}, x_title="cost", y_title="gain")
    drawn = [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data if trace.hoverinfo != "skip"]
    assert drawn[:3] == [("net", [0.5], [20.0]), ("a", [0.4, 0.2], [21.0, 18.0]), ("b", [0.3, 0.45], [19.0, 19.0])]
    assert [name for name, *_ in drawn[3:]] == ["net", "a"]
    assert list(figure.data[2].error_x.array) == [0.02, 0.02]
    listed = [trace.name for trace in figure.data if trace.showlegend]
    assert listed == ["no point beats these in both", "net", "a", "b"]  # once, though drawn twice
    looks = {(t.marker.symbol, t.marker.color) for t in figure.data if t.name in ("net", "a", "b")}
    assert len(looks) == 3
    assert [a.text for a in figure.layout.annotations].count("better") == 2


def test_the_staircase_bounds_the_front() -> None:
    stairs = front_figure({"all": POINTS}, x_title="cost", y_title="gain").data[0]
    x, y = list(stairs.x), list(stairs.y)
    assert x == sorted(x) and y == sorted(y)
    for point in POINTS:
        steps = [height for place, height in zip(x, y, strict=True) if place <= point.cost]
        assert point.gain <= max(steps)
    named = next(trace for trace in front_figure({"all": POINTS}, x_title="", y_title="").data if trace.name == "a")
    assert list(named.text) == ["1", "2"] and list(named.customdata) == ["1", "2"]


def test_ribbons_show_every_frame() -> None:
    ribbons = {"truth": torch.tensor([0, 0, 1, 1, 255]), "net": torch.tensor([0, 2, 1, 1, 1])}
    figure = ribbon_figure({"one": ribbons, "two": ribbons}, PALETTE)
    strips = [trace for trace in figure.data if trace.type == "heatmap"]
    assert len(strips) == 2
    assert [list(row) for row in strips[0].customdata] == [
        ["wall", "wall", "floor", "floor", "ignored"],
        ["wall", "lamp", "floor", "floor", "floor"],
    ]
    colours = dict(strips[0].colorscale)
    assert len({*colours.values()}) == 4  # three classes and what is ignored
    assert [trace.name for trace in figure.data if trace.type == "scatter"] == ["wall", "floor", "lamp"]
    assert list(figure.layout.yaxis2.ticktext) == ["truth", "net"]


def test_runs_of_a_ribbon() -> None:
    assert runs_of(torch.tensor([3, 3, 0, 3])) == [(0, 2, 3), (2, 1, 0), (3, 1, 3)]


def test_a_ribbon_panel_has_a_column_for_each_frame() -> None:
    ribbons = {"truth": torch.tensor([0, 1, 2]), "net": torch.tensor([2, 2, 2])}
    panel = ribbon_panel(ribbons, PALETTE, "pixel", frame=1)
    assert panel.size[1] == 3 and panel.classes == (0, 1, 2)
    assert (panel.rgb[0] == PALETTE.table()[[0, 1, 2]]).all() and (panel.rgb[-1] == PALETTE.table()[2]).all()
    assert panel.marks[0].places[0][0] == 1.0


def test_changes_are_told_apart() -> None:
    truth = torch.tensor([[0, 0, 0, 0, 255]])
    before, after = torch.tensor([[0, 1, 0, 1, 1]]), torch.tensor([[0, 0, 1, 2, 2]])
    assert change_map(before, after, truth).tolist() == [[0, 1, 2, 3, 0]]
    panel = change_panel(before, after, truth, torch.full((3, 1, 5), 0.5))
    assert panel.caption == "blue: 1 px mended, orange: 1 spoilt; yellow: 1 wrong both times"
    assert len({tuple(pixel) for pixel in panel.rgb[0].tolist()}) == 4


def test_runs_are_drawn_where_there_are_any() -> None:
    groups = [RunGroup((1, 1), 10, 0.5, 0.4), RunGroup((2, 2), 0, math.nan, math.nan), RunGroup((4, 5), 10, 0.5, 0.7)]
    figure = run_figure({"a": groups}, sigma=2.0)
    assert list(figure.data[0].x) == [1, 4.5] and list(figure.data[0].y) == pytest.approx([-10, 20])
    assert figure.layout.shapes[1].x0 == pytest.approx(2.698)
    assert figure.layout.annotations[0].x == pytest.approx(math.log10(2.698))


@pytest.mark.bad_input
def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InputError, match="at least one point"):
        front_figure({"empty": []}, x_title="x", y_title="y")
    with pytest.raises(InputError, match=r"one length, got lengths \[2, 3\]"):
        ribbon_figure({"p": {"a": torch.tensor([0, 1]), "b": torch.tensor([0, 1, 1])}}, PALETTE)
    with pytest.raises(InputError, match="one shape"):
        change_map(torch.zeros(2, 2).long(), torch.zeros(2, 2).long(), torch.zeros(2, 3).long())


def test_a_filter_looks_alike_in_every_figure() -> None:
    rows = [
        FrontPoint("4", "Gaussian along the exact flow (sigma)", 0.3, 20.0),
        FrontPoint("5", "weighted guided filter (frames)", 0.2, 21.0),
    ]
    others = [FrontPoint("", f"trained on: {name}", 0.3, 19.0) for name in ("a", "b", "c")]
    looks = []
    for points in (rows, [*others, rows[1]]):
        figure = front_figure({"all": points}, x_title="x", y_title="y")
        looks.append({t.name: (t.marker.color, t.marker.symbol) for t in figure.data if t.mode != "lines"})
    assert looks[0]["weighted guided filter (frames)"] == looks[1]["weighted guided filter (frames)"]
    assert len({*looks[1].values()}) == 4 and looks[0][rows[0].family] not in looks[1].values()
