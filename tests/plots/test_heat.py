"""Heat maps: one scale, a valley that is not claimed where it may lie outside; grids of curves; verdict panels."""

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.experiments.warp_quality import WarpQuality
from stc_lab.metrics.occlusion import OcclusionCounts
from stc_lab.plots import (
    AGREEMENT,
    PHOTOMETRIC,
    Heat,
    Series,
    class_palette,
    curve_grid,
    grey_panel,
    heat_row,
    landing_panel,
    mask_series,
    quality_series,
    reason_panel,
    verdict_panel,
)


def bowl(slope: float = 1.0) -> Heat:
    x, y = [-2.0, -1.0, 0.0, 1.0, 2.0], [-2.0, -1.0, 0.0, 1.0, 2.0]
    value = (torch.tensor(y)[:, None] - slope * torch.tensor(x)).square()
    return Heat(value, x, y, "depth (%)", "translation (%)")


def test_the_valley_follows_the_smallest_value() -> None:
    assert bowl(0.5).valley()[::2] == [-1.0, 0.0, 1.0]
    assert bowl(1.0).valley() == [None, -1.0, 0.0, 1.0, None]  # on the edge it may lie beyond


def test_the_maps_share_one_scale() -> None:
    figure = heat_row([bowl(), bowl(2.0)], "error", title="two maps")
    heats = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [heat.coloraxis for heat in heats] == ["coloraxis", "coloraxis"]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0.0, 36.0)
    assert figure.layout.coloraxis.colorbar.title.text == "error"
    assert figure.layout.xaxis2.title.text == "depth (%)" and figure.layout.yaxis2.title.text == "translation (%)"
    assert [t.name for t in figure.data if t.showlegend] == ["the valley: best y for each x", "the geometry as given"]
    assert heats[0].z[0][4] == float(bowl().value[0, 4])  # rows are y


def test_a_grid_shares_its_quantities_and_its_legend() -> None:
    series = [Series("warped", [0, 1], [1, 2]), Series("identity", [0, 1], [2, 2], control=True)]
    figure = curve_grid({"error": {"yaw": series, "pitch": series}, "agreement (%)": {"yaw": series, "pitch": series}})
    assert len(figure.data) == 8 and [t.name for t in figure.data if t.showlegend] == ["warped", "identity"]
    titles = [figure.layout[f"{axis}axis{i}"].title.text for axis in "yx" for i in ("", 2, 3, 4)]
    assert titles == ["error", None, "agreement (%)", None, None, None, "yaw", "pitch"]


def quality(error: float, agreement: float | None) -> WarpQuality:
    return WarpQuality(error, 0.1, agreement, None if agreement is None else 0.5, 0.9, 90, 90)


def test_quality_becomes_a_row_for_each_measure_that_is_known() -> None:
    rows = quality_series([quality(0.02, 0.99), quality(0.03, 0.9)], [1, 2])
    assert list(rows) == [PHOTOMETRIC, AGREEMENT]
    assert list(rows[PHOTOMETRIC][0].y) == [0.02, 0.03] and list(rows[AGREEMENT][0].y) == [99.0, 90.0]
    assert rows[AGREEMENT][1].control and list(rows[AGREEMENT][1].y) == [50.0, 50.0]
    assert list(quality_series([quality(0.02, None)], [1])) == [PHOTOMETRIC]


def test_a_rule_without_a_value_has_no_point() -> None:
    some, none = OcclusionCounts(3, 1, 1, 5), OcclusionCounts(0, 0, 0, 9)
    rows = mask_series({1: {"rule": none, "other": none}, 5: {"rule": some, "other": none}})
    assert list(rows) == ["precision (%)", "recall (%)"]
    assert [(s.name, list(s.x), list(s.y)) for s in rows["precision (%)"]] == [("rule", [5], [75.0])]
    assert mask_series({1: {"rule": none}}) == {}


def test_a_verdict_lies_over_a_faded_picture() -> None:
    image = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    verdict = torch.zeros(4, 5, dtype=torch.int64)
    verdict[1, 2] = 2
    palette = class_palette(["fine", "odd", "bad"])
    panel = verdict_panel(verdict, palette, "verdict", over=image)
    assert panel.classes == (2,) and (panel.rgb[1, 2] == palette.table()[2]).all()
    rest = (verdict == 0).numpy()
    assert (panel.rgb[rest] == grey_panel(image).rgb[rest]).all() and panel.rgb[rest].min() >= 127
    assert (panel.rgb[rest][:, 0] == panel.rgb[rest][:, 1]).all()  # no colour in it


def test_shares_stand_under_the_maps() -> None:
    image = torch.zeros(3, 10, 10)
    reason = torch.zeros(10, 10, dtype=torch.int64)
    reason[0] = 5
    assert reason_panel(reason, image, "why").caption == "visible 90 %; occluded by a nearer surface 10 %"
    kind = torch.ones(10, 10, dtype=torch.int64)
    kind[0, 0], kind[1] = 3, 0
    panel = landing_panel(kind, image, "landings")
    assert panel.caption == "hole 10 %; one pixel 89 %; several, one surface 0 %; several surfaces collide 1.0 %"
    assert panel.palette is not None and [panel.palette.names[i] for i in panel.classes] == [
        "hole",
        "several surfaces collide",
    ]


@pytest.mark.bad_input
def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="at least one"):
        heat_row([], "error")
    with pytest.raises(InputError, match=r"a value for each of 2 y and 3 x, got \[3, 2\]"):
        Heat(torch.zeros(3, 2), [0, 1, 2], [0, 1], "x", "y", "bad")
    with pytest.raises(InputError, match="at least one panel"):
        curve_grid({})
    one = [Series("a", [0.0], [0.0])]
    with pytest.raises(InputError, match=r"row 'b' has the panels \['yaw'\], the first row \['pitch'\]"):
        curve_grid({"a": {"pitch": one}, "b": {"yaw": one}})
