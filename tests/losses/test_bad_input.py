import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.geometry.warp import Warped
from stc_lab.losses import canny_edges, consistency_map, logits_consistency

pytestmark = pytest.mark.bad_input

LOGITS = torch.zeros(1, 3, 4, 5)
MASK = torch.ones(1, 4, 5, dtype=torch.bool)


@pytest.mark.parametrize("function", [logits_consistency, consistency_map])
def test_no_usable_pixel_names_the_usual_cause(function):
    with pytest.raises(InputError, match=r"no usable pixel.*T_source_target.*overlap"):
        function(Warped(LOGITS, ~MASK), LOGITS, MASK)


@pytest.mark.parametrize("function", [logits_consistency, consistency_map])
def test_shapes_that_do_not_fit(function):
    with pytest.raises(InputError, match=r"logits_target .*\[1, 3, 4, 5\], got \[1, 3, 8, 10\]"):
        function(Warped(LOGITS, MASK), torch.zeros(1, 3, 8, 10), MASK)
    with pytest.raises(InputError, match=r"edges_target must be \[1, 4, 5\].*got \[1, 8, 10\].*grid"):
        function(Warped(LOGITS, MASK), LOGITS, torch.ones(1, 8, 10, dtype=torch.bool))


def test_unknown_gradient():
    with pytest.raises(InputError, match="gradient must be 'both', 'warped' or 'target', got 'none'"):
        logits_consistency(Warped(LOGITS, MASK), LOGITS, MASK, gradient="none")


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (torch.full((1, 3, 12, 12), 200.0), {}, "0, 1.*8-bit"),
        (torch.full((1, 3, 12, 12), float("nan")), {}, "nan"),
        (torch.zeros(3, 12, 12), {}, r"images must be \[b, 3, h, w\], got \[3, 12, 12\].*images\[None\]"),
        (torch.zeros(1, 3, 2, 12), {}, "too small"),
        (torch.zeros(1, 3, 12, 12), {"low": 0.4}, "low 0.4, high 0.3"),
        (torch.zeros(1, 3, 12, 12), {"sigma": 0.0}, "sigma must be positive"),
    ],
)
def test_images_that_cannot_have_edges(images, options, message):
    with pytest.raises(InputError, match=message):
        canny_edges(images, **options)
