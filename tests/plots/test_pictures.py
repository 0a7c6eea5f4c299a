"""Pictures hold what the tensors hold: colours by class, grey where unknown, stripes where nothing was seen."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stc_lab.errors import InputError
from stc_lab.plots.colours import rgb_of_hex
from stc_lab.plots.palette import UNKNOWN_COLOUR, Scale, class_palette
from stc_lab.plots.panels import depth_panel, image_panel, label_panel, mask_panel, value_panel
from stc_lab.plots.pictures import HATCH_COLOURS, data_uri, depth_rgb, encode, enlarge, hatch, image_rgb, tint

HATCH = {tuple(colour) for colour in rgb_of_hex(HATCH_COLOURS).tolist()}


def decoded(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)))


def test_images_are_clipped_and_rounded() -> None:
    image = torch.tensor([-0.5, 0.0, 0.5, 2.0]).reshape(1, 1, 4).expand(3, 1, 4)
    assert image_rgb(image)[0, :, 0].tolist() == [0, 0, 128, 255]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 7), st.integers(1, 9), st.integers(1, 5))
def test_enlarging_keeps_every_pixel(height: int, width: int, factor: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    large = enlarge(rgb, factor)
    assert large.shape == (height * factor, width * factor, 3)
    assert (large[::factor, ::factor] == rgb).all() and (large[factor - 1 :: factor, factor - 1 :: factor] == rgb).all()


def test_hidden_pixels_are_striped_and_all_others_untouched() -> None:
    rgb = np.full((6, 8, 3), 77, dtype=np.uint8)
    hidden = np.zeros((6, 8), dtype=bool)
    hidden[2:, :5] = True
    drawn = hatch(rgb, hidden, factor=4)
    where = enlarge(np.repeat(hidden[..., None], 3, axis=2).astype(np.uint8), 4)[..., 0] == 1
    assert (drawn[~where] == 77).all()
    assert {tuple(colour) for colour in drawn[where].tolist()} == HATCH


def test_unknown_depth_is_grey() -> None:
    depth = torch.tensor([[1.0, 2.0, 0.0, torch.nan, torch.inf]])
    rgb = depth_rgb(depth, Scale("depth (m)", 1.0, 2.0))
    grey = rgb_of_hex((UNKNOWN_COLOUR,))[0]
    assert (rgb[0] == grey).all(axis=-1).tolist() == [False, False, True, True, True]


def test_tint_marks_the_mask_only() -> None:
    rgb = np.full((2, 2, 3), 100, dtype=np.uint8)
    mask = torch.tensor([[True, False], [False, False]])
    over = tint(rgb, mask, "#ff0000", 0.5)
    assert over[0, 0].tolist() == [178, 50, 50] and (over.reshape(-1, 3)[1:] == 100).all() and (rgb == 100).all()


def test_png_is_lossless_and_large_photographs_are_small() -> None:
    noise = np.random.default_rng(0).integers(100, 150, (300, 400, 3)).astype(np.uint8)
    assert (decoded(encode(noise)) == noise).all()
    photo = encode(noise, photo=True)
    assert data_uri(photo).startswith("data:image/jpeg;base64,") and len(photo) < len(encode(noise)) / 2
    assert data_uri(encode(noise[:9])).startswith("data:image/png;base64,")


def test_label_panels_list_only_what_is_seen() -> None:
    palette = class_palette(["a", "b", "c"])
    label = torch.tensor([[0, 1], [2, 255]])
    visible = torch.tensor([[True, False], [True, True]])
    assert label_panel(label, palette, "truth").classes == (0, 1, 2)
    panel = label_panel(label, palette, "warped", visible=visible)
    assert panel.classes == (0, 2) and panel.hidden is not None and panel.hidden.sum() == 1


def test_panels_of_values_know_their_scale() -> None:
    value = torch.tensor([[0.1, 0.2], [0.3, 9.0]])
    visible = torch.tensor([[True, True], [True, False]])
    panel = value_panel(value, "error", "error", visible=visible)
    assert panel.scale is not None and panel.scale.high == pytest.approx(0.3)  # 9.0 was not seen
    depth = depth_panel(torch.tensor([[0.0, 2.0, 4.0]]), "depth")
    assert depth.scale is not None and (depth.scale.low, depth.scale.high) == (2.0, 4.0)
    nothing = value_panel(value, "error", "error", visible=torch.zeros(2, 2, dtype=torch.bool))
    assert nothing.hidden is not None and nothing.hidden.all()


def test_a_wholly_visible_panel_has_no_hatch() -> None:
    image = torch.rand(3, 4, 5)
    assert image_panel(image, "image", visible=torch.ones(4, 5, dtype=torch.bool)).hidden is None


def test_masks_lie_over_a_picture_of_their_size() -> None:
    under = image_panel(torch.zeros(3, 4, 5), "image")
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[1, 2] = True
    drawn = mask_panel(mask, "edges", over=under).rgb
    assert (drawn != 0).any(axis=-1).sum() == 1 and drawn[1, 2].any()
    with pytest.raises(InputError, match="mask is"):
        mask_panel(mask[:2], "edges", over=under)


def test_depth_that_is_nowhere_known_is_refused() -> None:
    with pytest.raises(InputError, match="nowhere known"):
        depth_panel(torch.zeros(3, 3), "depth")
