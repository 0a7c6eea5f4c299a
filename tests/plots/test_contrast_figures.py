"""Figures of the contrastive chapter: what the pointer says, which point is where, and bytes."""

import math

import numpy as np
import pytest
import torch

from stc_lab.data import Clip, Videos, load
from stc_lab.errors import InputError
from stc_lab.experiments.pixel_embedding import EmbeddedPixels, anchor_view, embedded_pixels, pixel_features
from stc_lab.experiments.sure_labels import SureLabels
from stc_lab.experiments.surroundings import FlipRate, swapped_surroundings, telling_pair
from stc_lab.models import load_shipped
from stc_lab.plots import (
    class_palette,
    context_means,
    context_panels,
    embedding_scatter,
    flip_curve,
    image_grid,
    push_curves,
    sure_bars,
    swapped_panels,
    threshold_curves,
)
from stc_lab.training import predict

MODEL = load_shipped("rooms_fpn").model


@pytest.fixture(scope="module")
def videos() -> Videos:
    return load("rooms", split="test", preset="tiny", motion="handheld")


@pytest.fixture(scope="module")
def frames(videos: Videos) -> Clip:
    return videos.clip(videos.names[0], start=2, stop=5, step=2)


@pytest.fixture(scope="module")
def planes(frames: Clip) -> dict[str, EmbeddedPixels]:
    return embedded_pixels({"before": MODEL, "after": MODEL}, frames, count=300)


def test_each_point_says_which_pixel_it_is(videos: Videos, frames: Clip, planes: dict[str, EmbeddedPixels]) -> None:
    palette = class_palette(videos.info.classes)
    figure = embedding_scatter(planes, palette)
    pixels = planes["before"]
    drawn = [trace for trace in figure.data if trace.xaxis == "x"]
    assert sum(len(trace.x) for trace in drawn) == len(pixels)
    prediction = predict(MODEL, frames.image)[:, ::2, ::2]
    for trace in drawn:
        class_id = palette.names.index(trace.name)
        assert trace.marker.color == palette.colours[class_id]
        for x, y, text, rim in zip(trace.x, trace.y, trace.text, trace.marker.line.color, strict=True):
            place = [int(word.strip("<br>the")) for word in text.replace(",", "").split("<br>")[0].split()[1::2]]
            number = [2, 4].index(place[0])
            assert int(frames.label[number, place[2], place[1]]) == class_id
            said = int(prediction[number, place[2] // 2, place[1] // 2])
            assert text.endswith(palette.names[said]) and (rim == "#c3c8d0") == (said == class_id)
            nearest = (pixels.xy - torch.tensor([x, y])).norm(dim=1).min()
            assert float(nearest) < 1e-3
    names = [trace.name for trace in figure.data if trace.showlegend]
    assert len(names) == len(set(names)) == len(pixels.label.unique())
    assert f"{pixels.separation.ratio:.3f}" in figure.layout.annotations[0].text


def test_an_embedding_of_two_nets_and_300_pixels_is_small(planes: dict[str, EmbeddedPixels], videos: Videos) -> None:
    figure = embedding_scatter(planes, class_palette(videos.info.classes))
    assert len(figure.to_json()) < 90_000
    assert {trace.type for trace in figure.data} == {"scatter"}  # scattergl would need WebGL


def test_the_push_curve_ends_at_everything_and_the_colder_lies_above(frames: Clip) -> None:
    pixels = pixel_features(MODEL, frames)
    views = [anchor_view(pixels, 0, 20, 12, tau) for tau in (0.03, 0.3, 1e6)]
    cold, warm, flat = push_curves(views).data
    for curve in (cold, warm, flat):
        assert curve.x[-1] == pytest.approx(100) and curve.y[-1] == pytest.approx(100, abs=1e-3)
    assert bool((np.array(cold.y) >= np.array(warm.y) - 1e-6).all())
    np.testing.assert_allclose(flat.y, flat.x, rtol=1e-3)
    assert [trace.name for trace in push_curves(views, names=("a", "b", "c")).data] == ["τ = a", "τ = b", "τ = c"]


def sure() -> SureLabels:
    proposed, right = torch.zeros(2, 3, 100, dtype=torch.int64)
    proposed[0, 20], proposed[0, 90], proposed[1, 60] = 30, 10, 4
    right[0, 20], right[0, 90], right[1, 60] = 3, 10, 1
    return SureLabels(("a", "b", "c"), proposed, right, torch.tensor([20, 24, 0]))


def test_bars_are_in_the_order_of_the_classes_and_nothing_is_drawn_where_nothing_is_known() -> None:
    kept, right, reached = sure_bars(sure(), 0.5).data
    assert kept.x == ("b", "a", "c")
    assert list(kept.y) == [100.0, 25.0, None] and list(right.y) == [25.0, 100.0, None]
    assert list(reached.y) == pytest.approx([4.17, 50.0, None])


def test_threshold_curves_go_from_all_to_few() -> None:
    (curve,) = threshold_curves({"the net": sure()}, thresholds=[0.0, 0.5, 0.8]).data
    assert list(curve.x) == pytest.approx([100, 100 * 14 / 44, 100 * 10 / 44])
    assert list(curve.y) == pytest.approx([100 * 14 / 44, 100 * 11 / 14, 100])
    assert curve.text[1] == "threshold 0.50"


def test_flip_curves_are_in_per_cent() -> None:
    (curve,) = flip_curve({"net": [FlipRate(0.01, 0.2, 5), FlipRate(0.3, 0.5, 7)]}).data
    assert list(curve.x) == [1.0, 30.0] and list(curve.y) == [20.0, 50.0]


def test_context_panels_show_the_window_of_the_point_in_both_frames(videos: Videos) -> None:
    palette, radius = class_palette(videos.info.classes), 5
    pair, point = telling_pair(MODEL, videos, 2, radius=radius)
    predictions = predict(MODEL, torch.cat([pair.target.image, pair.other.image]))
    panels = context_panels(pair, point, predictions, palette, radius=radius)
    assert len(panels) == 6
    for row, (frame, (x, y)) in enumerate(((pair.target, point), (pair.other, pair.later(point)))):
        whole, inclusive, exclusive = panels[3 * row : 3 * row + 3]
        assert palette.names[int(predictions[row, y, x])] in whole.title
        assert inclusive.size == exclusive.size == (2 * radius + 1, 2 * radius + 1)
        window = frame.label[0, y - radius : y + radius + 1, x - radius : x + radius + 1]
        hidden = torch.zeros_like(window, dtype=torch.bool) if exclusive.hidden is None else exclusive.hidden
        assert np.array_equal(np.asarray(hidden), (window != window[radius, radius]).numpy())
    titles = [panel.title for panel in (panels[0], panels[3])]
    assert titles[0].split("says")[1] != titles[1].split("says")[1]  # the point flips
    assert len(image_grid(panels, columns=3).data) >= 6


def test_the_exclusive_mean_of_a_frame_keeps_its_edges(videos: Videos) -> None:
    frame = videos.clip(videos.names[0], stop=1)
    plain, inclusive, exclusive = (panel.rgb.astype(float) for panel in context_means(frame, radius=6))
    edge = np.asarray(frame.label[0, :, 1:] != frame.label[0, :, :-1])
    steps = [np.abs(np.diff(rgb, axis=1)).mean(axis=2)[edge].mean() for rgb in (plain, inclusive, exclusive)]
    assert steps[1] < 0.5 * steps[0] and steps[2] > 1.5 * steps[1]


def test_a_swapped_class_is_shown_in_both_rooms(videos: Videos) -> None:
    palette = class_palette(videos.info.classes)
    swapped = swapped_surroundings(MODEL, videos, frames=1)
    class_id = int(swapped.reliance.classes[0])
    picture = swapped.swapped(0, class_id)
    before, after = predict(MODEL, torch.stack([swapped.frames.image[0], picture]))
    panels = swapped_panels(swapped, before, after, 0, class_id, palette)
    own = swapped.frames.label[0] == class_id
    stays = 100 * float((before == after)[own].float().mean()) if bool(own.any()) else math.nan
    assert math.isnan(stays) or f"{stays:.0f} %" in panels[3].caption
    assert len(panels) == 4


@pytest.mark.bad_input
def test_too_many_points_are_refused(planes: dict[str, EmbeddedPixels], videos: Videos) -> None:
    with pytest.raises(InputError, match="at least one net"):
        embedding_scatter({}, class_palette(videos.info.classes))
