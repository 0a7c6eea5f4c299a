"""Figures of the failure gallery: pictures above, landscapes below, minima where they are, one look per setting."""

from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from typing import get_args

import numpy as np
import plotly.graph_objects as go
import pytest

from stc_lab.errors import InputError
from stc_lab.experiments.depth_failures import DepthFailure, depth_failure
from stc_lab.experiments.depth_landscapes import FACTORS
from stc_lab.plots import failure_figure, failure_landscapes
from stc_lab.plots.colours import Vision, lab, rgb_of_hex
from stc_lab.plots.failures import MASK_PALETTE


@lru_cache
def found(name: str, value: float | None = None) -> DepthFailure:
    return depth_failure(name, value, size=(32, 48))


def lines(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines"]


def test_a_failure_has_two_rows_of_pictures_and_three_landscapes() -> None:
    one = found("exposure changes")
    figure = failure_figure(one)
    assert sum(trace.type == "image" for trace in figure.data) == 8
    assert figure.layout.title.text == "Exposure changes: exposure 0 → 0.28"
    assert figure.layout.title.subtitle.text == one.failure.claim
    assert [(trace.name, trace.xaxis) for trace in lines(figure)] == [
        (name, axis) for axis in ("x100", "x101", "x102") for name in ("knob off", "knob on")
    ]
    drawn = {(trace.name, trace.xaxis): trace.y for trace in lines(figure)}
    for axis, curve in (("x100", "l1"), ("x101", "loss"), ("x102", "aligned")):
        assert drawn["knob on", axis] == one.on.landscapes[curve].error
        assert drawn["knob off", axis] == one.off.landscapes[curve].error
    bars = [trace for trace in figure.data if trace.type == "scatter" and trace.marker.showscale]
    assert len(bars) == 1 and bars[0].marker.colorbar.title.text == "L1 + SSIM"


def test_pictures_keep_their_shape_above_the_landscapes() -> None:
    figure = failure_figure(found("exposure changes"))
    layout = figure.layout
    area = layout.height - layout.margin.t - layout.margin.b
    pictures = [layout[f"yaxis{i if i > 1 else ''}"].domain for i in range(1, 9)]
    width = (layout.xaxis.domain[1] - layout.xaxis.domain[0]) * (layout.width - layout.margin.l - layout.margin.r)
    for low, high in pictures:
        assert (high - low) * area == pytest.approx(width * 32 / 48, abs=1)
        assert low > layout.yaxis100.domain[1]
    assert layout.yaxis100.domain[0] == 0 and pictures[0][1] <= 1
    assert all(0 <= text.y <= 1 for text in layout.annotations)
    for legend in (layout.legend, layout.legend2):
        assert layout.yaxis100.domain[1] * area + layout.margin.b < legend.y * layout.height


def test_a_flat_landscape_has_no_minimum() -> None:
    figure = failure_figure(found("static camera"))
    marks = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers" and trace.x[0]]
    assert {trace.name for trace in marks if trace.xaxis == "x101"} == {"knob off"}
    words = [text.text for text in figure.layout.annotations]
    assert any("minimum: 1.00 off, none on" in text for text in words)
    assert any("auto-masked: 100 % of judged" in text for text in words)


def test_what_does_not_show_is_said_not_to() -> None:
    title = failure_figure(found("exposure changes", 0.0)).layout.title.text
    assert title == "Exposure changes: exposure 0 → 0 (it does not show in this room)"


def test_small_multiples_are_relative_and_share_a_legend() -> None:
    every = [found("static camera"), found("exposure changes")]
    figure = failure_landscapes(every)
    curves = lines(figure)
    assert [trace.name for trace in curves if trace.showlegend] == ["knob off", "knob on", "on, with the remedy"]
    for trace in curves:
        assert trace.x == FACTORS and np.mean(trace.y) == pytest.approx(1)
    minima = [trace for trace in figure.data if trace.mode == "markers+text"]
    for trace in minima:
        curve = next(c for c in curves if (c.name, c.xaxis, c.yaxis) == (trace.name, trace.xaxis, trace.yaxis))
        assert trace.y[0] == min(curve.y) and trace.x[0] == FACTORS[curve.y.index(min(curve.y))]
        assert trace.text[0] == f"{trace.x[0]:.2f}"
    # static camera: two off; exposure changes: two off, two on, one aligned
    assert len(minima) == 7
    assert figure.layout.yaxis.range[1] > max(max(trace.y) for trace in curves)


def test_a_failure_without_a_curve_for_its_remedy_has_no_third_line() -> None:
    one = found("exposure changes")
    bare = replace(one, failure=replace(one.failure, cure=None))
    assert {trace.name for trace in lines(failure_landscapes([bare]))} == {"knob off", "knob on"}
    titles = [text.text for text in failure_figure(bare).layout.annotations]
    assert any("SSIM alone" in text for text in titles) and not any("remedy" in text for text in titles)


def test_masks_are_told_apart_by_every_eye() -> None:
    for vision in get_args(Vision):
        colours = lab(rgb_of_hex(MASK_PALETTE.colours[1:]), vision)
        assert min(np.linalg.norm(a - b) for a, b in combinations(colours, 2)) > 25


@pytest.mark.bad_input
def test_no_failure_is_refused() -> None:
    with pytest.raises(InputError, match="landscapes need at least one failure, got none"):
        failure_landscapes([])
