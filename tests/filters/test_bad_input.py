import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.filters import (
    confidence_weights,
    fuse_views,
    guided_filter,
    guided_filter_3d,
    refine_labels,
    smooth_along_flow,
    smooth_labels_over_time,
    smooth_over_time,
)
from stc_lab.geometry.camera import Camera

pytestmark = pytest.mark.bad_input

CAMERA = Camera.from_fov(4, 5, 60.0)
PROBABILITIES = torch.full((3, 2, 4, 5), 0.5)
DEPTH = torch.ones(3, 1, 4, 5)
POSES = torch.eye(4).expand(3, 4, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": PROBABILITIES + 3}, "sum to 1.*softmax"),
        ({"probabilities": torch.tensor([2.0, -1.0]).reshape(1, 2, 1, 1).expand(3, 2, 4, 5)}, "negative.*softmax"),
        ({"depth": DEPTH[:2]}, "3 frames.*got 2, 3 and 1"),
        ({"T_world_camera": POSES[:1]}, "3 frames.*got 3, 1 and 1"),
        ({"camera": Camera(CAMERA.K.expand(2, 3, 3), 4, 5)}, "3 frames.*got 3, 3 and 2"),
        ({"camera": Camera.from_fov(8, 10, 60.0)}, r"probabilities is 4 x 5 px.*8 x 10.*resized"),
        ({"T_world_camera": torch.full((3, 4, 4), float("nan"))}, "NaN"),
        ({"offsets": (-1, 0, 1)}, "distinct and not 0"),
        ({"offsets": (1, 1)}, "distinct and not 0"),
        ({"warp": "flow"}, "'geometry' or 'identity', got 'flow'"),
    ],
)
def test_bad_arguments_say_what_is_wrong(change, message):
    arguments = {"probabilities": PROBABILITIES, "depth": DEPTH, "camera": CAMERA, "T_world_camera": POSES}
    with pytest.raises(InputError, match=message):
        fuse_views(**arguments | change)


GUIDE = torch.rand(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
SIGNAL = torch.rand(2, 4, 6, 7, generator=torch.Generator().manual_seed(1))
WITH_NAN = torch.where(SIGNAL > 0.5, SIGNAL, torch.nan)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"guide": GUIDE[0]}, r"guide must be \[b, c, h, w\], got \[3, 6, 7\].*guide\[None\]"),
        ({"guide": (255 * GUIDE).byte()}, "guide must be float.*guide.float\\(\\) / 255"),
        ({"guide": GUIDE[:1]}, "one batch size, got 2 and 1"),
        ({"guide": GUIDE.double()}, "one dtype"),
        ({"guide": GUIDE[..., ::2, ::2]}, r"one size, got \[3, 4\] and \[6, 7\] px.*upsample"),
        ({"guide": torch.full_like(GUIDE, torch.inf)}, "guide must be finite.*depth"),
        ({"signal": SIGNAL.argmax(dim=1)}, r"signal must be \[b, c, h, w\]"),
        ({"signal": WITH_NAN}, "signal must be finite.*mask as weights"),
        ({"signal": WITH_NAN, "weights": torch.ones(2, 1, 6, 7)}, "signal must be finite where its weight is not 0"),
        ({"radius": 7}, "radius 7 px is too large for 6 x 7 px.*half of the window"),
        ({"radius": -1}, "radius must be a whole number from 0, got -1"),
        ({"radius": 1.5}, "radius must be a whole number from 0, got 1.5"),
        ({"eps": 0.0}, "eps must be larger than 0, got 0.0"),
        ({"eps": float("nan")}, "eps must be larger than 0"),
        ({"border": "constant"}, "border must be one of truncated, reflect, got 'constant'"),
        ({"weights": torch.ones(2, 2, 6, 7)}, r"weights must be \[2, 1, 6, 7\] or \[2, 4, 6, 7\].*got \[2, 2, 6, 7\]"),
        ({"weights": torch.ones(2, 6, 7, dtype=torch.bool)}, r"weights must be.*mask\[:, None\]"),
        ({"weights": torch.ones(2, 1, 6, 7, dtype=torch.int64)}, "weights must be float"),
        ({"weights": torch.ones(2, 1, 6, 7, dtype=torch.float64)}, "one dtype"),
        ({"weights": -torch.ones(2, 1, 6, 7)}, "weights must be finite and not negative"),
        ({"weights": torch.full((2, 1, 6, 7), torch.nan)}, "weights must be finite and not negative"),
    ],
)
def test_a_guided_filter_says_what_is_wrong(change, message):
    arguments = {"guide": GUIDE, "signal": SIGNAL, "radius": 2, "eps": 1e-3} | change
    with pytest.raises(InputError, match=message):
        guided_filter(**arguments)
    with pytest.raises(InputError, match=message):
        guided_filter_3d(**arguments, temporal_radius=1)


def test_a_radius_in_time_must_be_a_number_of_frames():
    with pytest.raises(InputError, match="temporal_radius must be a whole number from 0, got -2"):
        guided_filter_3d(GUIDE, SIGNAL, radius=2, temporal_radius=-2, eps=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (SIGNAL + 1, "probabilities must lie in.*softmax"),
        (WITH_NAN, "probabilities must lie in"),
        (SIGNAL[0], "add a batch axis"),
    ],
)
def test_confidence_is_of_probabilities(values, message):
    with pytest.raises(InputError, match=message):
        confidence_weights(values)
    with pytest.raises(InputError, match=message):
        refine_labels(values, GUIDE)


def test_refinement_needs_a_distance():
    with pytest.raises(InputError, match="at least 1 px, got 0"):
        refine_labels(SIGNAL, GUIDE, radius=2, within=0)


LABELS = torch.zeros(3, 4, 5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("labels", "sigma", "truncate", "message"),
    [
        (LABELS, -1.0, 4.0, "sigma must not be negative.*in frames"),
        (LABELS, float("nan"), 4.0, "sigma must not be negative"),
        (LABELS, float("inf"), 4.0, "sigma must not be negative"),
        (LABELS, 1.0, 0.0, "truncate be positive, got 1.0 and 0.0"),
    ],
)
def test_smoothing_over_time_needs_a_width(labels, sigma, truncate, message):
    for call in (smooth_labels_over_time, lambda *a, **k: smooth_over_time(SIGNAL, *a[1:], **k)):
        with pytest.raises(InputError, match=message):
            call(labels, sigma, truncate=truncate)


def test_smoothing_over_time_says_what_it_takes():
    with pytest.raises(InputError, match=r"labels must be int64 \[b, h, w\].*argmax"):
        smooth_labels_over_time(SIGNAL, 1.0)
    with pytest.raises(InputError, match=r"values must be \[b, c, h, w\]"):
        smooth_over_time(SIGNAL[0], 1.0)


FLOW = torch.zeros(1, 2, 6, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"flow_forward": torch.zeros(2, 2, 6, 7)},
            r"flow_forward must be \[1, 2, 6, 7\] to fit 2 frames.*one flow for",
        ),
        ({"flow_backward": torch.zeros(1, 2, 3, 7)}, r"flow_backward must be \[1, 2, 6, 7\]"),
        ({"flow_forward": FLOW.double()}, "one dtype"),
        ({"values": SIGNAL.double()}, "one dtype"),
        ({"sigma": -0.5}, "sigma must not be negative"),
    ],
)
def test_smoothing_along_flow_says_what_is_wrong(change, message):
    with pytest.raises(InputError, match=message):
        smooth_along_flow(**{"values": SIGNAL, "flow_forward": FLOW, "flow_backward": FLOW, "sigma": 1.0} | change)
