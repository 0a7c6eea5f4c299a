import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.metrics import centroid_accuracy, class_context, class_separation, context_reliance, project_2d

pytestmark = pytest.mark.bad_input

FEATURES, LABELS = torch.ones(4, 3), torch.tensor([0, 0, 1, 1])
IMAGES, MAP = torch.zeros(1, 3, 4, 5), torch.zeros(1, 4, 5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (FEATURES, LABELS * 0, "two classes.*got 4 labelled pixels of 1 classes"),
        (FEATURES, torch.arange(4), "one of them with two pixels, got 4 labelled pixels of 4"),
        (FEATURES, LABELS * 0 + 255, "no labelled pixel: all labels are 255"),
        (FEATURES, LABELS[:3], r"\[4, 3\] with torch.int64 \[3\]"),
    ],
)
def test_nothing_to_separate(features, labels, message):
    with pytest.raises(InputError, match=message):
        class_separation(features, labels)


def test_references_that_do_not_fit():
    with pytest.raises(InputError, match="none of the classes of the reference"):
        centroid_accuracy(FEATURES, LABELS, FEATURES, LABELS + 7)
    with pytest.raises(InputError, match="as many channels, got 3, 2"):
        centroid_accuracy(FEATURES, LABELS, FEATURES[:, :2], LABELS)
    with pytest.raises(InputError, match="all labels_reference are 255"):
        centroid_accuracy(FEATURES, LABELS, FEATURES, LABELS * 0 + 255)


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        (FEATURES[:2], {}, r"at least 3 x 2, got torch.float32 \[2, 3\]"),
        (FEATURES[:, :1], {}, r"\[4, 1\]"),
        (LABELS[:, None].repeat(1, 3), {}, "floating point.*int64"),
        (FEATURES, {"method": "tsne"}, "method must be 'pca' or 'lda', got 'tsne'"),
        (FEATURES, {"method": "lda"}, "lda needs labels"),
        (FEATURES, {"method": "lda", "labels": LABELS * 0}, "at least two classes, got 1"),
    ],
)
def test_features_that_cannot_be_drawn(features, options, message):
    with pytest.raises(InputError, match=message):
        project_2d(features, **options)


def test_other_features_than_those_fitted():
    with pytest.raises(InputError, match=r"features must be \[n, 3\], got \[4, 2\]"):
        project_2d(torch.eye(4)[:, :3]).apply(FEATURES[:, :2])


def test_context_of_other_sizes():
    with pytest.raises(InputError, match="radius must be at least 1 px, got 0"):
        class_context(IMAGES, MAP, 0)
    with pytest.raises(InputError, match=r"got \[1, 3, 4, 5\] and \[1, 8, 10\].*labels_on_grid"):
        class_context(IMAGES, torch.zeros(1, 8, 10, dtype=torch.int64), 1)
    with pytest.raises(InputError, match=r"of one size, got .*\[1, 3, 2, 5\]"):
        context_reliance(lambda x: MAP, IMAGES, MAP, IMAGES[:, :, :2])
    with pytest.raises(InputError, match=r"none of the classes \[4\]"):
        context_reliance(lambda x: MAP, IMAGES, MAP, IMAGES, classes=[4])
