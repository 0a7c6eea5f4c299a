"""Landscapes to walk down: made-up ones whose ends are known, and those of a clean clip."""

from types import MappingProxyType

import numpy as np
import pytest
import torch
from depth_clips import tracking_clip

from stc_lab.errors import InputError
from stc_lab.experiments.depth_landscapes import FACTORS
from stc_lab.experiments.depth_lesson import lesson_moment
from stc_lab.experiments.depth_valleys import (
    FLOW,
    FOCAL_FACTORS,
    PHOTOMETRIC,
    WITHIN,
    DepthValleys,
    depth_valleys,
    focal_valley,
    spread_pairs,
    square,
    turning_rate,
)

TRUTH = FACTORS.index(1.0)


def made_up(*columns: np.ndarray) -> DepthValleys:
    """One row of pixels, with these landscapes for both errors."""
    error = torch.from_numpy(np.stack(columns, axis=1))[:, None]
    return DepthValleys(
        MappingProxyType({PHOTOMETRIC: error, FLOW: error}), torch.ones(1, len(columns), dtype=torch.bool)
    )


def walk(error: np.ndarray, start: int) -> int:
    """Step by step to the lower neighbour."""
    place = start
    while True:
        options = [n for n in (place - 1, place + 1) if 0 <= n < len(error) and error[n] < error[place]]
        if not options:
            return place
        place = min(options, key=lambda n: error[n])


def test_arrivals_are_counted_as_one_walks() -> None:
    rng = np.random.default_rng(0)
    columns = [rng.random(len(FACTORS)) for _ in range(40)]
    columns += [np.abs(np.log2(FACTORS)) + 0.02 * rng.random(len(FACTORS)) for _ in range(10)]
    valleys = made_up(*columns)
    near = [i for i, factor in enumerate(FACTORS) if 1 / WITHIN <= factor <= WITHIN]
    for start, share in enumerate(valleys.arrivals(PHOTOMETRIC)):
        expected = np.mean([walk(column, start) in near for column in columns])
        assert share == pytest.approx(expected), start


def test_one_valley_is_reached_from_everywhere_and_a_wrong_one_from_nowhere() -> None:
    x = np.log2(FACTORS)
    assert made_up(np.abs(x)).arrivals(FLOW) == [1.0] * len(FACTORS)
    assert made_up(np.abs(x - 0.5)).arrivals(FLOW) == [0.0] * len(FACTORS)
    assert made_up(np.abs(x), np.abs(x - 0.5)).arrivals(FLOW) == [0.5] * len(FACTORS)
    assert made_up(np.zeros_like(x)).arrivals(FLOW) == [float(1 / WITHIN <= f <= WITHIN) for f in FACTORS]


def test_minima_and_the_typical_pixel() -> None:
    x = np.log2(FACTORS)
    smooth, wavy, wavier = np.abs(x), np.abs(x) + 0.3 * np.sin(9 * x) ** 2, np.abs(x) + 0.3 * np.sin(18 * x) ** 2
    valleys = made_up(smooth, wavy, wavier, wavy + 0.1, wavy)
    counts = valleys.minima(PHOTOMETRIC)[0].tolist()
    assert counts[0] == 1 < counts[1] < counts[2]
    assert counts[valleys.typical_pixel()[0]] == counts[1]  # the median; of several the one nearest to the middle
    assert valleys.typical_pixel() in ((1, 0), (3, 0))
    with pytest.raises(InputError, match="smallest"):
        made_up(np.abs(x - 0.5)).typical_pixel()


def test_flow_points_from_afar_where_the_photometric_error_does_not() -> None:
    moment = lesson_moment(tracking_clip(), 2)
    valleys = depth_valleys(moment)
    photometric, flow = (valleys.arrivals(name) for name in (PHOTOMETRIC, FLOW))
    assert photometric[0] < 0.3 and photometric[TRUTH] > 2 * photometric[0]
    assert max(flow) - min(flow) < 0.05 and flow[0] > 2 * photometric[0]
    everywhere = valleys.judged
    for name in (PHOTOMETRIC, FLOW):  # over the whole image both have their valley at the truth
        curve = valleys.curve(name, everywhere)
        assert abs(curve.index(min(curve)) - TRUTH) <= 1
    assert valleys.curve(FLOW, square((64, 96), 40, 30, 1))[0] == pytest.approx(float(valleys.error[FLOW][0, 30, 40]))
    assert int(square((64, 96), 0, 30, 5).sum()) == 15


def test_turning_and_a_true_depth_tell_the_focal_length() -> None:
    valleys = {}
    for room in (0, 2):
        a, b = spread_pairs(tracking_clip(room), 3, count=2)
        assert a.depth is not None and b.depth is not None
        valleys[room] = focal_valley(a, b, a.depth, b.depth)
        flat = focal_valley(a, b, torch.ones_like(a.depth), torch.ones_like(b.depth))
        valleys[room + 100] = flat
    assert turning_rate(tracking_clip(0)) > 1 > turning_rate(tracking_clip(2))
    assert valleys[0].turn > 3 and valleys[2].turn < 3
    truth = FOCAL_FACTORS.index(1.0)
    error = valleys[0].error[FLOW]
    assert abs(error.index(min(error)) - truth) <= 1
    rise = {room: max(valley.error[FLOW]) / min(valley.error[FLOW]) for room, valley in valleys.items()}
    assert rise[0] > 1.5 * rise[2] and rise[0] > 1.5 * rise[100]


@pytest.mark.bad_input
def test_pairs_must_fit_into_the_clip() -> None:
    a, b = spread_pairs(tracking_clip(), 3, count=4)
    assert (b.index - a.index).tolist() == [3] * 4 and a.index.tolist() == [0, 2, 3, 5]
    with pytest.raises(InputError, match="no pairs 9 apart"):
        spread_pairs(tracking_clip(), 9)
