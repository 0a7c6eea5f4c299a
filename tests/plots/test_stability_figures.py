"""Figures of stability: what is drawn is what was measured."""

import math

import numpy as np
import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.plots.colours import rgb_of_hex
from stc_lab.plots.stability import (
    STRETCH,
    correlation_dots,
    corruption_grid,
    measure_table,
    rank_scatter,
    time_slice_panel,
)


def test_a_time_slice_is_grey_with_the_mask_in_colour() -> None:
    image, mask = torch.full((3, 4, 10), 0.5), torch.zeros(4, 10, dtype=torch.int64)
    mask[2, 3:6] = 1
    visible = torch.ones(4, 10, dtype=torch.bool)
    visible[0, :2] = False
    panel = time_slice_panel(image, mask, "slice", visible=visible, colour="#0072b2")
    assert panel.size == (4 * STRETCH, 10)
    coloured = (panel.rgb != panel.rgb[..., :1]).any(axis=2)
    assert np.array_equal(coloured, mask.bool().numpy().repeat(STRETCH, axis=0))
    assert panel.hidden is not None and np.array_equal(panel.hidden, ~visible.numpy().repeat(STRETCH, axis=0))


def test_a_grid_colours_the_best_pale_and_the_worst_dark() -> None:
    values = {"J": torch.tensor([[1.0, 0.5], [0.7, 0.2]]), "E": torch.tensor([[0.0, 3.0], [math.nan, 1.5]])}
    figure = corruption_grid(
        values,
        [0, 5],
        [0, 1],
        y_title="erosion (px)",
        x_title="jitter (px)",
        better={"J": "higher", "E": "lower"},
        written=lambda name, value: f"{name}{value:.1f}",
    )
    first, second = figure.data
    assert np.allclose(np.array(first.z, dtype=float), [[0, 0.625], [0.375, 1]])
    assert second.z[1][0] is None and list(second.z[0]) == [0.0, 1.0]
    assert first.text[0][0] == "J1.0" and first.y == ("0", "5")
    assert figure.layout.yaxis.autorange == "reversed" and figure.layout.xaxis.type == "category"


def test_a_table_judges_column_by_column() -> None:
    rows = {"true": {"J": 1.0, "E / N": 0.2}, "wrong": {"J": 0.0, "E / N": 0.1}, "none": {"J": 0.5, "E / N": math.nan}}
    (cells,) = measure_table(rows, {"J": "higher", "E / N": "lower"}).data
    assert cells.y == ("true", "wrong", "none") and cells.x == ("J", "E<br>/ N")
    assert [list(row) for row in cells.z[:2]] == [[0.0, 1.0], [1.0, 0.0]] and cells.z[2][1] is None
    assert cells.text[2][1] == "-"


def test_a_measure_that_is_the_same_everywhere_is_content() -> None:
    (cells,) = measure_table({"a": {"J": 0.5}, "b": {"J": 0.5}}, {"J": "higher"}).data
    assert [row[0] for row in cells.z] == [0.0, 0.0]


def test_points_of_a_group_look_alike_in_every_panel() -> None:
    panels = {"a: 0.5": ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]), "b: 0.1": ([4.0, 5.0, 6.0], [3.0, 2.0, 1.0])}
    figure = rank_scatter(panels, x_titles=["x", "y"], y_title="rating", groups=["u", "v", "u"])
    assert len(figure.data) == 4
    assert list(figure.data[0].x) == [1.0, 3.0] and list(figure.data[2].x) == [4.0, 6.0]
    assert figure.data[0].marker.color == figure.data[2].marker.color != figure.data[1].marker.color
    assert [trace.showlegend for trace in figure.data] == [True, True, False, False]


def test_dots_stand_where_there_is_a_value() -> None:
    rows = {"E": {"ours": (0.5, 0.1), "theirs": (0.6, math.nan)}, "J": {"ours": (0.2, 0.05)}}
    ours, theirs = correlation_dots(rows, x_title="correlation").data
    assert ours.x == (0.5, 0.2) and ours.y == ("E", "J") and theirs.y == ("E",)
    assert ours.error_x.array == (0.1, 0.05) and theirs.error_x.array == (0.0,)


def test_colours_can_be_told_apart_in_grey() -> None:
    (cells,) = measure_table({"a": {"J": 1.0}, "b": {"J": 0.0}}, {"J": "higher"}).data
    ends = rgb_of_hex(tuple(stop for _, stop in cells.colorscale)).astype(float) @ (0.299, 0.587, 0.114)
    assert abs(ends[0] - ends[1]) > 100


@pytest.mark.bad_input
def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="needs 2 x 2 values"):
        corruption_grid({"J": torch.zeros(2, 3)}, [0, 1], [0, 1], y_title="", x_title="", better={"J": "higher"})
    with pytest.raises(InputError, match='better must be "higher" or "lower"'):
        measure_table({"a": {"J": 1.0}}, {"J": "up"})
    with pytest.raises(InputError, match="at least one row"):
        measure_table({}, {})
    with pytest.raises(InputError, match="needs its x title"):
        rank_scatter({"a": ([1.0], [1.0])}, x_titles=[], y_title="")
    with pytest.raises(InputError, match="at least one value"):
        correlation_dots({}, x_title="")
