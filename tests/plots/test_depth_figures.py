"""Figures of depth, motion and focal length: metres alike, numbers that are those of the data, and small animations."""

import base64
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stc_lab.errors import InputError
from stc_lab.geometry import pose_from
from stc_lab.plots import (
    camera_paths,
    depth_bars,
    depth_panel,
    describe,
    disparity_panel,
    error_by_gap,
    focal_over_training,
    growth_animation,
    image_panel,
)
from stc_lab.plots.colours import rgb_of_hex
from stc_lab.plots.palette import UNKNOWN_COLOUR, Scale
from stc_lab.plots.paths import Ground, equal_ranges
from stc_lab.plots.pictures import depth_rgb

GREY = rgb_of_hex((UNKNOWN_COLOUR,))[0]
SEEDS = [{"abs_rel": 0.2, "a1": 0.7}, {"abs_rel": 0.3, "a1": 0.6}, {"abs_rel": 0.25, "a1": 0.65}]


def way(points: list[list[float]], yaw: float = 0.0) -> torch.Tensor:
    """Cameras of a world whose y points down, as it is when the first camera is its origin."""
    xyz = torch.tensor(points, dtype=torch.float64)
    turn = torch.zeros_like(xyz)
    turn[:, 1] = yaw
    return pose_from(turn, xyz)


def test_near_disparity_is_bright_and_unknown_is_grey() -> None:
    disparity = torch.tensor([[0.1, 0.5, 1.0], [0.0, torch.nan, torch.inf]])
    panel = disparity_panel(disparity, "disparity")
    light = panel.rgb.astype(float).sum(axis=2)
    assert light[0, 0] < light[0, 1] < light[0, 2]
    assert (panel.rgb[1] == GREY).all() and panel.hidden is None
    assert panel.scale is not None
    assert (panel.scale.title, panel.scale.low, panel.scale.high) == ("disparity (1/m)", 0.0, 1.0)
    other = disparity_panel(disparity, "of a net", unit="", high=2.0)
    assert other.scale is not None and (other.scale.title, other.scale.high) == ("disparity (no unit)", 2.0)


def test_disparity_and_depth_have_colours_of_their_own() -> None:
    values = torch.rand(4, 5) + 0.5
    depth, disparity = depth_panel(values, "depth").scale, disparity_panel(values, "disparity").scale
    assert depth is not None and disparity is not None and depth.colours != disparity.colours


def test_bars_show_the_mean_the_seeds_and_their_spread() -> None:
    figure = depth_bars(
        {"learned": SEEDS, "best constant": SEEDS[1:2]}, measures=("abs_rel", "a1"), references=("best constant",)
    )
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [list(trace.x) for trace in bars] == [pytest.approx([0.25, 0.3]), pytest.approx([0.65, 0.6])]
    whiskers = [trace for trace in figure.data if trace.error_x.array is not None]
    assert [trace.error_x.array[0] for trace in whiskers] == pytest.approx([np.std([0.2, 0.3, 0.25], ddof=1)] * 2)
    points = [list(trace.x) for trace in figure.data if "seeds" in trace.name]
    assert points == [[0.2, 0.3, 0.25], [0.7, 0.6, 0.65]]
    grey, own = bars[0].marker.color[1], bars[0].marker.color[0]
    red, green, blue = rgb_of_hex((grey,))[0].astype(int)
    assert own != grey and max(red, green, blue) - min(red, green, blue) < 25
    texts = [a.text for a in figure.layout.annotations]
    assert texts[:2] == ["0.250 ± 0.050", "0.300"] and "standard deviation" in texts[-1]
    assert "lower is better" in figure.layout.xaxis.title.text and "higher" in figure.layout.xaxis2.title.text


def test_one_seed_has_no_spread_and_no_legend_of_it() -> None:
    figure = depth_bars({"learned": SEEDS[:1]}, measures=("abs_rel",))
    assert [trace.type for trace in figure.data] == ["bar"]
    assert [a.text for a in figure.layout.annotations] == ["0.200"]


def test_numbers_beside_the_bars_stay_inside_the_figure() -> None:
    names = ["learned from flow", "a row of the training set with a long name"]
    figure = depth_bars(dict.fromkeys(names, SEEDS), measures=("abs_rel", "a1"))
    for axis, most in ((figure.layout.xaxis, 0.3), (figure.layout.xaxis2, 0.7)):
        width = (axis.domain[1] - axis.domain[0]) * (figure.layout.width - 340)  # px, beside the longer name
        assert (axis.range[1] - most) / axis.range[1] * width > 13 * 7.5  # thirteen characters


def test_errors_over_the_gap_are_means_over_seeds() -> None:
    figure = error_by_gap(
        {"learned": {1: [0.5, 0.7], 4: [2.0, 2.0]}, "no motion": {1: 0.6, 2: 1.2, 4: 2.4}},
        y_title="rotation error (degrees)",
        references=("no motion",),
    )
    learned, still = figure.data
    assert list(learned.x) == [1, 4] and list(learned.y) == pytest.approx([0.6, 2.0])
    assert list(learned.error_y.array) == pytest.approx([np.std([0.5, 0.7], ddof=1), 0])
    assert still.error_y.array is None and still.line.color == "#7a8594"
    assert list(figure.layout.xaxis.tickvals) == [1, 2, 4]
    assert "degrees" in figure.layout.yaxis.title.text and "frames" in figure.layout.xaxis.title.text


def test_focal_lengths_stand_beside_the_true_one() -> None:
    runs = {
        f"seed {i}": [{"step": 10 * s, "focal": 96.0 - s - i} for s in range(5)] + [{"loss": 1.0}] for i in range(3)
    }
    figure = focal_over_training(runs, 66.0, tolerance=0.1)
    band, truth, *lines = figure.data
    assert (min(band.y), max(band.y)) == pytest.approx((59.4, 72.6)) and "10 %" in band.name
    assert list(truth.y) == [66.0, 66.0] and list(truth.x) == [0, 40] and "66 px" in truth.name
    assert [trace.name for trace in lines] == list(runs) and list(lines[1].y) == [95.0, 94.0, 93.0, 92.0, 91.0]
    assert len({trace.line.dash for trace in lines}) == 3
    assert len(focal_over_training(runs, None).data) == 3
    assert "px" in figure.layout.yaxis.title.text


def test_right_is_right_and_ahead_is_ahead() -> None:
    """Seen from above, not from below: a mirrored plan would turn right into left."""
    ground = Ground.of(way([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]]))
    there = torch.tensor([[2.0, 2.0, 3.0], [1.0, 1.5, 3.0], [1.0, 2.0, 5.0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, 0, 0], [0, 0, 0.5], [0, 2.0, 0]], dtype=torch.float64)
    torch.testing.assert_close(ground.points(there), expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_same_walk_looks_the_same_in_every_upright_world(axis: int, sign: float) -> None:
    pitch = torch.tensor([[-0.3, 0.0, 0.0]], dtype=torch.float64)
    T = way([[0.0, 0, 0], [0.1, 0, 1], [0.5, 0.05, 2]]) @ pose_from(pitch, torch.zeros(1, 3, dtype=torch.float64))
    up = torch.zeros(3, dtype=torch.float64)
    up[axis] = sign
    first = torch.eye(3, dtype=torch.float64)[(axis + 1) % 3]
    world = torch.eye(4, dtype=torch.float64)
    world[:3, :3] = torch.stack([first, -up, torch.linalg.cross(first, -up)], dim=1)
    world[:3, 3] = torch.tensor([3.0, -1.0, 7.0])
    there = world @ T
    for ground in (Ground.of(there), Ground.of(there, up)):
        torch.testing.assert_close(ground.points(there[:, :3, 3]), Ground.of(T).points(T[:, :3, 3]))
        torch.testing.assert_close(ground.axes @ ground.axes.T, torch.eye(3, dtype=torch.float64))


def test_a_camera_that_looks_down_has_an_ahead_too() -> None:
    down = pose_from(torch.tensor([[-math.pi / 2, 0.0, 0.0]]), torch.zeros(1, 3))
    ground = Ground.of(down, up=torch.tensor([0.0, -1.0, 0.0]))
    assert bool(torch.isfinite(ground.axes).all()) and float(torch.linalg.det(ground.axes)) == pytest.approx(1)


def test_metres_are_alike_on_all_axes() -> None:
    figure = camera_paths({"truth": way([[0, 0, 0], [0.2, 0, 2.0], [0.1, -0.1, 3.0]]), "other": way([[0, 0, 0]] * 3)})
    layout = figure.layout
    width = (layout.xaxis.domain[1] - layout.xaxis.domain[0]) * (layout.width - layout.margin.l - layout.margin.r)
    height = layout.height - layout.margin.t - layout.margin.b
    x, y = np.ptp(layout.xaxis.range), np.ptp(layout.yaxis.range)
    assert x / width == pytest.approx(y / height, rel=1e-6)
    ratios = [layout.scene.aspectratio[k] / np.ptp(layout.scene[f"{k}axis"].range) for k in "xyz"]
    assert ratios == pytest.approx([ratios[0]] * 3)
    for text in (layout.xaxis.title.text, layout.yaxis.title.text, layout.scene.zaxis.title.text):
        assert "(m)" in text


def test_every_path_is_inside_with_a_mark_where_it_starts() -> None:
    paths = {"truth": way([[0, 0, 0], [1.0, 0, 2.0]]), "learned": way([[0.3, 0, 0.1], [4.0, 1, 2.0]], yaw=0.4)}
    figure = camera_paths(paths)
    level = [trace for trace in figure.data if trace.type == "scatter" and trace.x[0] is not None]
    for trace in level:
        for values, axis in ((trace.x, figure.layout.xaxis), (trace.y, figure.layout.yaxis)):
            assert all(axis.range[0] <= v <= axis.range[1] for v in values if v is not None)
    starts = {trace.name: (trace.x[0], trace.y[0]) for trace in level if trace.mode == "markers"}
    assert starts == {"truth": (0, 0), "learned": (0.3, 0.1)}
    assert [t.name for t in figure.data if t.showlegend is not False and t.type == "scatter"][:3] == [*paths, "start"]
    assert len({trace.line.color for trace in level if trace.mode == "lines"}) == 2


def test_ranges_fill_their_box() -> None:
    low, high = torch.tensor([0.0, 0.0]).double(), torch.tensor([4.0, 1.0]).double()
    assert equal_ranges(low, high, (400.0, 200.0)) == [[0.0, 4.0], [-0.5, 1.5]]
    (left, right), _ = equal_ranges(low, low, (100.0, 100.0))
    assert right > left


def growth(steps: int = 5, size: tuple[int, int] = (12, 16), **options: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(size, generator=generator) * 3 + 0.5 for _ in range(steps)]
    maps[-1][0, :3] = torch.tensor([0.0, torch.nan, torch.inf])
    truth = way([[0.0, 0, 0], [0.1, 0, 1], [0.5, 0, 2]])
    paths = [way([[0.0, 0, 0], [0.1, 0, i / steps], [0.5, 0, 2 * i / steps]]) for i in range(steps)]
    still = [image_panel(torch.rand(3, *size, generator=generator), "image")]
    figure = growth_animation(
        [100 * i for i in range(steps)], {"depth": maps}, {"learned": paths}, still=still, truth=truth, **options
    )
    return figure, maps, paths


def pixels(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB"))


def test_an_animation_shows_the_last_step_until_it_is_played() -> None:
    figure, *_ = growth()
    assert [frame.name for frame in figure.frames] == ["0", "100", "200", "300", "400"]
    last = figure.frames[-1]
    for trace, i in zip(last.data, last.traces, strict=True):
        shown = figure.data[i]
        assert shown.type == trace.type
        if trace.type == "image":
            assert shown.source == trace.source and shown.name == "depth"
        else:
            assert (shown.x, shown.y, shown.name) == (trace.x, trace.y, "learned")
    slider = figure.layout.sliders[0]
    assert slider.active == 4 and [step.label for step in slider.steps] == ["0", "100", "200", "300", "400"]
    assert [button.method for button in figure.layout.updatemenus[0].buttons] == ["animate", "animate"]
    assert describe(figure).splitlines()[:2] == ["picture 'image'", "picture 'depth'"]


def test_every_frame_holds_its_map_and_its_path() -> None:
    figure, maps, paths = growth()
    scale = Scale(
        "depth (m)", *(float(maps[-1][(maps[-1] > 0) & (maps[-1] < 9)].double().quantile(q)) for q in (0.01, 0.99))
    )
    for frame, depth, path in zip(figure.frames, maps, paths, strict=True):
        picture, line, start = frame.data
        difference = np.abs(pixels(picture.source).astype(int) - depth_rgb(depth, scale).astype(int))
        assert difference.max() <= 4  # one of 255 colours
        assert list(line.y) == pytest.approx(path[:, 2, 3].tolist(), abs=1e-3) and list(start.x) == [0.0]
    assert (pixels(figure.frames[-1].data[0].source)[0, :3] == GREY).all()


def test_pictures_of_the_animation_lie_on_axes_of_data_pixels() -> None:
    figure, *_ = growth()
    trace = next(trace for trace in figure.data if trace.name == "depth")
    assert (trace.x0, trace.dx, pixels(trace.source).shape) == (0, 1, (12, 16, 3))


def test_paths_of_the_animation_have_metres_alike_and_leave_room_for_numbers() -> None:
    figure, *_ = growth()
    layout, trace = figure.layout, next(trace for trace in figure.data if trace.name == "learned")
    x, y = layout[f"xaxis{trace.xaxis[1:]}"], layout[f"yaxis{trace.yaxis[1:]}"]
    width = np.ptp(x.domain) * (layout.width - layout.margin.l - layout.margin.r)
    height = np.ptp(y.domain) * (layout.height - layout.margin.t - layout.margin.b)
    assert np.ptp(x.range) / width == pytest.approx(np.ptp(y.range) / height, rel=1e-6)
    assert x.domain[0] > 0.05 and y.domain[0] > 0.03  # numbers and titles stand there
    assert x.showticklabels and "(m)" in x.title.text and "(m)" in y.title.text
    assert y.range[0] < 0 and y.range[1] > 2


def test_a_path_that_goes_astray_does_not_shrink_the_others() -> None:
    truth = way([[0.0, 0, 0], [0, 0, 1]])
    wild = way([[0.0, 0, 0], [0, 0, 1e3]])
    maps = [torch.rand(6, 8) + 1] * 2
    figure = growth_animation([0, 1], {"depth": maps}, {"learned": [wild, truth]}, truth=truth)
    trace = next(trace for trace in figure.data if trace.name == "learned")
    assert np.ptp(figure.layout[f"yaxis{trace.yaxis[1:]}"].range) < 3


def test_twenty_steps_stay_below_half_a_megabyte() -> None:
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    maps = [2 + torch.sin(x / (9 + i)) * torch.cos(y / 7) + 0.02 * torch.rand(96, 128) for i in range(20)]
    path = way([[0.01 * i, 0, 0.05 * i] for i in range(32)])
    figure = growth_animation(list(range(20)), {"depth": maps}, {"learned": [path] * 20}, truth=path)
    assert len(figure.to_json()) < 500_000


def test_an_animation_of_maps_alone() -> None:
    figure = growth_animation([0, 0.5], {"a": [torch.rand(5, 6) + 1] * 2, "b": [torch.rand(5, 6) + 1] * 2})
    assert [frame.name for frame in figure.frames] == ["0", "0.5"]
    assert [trace.type for trace in figure.frames[0].data] == ["image", "image"]
    scale = Scale("error", 0.0, 5.0, "cividis")
    figure = growth_animation([0, 1], {"e": [torch.rand(5, 6)] * 2}, scales={"e": scale})
    bar = next(trace for trace in figure.data if trace.type == "scatter").marker
    assert (bar.cmin, bar.cmax, bar.colorbar.title.text) == (0.0, 5.0, "error")


MAPS = [torch.ones(4, 5)] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: disparity_panel(torch.zeros(3, 4), "nothing"), "nowhere known"),
        (lambda: depth_bars({}), "at least one row"),
        (lambda: depth_bars({"a": SEEDS}, references=["b"], measures=("a1",)), "references must be rows"),
        (lambda: depth_bars({"a": SEEDS}, measures=("rmse",)), "needs 'rmse' of each seed"),
        (lambda: error_by_gap({"a": {}}, y_title="y"), "a value for each gap"),
        (lambda: error_by_gap({}, y_title="y"), "at least one series"),
        (lambda: focal_over_training({}, 60.0), "at least one run"),
        (lambda: focal_over_training({"a": [{"step": 1, "f": 2.0}]}, 60.0), r"'focal'.*\['f', 'step'\]"),
        (lambda: camera_paths({}), "at least one"),
        (lambda: camera_paths({"a": 2 * torch.eye(4)[None]}), "path 'a' is no rigid motion"),
        (lambda: growth_animation([1], {"a": MAPS[:1]}), "at least 2 steps"),
        (lambda: growth_animation([1, 2], {}), "one map"),
        (lambda: growth_animation([1, 1], {"a": MAPS}), "must differ"),
        (lambda: growth_animation([1, 2, 3], {"a": MAPS}), "one entry for each of 3 steps, got 2"),
        (lambda: growth_animation([1, 2], {"a": [torch.zeros(4, 5)] * 2}), "nowhere known"),
    ],
)
def test_nothing_to_draw_is_said(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
