import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.geometry.warp import WarpedLabels
from stc_lab.metrics import ConfusionMatrix, pool_scores, temporal_agreement, video_consistency

pytestmark = pytest.mark.bad_input

ZEROS = torch.zeros(4, 2, 3, dtype=torch.int64)


@pytest.mark.parametrize("wrong", [5, -1, 255])
def test_predictions_out_of_range_are_named(wrong):
    prediction = ZEROS.clone()
    prediction[0, 0, 0] = wrong
    matrix = ConfusionMatrix(5)
    with pytest.raises(InputError, match=rf"prediction must hold class ids 0\.\.4, got {wrong}\."):
        matrix.update(prediction, ZEROS)
    assert int(matrix.counts.sum()) == 0


def test_labels_out_of_range_are_named():
    truth = torch.arange(24).reshape(4, 2, 3)
    with pytest.raises(InputError, match=r"truth must hold class ids 0\.\.4, got 5, 6, 7, 8, 9, \.\.\.\..*ignore"):
        ConfusionMatrix(5).update(ZEROS, truth)
    with pytest.raises(InputError, match="num_classes must be at least 1, got 0"):
        ConfusionMatrix(0)


def test_confusion_matrices_that_do_not_fit():
    with pytest.raises(InputError, match=r"5 classes .* and 6"):
        ConfusionMatrix(5) + ConfusionMatrix(6)
    with pytest.raises(InputError, match="same shape"):
        ConfusionMatrix(5).update(ZEROS, ZEROS[:, :1])


def test_nothing_to_score():
    with pytest.raises(InputError, match="no usable pixel"):
        ConfusionMatrix(5).results()
    ignored = ConfusionMatrix(5)
    ignored.update(ZEROS, torch.full_like(ZEROS, 255))
    with pytest.raises(InputError, match="no usable pixel"):
        ignored.results()


@pytest.mark.parametrize(("n", "official"), [(5, False), (4, True), (16, True)])
def test_clips_too_short_for_a_window(n, official):
    with pytest.raises(InputError, match=rf"VC_{n} needs at least {n + official} frames.*got 4"):
        video_consistency(ZEROS, ZEROS, n, official=official)
    video_consistency(ZEROS, ZEROS, 4)  # one window


def test_windows_without_truth():
    with pytest.raises(InputError, match=r"no usable pixel.*255"):
        video_consistency(ZEROS, torch.full_like(ZEROS, 255), 2)
    with pytest.raises(InputError, match="at least 2"):
        video_consistency(ZEROS, ZEROS, 1)
    with pytest.raises(InputError, match="same shape"):
        video_consistency(ZEROS[:3], ZEROS, 2)


def test_agreement_with_nothing():
    unseen = WarpedLabels(torch.full_like(ZEROS, 255), torch.zeros_like(ZEROS, dtype=torch.bool))
    with pytest.raises(InputError, match=r"no usable pixel.*T_source_target"):
        temporal_agreement(ZEROS, unseen)
    with pytest.raises(InputError, match="shape of the warped labels"):
        temporal_agreement(ZEROS[:1], unseen)


def test_scores_that_do_not_pool():
    seen = WarpedLabels(ZEROS, torch.ones_like(ZEROS, dtype=torch.bool))
    with pytest.raises(InputError, match="at least one"):
        pool_scores([])
    with pytest.raises(InputError, match="cannot be pooled"):
        pool_scores([temporal_agreement(ZEROS, seen), video_consistency(ZEROS, ZEROS, 2)])
