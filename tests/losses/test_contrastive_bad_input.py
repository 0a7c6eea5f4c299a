import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.losses import (
    class_balanced_sample,
    contrastive_loss,
    ensemble_probabilities,
    labels_on_grid,
    pseudo_labels,
    sampled_contrastive_loss,
    threshold_curve,
)

pytestmark = pytest.mark.bad_input

FEATURES = torch.randn(1, 6, 4, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.zeros(1, 4, 5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((FEATURES, LABELS + 255), {}, "no anchor: 0 pixels.*all 255"),
        ((torch.ones(3, 2), torch.arange(3)), {}, "no anchor: 3 pixels of frame t have a label"),
        (
            (FEATURES, torch.zeros(1, 8, 10, dtype=torch.int64)),
            {},
            r"got .*\[1, 6, 4, 5\] with .*\[1, 8, 10\].*on_grid",
        ),
        ((FEATURES, LABELS.int()), {}, "int32"),
        ((FEATURES.long(), LABELS), {}, "floating point.*int64"),
        ((torch.ones(0, 4), torch.zeros(0, dtype=torch.int64)), {}, r"\[0, 4\]"),
        ((FEATURES, LABELS, FEATURES), {}, "features_other and labels_other go together"),
        ((FEATURES, LABELS, FEATURES, LABELS[:, :2]), {}, "features_other.*labels_other"),
        ((FEATURES, LABELS, FEATURES.double(), LABELS), {}, "one dtype, got torch.float32 and torch.float64"),
        ((FEATURES, LABELS, FEATURES.repeat(2, 1, 1, 1), LABELS.repeat(2, 1, 1)), {}, "one batch size, got 1 and 2"),
        ((FEATURES, LABELS, FEATURES[:, :3], LABELS), {}, "as many channels, got 6 and 3"),
        ((FEATURES, LABELS), {"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ((FEATURES, LABELS), {"temperature": float("nan")}, "temperature must be positive, got nan"),
        ((FEATURES, LABELS), {"gradient": "none"}, "gradient must be 'both', 't' or 'other', got 'none'"),
        ((FEATURES, LABELS), {"block": 0}, "block must be at least 1 anchor, got 0"),
    ],
)
def test_what_cannot_be_contrasted(arguments, options, message):
    with pytest.raises(InputError, match=message):
        contrastive_loss(*arguments, **options)


def test_samples_that_cannot_be_drawn():
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(InputError, match=r"count must be at least 2 pixels.*got 1"):
        sampled_contrastive_loss(FEATURES, LABELS, count=1, generator=generator)
    with pytest.raises(InputError, match="no anchor"):
        sampled_contrastive_loss(FEATURES, LABELS + 255, FEATURES, LABELS, count=8, generator=generator)
    with pytest.raises(InputError, match="count must be at least 1 pixel, got 0"):
        class_balanced_sample(LABELS, 0, generator)
    with pytest.raises(InputError, match=r"no pixel to draw: all 20 labels are 255.*threshold"):
        class_balanced_sample(LABELS + 255, 4, generator)


@pytest.mark.parametrize("size", [(8, 5), (0, 2), (2,)])
def test_grids_that_are_not_coarser(size):
    with pytest.raises(InputError, match="from 1 x 1 to the 4 x 5 px of the labels"):
        labels_on_grid(LABELS, size)


def test_an_unknown_pick():
    with pytest.raises(InputError, match="pick must be 'first' or 'centre', got 'mean'"):
        labels_on_grid(LABELS, (2, 2), pick="mean")


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (FEATURES, {"threshold": 1.0}, "threshold must be at least 0 and below 1, got 1.0"),
        (FEATURES, {"threshold": 50.0}, "got 50.0.*not per cent: 0.5"),
        (FEATURES, {"given": "odds"}, "given must be 'logits' or 'probabilities', got 'odds'"),
        (FEATURES, {"given": "probabilities"}, "must be probabilities.*given='logits'"),
        (torch.full((1, 2, 3, 3), 0.25), {"given": "probabilities"}, "1 in sum.*normalise them again"),
        (LABELS, {}, r"\[b, k, h, w\].*got torch.int64 \[1, 4, 5\].*labels instead of logits"),
        (FEATURES, {"ignore_index": 5}, "none of the 6 classes, got 5"),
    ],
)
def test_scores_that_make_no_labels(scores, options, message):
    with pytest.raises(InputError, match=message):
        pseudo_labels(scores, **options)


def test_teachers_and_curves_that_do_not_fit():
    with pytest.raises(InputError, match="at least one net"):
        ensemble_probabilities([])
    with pytest.raises(InputError, match=r"one shape, got \[\[1, 6, 2, 5\], \[1, 6, 4, 5\]\]"):
        ensemble_probabilities([FEATURES, FEATURES[:, :, :2]])
    with pytest.raises(InputError, match="thresholds must hold at least one"):
        threshold_curve(FEATURES, [])
    with pytest.raises(InputError, match=r"truth must be \[1, 4, 5\].*got \[1, 2, 5\]"):
        threshold_curve(FEATURES, [0.5], LABELS[:, :2])
