"""Changes against the right base, spreads of the right thing, and the published numbers as the paper prints them."""

import math
from dataclasses import replace

import pytest
import torch

from stc_lab.data import load
from stc_lab.errors import InputError
from stc_lab.experiments.smoothing_front import FrontRow, Smoothing, effect_of
from stc_lab.experiments.stabilising import (
    BASE,
    FILTERS,
    PUBLISHED,
    Change,
    TrainedRow,
    closing_table,
    filter_changes,
    trained_front,
    training_changes,
)

PLAIN = Smoothing("none")


def row_of(right: list[int], e_cons: list[float], smoothing: Smoothing = PLAIN) -> FrontRow:
    """Rooms of two classes and 100 pixels each, of which so many are right in each class alike."""
    counts = torch.tensor([[[n // 2, 50 - n // 2], [50 - n // 2, n // 2]] for n in right])
    each = torch.tensor(e_cons, dtype=torch.float64)
    n = sum(right) / (100 * len(right))
    return FrontRow(smoothing, n / (2 - n), n, 1.0, 1.0, float(each.mean()), 0.0, False, counts, each)


def test_an_effect_is_a_difference_and_a_ratio() -> None:
    base, other = row_of([40, 60, 80], [0.4, 0.6, 0.8]), row_of([50, 60, 70], [0.2, 0.3, 0.4])
    effect = effect_of(other, base)
    assert effect.e_cons == pytest.approx(-0.5) and effect.e_cons_spread == pytest.approx(0, abs=1e-12)
    assert effect.miou == pytest.approx(0.0, abs=1e-12) and effect.miou_spread > 0.01
    assert (effect.steadier, effect.better, effect.videos) == (3, 1, 3)
    itself = effect_of(base, base)
    assert (itself.miou, itself.miou_spread, itself.e_cons, itself.steadier) == (0, 0, 0, 0)


def test_the_spread_is_that_of_a_mean_over_rooms() -> None:
    """On many rooms the bootstrap of a mean of differences knows its standard error."""
    generator = torch.Generator().manual_seed(0)
    gains = torch.rand(60, generator=generator, dtype=torch.float64)
    base, other = row_of([60] * 60, [1.0] * 60), row_of([60] * 60, (1 - gains).tolist())
    expected = float(gains.std()) / math.sqrt(60)
    assert effect_of(other, base, resamples=2000).e_cons_spread == pytest.approx(expected, rel=0.1)


def test_filters_are_compared_with_the_net_alone() -> None:
    rows = [row_of([50, 50], [0.5, 0.5]), row_of([60, 60], [0.4, 0.4], Smoothing("guided filter", temporal_radius=2))]
    changes = filter_changes(rows)
    assert list(changes) == ["3-D guided filter"]
    assert changes["3-D guided filter"].e_cons == pytest.approx(-0.2) and changes["3-D guided filter"].miou > 0


def test_trainings_are_compared_seed_by_seed() -> None:
    def trained(name: str, seed: int, right: int, e_cons: float) -> TrainedRow:
        return TrainedRow(name, seed, {"dolly": row_of([right], [e_cons])})

    rows = [trained(BASE, 0, 50, 0.5), trained(BASE, 1, 70, 1.0)]
    rows += [trained("steady", 0, 50, 0.4), trained("steady", 1, 70, 0.8)]
    change = training_changes(rows, "dolly")["steady"]
    assert change.e_cons == pytest.approx(-0.2) and change.e_cons_spread == pytest.approx(0, abs=1e-12)
    assert change.miou == change.miou_spread == 0
    one = training_changes(rows[::2], "dolly")["steady"]
    assert math.isnan(one.miou_spread)


def test_published_changes_are_those_of_the_tables() -> None:
    written = {name: (round(100 * c.miou, 1), round(100 * c.e_cons)) for name, c in PUBLISHED.items()}
    assert written == {
        "2-D guided filter": (0.2, 0),
        "3-D guided filter": (-0.5, -19),
        "E_pair loss": (-0.8, -62),
        "transform invariance": (-7.9, -12),
    }
    assert set(PUBLISHED) <= {*FILTERS, "E_pair loss", "transform invariance"}


def test_the_table_sets_them_side_by_side() -> None:
    change = Change(0.0123, -0.305, 0.004, 0.02)
    columns, rows = closing_table({"dolly": {"E_pair loss": change, "another": replace(change, miou_spread=math.nan)}})
    assert columns == ("mIoU, dolly", "E_cons, dolly", "recall, published", "inconsistency, published")
    assert rows["E_pair loss"] == ("+1.2 ± 0.4", "-30 ± 2 %", "-0.8", "-62 %")
    assert rows["another"] == ("+1.2", "-30 ± 2 %", "", "")


def test_a_net_is_scored_on_every_set_of_videos() -> None:
    train, test = (load("rooms", split=split, preset="tiny") for split in ("train", "test"))
    short = {BASE: (BASE, {}), "E_pair loss": ("stability (E_pair)", {"clip_length": 2})}
    rows = trained_front(train, {"a": test, "b": test}, steps=1, seeds=(4,), trainings=short)
    assert [(row.name, row.seed) for row in rows] == [(BASE, 4), ("E_pair loss", 4)]
    for row in rows:
        assert row.scores["a"].miou == row.scores["b"].miou > 0


@pytest.mark.bad_input
def test_nothing_to_compare_is_refused() -> None:
    videos = load("rooms", split="test", preset="tiny")
    with pytest.raises(InputError, match="one seed are needed, got 1 and 0"):
        trained_front(videos, {"a": videos}, steps=1, seeds=())
    with pytest.raises(InputError, match="at least one set"):
        closing_table({})
    with pytest.raises(InputError, match="two rows of the same videos"):
        effect_of(row_of([50], [0.5]), row_of([50, 50], [0.5, 0.5]))
