import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.metrics import DepthScorer, best_constant, depth_scores, garg_crop, row_mean

pytestmark = pytest.mark.bad_input

ONES = torch.ones(2, 1, 4, 5)


def test_shapes_and_dtypes_that_do_not_fit():
    with pytest.raises(InputError, match=r"predicted must be \[b, 1, h, w\], got \[2, 4, 5\].*\[:, None\]"):
        depth_scores(ONES[:, 0], ONES)
    with pytest.raises(InputError, match=r"truth must be \[b, 1, h, w\], got \[2, 3, 4, 5\]"):
        depth_scores(ONES, ONES.expand(2, 3, 4, 5))
    with pytest.raises(InputError, match="one batch size, got 1 and 2"):
        depth_scores(ONES[:1], ONES)
    with pytest.raises(InputError, match=r"one dtype, got torch\.float64 and torch\.float32"):
        depth_scores(ONES.double(), ONES)
    with pytest.raises(InputError, match="must be float16, bfloat16"):
        depth_scores(ONES.long(), ONES)


def test_masks_that_do_not_fit():
    for wrong in (ONES > 0, (ONES[:, 0, :2] > 0), ONES[:, 0], (ONES[:, 0] > 0).expand(2, 4, 5)[:, :, :4]):
        with pytest.raises(InputError, match=r"usable must be bool \[2, 4, 5\]"):
            depth_scores(ONES, ONES, usable=wrong)
        with pytest.raises(InputError, match=r"usable must be bool \[2, 4, 5\]"):
            best_constant(ONES, usable=wrong)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_predictions_that_are_no_depth(value):
    predicted = ONES.clone()
    predicted[0, 0, 0, 0] = value
    scorer = DepthScorer()
    with pytest.raises(InputError, match=r"finite and positive where it counts; of 40 values 1 are not.*usable="):
        scorer.update(predicted, ONES)
    assert (scorer.images, scorer.skipped) == (0, 0)
    usable = torch.ones(2, 4, 5, dtype=torch.bool)
    usable[0, 0, 0] = False
    assert depth_scores(predicted, ONES, usable=usable).support == 39
    with pytest.raises(InputError, match="finite and positive"):
        depth_scores(predicted, torch.ones(2, 1, 8, 10))  # every pixel takes part in the resize


def test_nothing_to_score():
    with pytest.raises(InputError, match=r"no usable pixel in any of 2 images.*millimetres"):
        depth_scores(ONES, ONES * 1500)
    with pytest.raises(InputError, match=r"no usable pixel in any of 0 images.*never called"):
        DepthScorer().results()
    with pytest.raises(InputError, match="row means need"):
        row_mean(ONES * 0)


def test_ranges_and_rules():
    for low, high in ((0, 80), (5, 5), (2, 1), (float("nan"), 80)):
        with pytest.raises(InputError, match="0 < low < high"):
            DepthScorer(low=low, high=high)
    with pytest.raises(InputError, match=r"same rules.*80.*60"):
        DepthScorer() + DepthScorer(high=60)
    with pytest.raises(InputError, match="nothing is left"):
        garg_crop(1, 4)
