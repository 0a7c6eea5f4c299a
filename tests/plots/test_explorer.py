"""The explorer's pictures, charts and pages: pure functions of a pair and a state."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from stc_lab.data import load
from stc_lab.errors import InputError
from stc_lab.experiments.cause_truth import CauseConfusion
from stc_lab.experiments.explorer_material import ExplorerMaterial
from stc_lab.experiments.explorer_state import ExplorerState
from stc_lab.models import load_shipped
from stc_lab.plots.explorer import explorer_panels, logit_class, ranking_bars
from stc_lab.plots.explorer_causes import confusion_figure
from stc_lab.plots.explorer_charts import Bar, class_legend, class_ribbon, distribution_bars, histogram, ranked_list
from stc_lab.plots.explorer_charts import timeline as timeline_of
from stc_lab.plots.explorer_page import still
from stc_lab.plots.explorer_report import save_scene, telling_pixel, worst_pairs_report
from stc_lab.plots.explorer_scene import explorer_scene, material_palette
from stc_lab.plots.palette import Palette
from stc_lab.plots.panels import Panel
from stc_lab.plots.pictures import faded, image_rgb

BARS = [Bar(str(i), i, value, f"pair {i}", (str(i), f"{value}")) for i, value in enumerate([0.3, 0.9, 0.0, 0.6])]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> ExplorerMaterial:
    net = load_shipped("rooms_fpn").model
    videos = load("rooms", split="test", preset="tiny")
    return ExplorerMaterial(videos, {"net": net, "twin": net}, cache=tmp_path_factory.mktemp("cache"))


def panels_of(material: ExplorerMaterial, state: ExplorerState, **options: object) -> dict[str, Panel]:
    palette = material_palette(material)
    found = explorer_panels(material.view(state), state, palette, **options)  # type: ignore[arg-type]  # given by tests
    return {panel.title: panel for panel in found}


def choices(text: str) -> list[str]:
    return re.findall(r"data-choose='([^']*)'", text)


def test_all_is_shown_that_a_pair_has(material: ExplorerMaterial) -> None:
    state = replace(material.worst(), second="twin")
    view = material.view(state)
    shown = panels_of(material, state, second=material.view(state, "twin"))
    t, s = state.frame, state.later
    for title in (f"Target: frame {t}", f"Source: frame {s}", f"Labels, frame {t}", "Labels of the source, warped"):
        assert title in shown
    assert {"Where they disagree", "Not seen by the source", "Depth of the target", "twin: disagreement"} <= set(shown)
    name = material.classes[logit_class(view, state)]
    assert f"Logit of {name}, target" in shown and f"Logit of {name}, warped" in shown
    assert shown[f"Logit of {name}, target"].scale == shown[f"Logit of {name}, warped"].scale  # to be compared
    share = 100 * float(view.disagreement.sum() / view.visible.sum())
    assert shown["Where they disagree"].caption == f"{share:.1f} % of the visible pixels"
    assert np.array_equal(shown["Where they disagree"].hidden, ~view.visible[0].numpy())


def test_forward_swaps_the_frames(material: ExplorerMaterial) -> None:
    shown = panels_of(material, replace(material.worst(), direction="forward"))
    state = material.worst()
    assert f"Target: frame {state.later}" in shown and f"Source: frame {state.frame}" in shown


def test_opacity_and_the_legend_uncover_the_image(material: ExplorerMaterial) -> None:
    state = material.worst()
    view, title = material.view(state), f"Labels, frame {state.frame}"
    image = image_rgb(view.target.image[0])
    label = view.labels_target[0]
    colours = panels_of(material, state)[title].rgb
    assert np.array_equal(colours, material_palette(material).rgb(label))
    assert np.array_equal(panels_of(material, replace(state, opacity=0.0))[title].rgb, image)
    half = panels_of(material, replace(state, opacity=0.5))[title].rgb
    assert np.abs(half.astype(float) - (image.astype(float) + colours) / 2).max() <= 0.51
    class_id = int(torch.mode(label.flatten()).values)
    off = panels_of(material, replace(state, hidden=(class_id,)))[title].rgb
    gone = (label == class_id).numpy()
    assert np.array_equal(off[gone], faded(image)[gone]) and np.array_equal(off[~gone], colours[~gone])


def test_the_pixel_is_ringed_where_it_goes(material: ExplorerMaterial) -> None:
    state = material.worst()
    view = material.view(state)
    y, x = (int(v) for v in view.visible[0].nonzero()[5])
    shown = panels_of(material, replace(state, x=x, y=y))
    (here,) = shown[f"Target: frame {state.frame}"].marks
    (there,) = shown[f"Source: frame {state.later}"].marks
    assert here.places == ((float(x), float(y)),) and there.kind == "ring"
    assert there.places[0] == pytest.approx(view.places.pixels[0, :, y, x].tolist())
    y, x = (int(v) for v in (~view.visible[0]).nonzero()[0])
    assert panels_of(material, replace(state, x=x, y=y))[f"Source: frame {state.later}"].marks[0].kind == "cross"


def test_depth_shows_its_disturbance_and_flow_has_none(material: ExplorerMaterial) -> None:
    state = material.worst()
    plain = panels_of(material, state)["Depth of the target"]
    far = panels_of(material, replace(state, depth_scale=1.3))["Depth of the target"]
    assert plain.scale == far.scale and not np.array_equal(plain.rgb, far.rgb)
    assert "Length of the flow" in panels_of(material, replace(state, geometry="estimated"))


def test_every_pair_can_be_chosen_in_the_time_line_and_none_twice() -> None:
    text = timeline_of(BARS, "1", "disagreement")
    assert choices(text) == ["0", "1", "2", "3"]
    assert text.count("#d55e00") == 1  # the one that is shown
    grey = timeline_of([replace(BARS[0], passing=False), *BARS[1:]], "1", "disagreement")
    assert grey.count("#c3c8d0") == 1


def test_the_histogram_counts_and_leads_to_the_worst_of_a_bin() -> None:
    many = [Bar(str(i), i, i / 100, f"pair {i}") for i in range(100)]
    text = histogram(many, "0", "disagreement", bins=10)
    assert choices(text) == [str(10 * b + 9) for b in range(10)]
    assert all("10 pairs of" in words for words in re.findall("<title>(.*?)</title>", text))
    assert "no pair passes" in histogram([replace(bar, passing=False) for bar in BARS], "0", "disagreement")


def test_the_list_has_the_passing_ones_in_their_order() -> None:
    order = [BARS[1], replace(BARS[3], passing=False), BARS[0], BARS[2]]
    text = ranked_list(order, "0", ("pair", "value"))
    assert choices(text) == ["1", "0", "2"] and "and 2 more" in ranked_list(order * 2, "0", ("pair", "value"), most=4)


def test_charts_of_real_pairs_escape_and_parse(material: ExplorerMaterial) -> None:
    bars = ranking_bars(material, material.worst())
    assert [bar.value for bar in bars] == sorted((bar.value for bar in bars), reverse=True)
    assert bars[0].cells[0].startswith("000")  # what all names share is left out
    HTMLParser().feed(timeline_of([replace(BARS[0], words="<b> & 'x'")], "0", "q"))
    assert "<b>" not in timeline_of([replace(BARS[0], words="<b> & 'x'")], "0", "q")


def test_bars_ribbons_and_legend_say_what_they_show() -> None:
    palette = Palette(("wall", "bed", "lamp"), ("#dddddd", "#010178", "#f5ff92"))
    bars = distribution_bars(palette, {"frame 3": [0.7, 0.2, 0.1], "frame 4": [0.1, 0.85, 0.05]}, most=2)
    assert "wall 70 %, bed 20 %" in bars or "bed 20 %, wall 70 %" in bars
    ribbon = class_ribbon(palette, {"the pixel": [0, 0, None, 1]}, 5, (6, 8))
    assert re.findall("<title>(.*?)</title>", ribbon) == [
        "frame 5: wall",
        "frame 6: wall",
        "frame 7: not seen",
        "frame 8: bed",
    ]
    legend = class_legend(palette, [0, 2], [1])
    assert choices(legend) == ["0", "1", "2"] and legend.count("aria-pressed='false'") == 1


def test_nothing_on_a_page_wants_to_be_clicked() -> None:
    page = still(timeline_of(BARS, "1", "q") + class_legend(Palette(("a",), ("#123456",)), [0], []))
    assert "data-choose" not in page and "tabindex" not in page and "button" not in page


def test_a_scene_is_saved_as_page_picture_and_state(material: ExplorerMaterial, tmp_path: Path) -> None:
    state = replace(material.worst(), x=10, y=12, yaw=1.5)
    page, picture, saved = save_scene(material, state, tmp_path)
    assert ExplorerState.from_json(saved.read_text()) == state
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    scene = explorer_scene(material, state)
    assert text.count("<img ") == len(scene.panels) and "http" not in text and "<script" not in text
    assert "disturbed: yaw" in text and "class of the pixel over frames" in text


def test_the_report_is_of_the_worst_pairs_and_of_the_net_alone(material: ExplorerMaterial, tmp_path: Path) -> None:
    state = replace(material.worst(), yaw=5.0)
    text = worst_pairs_report(material, state, tmp_path / "sub" / "report.html", count=2).read_text()
    assert text.count("<section>") == 2 and "http" not in text and "disturbed: " not in text
    for score in material.ranking(state)[:2]:
        assert f"{score.value:.3f}" in text
    view = material.view(material.worst())
    x, y = telling_pixel(view)
    assert float(view.soft_disagreement[0, y, x]) == float(view.soft_disagreement.max())


@pytest.mark.bad_input
def test_bad_input_is_refused(material: ExplorerMaterial, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="count"):
        worst_pairs_report(material, material.worst(), tmp_path / "r.html", count=0)
    state = replace(material.opening(), least_motion=5e5, most_motion=6e5)
    with pytest.raises(InputError, match="no pair passes"):
        worst_pairs_report(material, state, tmp_path / "r.html")
    palette = Palette(("wall", "bed"), ("#dddddd", "#010178"))
    with pytest.raises(InputError, match="2 numbers"):
        distribution_bars(palette, {"frame 1": [1.0]})
    with pytest.raises(InputError, match="one length"):
        class_ribbon(palette, {"a": [0], "b": [0, 1]}, 0, ())


def test_confusions_are_shares_of_the_true_cause() -> None:
    counts = torch.zeros(6, 6, dtype=torch.int64)
    counts[0, 0], counts[0, 1], counts[5, 5] = 3, 1, 8
    figure = confusion_figure({"exact": CauseConfusion(counts)})
    (cells,) = figure.data
    assert list(cells.z[0]) == [75, 25, 0, 0, 0, 0] and cells.z[5][5] == 100
    assert set(cells.z[2]) == {None}  # no pixel was of that cause
    assert figure.layout.annotations[0].text == "exact: 92 % right"


@pytest.mark.bad_input
def test_a_figure_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        confusion_figure({})
