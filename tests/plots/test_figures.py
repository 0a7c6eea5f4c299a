"""Figures: one look, axes in data pixels, legends of what occurs, series told apart without their colours."""

import math

import plotly.io as pio
import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.plots import (
    TEMPLATE_NAME,
    Series,
    class_bars,
    class_palette,
    curves,
    depth_panel,
    describe,
    image_grid,
    image_panel,
    label_panel,
    template,
    training_curves,
)

PALETTE = class_palette(["wall", "floor", "door"])


def panels() -> list:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 12, 16, generator=generator)
    return [
        image_panel(image, "image"),
        label_panel(torch.zeros(12, 16, dtype=torch.int64), PALETTE, "truth", "a caption " * 20),
        label_panel(torch.full((12, 16), 2), PALETTE, "prediction"),
        depth_panel(torch.rand(12, 16, generator=generator) + 1, "depth"),
    ]


def test_the_template_is_registered_and_never_the_default() -> None:
    before = pio.templates.default
    made = template()
    assert pio.templates[TEMPLATE_NAME].layout == made.layout
    assert pio.templates.default == before


def test_every_figure_uses_the_template() -> None:
    for figure in (image_grid(panels()), curves([Series("a", [0, 1], [1, 2])], x_title="x (m)", y_title="y (%)")):
        assert figure.layout.template.layout == template().layout


def test_pictures_lie_on_axes_of_data_pixels() -> None:
    """The first pixel's centre is (0, 0) and the image spans half a pixel more, however much it was enlarged."""
    figure = image_grid(panels(), columns=2)
    for trace in [t for t in figure.data if t.type == "image"]:
        factor = round(1 / trace.dx)
        assert trace.x0 - trace.dx / 2 == pytest.approx(-0.5)
        assert trace.x0 + (16 * factor - 0.5) * trace.dx == pytest.approx(15.5)
    assert list(figure.layout.xaxis.range) == [-0.5, 15.5] and list(figure.layout.yaxis.range) == [11.5, -0.5]


def test_panels_of_one_size_zoom_together() -> None:
    figure = image_grid([*panels(), image_panel(torch.rand(3, 5, 5), "of another size")])
    matches = [figure.layout[f"xaxis{i}"].matches for i in (2, 3, 4, 5)]
    assert matches == ["x", "x", "x", None]


def test_panels_keep_their_shape_on_screen() -> None:
    figure = image_grid(panels(), columns=3)
    margin = figure.layout.margin
    width, height = figure.layout.width - margin.l - margin.r, figure.layout.height - margin.t - margin.b
    for i in ("", 2, 3, 4):
        x, y = figure.layout[f"xaxis{i}"].domain, figure.layout[f"yaxis{i}"].domain
        assert (x[1] - x[0]) * width / ((y[1] - y[0]) * height) == pytest.approx(16 / 12, rel=1e-3)
        assert y[0] >= -1e-9 and y[1] <= 1 + 1e-9


def test_the_legend_holds_the_classes_that_occur() -> None:
    figure = image_grid(panels())
    assert [t.name for t in figure.data if t.type == "scatter" and t.showlegend is not False] == ["wall", "door"]
    assert not any(t.showlegend is not False for t in image_grid(panels(), legend=False).data if t.type == "scatter")


def test_captions_and_titles_are_wrapped_to_their_panel() -> None:
    figure = image_grid(panels(), columns=4)
    caption = next(a.text for a in figure.layout.annotations if "caption" in a.text)
    assert caption.count("<br>") >= 5


def test_a_figure_of_six_noisy_panels_stays_small() -> None:
    generator = torch.Generator().manual_seed(0)
    noisy = [image_panel(torch.rand(3, 120, 160, generator=generator), f"{i}") for i in range(6)]
    assert len(image_grid(noisy, columns=3).to_json()) < 700_000


def test_series_differ_without_their_colours() -> None:
    many = [Series(f"{i}", [0.0, 1.0], [i, i + 1], error=[0.1, 0.1]) for i in range(6)]
    figure = curves(many, x_title="depth error (%)", y_title="agreement (%)")
    assert len({(t.marker.symbol, t.line.dash) for t in figure.data}) == 6
    assert len({t.line.color for t in figure.data}) == 6
    assert figure.layout.xaxis.title.text == "depth error (%)" and figure.data[0].error_y.array == (0.1, 0.1)


def test_a_control_series_is_grey() -> None:
    figure = curves([Series("warp", [0], [1]), Series("identity", [0], [1], control=True)], x_title="x", y_title="y")
    assert figure.data[1].line.color == "#7a8594"


def test_training_curves_draw_the_parts_that_were_logged() -> None:
    records = [{"step": i + 1, "steps": 4, "loss": 4.0 - i, "ce": 1.0, "learning_rate": 0.1} for i in range(4)]
    figure = training_curves(records)
    assert [t.name for t in figure.data] == ["total", "cross-entropy"]
    assert list(figure.data[0].y) == [4.0, 3.0, 2.0, 1.0]
    assert list(training_curves(records, smooth=2).data[0].y) == [4.0, 3.5, 2.5, 1.5]
    other = [{"epoch": 1, "edges": 0.5}, {"epoch": 2, "edges": 0.25}]
    assert list(training_curves(other, x="epoch", losses=["edges"]).data[0].x) == [1, 2]


def test_class_bars_sort_by_frequency_and_write_absent_classes() -> None:
    iou = torch.tensor([0.5, torch.nan, 0.25], dtype=torch.float64)
    frequency = torch.tensor([0.1, 0.0, 0.9], dtype=torch.float64)
    figure = class_bars({"single": iou, "fused": iou + 0.1}, PALETTE.names, frequency=frequency)
    assert [name.split()[0] for name in figure.data[0].y] == ["door", "wall", "floor"]
    assert figure.data[0].x == (25.0, 50.0, None)
    assert [a.text for a in figure.layout.annotations] == ["absent"]
    assert figure.data[0].marker.pattern.shape != figure.data[1].marker.pattern.shape


def test_a_digest_names_sizes_ranges_and_means() -> None:
    figure = curves([Series("warp", [0, 1], [0.123456, 1.0])], x_title="x", y_title="y")
    assert describe(figure) == "scatter 'warp': 2 values, 0.123 to 1, mean 0.562"
    text = describe(
        mask=torch.tensor([True, False]), label=torch.tensor([3, 3, 5]), depth=torch.tensor([1.0, math.nan])
    )
    assert text.splitlines() == [
        "mask: 2, 50.0 % true",
        "label: 3, 2 different values, 3 to 5",
        "depth: 2, 2 values, 1 to 1, mean 1, 1 unknown",
    ]
    assert describe(image_grid(panels())) == "\n".join(
        f"picture '{n}'" for n in ("image", "truth", "prediction", "depth")
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: image_grid([]), "at least one panel"),
        (lambda: curves([], x_title="x", y_title="y"), "at least one series"),
        (lambda: Series("a", [1.0, 2.0], [1.0]), "as many y"),
        (lambda: training_curves([]), "no training records"),
        (lambda: training_curves([{"step": 1}]), "hold none of"),
        (lambda: class_bars({"a": torch.ones(2)}, PALETTE.names), "2 classes, but there are 3 names"),
    ],
)
def test_nothing_to_draw_is_said(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
