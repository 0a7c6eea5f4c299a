"""The studies of chapter 07: sure labels at any threshold, maps that never waver, rows that differ in the terms."""

import math

import pytest
import torch
from torch import Tensor

from stc_lab.data import Clip, Videos, load
from stc_lab.errors import InputError
from stc_lab.experiments.contrast_study import (
    BASE,
    MEASURES,
    START,
    closing_table,
    contrast_rows,
    contrast_study,
)
from stc_lab.experiments.method_study import method_table
from stc_lab.experiments.steady_maps import steadiness, steady_predictions
from stc_lab.experiments.sure_labels import SureLabels, sure_labels
from stc_lab.losses import pseudo_labels
from stc_lab.metrics import video_consistency
from stc_lab.models import FPNSegmenter, load_shipped


@pytest.fixture(scope="module")
def videos() -> Videos:
    return load("rooms", split="test", preset="tiny", motion="handheld")


@pytest.fixture(scope="module")
def model() -> FPNSegmenter:
    return load_shipped("rooms_fpn").model


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.77, 0.99])
def test_counts_of_sure_labels_are_those_of_the_labels_made(
    model: FPNSegmenter, videos: Videos, threshold: float
) -> None:
    found = sure_labels([model], videos, step=1)
    made, truth = [], []
    for name in videos.names:
        clip = videos.clip(name)
        with torch.no_grad():
            made.append(pseudo_labels(model(clip.image).softmax(dim=1).double(), threshold, given="probabilities"))
        truth.append(clip.label)
    label, likeliest = (torch.cat(parts) for parts in ([m.label for m in made], truth))
    known = likeliest != 255
    kept = (label != 255) & known
    assert found.all_kept(threshold) == pytest.approx(float(kept.sum() / known.sum()), rel=1e-6)
    right = kept & (label == likeliest)
    assert found.all_correct(threshold) == pytest.approx(float(right.sum() / kept.sum()), rel=1e-6)
    for k in (0, 1, 2, 11):
        of_class = kept & (label == k)
        expected = float((right & of_class).sum() / of_class.sum()) if bool(of_class.any()) else math.nan
        assert float(found.correct(threshold)[k]) == pytest.approx(expected, nan_ok=True)
        there = known & (likeliest == k)
        expected = float((right & there).sum() / there.sum()) if bool(there.any()) else math.nan
        assert float(found.reached(threshold)[k]) == pytest.approx(expected, nan_ok=True)
    assert float(found.share(threshold).sum()) == pytest.approx(1.0)


def test_a_confidence_on_the_threshold_is_not_over_it() -> None:
    counts = torch.zeros(2, 100, dtype=torch.int64)
    counts[0, 49], counts[0, 50], counts[1, 99] = 3, 4, 1  # over 0.49 up to 0.5, over 0.5, over 0.99
    found = SureLabels(("a", "b"), counts, counts // 2, torch.tensor([8, 0]))
    assert found.kept(0.5).tolist() == [4 / 7, 1.0] and found.kept(0.49).tolist() == [1.0, 1.0]
    assert found.correct(0.5).tolist() == [0.5, 0.0]
    assert float(found.reached(0.5)[0]) == 0.25 and math.isnan(float(found.reached(0.5)[1]))


def test_the_mean_of_two_teachers_is_asked(model: FPNSegmenter, videos: Videos) -> None:
    other = FPNSegmenter(21, (4, 4, 4, 4), 4, generator=torch.Generator().manual_seed(0))
    both, alone = sure_labels([model, other], videos), sure_labels([model], videos)
    assert torch.equal(both.true, alone.true)
    assert both.all_kept(0.5) < alone.all_kept(0.5)  # the other is sure of nothing


def test_a_constant_map_fools_the_published_measure_and_only_the_frequent_class_ours(
    model: FPNSegmenter, videos: Videos
) -> None:
    rows = {row.name: row for row in steadiness(steady_predictions(model, videos), videos, lengths=(4, 8))}
    net, held, frequent, rare, misnamed = rows.values()
    for row in (held, frequent, rare, misnamed):
        assert row.official[4] == row.official[8] == 1.0
    assert net.official[4] < 1.0 and net.miou > frequent.miou
    assert rare.correct[4] == rare.accuracy == 0.0 and misnamed.correct[4] == misnamed.miou == 0.0
    assert frequent.correct[4] == pytest.approx(_share_of_the_steady(videos, 4, frequent.name.split()[1]), rel=1e-6)
    assert frequent.balanced[4] == pytest.approx(1 / _steady_classes(videos, 4))


def _windows(clip: Clip, n: int) -> list[tuple[Tensor, Tensor]]:
    """The labels of each window's first frame, and where they stay."""
    windows = [clip.label[i : i + n] for i in range(len(clip) - n + 1)]
    return [(window[0], (window == window[0]).all(dim=0) & (window[0] != 255)) for window in windows]


def _share_of_the_steady(videos: Videos, n: int, name: str) -> float:
    wanted = videos.info.classes.index(name)
    windows = [window for video in videos.names for window in _windows(videos.clip(video), n)]
    shares = [float((label[steady] == wanted).double().mean()) for label, steady in windows if bool(steady.any())]
    return sum(shares) / len(shares)


def _steady_classes(videos: Videos, n: int) -> int:
    windows = [window for video in videos.names for window in _windows(videos.clip(video), n)]
    return len(torch.cat([label[steady] for label, steady in windows]).unique())


def test_the_truth_itself_is_perfect_and_windows_too_long_are_unknown(videos: Videos) -> None:
    (row,) = steadiness({"truth": lambda clip: clip.label}, videos, lengths=(4, 16))
    assert row.miou == row.official[4] == row.correct[4] == row.balanced[4] == 1.0
    assert math.isnan(row.official[16]) and math.isnan(row.correct[16]) and math.isnan(row.balanced[16])
    score = [video_consistency(videos.clip(name).label, videos.clip(name).label, 4) for name in videos.names]
    assert all(one.value == 1.0 for one in score)


def test_the_rows_differ_in_the_terms_alone(videos: Videos) -> None:
    train = load("rooms", split="train", preset="tiny", motion="handheld")
    recipes = contrast_rows(train, steps=2)
    assert list(recipes) == [BASE, "STCL", "pseudo-labels", "STCL + pseudo-labels"]
    terms = {name: set(recipe.names) for name, recipe in recipes.items()}
    assert (
        terms["STCL + pseudo-labels"] - terms["pseudo-labels"] == {"sampled_contrastive"} == terms["STCL"] - terms[BASE]
    )
    assert terms["pseudo-labels"] - terms[BASE] == {"teacher"}
    assert len({(recipe.labelled, recipe.batch, recipe.learning_rate) for recipe in recipes.values()}) == 1
    rows = contrast_study(train, videos, steps=2, seeds=(0,))
    assert [(row.name, row.seed) for row in rows] == [(START, 0), *((name, 0) for name in recipes)]
    table = method_table(rows)
    assert [entry["method"] for entry in table] == [START, *recipes]
    assert all(-1 <= float(entry["silhouette"]) <= 1 for entry in table)
    columns, cells = closing_table(table)
    assert list(cells) == list(recipes) and all(len(row) == len(columns) == 6 for row in cells.values())
    assert cells["pseudo-labels"][2:] == ("unknown", "not tried", "not tried", "not tried")  # too short for VC16


def test_the_closing_table_sets_gains_of_the_same_seeds_beside_the_papers() -> None:
    gains = {f"{name} gain": 0.0 for name in MEASURES}
    base = {"method": BASE, "seeds": 2, **gains}
    stcl = {"method": "STCL", "seeds": 2}
    for i, name in enumerate(MEASURES):
        base |= {name: 0.2 + i / 10, f"{name} spread": 0.01}
        stcl |= {f"{name} gain": 0.005 * i - 0.002, f"{name} gain spread": 0.003}
    columns, cells = closing_table([{"method": START, "seeds": 1, "mIoU": 0.2, "mIoU gain": -0.1}, base, stcl])
    assert columns[0] == "mIoU here, 2 seeds" and columns[4] == "official VC8 published"
    assert cells[BASE] == ("20.0 ± 1.0", "30.0 ± 1.0", "40.0 ± 1.0", "58.0", "89.2", "86.1")
    assert cells["STCL"] == ("-0.2 ± 0.3", "+0.3 ± 0.3", "+0.8 ± 0.3", "+1.3", "+0.9", "+0.8")


@pytest.mark.bad_input
def test_what_cannot_be_asked_is_refused(model: FPNSegmenter, videos: Videos) -> None:
    with pytest.raises(InputError, match="at least one teacher"):
        sure_labels([], videos)
    found = sure_labels([model], videos)
    for threshold in (1.0, -0.1, 0.555):
        with pytest.raises(InputError, match="threshold must be from 0 to"):
            found.kept(threshold)
    with pytest.raises(InputError, match="at least one way to predict"):
        steadiness({}, videos)
