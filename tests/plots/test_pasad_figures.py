"""Figures of the Pasad study: they draw the numbers of the tables, say what is missing, and have words for all."""

import json
import math
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from made_up_pasad import CLASSES, CONTINUED, COUNTS, IDENTITY, METHOD, TABLE_2_ROWS, made_up_study, result
from small_rooms import small_rooms

from stc_lab.data import supervised_rows
from stc_lab.errors import InputError
from stc_lab.experiments.class_gains import class_gains
from stc_lab.experiments.label_reach import label_reach
from stc_lab.experiments.pasad_gallery import GalleryFrame
from stc_lab.experiments.published import TABLE_1, TABLE_2
from stc_lab.plots.ablation import ablation_figure, ablation_words
from stc_lab.plots.label_efficiency import equivalence_figure, equivalence_words, gain_curves, label_efficiency
from stc_lab.plots.label_reach import reach_figure, reach_words, teacher_panels
from stc_lab.plots.pasad_figures import comparisons, gallery_figure, study_figures, write_figures
from stc_lab.plots.point_names import name_places
from stc_lab.plots.rare_classes import change_words, confusion_change, gain_scatter, scatter_words

STUDY = made_up_study(
    {METHOD: 0.05, IDENTITY: 0.01}, ablation={row: 0.01 * (i + 1) for i, row in enumerate(TABLE_2_ROWS)}
)


def trace(figure: go.Figure, name: str, number: int = 0) -> go.Scatter:
    return [one for one in figure.data if one.name == name][number]


def texts(figure: go.Figure) -> str:
    return " ".join(one.text for one in figure.layout.annotations)


def test_label_efficiency_draws_means_and_the_printed_table() -> None:
    figure = label_efficiency(STUDY)
    own = trace(figure, METHOD)
    assert own.y == pytest.approx([100 * (0.12 + 0.05 * i + 0.05) for i in range(6)])
    assert own.error_y.array == pytest.approx([math.sqrt(2.5)] * 6)
    assert np.log(own.x) == pytest.approx(np.log(COUNTS), abs=0.1)  # moved aside by a little
    assert trace(figure, METHOD, 1).y == pytest.approx(TABLE_1[METHOD])
    assert figure.layout.xaxis.type == figure.layout.xaxis2.type == "log"


def test_gains_have_their_interval_and_the_printed_ones_beside() -> None:
    figure = gain_curves(STUDY)
    assert trace(figure, METHOD).y == pytest.approx([5] * 6)
    assert trace(figure, METHOD).error_y.array == pytest.approx([0] * 6, abs=1e-9)
    assert trace(figure, IDENTITY).y == pytest.approx([1] * 6)
    assert trace(figure, "consistency, as printed").y == pytest.approx([3.5, 2.9, 2.4, 0.3, 2.0, 0.0])
    wide = trace(gain_curves(made_up_study({METHOD: 0.05}, noise=0.01)), METHOD)
    assert min(wide.error_y.array) > 0


def test_extrapolations_are_open_markers_and_said_to_be() -> None:
    figure = equivalence_figure(STUDY)
    own = trace(figure, METHOD)
    assert own.y == pytest.approx([2] * 6)
    assert list(own.marker.symbol) == ["square"] * 5 + ["square-open"]
    assert [line[2] for line in own.customdata] == [""] * 5 + [" (extrapolated)"]
    assert any("extrapolated" in (one.name or "") for one in figure.data)
    assert "2.0 at 800, 2.0* at 1600" in equivalence_words(STUDY) and "extrapolated" in equivalence_words(STUDY)
    assert "extrapolated" not in equivalence_words([one for one in STUDY if one["row"] == CONTINUED])


def test_factors_are_drawn_over_a_log_axis_that_holds_them_all() -> None:
    study = made_up_study({METHOD: 0.15, IDENTITY: -0.2}, noise=0.01)
    figure = equivalence_figure(study)
    low, high = figure.layout.yaxis.range
    for name, factor in ((METHOD, 8), (IDENTITY, 1 / 16)):
        own = trace(figure, name)
        assert (
            own.y == pytest.approx([factor] * 6, rel=0.3) and low < np.log10(min(own.y)) < np.log10(max(own.y)) < high
        )
        assert np.all(np.array(own.error_y.arrayminus) < own.y) and min(own.error_y.array) > 0
    assert figure.layout.yaxis.type == "log" and {"1/4", "1", "8"} < set(figure.layout.yaxis.ticktext)
    assert trace(figure, METHOD, 1).y == pytest.approx([2.0, 2.0, 4.4, 2.1, 2.0, 1.0], abs=0.05)


def test_the_ablation_has_both_strengths_and_the_printed_gains() -> None:
    figure = ablation_figure(STUDY)
    assert trace(figure, "equal weight").x == pytest.approx([1, 2, 3, 4, 5, 6])
    assert len(trace(figure, "equalised").x) == 6
    printed = trace(figure, "as printed (ScanNet, 0.1 %)")
    assert printed.x == pytest.approx(
        [value - TABLE_2[CONTINUED] for row, value in TABLE_2.items() if row != CONTINUED]
    )
    for words in (figure.layout.xaxis.title.text, ablation_words(STUDY)):
        assert "at 50 labels" in words and "lowest share" in words


def test_the_scatter_names_classes_and_correlations() -> None:
    for one in STUDY:
        if one["row"] == METHOD:
            one["iou"] = {name: one["miou"] + 0.01 * i for i, name in enumerate(CLASSES)}
    gains = [class_gains(STUDY), class_gains(STUDY, row=IDENTITY)]
    figure = gain_scatter(gains)
    own = trace(figure, METHOD)
    assert own.text == CLASSES and own.x == pytest.approx([60, 30, 7, 2, 1])
    assert own.y == pytest.approx([100 * one.relative for one in gains[0].classes])
    assert trace(figure, METHOD, 1).y == pytest.approx([5, 6, 7, 8, 9])
    assert "ρ = -1.00" in texts(figure) and "5 classes" in texts(figure)
    assert "-1.00" in scatter_words(gains) and "under 1 %" not in scatter_words(gains)


def test_a_class_that_never_occurs_has_no_place_on_a_log_axis() -> None:
    study = [result(row, 50, 0, 0.2 + 0.1 * (row == METHOD)) for row in (CONTINUED, METHOD)]
    for one in study:
        one["train_frequency"] = {**one["train_frequency"], "plant": 0.0}
    assert trace(gain_scatter([class_gains(study, 50)]), METHOD).x[-1] is None


def test_confusion_is_drawn_in_points_around_zero() -> None:
    change = np.array([[0.1, -0.1], [-0.3, 0.3]])
    figure = confusion_change({"one": change, "other": -change}, ["a", "b"])
    assert np.allclose(figure.data[0].z, 100 * change) and figure.data[0].zmin == -figure.data[0].zmax == -30
    assert "Up most: b +30.0, a +10.0; down most: none" in change_words(change, ["a", "b"])


def test_everything_without_results_says_so() -> None:
    figures = study_figures([])
    assert {"label_efficiency", "gains", "label_equivalence", "ablation", "rare_classes", "confusion"} < set(figures)
    for name, (figure, alt) in figures.items():
        assert "no results yet" in (texts(figure) + alt).lower(), name
    assert comparisons([]) == []


def test_half_a_study_and_one_seed_can_be_drawn() -> None:
    for study in (
        made_up_study({METHOD: 0.05}, seeds=(0,)),
        [one for one in STUDY if one["row"] != IDENTITY and one["count"] < 400],
        [one for one in STUDY if one["row"] == METHOD],
        [result("baseline", 50, 0, 0.2)],
    ):
        for figure, alt in study_figures(study).values():
            json.loads(figure.to_json())
            assert alt.strip()


def test_figures_are_saved_with_their_words(tmp_path: Path) -> None:
    saved = write_figures([*STUDY, result(METHOD, 50, 0, 0.9, split="validation")], tmp_path)
    assert len(saved) == 7 and all(one.html.is_file() and len(one.alt) > 20 for one in saved)


def test_the_gallery_is_saved_beside_them(tmp_path: Path) -> None:
    truth = torch.tensor([[0, 1], [2, 2]])
    frame = GalleryFrame(
        "room", 3, "number 1 of 1", torch.rand(3, 2, 2), truth, truth, truth, (CLASSES[1],), 1, 0.0, 1.0
    )
    saved = write_figures(STUDY, tmp_path, gallery=[frame])
    (gallery,) = [one for one in saved if one.html.stem == "gallery"]
    assert len(saved) == 8 and "0% against 100%" in gallery.alt
    titles = texts(gallery_figure(STUDY, [frame])[0]).replace("<br>", " ")  # long ones have two lines
    assert f"Continued baseline, {COUNTS[-1]} labels" in titles and f"Consistency, {COUNTS[0]} labels" in titles


def test_reach_and_teachers(tmp_path: Path) -> None:
    videos = small_rooms(tmp_path)
    reach = label_reach(videos, supervised_rows(videos, 3, seed=0), gaps=(1, 2))
    figure = reach_figure(reach)
    known = [one.labelled for one in sorted(reach, key=lambda one: -one.labelled)]
    assert [value or 0 for value in trace(figure, "labelled").x] == known
    assert "in no labelled frame" in texts(figure) and "in all" in reach_words(reach)
    taught = next(one for one in reach if one.reached)
    panels = teacher_panels(videos, taught, gaps=(1, 2))
    assert len(panels) == 2 and taught.name in panels[0].title and str(taught.teachers[0].labelled) in panels[0].caption
    nowhere = next(one for one in reach if not one.labelled)
    with pytest.raises(InputError, match="no labelled frame"):
        teacher_panels(videos, nowhere, gaps=(1,))
    with pytest.raises(InputError, match="at least one class"):
        reach_figure([])


def test_names_avoid_each_other() -> None:
    places = name_places([0, 0.001, 5], [0, 0.001, 5], ["one", "two", "three"], size=(400, 400), font=11)
    assert places[0] != places[1] and len(places) == 3
    assert name_places([], [], [], size=(400, 400), font=11) == []


@pytest.mark.bad_input
def test_a_matrix_of_another_size() -> None:
    with pytest.raises(InputError, match="2 x 2"):
        confusion_change({"it": np.zeros((3, 3))}, ["a", "b"])
